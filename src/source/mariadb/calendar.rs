//! Calendar arithmetic on the parts the wire carries: the proleptic Gregorian calendar, as the server has it.

use crate::model::Micros;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Days since 1970-01-01; `None` where the calendar has no such day (month 0, 31 February).
pub(super) fn days(year: u16, month: u8, day: u8) -> Option<i32> {
    if !(1..=12).contains(&month) || day == 0 || day > month_length(year, month) {
        return None;
    }
    // Counted in years that begin in March, so that the leap day is a year's last one.
    let (year, month, day) = (i32::from(year), i32::from(month), i32::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Microseconds since 1970-01-01 00:00 of a reading; `None` where there is no such day or time.
pub(super) fn micros(date: (u16, u8, u8), time: (u8, u8, u8), fraction: u32) -> Option<Micros> {
    let (hour, minute, second) = time;
    if hour > 23 || minute > 59 || second > 59 || fraction > 999_999 {
        return None;
    }
    let days = i64::from(days(date.0, date.1, date.2)?);
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some((days * SECONDS_PER_DAY + seconds) * MICROS_PER_SECOND + i64::from(fraction))
}

/// A reading in its parts: year, month, day, hour, minute, second, microseconds.
pub(super) type Parts = (u16, u8, u8, u8, u8, u8, u32);

/// The parts of a reading; `None` outside the years 0 to 9999, which the server knows.
pub(super) fn parts(micros: Micros) -> Option<Parts> {
    let fraction = micros.rem_euclid(MICROS_PER_SECOND);
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let shifted = seconds.div_euclid(SECONDS_PER_DAY) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        return None;
    }
    Some((
        u16::try_from(year).ok()?,
        u8::try_from(month).ok()?,
        u8::try_from(day).ok()?,
        u8::try_from(of_day / 3600).ok()?,
        u8::try_from(of_day / 60 % 60).ok()?,
        u8::try_from(of_day % 60).ok()?,
        u32::try_from(fraction).ok()?,
    ))
}

/// A reading for people: `2026-10-01 14:03:59 UTC`.
pub(super) fn instant_text(micros: Micros) -> String {
    match parts(micros) {
        Some((year, month, day, hour, minute, second, _)) => {
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
        }
        None => "an unknown time".to_owned(),
    }
}

fn month_length(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days_have_their_numbers() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(1969, 12, 31), Some(-1));
        assert_eq!(days(9999, 12, 31), Some(2_932_896));
        assert_eq!(days(0, 1, 1), Some(-719_528));
    }

    #[test]
    fn days_that_do_not_exist_have_none() {
        for (year, month, day) in [
            (0, 0, 0),
            (2026, 0, 1),
            (2026, 1, 0),
            (2026, 2, 29),
            (1900, 2, 29),
            (2026, 13, 1),
        ] {
            assert_eq!(days(year, month, day), None, "{year}-{month}-{day}");
        }
        assert_eq!(micros((2026, 1, 1), (24, 0, 0), 0), None);
    }

    proptest! {
        #[test]
        fn every_reading_comes_back_from_its_parts(at in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
            let (year, month, day, hour, minute, second, fraction) = parts(at).unwrap();
            prop_assert_eq!(micros((year, month, day), (hour, minute, second), fraction), Some(at));
        }
    }
}

//! Dates and timestamps in ISO 8601, for every day and every microsecond that the columns can hold.
//!
//! Years 0000 to 9999 have four digits (year 0000 is 1 BC). All others have the expanded form: a sign and at
//! least six digits, seven where six are too few (dates reach the year 5,881,580).

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Appends `2026-10-01`.
pub(super) fn write_date(days: i32, out: &mut Vec<u8>) {
    write_day(i64::from(days), out);
}

/// Appends `2026-10-01T12:34:56.000000`, with `Z` for an instant.
pub(super) fn write_timestamp(micros: i64, utc: bool, out: &mut Vec<u8>) {
    write_day(micros.div_euclid(MICROS_PER_DAY), out);
    let in_day = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (
        (in_day / MICROS_PER_SECOND) as u32,
        (in_day % MICROS_PER_SECOND) as u32,
    );
    let [h1, h2] = two_digits(seconds / 3600);
    let [m1, m2] = two_digits(seconds / 60 % 60);
    let [s1, s2] = two_digits(seconds % 60);
    let [f1, f2] = two_digits(fraction / 10_000);
    let [f3, f4] = two_digits(fraction / 100 % 100);
    let [f5, f6] = two_digits(fraction % 100);
    let text = [
        b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', f1, f2, f3, f4, f5, f6, b'Z',
    ];
    // Lengths known beforehand make the copy a few instructions instead of a call.
    if utc {
        out.extend_from_slice(&text);
    } else {
        out.extend_from_slice(&text[..16]);
    }
}

/// Reads what [`write_date`] writes, and nothing else.
pub(super) fn parse_date(text: &[u8]) -> Option<i32> {
    match read_day(text)? {
        (days, []) => i32::try_from(days).ok(),
        _ => None,
    }
}

/// Reads what [`write_timestamp`] writes, and nothing else.
pub(super) fn parse_timestamp(text: &[u8], utc: bool) -> Option<i64> {
    let (days, rest) = read_day(text)?;
    let [
        b'T',
        h1,
        h2,
        b':',
        m1,
        m2,
        b':',
        s1,
        s2,
        b'.',
        fraction @ ..,
    ] = rest
    else {
        return None;
    };
    let (fraction, zone) = fraction.split_at_checked(6)?;
    if zone != if utc { b"Z".as_slice() } else { b"" } {
        return None;
    }
    let (hour, minute, second) = (
        number(&[*h1, *h2])?,
        number(&[*m1, *m2])?,
        number(&[*s1, *s2])?,
    );
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let in_day = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + number(fraction)?;
    // In 128 bits, because the first day that has a microsecond in 64 bits begins before all of those.
    i64::try_from(i128::from(days) * i128::from(MICROS_PER_DAY) + i128::from(in_day)).ok()
}

fn write_day(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(days);
    let [m1, m2] = two_digits(month);
    let [d1, d2] = two_digits(day);
    if (0..=9999).contains(&year) {
        let [y1, y2] = two_digits(year as u32 / 100);
        let [y3, y4] = two_digits(year as u32 % 100);
        out.extend_from_slice(&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2]);
        return;
    }
    out.push(if year < 0 { b'-' } else { b'+' });
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(year.unsigned_abs());
    out.extend_from_slice(b"000000".get(digits.len()..).unwrap_or_default());
    out.extend_from_slice(digits.as_bytes());
    out.extend_from_slice(&[b'-', m1, m2, b'-', d1, d2]);
}

/// Days since 1970-01-01, and the text after the day.
fn read_day(text: &[u8]) -> Option<(i64, &[u8])> {
    let (year, rest) = match text {
        [sign @ (b'+' | b'-'), rest @ ..] => read_expanded_year(*sign == b'-', rest)?,
        _ => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
    };
    let [b'-', m1, m2, b'-', d1, d2, rest @ ..] = rest else {
        return None;
    };
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    // Days past a month's end would come back as days of the next one.
    let days = days_from_civil(year, month, day);
    let exists =
        (1..=12).contains(&month) && civil_from_days(days) == (year, month as u32, day as u32);
    exists.then_some((days, rest))
}

fn read_expanded_year(negative: bool, text: &[u8]) -> Option<(i64, &[u8])> {
    let length = text.iter().position(|byte| *byte == b'-')?;
    let (digits, rest) = text.split_at_checked(length)?;
    let shortest = length == 6 || (length == 7 && digits.first() != Some(&b'0'));
    let year = number(digits)? * if negative { -1 } else { 1 };
    (shortest && !(0..=9999).contains(&year)).then_some((year, rest))
}

/// Year, month and day of a day: figure 12 of Neri and Schneider, "Euclidean affine functions and their
/// application to calendar algorithms" (2023), counting from a first of March before every day there is.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    const ERAS_BEFORE: i64 = 1_000_000;
    let from_first_march = (days + 719_468 + ERAS_BEFORE * 146_097) as u64;
    let quarters = 4 * from_first_march + 3;
    let (century, in_century) = (quarters / 146_097, quarters % 146_097 / 4);
    let product = 2_939_745 * (4 * in_century + 3);
    let (year_of_century, day_of_year) = (product >> 32, (product as u32) / 2_939_745 / 4);
    let months = 2141 * day_of_year + 197_913;
    let (month, day) = (months >> 16, (months & 0xffff) / 2141 + 1);
    let after_december = day_of_year >= 306;
    let year =
        (100 * century + year_of_century) as i64 - 400 * ERAS_BEFORE + i64::from(after_december);
    (year, if after_december { month - 12 } else { month }, day)
}

/// The inverse of [`civil_from_days`], by `days_from_civil` of Howard Hinnant's date algorithms.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn two_digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

/// Digits only, at most nine of them.
fn number(digits: &[u8]) -> Option<i64> {
    if !(1..=9).contains(&digits.len()) {
        return None;
    }
    let (mut number, mut all_digits) = (0, true);
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        all_digits &= digit <= 9;
        number = number * 10 + i64::from(digit);
    }
    all_digits.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(days: i32) -> String {
        let mut out = Vec::new();
        write_date(days, &mut out);
        String::from_utf8(out).expect("ascii")
    }

    fn timestamp(micros: i64, utc: bool) -> String {
        let mut out = Vec::new();
        write_timestamp(micros, utc, &mut out);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn days_and_instants_at_the_edges_are_written_in_iso_8601() {
        let days = [
            0,
            11_016,
            -719_528,
            -719_529,
            2_932_896,
            2_932_897,
            i32::MIN,
            i32::MAX,
        ];
        let days: Vec<_> = days.into_iter().map(date).collect();
        let expected = "1970-01-01 2000-02-29 0000-01-01 -000001-12-31 9999-12-31 +010000-01-01 -5877641-06-23 +5881580-07-11";
        assert_eq!(days.join(" "), expected);
        assert_eq!(timestamp(-1, true), "1969-12-31T23:59:59.999999Z");
        assert_eq!(timestamp(i64::MIN, true), "-290308-12-21T19:59:05.224192Z");
        assert_eq!(timestamp(i64::MAX, false), "+294247-01-10T04:00:54.775807");
    }

    #[test]
    fn every_other_spelling_of_a_day_or_instant_is_refused() {
        let wrong_days = [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-1-01",
            "2026-01-01 ",
            "02026-01-01",
            "+002026-01-01",
            "-000000-01-01",
            "+0010000-01-01",
            "+5881580-07-12",
            "-5877641-06-22",
            "+99999999-01-01",
            "+-00001-01-01",
            "-",
            "+",
            "2026-01-aa",
        ];
        for wrong in wrong_days {
            assert_eq!(parse_date(wrong.as_bytes()), None, "{wrong}");
        }
        let day = "2026-01-01";
        for wrong in [
            "",
            "T00:00:00.000000",
            "T24:00:00.000000Z",
            "T00:60:00.000000Z",
            "T00:00:60.000000Z",
            "T00:00:00.00000Z",
            "T00:00:00.0000000Z",
            "T00:00:00Z",
            " 00:00:00.000000Z",
            "T00:00:00.000000+00:00",
            "T00:00:00.000000ZZ",
        ] {
            assert_eq!(
                parse_timestamp(format!("{day}{wrong}").as_bytes(), true),
                None,
                "{wrong}"
            );
        }
        assert_eq!(parse_timestamp(b"2026-01-01T00:00:00.000000Z", false), None);
        assert_eq!(
            parse_timestamp(b"+294247-01-10T04:00:54.775808Z", true),
            None
        );
        assert_eq!(
            parse_timestamp(b"-290308-12-21T19:59:05.224191Z", true),
            None
        );
    }

    proptest! {
        #[test]
        fn every_day_and_every_microsecond_comes_back(days in any::<i32>(), micros in any::<i64>(), near in -80_000_000_000_000_000_i64..300_000_000_000_000_000, utc in any::<bool>()) {
            prop_assert_eq!(parse_date(date(days).as_bytes()), Some(days));
            for micros in [micros, near] {
                prop_assert_eq!(parse_timestamp(timestamp(micros, utc).as_bytes(), utc), Some(micros));
            }
        }

        #[test]
        fn days_are_written_as_jiff_writes_them(days in -719_528_i32..2_932_896) {
            let expected = jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(days);
            prop_assert_eq!(date(days), expected.to_string());
        }
    }
}

//! Days and months of the proleptic Gregorian calendar, for every year a database can hold.
//!
//! jiff ends at the year 9999, PostgreSQL at 294276.

use std::fmt;

/// Year, month and day of a day counted from 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
pub fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A year in at least four digits, with a minus sign before the year 0.
pub struct Year(pub i64);

impl fmt::Display for Year {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{:04}", self.0.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_day_reads_as_jiff_reads_it(day in -4_371_587_i64..2_932_897) {
            let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(day)).expect("in range");
            prop_assert_eq!(civil(day), (i64::from(date.year()), i64::from(date.month()), i64::from(date.day())));
        }
    }

    #[test]
    fn years_of_any_length_have_a_text_of_their_own() {
        let texts = [-44, 0, 44, 2026, 294_276].map(|year| Year(year).to_string());
        assert_eq!(texts, ["-0044", "0000", "0044", "2026", "294276"]);
    }
}

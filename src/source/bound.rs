//! The safe bound of a guard, in the reading of a timestamp column. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::Micros;

/// How far ahead a zone's next change of clocks can pull a reading back: the largest in the time-zone
/// database is a whole day (Samoa and others crossing the date line).
const LARGEST_SHIFT: jiff::SignedDuration = jiff::SignedDuration::from_hours(26);

/// How a timestamp column is compared with an instant.
#[derive(Clone, Debug)]
pub struct ColumnClock {
    /// The zone of a column without one; `None` where the column holds instants.
    pub zone: Option<TimeZone>,
    /// Digits after the second that the column keeps, 0 to 6.
    pub precision: u8,
}

impl ColumnClock {
    /// The column reading below which no row can still appear, for an instant below which none can.
    ///
    /// It is the least reading of any later moment. Before clocks are set back that is less than the present
    /// reading: the hour that will come a second time stays open until it has come. Floored to the column's
    /// precision, as both rounding and truncation keep the order.
    pub fn bound(&self, at: Micros) -> Micros {
        let reading = match &self.zone {
            Some(zone) => least_reading(at, zone),
            None => at,
        };
        let unit = 10_i64.pow(6 - u32::from(self.precision.min(6)));
        reading.div_euclid(unit).saturating_mul(unit)
    }
}

fn least_reading(at: Micros, zone: &TimeZone) -> Micros {
    let Ok(instant) = Timestamp::from_microsecond(at) else {
        return at.saturating_sub(LARGEST_SHIFT.as_micros() as Micros);
    };
    let reading = |instant: Timestamp, offset: jiff::tz::Offset| {
        instant
            .as_microsecond()
            .saturating_add(i64::from(offset.seconds()) * 1_000_000)
    };
    let horizon = instant.checked_add(LARGEST_SHIFT).unwrap_or(Timestamp::MAX);
    zone.following(instant)
        .take_while(|change| change.timestamp() <= horizon)
        .map(|change| reading(change.timestamp(), change.offset()))
        .chain([reading(instant, zone.to_offset(instant))])
        .min()
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clock(zone: &str) -> ColumnClock {
        ColumnClock {
            zone: Some(TimeZone::get(zone).unwrap()),
            precision: 6,
        }
    }

    fn bound(zone: &str, instant: &str) -> String {
        let at: Timestamp = instant.parse().unwrap();
        let reading = clock(zone).bound(at.as_microsecond());
        Timestamp::from_microsecond(reading)
            .unwrap()
            .to_string()
            .trim_end_matches('Z')
            .to_owned()
    }

    #[test]
    fn an_instant_is_read_in_the_columns_zone() {
        assert_eq!(
            bound("Asia/Seoul", "2026-11-20T00:00:00Z"),
            "2026-11-20T09:00:00"
        );
        assert_eq!(
            ColumnClock {
                zone: None,
                precision: 6
            }
            .bound(123),
            123
        );
    }

    #[test]
    fn the_bound_stands_still_until_the_repeated_hour_has_come_twice() {
        // Berlin, 2026-10-25: at 01:00 UTC the clocks go from 03:00 back to 02:00.
        assert_eq!(
            bound("Europe/Berlin", "2026-10-24T23:30:00Z"),
            "2026-10-25T01:30:00"
        );
        assert_eq!(
            bound("Europe/Berlin", "2026-10-25T00:00:00Z"),
            "2026-10-25T02:00:00"
        );
        assert_eq!(
            bound("Europe/Berlin", "2026-10-25T00:59:59Z"),
            "2026-10-25T02:00:00"
        );
        assert_eq!(
            bound("Europe/Berlin", "2026-10-25T01:00:00Z"),
            "2026-10-25T02:00:00"
        );
        assert_eq!(
            bound("Europe/Berlin", "2026-10-25T01:30:00Z"),
            "2026-10-25T02:30:00"
        );
    }

    #[test]
    fn the_skipped_hour_is_jumped_over() {
        // Berlin, 2026-03-29: at 01:00 UTC the clocks go from 02:00 to 03:00.
        assert_eq!(
            bound("Europe/Berlin", "2026-03-29T00:59:59Z"),
            "2026-03-29T01:59:59"
        );
        assert_eq!(
            bound("Europe/Berlin", "2026-03-29T01:00:00Z"),
            "2026-03-29T03:00:00"
        );
    }

    #[test]
    fn a_bound_is_floored_to_what_the_column_keeps() {
        let clock = |precision| ColumnClock {
            zone: None,
            precision,
        };
        assert_eq!(clock(0).bound(5_999_999), 5_000_000);
        assert_eq!(clock(3).bound(5_999_999), 5_999_000);
        assert_eq!(clock(0).bound(-1), -1_000_000);
    }

    proptest! {
        #[test]
        fn no_later_moment_reads_below_the_bound(
            at in 1_500_000_000i64..1_900_000_000,
            later in 0i64..300_000,
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Seoul"]),
        ) {
            let clock = clock(zone);
            let instant = Timestamp::from_second(at + later).unwrap();
            let offset = TimeZone::get(zone).unwrap().to_offset(instant);
            let reading = (at + later + i64::from(offset.seconds())) * 1_000_000;
            prop_assert!(clock.bound(at * 1_000_000) <= reading);
            prop_assert!(clock.bound(at * 1_000_000) <= clock.bound((at + later) * 1_000_000), "it goes back");
        }
    }
}

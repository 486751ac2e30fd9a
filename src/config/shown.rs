//! Durations and sizes as the file writes them.

use std::time::Duration;

/// `7d`, `10m`, `250ms`: in the largest unit that leaves no rest.
pub fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ];
    let fits = units
        .iter()
        .find(|(unit, _)| milliseconds.is_multiple_of(*unit));
    match fits {
        Some((unit, name)) => format!("{}{name}", milliseconds / unit),
        None => format!("{milliseconds}ms"),
    }
}

/// `256MiB`: in the largest unit that leaves no rest.
pub(super) fn size(bytes: u64) -> String {
    let units = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    let fits = units.iter().find(|(unit, _)| bytes.is_multiple_of(*unit));
    match fits {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(milliseconds in 1..u64::from(u32::MAX), bytes in 1..u64::from(u32::MAX)) {
            let pause = Duration::from_millis(milliseconds);
            prop_assert_eq!(units::duration(&duration(pause)), Ok(pause));
            prop_assert_eq!(units::size(&size(bytes)), Ok(bytes));
        }
    }

    #[test]
    fn the_largest_unit_is_taken() {
        assert_eq!(duration(Duration::from_secs(604_800)), "7d");
        assert_eq!(duration(Duration::from_millis(1_500)), "1500ms");
        assert_eq!(size(256 << 20), "256MiB");
    }
}

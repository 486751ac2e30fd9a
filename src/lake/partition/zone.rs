//! Wall clocks: what an instant or a reading of the source's clock reads where days are cut.
//!
//! Between two transitions of a zone the offset is one number, so each stretch is looked up once per batch and
//! every row after it costs an addition.

use jiff::Timestamp;
use jiff::fmt::temporal::{DateTimeParser, DateTimePrinter};
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};

/// The stretch of time over which two databases must agree: 1900-01-01 to 2100-01-01, in seconds.
const COMPARED: (i64, i64) = (-2_208_988_800, 4_102_444_800);

/// A zone's name as [`Zones::parse`] reads it; empty for one that has none (a nameless file of the system).
pub fn name(zone: &TimeZone) -> String {
    DateTimePrinter::new()
        .time_zone_to_string(zone)
        .unwrap_or_default()
}

/// 16 hexadecimal digits over the zones' transitions and offsets. It changes exactly when an update of the
/// database changes these zones, so that no update of another zone stops a table.
pub fn rules(zones: &[&TimeZone]) -> String {
    let mut digest = Sha256::new();
    let from = Timestamp::from_second(COMPARED.0).unwrap_or(Timestamp::MIN);
    for zone in zones {
        digest.update(format!("{};", zone.to_offset(from).seconds()));
        for change in zone
            .following(from)
            .take_while(|change| change.timestamp().as_second() < COMPARED.1)
        {
            digest.update(format!(
                "{}={};",
                change.timestamp().as_second(),
                change.offset().seconds()
            ));
        }
        digest.update("|");
    }
    digest
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Where days are cut, and what the source's timestamps without zone mean.
pub struct Zones {
    day_in: TimeZone,
    source: TimeZone,
    /// Whether both are one zone, so that naive timestamps are cut as they read.
    same: bool,
}

impl Zones {
    pub fn parse(day_in: &str, source: &str) -> Result<Zones> {
        let zone = |name: &str| {
            DateTimeParser::new()
                .parse_time_zone(name)
                .map_err(|error| {
                    Error::new(Kind::Config, format!("there is no time zone `{name}`"))
                        .because(error)
                        .hint("name a zone of the IANA database, such as `Asia/Seoul`")
                })
        };
        Ok(Zones {
            day_in: zone(day_in)?,
            source: zone(source)?,
            same: day_in == source,
        })
    }

    pub fn rules(&self) -> String {
        rules(&[&self.day_in, &self.source])
    }

    /// A clock for the instants of one batch.
    pub fn of_instants(&self) -> Clock<'_> {
        Clock {
            readings: None,
            day_in: Some(Offsets::new(&self.day_in)),
        }
    }

    /// A clock for the naive timestamps of one batch.
    pub fn of_readings(&self) -> Clock<'_> {
        match self.same {
            true => Clock {
                readings: None,
                day_in: None,
            },
            false => Clock {
                readings: Some(Readings::new(&self.source)),
                day_in: Some(Offsets::new(&self.day_in)),
            },
        }
    }
}

/// Turns a column's microseconds into what the wall clock reads where days are cut.
pub struct Clock<'z> {
    readings: Option<Readings<'z>>,
    day_in: Option<Offsets<'z>>,
}

impl Clock<'_> {
    pub fn local(&mut self, micros: i64) -> i64 {
        let instant = match &mut self.readings {
            Some(readings) => readings.instant(micros),
            None => micros,
        };
        match &mut self.day_in {
            Some(offsets) => instant.saturating_add(offsets.at(instant).offset),
            None => instant,
        }
    }
}

/// Instants from `from` until before `until` at which a zone has one offset; all in microseconds.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: i64,
    until: i64,
    offset: i64,
}

/// The stretches of a zone that were asked for so far, ascending.
struct Offsets<'z> {
    zone: &'z TimeZone,
    stretches: Vec<Stretch>,
    last: usize,
}

impl<'z> Offsets<'z> {
    fn new(zone: &'z TimeZone) -> Self {
        Offsets {
            zone,
            stretches: Vec::new(),
            last: 0,
        }
    }

    fn at(&mut self, instant: i64) -> Stretch {
        if let Some(stretch) = self.stretches.get(self.last)
            && stretch.from <= instant
            && instant < stretch.until
        {
            return *stretch;
        }
        let i = self
            .stretches
            .partition_point(|stretch| stretch.until <= instant);
        self.last = i;
        match self.stretches.get(i) {
            Some(stretch) if stretch.from <= instant => *stretch,
            _ => {
                let stretch = look_up(self.zone, instant);
                self.stretches.insert(i, stretch);
                stretch
            }
        }
    }
}

/// The stretch around an instant. Before the year −9999 and after 9999 the nearest offset known is taken.
fn look_up(zone: &TimeZone, instant: i64) -> Stretch {
    let (first, last) = (Timestamp::MIN, Timestamp::MAX);
    let at =
        Timestamp::from_microsecond(instant.clamp(first.as_microsecond(), last.as_microsecond()))
            .unwrap_or(last);
    let just_after =
        Timestamp::from_microsecond(at.as_microsecond().saturating_add(1)).unwrap_or(last);
    let seconds = |at: Timestamp| at.as_second().saturating_mul(1_000_000);
    Stretch {
        from: zone
            .preceding(just_after)
            .next()
            .map_or(i64::MIN, |change| seconds(change.timestamp())),
        until: zone
            .following(at)
            .next()
            .map_or(i64::MAX, |change| seconds(change.timestamp())),
        offset: i64::from(zone.to_offset(at).seconds()) * 1_000_000,
    }
}

/// Readings of a zone's wall clock as instants. A reading the clock shows twice is the earlier instant, one it
/// skips counts from before the skip: RFC 5545's rule, jiff's `compatible`.
struct Readings<'z> {
    offsets: Offsets<'z>,
    /// The readings that have the offset found last.
    last: Stretch,
}

impl<'z> Readings<'z> {
    fn new(zone: &'z TimeZone) -> Self {
        Readings {
            offsets: Offsets::new(zone),
            last: Stretch {
                from: 0,
                until: 0,
                offset: 0,
            },
        }
    }

    fn instant(&mut self, reading: i64) -> i64 {
        if reading < self.last.from || self.last.until <= reading {
            self.last = self.find(reading);
        }
        reading.saturating_sub(self.last.offset)
    }

    /// Starts at the stretch around the reading taken as UTC, at most one transition away.
    fn find(&mut self, reading: i64) -> Stretch {
        let mut stretch = self.offsets.at(reading);
        for _ in 0..4 {
            let readings = self.readings_of(stretch);
            if reading < readings.from {
                stretch = self.offsets.at(stretch.from.saturating_sub(1));
            } else if readings.until <= reading {
                stretch = self.offsets.at(stretch.until);
            } else {
                return readings;
            }
        }
        Stretch {
            from: reading,
            until: reading.saturating_add(1),
            offset: stretch.offset,
        }
    }

    /// The readings that count with this stretch's offset: each skip and each repetition belongs to the
    /// stretch before its transition.
    fn readings_of(&mut self, stretch: Stretch) -> Stretch {
        let from = match stretch.from {
            i64::MIN => i64::MIN,
            from => from.saturating_add(
                self.offsets
                    .at(from.saturating_sub(1))
                    .offset
                    .max(stretch.offset),
            ),
        };
        let until = match stretch.until {
            i64::MAX => i64::MAX,
            until => until.saturating_add(self.offsets.at(until).offset.max(stretch.offset)),
        };
        Stretch {
            from,
            until,
            offset: stretch.offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZONES: [&str; 8] = [
        "UTC",
        "Asia/Seoul",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "Europe/Dublin",
    ];

    fn zone(i: usize) -> TimeZone {
        TimeZone::get(ZONES[i]).expect("a zone")
    }

    proptest! {
        #[test]
        fn instants_read_as_jiff_reads_them(i in 0..ZONES.len(), around in prop::collection::vec(-5_000_000_000_000_000_i64..9_000_000_000_000_000, 1..50)) {
            let zone = zone(i);
            let zones = Zones::parse(&name(&zone), "UTC").expect("zones");
            let mut clock = zones.of_instants();
            for micros in around {
                let at = Timestamp::from_microsecond(micros).expect("in range");
                prop_assert_eq!(clock.local(micros), micros + i64::from(zone.to_offset(at).seconds()) * 1_000_000);
            }
        }

        #[test]
        fn readings_mean_the_instant_jiff_gives_them(i in 0..ZONES.len(), around in prop::collection::vec((0_usize..200, -100_000_i64..100_000), 1..50)) {
            let zone = zone(i);
            let changes: Vec<_> = zone.following(Timestamp::from_second(-3_000_000_000).expect("in range")).take(200).collect();
            let mut readings = Readings::new(&zone);
            for (change, seconds) in around {
                let base = changes.get(change).map_or(0, |change| change.timestamp().as_second());
                let reading = base + seconds;
                let civil = TimeZone::UTC.to_datetime(Timestamp::from_second(reading).expect("in range"));
                let instant = zone.to_ambiguous_timestamp(civil).compatible().expect("an instant");
                prop_assert_eq!(readings.instant(reading * 1_000_000), instant.as_microsecond());
            }
        }
    }

    #[test]
    fn zones_are_named_and_read_back_and_differ_by_their_rules() {
        for name_of in ZONES {
            let zone = TimeZone::get(name_of).expect("a zone");
            assert_eq!(
                name(&Zones::parse(&name(&zone), "UTC").expect("zones").day_in),
                name_of
            );
        }
        assert_eq!(rules(&[&zone(1)]).len(), 16);
        assert_ne!(rules(&[&zone(1)]), rules(&[&zone(2)]));
        assert_eq!(
            Zones::parse("Asia/Soul", "UTC")
                .map(|_| ())
                .expect_err("no zone")
                .kind(),
            Kind::Config
        );
    }

    #[test]
    fn times_beyond_the_calendar_take_the_nearest_offset() {
        let zones = Zones::parse("Asia/Seoul", "UTC").expect("zones");
        let mut clock = zones.of_instants();
        assert_eq!(clock.local(i64::MAX), i64::MAX);
        assert_eq!(
            clock.local(300_000_000_000_000_000),
            300_000_000_000_000_000 + 9 * 3_600_000_000
        );
        assert!(clock.local(i64::MIN) < i64::MIN + 86_400_000_000);
    }
}

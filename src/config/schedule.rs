//! Cron expressions: exactly five fields, and the time zone they are meant in.

use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::units::time_zone;
use super::{Schedule, TableSettings};
use crate::error::{Error, Kind, Result};

const FORM: &str = "write minute, hour, day, month, weekday and, if it is not UTC, a time zone: `30 2 * * * Asia/Seoul`";

/// The fields, and what may stand in each.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12 or JAN to DEC"),
    ("weekday", "0 to 7 or SUN to SAT"),
];

impl Schedule {
    /// Reads `30 2 * * * Asia/Seoul`; without a zone, UTC. The message is the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (fields, zone) = match words.as_slice() {
            fields @ [_, _, _, _, _] => (fields, TimeZone::UTC),
            [.., last] if words.len() == 6 && !last.starts_with(char::is_alphabetic) => {
                return Err(format!("has six fields, and there are no seconds; {FORM}"));
            }
            [fields @ .., zone] if words.len() == 6 => {
                let zone = time_zone(zone).map_err(|why| format!("ends in what {why}"))?;
                (fields, zone)
            }
            [_] => return Err(format!("has one field; {FORM}")),
            _ => return Err(format!("has {} fields; {FORM}", words.len())),
        };
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(&fields.join(" ")).map_err(|error| {
            let wrong = FIELDS.iter().zip(fields).enumerate().find(|(at, (_, field))| {
                let mut alone = ["*"; 5];
                alone[*at] = field;
                parser.parse(&alone.join(" ")).is_err()
            });
            match wrong {
                Some((_, ((name, range), field))) => format!(
                    "is no cron expression: its {name} is `{field}`; allowed are {range}, `*`, `a-b`, `a,b` and `*/n`"
                ),
                None => format!("is no cron expression ({})", plain(&error.to_string())),
            }
        })?;
        let schedule = Schedule {
            text: words.join(" "),
            cron,
            zone,
        };
        if schedule.ever_comes() {
            Ok(schedule)
        } else {
            Err("names a day that never comes".to_owned())
        }
    }

    /// The first tick after a moment, in the schedule's zone.
    pub fn next_after(&self, moment: Timestamp) -> Result<Timestamp> {
        let local = moment.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&local, false);
        next.map(|next| next.timestamp()).map_err(|error| {
            let doing = format!("schedule `{}` has no next tick", self.text);
            Error::new(Kind::Config, doing).because(error)
        })
    }

    /// Some ticks after a moment, in their order, as clocks of the schedule's zone show them.
    pub fn ticks_after(&self, moment: Timestamp, count: usize) -> Result<Vec<jiff::Zoned>> {
        let mut ticks = Vec::new();
        let mut at = moment;
        for _ in 0..count {
            at = self.next_after(at)?;
            ticks.push(at.to_zoned(self.zone.clone()));
        }
        Ok(ticks)
    }

    /// Whether any moment fits: the 31st of February does not.
    fn ever_comes(&self) -> bool {
        let from = jiff::civil::date(2026, 1, 1).at(0, 0, 0, 0);
        from.to_zoned(self.zone.clone())
            .is_ok_and(|from| self.cron.find_next_occurrence(&from, true).is_ok())
    }
}

/// Another's message in this house's spelling.
fn plain(message: &str) -> String {
    message.trim_end_matches('.').to_lowercase()
}

impl TableSettings {
    /// When a load is due that follows one which began at `began`; `None` where nothing says so.
    pub fn load_after(&self, began: Timestamp) -> Result<Option<Timestamp>> {
        match (&self.schedule, self.every) {
            (Some(schedule), _) => schedule.next_after(began).map(Some),
            (None, Some(every)) => Ok(began.checked_add(every).ok()),
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_five_fields_and_a_zone() {
        let schedule = Schedule::parse("30 2 * * *  Asia/Seoul").unwrap();
        assert_eq!(schedule.text, "30 2 * * * Asia/Seoul");
        assert_eq!(schedule.zone.iana_name(), Some("Asia/Seoul"));
        let noon = jiff::civil::date(2026, 11, 20).at(12, 0, 0, 0);
        let noon = noon.to_zoned(schedule.zone.clone()).unwrap();
        let next = schedule.cron.find_next_occurrence(&noon, false).unwrap();
        assert_eq!(next.to_string(), "2026-11-21T02:30:00+09:00[Asia/Seoul]");
        assert_eq!(Schedule::parse("0 5 * * 1").unwrap().zone, TimeZone::UTC);
    }

    #[test]
    fn a_night_that_an_hour_is_taken_from_or_given_to_has_its_ticks_all_the_same() {
        let ticks = |from: &str| {
            let schedule = Schedule::parse("30 2 * * * Europe/Berlin").unwrap();
            let ticks = schedule.ticks_after(from.parse().unwrap(), 3).unwrap();
            let shown = ticks
                .iter()
                .map(|tick| tick.strftime("%F %H:%M %:z").to_string());
            shown.collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(ticks("2026-03-27T12:00:00Z"), @r"
        2026-03-28 02:30 +01:00
        2026-03-29 03:00 +02:00
        2026-03-30 02:30 +02:00
        ");
        insta::assert_snapshot!(ticks("2026-10-23T12:00:00Z"), @r"
        2026-10-24 02:30 +02:00
        2026-10-25 02:30 +02:00
        2026-10-26 02:30 +01:00
        ");
    }

    #[test]
    fn anything_else_is_refused_with_the_form() {
        for (wrong, why) in [
            ("", "has 0 fields"),
            ("@daily", "has one field"),
            ("30 2 * *", "has 4 fields"),
            ("0 30 2 * * *", "has six fields"),
            ("30 2 * * * Asia/Soul", "ends in what is no time zone"),
            ("61 2 * * *", "is no cron expression"),
            ("0 0 31 2 *", "names a day that never comes"),
        ] {
            let message = Schedule::parse(wrong).unwrap_err();
            assert!(message.starts_with(why), "{wrong}: {message}");
        }
    }
}

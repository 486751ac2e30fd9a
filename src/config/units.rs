//! Values with units, numbers and words. A refusal is the rest of a sentence that begins with the value, so
//! that the value itself is shown by the caller, or not at all.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::nearest::nearest;
use crate::model::TopicName;

/// `250ms`, `5s`, `10m`, `2h`, `7d`; longer than nothing.
pub fn duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "write a whole number with its unit, e.g. `250ms`, `5s`, `10m`, `2h`, `7d`";
    let (number, unit) = number_and_unit(text);
    let milliseconds: u64 = match unit {
        _ if number.is_empty() => return Err(format!("is no duration; {FORM}")),
        "" => return Err(format!("has no unit; {FORM}")),
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("is no duration; {FORM}")),
    };
    let duration = number.parse::<u64>().ok();
    match duration.and_then(|number| number.checked_mul(milliseconds)) {
        Some(0) => Err("is no time at all; it must be longer than zero".to_owned()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        None => Err("is too long".to_owned()),
    }
}

/// `256MiB`, `1GB`: bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const FORM: &str = "write a whole number with its unit, e.g. `256MiB`, `1GB`";
    let (number, unit) = number_and_unit(text);
    let bytes: u64 = match unit {
        _ if number.is_empty() => return Err(format!("is no size; {FORM}")),
        "" => return Err(format!("has no unit; {FORM}")),
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(format!("is no size; {FORM}")),
    };
    let number = number.parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(bytes))
        .ok_or_else(|| "is too large".to_owned())
}

/// A size that is at least `least`, which is written as one itself.
pub(super) fn size_of_at_least(text: &str, least: &str) -> Result<u64, String> {
    match size(text)? {
        bytes if bytes < size(least)? => Err(format!("is too small; the least is `{least}`")),
        bytes => Ok(bytes),
    }
}

fn number_and_unit(text: &str) -> (&str, &str) {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (text.strip_suffix(unit).unwrap_or_default(), unit)
}

/// A whole number within `range`.
pub(super) fn number(text: &str, range: RangeInclusive<i64>) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ if *range.end() == i64::MAX => Err(format!(
            "is not a whole number of at least {}",
            range.start()
        )),
        _ => Err(format!(
            "is not a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

/// `true` or `false`; YAML's other spellings are no booleans here.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("is neither `true` nor `false`".to_owned()),
    }
}

/// One of the words in `choices`.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, meaning)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*meaning);
    }
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    let allowed = words.join(", ");
    Err(match nearest(text, words) {
        Some(word) => format!("is not known; did you mean `{word}`? allowed are {allowed}"),
        None => format!("is not known; allowed are {allowed}"),
    })
}

/// `[A-Za-z0-9_-]+`: the names of pipelines, workers and sources.
pub(super) fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !text.is_empty() && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("is no name; it may hold letters, digits, `_` and `-` only".to_owned())
    }
}

/// Any text but none.
pub(super) fn some_text(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("is empty; write one or remove the key".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// An IANA time zone: abbreviations and offsets say nothing about daylight saving.
pub(super) fn time_zone(text: &str) -> Result<TimeZone, String> {
    if let Ok(zone) = TimeZone::get(text) {
        return Ok(zone);
    }
    let known: Vec<String> = jiff::tz::db()
        .available()
        .map(|name| name.to_string())
        .collect();
    let known = known.iter().map(String::as_str);
    Err(
        match nearest(text, known.filter(|name| name.contains('/'))) {
            Some(name) => format!("is no time zone; did you mean `{name}`?"),
            None => "is no time zone; write an IANA name, e.g. `Asia/Seoul` or `UTC`".to_owned(),
        },
    )
}

/// What may begin the name of a topic.
pub(super) fn topic_prefix(text: &str) -> Result<String, String> {
    match TopicName::new(format!("{text}x")) {
        Ok(_) => Ok(text.to_owned()),
        Err(why) => Err(format!("`{text}` cannot begin a topic's name: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_whole_number_and_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in [
            "",
            "5",
            "s",
            "5 s",
            "1.5h",
            "5sec",
            "-5s",
            "0s",
            "99999999999999999d",
            "５s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_tell_powers_of_two_from_powers_of_ten() {
        assert_eq!(size("256MiB"), Ok(268_435_456));
        assert_eq!(size("1GB"), Ok(1_000_000_000));
        for wrong in ["", "256", "256M", "256 MiB", "MiB", "99999999999TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_zone_is_an_iana_name() {
        assert_eq!(
            time_zone("Asia/Seoul").unwrap().iana_name(),
            Some("Asia/Seoul")
        );
        assert_eq!(time_zone("UTC").unwrap().iana_name(), Some("UTC"));
        assert!(time_zone("Asia/Soul").unwrap_err().contains("`Asia/Seoul`"));
        for wrong in ["", "KST", "+09:00", "Mars/Base"] {
            assert!(time_zone(wrong).is_err(), "{wrong}");
        }
    }
}

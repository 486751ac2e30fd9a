//! Whether a topic that is there already serves. Pure.

use super::{LARGEST_MESSAGE, TopicFacts};
use crate::error::{Code, Error, Kind};

/// A setting that does not serve: its name, its value, and why.
pub type Unfit = (&'static str, String, &'static str);

/// The first setting of a data topic under which a row could be lost.
pub fn data_topic_problem(facts: &TopicFacts) -> Option<Unfit> {
    let setting = |name: &str| facts.settings.get(name).cloned().unwrap_or_default();
    let policy = setting("cleanup.policy");
    if policy != "delete" {
        let why = "compaction would make holes in the sequence of records";
        return Some(("cleanup.policy", policy, why));
    }
    let timestamps = setting("message.timestamp.type");
    if timestamps != "LogAppendTime" {
        let why = "it must be LogAppendTime, or retention goes by foreign clocks";
        return Some(("message.timestamp.type", timestamps, why));
    }
    let largest = setting("max.message.bytes");
    match largest.parse::<usize>() {
        Ok(bytes) if bytes >= LARGEST_MESSAGE => None,
        _ => Some((
            "max.message.bytes",
            largest,
            "it must be at least 16777216, the largest record",
        )),
    }
}

/// The setting of one of the pipeline's own topics under which what it remembers could be lost.
pub fn compacted_topic_problem(facts: &TopicFacts) -> Option<Unfit> {
    match facts.settings.get("cleanup.policy").map(String::as_str) {
        Some("compact") => None,
        other => Some((
            "cleanup.policy",
            other.unwrap_or("?").to_owned(),
            "it must be compact and nothing else, or its records vanish",
        )),
    }
}

/// This user has no right to write to a topic.
pub fn may_not_write(topic: &str) -> Error {
    Error::new(
        Kind::Permission,
        format!("topic `{topic}` may not be written: this user has no right to Write on it"),
    )
    .code(Code::TOPIC_REFUSED)
    .hint(format!(
        "`kafka-acls --add --allow-principal User:NAME --topic {topic} --operation Write`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(changes: &[(&str, &str)]) -> TopicFacts {
        let mut facts = TopicFacts {
            partitions: 3,
            ..TopicFacts::default()
        };
        let good = [
            ("cleanup.policy", "delete"),
            ("message.timestamp.type", "LogAppendTime"),
            ("max.message.bytes", "16777216"),
        ];
        for (name, value) in good.iter().chain(changes) {
            facts.settings.insert((*name).into(), (*value).into());
        }
        facts
    }

    #[test]
    fn a_topic_whose_settings_could_lose_a_row_is_refused() {
        assert_eq!(data_topic_problem(&facts(&[])), None);
        for (name, value) in [
            ("cleanup.policy", "compact"),
            ("cleanup.policy", "compact,delete"),
            ("message.timestamp.type", "CreateTime"),
            ("max.message.bytes", "1048588"),
        ] {
            let problem = data_topic_problem(&facts(&[(name, value)]));
            assert_eq!(problem.map(|p| p.0), Some(name));
        }
    }

    #[test]
    fn a_topic_that_remembers_is_compacted_and_nothing_else() {
        let compacted = |policy| compacted_topic_problem(&facts(&[("cleanup.policy", policy)]));
        assert_eq!(compacted("compact"), None);
        assert!(compacted("delete").is_some());
        assert!(compacted("compact,delete").is_some());
    }
}

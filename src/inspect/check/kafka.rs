//! What is said of Kafka: brokers, rights, a transaction, and topics that are there already.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::super::broker::{Broker, try_transaction};
use super::super::plan::topics_of;
use super::super::words::{duration, number};
use super::{Finding, Findings, Level};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::source::Chosen;
use crate::state::PipelineNames;
use crate::topic::{Admin, TopicFacts, compacted_topic_problem, data_topic_problem, may_not_write};

/// What can be said without knowing the tables, and the broker, if it answers.
pub(super) async fn about_brokers(
    kafka: &KafkaSettings,
    names: &PipelineNames,
    client_id: &str,
    end: Instant,
) -> (Option<Broker>, Vec<Finding>) {
    let mut reached = None;
    // Opened beside the rest: it takes the longest, and a broker that is silent is heard of sooner elsewhere.
    let (settings, id, own) = (kafka.clone(), client_id.to_owned(), names.clone());
    let transaction = tokio::spawn(async move { try_transaction(&settings, &id, &own).await });
    let look = async |findings: &mut Findings| {
        let broker = match Broker::reach(kafka, client_id).await {
            Ok(broker) => broker,
            Err(error) => return findings.error(Level::Fail, "brokers", &error),
        };
        let cluster = &broker.cluster;
        findings.ok("brokers", format!("{}, cluster {cluster}", kafka.brokers));
        let broker = reached.insert(broker);
        let (auto, own, groups, transaction) = tokio::join!(
            broker.makes_topics_by_itself(),
            own_topics(broker, names),
            may_join(broker, names),
            transaction,
        );
        let transaction = transaction.unwrap_or_else(|error| {
            Err(Error::new(Kind::Bug, "opening a transaction").because(error))
        });
        match transaction {
            Ok(()) => findings.ok("transactions", "one was opened and ended"),
            // Somebody else checks at the same time: it was open, then.
            Err(error) if error.kind() == Kind::TryLater => {
                findings.ok("transactions", "one was opened")
            }
            Err(error) => findings.refusal("transactions", error, kafka, names, None),
        }
        match groups {
            Ok(()) => findings.ok("groups", "this user may read and commit offsets"),
            Err(error) => findings.refusal("groups", error, kafka, names, None),
        }
        about_auto_creation(findings, auto);
        match own {
            Ok(own) => about_own_topics(findings, kafka, &own),
            Err((topic, error)) => {
                findings.refusal("own topics", error, kafka, names, Some(&topic))
            }
        }
    };
    let findings = Findings::of("kafka").until(end, look).await;
    (reached, findings)
}

impl Findings {
    /// A failure; where a right is missing, the command that gives it, with this pipeline's names in it.
    fn refusal(
        &mut self,
        name: &str,
        error: Error,
        kafka: &KafkaSettings,
        names: &PipelineNames,
        topic: Option<&str>,
    ) {
        let next = error.next_step();
        let next = next.map(|next| filled(next, kafka, names, topic));
        self.error_with_next(Level::Fail, name, &error, next);
    }
}

/// The command of a hint, with this pipeline's names in it; the user's may be a secret.
fn filled(hint: &str, kafka: &KafkaSettings, names: &PipelineNames, topic: Option<&str>) -> String {
    let mut text = hint.replace(
        "kafka-acls --add",
        &format!("kafka-acls --bootstrap-server {} --add", kafka.brokers),
    );
    if let Some(topic) = topic {
        text = text.replace("--topic TOPIC", &format!("--topic {topic}"));
    }
    let prefix = names.sink_group.trim_end_matches("sink");
    text.replace("cdc.PIPELINE.", prefix)
}

fn about_auto_creation(findings: &mut Findings, auto: Result<bool>) {
    match auto {
        Ok(true) => findings.add(
            Level::Warn,
            "auto-creation",
            "the broker makes topics by itself: a deleted one would come back with settings that lose rows",
            Some("set `auto.create.topics.enable=false` on the brokers".to_owned()),
        ),
        Ok(false) => findings.ok("auto-creation", "off"),
        Err(error) => findings.error(Level::Warn, "auto-creation", &error),
    }
}

/// Whether this user may take part in the sink's group: its offsets are asked for.
async fn may_join(broker: &Broker, names: &PipelineNames) -> Result<()> {
    let group = names.sink_group.clone();
    let question = move |admin: &Admin| admin.committed(&group, &[]);
    match broker.ask("asking for a group's offsets", question).await {
        Err(error) if error.kind() == Kind::Permission => Err(error),
        // A group that is not there has no offsets.
        _ => Ok(()),
    }
}

/// The pipeline's own topics, each asked for by its name: what may not be seen is refused, not missing.
async fn own_topics(
    broker: &Broker,
    names: &PipelineNames,
) -> Result<Vec<(String, Option<TopicFacts>)>, (String, Error)> {
    let own = [&names.state_topic, &names.schemas_topic, &names.loads_topic];
    let own = own.map(|topic| async move {
        match broker.topic(topic).await {
            Ok(facts) => Ok((topic.clone(), facts)),
            Err(error) => Err((topic.clone(), error)),
        }
    });
    futures_util::future::try_join_all(own).await
}

fn about_own_topics(
    findings: &mut Findings,
    kafka: &KafkaSettings,
    own: &[(String, Option<TopicFacts>)],
) {
    let mut sound = 0;
    let there = own
        .iter()
        .filter_map(|(topic, facts)| Some((topic, facts.as_ref()?)));
    for (topic, facts) in there.clone() {
        if let Some((setting, value, why)) = compacted_topic_problem(facts) {
            let text = format!("{setting}={value}: {why}");
            let next = alter(kafka, topic, setting, "compact");
            findings.add(Level::Fail, topic, text, Some(next));
        } else if topic.starts_with("_cdc_state.")
            && facts.partitions != PipelineNames::STATE_PARTITIONS
        {
            let (found, wanted) = (facts.partitions, PipelineNames::STATE_PARTITIONS);
            let next =
                "delete the topic if the pipeline is new, else make it anew with the old number";
            let text = format!("it has {found} partitions, not {wanted}");
            findings.add(Level::Fail, topic, text, Some(next.to_owned()));
        } else {
            sound += 1;
        }
    }
    if there.count() == 0 {
        findings.ok("own topics", "not there yet: the first run makes them");
    } else if sound > 0 {
        let text = format!("{sound} of {} there, compacted", own.len());
        findings.ok("own topics", text);
    }
}

/// The command that alters a topic's setting.
fn alter(kafka: &KafkaSettings, topic: &str, setting: &str, value: &str) -> String {
    format!(
        "kafka-configs --bootstrap-server {} --entity-type topics --entity-name {topic} --alter --add-config {setting}={value}",
        kafka.brokers
    )
}

/// The tables' topics.
pub(super) async fn about_data_topics(
    kafka: &KafkaSettings,
    broker: &Broker,
    names: &PipelineNames,
    chosen: &[Chosen],
    end: Instant,
) -> Vec<Finding> {
    let wanted: Vec<String> = chosen.iter().flat_map(topics_of).collect();
    let look = async |findings: &mut Findings| {
        let there = match broker.topics(wanted.clone()).await {
            Ok(there) => there,
            Err(error) => return findings.error(Level::Fail, "data topics", &error),
        };
        let all: Vec<String> = there.keys().cloned().collect();
        let allowed = match broker.may_write(all).await {
            Ok(allowed) => allowed,
            Err(error) => {
                findings.error(Level::Warn, "data topics", &error);
                BTreeMap::new()
            }
        };
        let mut sound = 0;
        for (topic, facts) in &there {
            let is_refused = allowed.get(topic) == Some(&false);
            if is_refused {
                findings.refusal(topic, may_not_write(topic), kafka, names, None);
            }
            match problem(kafka, topic, facts) {
                None if is_refused => {}
                None => sound += 1,
                Some((level, text, next)) => findings.add(level, topic, text, Some(next)),
            }
        }
        // All begin alike, and rights go by how they begin: one of them speaks for the others.
        let missing = wanted.iter().find(|topic| !there.contains_key(*topic));
        if let Some(topic) = missing
            && let Err(error) = broker.topic(topic).await
        {
            findings.error(Level::Fail, topic, &error);
        }
        let text = match wanted.len() - there.len() {
            0 => format!("{} there and fit", number(sound)),
            missing if there.is_empty() => {
                format!("{} to be made by the first run", number(missing))
            }
            missing => format!(
                "{} there and fit, {} to be made",
                number(sound),
                number(missing)
            ),
        };
        findings.ok("data topics", text);
    };
    if wanted.is_empty() {
        return Vec::new();
    }
    Findings::of("kafka").until(end, look).await
}

/// What is wrong with a topic that is there, and the command that mends it.
fn problem(
    kafka: &KafkaSettings,
    topic: &str,
    facts: &TopicFacts,
) -> Option<(Level, String, String)> {
    if let Some((setting, value, why)) = data_topic_problem(facts) {
        let right = match setting {
            "cleanup.policy" => "delete",
            "message.timestamp.type" => "LogAppendTime",
            _ => "16777216",
        };
        let text = format!("{setting}={value}: {why}");
        return Some((Level::Fail, text, alter(kafka, topic, setting, right)));
    }
    let kept: i64 = facts.settings.get("retention.ms")?.parse().ok()?;
    let wanted = i64::try_from(kafka.retention.as_millis()).ok()?;
    if kept < 0 || kept >= wanted {
        return None;
    }
    let text = format!(
        "its records are kept for {}, not for {} as the configuration says: a sink that is down for longer loses them",
        duration(Duration::from_millis(kept.unsigned_abs())),
        duration(kafka.retention),
    );
    let next = alter(kafka, topic, "retention.ms", &wanted.to_string());
    Some((Level::Warn, text, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka() -> KafkaSettings {
        KafkaSettings {
            brokers: "kafka-1:9093".into(),
            topic_prefix: "retail.".into(),
            partitions: 3,
            replication: -1,
            retention: Duration::from_secs(7 * 86_400),
            client: BTreeMap::new(),
        }
    }

    fn facts(changes: &[(&str, &str)]) -> TopicFacts {
        let good = [
            ("cleanup.policy", "delete"),
            ("message.timestamp.type", "LogAppendTime"),
            ("max.message.bytes", "16777216"),
            ("retention.ms", "604800000"),
        ];
        let settings = good.iter().chain(changes);
        TopicFacts {
            replicas: Vec::new(),
            partitions: 3,
            settings: settings
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn what_is_wrong_with_a_topic_comes_with_the_command_that_mends_it() {
        let said =
            |changes: &[(&str, &str)]| match problem(&kafka(), "retail.orders", &facts(changes)) {
                Some((level, text, next)) => format!("{level:?}: {text}\n{next}"),
                None => "fine".to_owned(),
            };
        let all = [
            said(&[]),
            said(&[("cleanup.policy", "compact")]),
            said(&[("max.message.bytes", "1048588")]),
            said(&[("retention.ms", "3600000")]),
            said(&[("retention.ms", "-1")]),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        fine
        Fail: cleanup.policy=compact: compaction would make holes in the sequence of records
        kafka-configs --bootstrap-server kafka-1:9093 --entity-type topics --entity-name retail.orders --alter --add-config cleanup.policy=delete
        Fail: max.message.bytes=1048588: it must be at least 16777216, the largest record
        kafka-configs --bootstrap-server kafka-1:9093 --entity-type topics --entity-name retail.orders --alter --add-config max.message.bytes=16777216
        Warn: its records are kept for 1 h, not for 7 d as the configuration says: a sink that is down for longer loses them
        kafka-configs --bootstrap-server kafka-1:9093 --entity-type topics --entity-name retail.orders --alter --add-config retention.ms=604800000
        fine
        ");
    }

    #[test]
    fn the_command_that_gives_a_right_has_this_pipelines_names() {
        let kafka = kafka();
        let names = PipelineNames::new("retail");
        let hint = "allow it: `kafka-acls --add --allow-principal User:NAME --group cdc.PIPELINE. --resource-pattern-type prefixed --operation Read`";
        insta::assert_snapshot!(filled(hint, &kafka, &names, None), @"allow it: `kafka-acls --bootstrap-server kafka-1:9093 --add --allow-principal User:NAME --group cdc.retail. --resource-pattern-type prefixed --operation Read`");
        insta::assert_snapshot!(filled("`kafka-acls --add --allow-principal User:NAME --topic TOPIC --operation Read`", &kafka, &names, Some("_cdc_state.retail")), @"`kafka-acls --bootstrap-server kafka-1:9093 --add --allow-principal User:NAME --topic _cdc_state.retail --operation Read`");
    }
}

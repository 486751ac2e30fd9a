//! `check`: whether everything a pipeline needs is there and lets us in, and what to do where it does not.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::broker::{Broker, try_transaction};
use super::database::{Examined, Found, Look, look_at};
use super::patience::{PATIENCE, within};
use super::plan::topics_of;
use super::words::number;
use crate::config::{KafkaSettings, LakeSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::lake::{Store, open_store};
use crate::model::{GuardClass, Mode};
use crate::source::{Chosen, collisions};
use crate::state::PipelineNames;
use crate::topic::{compacted_topic_problem, data_topic_problem};

/// Clocks further apart than this are remarked upon: ages and schedules go by ours.
const CLOCKS_APART_MS: i64 = 5_000;

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `kafka`, `lake`, or a source's name.
    pub part: String,
    pub name: String,
    pub level: Level,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The findings about one part.
struct Findings {
    part: String,
    list: Vec<Finding>,
}

impl Findings {
    fn of(part: &str) -> Self {
        Findings {
            part: part.to_owned(),
            list: Vec::new(),
        }
    }

    fn add(&mut self, level: Level, name: &str, found: impl Into<String>, next: Option<String>) {
        self.list.push(Finding {
            part: self.part.clone(),
            name: name.to_owned(),
            level,
            found: found.into(),
            next,
        });
    }

    fn ok(&mut self, name: &str, found: impl Into<String>) {
        self.add(Level::Ok, name, found, None);
    }

    fn error(&mut self, level: Level, name: &str, error: &Error) {
        let found = without_name(error, &self.part, name);
        self.add(level, name, found, error.next_step().map(str::to_owned));
    }
}

/// The error's text without what stands beside it already: the part, or the name within it.
fn without_name(error: &Error, part: &str, name: &str) -> String {
    let text = error.to_string();
    let full = format!("{part}.{name}");
    let stands_there = |about: &str| about == part || about == name || about == full;
    match text.split_once(": ") {
        Some((about, rest)) if stands_there(about) => rest.to_owned(),
        _ => text,
    }
}

/// Looks at everything side by side. A part that is silent is a finding like any other.
pub async fn check(settings: &Settings, kafka: &KafkaSettings, client_id: &str) -> Vec<Finding> {
    let names = PipelineNames::new(&settings.pipeline);
    let looks = settings
        .sources
        .iter()
        .map(|source| look_at(source, &kafka.topic_prefix, &settings.lake));
    let (looks, broker, transaction, store) = tokio::join!(
        join_all(looks),
        Broker::reach(kafka, client_id),
        try_transaction(kafka, client_id, &names),
        within(
            PATIENCE,
            "opening the lake",
            open_store(&settings.lake.place)
        ),
    );
    let chosen: Vec<Chosen> = looks
        .iter()
        .flat_map(|look| look.tables.iter().map(|table| table.chosen.clone()))
        .collect();
    let cluster = broker.as_ref().ok().map(|broker| broker.cluster.clone());
    let (kafka_findings, lake_findings) = tokio::join!(
        about_kafka(kafka, &names, broker, transaction, &chosen),
        about_lake(&settings.lake, store, cluster, &settings.pipeline),
    );
    let collisions = collisions(&chosen, &kafka.topic_prefix);
    let mut findings = Vec::new();
    for look in &looks {
        findings.extend(about_source(look, &collisions));
    }
    findings.extend(kafka_findings);
    findings.extend(lake_findings);
    findings
}

fn about_source(look: &Look, collisions: &[(crate::model::TableName, Error)]) -> Vec<Finding> {
    let mut findings = Findings::of(&look.source);
    let login = match &look.login {
        Ok(login) => login,
        Err(error) => {
            findings.error(Level::Fail, "login", error);
            return findings.list;
        }
    };
    findings.ok("login", format!("{}, {} ms", login.version, login.took_ms));
    let apart = login.clock_ahead_ms;
    if apart.abs() > CLOCKS_APART_MS {
        let direction = if apart > 0 { "ahead of" } else { "behind" };
        findings.add(
            Level::Warn,
            "clock",
            format!(
                "the server's is {} s {direction} this machine's",
                apart.abs() / 1000
            ),
            Some(
                "set both by NTP: ages in `status` and schedules go by this machine's clock"
                    .to_owned(),
            ),
        );
    }
    for problem in &look.problems {
        findings.error(Level::Fail, "tables", problem);
    }
    for table in &look.tables {
        about_table(&mut findings, table);
        let own = collisions
            .iter()
            .filter(|(name, _)| *name == table.chosen.name);
        own.for_each(|(name, error)| findings.error(Level::Fail, &name.short(), error));
    }
    findings.list
}

fn about_table(findings: &mut Findings, table: &Examined) {
    let name = table.chosen.name.short();
    let found = match &table.found {
        Ok(found) => found,
        Err(error) => return findings.error(Level::Fail, &name, error),
    };
    findings.ok(&name, in_one_line(found));
    match &found.guard {
        Ok(Some(GuardClass::Assumed(why))) => {
            let text = format!("guard: assumed: no row is missed as long as {why}");
            findings.add(Level::Warn, &name, text, None);
        }
        Ok(Some(GuardClass::Unsafe(why))) => {
            let level = match table.chosen.settings.allow_unsafe {
                true => Level::Warn,
                false => Level::Fail,
            };
            let next =
                "mend it, read the table in mode `bulk`, or write `allow_unsafe: true` below it";
            let text = format!("guard: unsafe: rows could be missed without a trace: {why}");
            findings.add(level, &name, text, Some(next.to_owned()));
        }
        Ok(Some(GuardClass::Proven) | None) => {}
        Err(error) => findings.error(Level::Fail, &name, error),
    }
    for advice in &found.advice {
        findings.add(Level::Warn, &name, &advice.text, advice.next.clone());
    }
}

/// `timestamp+incrementing by updated_at, order_id; guard: proven; about 4,000 rows`.
fn in_one_line(found: &Found) -> String {
    let readable = &found.readable;
    let columns = [readable.columns.timestamp, readable.columns.incrementing];
    let columns = columns.into_iter().flatten();
    let columns: Vec<&str> = columns
        .filter_map(|i| readable.table.schema.columns.get(i))
        .map(|column| column.name.as_str())
        .collect();
    let mut line = readable.mode.to_string();
    if readable.mode != Mode::Bulk {
        line.push_str(&format!(" by {}", columns.join(", ")));
    }
    if let Ok(Some(GuardClass::Proven)) = &found.guard {
        line.push_str("; guard: proven");
    }
    if let Some(rows) = readable.table.estimated_rows {
        line.push_str(&format!("; about {} rows", number(rows)));
    }
    line
}

async fn about_kafka(
    kafka: &KafkaSettings,
    names: &PipelineNames,
    broker: Result<Broker>,
    transaction: Result<()>,
    chosen: &[Chosen],
) -> Vec<Finding> {
    let mut findings = Findings::of("kafka");
    let broker = match broker {
        Ok(broker) => broker,
        Err(error) => {
            findings.error(Level::Fail, "brokers", &error);
            return findings.list;
        }
    };
    findings.ok(
        "brokers",
        format!("{}, cluster {}", kafka.brokers, broker.cluster),
    );
    match transaction {
        Ok(()) => findings.ok("transactions", "one was opened and ended"),
        // Somebody else checks at the same time: it was open, then.
        Err(error) if error.kind() == Kind::TryLater => {
            findings.ok("transactions", "one was opened")
        }
        Err(error) => findings.error(Level::Fail, "transactions", &error),
    }
    match broker.makes_topics_by_itself().await {
        Ok(true) => findings.add(
            Level::Warn,
            "auto-creation",
            "the broker makes topics by itself: a deleted one would come back with settings that lose rows",
            Some("set `auto.create.topics.enable=false` on the brokers".to_owned()),
        ),
        Ok(false) => {}
        Err(error) => findings.error(Level::Warn, "auto-creation", &error),
    }
    if let Err(error) = about_own_topics(&mut findings, &broker, names).await {
        findings.error(Level::Fail, "own topics", &error);
    }
    if let Err(error) = about_data_topics(&mut findings, &broker, chosen).await {
        findings.error(Level::Fail, "data topics", &error);
    }
    findings.list
}

async fn about_own_topics(
    findings: &mut Findings,
    broker: &Broker,
    names: &PipelineNames,
) -> Result<()> {
    let own = [&names.state_topic, &names.schemas_topic, &names.loads_topic];
    let there = broker.topics(own.map(Clone::clone).to_vec()).await?;
    let mut sound = 0;
    for topic in own {
        let Some(facts) = there.get(topic) else {
            continue;
        };
        if let Some((setting, value, why)) = compacted_topic_problem(facts) {
            let next = format!(
                "kafka-configs --alter --topic {topic} --add-config cleanup.policy=compact"
            );
            findings.add(
                Level::Fail,
                topic,
                format!("{setting}={value}: {why}"),
                Some(next),
            );
        } else if *topic == names.state_topic && facts.partitions != PipelineNames::STATE_PARTITIONS
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
    if there.is_empty() {
        findings.ok("own topics", "not there yet: the first run makes them");
    } else if sound > 0 {
        findings.ok(
            "own topics",
            format!("{sound} of {} there, compacted", own.len()),
        );
    }
    Ok(())
}

async fn about_data_topics(
    findings: &mut Findings,
    broker: &Broker,
    chosen: &[Chosen],
) -> Result<()> {
    let wanted: Vec<String> = chosen.iter().flat_map(topics_of).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let missing = |there: usize| wanted.len() - there;
    let there = broker.topics(wanted.clone()).await?;
    let mut sound = 0;
    for (topic, facts) in &there {
        match data_topic_problem(facts) {
            None => sound += 1,
            Some((setting, value, why)) => {
                let next = format!(
                    "alter the topic's setting `{setting}`, or give the table another `topic:`"
                );
                findings.add(
                    Level::Fail,
                    topic,
                    format!("{setting}={value}: {why}"),
                    Some(next),
                );
            }
        }
    }
    let text = match missing(there.len()) {
        0 => format!("{sound} there and fit"),
        missing if there.is_empty() => format!("{missing} to be made by the first run"),
        missing => format!("{sound} there and fit, {missing} to be made"),
    };
    findings.ok("data topics", text);
    Ok(())
}

async fn about_lake(
    lake: &LakeSettings,
    store: Result<std::sync::Arc<dyn Store>>,
    cluster: Option<String>,
    pipeline: &str,
) -> Vec<Finding> {
    let mut findings = Findings::of("lake");
    let store = match store {
        Ok(store) => store,
        Err(error) => {
            let error = match error.next_step() {
                Some(_) => error,
                None => error
                    .hint("check `lake.url` and `lake.endpoint`, and that this machine reaches it"),
            };
            findings.error(Level::Fail, "store", &error);
            return findings.list;
        }
    };
    let zone = lake.day_in.iana_name().unwrap_or("UTC");
    let place = store.location("");
    findings.ok(
        "store",
        format!("{place} honours conditional writes; days are cut in {zone}"),
    );
    match within(PATIENCE, "reading whose lake it is", owner(store.as_ref())).await {
        Ok(None) => findings.ok(
            "owner",
            "nobody yet: the first run binds it to this cluster and pipeline",
        ),
        Ok(Some(owner)) => {
            let same_cluster = cluster.is_none_or(|cluster| cluster == owner.cluster);
            if owner.pipeline == pipeline && same_cluster {
                findings.ok("owner", format!("this pipeline, `{pipeline}`"));
            } else {
                findings.add(
                    Level::Fail,
                    "owner",
                    format!(
                        "it belongs to pipeline `{}` on Kafka cluster `{}`",
                        owner.pipeline, owner.cluster
                    ),
                    Some("give each pipeline a `lake.url` of its own".to_owned()),
                );
            }
        }
        Err(error) => findings.error(Level::Fail, "owner", &error),
    }
    findings.list
}

/// Whose lake it is: `_cdc/owner`.
#[derive(Deserialize)]
struct Owner {
    cluster: String,
    pipeline: String,
}

async fn owner(store: &dyn Store) -> Result<Option<Owner>> {
    let Some((text, _)) = store.get("_cdc/owner").await? else {
        return Ok(None);
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| Error::new(Kind::Data, "reading whose lake it is").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_beside_the_text_is_not_said_twice() {
        let error = Error::new(Kind::Config, "describing the table")
            .because("there is none")
            .about("ec.orders");
        assert_eq!(
            without_name(&error, "ec", "orders"),
            "describing the table: there is none"
        );
        assert_eq!(
            without_name(&error, "pos", "tables"),
            "ec.orders: describing the table: there is none"
        );
    }
}

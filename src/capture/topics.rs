//! The topics a pipeline needs: made where they are missing, checked where they are there.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::model::TopicName;
use crate::state::{Meta, PipelineNames, StateKey, encode};
use crate::topic::{
    Admin, Appender, TopicFacts, compacted_topic_problem, data_topic_config, data_topic_problem,
    may_not_write, state_topic_config, tables_topic_config,
};

/// How long a new topic may be without leaders.
const LEADERS: Duration = Duration::from_secs(10);
const LEADERS_PAUSE: Duration = Duration::from_millis(50);

/// Makes the pipeline's own topics, or checks those that are there.
///
/// Errors: `Config` if a topic has settings under which records could vanish, `Permission`, `Unavailable`.
pub async fn prepare_pipeline(
    admin: &Admin,
    kafka: &KafkaSettings,
    names: &PipelineNames,
    client_id: &str,
) -> Result<()> {
    let mut were_there = true;
    for topic in [&names.schemas_topic, &names.loads_topic] {
        if admin
            .create(topic, 1, kafka.replication, &tables_topic_config())
            .await?
        {
            were_there = false;
        } else {
            check_compacted(topic, &facts(admin, topic).await?)?;
        }
    }
    let topic = &names.state_topic;
    if were_there {
        refuse_lost_state(admin, names)?;
    }
    if admin
        .create(
            topic,
            PipelineNames::STATE_PARTITIONS,
            kafka.replication,
            &state_topic_config(),
        )
        .await?
    {
        wait_for_leaders(admin, topic, PipelineNames::STATE_PARTITIONS).await?;
    } else {
        check_state_topic(admin, names).await?;
    }
    begin_state_topic(admin, kafka, topic, client_id)
}

/// Schemas that were written without a state topic beside them: it was there, and what the tables remember was in it.
/// It is never made anew in silence.
fn refuse_lost_state(admin: &Admin, names: &PipelineNames) -> Result<()> {
    let (state, schemas) = (&names.state_topic, &names.schemas_topic);
    tokio::task::block_in_place(|| {
        let was_begun = || Ok::<_, Error>(admin.bounds(schemas, 0)?.1 > 0);
        match admin.partitions(state)?.is_none() && was_begun()? {
            true => Err(lost_state(state, "it is gone")),
            false => Ok(()),
        }
    })
}

/// What the tables remember is lost.
pub fn lost_state(state_topic: &str, what: &str) -> Error {
    Error::new(
        Kind::Config,
        format!("topic `{state_topic}` was deleted ({what}), and with it what the tables remember"),
    )
    .code(crate::error::Code::STATE_LOST)
    .hint("stop all workers of this pipeline, and see docs/protocol.md, \"When the state topic is lost\"")
}

/// Whether the state topic is still the one that was taken over: there, with its settings, and with all that it
/// held. `ends` are the ends seen so far, by partition; they move on.
pub async fn state_topic_is_the_same(
    admin: &Admin,
    names: &PipelineNames,
    ends: &mut BTreeMap<i32, i64>,
) -> Result<()> {
    let topic = &names.state_topic;
    if tokio::task::block_in_place(|| admin.partitions(topic))?.is_none() {
        return Err(lost_state(topic, "it is gone"));
    }
    check_state_topic(admin, names).await?;
    for (partition, seen) in ends {
        let (_, end) = tokio::task::block_in_place(|| admin.bounds(topic, *partition))?;
        if end < *seen {
            return Err(lost_state(topic, "another one has its name"));
        }
        *seen = end;
    }
    Ok(())
}

/// The state topic must be compacted and nothing else. A transactional producer makes a deleted topic anew,
/// with the broker's defaults and without a word, where the broker makes topics by itself: so this is looked
/// at again and again.
pub async fn check_state_topic(admin: &Admin, names: &PipelineNames) -> Result<()> {
    let topic = &names.state_topic;
    let facts = facts(admin, topic).await?;
    check_compacted(topic, &facts)?;
    if facts.partitions != PipelineNames::STATE_PARTITIONS {
        return Err(Error::new(
            Kind::Config,
            format!("topic `{topic}` has {} partitions, not {}", facts.partitions, PipelineNames::STATE_PARTITIONS),
        )
        .hint("a table's partition follows from that number: delete the topic if the pipeline is new, else make it anew with the old number"));
    }
    Ok(())
}

/// Writes the first record of each partition that has none: how many there are. Two workers that begin a
/// pipeline together may both write it.
fn begin_state_topic(
    admin: &Admin,
    kafka: &KafkaSettings,
    topic: &str,
    client_id: &str,
) -> Result<()> {
    let mut empty = Vec::new();
    for partition in 0..PipelineNames::STATE_PARTITIONS {
        if tokio::task::block_in_place(|| admin.bounds(topic, partition))?.1 == 0 {
            empty.push(partition);
        }
    }
    if empty.is_empty() {
        return Ok(());
    }
    let appender = Appender::open(kafka, client_id)?;
    let meta = encode(&Meta {
        partitions: PipelineNames::STATE_PARTITIONS,
    });
    let key = StateKey::Meta.to_string();
    empty
        .into_iter()
        .try_for_each(|partition| appender.append(topic, partition, key.as_bytes(), Some(&meta)))
}

fn check_compacted(topic: &str, facts: &TopicFacts) -> Result<()> {
    match compacted_topic_problem(facts) {
        None => Ok(()),
        Some((setting, found, why)) => Err(Error::new(
            Kind::Config,
            format!("topic `{topic}` has {setting}={found}: {why}"),
        )
        .hint(format!(
            "kafka-configs --alter --topic {topic} --add-config cleanup.policy=compact"
        ))),
    }
}

/// A table's topic was there, and is not.
pub fn log_is_gone(topic: &TopicName) -> Error {
    Error::new(
        Kind::Config,
        format!("topic `{topic}` is gone: it was deleted"),
    )
    .code(crate::error::Code::TOPIC_GONE)
    .hint(THE_WAY_BACK)
}

/// A topic takes no rows now, while others do.
pub fn takes_nothing(topic: &str, why: String) -> Error {
    Error::new(Kind::Unavailable, format!("writing to topic `{topic}`"))
        .code(crate::error::Code::TOPIC_TAKES_NOTHING)
        .because(why)
        .hint("see that every partition of the topic has a leader and `min.insync.replicas` in-sync replicas")
}

/// The log of a partition ends before what was written to it. Looking again would not help: what is refused leaves
/// its mark in the new log, which grows with it.
pub fn another_log(topic: &TopicName, partition: i32) -> Error {
    Error::new(
        Kind::Data,
        format!("topic `{topic}` was deleted and made anew: partition {partition} ends before what was written to it"),
    )
    .code(crate::error::Code::TOPIC_MADE_ANEW)
    .hint(THE_WAY_BACK)
}

/// What is left to do when a table's topic is lost.
const THE_WAY_BACK: &str = "rows of it that were not in the lake yet went with it; `cdc snapshot --again` with the table's name copies it anew";

/// Looks at the topic of a table that is remembered: it must be the one its rows were written to. `next` holds the
/// next sequence number of each partition, all below it committed. Blocking.
///
/// Errors: `TOPIC_GONE`, `TOPIC_MADE_ANEW`, `Permission`, `Unavailable`; also where the broker does not know the state
/// topic either: one that has just come back knows of no topic yet.
pub fn check_known_topic(
    admin: &Admin,
    topic: &TopicName,
    state_topic: &str,
    next: &[u64],
) -> Result<()> {
    let name = topic.as_str();
    let Some(partitions) = admin.partitions(name)? else {
        return Err(match admin.partitions(state_topic)? {
            Some(_) => log_is_gone(topic),
            None => Error::new(
                Kind::Unavailable,
                format!("the broker knows neither topic `{name}` nor `{state_topic}`"),
            ),
        });
    };
    let written = (0..).zip(next).filter(|(_, next)| **next > 1);
    let written: Vec<(i32, u64)> = written.map(|(at, next)| (at, *next)).collect();
    if let Some((at, _)) = written.iter().find(|(at, _)| *at >= partitions) {
        return Err(another_log(topic, *at));
    }
    let places: Vec<_> = written
        .iter()
        .map(|(at, _)| (name.to_owned(), *at))
        .collect();
    let there = BTreeMap::from([(name.to_owned(), partitions)]);
    let bounds = match admin.bounds_of(&places, &there) {
        Ok(bounds) => bounds,
        // One partition without a leader is enough. Nothing is committed into a log that was not compared.
        Err(error) => {
            tracing::debug!(%topic, %error, "the ends of its logs cannot be compared");
            return Ok(());
        }
    };
    for (place, (partition, next)) in places.iter().zip(written) {
        // Numbers begin at 1, and offsets at 0.
        if let Some((_, end)) = bounds.get(place)
            && end.unsigned_abs() + 1 < next
        {
            return Err(another_log(topic, partition));
        }
    }
    Ok(())
}

/// Makes a data topic, or checks the one that is there; returns its partition count.
pub async fn prepare_data_topic(
    admin: &Admin,
    kafka: &KafkaSettings,
    topic: &TopicName,
) -> Result<i32> {
    prepare(admin, kafka, topic, kafka.partitions).await
}

/// The same for the topic of a table's rejected rows. One partition: they are few, and stay in order.
pub async fn prepare_rejected_topic(
    admin: &Admin,
    kafka: &KafkaSettings,
    topic: &TopicName,
) -> Result<()> {
    prepare(admin, kafka, topic, 1).await.map(|_| ())
}

async fn prepare(
    admin: &Admin,
    kafka: &KafkaSettings,
    topic: &TopicName,
    partitions: i32,
) -> Result<i32> {
    let name = topic.as_str();
    if admin
        .create(
            name,
            partitions,
            kafka.replication,
            &data_topic_config(kafka),
        )
        .await?
    {
        tracing::info!(topic = name, partitions, "topic created");
        wait_for_leaders(admin, name, partitions).await?;
        check_write(admin, name)?;
        return Ok(partitions);
    }
    let facts = facts(admin, name).await?;
    match data_topic_problem(&facts) {
        None => {
            check_write(admin, name)?;
            check_replicas(name, &facts)?;
            Ok(facts.partitions)
        }
        Some((setting, found, why)) => Err(Error::new(
            Kind::Config,
            format!("topic `{name}` has {setting}={found}: {why}"),
        )
        .code(crate::error::Code::TOPIC_SETTING)
        .hint(format!(
            "alter the topic's setting `{setting}`, or give the table another `topic:`"
        ))),
    }
}

/// A topic that may not be written ends the transaction of every table that is in it. Most are found here, before
/// anything is sent.
fn check_write(admin: &Admin, topic: &str) -> Result<()> {
    match tokio::task::block_in_place(|| admin.may_write(topic))? {
        Some(false) => Err(may_not_write(topic)),
        Some(true) | None => Ok(()),
    }
}

/// A partition that takes no rows holds up the transaction of every table that is in it.
fn check_replicas(topic: &str, facts: &TopicFacts) -> Result<()> {
    let least = facts.settings.get("min.insync.replicas");
    let least = least.and_then(|least| least.parse().ok()).unwrap_or(1);
    for (partition, replicas) in facts.replicas.iter().enumerate() {
        // A broker asks for no more than there can be.
        let needed = replicas.in_all.clamp(1, least.max(1));
        if replicas.in_sync < needed {
            let now = replicas.in_sync;
            let why =
                format!("partition {partition} has {now} in-sync replicas, and needs {needed}");
            return Err(takes_nothing(topic, why));
        }
    }
    Ok(())
}

/// A topic is usable once each partition has a leader: some milliseconds after it was made.
async fn wait_for_leaders(admin: &Admin, topic: &str, partitions: i32) -> Result<()> {
    let deadline = std::time::Instant::now() + LEADERS;
    loop {
        // Asking for the topic first brings the client's own picture of it up to date.
        let led = tokio::task::block_in_place(|| {
            admin.partitions(topic)?;
            (0..partitions).try_for_each(|partition| admin.bounds(topic, partition).map(|_| ()))
        });
        match led {
            Err(error) if std::time::Instant::now() > deadline => return Err(error),
            Err(_) => tokio::time::sleep(LEADERS_PAUSE).await,
            Ok(()) => return Ok(()),
        }
    }
}

async fn facts(admin: &Admin, topic: &str) -> Result<TopicFacts> {
    admin.topic(topic).await?.ok_or_else(|| {
        Error::new(
            Kind::Unavailable,
            format!("topic `{topic}` is not there yet"),
        )
    })
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    use super::*;
    use crate::error::Code;
    use crate::topic::Replicas;

    const STATE: &str = "_cdc_state.retail";
    const ORDERS: &str = "retail.orders";

    /// By which code the look at `orders` fails.
    fn looked(
        cluster: &MockCluster<'_, impl rdkafka::ClientContext>,
        next: &[u64],
    ) -> Option<Code> {
        let kafka = KafkaSettings {
            brokers: cluster.bootstrap_servers(),
            topic_prefix: String::new(),
            partitions: 1,
            replication: 1,
            retention: Duration::from_secs(60),
            client: BTreeMap::new(),
        };
        let admin = Admin::new(&kafka, "test").expect("a client");
        let orders = TopicName::new(ORDERS).expect("a name");
        let looked = check_known_topic(&admin, &orders, STATE, next);
        looked.err().map(|error| error.stable_code())
    }

    #[test]
    fn a_topic_is_gone_only_where_the_broker_knows_the_pipeline() {
        let cluster = MockCluster::new(1).expect("a cluster");
        let unknown = looked(&cluster, &[2]).expect("no answer");
        assert_eq!(unknown.kind(), Kind::Unavailable);
        cluster.create_topic(STATE, 1, 1).expect("a topic");
        assert_eq!(looked(&cluster, &[2]), Some(Code::TOPIC_GONE));
    }

    #[test]
    fn a_log_is_another_one_where_it_cannot_hold_what_was_committed() {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic(ORDERS, 1, 1).expect("a topic");
        assert_eq!(looked(&cluster, &[1]), None);
        assert_eq!(looked(&cluster, &[2]), Some(Code::TOPIC_MADE_ANEW));
        assert_eq!(looked(&cluster, &[1, 2]), Some(Code::TOPIC_MADE_ANEW));

        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        let producer: BaseProducer = config.create().expect("a producer");
        let record = BaseRecord::<(), _>::to(ORDERS).payload("{}");
        producer.send(record).map_err(|(e, _)| e).expect("taken");
        producer.flush(Duration::from_secs(10)).expect("written");
        // Its mark may come after the commit was answered.
        assert_eq!(looked(&cluster, &[2]), None);
        assert_eq!(looked(&cluster, &[3]), Some(Code::TOPIC_MADE_ANEW));
    }

    #[test]
    fn a_topic_that_lacks_replicas_is_waited_for_before_anything_is_sent() {
        let check = |in_sync, least: &str| {
            let replicas = |in_sync| Replicas { in_sync, in_all: 3 };
            let settings = [("min.insync.replicas".to_owned(), least.to_owned())];
            let facts = TopicFacts {
                partitions: 2,
                replicas: vec![replicas(3), replicas(in_sync)],
                settings: settings.into(),
            };
            check_replicas("retail.orders", &facts)
        };
        for (in_sync, least) in [(1, "1"), (2, "2"), (3, "3"), (3, "4"), (1, "?")] {
            check(in_sync, least).unwrap_or_else(|error| panic!("{in_sync} of {least}: {error}"));
        }
        for (in_sync, least) in [(0, "1"), (1, "2"), (2, "3"), (2, "4"), (0, "0")] {
            let error = check(in_sync, least).expect_err("too few");
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(error.to_string().contains("partition 1 has"), "{error}");
        }
    }
}

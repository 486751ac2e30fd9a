//! The topics a pipeline needs: made where they are missing, checked where they are there.

use std::time::Duration;

use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::model::TopicName;
use crate::state::{Meta, PipelineNames, StateKey, encode};
use crate::topic::{
    Admin, Appender, TopicFacts, compacted_topic_problem, data_topic_config, data_topic_problem,
    state_topic_config, tables_topic_config,
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
    for topic in [&names.schemas_topic, &names.loads_topic] {
        if !admin
            .create(topic, 1, kafka.replication, &tables_topic_config())
            .await?
        {
            check_compacted(topic, &facts(admin, topic).await?)?;
        }
    }
    let topic = &names.state_topic;
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
        return Ok(partitions);
    }
    let facts = facts(admin, name).await?;
    match data_topic_problem(&facts) {
        None => Ok(facts.partitions),
        Some((setting, found, why)) => Err(Error::new(
            Kind::Config,
            format!("topic `{name}` has {setting}={found}: {why}"),
        )
        .hint(format!(
            "alter the topic's setting `{setting}`, or give the table another `topic:`"
        ))),
    }
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

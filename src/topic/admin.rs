//! Making topics, and looking at topics and groups.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::{
    GroupOffsets, LARGEST_MESSAGE, Logged, client_config, kafka_error, reader_config, refusal,
};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};

mod survey;

/// How long a broker may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(15);
/// How soon it is first asked whether a broker that is silent has said why.
const LOOK: Duration = Duration::from_millis(500);

/// Asks brokers about topics and groups, and creates topics.
pub struct Admin {
    admin: AdminClient<Logged>,
    /// Asks for metadata: a consumer's questions never create a topic.
    reader: BaseConsumer<Logged>,
    kafka: KafkaSettings,
}

/// What a topic is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicFacts {
    pub partitions: i32,
    pub settings: BTreeMap<String, String>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub client_id: String,
    pub host: String,
}

impl Admin {
    pub fn new(kafka: &KafkaSettings, client_id: &str) -> Result<Self> {
        let doing = || format!("connecting to Kafka at `{}`", kafka.brokers);
        let admin = client_config(kafka, client_id)
            .create_with_context(Logged)
            .map_err(|e| kafka_error(doing(), e))?;
        let reader = reader_config(kafka, client_id, "read_uncommitted")
            .create_with_context(Logged)
            .map_err(|e| kafka_error(doing(), e))?;
        Ok(Admin {
            admin,
            reader,
            kafka: kafka.clone(),
        })
    }

    /// The cluster's id; also the quickest way to see that a broker answers.
    pub fn cluster_id(&self) -> Result<String> {
        self.cluster_id_within(PATIENCE)
    }

    /// The same, from a broker that answers within `patience`.
    pub fn cluster_id_within(&self, patience: Duration) -> Result<String> {
        self.say_hello(patience)?;
        self.reader
            .client()
            .fetch_cluster_id(PATIENCE)
            .ok_or_else(|| {
                Error::new(
                    Kind::Unavailable,
                    format!(
                        "Kafka at `{}` does not say its cluster id",
                        self.kafka.brokers
                    ),
                )
            })
    }

    /// Waits for an answer of any broker. What trying again would not change ends it at once.
    fn say_hello(&self, patience: Duration) -> Result<()> {
        let doing = format!("connecting to Kafka at `{}`", self.kafka.brokers);
        let began = Instant::now();
        let mut look = LOOK;
        loop {
            let Err(error) = self.reader.fetch_metadata(None, look) else {
                return Ok(());
            };
            // A slow broker gets the time it needs, as long as there is some.
            look = (look * 2)
                .min(patience.saturating_sub(began.elapsed()))
                .max(LOOK);
            // The client hands its log and its errors over only when it is polled.
            while self.reader.poll(Duration::ZERO).is_some() {}
            let said = refusal::said_since(began);
            if let Some(refused) = said
                .as_deref()
                .and_then(|said| refusal::lasting(said, &self.kafka, &doing))
            {
                return Err(refused);
            }
            if began.elapsed() >= patience {
                return Err(match said {
                    Some(said) => Error::new(Kind::Unavailable, doing).because(said),
                    None => kafka_error(doing, error),
                });
            }
        }
    }

    /// How many partitions a topic has; `None` if there is no such topic.
    pub fn partitions(&self, topic: &str) -> Result<Option<i32>> {
        let doing = || format!("asking for topic `{topic}`");
        let metadata = self
            .reader
            .fetch_metadata(Some(topic), PATIENCE)
            .map_err(|e| kafka_error(doing(), e))?;
        let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(Some(found.partitions().len() as i32)),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Ok(None)
            }
            Some(code) => Err(kafka_error(
                doing(),
                rdkafka::error::KafkaError::MetadataFetch(code),
            )),
        }
    }

    /// Partition count and settings of a topic; `None` if there is no such topic.
    pub async fn topic(&self, topic: &str) -> Result<Option<TopicFacts>> {
        let Some(partitions) = tokio::task::block_in_place(|| self.partitions(topic))? else {
            return Ok(None);
        };
        let doing = || format!("asking for the settings of topic `{topic}`");
        let answers = self
            .admin
            .describe_configs([&ResourceSpecifier::Topic(topic)], &options())
            .await
            .map_err(|e| kafka_error(doing(), e))?;
        let mut settings = BTreeMap::new();
        for answer in answers {
            let resource = answer
                .map_err(|code| kafka_error(doing(), rdkafka::error::KafkaError::AdminOp(code)))?;
            for entry in resource.entries {
                if let Some(value) = entry.value {
                    settings.insert(entry.name, value);
                }
            }
        }
        Ok(Some(TopicFacts {
            partitions,
            settings,
        }))
    }

    /// The settings of one broker, as far as it tells them.
    pub async fn broker_settings(&self) -> Result<BTreeMap<String, String>> {
        let doing = || "asking for the broker's settings".to_owned();
        let metadata = tokio::task::block_in_place(|| self.reader.fetch_metadata(None, PATIENCE))
            .map_err(|e| kafka_error(doing(), e))?;
        let Some(broker) = metadata.brokers().first() else {
            return Ok(BTreeMap::new());
        };
        let answers = self
            .admin
            .describe_configs([&ResourceSpecifier::Broker(broker.id())], &options())
            .await
            .map_err(|e| kafka_error(doing(), e))?;
        let mut settings = BTreeMap::new();
        for answer in answers {
            let resource = answer
                .map_err(|code| kafka_error(doing(), rdkafka::error::KafkaError::AdminOp(code)))?;
            let told = resource.entries.into_iter();
            settings.extend(told.filter_map(|entry| Some((entry.name, entry.value?))));
        }
        Ok(settings)
    }

    /// Creates a topic; one that exists already is left as it is. Returns whether it was created.
    pub async fn create(
        &self,
        topic: &str,
        partitions: i32,
        replication: i32,
        settings: &[(&str, String)],
    ) -> Result<bool> {
        // Looked for first: without the right to create, a broker refuses before it looks.
        if tokio::task::block_in_place(|| self.partitions(topic))?.is_some() {
            return Ok(false);
        }
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        let doing = || format!("creating topic `{topic}`");
        let answers = self
            .admin
            .create_topics([&new], &options())
            .await
            .map_err(|e| kafka_error(doing(), e))?;
        for answer in answers {
            match answer {
                Ok(_) => {}
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => return Ok(false),
                Err((_, code)) => {
                    let error = kafka_error(doing(), rdkafka::error::KafkaError::AdminOp(code));
                    return Err(match code {
                        RDKafkaErrorCode::InvalidReplicationFactor => error.hint(
                            "the cluster has fewer brokers than `kafka.topics.replication` asks for",
                        ),
                        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
                            error.hint("grant CREATE on the topic to this user, or create the topic beforehand")
                        }
                        _ => error,
                    });
                }
            }
        }
        Ok(true)
    }

    /// First and next offset of a partition, open transactions included.
    pub fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let ask = || self.reader.fetch_watermarks(topic, partition, PATIENCE);
        let answer = match ask() {
            // A client that met the topic while it was being made goes on believing that it has no partitions.
            Err(error)
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition) =>
            {
                self.partitions(topic)?;
                ask()
            }
            answer => answer,
        };
        answer.map_err(|e| {
            let doing = format!("asking for the bounds of topic `{topic}` partition {partition}");
            kafka_error(doing, e)
        })
    }

    /// The members of a group; empty where there is no such group.
    pub fn members(&self, group: &str) -> Result<Vec<Member>> {
        let list = self
            .reader
            .fetch_group_list(Some(group), PATIENCE)
            .map_err(|e| kafka_error(format!("asking for the members of group `{group}`"), e))?;
        let members = list
            .groups()
            .iter()
            .filter(|g| g.name() == group)
            .flat_map(|g| g.members());
        Ok(members
            .map(|m| Member {
                client_id: m.client_id().to_owned(),
                host: m.client_host().to_owned(),
            })
            .collect())
    }

    /// The offsets a group has committed for some partitions; partitions without one are left out.
    pub fn committed(
        kafka: &KafkaSettings,
        client_id: &str,
        group: &str,
        partitions: &[(String, i32)],
    ) -> Result<BTreeMap<(String, i32), u64>> {
        GroupOffsets::new(kafka, client_id, group)?.committed(partitions)
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE))
}

/// Settings of the state topic: the memory of every table, compacted so that reading it stays quick.
pub fn state_topic_config() -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "compact".into()),
        ("segment.bytes", (16 << 20).to_string()),
        ("min.cleanable.dirty.ratio", "0.1".into()),
        ("max.message.bytes", (4 << 20).to_string()),
    ]
}

/// Settings of the schemas and loads topics.
pub fn tables_topic_config() -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "compact".into()),
        ("max.message.bytes", (4 << 20).to_string()),
    ]
}

/// Settings of a data topic. `LogAppendTime`: a row of last year must not be deleted by retention at once.
pub fn data_topic_config(kafka: &KafkaSettings) -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "delete".into()),
        ("message.timestamp.type", "LogAppendTime".into()),
        ("max.message.bytes", LARGEST_MESSAGE.to_string()),
        ("retention.ms", kafka.retention.as_millis().to_string()),
    ]
}

//! Making topics, and looking at topics and groups.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::Semaphore;

use super::{LARGEST_MESSAGE, Logged, client_config, kafka_error, reader_config, refusal};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};

/// How long a broker may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(15);
/// Topics whose settings are asked for at one time.
const AT_ONCE: usize = 500;
/// Topics that are created at one time: a broker makes them one after the other, and a question that waits behind
/// hundreds of others runs out of time.
const CREATED_AT_ONCE: usize = 8;
/// How soon it is first asked whether a broker that is silent has said why.
const LOOK: Duration = Duration::from_millis(500);

/// Asks brokers about topics and groups, and creates topics.
pub struct Admin {
    admin: AdminClient<Logged>,
    /// Asks for metadata: a consumer's questions never create a topic.
    reader: BaseConsumer<Logged>,
    kafka: KafkaSettings,
    /// Who creates a topic now.
    creating: Semaphore,
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
            creating: Semaphore::new(CREATED_AT_ONCE),
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
        let mut settings = self.settings_of(&[topic]).await?;
        Ok(Some(TopicFacts {
            partitions,
            settings: settings.remove(topic).unwrap_or_default(),
        }))
    }

    /// The same of many topics, in few questions; those that do not exist are left out.
    pub async fn topics(&self, wanted: &[String]) -> Result<BTreeMap<String, TopicFacts>> {
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let mut told = BTreeMap::new();
        for names in wanted.chunks(AT_ONCE) {
            told.extend(self.settings_of(names).await?);
        }
        let listed = tokio::task::block_in_place(|| self.listed())?;
        let mut found = BTreeMap::new();
        for (topic, settings) in told {
            // Brokers may tell the settings that a topic would have.
            if let Some(partitions) = listed.get(topic.as_str()) {
                let facts = TopicFacts {
                    partitions: *partitions,
                    settings,
                };
                found.insert(topic, facts);
            }
        }
        Ok(found)
    }

    /// The topics that the cluster lists for this user, each with its number of partitions.
    pub fn listed(&self) -> Result<HashMap<String, i32>> {
        let metadata = self.reader.fetch_metadata(None, PATIENCE);
        let metadata = metadata.map_err(|e| kafka_error("asking for topics".to_owned(), e))?;
        let listed = metadata.topics().iter().filter(|t| t.error().is_none());
        Ok(listed
            .map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32))
            .collect())
    }

    /// The settings of those topics that exist.
    async fn settings_of(
        &self,
        topics: &[&str],
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        let doing = |topic: &str| format!("asking for the settings of topic `{topic}`");
        let resources: Vec<ResourceSpecifier<'_>> = topics
            .iter()
            .map(|topic| ResourceSpecifier::Topic(topic))
            .collect();
        let answers = self
            .admin
            .describe_configs(&resources, &options())
            .await
            .map_err(|e| kafka_error(doing(topics.first().unwrap_or(&"")), e))?;
        let mut found = BTreeMap::new();
        // The answers stand in the order of the questions.
        for (topic, answer) in topics.iter().zip(answers) {
            let resource = match answer {
                Ok(resource) => resource,
                Err(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                    continue;
                }
                Err(code) => {
                    let error = rdkafka::error::KafkaError::AdminOp(code);
                    return Err(kafka_error(doing(topic), error));
                }
            };
            let entries = resource.entries.into_iter();
            let settings = entries.filter_map(|entry| Some((entry.name, entry.value?)));
            found.insert((*topic).to_owned(), settings.collect());
        }
        Ok(found)
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
        let _turn = self.creating.acquire().await;
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

    /// First and next offset of many partitions, open transactions included, in few questions. What cannot be told
    /// is left out.
    pub fn bounds_of(
        &self,
        partitions: &[(String, i32)],
    ) -> Result<BTreeMap<(String, i32), (u64, u64)>> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        // Leaders of what is not there would be waited for.
        let listed = self.listed()?;
        let is_there = |(topic, partition): &&(String, i32)| {
            listed.get(topic).is_some_and(|count| partition < count)
        };
        let ask = |end: Offset| {
            let mut wanted = TopicPartitionList::with_capacity(partitions.len());
            for (topic, partition) in partitions.iter().filter(is_there) {
                let added = wanted.add_partition_offset(topic, *partition, end);
                added.map_err(|e| kafka_error("asking for bounds of topics".to_owned(), e))?;
            }
            // The log's ends stand for times here, as they do in the broker's protocol.
            let found = self.reader.offsets_for_times(wanted, PATIENCE);
            found.map_err(|e| kafka_error("asking for bounds of topics".to_owned(), e))
        };
        let (first, next) = (ask(Offset::Beginning)?, ask(Offset::End)?);
        let offset = |list: &TopicPartitionList, topic: &str, partition: i32| match list
            .find_partition(topic, partition)
        {
            Some(found) if found.error().is_ok() => found.offset().to_raw()?.try_into().ok(),
            _ => None,
        };
        let bounds = partitions.iter().filter_map(|(topic, partition)| {
            let low = offset(&first, topic, *partition)?;
            let high = offset(&next, topic, *partition)?;
            Some(((topic.clone(), *partition), (low, high)))
        });
        Ok(bounds.collect())
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
        let doing = || format!("asking for the offsets of group `{group}`");
        let mut config = reader_config(kafka, client_id, "read_committed");
        config.set("group.id", group);
        let reader: BaseConsumer<Logged> = config
            .create_with_context(Logged)
            .map_err(|e| kafka_error(doing(), e))?;
        let mut wanted = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            wanted.add_partition(topic, *partition);
        }
        let found = reader
            .committed_offsets(wanted, PATIENCE)
            .map_err(|e| kafka_error(doing(), e))?;
        Ok(found
            .elements()
            .iter()
            .filter_map(|e| match e.offset() {
                Offset::Offset(offset) if offset >= 0 => {
                    Some(((e.topic().to_owned(), e.partition()), offset as u64))
                }
                _ => None,
            })
            .collect())
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

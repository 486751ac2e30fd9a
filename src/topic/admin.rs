//! Making topics, and looking at topics and groups.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::Semaphore;

use super::group_offsets::GroupOffsets;
use super::hello::{Heard, Hello, let_tell_abilities};
use super::{
    LARGEST_MESSAGE, Logged, TopicPartition, asker_config, client_config, kafka_error, raw,
};
use crate::config::KafkaSettings;
use crate::error::Result;

mod survey;

/// How long a broker may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a new topic may not be known everywhere before that is worth a warning: a broker that makes hundreds of them
/// on a busy machine takes more than 10 s to give each partition its leader.
pub const FIRST_MOMENTS: Duration = Duration::from_secs(30);
/// Topics that are created at one time: a broker makes them one after the other, and a question that waits behind
/// hundreds of others runs out of time.
const CREATED_AT_ONCE: usize = 8;

/// Asks brokers about topics and groups, and creates topics.
pub struct Admin {
    /// Opened when something needs it: it has a thread of its own, which takes a tenth of a second to end.
    admin: OnceLock<AdminClient<Logged>>,
    /// Asks for metadata: a consumer's questions never create a topic.
    reader: BaseConsumer<Heard>,
    kafka: KafkaSettings,
    client_id: String,
    /// The groups that were asked for, by name.
    groups: Mutex<HashMap<String, Arc<GroupOffsets>>>,
    /// Who creates a topic now.
    creating: Semaphore,
    /// When a topic was created here.
    created: Mutex<HashMap<String, Instant>>,
}

/// What a topic is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicFacts {
    pub partitions: i32,
    /// By partition.
    pub replicas: Vec<Replicas>,
    pub settings: BTreeMap<String, String>,
}

/// The replicas of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// None where it has no leader.
    pub in_sync: usize,
    pub in_all: usize,
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
        let mut config = asker_config(kafka, client_id);
        let_tell_abilities(&mut config);
        let reader = config
            .create_with_context(Heard::default())
            .map_err(|e| kafka_error(doing(), e))?;
        Ok(Admin {
            admin: OnceLock::new(),
            reader,
            kafka: kafka.clone(),
            client_id: client_id.to_owned(),
            groups: Mutex::default(),
            creating: Semaphore::new(CREATED_AT_ONCE),
            created: Mutex::default(),
        })
    }

    fn admin(&self) -> Result<&AdminClient<Logged>> {
        if let Some(open) = self.admin.get() {
            return Ok(open);
        }
        let opened = client_config(&self.kafka, &self.client_id).create_with_context(Logged);
        let opened = opened.map_err(|e| {
            let brokers = &self.kafka.brokers;
            kafka_error(format!("connecting to Kafka at `{brokers}`"), e)
        })?;
        Ok(self.admin.get_or_init(|| opened))
    }

    /// The cluster's id; also the quickest way to see that a broker answers.
    pub fn cluster_id(&self) -> Result<String> {
        self.cluster_id_within(PATIENCE)
    }

    /// The same, from a broker that answers within `patience`.
    ///
    /// Errors: `Config` if the broker is too old, `Permission`, `Unavailable`.
    pub fn cluster_id_within(&self, patience: Duration) -> Result<String> {
        let (kafka, reader) = (&self.kafka, &self.reader);
        Hello { kafka, reader }.cluster_id(patience)
    }

    /// Whether this user may write to a topic; `None` where the broker does not say, or has no such topic.
    pub fn may_write(&self, topic: &str) -> Result<Option<bool>> {
        Ok(self.may_write_each(&[topic])?.remove(topic))
    }

    /// Whether this user may write to each of some topics; those of which the broker does not say it, or that are not
    /// there, are left out.
    pub fn may_write_each(&self, topics: &[&str]) -> Result<BTreeMap<String, bool>> {
        raw::may_write(self.reader.client(), topics, PATIENCE).map_err(|e| {
            let which = match topics {
                [one] => format!("topic `{one}`"),
                many => format!("{} topics", many.len()),
            };
            kafka_error(format!("asking what is allowed on {which}"), e)
        })
    }

    /// How many partitions a topic has; `None` if there is no such topic.
    pub fn partitions(&self, topic: &str) -> Result<Option<i32>> {
        Ok(self.replicas(topic)?.map(|replicas| replicas.len() as i32))
    }

    /// The replicas of each partition of a topic; `None` if there is no such topic.
    fn replicas(&self, topic: &str) -> Result<Option<Vec<Replicas>>> {
        let doing = || format!("asking for topic `{topic}`");
        let metadata = self
            .reader
            .fetch_metadata(Some(topic), PATIENCE)
            .map_err(|e| kafka_error(doing(), e))?;
        let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => {
                let partitions = found.partitions().iter();
                let replicas = partitions.map(|partition| Replicas {
                    in_sync: match partition.leader() {
                        ..0 => 0,
                        _ => partition.isr().len(),
                    },
                    in_all: partition.replicas().len(),
                });
                Ok(Some(replicas.collect()))
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Ok(None)
            }
            Some(code) => Err(kafka_error(
                doing(),
                rdkafka::error::KafkaError::MetadataFetch(code),
            )),
        }
    }

    /// Partition count, replicas and settings of a topic; `None` if there is no such topic.
    pub async fn topic(&self, topic: &str) -> Result<Option<TopicFacts>> {
        let Some(replicas) = tokio::task::block_in_place(|| self.replicas(topic))? else {
            return Ok(None);
        };
        let doing = || format!("asking for the settings of topic `{topic}`");
        let answers = self
            .admin()?
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
            partitions: replicas.len() as i32,
            replicas,
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
            .admin()?
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
            .admin()?
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
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        created.insert(topic.to_owned(), Instant::now());
        Ok(true)
    }

    /// Whether a topic was created here a moment ago: not every broker and client knows it and its leaders yet.
    pub fn has_just_created(&self, topic: &str) -> bool {
        let created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        let at = created.get(topic);
        at.is_some_and(|at| at.elapsed() < FIRST_MOMENTS)
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

    /// The offsets a group has committed for some partitions; partitions without one are left out. Without partitions
    /// all are meant that this user may see. Nobody joins it.
    pub fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, u64>> {
        let open = |group: &str| GroupOffsets::new(&self.kafka, &self.client_id, group);
        let asked = {
            let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            let known = groups.entry(group.to_owned());
            known.or_insert_with(|| Arc::new(open(group))).clone()
        };
        asked.committed(partitions, PATIENCE)
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

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn a_partition_without_a_leader_has_no_replica_in_sync() {
        let cluster = MockCluster::new(3).expect("a cluster");
        cluster
            .create_topic("retail.orders", 2, 3)
            .expect("a topic");
        cluster
            .partition_leader("retail.orders", 1, None)
            .expect("no leader");
        let kafka = KafkaSettings {
            brokers: cluster.bootstrap_servers(),
            topic_prefix: String::new(),
            partitions: 1,
            replication: 1,
            retention: Duration::from_secs(60),
            client: BTreeMap::new(),
        };
        let admin = Admin::new(&kafka, "test").expect("a client");
        let replicas = admin.replicas("retail.orders").expect("an answer");
        let of = |in_sync| Replicas { in_sync, in_all: 3 };
        assert_eq!(replicas, Some(vec![of(3), of(0)]));
    }
}

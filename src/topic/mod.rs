//! Topics: making and checking them, writing in transactions, reading, and compacted topics as bytes.

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::KafkaSettings;
use crate::error::{Error, Kind};

mod admin;
mod compacted;
mod consumer;
mod fitness;
mod producer;

pub use admin::{
    Admin, Member, TopicFacts, data_topic_config, state_topic_config, tables_topic_config,
};
pub use compacted::{Compacted, PartitionReader};
pub use consumer::{GroupConsumer, Ownership, Questions, TopicPartition};
pub use fitness::{Unfit, compacted_topic_problem, data_topic_problem};
pub use producer::{Appender, Delivered, Outgoing, TRANSACTION_TIMEOUT, Transactional};

/// The largest record and the largest run, in bytes: `max.message.bytes` of data topics.
pub const LARGEST_MESSAGE: usize = 16 << 20;

/// The client properties every connection of this pipeline shares; `client_id` says whose it is.
pub fn client_config(kafka: &KafkaSettings, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in &kafka.client {
        config.set(key, value.reveal());
    }
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("client.id", client_id)
        .set("log.connection.close", "false");
    config
}

/// The properties of a consumer that only reads what it is told to: it joins no group and commits nothing.
pub(crate) fn reader_config(
    kafka: &KafkaSettings,
    client_id: &str,
    isolation: &str,
) -> ClientConfig {
    let mut config = client_config(kafka, client_id);
    config
        // librdkafka wants a name even where no group is joined.
        .set("group.id", "cdc.reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.error.backoff.ms", "50")
        .set("fetch.message.max.bytes", LARGEST_MESSAGE.to_string())
        .set("allow.auto.create.topics", "false");
    config
}

/// Sends the client's own log lines to `tracing`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(facility, "kafka client: {message}")
            }
            _ => tracing::debug!(facility, "kafka client: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "kafka client: {reason}");
    }
}

impl ConsumerContext for Logged {}

/// Turns a client error into ours: what can pass by itself is `Unavailable`.
pub fn kafka_error(doing: impl Into<String>, error: KafkaError) -> Error {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    let kind = match code {
        Some(
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed,
        ) => Kind::Permission,
        Some(
            Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::InvalidTopic
            | Code::InvalidReplicationFactor
            | Code::InvalidConfig
            | Code::PolicyViolation
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature,
        ) => Kind::Config,
        Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => Kind::TryLater,
        Some(Code::MessageSizeTooLarge | Code::InvalidTimestamp) => Kind::Data,
        _ if matches!(
            error,
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_)
        ) =>
        {
            Kind::Config
        }
        _ => Kind::Unavailable,
    };
    let is_too_old = matches!(
        code,
        Some(Code::UnsupportedVersion | Code::UnsupportedFeature)
    );
    let error = Error::new(kind, doing).because(error);
    match is_too_old {
        true => error.hint(TOO_OLD),
        false => error,
    }
}

/// Transactions that are fenced by a consumer group's generation: KIP-447.
const TOO_OLD: &str = "the broker is too old: Apache Kafka 2.5 or later is needed, or a broker that speaks its protocol";

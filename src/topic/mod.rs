//! Topics: making and checking them, writing in transactions, reading, and compacted topics as bytes.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaConfRes;

use crate::config::KafkaSettings;
use crate::error::{Error, Kind};

mod admin;
mod compacted;
mod consumer;
mod fitness;
mod glance;
mod group_offsets;
mod hello;
mod membership;
mod producer;
mod questions;
mod raw;
mod refusal;

pub use admin::{
    Admin, FIRST_MOMENTS, Member, Replicas, TopicFacts, data_topic_config, state_topic_config,
    tables_topic_config,
};
pub use compacted::{Compacted, PartitionReader};
pub use consumer::GroupConsumer;
pub use fitness::{Unfit, compacted_topic_problem, data_topic_problem, may_not_write};
pub use glance::{Beside, End, Glance, glance};
pub use membership::{Ownership, TopicPartition};
pub use producer::{Appender, Delivered, Outgoing, TRANSACTION_TIMEOUT, Transactional};
pub use questions::Questions;

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
pub(crate) fn reader_config(kafka: &KafkaSettings, client_id: &str) -> ClientConfig {
    let mut config = client_config(kafka, client_id);
    config
        // librdkafka wants a name even where no group is joined.
        .set("group.id", "cdc.reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.error.backoff.ms", "50")
        .set("fetch.message.max.bytes", LARGEST_MESSAGE.to_string())
        .set("allow.auto.create.topics", "false");
    config
}

/// Of a client that asks about topics, open transactions included, and reads none: it has no group, whose coordinator it
/// would look for.
pub(crate) fn asker_config(kafka: &KafkaSettings, client_id: &str) -> ClientConfig {
    let mut config = client_config(kafka, client_id);
    config
        .set("isolation.level", "read_uncommitted")
        .set("allow.auto.create.topics", "false");
    config
}

/// Closes a consumer that is about to be dropped. The crate does so, too, but looks only ten times a second whether it
/// is closed.
fn leave<C: ConsumerContext>(consumer: &BaseConsumer<C>) {
    const LOOK: Duration = Duration::from_millis(1);
    if consumer.close_queue().is_ok() {
        while !consumer.closed() {
            let _ = consumer.poll(LOOK);
        }
    }
}

/// Sends the client's own log lines to `tracing`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            refusal::listen(message);
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(facility, "kafka client: {message}")
            }
            _ => tracing::debug!(facility, "kafka client: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        refusal::listen(reason);
        tracing::debug!(%error, "kafka client: {reason}");
    }
}

impl ConsumerContext for Logged {}

/// The code of a failure, whether the client has it or what it answers an administrator.
fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// Turns a client error into ours: what can pass by itself is `Unavailable`.
pub fn kafka_error(doing: impl Into<String>, error: KafkaError) -> Error {
    use RDKafkaErrorCode as Code;
    let code = code_of(&error);
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
    let failure = Error::new(kind, doing)
        .code(crate::error::Code::KAFKA_UNREACHABLE)
        .code(crate::error::Code::KAFKA_REFUSED)
        .code(crate::error::Code::FENCED);
    let failure = match code.and_then(way_out) {
        Some(TOO_OLD) => failure
            .hint(TOO_OLD)
            .code(crate::error::Code::BROKER_TOO_OLD),
        Some(grant) => failure.hint(grant),
        None => failure,
    };
    match error {
        // The client's own text repeats the value, which may be a secret.
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _) => failure
            .because(format!("the Kafka client has no property `{key}`"))
            .hint("correct `kafka.client`; its properties are those of librdkafka"),
        KafkaError::ClientConfig(_, _, key, _) => failure
            .because(format!(
                "the Kafka client does not accept the value of `{key}`"
            ))
            .hint(
                "correct it in `kafka.client`; librdkafka's list of properties says what it may be",
            ),
        error => failure.because(error),
    }
}

/// Whether a failure is that a topic, or the leader of one of its partitions, is not known where it was asked for: for a
/// moment that is so of every topic that was just made.
pub fn is_not_known_yet(error: &Error) -> bool {
    use RDKafkaErrorCode as Code;
    if error.stable_code() == crate::error::Code::TOPIC_TAKES_NOTHING {
        return true;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(below) = cause {
        if let Some(error) = below.downcast_ref::<KafkaError>() {
            return matches!(
                code_of(error),
                Some(
                    Code::UnknownTopicOrPartition
                        | Code::UnknownTopic
                        | Code::UnknownPartition
                        | Code::LeaderNotAvailable
                        | Code::NotLeaderForPartition
                )
            );
        }
        cause = below.source();
    }
    false
}

/// What to do; what to allow is said in the words of Kafka's own tool.
fn way_out(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode as Code;
    match code {
        Code::TopicAuthorizationFailed => Some(
            "allow this user what it needs on the topic: `kafka-acls --add --allow-principal User:NAME --topic TOPIC --operation Create --operation DescribeConfigs --operation Read --operation Write`",
        ),
        Code::GroupAuthorizationFailed => Some(
            "allow this user to take part in the pipeline's groups: `kafka-acls --add --allow-principal User:NAME --group cdc.PIPELINE. --resource-pattern-type prefixed --operation Read`, and `--group cdc.reader --operation Describe`",
        ),
        Code::TransactionalIdAuthorizationFailed => Some(
            "allow this user the pipeline's transactional ids: `kafka-acls --add --allow-principal User:NAME --transactional-id cdc.PIPELINE. --resource-pattern-type prefixed --operation Write`",
        ),
        // Brokers before 2.8 ask for it where a topic's right to write is enough for later ones.
        Code::ClusterAuthorizationFailed => Some(
            "allow this user idempotent writes: `kafka-acls --add --allow-principal User:NAME --cluster --operation IdempotentWrite`",
        ),
        Code::UnsupportedVersion | Code::UnsupportedFeature => Some(TOO_OLD),
        _ => None,
    }
}

/// Transactions that are fenced by a consumer group's generation: KIP-447.
const TOO_OLD: &str = "the broker is too old: Apache Kafka 2.5 or later is needed, or a broker that speaks its protocol";

#[cfg(test)]
mod tests {
    use super::*;
    use RDKafkaErrorCode as Code;

    #[test]
    fn what_a_broker_refuses_is_not_tried_again_whichever_door_it_came_through() {
        for (code, kind) in [
            (Code::TopicAuthorizationFailed, Kind::Permission),
            (Code::UnsupportedFeature, Kind::Config),
            (Code::InvalidReplicationFactor, Kind::Config),
            (Code::RequestTimedOut, Kind::Unavailable),
        ] {
            for error in [KafkaError::AdminOp(code), KafkaError::MetadataFetch(code)] {
                assert_eq!(kafka_error("asking", error).kind(), kind, "{code}");
            }
        }
    }

    #[test]
    fn a_topic_that_is_not_known_yet_is_told_from_a_broker_that_is_away() {
        let is_unknown = |code| {
            let error = kafka_error("asking", KafkaError::MetadataFetch(code));
            is_not_known_yet(&error.while_doing("looking at the topic"))
        };
        for code in [
            Code::UnknownTopicOrPartition,
            Code::UnknownPartition,
            Code::LeaderNotAvailable,
        ] {
            assert!(is_unknown(code), "{code}");
        }
        assert!(!is_unknown(Code::RequestTimedOut));
        assert!(!is_not_known_yet(&Error::new(Kind::Unavailable, "reading")));
    }
}

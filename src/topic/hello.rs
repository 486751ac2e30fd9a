//! The first question to a broker: whether it answers, who it is, and whether it is new enough.
//!
//! What a broker can do it says to the client alone, which writes it into its log.

use std::sync::atomic::{AtomicBool, AtomicI16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

use super::{Logged, TOO_OLD, kafka_error, raw, refusal};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};

/// How soon it is first asked whether a broker that is silent has said why.
const LOOK: Duration = Duration::from_millis(500);
/// How long a broker that has answered may take to tell its cluster's id.
const PATIENCE: Duration = Duration::from_secs(15);
/// Since this version of TxnOffsetCommit a transaction is fenced by the group's member and generation: KIP-447, Apache
/// Kafka 2.5. An older broker takes what is sent, and fences nothing.
const FENCING: i16 = 3;

/// Asks with a client that was made by [`let_tell_abilities`] and has not asked anything before: a broker lists what it
/// can do once for each connection.
pub(super) struct Hello<'a> {
    pub kafka: &'a KafkaSettings,
    pub reader: &'a BaseConsumer<Heard>,
}

/// Makes a client write what a broker can do into its log.
pub(super) fn let_tell_abilities(config: &mut ClientConfig) {
    let debug = match config.get("debug") {
        Some(theirs) => format!("{theirs},feature"),
        None => "feature".to_owned(),
    };
    config
        .set("debug", debug)
        .set_log_level(RDKafkaLogLevel::Debug);
}

impl Hello<'_> {
    /// The cluster's id, from a broker that answers within `patience` and can do what is needed. What trying again
    /// would not change ends it at once.
    pub fn cluster_id(&self, patience: Duration) -> Result<String> {
        self.wait_for_an_answer(patience)?;
        // From now on nobody listens.
        raw::say_errors_only(self.reader.client());
        self.listen();
        let heard = self.reader.context();
        heard
            .fitness()
            .map_err(|error| error.while_doing(connecting(self.kafka)))?;
        let id = self.reader.client().fetch_cluster_id(PATIENCE);
        id.ok_or_else(|| {
            let brokers = &self.kafka.brokers;
            let text = format!("Kafka at `{brokers}` does not say its cluster id");
            Error::new(Kind::Unavailable, text)
        })
    }

    fn wait_for_an_answer(&self, patience: Duration) -> Result<()> {
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
            self.listen();
            let doing = connecting(self.kafka);
            let said = refusal::said_since(began);
            if let Some(refused) = said
                .as_deref()
                .and_then(|said| refusal::lasting(said, self.kafka, &doing))
            {
                return Err(refused);
            }
            if began.elapsed() >= patience {
                return Err(match said {
                    Some(said) => Error::new(Kind::Unavailable, doing)
                        .code(crate::error::Code::KAFKA_UNREACHABLE)
                        .because(said),
                    None => kafka_error(doing, error),
                });
            }
        }
    }

    /// The client hands its log and its errors over only when it is polled: one at least each time, if there is any.
    fn listen(&self) {
        let lines = &self.reader.context().lines;
        loop {
            let before = lines.load(Ordering::Relaxed);
            let met = self.reader.poll(Duration::from_millis(1));
            if met.is_none() && lines.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

fn connecting(kafka: &KafkaSettings) -> String {
    format!("connecting to Kafka at `{}`", kafka.brokers)
}

/// What the client says of a broker's abilities.
pub(super) struct Heard {
    /// How much was said.
    lines: AtomicU64,
    /// A broker has listed what it can do …
    has_listed: AtomicBool,
    /// … and this version of TxnOffsetCommit was the newest; −1 if it was not in the list.
    newest: AtomicI16,
}

impl Default for Heard {
    fn default() -> Self {
        Heard {
            lines: AtomicU64::new(0),
            has_listed: AtomicBool::new(false),
            newest: AtomicI16::new(-1),
        }
    }
}

impl Heard {
    fn take(&self, line: &str) {
        self.has_listed.store(true, Ordering::Relaxed);
        if let Some(newest) = newest_of(line, "TxnOffsetCommit") {
            self.newest.store(newest, Ordering::Relaxed);
        }
    }

    /// Whether transactions can be fenced there. A broker that lists nothing is taken at its word later.
    fn fitness(&self) -> Result<()> {
        let newest = self.newest.load(Ordering::Relaxed);
        if !self.has_listed.load(Ordering::Relaxed) || newest >= FENCING {
            return Ok(());
        }
        let why = match newest {
            -1 => "it knows no transactions".to_owned(),
            newest => format!(
                "transactions are not fenced by the consumer group there (it knows version {newest} of TxnOffsetCommit, and {FENCING} is needed)"
            ),
        };
        Err(Error::new(Kind::Config, why).hint(TOO_OLD))
    }
}

impl ClientContext for Heard {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.lines.fetch_add(1, Ordering::Relaxed);
        match message.contains("ApiKey ") {
            true => self.take(message),
            false if facility == "APIVERSION" => {}
            false => Logged.log(level, facility, message),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logged.error(error, reason);
    }
}

impl ConsumerContext for Heard {}

/// The newest version of what is called `api`: `… ApiKey TxnOffsetCommit (28) Versions 0..5`.
fn newest_of(line: &str, api: &str) -> Option<i16> {
    let (_, named) = line.split_once("ApiKey ")?;
    let versions = named.strip_prefix(api)?.split_once(" Versions ")?.1;
    versions.split_once("..")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a broker that lists these.
    fn said_of(list: &[&str]) -> Option<String> {
        let heard = Heard::default();
        for line in list {
            let line = format!("[thrd:b:1/bootstrap]: b:1/bootstrap:   ApiKey {line}");
            heard.log(RDKafkaLogLevel::Debug, "APIVERSION", &line);
        }
        let error = heard.fitness().err()?;
        assert_eq!(error.kind(), Kind::Config);
        assert_eq!(error.next_step(), Some(TOO_OLD));
        Some(error.to_string())
    }

    #[test]
    fn a_broker_whose_transactions_no_group_fences_is_too_old() {
        let fetch = "Fetch (1) Versions 0..11";
        assert_eq!(
            said_of(&[fetch, "TxnOffsetCommit (28) Versions 0..3"]),
            None
        );
        assert_eq!(
            said_of(&["TxnOffsetCommit (28) Versions 0..5", fetch]),
            None
        );
        let said = said_of(&[fetch, "TxnOffsetCommit (28) Versions 0..2"]);
        assert!(said.is_some_and(|said| said.contains("version 2 of TxnOffsetCommit")));
        let said = said_of(&[fetch]);
        assert!(said.is_some_and(|said| said.contains("no transactions")));
    }

    #[test]
    fn a_broker_that_lists_nothing_is_not_judged() {
        assert_eq!(said_of(&[]), None);
    }
}

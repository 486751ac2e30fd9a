//! Writing: a transactional producer owned by one thread, and a plain idempotent one for single records.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig,
};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{LARGEST_MESSAGE, Logged, client_config, kafka_error, refusal};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};

/// How long the broker keeps an open transaction of a producer that went silent. It bounds how long a dead
/// worker hides other workers' committed records.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one step of a transaction may take before it counts as failed.
const STEP: Duration = Duration::from_secs(14);
/// How long a new producer may wait for its predecessor's transaction to be settled.
const SETTLING: Duration = Duration::from_secs(45);
/// How long is listened to what the client has to say of a failure.
const HEARING: Duration = Duration::from_millis(10);
/// Rows of one transaction wait in the client's queue: it must hold the largest one with its state records.
const QUEUE_RECORDS: usize = 500_000;
/// The same in KiB: the largest transaction with room for compression's second copy.
const QUEUE_KIB: usize = 512 << 10;

/// One record to write.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub key: Option<&'a [u8]>,
    /// `None` writes a tombstone.
    pub value: Option<&'a [u8]>,
    pub header: Option<(&'a str, &'a [u8])>,
    /// Where the answer is noted: an index into what [`Transactional::drain`] returns.
    pub slot: usize,
}

/// What became of the records of one slot.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// Offset of the first record and of the last.
    pub offsets: Option<(i64, i64)>,
    pub records: u64,
    pub error: Option<(String, KafkaError)>,
}

/// Collects delivery reports by slot, and what the client says in its log only.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    slots: Vec<Delivered>,
    /// Topics that may not be written: no error and no delivery report names them.
    unwritable: BTreeSet<String>,
}

impl Reports {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Delivered> {
        std::mem::take(&mut self.heard().slots)
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logged.log(level, facility, message);
        if let Some(topic) = refusal::unwritable_topic(message) {
            self.heard().unwritable.insert(topic.to_owned());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logged.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: usize) {
        let mut heard = self.heard();
        let slots = &mut heard.slots;
        if slots.len() <= slot {
            slots.resize(slot + 1, Delivered::default());
        }
        let Some(delivered) = slots.get_mut(slot) else {
            return;
        };
        match result {
            Ok(message) => {
                let at = message.offset();
                delivered.records += 1;
                delivered.offsets = Some(match delivered.offsets {
                    None => (at, at),
                    Some((first, last)) => (first.min(at), last.max(at)),
                });
            }
            Err((error, message)) => {
                delivered
                    .error
                    .get_or_insert_with(|| (message.topic().to_owned(), error.clone()));
            }
        }
    }
}

/// The transactional producer. One thread owns it; it is never shared.
pub struct Transactional {
    producer: BaseProducer<Reports>,
    reports: Reports,
}

impl Transactional {
    /// Opens the producer: fences every earlier one of the same id and settles its open transaction. Blocking.
    ///
    /// Errors: `Permission` (transactional id not granted), `Unavailable`.
    pub fn open(kafka: &KafkaSettings, client_id: &str, transactional_id: &str) -> Result<Self> {
        let doing = || format!("opening the transactional producer `{transactional_id}`");
        let reports = Reports::default();
        let mut config = writer_config(kafka, client_id);
        config
            .set("transactional.id", transactional_id)
            .set(
                "transaction.timeout.ms",
                TRANSACTION_TIMEOUT.as_millis().to_string(),
            )
            // The first partition added right after a commit is refused while the markers of the last
            // transaction are being written; the client asks again after this pause, by default 100 ms.
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "50")
            .set("linger.ms", "0");
        let producer: BaseProducer<Reports> = config
            .create_with_context(reports.clone())
            .map_err(|e| kafka_error(doing(), e))?;
        settled(SETTLING, || producer.init_transactions(STEP))
            .map_err(|e| kafka_error(doing(), e))?;
        Ok(Transactional { producer, reports })
    }

    pub fn begin(&self) -> Result<()> {
        *self.reports.heard() = Heard::default();
        self.producer
            .begin_transaction()
            .map_err(|e| kafka_error("beginning a transaction", e))
    }

    /// Hands a record to the client; waits where its queue is full.
    pub fn send(&self, record: Outgoing<'_>) -> Result<()> {
        let deadline = Instant::now() + STEP;
        send(&self.producer, record, || {
            self.producer.poll(Duration::from_millis(1));
            Instant::now() < deadline
        })
        .map_err(|e| kafka_error(format!("writing to topic `{}`", record.topic), e))
    }

    /// Adds the group's offsets, which fences this transaction by the group's member and generation.
    pub fn send_offsets(
        &self,
        topic: &str,
        offsets: impl IntoIterator<Item = (i32, i64)>,
        group: &ConsumerGroupMetadata,
    ) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(topic, partition, Offset::Offset(offset))
                .map_err(|e| kafka_error("adding group offsets", e))?;
        }
        settled(STEP, || {
            self.producer
                .send_offsets_to_transaction(&list, group, STEP)
        })
        .map_err(|e| kafka_error("adding the group's offsets to the transaction", e))
    }

    /// Waits until every record was answered; the answers by slot. An undelivered record is in its slot.
    pub fn drain(&self) -> Result<Vec<Delivered>> {
        let deadline = Instant::now() + STEP;
        // Short polls: the client's own flush sleeps in steps of 100 ms.
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_micros(500));
            if !self.reports.heard().unwritable.is_empty() {
                // What is queued is not sent any more, and would be waited for in vain.
                let refused = RDKafkaErrorCode::TopicAuthorizationFailed;
                let refused = KafkaError::MessageProduction(refused);
                return Err(kafka_error("writing to Kafka", refused));
            }
            if Instant::now() > deadline {
                return Err(Error::new(
                    Kind::Unavailable,
                    format!("writing to Kafka: no answer within {} s", STEP.as_secs()),
                ));
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(self.reports.take())
    }

    /// The answers there are so far, by slot: what is missing was not answered yet.
    pub fn answered(&self) -> Vec<Delivered> {
        self.producer.poll(Duration::ZERO);
        self.reports.take()
    }

    /// After a failure: the topics that this user may not write to, as far as the client said.
    pub fn unwritable(&self) -> BTreeSet<String> {
        // It may still have to be heard: the error that came of it was quicker.
        self.producer.poll(HEARING);
        std::mem::take(&mut self.reports.heard().unwritable)
    }

    pub fn commit(&self) -> Result<()> {
        settled(STEP, || self.producer.commit_transaction(STEP))
            .map_err(|e| kafka_error("committing a transaction", e))
    }

    /// Gives up what is open, as far as that is possible: what remains is settled by the next producer of this id.
    pub fn abandon(self) {
        self.producer
            .purge(PurgeConfig::default().queue().inflight());
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(Duration::from_millis(1));
        }
        if let Err(error) = self.producer.abort_transaction(Duration::from_secs(5)) {
            tracing::debug!(%error, "the open transaction is left to the next producer of this id");
        }
    }
}

/// Appends single records outside any transaction: schemas and requests.
pub struct Appender {
    producer: BaseProducer<Reports>,
    reports: Reports,
}

impl Appender {
    pub fn open(kafka: &KafkaSettings, client_id: &str) -> Result<Self> {
        let reports = Reports::default();
        let mut config = writer_config(kafka, client_id);
        config
            .set("linger.ms", "0")
            .set("message.timeout.ms", "30000");
        let producer = config
            .create_with_context(reports.clone())
            .map_err(|e| kafka_error("opening a producer", e))?;
        Ok(Appender { producer, reports })
    }

    /// Writes a record and waits until the broker has acknowledged it. Blocking.
    pub fn append(
        &self,
        topic: &str,
        partition: i32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<()> {
        self.reports.take();
        let doing = || format!("writing to topic `{topic}`");
        let record = Outgoing {
            topic,
            partition,
            key: Some(key),
            value,
            header: None,
            slot: 0,
        };
        send(&self.producer, record, || false).map_err(|e| kafka_error(doing(), e))?;
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_millis(1));
        }
        self.producer.poll(Duration::ZERO);
        match self.reports.take().into_iter().next() {
            Some(Delivered {
                error: Some((_, error)),
                ..
            }) => Err(kafka_error(doing(), error)),
            Some(Delivered { records: 1, .. }) => Ok(()),
            _ => Err(Error::new(Kind::Unavailable, doing()).because("it was not acknowledged")),
        }
    }
}

fn writer_config(kafka: &KafkaSettings, client_id: &str) -> ClientConfig {
    let mut config = client_config(kafka, client_id);
    config
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "100000")
        .set("queue.buffering.max.messages", QUEUE_RECORDS.to_string())
        .set("queue.buffering.max.kbytes", QUEUE_KIB.to_string())
        .set(
            "message.max.bytes",
            (LARGEST_MESSAGE + (1 << 20)).to_string(),
        )
        .set("allow.auto.create.topics", "false");
    config
}

/// Hands a record to the client; while its queue is full, asks `wait` whether to try again.
fn send(
    producer: &BaseProducer<Reports>,
    record: Outgoing<'_>,
    wait: impl Fn() -> bool,
) -> KafkaResult<()> {
    let mut out: BaseRecord<'_, [u8], [u8], usize> =
        BaseRecord::with_opaque_to(record.topic, record.slot).partition(record.partition);
    if let Some(key) = record.key {
        out = out.key(key);
    }
    if let Some(value) = record.value {
        out = out.payload(value);
    }
    if let Some((key, value)) = record.header {
        out = out.headers(OwnedHeaders::new_with_capacity(1).insert(Header {
            key,
            value: Some(value),
        }));
    }
    loop {
        match producer.send(out) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), same)) if wait() => {
                out = same
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Repeats a step of a transaction while the client says that it may be repeated, within `patience`.
fn settled(patience: Duration, step: impl Fn() -> KafkaResult<()>) -> KafkaResult<()> {
    let deadline = Instant::now() + patience;
    loop {
        match step() {
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && Instant::now() < deadline =>
            {
                tracing::debug!(%error, "repeating a step of the transaction");
            }
            outcome => return outcome,
        }
    }
}

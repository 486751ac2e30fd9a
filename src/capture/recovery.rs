//! Taking over partitions of the state topic: what every table in them remembers, in the one order that
//! cannot miss a decision that was made already.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use ulid::Ulid;

use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::model::{Minute, TableName};
use crate::state::{
    Head, Meta, Outcome, PipelineNames, Request, SeenMinute, StateKey, Trouble, decode,
};
use crate::topic::{Logged, PartitionReader, kafka_error, reader_config};

/// How long one question about the group's offsets may take. A predecessor's undecided commit holds the
/// answer back; a time-out here means "ask again".
const ASKING: Duration = Duration::from_secs(5);
/// The pause before an undecided answer is asked for again.
const UNSTABLE: Duration = Duration::from_millis(200);
/// How long a predecessor's commit may stay undecided: its transaction ends after 15 to 25 s.
const UNDECIDED: Duration = Duration::from_secs(60);

/// What is durable about one table.
#[derive(Clone, Debug, Default)]
pub struct TableMemory {
    pub head: Option<Head>,
    pub seen: BTreeMap<Minute, SeenMinute>,
    /// Requests that nobody has answered.
    pub requests: BTreeMap<Ulid, Request>,
    /// What keeps it from working, as it was last written.
    pub trouble: Option<Trouble>,
    /// Answers that were given, and when (ms): they are removed after a day.
    pub outcomes: BTreeMap<Ulid, i64>,
}

/// Everything in the partitions that were taken over.
#[derive(Debug, Default)]
pub struct Recovered {
    /// By table: `<source>/<schema>/<table>`, percent-encoded.
    pub tables: HashMap<String, TableMemory>,
    /// The next offset to read, by partition: also the group's offset that transactions of this life carry.
    pub positions: BTreeMap<i32, i64>,
}

/// Reads what is durable, outside the group.
pub struct Recovery {
    offsets: BaseConsumer<Logged>,
    reader: PartitionReader,
    topic: String,
}

impl Recovery {
    pub fn open(kafka: &KafkaSettings, names: &PipelineNames, client_id: &str) -> Result<Self> {
        let mut config = reader_config(kafka, client_id);
        config.set("group.id", &names.capture_group);
        let offsets = config
            .create_with_context(Logged)
            .map_err(|e| kafka_error(format!("asking group `{}`", names.capture_group), e))?;
        let reader = PartitionReader::new(kafka, client_id, &names.state_topic)?;
        Ok(Recovery {
            offsets,
            reader,
            topic: names.state_topic.clone(),
        })
    }

    /// Takes over `partitions`. Blocking; call it only after the assignment (its metadata is held by then).
    ///
    /// Errors: `Config` if the state topic is not the one this pipeline was begun with, `TryLater` for records
    /// of a newer version, `Unavailable`.
    pub fn take_over(&self, partitions: &[i32]) -> Result<Recovered> {
        // First the group's offsets: the answer waits for a predecessor's commit that is still undecided.
        self.wait_for_predecessors(partitions)?;
        // Only then the mark, at the end of the log with open transactions: all that a predecessor can have
        // committed lies before it.
        let marks = self.reader.marks(partitions)?;
        let mut recovered = Recovered {
            tables: HashMap::new(),
            positions: marks
                .iter()
                .map(|(partition, (_, mark))| (*partition, *mark))
                .collect(),
        };
        let mut metas = BTreeMap::new();
        let mut failure = None;
        self.reader.read(&marks, |partition, key, value| {
            if failure.is_none() {
                failure = recovered.take(partition, key, value, &mut metas).err();
            }
        })?;
        match failure {
            Some(error) => Err(error.about(format!("topic `{}`", self.topic))),
            None => self.check_meta(partitions, &metas).map(|()| recovered),
        }
    }

    fn wait_for_predecessors(&self, partitions: &[i32]) -> Result<()> {
        let mut wanted = TopicPartitionList::new();
        for partition in partitions {
            wanted.add_partition(&self.topic, *partition);
        }
        let deadline = Instant::now() + UNDECIDED;
        loop {
            match self.offsets.committed_offsets(wanted.clone(), ASKING) {
                // An answer that failed for one partition must not be taken for "none".
                Ok(answer) if answer.elements().iter().all(|e| e.error().is_ok()) => return Ok(()),
                Ok(_) if Instant::now() < deadline => {
                    tracing::info!(
                        "waiting for the transaction of the worker that had these tables before"
                    );
                    std::thread::park_timeout(UNSTABLE);
                }
                Ok(_) => {
                    return Err(Error::new(
                        Kind::Unavailable,
                        "asking for the capture group's offsets: a predecessor's commit stays undecided",
                    ));
                }
                Err(error)
                    if Instant::now() < deadline
                        && matches!(
                            error.rdkafka_error_code(),
                            Some(
                                RDKafkaErrorCode::OperationTimedOut
                                    | RDKafkaErrorCode::RequestTimedOut
                                    | RDKafkaErrorCode::UnstableOffsetCommit
                                    | RDKafkaErrorCode::WaitingForCoordinator
                            )
                        ) =>
                {
                    tracing::info!(
                        "waiting for the transaction of the worker that had these tables before"
                    );
                }
                Err(error) => {
                    return Err(kafka_error("asking for the capture group's offsets", error));
                }
            }
        }
    }

    /// The topic must be the one the pipeline was begun with: a table's partition follows from their number.
    fn check_meta(&self, partitions: &[i32], metas: &BTreeMap<i32, Meta>) -> Result<()> {
        let count = self.reader.partitions()?;
        for partition in partitions {
            match metas.get(partition) {
                Some(meta) if meta.partitions == count => {}
                Some(meta) => {
                    return Err(Error::new(
                        Kind::Config,
                        format!("topic `{}` has {count} partitions and was begun with {}", self.topic, meta.partitions),
                    )
                    .hint("a table's partition follows from that number: make the topic anew with the old number"));
                }
                None => {
                    return Err(Error::new(
                        Kind::Config,
                        format!("topic `{}` lost its first record in partition {partition}", self.topic),
                    )
                    .hint("it was deleted and made anew; see docs/protocol.md, \"When the state topic is lost\""));
                }
            }
        }
        Ok(())
    }
}

impl Recovered {
    /// The tables that have a head.
    pub fn names(&self) -> Vec<TableName> {
        let heads = self
            .tables
            .iter()
            .filter_map(|(table, memory)| Some((table, memory.head.as_ref()?)));
        heads
            .filter_map(|(table, head)| TableName::from_key_tail(table, &head.table))
            .collect()
    }

    /// What keeps tables from working, as it was last written.
    pub fn troubles(&self) -> BTreeMap<String, Trouble> {
        let troubles = self.tables.iter();
        troubles
            .filter_map(|(table, memory)| Some((table.clone(), memory.trouble.clone()?)))
            .collect()
    }

    fn take(
        &mut self,
        partition: i32,
        key: &[u8],
        value: Option<&[u8]>,
        metas: &mut BTreeMap<i32, Meta>,
    ) -> Result<()> {
        let Some(key) = StateKey::parse(key) else {
            return Err(Error::new(
                Kind::TryLater,
                "reading a record of a sort this version does not know",
            )
            .code(crate::error::Code::NEWER_VERSION)
            .hint("a newer `cdc` wrote it; update this worker"));
        };
        match key {
            StateKey::Meta => {
                if let Some(value) = value {
                    metas.insert(partition, decode("the first record", value)?);
                }
            }
            StateKey::Head { table } => {
                let memory = self.tables.entry(table).or_default();
                memory.head = value.map(|v| decode("a table's head", v)).transpose()?;
            }
            StateKey::Trouble { table } => {
                let memory = self.tables.entry(table).or_default();
                memory.trouble = value.map(|v| decode("a table's trouble", v)).transpose()?;
            }
            StateKey::Seen { table, minute } => {
                let memory = self.tables.entry(table).or_default();
                match value {
                    Some(value) => memory
                        .seen
                        .insert(minute, decode("a minute of a seen window", value)?),
                    None => memory.seen.remove(&minute),
                };
            }
            StateKey::Request { table, id } => {
                let memory = self.tables.entry(table).or_default();
                match value {
                    Some(value) => memory.requests.insert(id, decode("a request", value)?),
                    None => memory.requests.remove(&id),
                };
            }
            StateKey::Outcome { table, id } => {
                let memory = self.tables.entry(table).or_default();
                match value {
                    Some(value) => {
                        memory
                            .outcomes
                            .insert(id, decode::<Outcome>("an answer", value)?.at);
                        memory.requests.remove(&id);
                    }
                    None => {
                        memory.outcomes.remove(&id);
                    }
                };
            }
        }
        Ok(())
    }
}

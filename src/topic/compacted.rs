//! Compacted topics as bytes: the newest value of each key.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{Logged, asker_config, kafka_error, leave, reader_config};
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};

const PATIENCE: Duration = Duration::from_secs(15);
/// How long a new topic may be without leaders.
const LEADERS: Duration = Duration::from_secs(3);
const LEADERS_PAUSE: Duration = Duration::from_millis(50);
/// How long reading to a mark may take without any progress. A dead worker's open transaction is aborted by
/// the broker after 15 to 25 s; until then the records behind it are held back.
const STALLED: Duration = Duration::from_secs(60);

/// Reads partitions of one topic up to marks that were fixed before, seeing only what is committed.
pub struct PartitionReader {
    topic: String,
    committed: BaseConsumer<Logged>,
    uncommitted: BaseConsumer<Logged>,
}

impl PartitionReader {
    pub fn new(kafka: &KafkaSettings, client_id: &str, topic: &str) -> Result<Self> {
        let doing = || format!("opening topic `{topic}` for reading");
        let open = |config: ClientConfig| {
            let opened = config.create_with_context(Logged);
            opened.map_err(|e| kafka_error(doing(), e))
        };
        Ok(PartitionReader {
            topic: topic.to_owned(),
            committed: open(reader_config(kafka, client_id))?,
            uncommitted: open(asker_config(kafka, client_id))?,
        })
    }

    /// The same reader for another topic: opening one takes a while.
    pub fn of(mut self, topic: &str) -> Self {
        topic.clone_into(&mut self.topic);
        self
    }

    /// How many partitions the topic has. `Config` if there is no such topic.
    pub fn partitions(&self) -> Result<i32> {
        let doing = format!("asking for topic `{}`", self.topic);
        let metadata = self
            .uncommitted
            .fetch_metadata(Some(&self.topic), PATIENCE)
            .map_err(|e| kafka_error(&doing, e))?;
        match metadata.topics().iter().find(|t| t.name() == self.topic) {
            Some(found) if found.error().is_none() => Ok(found.partitions().len() as i32),
            _ => Err(Error::new(
                Kind::Config,
                format!("topic `{}` does not exist", self.topic),
            )),
        }
    }

    /// First offset and mark of each partition. The mark is the end of the log *with* open transactions: on a
    /// client that sees committed records only, the same question is answered with the last stable offset,
    /// which a frozen worker's open transaction holds below records that are committed already.
    pub fn marks(&self, partitions: &[i32]) -> Result<BTreeMap<i32, (i64, i64)>> {
        if let Some(marks) = self.marks_at_once(partitions) {
            return Ok(marks);
        }
        let bounds = partitions.iter().map(|partition| {
            let bounds = self.bounds(*partition).map_err(|e| {
                let topic = &self.topic;
                let doing = format!("asking for the end of topic `{topic}` partition {partition}");
                kafka_error(doing, e)
            });
            bounds.map(|bounds| (*partition, bounds))
        });
        bounds.collect()
    }

    /// First offset and end of a partition. One of a topic that was just made gets the time to find its leader.
    fn bounds(&self, partition: i32) -> KafkaResult<(i64, i64)> {
        let began = Instant::now();
        loop {
            let asked = self
                .uncommitted
                .fetch_watermarks(&self.topic, partition, PATIENCE);
            let code = asked.as_ref().err().and_then(|e| e.rdkafka_error_code());
            let has_no_leader = matches!(
                code,
                Some(
                    RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable
                )
            );
            if !has_no_leader || began.elapsed() > LEADERS {
                return asked;
            }
            std::thread::park_timeout(LEADERS_PAUSE);
        }
    }

    /// The same in two questions for all partitions; `None` unless each was answered. A time of −2 is the log's
    /// beginning, and −1 its end, as `Offset` writes both.
    fn marks_at_once(&self, partitions: &[i32]) -> Option<BTreeMap<i32, (i64, i64)>> {
        let at = |place: Offset| {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            for partition in partitions {
                list.add_partition_offset(&self.topic, *partition, place)
                    .ok()?;
            }
            let answer = self.uncommitted.offsets_for_times(list, PATIENCE).ok()?;
            let mut found = BTreeMap::new();
            for element in answer.elements() {
                match (element.error(), element.offset()) {
                    (Ok(()), Offset::Offset(offset)) => {
                        found.insert(element.partition(), offset);
                    }
                    _ => return None,
                }
            }
            Some(found)
        };
        if partitions.len() < 2 {
            return None;
        }
        let (lows, highs) = (at(Offset::Beginning)?, at(Offset::End)?);
        let both =
            |partition: &i32| Some((*partition, (*lows.get(partition)?, *highs.get(partition)?)));
        partitions.iter().map(both).collect()
    }

    /// Whether there is such a topic; `Permission` where it may not be seen.
    fn is_there(&self) -> Result<bool> {
        let doing = || format!("asking for topic `{}`", self.topic);
        // Asked by the client that reads: one that is not connected yet looks for its partitions once in a second.
        let metadata = self
            .committed
            .fetch_metadata(Some(&self.topic), PATIENCE)
            .map_err(|e| kafka_error(doing(), e))?;
        let mut topics = metadata.topics().iter();
        let Some(found) = topics.find(|topic| topic.name() == self.topic) else {
            return Ok(false);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(true),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Ok(false)
            }
            Some(code) => Err(kafka_error(doing(), KafkaError::MetadataFetch(code))),
        }
    }

    /// Gives every committed record of `[start, mark)` of each partition to `each(partition, key, value)`, in
    /// order within a partition, and returns when every *position* has reached its mark, control records
    /// included. `ranges`: partition → (start, mark).
    pub fn read(
        &self,
        ranges: &BTreeMap<i32, (i64, i64)>,
        mut each: impl FnMut(i32, &[u8], Option<&[u8]>),
    ) -> Result<()> {
        self.read_placed(ranges, |partition, _, key, value| {
            each(partition, key, value)
        })
    }

    /// The offset after the last committed record of a partition: the log itself ends later, by the marks of
    /// transactions. The first offset if there is no record.
    pub fn end_of_records(&self, partition: i32) -> Result<i64> {
        let marks = self.marks(&[partition])?;
        let (low, high) = marks.get(&partition).copied().unwrap_or_default();
        // The client that reads looks for a topic that is new to it once in a second, unless it is asked for it.
        let asked = self.committed.fetch_metadata(Some(&self.topic), PATIENCE);
        asked.map_err(|e| kafka_error(format!("asking for topic `{}`", self.topic), e))?;
        let mut span = 16;
        loop {
            let from = low.max(high - span);
            let mut end = None;
            self.read_placed(
                &BTreeMap::from([(partition, (from, high))]),
                |_, offset, _, _| {
                    end = Some(offset + 1);
                },
            )?;
            match end {
                Some(end) => return Ok(end),
                None if from == low => return Ok(low),
                None => span *= 16,
            }
        }
    }

    /// As [`PartitionReader::read`], with the offset of each record: `each(partition, offset, key, value)`.
    pub fn read_placed(
        &self,
        ranges: &BTreeMap<i32, (i64, i64)>,
        mut each: impl FnMut(i32, i64, &[u8], Option<&[u8]>),
    ) -> Result<()> {
        self.read_messages(ranges, |message| {
            each(
                message.partition(),
                message.offset(),
                message.key().unwrap_or_default(),
                message.payload(),
            );
            true
        })
    }

    /// As [`PartitionReader::read`], with everything that belongs to a record, until `each` answers `false`.
    pub(super) fn read_messages(
        &self,
        ranges: &BTreeMap<i32, (i64, i64)>,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> bool,
    ) -> Result<()> {
        let doing = || format!("reading topic `{}`", self.topic);
        let mut open: BTreeMap<i32, i64> = ranges
            .iter()
            .filter(|(_, (start, mark))| start < mark)
            .map(|(p, (_, mark))| (*p, *mark))
            .collect();
        let mut assignment = TopicPartitionList::new();
        for (partition, (start, mark)) in ranges {
            if start < mark {
                assignment
                    .add_partition_offset(&self.topic, *partition, Offset::Offset(*start))
                    .map_err(|e| kafka_error(doing(), e))?;
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        self.committed
            .assign(&assignment)
            .map_err(|e| kafka_error(doing(), e))?;
        let mut progress = Instant::now();
        while !open.is_empty() {
            match self.committed.poll(Duration::from_millis(50)) {
                Some(Ok(message)) => {
                    progress = Instant::now();
                    let (partition, offset) = (message.partition(), message.offset());
                    // A record behind the mark belongs to a later read.
                    if ranges
                        .get(&partition)
                        .is_some_and(|(_, mark)| offset < *mark)
                        && !each(&message)
                    {
                        open.clear();
                    }
                    if open.get(&partition).is_some_and(|mark| offset + 1 >= *mark) {
                        open.remove(&partition);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {
                    self.close_reached(&mut open, &mut progress)?
                }
                Some(Err(error)) if is_final(&error) => {
                    let _ = self.committed.unassign();
                    return Err(kafka_error(doing(), error));
                }
                Some(Err(error)) => {
                    tracing::debug!(topic = self.topic, %error, "reading is held up")
                }
            }
            if progress.elapsed() > STALLED {
                let _ = self.committed.unassign();
                return Err(Error::new(
                    Kind::Unavailable,
                    format!(
                        "reading topic `{}` to its end: no progress for {} s",
                        self.topic,
                        STALLED.as_secs()
                    ),
                ));
            }
        }
        self.committed
            .unassign()
            .map_err(|e| kafka_error(doing(), e))
    }

    /// Gives the offset and one header of each committed record of `[start, mark)` of a partition to
    /// `each(offset, header)`, in order, until that answers `false` or the position has reached the mark.
    pub fn read_headed(
        &self,
        partition: i32,
        (start, mark): (i64, i64),
        header: &str,
        mut each: impl FnMut(i64, Option<&[u8]>) -> bool,
    ) -> Result<()> {
        let mut goes_on = true;
        self.read_messages(&BTreeMap::from([(partition, (start, mark))]), |message| {
            let headers = message.headers();
            let found = headers.and_then(|headers| headers.iter().find(|one| one.key == header));
            let value = found.map(|one| one.value.unwrap_or_default());
            goes_on = goes_on && each(message.offset(), value);
            goes_on
        })
    }

    /// Drops the partitions whose position has reached their mark: end-of-partition events carry the position
    /// past the control records at the end of a transaction.
    fn close_reached(&self, open: &mut BTreeMap<i32, i64>, progress: &mut Instant) -> Result<()> {
        let positions = self.committed.position().map_err(|e| {
            kafka_error(
                format!("asking for the position in topic `{}`", self.topic),
                e,
            )
        })?;
        for element in positions.elements() {
            if let (Offset::Offset(at), Some(mark)) =
                (element.offset(), open.get(&element.partition()))
                && at >= *mark
            {
                open.remove(&element.partition());
                *progress = Instant::now();
            }
        }
        Ok(())
    }
}

impl Drop for PartitionReader {
    fn drop(&mut self) {
        leave(&self.committed);
    }
}

/// Errors after which reading on is pointless.
fn is_final(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::AutoOffsetReset
                | Code::OffsetOutOfRange
        )
    )
}

/// A small compacted topic, held in memory.
pub struct Compacted {
    reader: PartitionReader,
    topic: String,
    /// The next offset to read, by partition.
    next: BTreeMap<i32, i64>,
    values: HashMap<Vec<u8>, Vec<u8>>,
}

impl Compacted {
    /// Reads the whole topic to its present end. Blocking. `Config` if there is no such topic.
    pub fn open(kafka: &KafkaSettings, client_id: &str, topic: &str) -> Result<Self> {
        Compacted::read_by(PartitionReader::new(kafka, client_id, topic)?, topic)
    }

    /// The same; `None` if there is no such topic.
    pub fn open_if_there(
        kafka: &KafkaSettings,
        client_id: &str,
        topic: &str,
    ) -> Result<Option<Self>> {
        let reader = PartitionReader::new(kafka, client_id, topic)?;
        match reader.is_there()? {
            true => Compacted::read_by(reader, topic).map(Some),
            false => Ok(None),
        }
    }

    fn read_by(reader: PartitionReader, topic: &str) -> Result<Self> {
        let mut compacted = Compacted {
            reader,
            topic: topic.to_owned(),
            next: BTreeMap::new(),
            values: HashMap::new(),
        };
        compacted.refresh()?;
        Ok(compacted)
    }

    /// Reads on to the present end; returns the keys that changed.
    pub fn refresh(&mut self) -> Result<Vec<Vec<u8>>> {
        let partitions: Vec<i32> = (0..self.reader.partitions()?).collect();
        let mut ranges = self.reader.marks(&partitions)?;
        for (partition, (start, mark)) in &mut ranges {
            let next = self.next.get(partition).copied().unwrap_or(*start);
            if next > *mark {
                return Err(Error::new(
                    Kind::Data,
                    format!("topic `{}` partition {partition} ends before what was read of it already", self.topic),
                )
                .hint("it was deleted and made anew; stop all workers of this pipeline and look at it"));
            }
            *start = next.max(*start);
        }
        let mut changed = Vec::new();
        let values = &mut self.values;
        self.reader.read(&ranges, |_, key, value| {
            changed.push(key.to_vec());
            match value {
                Some(value) => values.insert(key.to_vec(), value.to_vec()),
                None => values.remove(key),
            };
        })?;
        self.next.extend(
            ranges
                .into_iter()
                .map(|(partition, (_, mark))| (partition, mark)),
        );
        Ok(changed)
    }

    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.values.get(key).map(Vec::as_slice)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.values
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice()))
    }
}

//! Records of a topic: one of ours decoded, with its place in its run; any other as it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::super::memory::compacted;
use super::super::patience::{READING, blocking};
use super::super::words::lake_type;
use super::{PeekedColumn, Row, Slice};
use crate::config::KafkaSettings;
use crate::error::{Error, Result};
use crate::model::{Fingerprint, TableSchema};
use crate::state::PipelineNames;
use crate::topic::{Beside, End, glance};
use crate::wire::{RUN_HEADER, RunHeader};

/// Records of a topic.
#[derive(Clone, Debug, Serialize)]
pub struct PeekedTopic {
    pub topic: String,
    /// The table, where it was asked for by its name.
    pub table: Option<String>,
    pub partitions: Vec<PeekedPartition>,
    /// Whether its records have the header of ours.
    pub is_ours: bool,
    /// Of the newest of these records, where its schema is known.
    pub fingerprint: Option<String>,
    pub columns: Vec<PeekedColumn>,
    pub records: Vec<PeekedRecord>,
}

/// How long a partition is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeekedPartition {
    pub partition: i32,
    pub first_offset: i64,
    pub next_offset: i64,
}

/// A record and all that stands beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeekedRecord {
    pub partition: i32,
    pub offset: i64,
    pub at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunPlace>,
    /// Headers other than the one of a run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Content)>,
    pub key: Content,
    pub value: Content,
}

/// Where a record of ours stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunPlace {
    pub fingerprint: String,
    pub epoch: u64,
    pub sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<String>,
}

/// Bytes as what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Nothing,
    Object(Row),
    Text(String),
    Bytes(Vec<u8>),
}

impl Content {
    /// An object and text are shown as such; whatever else stays bytes.
    pub fn of(bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else {
            return Content::Nothing;
        };
        if let Ok(object) = serde_json::from_slice(bytes) {
            return Content::Object(object);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Content::Text(text.to_owned()),
            Err(_) => Content::Bytes(bytes.to_vec()),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Base64 {
            base64: String,
        }
        match self {
            Content::Nothing => serializer.serialize_none(),
            Content::Object(object) => object.serialize(serializer),
            Content::Text(text) => serializer.serialize_str(text),
            Content::Bytes(bytes) => {
                let base64 = STANDARD.encode(bytes);
                Base64 { base64 }.serialize(serializer)
            }
        }
    }
}

/// Looks at a topic.
pub async fn peek_topic(
    kafka: &KafkaSettings,
    (client_id, pipeline): (&str, &str),
    topic: &str,
    slice: Slice,
) -> Result<PeekedTopic> {
    let end = match slice.from_end {
        true => End::Newest,
        false => End::Oldest,
    };
    let doing = format!("reading topic `{topic}`");
    let (settings, id, name) = (kafka.clone(), client_id.to_owned(), topic.to_owned());
    let glance = blocking(READING, &doing, move || {
        glance(&settings, &id, &name, (slice.rows, end), RUN_HEADER)
    })
    .await?;
    let records: Vec<PeekedRecord> = glance.records.iter().map(record).collect();
    let newest = records
        .iter()
        .max_by_key(|record| (&record.at, record.offset));
    let fingerprint = newest.and_then(|record| record.run.as_ref());
    let fingerprint = fingerprint.map(|run| run.fingerprint.clone());
    let schema = match fingerprint.as_deref().and_then(Fingerprint::parse) {
        Some(fingerprint) => schema_of(kafka, client_id, pipeline, &fingerprint).await?,
        None => None,
    };
    Ok(PeekedTopic {
        topic: topic.to_owned(),
        table: None,
        partitions: glance
            .bounds
            .iter()
            .map(|(partition, (first, next))| PeekedPartition {
                partition: *partition,
                first_offset: *first,
                next_offset: *next,
            })
            .collect(),
        is_ours: fingerprint.is_some(),
        fingerprint,
        columns: schema.iter().flat_map(columns).collect(),
        records,
    })
}

fn columns(schema: &TableSchema) -> Vec<PeekedColumn> {
    let columns = schema.columns.iter();
    columns
        .map(|column| PeekedColumn {
            name: column.name.clone(),
            column_type: lake_type(&column.column_type),
            nullable: column.nullable,
        })
        .collect()
}

/// The schema, if this pipeline knows it: another's topic can be looked at, too.
async fn schema_of(
    kafka: &KafkaSettings,
    client_id: &str,
    pipeline: &str,
    fingerprint: &Fingerprint,
) -> Result<Option<TableSchema>> {
    let topic = PipelineNames::new(pipeline).schemas_topic;
    let schemas = compacted(kafka, client_id, topic).await?;
    let text = schemas
        .as_ref()
        .and_then(|schemas| schemas.get(fingerprint.as_str().as_bytes()));
    let read = text.map(TableSchema::from_canonical_json).transpose();
    read.map_err(|why| {
        Error::new(
            crate::error::Kind::Data,
            format!("reading schema `{fingerprint}`"),
        )
        .because(why)
    })
}

fn record(seen: &Beside) -> PeekedRecord {
    let at = seen.at.and_then(|at| Timestamp::from_millisecond(at).ok());
    let others = seen.headers.iter().filter(|(name, _)| name != RUN_HEADER);
    PeekedRecord {
        partition: seen.partition,
        offset: seen.offset,
        at: at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
        run: seen
            .run
            .as_ref()
            .and_then(|(header, behind)| place(header, *behind)),
        headers: others
            .map(|(name, value)| (name.clone(), Content::of(value.as_deref())))
            .collect(),
        key: Content::of(seen.key.as_deref()),
        value: Content::of(seen.value.as_deref()),
    }
}

/// The place of a record so many offsets behind its run's first; `None` if the run ended before.
fn place(header: &[u8], behind: u64) -> Option<RunPlace> {
    let header = RunHeader::parse(header)?;
    (behind < header.records).then(|| RunPlace {
        fingerprint: header.fingerprint.to_string(),
        epoch: header.epoch,
        sequence: header.first + behind,
        load: header.load.map(|load| load.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_stands_in_the_run_of_the_header_before_it_as_long_as_that_run_is() {
        let header = b"0123456789abcdef.1780000000000.7+3.01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let sequence = |behind| place(header, behind).map(|place| place.sequence);
        assert_eq!([0, 2, 3].map(sequence), [Some(7), Some(9), None]);
        assert_eq!(place(b"foreign", 0), None);
    }

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        let json = |bytes: Option<&[u8]>| serde_json::to_string(&Content::of(bytes)).unwrap();
        assert_eq!(json(None), "null");
        assert_eq!(
            json(Some(br#"{"b":1.10,"a":null}"#)),
            r#"{"b":1.10,"a":null}"#
        );
        assert_eq!(json(Some("매장".as_bytes())), r#""매장""#);
        assert_eq!(json(Some(b"[1]")), r#""[1]""#);
        assert_eq!(json(Some(&[0xff, 0])), r#"{"base64":"/wA="}"#);
    }
}

//! The values of the state topic. JSON, version 1.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::offsets::Placement;
use crate::error::{Error, Kind, Result};
use crate::model::{Copy, Cursor, GuardClass, Micros, Mode, RowHash, Witness};

/// The version every value carries.
const VERSION: u32 = 1;

/// Writes a value with its version.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    #[derive(Serialize)]
    struct Versioned<'a, T> {
        v: u32,
        #[serde(flatten)]
        value: &'a T,
    }
    serde_json::to_vec(&Versioned { v: VERSION, value }).unwrap_or_default()
}

/// Reads a value. `TryLater` for a version this program does not know, `Data` for what is no value at all;
/// `what` names it in the message.
pub fn decode<T: DeserializeOwned>(what: &str, text: &[u8]) -> Result<T> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let doing = || format!("reading {what}");
    let version: Version = serde_json::from_slice(text)
        .map_err(|e| Error::new(Kind::Data, doing()).because(e.to_string()))?;
    if version.v != VERSION {
        return Err(Error::new(
            Kind::TryLater,
            format!("{what} has format version {}", version.v),
        )
        .code(crate::error::Code::NEWER_VERSION)
        .hint("a newer `cdc` wrote it; update this worker"));
    }
    serde_json::from_slice(text).map_err(|e| Error::new(Kind::Data, doing()).because(e.to_string()))
}

/// What a table remembers, apart from its seen window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The table as people write it.
    pub table: String,
    pub topic: String,
    pub mode: Mode,
    /// Raised by every reset; sequences start over at 1 with it.
    pub epoch: u64,
    /// What the table *is*; another identity stops it.
    pub identity: BTreeMap<String, String>,
    /// The columns its cursor is made of.
    pub cursor_columns: Vec<String>,
    /// Partitions of its topic; another count stops it.
    pub partitions: i32,
    /// The next sequence number, by partition.
    pub next: Vec<u64>,
    /// Batches sent: places the rows of a table without a key.
    pub batches: u64,
    /// Rows sent in this epoch.
    pub rows: u64,
    /// Rows rejected in this epoch and not sent since: a value of theirs cannot be carried exactly.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub rejected: u64,
    /// Values sent as NULL in this epoch, because they cannot be carried exactly.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub nulled: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Copy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadHead>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardClass>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sighting: Option<Sighting>,
    #[serde(default)]
    pub paused: bool,
    /// Why the table stands still, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Every row the database had committed by then is sent (µs since 1970, by the worker's clock).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_to: Option<Micros>,
    /// Milliseconds since 1970 by the worker's clock, when this record was written.
    pub written_at: i64,
    /// Which worker wrote it.
    pub worker: String,
}

/// A count that most tables never have is not written.
fn is_none_yet(count: &u64) -> bool {
    *count == 0
}

/// The table as it was seen last, beyond its identity and its columns: what a table that was emptied or
/// restored is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Table, view or materialized view.
    pub kind: String,
    /// What holds its rows, by part of the table; empty where the database does not show it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<String, String>,
    /// The newest number drawn for the id that is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<i128>,
    /// The order of the text columns of its key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub collations: BTreeMap<String, String>,
    /// The newest row that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
}

/// The newest load of a bulk table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadHead {
    /// Dense, from 1: the order of loads is the order of their numbers.
    pub number: u64,
    pub ulid: String,
    pub open: bool,
    /// Milliseconds since 1970 when it began.
    pub began_at: i64,
    pub rows: u64,
    /// The table was begun anew after it: the next load is due at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub void: bool,
}

/// A failure that stops a table until somebody acts or the next tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub text: String,
    /// By what `cdc explain` knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// What keeps a table from working now. For people: nothing is decided by it. Its owner writes it for what a head
/// does not tell, a table that never got one or one whose part of the world does not answer, and removes it when
/// that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The table as people write it.
    pub table: String,
    pub text: String,
    /// By what `cdc explain` knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// Whether it is tried again by itself.
    pub is_retried: bool,
    /// Milliseconds since 1970 when it began.
    pub since: i64,
    /// Which worker met it.
    pub worker: String,
}

/// One minute of the seen window: hashes of rows that were sent and may be read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMinute {
    /// The schema in whose column order the hashes were taken.
    pub fingerprint: String,
    #[serde(with = "packed")]
    pub hashes: Vec<RowHash>,
}

/// How many partitions the state topic was created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub partitions: i32,
}

/// What a request asks of a table's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// One load now, or the initial copy.
    Snapshot,
    /// A new epoch, everything copied anew.
    SnapshotAgain,
    /// Send rejected rows that fit now.
    Replay,
    /// Catch up to the present bound.
    Once,
    Pause,
    Resume,
    Restart,
    /// A new epoch, everything read anew; nothing is void.
    OffsetsReset,
    /// A new epoch, read from another place on; nothing is void.
    OffsetsSet,
    /// One that a newer version knows.
    #[serde(other)]
    Unknown,
}

impl Verb {
    /// Whether it puts the table's cursor elsewhere.
    pub fn moves(self) -> bool {
        matches!(self, Verb::OffsetsReset | Verb::OffsetsSet)
    }

    /// Whether it is carried out at once, so that whoever asks can do it where nobody is at work.
    pub fn is_at_once(self) -> bool {
        self.moves() || matches!(self, Verb::Pause | Verb::Resume | Verb::Restart)
    }
}

/// A request, appended by anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub verb: Verb,
    /// Where `offsets_set` puts the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Placement>,
    /// Who asks, for the log.
    pub by: String,
    /// Milliseconds since 1970; later it is answered with "expired".
    pub expires_at: i64,
}

impl Outcome {
    /// An answer about which nothing else is to be said; `at` in milliseconds since 1970.
    pub fn new(exit: u8, text: impl Into<String>, at: i64) -> Self {
        Outcome {
            exit,
            text: text.into(),
            code: None,
            next_step: None,
            rows: None,
            end_offsets: Vec::new(),
            load: None,
            load_number: None,
            epoch: None,
            at,
        }
    }
}

impl Request {
    /// Whether it is too late to do what is asked; `now` in milliseconds since 1970.
    pub fn is_expired(&self, now: i64) -> bool {
        self.expires_at < now
    }
}

/// The answer, written by the owner in the transaction that carried the request out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The exit code the asker should end with.
    pub exit: u8,
    pub text: String,
    /// By what `cdc explain` knows why the answer is no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// The rows that were copied, loaded or sent for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// How far the sink must come so that all of it is in the lake.
    #[serde(default)]
    pub end_offsets: Vec<EndOffset>,
    /// The load, for a bulk table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<String>,
    /// That load's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_number: Option<u64>,
    /// The epoch that began, where the table was begun anew: files of earlier ones go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Milliseconds since 1970; tombstoned 24 h later.
    pub at: i64,
}

/// The offset after the last record of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndOffset {
    pub topic: String,
    pub partition: i32,
    pub offset: u64,
}

/// Hashes as base64 of 16 little-endian bytes each.
mod packed {
    use super::*;
    use serde::{Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(hashes: &[RowHash], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<RowHash>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| D::Error::custom("the hashes are not base64"))?;
        let chunks = bytes.chunks_exact(16);
        if !chunks.remainder().is_empty() {
            return Err(D::Error::custom("the hashes are cut short"));
        }
        Ok(chunks
            .map(|c| RowHash::from_le_bytes(c.try_into().unwrap_or_default()))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Gap, IncrementingCursor};

    fn head() -> Head {
        Head {
            table: "ec.orders".into(),
            topic: "retail.orders".into(),
            mode: Mode::Incrementing,
            epoch: 1_780_000_000_000,
            identity: BTreeMap::from([("system".into(), "7".into())]),
            cursor_columns: vec!["order_id".into()],
            partitions: 2,
            next: vec![1, 5],
            batches: 3,
            rows: 4,
            rejected: 0,
            nulled: 0,
            fingerprint: None,
            cursor: Some(Cursor::Incrementing(IncrementingCursor {
                highest: Some(u64::MAX.into()),
                gaps: vec![Gap {
                    lo: 1,
                    hi: 2,
                    first_seen: 3,
                }],
            })),
            copy: None,
            load: None,
            guard: Some(GuardClass::Assumed(
                "no transaction outlives 10 minutes".into(),
            )),
            sighting: Some(Sighting {
                kind: "table".into(),
                storage: BTreeMap::from([("16384".into(), "16390".into())]),
                counter: Some(4),
                collations: BTreeMap::new(),
                witness: Some(Witness {
                    key: vec!["4".into()],
                    at: None,
                    hash: "0f".into(),
                    fingerprint: "cbb2f7270bf52392".into(),
                }),
            }),
            paused: false,
            failure: None,
            fresh_to: Some(-5),
            written_at: 6,
            worker: "till-1".into(),
        }
    }

    #[test]
    fn a_head_is_written_and_read_the_same_way_for_ever() {
        let text = r#"{"v":1,"table":"ec.orders","topic":"retail.orders","mode":"incrementing","epoch":1780000000000,"identity":{"system":"7"},"cursor_columns":["order_id"],"partitions":2,"next":[1,5],"batches":3,"rows":4,"cursor":{"incrementing":{"highest":18446744073709551615,"gaps":[{"lo":1,"hi":2,"first_seen":3}]}},"guard":{"class":"assumed","why":"no transaction outlives 10 minutes"},"sighting":{"kind":"table","storage":{"16384":"16390"},"counter":4,"witness":{"key":["4"],"hash":"0f","fingerprint":"cbb2f7270bf52392"}},"paused":false,"fresh_to":-5,"written_at":6,"worker":"till-1"}"#;
        assert_eq!(String::from_utf8(encode(&head())).unwrap(), text);
        assert_eq!(decode::<Head>("a head", text.as_bytes()).unwrap(), head());
    }

    #[test]
    fn requests_are_written_and_read_the_same_way_for_ever() {
        let request = |verb, place| Request {
            verb,
            place,
            by: "till".into(),
            expires_at: 9,
        };
        let value = Some(Placement::Value("1200".into()));
        for (request, text) in [
            (
                request(Verb::Pause, None),
                r#"{"v":1,"verb":"pause","by":"till","expires_at":9}"#,
            ),
            (
                request(Verb::OffsetsSet, value),
                r#"{"v":1,"verb":"offsets_set","place":{"value":"1200"},"by":"till","expires_at":9}"#,
            ),
        ] {
            assert_eq!(String::from_utf8(encode(&request)).unwrap(), text);
            assert_eq!(decode::<Request>("it", text.as_bytes()).unwrap(), request);
        }
        let newer = br#"{"v":1,"verb":"offsets_shake","by":"till","expires_at":9}"#;
        assert_eq!(decode::<Request>("it", newer).unwrap().verb, Verb::Unknown);
    }

    #[test]
    fn a_trouble_is_written_and_read_the_same_way_for_ever() {
        let trouble = Trouble {
            table: "ec.orders".into(),
            text: "connecting: refused".into(),
            code: None,
            next_step: None,
            is_retried: true,
            since: 7,
            worker: "till-1".into(),
        };
        let text = r#"{"v":1,"table":"ec.orders","text":"connecting: refused","is_retried":true,"since":7,"worker":"till-1"}"#;
        assert_eq!(String::from_utf8(encode(&trouble)).unwrap(), text);
        assert_eq!(decode::<Trouble>("it", text.as_bytes()).unwrap(), trouble);
    }

    #[test]
    fn a_minute_keeps_every_hash() {
        let minute = SeenMinute {
            fingerprint: "0123456789abcdef".into(),
            hashes: vec![0, 1, RowHash::MAX],
        };
        assert_eq!(
            decode::<SeenMinute>("a minute", &encode(&minute)).unwrap(),
            minute
        );
    }

    #[test]
    fn an_unknown_version_means_that_a_newer_worker_was_here() {
        let error = decode::<Meta>("the meta record", br#"{"v":2,"partitions":16}"#).unwrap_err();
        assert_eq!(error.kind().exit_code(), 75);
        assert_eq!(
            decode::<Meta>("the meta record", b"{}").unwrap_err().kind(),
            Kind::Data
        );
    }
}

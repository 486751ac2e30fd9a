//! The records of a rejected topic `<topic>.rejected`: rows that cannot be carried exactly, and which of them were
//! sent after all. JSON, version 1; `docs/records.md` has it for its readers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::{decode, encode};
use crate::error::Result;

/// What a record says, without the row itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    Row(RejectedRow),
    /// The row of the record at this offset was sent.
    Replayed(u64),
}

/// A rejected row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RejectedRow {
    /// The column whose value rejected it, and what sort of value that is.
    pub column: String,
    pub kind: String,
    pub epoch: u64,
    /// The bulk load it belongs to.
    #[serde(default)]
    pub load: Option<String>,
    /// ISO 8601, in UTC, by the worker's clock.
    pub rejected_at: String,
    /// The row as in the table's topic, with NULL for what does not fit.
    pub row: Value,
    /// What does not fit: column → {kind, and the value as `text` or `base64`}.
    pub bad: Value,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    table: String,
    replayed: u64,
    epoch: u64,
    replayed_at: String,
}

impl Rejected {
    /// Reads a record's value. Errors as [`decode`].
    pub fn parse(value: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Marker(Marker),
            Row(Box<RejectedRow>),
        }
        Ok(match decode("a rejected row", value)? {
            Either::Marker(marker) => Rejected::Replayed(marker.replayed),
            Either::Row(row) => Rejected::Row(*row),
        })
    }

    /// The value of the record that says so of the row at `offset`.
    pub fn replayed(table: &str, offset: u64, epoch: u64, at: jiff::Timestamp) -> Vec<u8> {
        encode(&Marker {
            table: table.to_owned(),
            replayed: offset,
            epoch,
            replayed_at: at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const ROW: &str = r#"{"v":1,"table":"ec.orders","column":"shipped_at","kind":"a timestamp of infinity","key":{"id":7},"epoch":5,"fingerprint":"0123456789abcdef","rejected_at":"2026-10-01T12:34:56.789000Z","row":{"id":7,"total":19.90,"shipped_at":null},"bad":{"shipped_at":{"kind":"a timestamp of infinity","text":"infinity"}}}"#;

    #[test]
    fn a_rejected_row_is_read_with_every_digit() {
        let Rejected::Row(row) = Rejected::parse(ROW.as_bytes()).unwrap() else {
            panic!("a row");
        };
        assert_eq!((row.column.as_str(), row.epoch), ("shipped_at", 5));
        assert_eq!(row.row["total"].to_string(), "19.90");
        assert_eq!(row.load, None);
    }

    #[test]
    fn a_row_that_was_replayed_is_said_to_be() {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let marker = Rejected::replayed("ec.orders", 41, 5, at);
        insta::assert_snapshot!(String::from_utf8(marker.clone()).unwrap(), @r#"{"v":1,"table":"ec.orders","replayed":41,"epoch":5,"replayed_at":"1970-01-01T00:00:00.000000Z"}"#);
        assert_eq!(Rejected::parse(&marker).unwrap(), Rejected::Replayed(41));
    }

    #[test]
    fn a_record_of_another_program_or_version_is_an_error() {
        let foreign = Rejected::parse(br#"{"v":1,"a":2}"#).unwrap_err();
        assert_eq!(foreign.kind(), Kind::Data);
        let newer = Rejected::parse(br#"{"v":2}"#).unwrap_err();
        assert_eq!(newer.kind(), Kind::TryLater);
    }
}

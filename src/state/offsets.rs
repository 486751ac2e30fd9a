//! Tables' cursors as a document: what `cdc offsets get` and `export` write and `import` reads.
//! JSON, version 1.

use serde::{Deserialize, Serialize};

use super::record::{Head, decode};
use crate::error::{Error, Kind, Result};
use crate::model::{Copy, Cursor, Mode};

/// One table's cursor, apart from its seen window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets {
    /// The table as people write it.
    pub table: String,
    pub mode: Mode,
    /// The columns the cursor is made of.
    pub cursor_columns: Vec<String>,
    /// For people: an import begins an epoch of its own.
    #[serde(default)]
    pub epoch: u64,
    pub cursor: Cursor,
    /// The initial copy; without it, it counts as done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<Copy>,
}

impl Offsets {
    /// What a head says; `None` for a table without a cursor.
    pub fn of(head: &Head) -> Option<Self> {
        Some(Offsets {
            table: head.table.clone(),
            mode: head.mode,
            cursor_columns: head.cursor_columns.clone(),
            epoch: head.epoch,
            cursor: head.cursor.clone()?,
            copy: head.copy.clone(),
        })
    }
}

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetsDocument {
    pub v: u32,
    pub tables: Vec<Offsets>,
}

impl OffsetsDocument {
    pub fn new(tables: Vec<Offsets>) -> Self {
        OffsetsDocument { v: 1, tables }
    }

    /// Reads a document. `TryLater` for one of a newer version, `Usage` for one that cannot be understood or names
    /// a table twice.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let document: OffsetsDocument =
            decode("the document", text).map_err(|error| match error.kind() {
                Kind::Data => Error::new(Kind::Usage, error.to_string())
                    .hint("`cdc offsets export` writes a document of the right form"),
                _ => error,
            })?;
        let mut names: Vec<&str> = document
            .tables
            .iter()
            .map(|one| one.table.as_str())
            .collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(twice) => Err(Error::new(
                Kind::Usage,
                format!("the document names `{}` twice", twice.join("`, `")),
            )),
            None => Ok(document),
        }
    }
}

/// Where `offsets_set` puts a table's reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// As it was written on the command line: the owner has the table's columns at hand.
    Value(String),
    /// As a document has it.
    Offsets(Box<Offsets>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CopyPhase, Gap, IncrementingCursor, Position, TimestampCursor};
    use proptest::prelude::*;

    #[test]
    fn a_document_is_written_and_read_the_same_way_for_ever() {
        let document = OffsetsDocument::new(vec![Offsets {
            table: "ec.orders".into(),
            mode: Mode::Incrementing,
            cursor_columns: vec!["order_id".into()],
            epoch: 7,
            cursor: Cursor::Incrementing(IncrementingCursor {
                highest: Some(u64::MAX.into()),
                gaps: vec![Gap {
                    lo: 1,
                    hi: 2,
                    first_seen: 3,
                }],
            }),
            copy: Some(Copy {
                bound: Some(9),
                after: None,
                phase: CopyPhase::Done,
                rows: 4,
                null_cursors: 0,
            }),
        }]);
        let text = r#"{"v":1,"tables":[{"table":"ec.orders","mode":"incrementing","cursor_columns":["order_id"],"epoch":7,"cursor":{"incrementing":{"highest":18446744073709551615,"gaps":[{"lo":1,"hi":2,"first_seen":3}]}},"copy":{"bound":9,"phase":"done","rows":4,"null_cursors":0}}]}"#;
        assert_eq!(serde_json::to_string(&document).unwrap(), text);
        assert_eq!(OffsetsDocument::parse(text.as_bytes()).unwrap(), document);
    }

    #[test]
    fn a_document_that_cannot_be_understood_is_an_error_with_the_way_out() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"v":1}"#,
            r#"{"v":1,"tables":[{"table":"a"}]}"#,
        ] {
            let error = OffsetsDocument::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.next_step().unwrap().contains("cdc offsets export"));
        }
        let newer = OffsetsDocument::parse(br#"{"v":2,"tables":[]}"#).unwrap_err();
        assert_eq!(newer.kind(), Kind::TryLater);
        let one = r#"{"table":"ec.a","mode":"timestamp","cursor_columns":["at"],"cursor":{"timestamp":{"low":null}}}"#;
        let twice = format!(r#"{{"v":1,"tables":[{one},{one}]}}"#);
        let error = OffsetsDocument::parse(twice.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("twice"));
    }

    proptest! {
        #[test]
        fn no_text_at_all_ends_the_program(text in ".*") {
            let _ = OffsetsDocument::parse(text.as_bytes());
        }

        #[test]
        fn what_is_exported_is_imported_unchanged(at in any::<i64>(), key in proptest::option::of("[0-9]{1,20}")) {
            let low = Some(Position { at, key: key.map(|key| vec![key]) });
            let document = OffsetsDocument::new(vec![Offsets {
                table: "ec.orders".into(),
                mode: Mode::TimestampIncrementing,
                cursor_columns: vec!["at".into(), "id".into()],
                epoch: 1,
                cursor: Cursor::Timestamp(TimestampCursor { low }),
                copy: None,
            }]);
            let text = serde_json::to_string_pretty(&document).unwrap();
            prop_assert_eq!(OffsetsDocument::parse(text.as_bytes()).unwrap(), document);
        }
    }
}

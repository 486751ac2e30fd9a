//! Values that do not fit, while a batch grows: NULL takes their place, and a last column of the batch holds
//! them. Pure, and the same for both databases.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use xxhash_rust::xxh3::xxh3_128;

use super::Described;
use crate::error::{Error, Kind, Result};
use crate::model::{Misfit, Misfits, OnValue, RowHash, Wire};

/// The longest key that a message shows.
const LONGEST_KEY: usize = 200;

impl Described {
    /// What becomes of a value of this column that does not fit.
    fn on_value(&self, column: usize) -> OnValue {
        self.on_value.get(column).copied().unwrap_or_default()
    }

    /// Whether a row may come with a value that does not fit.
    fn may_have_misfits(&self) -> bool {
        let lenient = |on: &OnValue| matches!(on, OnValue::Reject | OnValue::Null);
        self.on_value.iter().any(lenient)
    }

    /// The Arrow schema of the batches a session gives: the table's own, and where rows may come with values
    /// that do not fit, one more column for those. A column whose misfits reject their row is NULL there.
    pub(super) fn batch_schema(&self) -> SchemaRef {
        let own = self.schema.arrow();
        if !self.may_have_misfits() {
            return own;
        }
        let nullable = |(i, field): (usize, &Arc<Field>)| match self.on_value(i) {
            OnValue::Reject => Arc::new(field.as_ref().clone().with_nullable(true)),
            _ => field.clone(),
        };
        let mut fields: Vec<_> = own.fields().iter().enumerate().map(nullable).collect();
        fields.push(Arc::new(Field::new(Misfits::COLUMN, DataType::Utf8, true)));
        Arc::new(Schema::new(fields))
    }
}

/// The values of a growing batch that do not fit.
pub(super) struct Growing {
    /// The row that is being read.
    row: Misfits,
    /// The first value of it that stops the table: its column, and what sort of value it is.
    stop: Option<(usize, &'static str)>,
    /// The batch's last column, where it has one.
    column: Option<StringBuilder>,
}

impl Growing {
    pub(super) fn new(table: &Described) -> Self {
        Growing {
            row: Misfits::default(),
            stop: None,
            column: table.may_have_misfits().then(StringBuilder::new),
        }
    }

    /// Takes in a value that does not fit; its column must get a NULL.
    pub(super) fn add(
        &mut self,
        table: &Described,
        column: usize,
        kind: &'static str,
        wire: impl FnOnce() -> Wire,
    ) {
        let policy = table.on_value(column);
        match policy {
            // Where even the text does not fit, there is no other way.
            OnValue::Stop | OnValue::Text => self.stop = self.stop.or(Some((column, kind))),
            OnValue::Reject | OnValue::Null => {
                let name = table.schema.columns.get(column).map(|c| c.name.clone());
                self.row.0.push(Misfit {
                    column: name.unwrap_or_default(),
                    kind: kind.to_owned(),
                    rejects: policy == OnValue::Reject,
                    wire: wire(),
                });
            }
        }
    }

    /// Ends a row. Gives the value that stops the table, if there is one.
    pub(super) fn end_row(&mut self) -> Option<(usize, &'static str)> {
        if let Some(column) = &mut self.column {
            if self.row.0.is_empty() {
                column.append_null();
            } else {
                column.append_option(serde_json::to_string(&self.row).ok());
                self.row.0.clear();
            }
        }
        self.stop.take()
    }

    /// The batch's last column; it begins anew.
    fn finish(&mut self) -> Option<ArrayRef> {
        self.column
            .as_mut()
            .map(|column| Arc::new(column.finish()) as ArrayRef)
    }

    /// Puts the columns of a batch together; `schema` is that of [`Described::batch_schema`].
    pub(super) fn batch(
        &mut self,
        schema: SchemaRef,
        mut columns: Vec<ArrayRef>,
        rows: usize,
    ) -> std::result::Result<RecordBatch, arrow::error::ArrowError> {
        columns.extend(self.finish());
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(schema, columns, &options)
    }
}

/// Makes the hashes of a batch's rows those of all that came: a row's value that does not fit is NULL in its own
/// column, and another such value there is another version of the row. Rows in which every value fits keep
/// their hashes. `own` is how many columns the table has. Remembered like the hashes themselves, so that it can
/// never change.
pub(super) fn distinguish(batch: &RecordBatch, own: usize, hashes: &mut [RowHash]) -> Result<()> {
    let Some(column) = batch.columns().get(own) else {
        return Ok(());
    };
    if column.null_count() == column.len() {
        return Ok(());
    }
    for (row, hash) in hashes.iter_mut().enumerate() {
        if column.is_null(row) {
            continue;
        }
        let misfits: Misfits = serde_json::from_str(column.as_string::<i32>().value(row))
            .map_err(|e| Error::new(Kind::Bug, "reading the values that do not fit").because(e))?;
        let mut bytes = hash.to_le_bytes().to_vec();
        for Misfit { wire, .. } in &misfits.0 {
            let (Wire::Text(value) | Wire::Base64(value)) = wire;
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        *hash = xxh3_128(&bytes);
    }
    Ok(())
}

/// A value that stops its table: names column, key and what sort of value it is, never the value. `key` are the
/// key's columns, with the row as the last.
pub(super) fn stopped(
    table: &Described,
    column: usize,
    kind: &'static str,
    key: &[ArrayRef],
) -> Error {
    let found = table.schema.columns.get(column);
    let (name, source_type) =
        found.map_or(("?", "?"), |c| (c.name.as_str(), c.source_type.as_str()));
    let hint = match table.on_value(column) {
        OnValue::Text => {
            "correct the row in the database: even as text it cannot be carried".to_owned()
        }
        _ if table.schema.key.contains(&column) => {
            "correct the row in the database: a key must be carried exactly".to_owned()
        }
        _ => format!(
            "correct the row in the database, or write one of these below the table: \
             `on_value: {{ {0}: reject }}` (such rows go to the topic's `.rejected`), \
             `on_value: {{ {0}: \"null\" }}` (NULL in its place), \
             `on_value: {{ {0}: text }}` (the whole column as the database writes it)",
            yaml_key(name)
        ),
    };
    Error::new(Kind::Data, "reading rows")
        .code(crate::error::Code::VALUE_NOT_EXACT)
        .because(format!(
            "column `{name}` ({source_type}) holds {kind}, which cannot be carried exactly, in the row with {}",
            key_in_words(table, key)
        ))
        .about(&table.name)
        .hint(hint)
}

/// A column's name as a key of the configuration file.
fn yaml_key(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_';
    match !name.is_empty() && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// `key id=7, at=2026-10-01T00:00:00Z`.
fn key_in_words(table: &Described, key: &[ArrayRef]) -> String {
    let columns = table.schema.key.iter();
    let columns = columns.filter_map(|i| table.schema.columns.get(*i));
    let parts: Vec<String> = columns
        .zip(key)
        .map(|(column, values)| format!("{}={}", column.name, last_in_words(values)))
        .collect();
    if parts.is_empty() {
        return "no key (the table has none)".to_owned();
    }
    let words = parts.join(", ");
    match words.char_indices().nth(LONGEST_KEY) {
        Some((end, _)) => format!("key {}…", words.get(..end).unwrap_or_default()),
        None => format!("key {words}"),
    }
}

fn last_in_words(values: &ArrayRef) -> String {
    let Some(last) = values.len().checked_sub(1) else {
        return "?".to_owned();
    };
    if values.is_null(last) {
        return "(the value that does not fit)".to_owned();
    }
    let options = FormatOptions::default();
    let formatted = ArrayFormatter::try_new(values.as_ref(), &options)
        .ok()
        .map(|formatter| formatter.value(last).to_string());
    formatted.unwrap_or_else(|| "?".to_owned())
}

#[cfg(test)]
#[path = "misfits_tests.rs"]
mod tests;

//! Rows that fit are told from those that are rejected, and what is sent of these. Pure, apart from the time
//! that each record carries.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::SchemaRef;
use serde_json::Value;
use ulid::Ulid;

use super::committer::KeyedRecord;
use super::runs::LARGEST_RECORD;
use crate::error::{Error, Kind, Result};
use crate::model::{Fingerprint, Misfit, Misfits, TableSchema, Wire};
use crate::wire::JsonEncoder;

/// The rows of a batch, told apart.
pub struct Sorted {
    /// What goes to the table's topic, in the schema's columns.
    pub fitting: RecordBatch,
    /// What goes to the rejected topic, row by row with its reasons.
    pub rejected: RecordBatch,
    pub reasons: Vec<Misfits>,
    /// Values that became NULL in a row that fits: how many, by column and sort of value.
    pub nulled: BTreeMap<(String, String), u64>,
}

/// Tells the rows of one table apart.
pub struct Sorting {
    schema: SchemaRef,
    /// The same columns, where each value that does not fit may be NULL.
    lenient: SchemaRef,
    encoder: JsonEncoder,
    table: String,
}

/// Where and when rows are rejected.
pub struct Rejection<'a> {
    pub epoch: u64,
    pub load: Option<Ulid>,
    pub fingerprint: &'a Fingerprint,
    pub at: jiff::Timestamp,
}

impl Sorting {
    /// For a table whose own topic has `partitions` partitions.
    pub fn new(table: String, schema: &TableSchema, partitions: i32) -> Self {
        let mut lenient = schema.clone();
        for (index, column) in lenient.columns.iter_mut().enumerate() {
            column.nullable |= !schema.key.contains(&index);
        }
        Sorting {
            schema: schema.arrow(),
            lenient: lenient.arrow(),
            encoder: JsonEncoder::new(&lenient, partitions),
            table,
        }
    }

    /// Tells the rows of a batch apart. Costs nothing where every value fits.
    pub fn sort(&self, rows: RecordBatch) -> Result<Sorted> {
        let own = self.schema.fields().len();
        let mut sorted = Sorted {
            fitting: rows,
            rejected: RecordBatch::new_empty(self.lenient.clone()),
            reasons: Vec::new(),
            nulled: BTreeMap::new(),
        };
        let Some(misfits) = sorted.fitting.columns().get(own).cloned() else {
            return Ok(sorted);
        };
        let rows = sorted.fitting;
        if misfits.null_count() == misfits.len() {
            sorted.fitting = columns_of(&rows, own, &self.schema, None)?;
            return Ok(sorted);
        }
        let mut is_rejected = Vec::with_capacity(misfits.len());
        for row in 0..misfits.len() {
            let Some(found) = found_in(misfits.as_ref(), row)? else {
                is_rejected.push(false);
                continue;
            };
            is_rejected.push(found.rejects());
            if found.rejects() {
                sorted.reasons.push(found);
            } else {
                for Misfit { column, kind, .. } in found.0 {
                    *sorted.nulled.entry((column, kind)).or_default() += 1;
                }
            }
        }
        let fits: BooleanArray = is_rejected.iter().map(|rejected| Some(!rejected)).collect();
        let rejected = BooleanArray::from(is_rejected);
        sorted.fitting = columns_of(&rows, own, &self.schema, Some(&fits))?;
        sorted.rejected = columns_of(&rows, own, &self.lenient, Some(&rejected))?;
        Ok(sorted)
    }

    /// The key of each row, as its record has it.
    pub fn keys(&mut self, rows: &RecordBatch) -> Result<Vec<Option<Vec<u8>>>> {
        let bug = |e| Error::new(Kind::Bug, "reading the keys of rows").because(e);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let columns = rows.columns().to_vec();
        let rows = RecordBatch::try_new_with_options(self.lenient.clone(), columns, &options)
            .map_err(bug)?;
        let mut keys = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let encoded = self
                .encoder
                .encode(&rows.slice(row, 1), 0, LARGEST_RECORD)?;
            let records = encoded.iter().flat_map(|records| records.records());
            keys.extend(records.map(|(key, _)| key.map(<[u8]>::to_vec)));
            self.encoder.recycle(encoded);
        }
        Ok(keys)
    }

    /// The records of rejected rows, and the partition of the table's own topic that each would have gone to.
    pub fn records(
        &mut self,
        rows: &RecordBatch,
        reasons: &[Misfits],
        rejection: &Rejection<'_>,
    ) -> Result<Vec<(i32, KeyedRecord)>> {
        let mut records = Vec::with_capacity(reasons.len());
        for (row, reasons) in reasons.iter().enumerate() {
            let encoded = self
                .encoder
                .encode(&rows.slice(row, 1), 0, LARGEST_RECORD)?;
            for of_partition in &encoded {
                for (key, value) in of_partition.records() {
                    let value = value_of(&self.table, key, value, reasons, rejection)?;
                    let key = key.map(<[u8]>::to_vec);
                    records.push((of_partition.partition, KeyedRecord { key, value }));
                }
            }
            self.encoder.recycle(encoded);
        }
        Ok(records)
    }
}

fn found_in(misfits: &dyn Array, row: usize) -> Result<Option<Misfits>> {
    if misfits.is_null(row) {
        return Ok(None);
    }
    let text = misfits.as_string_opt::<i32>().map(|texts| texts.value(row));
    serde_json::from_str(text.unwrap_or_default())
        .map(Some)
        .map_err(|e| Error::new(Kind::Bug, "reading the values that do not fit").because(e))
}

/// The first `own` columns of the rows that are wanted.
fn columns_of(
    rows: &RecordBatch,
    own: usize,
    schema: &SchemaRef,
    wanted: Option<&BooleanArray>,
) -> Result<RecordBatch> {
    let bug = |e| Error::new(Kind::Bug, "telling rejected rows from the others").because(e);
    let count = wanted.map_or(rows.num_rows(), BooleanArray::true_count);
    let columns = rows.columns().iter().take(own);
    let columns = columns
        .map(|column| match wanted {
            Some(wanted) => filter(column, wanted),
            None => Ok(Arc::clone(column)),
        })
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(bug)?;
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(bug)
}

/// The value of a rejected row's record; `docs/records.md` has it for its readers.
fn value_of(
    table: &str,
    key: Option<&[u8]>,
    row: &[u8],
    reasons: &Misfits,
    rejection: &Rejection<'_>,
) -> Result<Vec<u8>> {
    let reason = reasons.reason();
    let text = |text: &str| Value::from(text).to_string();
    let column = text(reason.map_or("", |reason| &reason.column));
    let kind = text(reason.map_or("", |reason| &reason.kind));
    let mut value = Vec::with_capacity(row.len() + 512);
    let mut push = |part: &[u8]| value.extend_from_slice(part);
    push(b"{\"v\":1,\"table\":");
    push(text(table).as_bytes());
    push(format!(",\"column\":{column},\"kind\":{kind},\"key\":").as_bytes());
    push(key.unwrap_or(b"null"));
    push(format!(",\"epoch\":{}", rejection.epoch).as_bytes());
    if let Some(load) = rejection.load {
        push(format!(",\"load\":\"{load}\"").as_bytes());
    }
    let at = rejection.at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    push(
        format!(
            ",\"fingerprint\":\"{}\",\"rejected_at\":\"{at}\",\"row\":",
            rejection.fingerprint
        )
        .as_bytes(),
    );
    push(row);
    push(b",\"bad\":{");
    for (
        i,
        Misfit {
            column, kind, wire, ..
        },
    ) in reasons.0.iter().enumerate()
    {
        let (form, written) = match wire {
            Wire::Text(written) => ("text", written),
            Wire::Base64(written) => ("base64", written),
        };
        let comma = if i > 0 { "," } else { "" };
        let (column, kind, written) = (text(column), text(kind), text(written));
        push(format!("{comma}{column}:{{\"kind\":{kind},\"{form}\":{written}}}").as_bytes());
    }
    push(b"}}");
    let size = key.map_or(0, <[u8]>::len) + value.len();
    match size <= LARGEST_RECORD {
        true => Ok(value),
        false => Err(too_large(key, size, reason)),
    }
}

fn too_large(key: Option<&[u8]>, size: usize, reason: Option<&Misfit>) -> Error {
    let key = key.map_or("no key".into(), |key| {
        format!(
            "key {}",
            String::from_utf8_lossy(key.get(..200).unwrap_or(key))
        )
    });
    let column = reason.map_or("", |reason| &reason.column);
    Error::new(
        Kind::Data,
        format!(
            "the row with {key} is to be rejected for its column `{column}`, and would have {size} bytes as a record \
             of the rejected topic, where at most {LARGEST_RECORD} are allowed"
        ),
    )
    .code(crate::error::Code::ROW_TOO_LARGE)
    .hint("correct the row in the database, or leave its largest column out with `columns: { drop: [COLUMN] }`")
}

#[cfg(test)]
#[path = "sorting_tests.rs"]
mod tests;

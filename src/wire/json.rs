//! One JSON object per row.

use arrow::array::RecordBatch;

use super::PartitionRecords;
use crate::error::{Error, Kind, Result};
use crate::model::TableSchema;

/// Writes batches as JSON records, keyed and partitioned. Its buffers are reused between batches.
pub struct JsonEncoder {
    _schema: TableSchema,
}

impl JsonEncoder {
    /// For a table of this schema whose topic has `partitions` partitions.
    pub fn new(schema: &TableSchema, _partitions: i32) -> Self {
        JsonEncoder {
            _schema: schema.clone(),
        }
    }

    /// The records of `rows` by partition, in batch order within each; partitions without records are left
    /// out. Rows of a table without a key all go to `keyless_partition`.
    ///
    /// Errors: `Data`, naming the column, if a record grows over `largest` bytes.
    pub fn encode(
        &mut self,
        _rows: &RecordBatch,
        _keyless_partition: i32,
        _largest: usize,
    ) -> Result<Vec<PartitionRecords>> {
        Err(Error::new(Kind::Bug, "encoding"))
    }
}

/// Reads records of one schema back into batches.
pub struct JsonDecoder {
    _schema: TableSchema,
}

impl JsonDecoder {
    pub fn new(schema: &TableSchema) -> Self {
        JsonDecoder {
            _schema: schema.clone(),
        }
    }

    /// Reads one record's value. On an error nothing of this record is kept, and those before it stand.
    ///
    /// Errors: `Data`, naming the column and what was found (kind, never the value).
    pub fn push(&mut self, _value: &[u8]) -> Result<()> {
        Err(Error::new(Kind::Bug, "decoding"))
    }

    /// Rows gathered.
    pub fn len(&self) -> usize {
        0
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of values gathered.
    pub fn bytes(&self) -> usize {
        0
    }

    /// The rows gathered so far as a batch; the decoder starts over.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        Err(Error::new(Kind::Bug, "decoding"))
    }
}

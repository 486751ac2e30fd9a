//! Cuts a batch by its partition directories. Pure.

use arrow::array::RecordBatch;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::model::{PartitionBy, TableSchema};

/// Everything that shapes the directories, as a plan freezes it: transforms, zone, tz database version,
/// bucket hash, NULL rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutSpec {
    /// `(name, transform)` in order, e.g. `("dt", "day(ordered_at)")`.
    pub partition_by: Vec<(String, String)>,
    pub zone: String,
    pub tzdb: String,
    pub bucket_hash: String,
    pub null_partition: Option<String>,
}

/// A layout bound to one schema.
pub struct Layout {}

impl Layout {
    /// The spec to freeze in a plan. `source_zone` is what naive timestamps mean, `day_in` where days are cut:
    /// a naive timestamp is cut as it reads if it is meant in `day_in` already, else converted.
    pub fn spec(
        _by: &[PartitionBy],
        _source_zone: &TimeZone,
        _day_in: &TimeZone,
        _null_partition: Option<&str>,
    ) -> LayoutSpec {
        LayoutSpec {
            partition_by: vec![],
            zone: String::new(),
            tzdb: String::new(),
            bucket_hash: String::new(),
            null_partition: None,
        }
    }

    /// Binds a spec to a schema. `Config` if a column is missing or its type does not fit the transform.
    pub fn bind(_spec: &LayoutSpec, _schema: &TableSchema) -> Result<Layout> {
        Err(Error::new(Kind::Bug, "binding a layout"))
    }

    /// The rows by directory (`dt=2026-10-01/store=7`, or empty without partitions), batch order kept in each.
    pub fn cut(&self, _rows: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
        Err(Error::new(Kind::Bug, "cutting a batch"))
    }
}

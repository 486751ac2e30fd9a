//! Cuts a batch by its partition directories. Pure.
//!
//! Each level turns its column into one small number per row (`values.rs`); the levels' numbers are folded
//! into one, and the rows of each number are taken in batch order. Per row there are additions and look-ups,
//! and nothing is allocated; per batch and distinct value there is one directory name.

mod bucket;
mod calendar;
mod values;
mod zone;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::model::{PartitionBy, TableSchema, Transform, percent_encode};

use values::{Groups, Rule};
use zone::Zones;

/// The only bucket hash there is: Iceberg's. A plan that names another was made by a newer `cdc`.
const BUCKET_HASH: &str = "murmur3_x86_32";

/// The longest `name=value` in bytes: what a file system takes as one directory name.
const LONGEST_DIRECTORY: usize = 255;

/// Everything that shapes the directories, as a plan freezes it: transforms, zones, the zones' rules, bucket
/// hash, NULL rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutSpec {
    /// `(name, transform)` in order, e.g. `("dt", "day(ordered_at)")`.
    pub partition_by: Vec<(String, String)>,
    /// Where days are cut.
    pub zone: String,
    /// What timestamps without zone mean.
    pub source_zone: String,
    /// 16 hexadecimal digits over both zones' rules, as this machine's time zone database has them.
    pub tzdb: String,
    pub bucket_hash: String,
    pub null_partition: Option<String>,
}

/// A layout bound to one schema.
pub struct Layout {
    levels: Vec<Level>,
    zones: Zones,
    null_partition: Option<String>,
    null_rows: AtomicU64,
}

/// One level of directories.
struct Level {
    /// Left of the `=`, percent-encoded.
    name: String,
    position: usize,
    column: String,
    rule: Rule,
}

impl Layout {
    /// The spec to freeze in a plan. `source_zone` is what naive timestamps mean, `day_in` where days are cut:
    /// a naive timestamp is cut as it reads if it is meant in `day_in` already, else converted.
    pub fn spec(
        by: &[PartitionBy],
        source_zone: &TimeZone,
        day_in: &TimeZone,
        null_partition: Option<&str>,
    ) -> LayoutSpec {
        LayoutSpec {
            partition_by: by
                .iter()
                .map(|level| (level.name.clone(), level.transform.to_string()))
                .collect(),
            zone: zone::name(day_in),
            source_zone: zone::name(source_zone),
            tzdb: zone::rules(&[day_in, source_zone]),
            bucket_hash: BUCKET_HASH.into(),
            null_partition: null_partition.map(str::to_owned),
        }
    }

    /// Binds a spec to a schema. `Config` if a column is missing, its type does not fit the transform, or a
    /// name is a column's; `TryLater` if this `cdc` or this machine's time zone database would cut the rows
    /// in another way than the one that made the spec.
    pub fn bind(spec: &LayoutSpec, schema: &TableSchema) -> Result<Layout> {
        if spec.bucket_hash != BUCKET_HASH {
            return Err(Error::new(
                Kind::TryLater,
                format!("the bucket hash `{}` is not known", spec.bucket_hash),
            )
            .hint("a newer `cdc` made this layout: let it go on, or upgrade this one"));
        }
        if spec.null_partition.as_deref() == Some("") {
            return Err(
                config("`null_partition` is empty".into()).hint("give it a value, such as `none`")
            );
        }
        let mut levels: Vec<Level> = Vec::with_capacity(spec.partition_by.len());
        for (name, transform) in &spec.partition_by {
            if levels
                .iter()
                .any(|level| level.name.eq_ignore_ascii_case(&percent_encode(name)))
            {
                return Err(config(format!("two partitions have the name `{name}`")));
            }
            levels.push(bind_level(name, transform, schema)?);
        }
        let zones = Zones::parse(&spec.zone, &spec.source_zone)?;
        if levels.iter().any(|level| level.rule.needs_zone()) && zones.rules() != spec.tzdb {
            return Err(Error::new(
                Kind::TryLater,
                format!("the time zone database has other rules for `{}` than where this layout was made", spec.zone),
            )
            .code(crate::error::Code::OTHER_TIME_ZONE_RULES)
        .hint("give all workers the same time zone database (the package `tzdata`)"));
        }
        let null_partition = spec.null_partition.clone();
        Ok(Layout {
            levels,
            zones,
            null_partition,
            null_rows: AtomicU64::new(0),
        })
    }

    /// The rows by directory (`dt=2026-10-01/store=7`, or empty without partitions), batch order kept in each;
    /// directories in the order of their first row. A batch without rows has no directories.
    ///
    /// Columns after the schema's own are carried along. Errors: `Data`, naming the column, for NULL or empty
    /// text where no `null_partition` is set, and for a value too long for a directory's name.
    pub fn cut(&self, rows: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let mut levels = self.levels.iter();
        let Some(first) = levels.next() else {
            return Ok(vec![(String::new(), rows.clone())]);
        };
        let mut groups = self.groups(first, rows)?;
        for level in levels {
            groups = fold(&groups, &self.groups(level, rows)?);
        }
        take_each(rows, groups)
    }

    /// Rows the NULL rule placed so far: NULL times under 1970, NULL or empty values under `null_partition`.
    pub fn null_rows(&self) -> u64 {
        self.null_rows.load(Ordering::Relaxed)
    }

    fn groups(&self, level: &Level, rows: &RecordBatch) -> Result<Groups> {
        let schema = rows.schema_ref();
        if schema
            .fields()
            .get(level.position)
            .is_none_or(|field| field.name() != &level.column)
        {
            return Err(Error::new(
                Kind::Bug,
                format!("column `{}` is not where the schema has it", level.column),
            ));
        }
        let mut groups = values::group(
            &level.rule,
            &self.zones,
            rows.column(level.position),
            &self.null_partition,
        )
        .map_err(|refusal| refusal.error(&level.column))?;
        for label in &mut groups.labels {
            *label = format!("{}={label}", level.name);
            if label.len() > LONGEST_DIRECTORY {
                return Err(Error::new(
                    Kind::Data,
                    format!(
                        "a value of column `{}` is too long for a directory's name",
                        level.column
                    ),
                )
                .hint(format!(
                    "partition by `bucket(n, {})` instead",
                    level.column
                )));
            }
        }
        self.null_rows
            .fetch_add(groups.null_rows, Ordering::Relaxed);
        Ok(groups)
    }
}

/// Columns named where a partition names none of them.
const NAMES_SHOWN: usize = 12;

/// Binds one level, e.g. `dt` and `day(ordered_at)`.
fn bind_level(name: &str, transform: &str, schema: &TableSchema) -> Result<Level> {
    let parsed = Transform::parse(transform).map_err(|why| {
        config(format!(
            "the partition `{name}: {transform}` cannot be understood"
        ))
        .because(why)
    })?;
    // Readers compare names without case, and a directory's name becomes a column of theirs.
    if let Some(column) = schema
        .columns
        .iter()
        .find(|column| column.name.eq_ignore_ascii_case(name))
    {
        return Err(config(format!(
            "the partition `{name}` has the name of the column `{}`",
            column.name
        ))
        .hint("choose another name: the directory's name becomes a column for every reader"));
    }
    let column = parsed.column();
    let Some(position) = schema.position(column) else {
        let all = schema
            .columns
            .iter()
            .map(|column| format!("`{}`", column.name));
        let some: Vec<String> = all.take(NAMES_SHOWN).collect();
        let more = if schema.columns.len() > NAMES_SHOWN {
            ", …"
        } else {
            ""
        };
        return Err(config(format!(
            "the partition `{name}: {transform}` names no column of the table"
        ))
        .hint(format!(
            "it has {}{more}: name one of them, or leave the partition out",
            some.join(", ")
        )));
    };
    let rule = schema
        .columns
        .get(position)
        .map(|c| Rule::of(&parsed, &c.column_type))
        .unwrap_or(Err("it is missing"));
    let rule = rule.map_err(|why| {
        config(format!(
            "the partition `{name}: {transform}` does not fit its column: {why}"
        ))
    })?;
    Ok(Level {
        name: percent_encode(name),
        position,
        column: column.to_owned(),
        rule,
    })
}

fn config(what: String) -> Error {
    Error::new(Kind::Config, what)
}

/// The groups of two levels, one below the other.
fn fold(outer: &Groups, inner: &Groups) -> Groups {
    let mut found: HashMap<(u32, u32), u32> = HashMap::new();
    let mut labels = Vec::new();
    let mut last = None;
    let pairs = outer.ids.iter().copied().zip(inner.ids.iter().copied());
    let ids = pairs.map(|pair| match last {
        Some((same, id)) if same == pair => id,
        _ => {
            let id = *found.entry(pair).or_insert_with(|| {
                let label = |groups: &Groups, id: u32| {
                    groups.labels.get(id as usize).cloned().unwrap_or_default()
                };
                labels.push(format!("{}/{}", label(outer, pair.0), label(inner, pair.1)));
                labels.len() as u32 - 1
            });
            last = Some((pair, id));
            id
        }
    });
    let ids = ids.collect();
    Groups {
        ids,
        labels,
        null_rows: 0,
    }
}

/// The rows of each group: the batch itself for one group, a slice where a group lies together, else a copy.
fn take_each(rows: &RecordBatch, groups: Groups) -> Result<Vec<(String, RecordBatch)>> {
    let count = groups.labels.len();
    if let (1, Some(label)) = (count, groups.labels.first()) {
        return Ok(vec![(label.clone(), rows.clone())]);
    }
    let mut starts = vec![0_usize; count + 1];
    for id in &groups.ids {
        starts[*id as usize + 1] += 1;
    }
    for i in 0..count {
        starts[i + 1] += starts[i];
    }
    let mut next = starts.clone();
    let mut sorted = vec![0_u32; groups.ids.len()];
    for (row, id) in groups.ids.iter().enumerate() {
        sorted[next[*id as usize]] = row as u32;
        next[*id as usize] += 1;
    }
    let sorted = UInt32Array::from(sorted);
    let mut cut = Vec::with_capacity(count);
    for (i, label) in groups.labels.into_iter().enumerate() {
        let indices = sorted.slice(starts[i], starts[i + 1] - starts[i]);
        let (first, last) = match indices.values().as_ref() {
            [] => continue,
            [only] => (*only as usize, *only as usize),
            [first, .., last] => (*first as usize, *last as usize),
        };
        let together = last - first + 1 == indices.len();
        let taken = if together {
            rows.slice(first, indices.len())
        } else {
            take_record_batch(rows, &indices).map_err(|error| {
                Error::new(Kind::Bug, "taking the rows of a partition").because(error)
            })?
        };
        cut.push((label, taken));
    }
    Ok(cut)
}

#[cfg(test)]
mod tests;

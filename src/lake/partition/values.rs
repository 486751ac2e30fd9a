//! From a column's values to groups of rows and the text of each partition value.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::bucket::{bucket, hash_bytes, hash_decimal, hash_integer};
use super::calendar::{Year, civil};
use super::zone::Zones;
use crate::error::{Error, Kind};
use crate::model::{ColumnType, Transform, percent_encode};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// How one column becomes a partition value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A piece of the calendar, of an instant, a naive timestamp or a date.
    Time {
        unit: Unit,
        column: TimeColumn,
    },
    /// The value itself.
    Value(ColumnType),
    Bucket(u32, ColumnType),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Year,
    Month,
    Day,
    Hour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeColumn {
    Instant,
    Naive,
    Date,
}

impl Rule {
    /// The rule of a transform on a column of this type, or why there is none.
    pub fn of(transform: &Transform, column: &ColumnType) -> Result<Rule, &'static str> {
        let unit = match transform {
            Transform::Year(_) => Unit::Year,
            Transform::Month(_) => Unit::Month,
            Transform::Day(_) => Unit::Day,
            Transform::Hour(_) => Unit::Hour,
            Transform::Column(_) => return value_rule(column),
            Transform::Bucket(n, _) => {
                return match column {
                    ColumnType::Bool
                    | ColumnType::Float32
                    | ColumnType::Float64
                    | ColumnType::List(_) => {
                        Err("`bucket` takes integers, decimals, text, binary, dates and timestamps")
                    }
                    other => Ok(Rule::Bucket(*n, other.clone())),
                };
            }
        };
        let column = match column {
            ColumnType::Timestamp { utc: true } => TimeColumn::Instant,
            ColumnType::Timestamp { utc: false } => TimeColumn::Naive,
            ColumnType::Date if unit == Unit::Hour => return Err("a date has no hour"),
            ColumnType::Date => TimeColumn::Date,
            _ => return Err("it is neither a timestamp nor a date"),
        };
        Ok(Rule::Time { unit, column })
    }

    /// Whether the rules of time zones shape the values.
    pub fn needs_zone(&self) -> bool {
        matches!(
            self,
            Rule::Time {
                column: TimeColumn::Instant | TimeColumn::Naive,
                ..
            }
        )
    }
}

fn value_rule(column: &ColumnType) -> Result<Rule, &'static str> {
    match column {
        ColumnType::Timestamp { .. } => {
            Err("each instant would have a directory; take `day(…)` or `hour(…)` of it")
        }
        ColumnType::Float32 | ColumnType::Float64 => {
            Err("a floating-point number is no partition value")
        }
        ColumnType::Binary => Err("binary is no partition value; take `bucket(n, …)` of it"),
        ColumnType::List(_) => Err("a list is no partition value"),
        other => Ok(Rule::Value(other.clone())),
    }
}

/// Which group each row belongs to, and each group's partition value.
#[derive(Debug, PartialEq, Eq)]
pub struct Groups {
    /// One index into `labels` per row.
    pub ids: Vec<u32>,
    pub labels: Vec<String>,
    /// Rows the NULL rule placed.
    pub null_rows: u64,
}

/// Why a column cannot be grouped.
#[derive(Debug)]
pub enum Refusal {
    /// NULL or empty text, and no `null_partition`.
    NoValue,
    /// The array is not of the schema's type.
    OtherType,
}

impl Refusal {
    pub fn error(self, column: &str) -> Error {
        match self {
            Refusal::NoValue => {
                Error::new(Kind::Data, format!("column `{column}` is empty in a row, and the row's partition is its value"))
                    .code(crate::error::Code::EMPTY_PARTITION_VALUE)
                    .hint(format!("set `null_partition:` on this table, or partition by another column than `{column}`"))
            }
            Refusal::OtherType => Error::new(Kind::Bug, format!("column `{column}` is not of its schema's type")),
        }
    }
}

/// Groups the rows by one column's partition value.
pub fn group(
    rule: &Rule,
    zones: &Zones,
    array: &ArrayRef,
    null_partition: &Option<String>,
) -> Result<Groups, Refusal> {
    let groups = match rule {
        Rule::Time { unit, column } => return group_times(*unit, *column, zones, array),
        Rule::Value(ColumnType::Text) => {
            let mut builder = Builder::new(array.len());
            let texts = array.as_string_opt::<i32>().ok_or(Refusal::OtherType)?;
            for text in texts {
                builder.push(text.filter(|text| !text.is_empty()));
            }
            builder.finish(null_partition, |text| percent_encode(text))?
        }
        Rule::Value(ColumnType::Bool) => {
            let mut builder = Builder::new(array.len());
            for value in array.as_boolean_opt().ok_or(Refusal::OtherType)? {
                builder.push(value);
            }
            builder.finish(null_partition, |value| value.to_string())?
        }
        Rule::Value(ColumnType::Date) => numbers::<Date32Type, _>(array, i64::from)?
            .finish(null_partition, |day| Label(Unit::Day, *day).to_string())?,
        Rule::Value(ColumnType::Decimal { scale, .. }) => {
            numbers::<Decimal128Type, _>(array, |value| value)?
                .finish(null_partition, |unscaled| {
                    percent_encode(&decimal(*unscaled, *scale))
                })?
        }
        Rule::Value(ColumnType::UInt64) => numbers::<UInt64Type, _>(array, |value| value)?
            .finish(null_partition, u64::to_string)?,
        Rule::Value(column) => {
            integers(column, array, |value| value)?.finish(null_partition, i64::to_string)?
        }
        Rule::Bucket(n, column) => {
            group_buckets(*n, column, array)?.finish(null_partition, u32::to_string)?
        }
    };
    Ok(groups)
}

/// The bucket of each row. Empty text has a bucket like any other text.
fn group_buckets(n: u32, column: &ColumnType, array: &ArrayRef) -> Result<Builder<u32>, Refusal> {
    let of_integer = |value: i64| bucket(hash_integer(value), n);
    Ok(match column {
        ColumnType::Text => {
            let mut builder = Builder::new(array.len());
            for text in array.as_string_opt::<i32>().ok_or(Refusal::OtherType)? {
                builder.push(text.map(|text| bucket(hash_bytes(text.as_bytes()), n)));
            }
            builder
        }
        ColumnType::Binary => {
            let mut builder = Builder::new(array.len());
            for bytes in array.as_binary_opt::<i32>().ok_or(Refusal::OtherType)? {
                builder.push(bytes.map(|bytes| bucket(hash_bytes(bytes), n)));
            }
            builder
        }
        ColumnType::Decimal { .. } => {
            numbers::<Decimal128Type, _>(array, |value| bucket(hash_decimal(value), n))?
        }
        ColumnType::Timestamp { .. } => numbers::<TimestampMicrosecondType, _>(array, of_integer)?,
        ColumnType::Date => numbers::<Date32Type, _>(array, |day| of_integer(day.into()))?,
        // Iceberg has no unsigned 64 bits; their bits as a signed number agree with it below 2^63.
        ColumnType::UInt64 => numbers::<UInt64Type, _>(array, |value| of_integer(value as i64))?,
        column => integers(column, array, of_integer)?,
    })
}

/// Integers that fit 64 signed bits.
fn integers<K: Copy + Eq + Hash>(
    column: &ColumnType,
    array: &ArrayRef,
    key: impl Fn(i64) -> K,
) -> Result<Builder<K>, Refusal> {
    match column {
        ColumnType::Int8 => numbers::<Int8Type, _>(array, |value| key(value.into())),
        ColumnType::Int16 => numbers::<Int16Type, _>(array, |value| key(value.into())),
        ColumnType::Int32 => numbers::<Int32Type, _>(array, |value| key(value.into())),
        ColumnType::Int64 => numbers::<Int64Type, _>(array, key),
        ColumnType::UInt8 => numbers::<UInt8Type, _>(array, |value| key(value.into())),
        ColumnType::UInt16 => numbers::<UInt16Type, _>(array, |value| key(value.into())),
        ColumnType::UInt32 => numbers::<UInt32Type, _>(array, |value| key(value.into())),
        _ => Err(Refusal::OtherType),
    }
}

fn numbers<T: ArrowPrimitiveType, K: Copy + Eq + Hash>(
    array: &ArrayRef,
    key: impl Fn(T::Native) -> K,
) -> Result<Builder<K>, Refusal> {
    let mut builder = Builder::new(array.len());
    let array: &PrimitiveArray<T> = array.as_primitive_opt().ok_or(Refusal::OtherType)?;
    if array.null_count() == 0 {
        array
            .values()
            .iter()
            .for_each(|value| builder.push(Some(key(*value))));
    } else {
        array.iter().for_each(|value| builder.push(value.map(&key)));
    }
    Ok(builder)
}

/// Groups by a piece of the calendar. NULL counts as 1970-01-01 00:00.
fn group_times(
    unit: Unit,
    column: TimeColumn,
    zones: &Zones,
    array: &ArrayRef,
) -> Result<Groups, Refusal> {
    let mut clock = match column {
        TimeColumn::Instant => zones.of_instants(),
        TimeColumn::Naive | TimeColumn::Date => zones.of_readings(),
    };
    let epoch = unit.of_day(0);
    let mut builder = Builder::new(array.len());
    if column == TimeColumn::Date {
        let days = array
            .as_primitive_opt::<Date32Type>()
            .ok_or(Refusal::OtherType)?;
        days.iter()
            .for_each(|day| builder.push(Some(day.map_or(epoch, |day| unit.of_day(day.into())))));
    } else {
        let times = array
            .as_primitive_opt::<TimestampMicrosecondType>()
            .ok_or(Refusal::OtherType)?;
        let mut key = |micros: i64| unit.of_reading(clock.local(micros));
        if times.null_count() == 0 {
            times
                .values()
                .iter()
                .for_each(|micros| builder.push(Some(key(*micros))));
        } else {
            times
                .iter()
                .for_each(|micros| builder.push(Some(micros.map_or(epoch, &mut key))));
        }
    }
    let groups = builder.finish(&None, |number| Label(unit, *number).to_string())?;
    Ok(Groups {
        null_rows: array.null_count() as u64,
        ..groups
    })
}

impl Unit {
    /// The number of the year, month, day or hour a reading lies in.
    fn of_reading(self, micros: i64) -> i64 {
        match self {
            Unit::Hour => micros.div_euclid(HOUR),
            _ => self.of_day(micros.div_euclid(DAY)),
        }
    }

    fn of_day(self, day: i64) -> i64 {
        match self {
            Unit::Year => civil(day).0,
            Unit::Month => {
                let (year, month, _) = civil(day);
                year * 12 + month - 1
            }
            Unit::Day => day,
            Unit::Hour => day * 24,
        }
    }
}

/// The text of a unit's number: `2026`, `2026-10`, `2026-10-01`, `2026-10-01-14`.
struct Label(Unit, i64);

impl Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Label(unit, number) = *self;
        let day = |f: &mut std::fmt::Formatter<'_>, number| {
            let (year, month, day) = civil(number);
            write!(f, "{}-{month:02}-{day:02}", Year(year))
        };
        match unit {
            Unit::Year => write!(f, "{}", Year(number)),
            Unit::Month => write!(
                f,
                "{}-{:02}",
                Year(number.div_euclid(12)),
                number.rem_euclid(12) + 1
            ),
            Unit::Day => day(f, number),
            Unit::Hour => {
                day(f, number.div_euclid(24))?;
                write!(f, "-{:02}", number.rem_euclid(24))
            }
        }
    }
}

/// A decimal in plain digits with all digits of its scale: `12.50`.
fn decimal(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{fraction}")
}

/// Numbers the distinct keys of a column in the order of their first row.
struct Builder<K> {
    ids: Vec<u32>,
    found: HashMap<K, u32>,
    keys: Vec<Option<K>>,
    last: Option<(K, u32)>,
    null: Option<u32>,
    null_rows: u64,
}

impl<K: Copy + Eq + Hash> Builder<K> {
    fn new(rows: usize) -> Self {
        let ids = Vec::with_capacity(rows);
        Builder {
            ids,
            found: HashMap::new(),
            keys: Vec::new(),
            last: None,
            null: None,
            null_rows: 0,
        }
    }

    #[inline]
    fn push(&mut self, key: Option<K>) {
        let id = match (key, self.last) {
            (Some(key), Some((last, id))) if key == last => id,
            (Some(key), _) => {
                let keys = &mut self.keys;
                let id = *self.found.entry(key).or_insert_with(|| {
                    keys.push(Some(key));
                    keys.len() as u32 - 1
                });
                self.last = Some((key, id));
                id
            }
            (None, _) => {
                self.null_rows += 1;
                let keys = &mut self.keys;
                *self.null.get_or_insert_with(|| {
                    keys.push(None);
                    keys.len() as u32 - 1
                })
            }
        };
        self.ids.push(id);
    }

    /// Names each group. A value that reads as `null_partition` does shares its directory.
    fn finish(
        mut self,
        null_partition: &Option<String>,
        text: impl Fn(&K) -> String,
    ) -> Result<Groups, Refusal> {
        let null_label = null_partition.as_deref().map(percent_encode);
        if self.null.is_some() && null_label.is_none() {
            return Err(Refusal::NoValue);
        }
        let label = |key: &Option<K>| {
            key.as_ref()
                .map(&text)
                .or_else(|| null_label.clone())
                .unwrap_or_default()
        };
        let mut labels: Vec<String> = self.keys.iter().map(label).collect();
        if let (Some(null), Some(label)) = (self.null, null_label)
            && let Some(twin) =
                (0..labels.len()).find(|i| *i != null as usize && labels.get(*i) == Some(&label))
        {
            let (kept, merged) = (null.min(twin as u32), null.max(twin as u32));
            labels.remove(merged as usize);
            for id in &mut self.ids {
                *id = if *id == merged {
                    kept
                } else {
                    *id - u32::from(*id > merged)
                };
            }
        }
        Ok(Groups {
            ids: self.ids,
            labels,
            null_rows: self.null_rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit_of_their_scale() {
        let texts = [(1250, 2), (-5, 2), (0, 3), (7, 0), (i128::MIN, 38)]
            .map(|(value, scale)| decimal(value, scale));
        assert_eq!(
            texts,
            [
                "12.50",
                "-0.05",
                "0.000",
                "7",
                "-1.70141183460469231731687303715884105728"
            ]
        );
    }

    #[test]
    fn a_null_shares_the_directory_of_a_value_that_reads_alike() {
        let mut builder = Builder::new(4);
        [None, Some(7_i64), Some(0), None, Some(9)]
            .into_iter()
            .for_each(|key| builder.push(key));
        let groups = builder
            .finish(&Some("0".into()), i64::to_string)
            .expect("groups");
        assert_eq!(groups.labels, ["0", "7", "9"]);
        assert_eq!((groups.ids, groups.null_rows), (vec![0, 1, 0, 0, 2], 2));
    }
}

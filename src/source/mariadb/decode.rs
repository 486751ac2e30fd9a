//! Types: what each source type becomes, and how its values arrive in the binary protocol. `TYPES.md` is the
//! same table for people; a test holds them equal.

use crate::model::ColumnType;

/// How a value of a column arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// A binary integer.
    Integer,
    /// A binary float of the column's width.
    Float,
    /// ASCII digits, with a point before the fraction.
    Digits,
    /// Text, converted by the server from the column's character set to UTF-8.
    Characters,
    Bytes,
    /// Bytes of one number, the highest first.
    Bits,
    Date,
    Timestamp,
    /// Sign, days, hours, minutes, seconds, microseconds.
    TimeOfDay,
}

/// What a source type becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    Always(Plain),
    /// A decimal of the column's own precision and scale.
    Decimal,
}

/// The column types without parameters that come up here, so that the table can be a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    Text,
    Binary,
    Date,
    WallClock,
    Instant,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapping {
    /// The type's name as the catalog has it, without what stands in parentheses.
    pub(super) source: &'static str,
    pub(super) becomes: Becomes,
    pub(super) wire: Wire,
    /// What `describe` tells the user about such a column.
    pub(super) note: Option<&'static str>,
}

const GEOMETRY: Option<&str> = Some("it is read as the server's bytes: 4 bytes SRID, then WKB");
const TOO_PRECISE: Option<&str> = Some(super::super::decimals::TOO_PRECISE);
const UNKNOWN: Option<&str> =
    Some("this type is not known here: it is read as the text the server shows");

macro_rules! mappings {
    ($($source:literal $becomes:ident $wire:ident $note:expr;)*) => {
        &[$(Mapping { source: $source, becomes: mappings!(@ $becomes), wire: Wire::$wire, note: $note }),*]
    };
    (@ Decimal) => { Becomes::Decimal };
    (@ $plain:ident) => { Becomes::Always(Plain::$plain) };
}

/// Every type of the catalog.
#[rustfmt::skip]
pub(super) const MAPPINGS: &[Mapping] = mappings![
//  source type           becomes    arrives as   note
    "tinyint"             Int8       Integer      None;
    "tinyint unsigned"    UInt8      Integer      None;
    "smallint"            Int16      Integer      None;
    "smallint unsigned"   UInt16     Integer      None;
    "mediumint"           Int32      Integer      None;
    "mediumint unsigned"  UInt32     Integer      None;
    "int"                 Int32      Integer      None;
    "int unsigned"        UInt32     Integer      None;
    "bigint"              Int64      Integer      None;
    "bigint unsigned"     UInt64     Integer      None;
    "decimal"             Decimal    Digits       None;
    "decimal over 38"     Text       Characters   TOO_PRECISE;
    "float"               Float32    Float        None;
    "double"              Float64    Float        None;
    "bit"                 UInt64     Bits         None;
    "year"                Int16      Integer      None;
    "date"                Date       Date         None;
    "datetime"            WallClock  Timestamp    None;
    "timestamp"           Instant    Timestamp    None;
    "time"                Text       TimeOfDay    None;
    "char"                Text       Characters   None;
    "varchar"             Text       Characters   None;
    "tinytext"            Text       Characters   None;
    "text"                Text       Characters   None;
    "mediumtext"          Text       Characters   None;
    "longtext"            Text       Characters   None;
    "json"                Text       Characters   None;
    "enum"                Text       Characters   None;
    "set"                 Text       Characters   None;
    "uuid"                Text       Characters   None;
    "inet4"               Text       Characters   None;
    "inet6"               Text       Characters   None;
    "binary"              Binary     Bytes        None;
    "varbinary"           Binary     Bytes        None;
    "tinyblob"            Binary     Bytes        None;
    "blob"                Binary     Bytes        None;
    "mediumblob"          Binary     Bytes        None;
    "longblob"            Binary     Bytes        None;
    "vector"              Binary     Bytes        None;
    "geometry"            Binary     Bytes        GEOMETRY;
    "point"               Binary     Bytes        GEOMETRY;
    "linestring"          Binary     Bytes        GEOMETRY;
    "polygon"             Binary     Bytes        GEOMETRY;
    "multipoint"          Binary     Bytes        GEOMETRY;
    "multilinestring"     Binary     Bytes        GEOMETRY;
    "multipolygon"        Binary     Bytes        GEOMETRY;
    "geometrycollection"  Binary     Bytes        GEOMETRY;
];

/// What a type that is not in the table becomes: its SELECT casts it.
pub(super) const FALLBACK: Mapping = Mapping {
    source: "any other",
    becomes: Becomes::Always(Plain::Text),
    wire: Wire::Characters,
    note: UNKNOWN,
};

/// The row of a type as [`source_type`] writes it, and the column type it becomes.
pub(super) fn mapping(source_type: &str) -> (&'static Mapping, ColumnType) {
    let end = source_type.find(['(', ' ']).unwrap_or(source_type.len());
    let base = source_type.get(..end).unwrap_or(source_type);
    let (precision, scale) = arguments(source_type);
    let found = match (base, precision) {
        ("decimal", Some(precision)) if precision > 38 => find("decimal over 38"),
        ("tinyint" | "smallint" | "mediumint" | "int" | "bigint", _)
            if source_type.ends_with(" unsigned") =>
        {
            find(&format!("{base} unsigned"))
        }
        _ => find(base),
    };
    let found = found.unwrap_or(&FALLBACK);
    let column_type = match found.becomes {
        Becomes::Always(plain) => plain.column_type(),
        Becomes::Decimal => ColumnType::Decimal {
            precision: precision.unwrap_or(10),
            scale: scale.unwrap_or(0),
        },
    };
    (found, column_type)
}

/// The first two numbers in a type's parentheses: precision and scale, or the digits after the second.
pub(super) fn arguments(source_type: &str) -> (Option<u8>, Option<u8>) {
    let inner = source_type
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map_or("", |(inner, _)| inner);
    let mut numbers = inner.split(',').map(|number| number.trim().parse().ok());
    (numbers.next().flatten(), numbers.next().flatten())
}

/// The catalog's type without what says nothing about values: display widths, zero filling, the members of
/// enumerations, comments. `tinyint(1)` stays, because it is how a boolean is declared.
pub(super) fn source_type(data_type: &str, column_type: &str) -> String {
    let text = column_type
        .split("/*")
        .next()
        .unwrap_or(column_type)
        .trim()
        .replace(" zerofill", "");
    match data_type {
        "enum" | "set" => data_type.to_owned(),
        "tinyint" if text.starts_with("tinyint(1)") => text,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => {
            let unsigned = if text.ends_with(" unsigned") {
                " unsigned"
            } else {
                ""
            };
            format!("{data_type}{unsigned}")
        }
        _ => text,
    }
}

fn find(source: &str) -> Option<&'static Mapping> {
    MAPPINGS.iter().find(|mapping| mapping.source == source)
}

impl Plain {
    pub(super) fn column_type(self) -> ColumnType {
        match self {
            Plain::Int8 => ColumnType::Int8,
            Plain::Int16 => ColumnType::Int16,
            Plain::Int32 => ColumnType::Int32,
            Plain::Int64 => ColumnType::Int64,
            Plain::UInt8 => ColumnType::UInt8,
            Plain::UInt16 => ColumnType::UInt16,
            Plain::UInt32 => ColumnType::UInt32,
            Plain::UInt64 => ColumnType::UInt64,
            Plain::Float32 => ColumnType::Float32,
            Plain::Float64 => ColumnType::Float64,
            Plain::Text => ColumnType::Text,
            Plain::Binary => ColumnType::Binary,
            Plain::Date => ColumnType::Date,
            Plain::WallClock => ColumnType::Timestamp { utc: false },
            Plain::Instant => ColumnType::Timestamp { utc: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::type_page;

    #[test]
    fn the_page_for_people_lists_exactly_this_table() {
        let rows = MAPPINGS.iter().chain([&FALLBACK]);
        let line = |row: &Mapping| {
            let becomes = match row.becomes {
                Becomes::Always(plain) => plain.column_type(),
                Becomes::Decimal => ColumnType::Decimal {
                    precision: 38,
                    scale: 9,
                },
            };
            type_page::line(&[row.source], &[becomes], row.note.unwrap_or(""))
        };
        let lines: Vec<_> = rows.map(line).collect();
        type_page::hold("src/source/mariadb/TYPES.md", &lines);
    }

    #[test]
    fn no_type_is_listed_twice() {
        let names: std::collections::BTreeSet<_> = MAPPINGS.iter().map(|row| row.source).collect();
        assert_eq!(names.len(), MAPPINGS.len());
    }

    #[test]
    fn a_source_type_keeps_only_what_says_something_about_values() {
        for (data_type, column_type, wanted) in [
            ("int", "int(11)", "int"),
            ("bigint", "bigint(20) unsigned zerofill", "bigint unsigned"),
            ("tinyint", "tinyint(1)", "tinyint(1)"),
            ("tinyint", "tinyint(1) unsigned", "tinyint(1) unsigned"),
            ("tinyint", "tinyint(4)", "tinyint"),
            (
                "decimal",
                "decimal(12,2) unsigned zerofill",
                "decimal(12,2) unsigned",
            ),
            ("enum", "enum('a int','b(1)')", "enum"),
            ("datetime", "datetime(6) /* mariadb-5.3 */", "datetime(6)"),
            ("varchar", "varchar(20)", "varchar(20)"),
        ] {
            assert_eq!(source_type(data_type, column_type), wanted);
        }
    }

    #[test]
    fn modifiers_choose_the_column_type() {
        for (source_type, wanted) in [
            ("tinyint(1)", ColumnType::Int8),
            ("tinyint(1) unsigned", ColumnType::UInt8),
            ("bigint unsigned", ColumnType::UInt64),
            (
                "decimal(12,2)",
                ColumnType::Decimal {
                    precision: 12,
                    scale: 2,
                },
            ),
            (
                "decimal(12,2) unsigned",
                ColumnType::Decimal {
                    precision: 12,
                    scale: 2,
                },
            ),
            (
                "decimal(38,38)",
                ColumnType::Decimal {
                    precision: 38,
                    scale: 38,
                },
            ),
            ("decimal(39,0)", ColumnType::Text),
            ("double unsigned", ColumnType::Float64),
            ("timestamp(6)", ColumnType::Timestamp { utc: true }),
            ("xmltype", ColumnType::Text),
        ] {
            assert_eq!(mapping(source_type).1, wanted, "{source_type}");
        }
    }
}

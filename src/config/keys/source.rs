//! The block of a database, and its `defaults`.

use super::Is::{Block, Later, List, Named, Refused, Value, Word};
use super::Without::{Default, InWords, Required};
use super::table::{LOOKBACK, ON_VALUE, PACE, TABLE};
use super::{Form, Key, Shape, none};
use crate::config::{defaults, words};

const BELONGS: &str = "it belongs into `defaults` or to a table";
const ONE_TABLE: &str = "it is said for one table at a time";
const NO_CATALOG: &str = "the catalog is not built yet";

#[rustfmt::skip]
pub(super) static SOURCE: Shape = Shape(&[
    Key::new("url", Value(Form::DatabaseUrl))
        .means("where the database is and how to log in, see [below](#tls-to-the-database)")
        .without(Required)
        .example("url: ${env:EC_URL}"),
    Key::new("time_zone", Value(Form::Zone))
        .means("what timestamps without zone (`timestamp`, DATETIME) mean here: used to compare them with the guard's bound and to cut days. No value is changed")
        .without(Default(|| defaults::ZONE.to_owned(), "it has no daylight saving to guess at"))
        .example("time_zone: Asia/Seoul"),
    Key::new("connections", Value(Form::Count { least: 1, most: defaults::MOST_CONNECTIONS }))
        .means("connections for reading this database at one time; guards take up to three of their own")
        .without(Default(|| defaults::CONNECTIONS.to_string(), "reads in parallel, far below the usual limit of 100"))
        .example("connections: 8"),
    Key::new("defaults", Block(&DEFAULTS)),
    Key::new("tables", Named(&TABLE)).without(Required).example("tables: { orders: { mode: incrementing } }"),
    Key::new("topic_prefix", Value(Form::TopicPrefix))
        .means("begins the names of this source's topics instead of `kafka.topic_prefix`: for sources that have tables of the same names")
        .without(InWords("`kafka.topic_prefix`"))
        .example("topic_prefix: retail.ec."),
    Key::new("include", List(Form::TableGlob))
        .means("the only tables that the globs under `tables` may mean; a table that is named exactly needs no leave")
        .without(InWords("all"))
        .example("include: [shop.*, stock.*]"),
    Key::new("exclude", List(Form::TableGlob))
        .means("tables that no glob under `tables` means; a table that is named exactly is read all the same")
        .without(InWords("none"))
        .example("exclude: [\"*_tmp\", archive.*]"),
    none("mode", Refused(BELONGS)),
    none("every", Refused(BELONGS)),
    none("lookback", Refused(BELONGS)),
]);

#[rustfmt::skip]
static DEFAULTS: Shape = Shape(&[
    Key::new("mode", Value(Form::OneOf(|| words::of(words::MODES))))
        .means("as `mode` of a table")
        .without(InWords("none"))
        .example("mode: incrementing"),
    Key::new("every", Value(Form::Duration))
        .means("as `every` of a table; bulk tables do not inherit it, since a load costs a full read")
        .without(PACE)
        .example("every: 1s"),
    Key::new("lookback", Value(Form::Duration))
        .means("as `lookback` of a table")
        .without(LOOKBACK)
        .example("lookback: 30m"),
    Key::new("timestamp", Value(Form::Column))
        .means("as `timestamp` of a table")
        .without(InWords("none"))
        .example("timestamp: updated_at"),
    Key::new("incrementing", Value(Form::Column))
        .means("as `incrementing` of a table")
        .without(InWords("none"))
        .example("incrementing: id"),
    Key::new("null_partition", Value(Form::Text))
        .means("as `null_partition` of a table")
        .without(InWords("none"))
        .example("null_partition: none"),
    Key::new("columns", Block(&COLUMNS_OF_ALL)),
    Key::new("on_value", Word(Form::OneOf(|| words::of(words::ON_VALUE))))
        .means("as `on_value` of a table, for all columns")
        .without(ON_VALUE)
        .example("on_value: reject"),
    none("freshness", Later("no goal is watched; `cdc status` shows how far each table is")),
    none("owner", Later(NO_CATALOG)),
    none("where", Refused(ONE_TABLE)),
    none("schedule", Refused("each bulk table says when it is loaded, since a load costs a full read")),
    none("allow_unsafe", Refused(ONE_TABLE)),
    none("partition_by", Refused(ONE_TABLE)),
]);

#[rustfmt::skip]
static COLUMNS_OF_ALL: Shape = Shape(&[
    Key::new("drop", List(Form::ColumnGlob))
        .means("columns that are left out of every table that has them, unless the table says `keep`")
        .without(InWords("none"))
        .example("columns: { drop: [\"*_token\"] }"),
    none("keep", Refused(ONE_TABLE)),
    none("mask", Later("values are carried as they are; `drop` leaves a column out")),
]);

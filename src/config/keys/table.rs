//! The block of a table or glob.

use super::Is::{Block, Later, List, Lists, Pairs, Value, Words};
use super::Without::{Default, InWords, Inherited};
use super::{Form, Key, Shape, Without, none};
use crate::config::{defaults, shown, words};
use crate::model::{Mode, OnValue};

/// The pause between polls where nothing is written.
pub(super) const PACE: Without = Default(
    || shown::duration(defaults::EVERY),
    "fresh enough for people, cheap enough for the database",
);

pub(super) const LOOKBACK: Without = Default(
    || shown::duration(defaults::LOOKBACK),
    "longer than a transaction of an application should ever be open",
);

pub(super) const ON_VALUE: Without = Default(
    || words::named(words::ON_VALUE, OnValue::default()),
    "nothing is left out or changed in silence",
);

const EXACT: &str = "types are carried exactly";
const NO_CATALOG: &str = "the catalog is not built yet";
const FOUND: Without =
    InWords("the only one that looks like it, else an error with the candidates");

#[rustfmt::skip]
pub(super) static TABLE: Shape = Shape(&[
    Key::new("mode", Value(Form::OneOf(|| words::of(words::MODES))))
        .means("how the table is read, see below")
        .without(Inherited(&Without::Required))
        .example("mode: bulk"),
    Key::new("timestamp", Value(Form::Column))
        .means("the column with the time of the last change, in the two timestamp modes")
        .without(Inherited(&FOUND))
        .fits(&[Mode::Timestamp, Mode::TimestampIncrementing], "it belongs to timestamp and timestamp+incrementing")
        .example("timestamp: updated_at"),
    Key::new("incrementing", Value(Form::Column))
        .means("the column with the growing id, an integer, in the two incrementing modes")
        .without(Inherited(&FOUND))
        .fits(&[Mode::Incrementing, Mode::TimestampIncrementing], "it belongs to incrementing and timestamp+incrementing")
        .example("incrementing: order_id"),
    Key::new("every", Value(Form::Duration))
        .means("the pause between two polls; for a bulk table between two loads, where there is no default")
        .without(Inherited(&PACE))
        .example("every: 1s"),
    Key::new("schedule", Value(Form::Cron))
        .means("when a bulk table is loaded: minute, hour, day, month, weekday, and a time zone if it is not UTC. Ticks that were missed count as one")
        .without(InWords("none; `cdc follow` needs this or `every` for a bulk table, `cdc snapshot` neither"))
        .fits(&[Mode::Bulk], "it belongs to bulk; other tables are polled `every` so often")
        .example("schedule: \"30 2 * * * Asia/Seoul\""),
    Key::new("topic", Value(Form::TopicName))
        .means("the topic's whole name, without the prefix. One topic carries one table")
        .without(InWords("prefix + table"))
        .example("topic: shop.orders"),
    Key::new("exclude", List(Form::TableGlob))
        .means("tables that a glob does not mean")
        .without(InWords("none"))
        .example("exclude: [log_tmp_*]"),
    Key::new("partition_by", Pairs(Form::Transform))
        .means("directories of the lake, `name: function(column)` in the order written, see [the lake](lake.md#partition-values)")
        .without(InWords("none"))
        .example("partition_by: { dt: day(ordered_at) }"),
    Key::new("null_partition", Value(Form::Text))
        .means("where NULL and empty text go in a plain column or a bucket")
        .without(Inherited(&InWords("none: such a row stops the table")))
        .example("null_partition: none"),
    Key::new("allow_unsafe", Value(Form::Boolean))
        .means("read although the guard is `unsafe`: rows may be missed without a trace")
        .without(Default(|| "false".to_owned(), "a row that is missed leaves no trace"))
        .example("allow_unsafe: true"),
    Key::new("lookback", Value(Form::Duration))
        .means("where the database gives no evidence: how long a transaction may stay open, see [guards](guarantees.md#guards)")
        .without(Inherited(&LOOKBACK))
        .fits(&[Mode::Incrementing, Mode::Timestamp, Mode::TimestampIncrementing], "a load reads everything in one snapshot")
        .example("lookback: 30m"),
    Key::new("columns", Block(&COLUMNS)),
    Key::new("where", Value(Form::Condition))
        .means("the rows that are read, as a condition in the database's SQL, see [columns and rows](#columns-and-rows-that-are-left-out)")
        .without(InWords("all"))
        .example("where: \"status <> 'draft'\""),
    none("types", Later(EXACT)),
    Key::new("decimal", Lists(Form::Digits))
        .means("columns of type `numeric` or `decimal` that become decimals of so many digits, and so many of them behind the point, instead of text. A value that has more of either does not fit; nothing is rounded. A change counts as a change of the table's columns")
        .without(InWords("none: without digits of its own, or with more than 38, a column becomes text"))
        .example("decimal: { price: [38, 9] }"),
    none("time", Later(EXACT)),
    Key::new("on_value", Words(Form::OneOf(|| words::of(words::ON_VALUE))))
        .means("what becomes of a value that its column cannot carry exactly, see [below](#values-that-do-not-fit): one word for all columns, or `{ column: word }` with `\"*\"` for the others")
        .without(Inherited(&ON_VALUE))
        .example("on_value: { shipped_at: \"null\", note: text, \"*\": reject }"),
    none("freshness", Later("no goal is watched; `cdc status` shows how far each table is")),
    none("metadata", Later("timestamp tables carry `cdc_offset`, others nothing")),
    none("event_time", Later("`partition_by: { dt: day(column) }` decides the day")),
    none("description", Later(NO_CATALOG)),
    none("owner", Later(NO_CATALOG)),
    none("query", Later("tables are read as they are")),
]);

#[rustfmt::skip]
static COLUMNS: Shape = Shape(&[
    Key::new("keep", List(Form::ColumnGlob))
        .means("the only columns that are read, see [columns and rows](#columns-and-rows-that-are-left-out)")
        .without(InWords("all"))
        .example("columns: { keep: [order_id, total, updated_at] }"),
    Key::new("drop", List(Form::ColumnGlob))
        .means("columns that are left out")
        .without(InWords("none, beside those of `defaults`"))
        .example("columns: { drop: [card_token] }"),
    none("mask", Later("values are carried as they are; `drop` leaves a column out")),
]);

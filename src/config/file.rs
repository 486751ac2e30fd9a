//! The shape of the file, exactly as it is written: every key, what stands under it, and the keys that are
//! refused with a reason. Whether a tree has this shape is checked here, all of it at once; what its values
//! mean is resolved elsewhere.

use super::nearest::nearest;
use super::problem::{Place, Problem};
use super::tree::{Entry, Node, What};

/// The keys of one block.
pub(super) struct Shape(pub &'static [(&'static str, Is)]);

/// What stands under a key.
pub(super) enum Is {
    /// A single value.
    Value,
    /// A list of values.
    List,
    /// A block of known keys.
    Block(&'static Shape),
    /// Blocks of known keys, under names of the user's choice.
    Named(&'static Shape),
    /// Values under names of the user's choice.
    Pairs,
    /// Lists of values under names of the user's choice.
    Lists,
    /// One word; `null` may be it.
    Word,
    /// One word, or words under names of the user's choice; `null` may be one.
    Words,
    /// Nothing in this version; what happens in its stead.
    Later(&'static str),
    /// Nothing, because of this.
    Refused(&'static str),
}

use Is::{Block, Later, List, Lists, Named, Pairs, Refused, Value, Word, Words};

#[rustfmt::skip]
pub(super) static FILE: Shape = Shape(&[
    ("version",   Value),
    ("pipeline",  Value),
    ("worker",    Value),
    ("memory",    Value),
    ("kafka",     Block(&KAFKA)),
    ("sources",   Named(&SOURCE)),
    ("lake",      Block(&LAKE)),
    ("listen",    Later("no server is built in; `cdc status` says how the tables fare")),
    ("serve",     Later("no server is built in; `cdc status` says how the tables fare")),
    ("schedules", Later("a bulk table has its own `schedule`")),
    ("state",     Later("state is kept in Kafka")),
]);

#[rustfmt::skip]
static KAFKA: Shape = Shape(&[
    ("brokers",         Value),
    ("topic_prefix",    Value),
    ("format",          Value),
    ("topics",          Block(&TOPICS)),
    ("client",          Pairs),
    ("schema_registry", Later("`format: json` needs none")),
    ("security",        Refused("it is written in `client`, e.g. `client: { security.protocol: sasl_ssl }`")),
]);

#[rustfmt::skip]
static TOPICS: Shape = Shape(&[
    ("partitions",  Value),
    ("replication", Value),
    ("retention",   Value),
    ("create",      Later("missing topics are created")),
]);

#[rustfmt::skip]
static SOURCE: Shape = Shape(&[
    ("url",          Value),
    ("time_zone",    Value),
    ("connections",  Value),
    ("defaults",     Block(&DEFAULTS)),
    ("tables",       Named(&TABLE)),
    ("include",      List),
    ("exclude",      List),
    ("topic_prefix", Value),
    ("mode",         Refused("it belongs into `defaults` or to a table")),
    ("every",        Refused("it belongs into `defaults` or to a table")),
    ("lookback",     Refused("it belongs into `defaults` or to a table")),
]);

#[rustfmt::skip]
static DEFAULTS: Shape = Shape(&[
    ("mode",           Value),
    ("every",          Value),
    ("lookback",       Value),
    ("timestamp",      Value),
    ("incrementing",   Value),
    ("null_partition", Value),
    ("columns",        Block(&COLUMNS_OF_ALL)),
    ("on_value",       Word),
    ("freshness",      Later("no goal is watched; `cdc status` shows how far each table is")),
    ("owner",          Later("the catalog is not built yet")),
    ("where",          Refused("it is said for one table at a time")),
    ("schedule",       Refused("each bulk table says when it is loaded, since a load costs a full read")),
    ("allow_unsafe",   Refused("it is said for one table at a time")),
    ("partition_by",   Refused("it is said for one table at a time")),
]);

#[rustfmt::skip]
static TABLE: Shape = Shape(&[
    ("mode",           Value),
    ("timestamp",      Value),
    ("incrementing",   Value),
    ("every",          Value),
    ("schedule",       Value),
    ("topic",          Value),
    ("exclude",        List),
    ("partition_by",   Pairs),
    ("null_partition", Value),
    ("allow_unsafe",   Value),
    ("lookback",       Value),
    ("columns",        Block(&COLUMNS)),
    ("where",          Value),
    ("types",          Later("types are carried exactly")),
    ("decimal",        Lists),
    ("time",           Later("types are carried exactly")),
    ("on_value",       Words),
    ("freshness",      Later("no goal is watched; `cdc status` shows how far each table is")),
    ("metadata",       Later("timestamp tables carry `cdc_offset`, others nothing")),
    ("event_time",     Later("`partition_by: { dt: day(column) }` decides the day")),
    ("description",    Later("the catalog is not built yet")),
    ("owner",          Later("the catalog is not built yet")),
    ("query",          Later("tables are read as they are")),
]);

#[rustfmt::skip]
static COLUMNS: Shape = Shape(&[
    ("keep", List),
    ("drop", List),
    ("mask", Later("values are carried as they are; `drop` leaves a column out")),
]);

#[rustfmt::skip]
static COLUMNS_OF_ALL: Shape = Shape(&[
    ("drop", List),
    ("keep", Refused("it is said for one table at a time")),
    ("mask", Later("values are carried as they are; `drop` leaves a column out")),
]);

#[rustfmt::skip]
static LAKE: Shape = Shape(&[
    ("url",        Value),
    ("endpoint",   Value),
    ("region",     Value),
    ("path_style", Value),
    ("ca_file",    Value),
    ("day_in",     Value),
    ("files",      Block(&FILES)),
    ("types",      Later("types are carried exactly")),
    ("settle",     Later("days are not closed by a marker")),
    ("register",   Later("nothing is registered in a catalog")),
]);

#[rustfmt::skip]
static FILES: Shape = Shape(&[
    ("rows",        Value),
    ("size",        Value),
    ("age",         Value),
    ("compression", Value),
]);

/// What Kafka Connect calls it, and what it is called here.
#[rustfmt::skip]
const KAFKA_CONNECT: &[(&str, &str)] = &[
    ("connection.url",                 "`sources.NAME.url`"),
    ("connection.user",                "the user in `sources.NAME.url`"),
    ("connection.password",            "the password in `sources.NAME.url`"),
    ("table.whitelist",                "`sources.NAME.tables`"),
    ("table.include.list",             "`sources.NAME.tables`"),
    ("table.blacklist",                "`sources.NAME.exclude`, or `exclude` of a glob under `sources.NAME.tables`"),
    ("topic.prefix",                   "`kafka.topic_prefix`"),
    ("poll.interval.ms",               "`every` of a table or of `defaults`"),
    ("timestamp.column.name",          "`timestamp` of a table"),
    ("incrementing.column.name",       "`incrementing` of a table"),
    ("timestamp.delay.interval.ms",    "`lookback`"),
    ("db.timezone",                    "`sources.NAME.time_zone`"),
    ("batch.max.rows",                 "nothing: batches follow from `memory`"),
    ("tasks.max",                      "`sources.NAME.connections`"),
    ("s3.bucket.name",                 "`lake.url`"),
    ("topics.dir",                     "the prefix in `lake.url`"),
    ("flush.size",                     "`lake.files.rows`"),
    ("rotate.interval.ms",             "`lake.files.age`"),
    ("rotate.schedule.interval.ms",    "`lake.files.age`"),
    ("parquet.codec",                  "`lake.files.compression`"),
    ("timezone",                       "`lake.day_in`"),
    ("path.format",                    "`partition_by` of a table"),
    ("partition.field.name",           "`partition_by` of a table"),
];

impl Shape {
    /// What stands under `key`.
    pub fn find(&self, key: &str) -> Option<&'static Is> {
        self.0
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, is)| is)
    }

    /// The key that `word`, which is none, was most likely meant to be.
    pub fn nearest(&self, word: &str) -> Option<&'static str> {
        nearest(word, self.allowed())
    }

    fn allowed(&self) -> impl Iterator<Item = &'static str> {
        let there = |is: &Is| !matches!(is, Later(_) | Refused(_));
        self.0
            .iter()
            .filter(move |(_, is)| there(is))
            .map(|(name, _)| *name)
    }
}

/// `a.b.c`: where something stands, as people say it.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Reports whatever in `node` does not have this shape.
pub(super) fn check(
    node: &Node,
    shape: &Shape,
    path: &str,
    place: Place,
    problems: &mut Vec<Problem>,
) {
    for entry in entries(node, path, place, problems) {
        let path_here = join(path, &entry.key);
        let text = match shape.find(&entry.key) {
            Some(Later(instead)) => format!("`{path_here}` is not there yet: {instead}"),
            Some(Refused(why)) => format!("`{path_here}` cannot be set: {why}"),
            Some(is) => {
                check_under(entry, is, &path_here, problems);
                continue;
            }
            None => unknown(&entry.key, shape, path),
        };
        problems.push(Problem {
            place: entry.place,
            text,
        });
    }
}

/// The entries of what should be a block; an empty one has none.
fn entries<'n>(
    node: &'n Node,
    path: &str,
    place: Place,
    problems: &mut Vec<Problem>,
) -> &'n [Entry] {
    match &node.what {
        What::Block(entries) => entries,
        What::Empty | What::Null(_) | What::Broken => &[],
        other => {
            let whose = if path.is_empty() {
                "the file".to_owned()
            } else {
                format!("`{path}`")
            };
            let text = format!(
                "{whose} must be a block of keys, but is {}",
                other.in_words()
            );
            problems.push(Problem { place, text });
            &[]
        }
    }
}

fn check_under(entry: &Entry, is: &Is, path: &str, problems: &mut Vec<Problem>) {
    let Entry { node, place, .. } = entry;
    match is {
        Value => check_value(node, path, *place, problems),
        Word => check_word(node, path, *place, problems),
        Words => match &node.what {
            What::Block(entries) => {
                for entry in entries {
                    check_word(&entry.node, &join(path, &entry.key), entry.place, problems);
                }
            }
            _ => check_word(node, path, *place, problems),
        },
        Block(shape) => check(node, shape, path, *place, problems),
        Named(shape) => {
            for entry in entries(node, path, *place, problems) {
                check(
                    &entry.node,
                    shape,
                    &join(path, &entry.key),
                    entry.place,
                    problems,
                );
            }
        }
        Pairs => {
            for entry in entries(node, path, *place, problems) {
                check_value(&entry.node, &join(path, &entry.key), entry.place, problems);
            }
        }
        Lists => {
            for entry in entries(node, path, *place, problems) {
                let path = join(path, &entry.key);
                check_list(&entry.node, &path, entry.place, "[38, 9]", problems);
            }
        }
        List => check_list(node, path, *place, "[a, b]", problems),
        Later(_) | Refused(_) => {}
    }
}

fn check_list(node: &Node, path: &str, place: Place, example: &str, problems: &mut Vec<Problem>) {
    match &node.what {
        What::List(items) => {
            for item in items {
                check_value(item, path, item.place, problems);
            }
        }
        What::Broken => {}
        other => {
            let words = other.in_words();
            let text = format!("`{path}` must be a list, e.g. `{example}`, but is {words}");
            problems.push(Problem { place, text });
        }
    }
}

fn check_value(node: &Node, path: &str, place: Place, problems: &mut Vec<Problem>) {
    let text = match &node.what {
        What::Value(_) | What::Broken => return,
        What::Empty | What::Null(_) => {
            format!("`{path}` has no value; write one or remove the key")
        }
        other => format!(
            "`{path}` must be a single value, but is {}",
            other.in_words()
        ),
    };
    problems.push(Problem { place, text });
}

fn check_word(node: &Node, path: &str, place: Place, problems: &mut Vec<Problem>) {
    if !matches!(node.what, What::Null(_)) {
        check_value(node, path, place, problems);
    }
}

fn unknown(key: &str, shape: &Shape, path: &str) -> String {
    let whose = if path.is_empty() {
        "the file".to_owned()
    } else {
        format!("`{path}`")
    };
    if key.contains('@') {
        // Most likely a URL whose key was lost, with its password.
        return format!("this is no key of {whose}; is a `url:` missing before it?");
    }
    if let Some((_, here)) = KAFKA_CONNECT.iter().find(|(name, _)| *name == key) {
        return format!("`{key}` is Kafka Connect's name; here it is {here}");
    }
    if let Some(meant) = shape.nearest(key) {
        return format!("`{key}` is no key of {whose}; did you mean `{meant}`?");
    }
    let allowed: Vec<&str> = shape.allowed().collect();
    format!(
        "`{key}` is no key of {whose}; allowed are {}",
        allowed.join(", ")
    )
}

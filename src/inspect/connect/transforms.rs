//! Single message transforms: a few have an equal, the others are named.

use super::read::Connector;
use super::{Notes, Weight};
use Weight::{Differs, NoEqual, NotNeeded};

/// What the transforms of a source say about columns.
#[derive(Default)]
pub(super) struct Columns {
    pub keep: Vec<String>,
    pub drop: Vec<String>,
}

/// Transforms without an equal: the class's last word, and why.
#[rustfmt::skip]
const WITHOUT: &[(&str, Weight, &str)] = &[
    ("ValueToKey",             NotNeeded, "the key of a record is the primary key of its table"),
    ("ExtractField$Key",       NotNeeded, "the key of a record is the primary key of its table"),
    ("SetSchemaMetadata",      NotNeeded, "no schema stands in a record"),
    ("HoistField",             NoEqual,   "a record is an object of its columns"),
    ("Flatten",                NotNeeded, "a row is flat"),
    ("Cast",                   NotNeeded, "types are carried exactly; cast in a view, or when the lake is read"),
    ("TimestampConverter",     NotNeeded, "times are carried exactly, with microseconds"),
    ("InsertField",            NoEqual,   "nothing is added to a row; a file's name and path say where it comes from"),
    ("InsertHeader",           NoEqual,   "records have no headers but the run's"),
    ("HeaderFrom",             NoEqual,   "records have no headers but the run's"),
    ("DropHeaders",            NotNeeded, "records have no headers but the run's"),
    ("RegexRouter",            NoEqual,   "a topic is `topic_prefix` (`kafka`'s or the source's) and the table's name; `topic:` of a table gives it another"),
    ("TimestampRouter",        NoEqual,   "a table has one topic; days are cut in the lake by `partition_by`"),
    ("Filter",                 NoEqual,   "`where:` of a table says which rows are read, in SQL"),
    ("ExtractField$Value",     NoEqual,   "a record is an object of its columns; `columns: { keep: […] }` leaves the others out"),
    ("ExtractNewRecordState",  NotNeeded, "records are rows, without an envelope"),
];

/// Looks at the transforms of a connector; those of a sink change nothing here.
pub(super) fn read(connector: &Connector, notes: &mut Notes) -> Columns {
    let mut columns = Columns::default();
    for alias in connector.list("transforms") {
        let option = |key: &str| connector.option(&format!("transforms.{alias}.{key}"));
        let list = |key: &str| connector.list(&format!("transforms.{alias}.{key}"));
        let key = format!("transforms.{alias}");
        let class = option("type").unwrap_or_default();
        let class = class.rsplit('.').next().unwrap_or(class);
        let mut say = |weight, text: String| notes.say(&connector.name, &key, weight, text);
        match class {
            "ReplaceField$Value" => {
                let mut drop = list("exclude");
                drop.extend(list("blacklist"));
                let mut keep = list("include");
                keep.extend(list("whitelist"));
                if option("renames").is_some() {
                    say(
                        NoEqual,
                        "columns keep their names; rename in a view, or when the lake is read"
                            .to_owned(),
                    );
                } else if !drop.is_empty() || !keep.is_empty() {
                    say(
                        Differs,
                        "`ReplaceField` is `columns: { drop: […] }` or `{ keep: […] }`".to_owned(),
                    );
                }
                columns.drop.extend(drop);
                columns.keep.extend(keep);
            }
            // Better without the column than with what was to be hidden.
            "MaskField$Value" => {
                let fields = list("fields");
                let text = format!(
                    "values are not masked; `columns` leaves out {} instead",
                    fields.join(", ")
                );
                say(NoEqual, text);
                columns.drop.extend(fields);
            }
            "" => say(NoEqual, "it has no type".to_owned()),
            _ => {
                let plain = class.split('$').next().unwrap_or(class);
                let known = WITHOUT
                    .iter()
                    .find(|(name, _, _)| *name == class || *name == plain);
                match known {
                    Some((_, weight, why)) => say(*weight, format!("`{class}`: {why}")),
                    None => say(NoEqual, format!("`{class}`: no transform runs here")),
                }
            }
        }
    }
    columns
}

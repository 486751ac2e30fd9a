//! A table's first head, and the checks before an old one is believed.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};
use crate::lake::Store;
use crate::model::Mode;
use crate::source::{Chosen, Described, Fixed};
use crate::state::{Head, Sighting};
use crate::topic::Admin;

/// A table that remembers nothing must have left nothing behind: a topic or a lake directory that is not
/// empty means that its memory was lost (another pipeline name, a deleted state topic), and copying it once
/// more would write every row twice.
pub async fn refuse_leftovers(
    admin: &Admin,
    store: &dyn Store,
    chosen: &Chosen,
    partitions: i32,
) -> Result<()> {
    let choices = || {
        format!(
            "if the pipeline was renamed, use its old name; to begin anew, give the table a new `topic:` \
             and delete the directory `{}`",
            store.location(&table_path(chosen))
        )
    };
    for partition in 0..partitions {
        let (_, end) =
            tokio::task::block_in_place(|| admin.bounds(chosen.topic.as_str(), partition))?;
        if end > 0 {
            return Err(Error::new(
                Kind::Config,
                format!(
                    "nothing is remembered of this table, but its topic `{}` is not empty",
                    chosen.topic
                ),
            )
            .about(&chosen.name)
            .code(crate::error::Code::NOTHING_REMEMBERED)
            .hint(choices()));
        }
    }
    if !store
        .list(&format!("{}/", table_path(chosen)))
        .await?
        .is_empty()
    {
        return Err(Error::new(
            Kind::Config,
            "nothing is remembered of this table, but the lake holds files of it",
        )
        .about(&chosen.name)
        .code(crate::error::Code::NOTHING_REMEMBERED)
        .hint(choices()));
    }
    Ok(())
}

/// The newest epoch the lake has plans of, 0 without any: a table that remembers nothing must not begin below it.
pub async fn newest_epoch_in_lake(store: &dyn Store, chosen: &Chosen) -> Result<u64> {
    let below = format!("_cdc/plan/{}/", chosen.topic);
    let epoch = |path: &str| path.strip_prefix(&below)?.split('/').next()?.parse().ok();
    let plans = store.list(&below).await?;
    Ok(plans
        .iter()
        .filter_map(|plan| epoch(&plan.path))
        .max()
        .unwrap_or(0))
}

/// `<source>/<table>`, the table's directory below the lake's root.
pub fn table_path(chosen: &Chosen) -> String {
    chosen.name.directory()
}

/// The head a table begins with. `fixed` is what the copy goes up to, for a cursor table.
pub fn first_head(
    chosen: &Chosen,
    described: &Described,
    cursor_columns: Vec<String>,
    partitions: i32,
    epoch: u64,
    fixed: Option<Fixed>,
    sighting: Sighting,
) -> Head {
    let mode = chosen.settings.mode;
    let (cursor, copy) = fixed.map(|fixed| (fixed.cursor, fixed.copy)).unzip();
    Head {
        table: chosen.name.to_string(),
        topic: chosen.topic.to_string(),
        mode,
        epoch,
        identity: described.identity.clone(),
        cursor_columns,
        partitions,
        next: vec![1; usize::try_from(partitions).unwrap_or_default()],
        batches: 0,
        rows: 0,
        rejected: 0,
        nulled: 0,
        fingerprint: None,
        cursor,
        copy,
        load: None,
        guard: None,
        sighting: Some(sighting),
        paused: false,
        failure: None,
        fresh_to: None,
        written_at: 0,
        worker: String::new(),
    }
}

/// Whether the table's rows go where they went so far. Asked before a topic is made.
pub fn check_topic(head: &Head, chosen: &Chosen) -> Result<()> {
    if head.topic == chosen.topic.as_str() {
        return Ok(());
    }
    let (table, old, new) = (&chosen.name, &head.topic, &chosen.topic);
    Err(Error::new(
        Kind::Config,
        format!("its rows are in topic `{old}`, and the configuration says `{new}`"),
    )
    .about(table)
    .hint(format!(
        "write `topic: {old}` below it to go on there, or `cdc snapshot --again {table}` to copy it anew into `{new}`"
    )))
}

/// Whether what is remembered is about this table. Every load of a bulk table is whole, so there another
/// relation of the same name in the same database will do.
pub fn check_identity(head: &Head, chosen: &Chosen, described: &Described) -> Result<()> {
    let (mut was, mut is) = (head.identity.clone(), described.identity.clone());
    if head.mode == Mode::Bulk {
        was.remove("relation");
        is.remove("relation");
    }
    if was == is {
        return Ok(());
    }
    Err(Error::new(
        Kind::Config,
        format!(
            "this is not the table that was followed so far ({})",
            differences(&was, &is)
        ),
    )
    .code(crate::error::Code::OTHER_TABLE)
    .about(&chosen.name)
    .hint(format!(
        "`cdc snapshot --again {0}` copies it anew; if the old one was put back, `cdc restart {0}`",
        chosen.name
    )))
}

/// Whether the table is read in the way it was begun.
pub fn check_head(
    head: &Head,
    chosen: &Chosen,
    cursor_columns: &[String],
    partitions: i32,
) -> Result<()> {
    let again = format!(
        "`cdc snapshot --again {}` copies it anew under a new epoch",
        chosen.name
    );
    let refuse = |text: String| {
        Err(Error::new(Kind::Config, text)
            .about(&chosen.name)
            .hint(again.clone()))
    };
    if head.mode != chosen.settings.mode {
        return refuse(format!(
            "it was followed in mode `{}`, and the configuration says `{}`",
            head.mode, chosen.settings.mode
        ));
    }
    if head.cursor_columns != cursor_columns {
        return refuse(format!(
            "its cursor was {}, and now would be {}",
            quoted(&head.cursor_columns),
            quoted(cursor_columns)
        ));
    }
    if head.partitions != partitions {
        let refused = refuse(format!(
            "topic `{}` had {} partitions and has {partitions} now, so keys would move between partitions",
            head.topic, head.partitions
        ));
        return refused.map_err(|error| error.code(crate::error::Code::PARTITIONS_CHANGED));
    }
    Ok(())
}

fn quoted(columns: &[String]) -> String {
    columns
        .iter()
        .map(|column| format!("`{column}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn differences(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> String {
    let names = old
        .keys()
        .chain(new.keys().filter(|key| !old.contains_key(*key)));
    let changed = names
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| {
            let value = |map: &BTreeMap<String, String>| {
                map.get(name).cloned().unwrap_or_else(|| "none".to_owned())
            };
            format!("{name} was {} and is {}", value(old), value(new))
        });
    changed.collect::<Vec<_>>().join("; ")
}

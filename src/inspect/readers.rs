//! Where a reader finds a table's rows: what to open, and the view that gives the present ones. Asks no database.

use std::sync::Arc;

use super::broker::Broker;
use super::memory::{Remembered, compacted, remembered};
use super::named::no_such_table;
use super::patience::{PATIENCE, within};
use crate::config::{KafkaSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::lake::CurrentLoad;
use crate::lake::{OFFSET_COLUMN, Store, open_to_read};
use crate::model::{Mode, TableName, TableSchema};
use crate::state::{Head, PipelineNames};
use crate::topic::Admin;

/// What `read_parquet` opens for a table.
pub async fn files_of(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    table: &str,
) -> Result<String> {
    let found = find(settings, kafka, client_id, table).await?;
    found.files().await
}

/// The statement of a DuckDB view with the table's present rows, and a remark about it, if there is one.
pub async fn view_of(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    table: &str,
) -> Result<(String, Option<String>)> {
    let found = find(settings, kafka, client_id, table).await?;
    let files = found.files().await?;
    if !found.head.mode.has_versions() {
        return Ok((view(&found.name.name, &files, None), None));
    }
    let schema = found.schema().await?;
    let key: Vec<&str> = schema
        .key
        .iter()
        .filter_map(|i| schema.columns.get(*i))
        .map(|column| column.name.as_str())
        .collect();
    let timestamp = found.head.cursor_columns.first().ok_or_else(|| {
        Error::new(Kind::Data, "its memory names no timestamp column").about(&found.name)
    })?;
    let versions = Versions {
        key: &key,
        timestamp,
    };
    let remark = key.is_empty().then(|| {
        format!(
            "{} has no primary key: the view holds every version of a row, not only the newest",
            found.name
        )
    });
    Ok((view(&found.name.name, &files, Some(versions)), remark))
}

/// What tells the newest version of a row.
struct Versions<'a> {
    key: &'a [&'a str],
    timestamp: &'a str,
}

/// The statement of the view. `versions` for a table whose files hold versions of a row.
fn view(name: &str, files: &str, versions: Option<Versions<'_>>) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns = match versions {
        Some(_) => format!("* EXCLUDE ({OFFSET_COLUMN})"),
        None => "*".to_owned(),
    };
    let mut sql = format!(
        "CREATE OR REPLACE VIEW {} AS\nSELECT {columns}\nFROM read_parquet('{}', hive_partitioning = false, \
         union_by_name = true)",
        quoted(name),
        files.replace('\'', "''"),
    );
    if let Some(Versions { key, timestamp }) = versions.filter(|versions| !versions.key.is_empty())
    {
        let key: Vec<String> = key.iter().map(|column| quoted(column)).collect();
        sql.push_str(&format!(
            "\nQUALIFY row_number() OVER (PARTITION BY {} ORDER BY {} DESC NULLS LAST, {OFFSET_COLUMN} DESC) = 1",
            key.join(", "),
            quoted(timestamp),
        ));
    }
    sql.push(';');
    sql
}

/// A table that was read, and where everything about it is.
struct Found<'a> {
    settings: &'a Settings,
    kafka: &'a KafkaSettings,
    client_id: &'a str,
    broker: Broker,
    name: TableName,
    head: Head,
}

async fn find<'a>(
    settings: &'a Settings,
    kafka: &'a KafkaSettings,
    client_id: &'a str,
    table: &str,
) -> Result<Found<'a>> {
    let broker = Broker::reach(kafka, client_id).await?;
    let known = remembered(settings, kafka, client_id).await?;
    let Remembered { name, head, .. } = pick(known, table)?;
    match head {
        Some(head) => Ok(Found {
            settings,
            kafka,
            client_id,
            broker,
            head: head?,
            name,
        }),
        None => Err(nothing_yet(&name)),
    }
}

/// The one table that is meant. A bare name will do where only one source has it.
pub(super) fn pick(known: Vec<Remembered>, table: &str) -> Result<Remembered> {
    let names: Vec<String> = known.iter().map(|known| known.name.to_string()).collect();
    // Before a dot a source's name goes before a schema's.
    let is_full = names.iter().any(|full| full == table);
    let is_meant = |name: &TableName| match is_full {
        true => table == name.to_string(),
        false => table == name.short() || table == format!("{}.{}", name.schema, name.name),
    };
    let mut meant: Vec<Remembered> = known
        .into_iter()
        .filter(|known| is_meant(&known.name))
        .collect();
    match (meant.pop(), meant.as_slice()) {
        (Some(only), []) => Ok(only),
        (Some(last), others) => {
            let all = others
                .iter()
                .chain([&last])
                .map(|known| format!("`{}`", known.name));
            let all: Vec<String> = all.collect();
            Err(Error::new(
                Kind::Usage,
                format!("`{table}` could be {}", all.join(" or ")),
            )
            .hint("write the source's name before it"))
        }
        (None, _) => Err(no_such_table(&[table], &names)),
    }
}

pub(super) fn nothing_yet(name: &TableName) -> Error {
    Error::new(Kind::No, "it is not in the lake yet")
        .about(name)
        .hint(format!("`cdc snapshot {name}` brings it there"))
}

impl Found<'_> {
    async fn files(&self) -> Result<String> {
        let place = &self.settings.lake.place;
        let store = within(PATIENCE, "opening the lake", open_to_read(place)).await?;
        let directory = match self.head.mode {
            Mode::Bulk => self.current_load(&store).await?,
            Mode::Incrementing | Mode::Timestamp | Mode::TimestampIncrementing => {
                self.must_have_files().await?;
                self.name.directory()
            }
        };
        Ok(store.location(&format!("{directory}/**/*.parquet")))
    }

    async fn current_load(&self, store: &Arc<dyn Store>) -> Result<String> {
        let current = within(
            PATIENCE,
            "reading the current load",
            CurrentLoad::of(store.as_ref(), &self.name.directory()),
        )
        .await?;
        current
            .map(|current| current.path)
            .ok_or_else(|| nothing_yet(&self.name))
    }

    /// The sink commits an offset only when everything before it is in the lake: where there is none, there is
    /// no file that a reader could open.
    async fn must_have_files(&self) -> Result<()> {
        let group = PipelineNames::new(&self.settings.pipeline).sink_group;
        let topic = self.head.topic.clone();
        let partitions: Vec<_> = (0..self.head.partitions)
            .map(|partition| (topic.clone(), partition))
            .collect();
        let question = move |admin: &Admin| admin.committed(&group, &partitions);
        let committed = self
            .broker
            .ask("asking how far the lake is", question)
            .await?;
        if committed.values().any(|offset| *offset > 0) {
            return Ok(());
        }
        if self.head.rows == 0 {
            return Err(Error::new(
                Kind::No,
                "the table has no rows yet, so the lake has no file of it",
            )
            .about(&self.name));
        }
        Err(
            Error::new(Kind::No, "its rows are in Kafka, not yet in the lake")
                .about(&self.name)
                .hint(format!(
                    "`cdc follow --once {}` brings them there",
                    self.name
                )),
        )
    }

    /// The schema of its newest rows.
    async fn schema(&self) -> Result<TableSchema> {
        let topic = PipelineNames::new(&self.settings.pipeline).schemas_topic;
        let schemas = compacted(self.kafka, self.client_id, topic).await?;
        let fingerprint = self.head.fingerprint.as_deref().unwrap_or_default();
        let text = schemas
            .as_ref()
            .and_then(|schemas| schemas.get(fingerprint.as_bytes()));
        let text = text.ok_or_else(|| {
            Error::new(
                Kind::Data,
                format!("its schema `{fingerprint}` is not in the schemas topic"),
            )
            .about(&self.name)
        })?;
        TableSchema::from_canonical_json(text).map_err(|why| {
            Error::new(Kind::Data, format!("reading schema `{fingerprint}`"))
                .because(why)
                .about(&self.name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_of_versions_holds_each_keys_newest_and_the_tables_own_columns() {
        let versions = Versions {
            key: &["shop", "order \"id\""],
            timestamp: "updated_at",
        };
        insta::assert_snapshot!(view("orders", "s3://lake/raw/ec/orders/**/*.parquet", Some(versions)), @r#"
        CREATE OR REPLACE VIEW "orders" AS
        SELECT * EXCLUDE (cdc_offset)
        FROM read_parquet('s3://lake/raw/ec/orders/**/*.parquet', hive_partitioning = false, union_by_name = true)
        QUALIFY row_number() OVER (PARTITION BY "shop", "order ""id""" ORDER BY "updated_at" DESC NULLS LAST, cdc_offset DESC) = 1;
        "#);
    }

    #[test]
    fn a_view_of_versions_without_a_key_holds_all_of_them() {
        let versions = Versions {
            key: &[],
            timestamp: "at",
        };
        insta::assert_snapshot!(view("log", "/srv/o'clock/ec/log/**/*.parquet", Some(versions)), @r#"
        CREATE OR REPLACE VIEW "log" AS
        SELECT * EXCLUDE (cdc_offset)
        FROM read_parquet('/srv/o''clock/ec/log/**/*.parquet', hive_partitioning = false, union_by_name = true);
        "#);
    }

    #[test]
    fn any_other_view_is_the_files_as_they_are() {
        insta::assert_snapshot!(view("products", "s3://lake/ec/products/snapshot=01ARZ3NDEKTSV4RRFFQ69G5FAV/**/*.parquet", None), @r#"
        CREATE OR REPLACE VIEW "products" AS
        SELECT *
        FROM read_parquet('s3://lake/ec/products/snapshot=01ARZ3NDEKTSV4RRFFQ69G5FAV/**/*.parquet', hive_partitioning = false, union_by_name = true);
        "#);
    }

    fn known(source: &str, schema: &str, name: &str) -> Remembered {
        Remembered {
            trouble: None,
            name: TableName {
                source: source.into(),
                schema: schema.into(),
                name: name.into(),
                in_default_schema: schema == "public",
            },
            head: None,
        }
    }

    #[test]
    fn a_bare_name_will_do_where_only_one_table_has_it() {
        let tables = || {
            vec![
                known("ec", "public", "orders"),
                known("ec", "old", "orders"),
                known("pos", "ec", "orders"),
                known("pos", "public", "sales"),
                known("pos", "public", "orders"),
            ]
        };
        let meant = |table: &str| match pick(tables(), table) {
            Ok(table) => table.name.to_string(),
            Err(error) => format!("{error:?}"),
        };
        insta::assert_snapshot!(["sales", "ec.orders", "old.orders", "orders", "order", "people"].map(meant).join("\n"), @r"
        pos.sales
        ec.orders
        ec.old.orders
        Usage: `orders` could be `ec.orders` or `pos.orders` (next: write the source's name before it)
        Usage: no table is called `order` (next: did you mean `ec.orders`?)
        Usage: no table is called `people` (next: there are ec.orders, ec.old.orders, pos.ec.orders, pos.sales, pos.orders)
        ");
    }
}

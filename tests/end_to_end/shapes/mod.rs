//! Every shape of table: what is left out, odd names, views, partitions, keys that are none. Topic and lake are
//! compared with what the database itself renders.

mod choice;
mod cursors;
mod names;
mod relations;
mod sizes;
mod zones;

use std::collections::BTreeMap;

use arrow::util::display::array_value_to_string;
use cdc::model::TableName;
use serde_json::Value;

use crate::harness::{Database, Engine, Pipeline, eventually};

/// Rows as text, in order.
pub(super) type Texts = Vec<Vec<Option<String>>>;

/// A table under any name in the default schema.
pub(super) fn named(database: &Database, name: &str) -> TableName {
    let schema = match database.engine {
        Engine::Postgres => "public".to_owned(),
        Engine::MariaDb => database.name().to_owned(),
    };
    TableName {
        source: database.engine.source().to_owned(),
        schema,
        name: name.to_owned(),
        in_default_schema: true,
    }
}

/// Waits until topic and lake hold what `sql` gives under these columns, each row once, and nothing else.
pub(super) async fn arrives(
    pipeline: &Pipeline,
    table: &TableName,
    columns: &[&str],
    database: &Database,
    sql: &str,
) {
    let topic = format!("{}{}", pipeline.topic_prefix(), table.escaped());
    arrives_in(pipeline, table, &topic, columns, database, sql).await;
}

pub(super) async fn arrives_in(
    pipeline: &Pipeline,
    table: &TableName,
    topic: &str,
    columns: &[&str],
    database: &Database,
    sql: &str,
) {
    eventually(
        &format!("topic `{topic}` holds what `{sql}` gives"),
        async || {
            let records = pipeline.records_of(topic);
            let found = records
                .iter()
                .map(|record| of_record(&record.value, columns));
            same(database.rows(sql).await, found.collect())
        },
    )
    .await;
    let path = table.directory();
    eventually(&format!("`{path}` holds what `{sql}` gives"), async || {
        let mut found = Texts::new();
        for batch in pipeline
            .files_below(&path)
            .await
            .iter()
            .flat_map(|file| &file.batches)
        {
            let schema = batch.schema();
            let names: Vec<&str> = schema
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .collect();
            let names: Vec<&str> = names
                .into_iter()
                .filter(|name| *name != "cdc_offset")
                .collect();
            assert_eq!(names, columns, "the columns in the lake");
            for row in 0..batch.num_rows() {
                let cell = |name: &&str| {
                    let column = batch.column_by_name(name)?;
                    (!column.is_null(row)).then(|| array_value_to_string(column, row).unwrap())
                };
                found.push(columns.iter().map(cell).collect());
            }
        }
        same(database.rows(sql).await, found)
    })
    .await;
}

pub(super) fn of_record(value: &Value, columns: &[&str]) -> Vec<Option<String>> {
    let object = value.as_object().expect("a record is an object");
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    let (mut sorted, mut wanted) = (names, columns.to_vec());
    sorted.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(sorted, wanted, "the columns of a record");
    let text = |name: &&str| match &object[*name] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    columns.iter().map(text).collect()
}

pub(super) fn same(mut expected: Texts, mut found: Texts) -> Result<(), String> {
    expected.sort();
    found.sort();
    match expected == found {
        true => Ok(()),
        false => {
            let count = |rows: &Texts| {
                let mut counts: BTreeMap<Vec<Option<String>>, usize> = BTreeMap::new();
                rows.iter()
                    .for_each(|row| *counts.entry(row.clone()).or_default() += 1);
                counts
            };
            let (wanted, there) = (count(&expected), count(&found));
            let missing = wanted.iter().find(|(row, n)| there.get(*row) != Some(n));
            let strange = there.iter().find(|(row, n)| wanted.get(*row) != Some(n));
            Err(format!(
                "{} rows of {}; wanted e.g. {missing:?}, there e.g. {strange:?}",
                found.len(),
                expected.len()
            ))
        }
    }
}

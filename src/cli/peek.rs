//! `cdc peek`: some rows of a table, a topic or a file, and what is known about them.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::aligned::{aligned, cut, width_of};
use super::ask::client_id;
use super::ending::ExitCode;
use super::output::{self, Output};
use super::screen::{Screen, harmless, harmless_json};
use super::{Format, as_json};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::inspect::{
    At, Content, FilePlace, Peeked, PeekedColumn, PeekedFile, PeekedRecord, PeekedTable,
    PeekedTopic, Row, Slice, bytes, counted, number, peek, peek_file,
};

/// Columns of a terminal that a value gets before others are narrowed for it, and the fewest it is narrowed to.
const WIDE: usize = 60;
const NARROW: usize = 8;

/// What `--help` says below the options: one line an option leaves room for it.
const MORE: &str = r"A TABLE of the configuration is read in its database (its newest rows, read-only), or where --at says. Of a TOPIC
the newest records come first, with their place; one that is not `cdc`'s is shown as it is. A FILE is a path,
`s3://bucket/key`, or `-` for stdin, and needs no configuration.
`-o json` gives one JSON object a line, with every value whole; text is cut to the terminal's width.

Examples: cdc peek orders -n 3
          cdc peek orders --at topic -o json | jq .value
          cdc peek s3://retail-lake/raw/ec/orders/part.parquet --schema";

/// Shows some rows of a table, a topic or a Parquet file, exactly as they are there.
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub struct Peek {
    /// A table (`orders`, `ec.orders`), a topic, a file, or `-`
    #[arg(value_name = "TABLE|TOPIC|FILE")]
    what: String,
    /// How many rows
    #[arg(short = 'n', long, value_name = "ROWS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rows: u32,
    /// Where a table is looked at: in its database, in its topic, or in its newest file in the lake [default: db]
    #[arg(long, value_name = "PLACE")]
    at: Option<Where>,
    /// The oldest records of a topic, the lowest rows of a table
    #[arg(long, conflicts_with = "from_end")]
    from_start: bool,
    /// The last rows of a file
    #[arg(long)]
    from_end: bool,
    /// Columns, row groups, offsets and metadata instead of rows
    #[arg(long)]
    schema: bool,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Where {
    Db,
    Topic,
    Lake,
}

impl Peek {
    /// `settings` reads the configuration: a file can be looked at without one.
    pub async fn run(
        &self,
        settings: impl FnOnce() -> Result<Settings>,
        output: Output,
    ) -> Result<ExitCode> {
        let peeked = match FilePlace::of(&self.what) {
            Some(place) => {
                if self.at.is_some() {
                    return Err(Error::new(
                        Kind::Usage,
                        "`--at` belongs to a table, and this is a file",
                    ));
                }
                // Only the lake's own bucket may need it.
                let settings = match place {
                    FilePlace::S3(_) => settings().ok(),
                    _ => None,
                };
                let slice = self.slice(self.from_end);
                peek_file(settings.as_ref(), &place, slice)
                    .await
                    .map(Peeked::File)?
            }
            None => {
                let settings = settings()?;
                let at = self.at.map(|at| match at {
                    Where::Db => At::Database,
                    Where::Topic => At::Topic,
                    Where::Lake => At::Lake,
                });
                let slice = self.slice(!self.from_start);
                peek(&settings, &client_id(&settings), &self.what, at, slice).await?
            }
        };
        let screen = Screen::of_stdout();
        let lines = match (self.schema, self.output) {
            (true, Format::Json) => vec![facts_in_json(&peeked)?],
            (true, Format::Text) => facts(&peeked),
            (false, Format::Json) => rows_in_json(&peeked)?,
            (false, Format::Text) => {
                let (lines, remark) = rows(&peeked, screen);
                output::note(&remark);
                lines
            }
        };
        for line in lines {
            match screen.is_terminal() && self.output == Format::Json {
                true => output.line(&harmless_json(&line)),
                false => output.line(&line),
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn slice(&self, from_end: bool) -> Slice {
        Slice {
            rows: usize::try_from(self.rows).unwrap_or(usize::MAX),
            from_end,
        }
    }
}

fn rows_in_json(peeked: &Peeked) -> Result<Vec<String>> {
    let lines: std::result::Result<Vec<String>, _> = match peeked {
        Peeked::Table(table) => table.rows.iter().map(serde_json::to_string).collect(),
        Peeked::File(file) => file.rows.iter().map(serde_json::to_string).collect(),
        Peeked::Topic(topic) => topic.records.iter().map(serde_json::to_string).collect(),
    };
    lines.map_err(|error| Error::new(Kind::Bug, "writing a row as JSON").because(error))
}

/// Everything but the rows.
fn facts_in_json(peeked: &Peeked) -> Result<String> {
    let without = |answer: serde_json::Result<Value>, rows: &str| {
        let mut answer =
            answer.map_err(|e| Error::new(Kind::Bug, "writing the answer as JSON").because(e))?;
        if let Some(object) = answer.as_object_mut() {
            object.remove(rows);
        }
        as_json(&answer)
    };
    match peeked {
        Peeked::Table(table) => without(serde_json::to_value(table), "rows"),
        Peeked::File(file) => without(serde_json::to_value(file), "rows"),
        Peeked::Topic(topic) => without(serde_json::to_value(topic), "records"),
    }
}

fn facts(peeked: &Peeked) -> Vec<String> {
    match peeked {
        Peeked::Table(table) => facts_of_table(table),
        Peeked::File(file) => facts_of_file(file),
        Peeked::Topic(topic) => facts_of_topic(topic),
    }
}

fn facts_of_table(table: &PeekedTable) -> Vec<String> {
    let mut lines = vec![harmless(&table.table).into_owned()];
    if let Some(rows) = table.estimated_rows {
        lines.push(format!("rows     about {}", number(rows)));
    }
    if !table.key.is_empty() {
        lines.push(format!("key      {}", harmless(&table.key.join(", "))));
    }
    lines.push("columns".to_owned());
    let types = table.source_types.iter().map(String::as_str);
    lines.extend(columns(&table.columns, types));
    lines
}

fn facts_of_file(file: &PeekedFile) -> Vec<String> {
    let mut lines = vec![harmless(&file.file).into_owned()];
    let size = file.bytes.map(|size| format!(", {}", bytes(size)));
    let rows = number(file.rows_in_all);
    lines.push(format!("rows     {rows}{}", size.unwrap_or_default()));
    if let Some(by) = &file.created_by {
        lines.push(format!("made by  {}", harmless(by)));
    }
    lines.push(format!("row groups  {}", file.row_groups.len()));
    let groups: Vec<Vec<String>> = file
        .row_groups
        .iter()
        .enumerate()
        .map(|(i, group)| {
            vec![
                format!("  {i}"),
                counted(group.rows, "row", "rows"),
                format!(
                    "{} ({} unpacked)",
                    bytes(group.compressed_bytes),
                    bytes(group.bytes)
                ),
                group.compression.clone(),
            ]
        })
        .collect();
    lines.extend(aligned(&groups));
    if !file.metadata.is_empty() {
        lines.push("footer".to_owned());
        let pairs: Vec<Vec<String>> = file
            .metadata
            .iter()
            .map(|(key, value)| vec![format!("  {}", harmless(key)), harmless(value).into_owned()])
            .collect();
        lines.extend(aligned(&pairs));
    }
    lines.push("columns".to_owned());
    lines.extend(columns(&file.columns, std::iter::repeat("")));
    lines
}

fn facts_of_topic(topic: &PeekedTopic) -> Vec<String> {
    let table = topic.table.as_ref().map(|table| format!(" of {table}"));
    let mut lines = vec![
        harmless(&format!(
            "topic {}{}",
            topic.topic,
            table.unwrap_or_default()
        ))
        .into_owned(),
    ];
    let partitions: Vec<Vec<String>> = topic
        .partitions
        .iter()
        .map(|partition| {
            vec![
                format!("  partition {}", partition.partition),
                format!(
                    "offsets {} to {}",
                    partition.first_offset, partition.next_offset
                ),
            ]
        })
        .collect();
    lines.extend(aligned(&partitions));
    match (&topic.fingerprint, topic.columns.is_empty()) {
        (Some(fingerprint), false) => {
            lines.push(format!("columns (schema {fingerprint})"));
            lines.extend(columns(&topic.columns, std::iter::repeat("")));
        }
        (Some(fingerprint), true) => lines.push(format!(
            "schema {fingerprint}, which this pipeline does not know"
        )),
        (None, _) => lines.push("its records are not `cdc`'s".to_owned()),
    }
    lines
}

fn columns<'a>(columns: &[PeekedColumn], types: impl Iterator<Item = &'a str>) -> Vec<String> {
    let rows: Vec<Vec<String>> = columns
        .iter()
        .zip(types)
        .map(|(column, source_type)| {
            let arrow = if source_type.is_empty() { "" } else { " → " };
            vec![
                format!("  {}", harmless(&column.name)),
                harmless(&format!("{source_type}{arrow}{}", column.column_type)).into_owned(),
                if column.nullable { "" } else { "not null" }.to_owned(),
            ]
        })
        .collect();
    aligned(&rows)
}

/// The rows as a table, and a remark about them for those who read along.
fn rows(peeked: &Peeked, screen: Screen) -> (Vec<String>, String) {
    let (table, remark) = match peeked {
        Peeked::Table(table) => {
            let order = match &table.newest_by {
                Some(column) => format!("ordered by `{column}`"),
                None => "in no order: no index says which are the newest".to_owned(),
            };
            let remark = format!(
                "{}: {}, {order}",
                table.table,
                counted(table.rows.len() as u64, "row", "rows")
            );
            (table_of(&table.columns, &table.rows), remark)
        }
        Peeked::File(file) => {
            let (shown, all) = (file.rows.len(), number(file.rows_in_all));
            let remark = format!(
                "{}: {shown} of {all} rows; --schema shows its footer",
                file.file
            );
            (table_of(&file.columns, &file.rows), remark)
        }
        Peeked::Topic(topic) => (records(topic), told_of(topic)),
    };
    let (lines, left_out) = fitted(&table, screen.width());
    let remark = match left_out {
        0 => remark,
        1 => format!("{remark}; 1 column does not fit, `-o json` has all"),
        left_out => format!("{remark}; {left_out} columns do not fit, `-o json` has all"),
    };
    (lines, harmless(&remark).into_owned())
}

fn told_of(topic: &PeekedTopic) -> String {
    let mut remark = format!("topic {}: {} records", topic.topic, topic.records.len());
    let mut runs = topic
        .records
        .iter()
        .filter_map(|record| record.run.as_ref());
    if let Some(first) = runs.next() {
        if runs.clone().all(|run| run.epoch == first.epoch) {
            remark.push_str(&format!(", epoch {}", first.epoch));
        }
        if let Some(load) = &first.load
            && runs.all(|run| run.load.as_ref() == Some(load))
        {
            remark.push_str(&format!(", load {load}"));
        }
    }
    remark
}

fn table_of(columns: &[PeekedColumn], rows: &[Row]) -> Vec<Vec<String>> {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut table = vec![
        names
            .iter()
            .map(|name| harmless(name).into_owned())
            .collect(),
    ];
    table.extend(rows.iter().map(|row| cells(row, &names)));
    table
}

/// The cells of a row; columns come in one order, and one without a value is empty.
fn cells(row: &Row, names: &[&str]) -> Vec<String> {
    let in_place = |(i, name): (usize, &&str)| match row.0.get(i) {
        Some((key, value)) if key == name => Some(value),
        _ => row.get(name),
    };
    let found = names.iter().enumerate().map(in_place);
    found
        .map(|value| value.map_or_else(String::new, cell))
        .collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => harmless(text).into_owned(),
        other => harmless(&other.to_string()).into_owned(),
    }
}

/// Records of ours as rows behind their places; others as their bytes.
fn records(topic: &PeekedTopic) -> Vec<Vec<String>> {
    let mut names: Vec<&str> = topic
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let are_rows = topic.is_ours
        && topic
            .records
            .iter()
            .all(|record| matches!(record.value, Content::Object(_) | Content::Nothing));
    if are_rows {
        for record in &topic.records {
            if let Content::Object(row) = &record.value {
                let unknown = row.0.iter().map(|(name, _)| name.as_str());
                let unknown: Vec<&str> = unknown.filter(|name| !names.contains(name)).collect();
                names.extend(unknown);
            }
        }
    }
    let mut heading: Vec<String> = ["PARTITION", "OFFSET", "AT"].map(str::to_owned).to_vec();
    match are_rows {
        true => {
            heading.push("SEQUENCE".to_owned());
            heading.extend(names.iter().map(|name| harmless(name).into_owned()));
        }
        false => heading.extend(["KEY", "VALUE", "HEADERS"].map(str::to_owned)),
    }
    let mut table = vec![heading];
    for record in &topic.records {
        let mut row = vec![
            record.partition.to_string(),
            record.offset.to_string(),
            record.at.clone().unwrap_or_else(|| "–".to_owned()),
        ];
        match (&record.value, are_rows) {
            (Content::Object(values), true) => {
                row.push(sequence(record));
                row.extend(cells(values, &names));
            }
            (_, true) => row.push(sequence(record)),
            (value, false) => {
                row.extend([content(&record.key), content(value)]);
                let headers = record.headers.iter();
                let headers: Vec<String> = headers
                    .map(|(name, value)| format!("{}={}", harmless(name), content(value)))
                    .collect();
                row.push(headers.join(" "));
            }
        }
        table.push(row);
    }
    table
}

fn sequence(record: &PeekedRecord) -> String {
    let run = record.run.as_ref();
    run.map_or_else(|| "–".to_owned(), |run| run.sequence.to_string())
}

fn content(content: &Content) -> String {
    match content {
        Content::Nothing => "–".to_owned(),
        Content::Text(text) => harmless(text).into_owned(),
        Content::Object(object) => {
            harmless(&serde_json::to_string(object).unwrap_or_default()).into_owned()
        }
        Content::Bytes(bytes) => {
            let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
            format!("0x{}", hex.collect::<String>())
        }
    }
}

/// A table in lines of at most `width`: the widest columns are narrowed first, and when all are narrow the last ones
/// are left out. Gives how many are.
fn fitted(table: &[Vec<String>], width: usize) -> (Vec<String>, usize) {
    if width == usize::MAX {
        return (aligned(table), 0);
    }
    let count = table.iter().map(Vec::len).max().unwrap_or(0);
    let natural = |column: usize| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells.map(|cell| width_of(cell)).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..count).map(|column| natural(column).min(WIDE)).collect();
    let takes =
        |widths: &[usize]| widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    while takes(&widths) > width && widths.len() > 1 {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROW => *widest -= 1,
            _ => drop(widths.pop()),
        }
    }
    let left_out = count - widths.len();
    let last = widths.len().saturating_sub(1);
    let narrowed: Vec<Vec<String>> = table
        .iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).enumerate();
            // Nothing stands behind the last one.
            let room = |i: usize, own: usize| match i == last {
                true => own.max(width.saturating_sub(takes(&widths) - own)),
                false => own,
            };
            cells
                .map(|(i, (cell, own))| cut(cell, room(i, *own)))
                .collect()
        })
        .collect();
    (aligned(&narrowed), left_out)
}

#[cfg(test)]
#[path = "peek_tests.rs"]
mod tests;

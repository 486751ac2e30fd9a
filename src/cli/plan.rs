//! `cdc plan`: what would be done with each table. Changes nothing.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::aligned::wrapped;
use super::ask::client_id;
use super::ending::ExitCode;
use super::output::{self, Output};
use super::{Format, as_json, kafka_of, origins};
use crate::config::{self, Settings};
use crate::error::{Kind, Result};
use crate::inspect::{
    FilesPerDay, PipelinePlan, Problem, TablePlan, TopicPlan, bytes, counted, duration, number,
    plan,
};
use crate::model::{GuardClass, Mode};

/// The width that columns are wrapped to, with the indent before them.
const WIDTH: usize = 104;

/// Shows what would be done with each table: SQL, topic, lake path, types
///
/// Changes nothing, nowhere.
/// Exit code 0 if every table would run, else 1 with what is in the way.
/// With --show-origin: each setting, its value, and where it comes from; nobody is asked.
///
/// Examples: cdc plan orders
///           cdc plan -o json | jq '.tables[] | {table, guard}'
///           cdc plan --show-origin orders
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Plan {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`) [default: all]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// Show where each setting comes from, instead of what would be done
    #[arg(long)]
    show_origin: bool,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Plan {
    pub async fn run(
        &self,
        settings: Settings,
        file: Option<&Path>,
        output: Output,
    ) -> Result<ExitCode> {
        if self.show_origin {
            return self.origins(file, output);
        }
        let kafka = kafka_of(&settings)?;
        let plan = plan(&settings, kafka, &client_id(&settings), &self.tables).await?;
        // What is in the way comes first: of many tables nobody reads to the end.
        if self.output == Format::Text && !plan.problems.is_empty() {
            plan.problems.iter().for_each(say);
            output::note("");
        }
        match self.output {
            Format::Json => output.line(&as_json(&plan)?),
            Format::Text => in_text(&plan).iter().for_each(|line| output.line(line)),
        }
        Ok(match plan.problems.len() {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(Kind::No),
        })
    }

    fn origins(&self, file: Option<&Path>, output: Output) -> Result<ExitCode> {
        let settings = origins::of_tables(config::origins(file)?, &self.tables);
        match self.output {
            Format::Json => output.line(&as_json(&settings)?),
            Format::Text => {
                let lines = origins::in_text(&settings);
                lines.iter().for_each(|line| output.line(line));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn say(problem: &Problem) {
    output::note(&format!("error[{}]: {}", problem.code, problem.text));
    if let Some(next) = &problem.next {
        output::note(&format!("  next: {next}"));
    }
}

fn in_text(plan: &PipelinePlan) -> Vec<String> {
    let tables = plan.tables.iter();
    let mut lines: Vec<String> = tables
        .flat_map(|table| [table_in_text(table), vec![String::new()]].concat())
        .collect();
    let warnings: usize = plan.tables.iter().map(|table| table.warnings.len()).sum();
    let more = match warnings {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        warnings => format!(", {warnings} warnings"),
    };
    let tables = match plan.tables.len() {
        1 => "1 table".to_owned(),
        count => format!("{count} tables"),
    };
    for (i, line) in wrapped(&plan.creates, ", ", WIDTH - 14)
        .into_iter()
        .enumerate()
    {
        let what = if i == 0 {
            "would create: "
        } else {
            "              "
        };
        lines.push(format!("{what}{line}"));
    }
    let rows: Vec<u64> = plan
        .tables
        .iter()
        .filter_map(|table| table.estimated_rows)
        .collect();
    let size: u64 = plan
        .tables
        .iter()
        .filter_map(|table| table.estimated_bytes)
        .sum();
    let mut of_rows = String::new();
    if !rows.is_empty() {
        of_rows = format!(", about {}", counted(rows.iter().sum(), "row", "rows"));
    }
    if size > 0 {
        of_rows.push_str(&format!(" ({})", bytes(size)));
    }
    let pipeline = &plan.pipeline;
    lines.push(format!(
        "pipeline {pipeline}: {tables}{of_rows}{more}; nothing was changed"
    ));
    lines
}

fn table_in_text(table: &TablePlan) -> Vec<String> {
    let mut lines = Vec::new();
    let rows = table
        .estimated_rows
        .map(|rows| format!(", about {}", counted(rows, "row", "rows")));
    let size = table
        .estimated_bytes
        .map(|size| format!(" ({})", bytes(size)));
    let by = match table.cursor_columns.as_slice() {
        [] => String::new(),
        columns => format!(" by {}", columns.join(", ")),
    };
    lines.push(format!(
        "{}: {}{by}{}{}",
        table.table,
        table.mode,
        rows.unwrap_or_default(),
        size.unwrap_or_default()
    ));
    let mut say = |what: &str, text: String| lines.push(format!("  {what:<8} {text}"));
    say("read", when(table));
    if let Some(guard) = &table.guard {
        say("guard", guard_in_text(guard));
    }
    say("topic", topic_in_text(&table.topic));
    if let Some(rejected) = &table.rejected_topic {
        say("rejected", topic_in_text(rejected));
    }
    say("lake", table.lake_path.clone());
    if let Some(files) = &table.files_per_day {
        say("files", files_in_text(files));
    }
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let key = if column.key { " key" } else { "" };
            let types = match column.source_type == column.lake_type {
                true => column.lake_type.clone(),
                false => format!("{} → {}", column.source_type, column.lake_type),
            };
            format!("{} {types}{key}", column.name)
        })
        .collect();
    for (i, line) in wrapped(&columns, ", ", WIDTH - 11).into_iter().enumerate() {
        say(if i == 0 { "columns" } else { "" }, line);
    }
    for (i, line) in wrapped(&table.left_out, ", ", WIDTH - 11)
        .into_iter()
        .enumerate()
    {
        say(if i == 0 { "without" } else { "" }, line);
    }
    if let Some(filter) = &table.filter {
        say("where", filter.clone());
    }
    for statement in &table.statements {
        say("sql", format!("-- {}", statement.purpose));
        say("", statement.sql.clone());
    }
    for warning in &table.warnings {
        say("warning", warning.text.clone());
        if let Some(next) = &warning.next {
            say("", format!("next: {next}"));
        }
    }
    lines
}

fn files_in_text(files: &FilesPerDay) -> String {
    let at_most = number(files.at_most);
    let because = &files.because;
    match files.per_directory_of.as_slice() {
        [] => format!("at most {at_most} a day: {because}"),
        names => format!(
            "at most {at_most} a day in each {} that gets rows (a first copy fills all of them): {because}",
            names.join(" and ")
        ),
    }
}

/// What the class means for the rows.
fn guard_in_text(guard: &GuardClass) -> String {
    match guard {
        GuardClass::Proven => "proven: a row that is committed late is never missed".to_owned(),
        GuardClass::Assumed(why) => format!("assumed: no row is missed as long as {why}"),
        GuardClass::Unsafe(why) => format!("unsafe: rows could be missed without a trace: {why}"),
    }
}

fn when(table: &TablePlan) -> String {
    let every = table
        .every_seconds
        .map(|every| duration(Duration::from_secs_f64(every)));
    match (&table.schedule, every) {
        (Some(schedule), _) => {
            let next = table.next_load.as_deref().unwrap_or("never");
            format!("whole, at `{schedule}`, next at {next}")
        }
        (None, Some(every)) if table.mode == Mode::Bulk => format!("whole, every {every}"),
        (None, Some(every)) => format!("one copy, then what is new every {every}"),
        (None, None) => "whole, by `cdc snapshot` only".to_owned(),
    }
}

fn in_partitions(count: i32) -> String {
    match count {
        1 => "1 partition".to_owned(),
        count => format!("{count} partitions"),
    }
}

fn topic_in_text(topic: &TopicPlan) -> String {
    let TopicPlan {
        name, partitions, ..
    } = topic;
    match topic.exists {
        Some(true) => format!("{name} (there, {})", in_partitions(*partitions)),
        Some(false) => {
            let replication = match topic.replication {
                ..=0 => "the broker's default replication".to_owned(),
                replicas => format!("replication {replicas}"),
            };
            let retention = duration(Duration::from_secs(topic.retention_seconds));
            format!(
                "{name} (to be made: {}, {replication}, retention {retention})",
                in_partitions(*partitions)
            )
        }
        None => format!("{name} (Kafka does not answer)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{ColumnPlan, PartitionLevel, Statement};

    #[test]
    fn a_table_is_a_block_of_named_facts() {
        let column = |name: &str, source_type: &str, lake_type: &str, key| ColumnPlan {
            name: name.into(),
            source_type: source_type.into(),
            lake_type: lake_type.into(),
            nullable: false,
            key,
        };
        let table = TablePlan {
            table: "ec.orders".into(),
            mode: Mode::TimestampIncrementing,
            cursor_columns: vec!["updated_at".into(), "order_id".into()],
            guard: Some(GuardClass::Proven),
            estimated_rows: Some(12_345),
            estimated_bytes: Some(3 << 20),
            files_per_day: Some(FilesPerDay {
                at_most: 432,
                per_directory_of: vec!["dt".into()],
                because: "3 partitions, a chunk every 10 min while rows come".into(),
            }),
            every_seconds: Some(90.0),
            schedule: None,
            next_load: None,
            topic: TopicPlan {
                name: "retail.orders".into(),
                exists: Some(false),
                partitions: 3,
                replication: -1,
                retention_seconds: 604_800,
            },
            rejected_topic: None,
            lake_path: "s3://lake/raw/ec/orders/dt=<day(ordered_at)>/".into(),
            partition_by: vec![PartitionLevel {
                name: "dt".into(),
                transform: "day(ordered_at)".into(),
            }],
            columns: vec![
                column("order_id", "bigint", "int64", true),
                column(
                    "updated_at",
                    "timestamp with time zone",
                    "timestamp utc",
                    false,
                ),
                column("note", "text", "text", false),
            ],
            left_out: vec!["card_token".into()],
            filter: Some("status <> 'draft'".into()),
            statements: vec![Statement {
                purpose: "poll: new and changed rows".into(),
                sql: "SELECT 1".into(),
            }],
            warnings: Vec::new(),
        };
        insta::assert_snapshot!(table_in_text(&table).join("\n"), @r"
        ec.orders: timestamp+incrementing by updated_at, order_id, about 12,345 rows (3.0 MiB)
          read     one copy, then what is new every 90 s
          guard    proven: a row that is committed late is never missed
          topic    retail.orders (to be made: 3 partitions, the broker's default replication, retention 7 d)
          lake     s3://lake/raw/ec/orders/dt=<day(ordered_at)>/
          files    at most 432 a day in each dt that gets rows (a first copy fills all of them): 3 partitions, a chunk every 10 min while rows come
          columns  order_id bigint → int64 key, updated_at timestamp with time zone → timestamp utc, note text
          without  card_token
          where    status <> 'draft'
          sql      -- poll: new and changed rows
                   SELECT 1
        ");
    }
}

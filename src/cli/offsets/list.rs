//! `cdc offsets list`.

use clap::Args;
use serde::Serialize;

use super::super::ending::ExitCode;
use crate::cli::aligned::aligned;
use crate::cli::ask::client_id;
use crate::cli::output::{self, Output};
use crate::cli::{Format, as_json, kafka_of};
use crate::config::Settings;
use crate::error::Result;
use crate::inspect::{PartitionOffsets, TableOffsets, counted, number, offsets};
use crate::model::CopyPhase;

/// Shows each table's cursor, from Kafka alone.
///
///   EPOCH  raised by every reset; sequence numbers start over with it
///   GAPS   ranges of ids that are missing and still awaited
///   COPY   how far the initial copy is
///   LAKE   with --wide, by partition: the offset below which everything is in the lake, and the log's end
///
/// Example: cdc offsets list 'ec.*' --wide
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct List {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`) [default: all that were read]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// With the offsets of each partition
    #[arg(long)]
    wide: bool,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Serialize)]
struct Tables<'a> {
    tables: &'a [TableOffsets],
}

impl List {
    pub async fn run(&self, settings: &Settings, output: Output) -> Result<ExitCode> {
        let kafka = kafka_of(settings)?;
        let tables = offsets(settings, kafka, &client_id(settings), &self.tables).await?;
        match self.output {
            Format::Json => output.line(&as_json(&Tables { tables: &tables })?),
            Format::Text if tables.is_empty() => output::note("no table was read yet"),
            Format::Text => in_text(&tables, self.wide)
                .iter()
                .for_each(|line| output.line(line)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_text(tables: &[TableOffsets], wide: bool) -> Vec<String> {
    let mut heading = vec!["TABLE", "MODE", "CURSOR", "EPOCH", "GAPS", "ROWS", "COPY"];
    heading.extend(wide.then_some("LAKE"));
    let mut rows = vec![heading.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for table in tables {
        let mut row = vec![
            table.table.clone(),
            table.mode.to_string(),
            table.cursor.clone().unwrap_or_else(|| "–".to_owned()),
            table.epoch.to_string(),
            number(table.gaps),
            number(table.rows),
            copy(table),
        ];
        let mut partitions = table.partitions.iter().map(partition);
        row.extend(wide.then(|| partitions.next().unwrap_or_else(|| "–".to_owned())));
        let columns = row.len();
        rows.push(row);
        // The other partitions stand below the first.
        for more in partitions.filter(|_| wide) {
            let mut row = vec![String::new(); columns.saturating_sub(1)];
            row.push(more);
            rows.push(row);
        }
    }
    aligned(&rows)
}

fn copy(table: &TableOffsets) -> String {
    let paused = if table.paused { ", paused" } else { "" };
    let copy = match table.copy {
        None => "–".to_owned(),
        Some(copy) if copy.phase == CopyPhase::Done => "done".to_owned(),
        Some(copy) => match copy.percent {
            Some(percent) => format!("{percent} %"),
            None => counted(copy.rows, "row", "rows"),
        },
    };
    format!("{copy}{paused}")
}

fn partition(partition: &PartitionOffsets) -> String {
    let number_of = |n: Option<u64>| n.map_or("–".to_owned(), number);
    let (at, end) = (number_of(partition.committed), number_of(partition.end));
    let stopped = match partition.stopped {
        Some(_) => ", stopped",
        None => "",
    };
    format!("{}: {at} of {end}{stopped}", partition.partition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::CopyState;
    use crate::model::{Mode, TableName};

    #[test]
    fn a_table_is_a_line_and_with_wide_each_partition_has_its_own() {
        let orders = TableOffsets {
            table: "ec.orders".into(),
            mode: Mode::Incrementing,
            epoch: 1_780_000_000_000,
            cursor: Some("order_id ≤ 12,345, 2 gaps open".into()),
            gaps: 2,
            rows: 12_340,
            copy: Some(CopyState {
                phase: CopyPhase::Done,
                rows: 12_000,
                percent: None,
            }),
            paused: true,
            topic: "retail.orders".into(),
            partitions: vec![
                PartitionOffsets {
                    partition: 0,
                    committed: Some(6_200),
                    end: Some(6_203),
                    stopped: None,
                },
                PartitionOffsets {
                    partition: 1,
                    committed: None,
                    end: Some(6_100),
                    stopped: Some("a hole".into()),
                },
            ],
            offsets: None,
            name: TableName {
                source: "ec".into(),
                schema: "public".into(),
                name: "orders".into(),
                in_default_schema: true,
            },
        };
        let tables = [orders];
        insta::assert_snapshot!(in_text(&tables, false).join("\n"), @r"
        TABLE      MODE          CURSOR                          EPOCH          GAPS  ROWS    COPY
        ec.orders  incrementing  order_id ≤ 12,345, 2 gaps open  1780000000000  2     12,340  done, paused
        ");
        insta::assert_snapshot!(in_text(&tables, true).join("\n"), @r"
        TABLE      MODE          CURSOR                          EPOCH          GAPS  ROWS    COPY          LAKE
        ec.orders  incrementing  order_id ≤ 12,345, 2 gaps open  1780000000000  2     12,340  done, paused  0: 6,200 of 6,203
                                                                                                            1: – of 6,100, stopped
        ");
    }
}

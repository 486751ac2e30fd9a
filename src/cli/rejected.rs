//! `cdc rejected`: the rows that could not be carried exactly.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::aligned::aligned;
use super::ask::{self, client_id};
use super::ending::ExitCode;
use super::output::{self, Output};
use super::{Format, as_json, kafka_of};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::inspect::{
    Reason, RejectedRecord, RejectedRows, newest_rejected, number, rejected_rows,
};
use crate::state::Verb;

/// Shows the rows that could not be carried exactly, and sends those that fit now
///
/// A table with `on_value: reject` sends such rows to `<topic>.rejected` and goes on.
///
/// Examples: cdc rejected list
///           cdc rejected show orders --limit 3
///           cdc rejected replay orders
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct RejectedCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(List),
    Show(Show),
    Replay(Replay),
}

/// Counts rejected rows, table by table, with the reasons.
///
/// Of the present epoch, and of a bulk table's newest load; rows that were replayed are not counted.
///
/// Example: cdc rejected list 'ec.*'
#[derive(Debug, Args)]
struct List {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`) [default: all that have rejected rows]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// Shows the newest rejected rows of one table, with the values that did not fit.
///
/// Example: cdc rejected show orders --limit 3
#[derive(Debug, Args)]
struct Show {
    /// The table: `orders`, or `ec.orders` where several sources have it
    #[arg(value_name = "TABLE")]
    table: String,
    /// How many rows at most
    #[arg(long, value_name = "ROWS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// Reads rejected rows again from the database, and sends those that fit now.
///
/// For incrementing tables with a key, once the rows were corrected in the database; each is sent once. The
/// table's worker does it. The other modes need none: a corrected row of a timestamp table has a new timestamp and
/// comes by itself, and a bulk table's next load reads every row.
///
/// Example: cdc rejected replay orders
#[derive(Debug, Args)]
struct Replay {
    #[command(flatten)]
    tables: ask::Tables,
}

impl RejectedCommand {
    /// Whether it changes nothing and answers at once.
    pub fn only_looks(&self) -> bool {
        !matches!(self.action, Action::Replay(_))
    }

    pub async fn run(&self, settings: Settings, output: Output) -> Result<ExitCode> {
        match &self.action {
            Action::List(list) => list.run(&settings, output).await,
            Action::Show(show) => show.run(&settings, output).await,
            Action::Replay(replay) => replay.tables.ask(settings, output, Verb::Replay).await,
        }
    }
}

impl List {
    async fn run(&self, settings: &Settings, output: Output) -> Result<ExitCode> {
        let kafka = kafka_of(settings)?;
        let list = rejected_rows(settings, kafka, &client_id(settings), &self.tables).await?;
        match self.output {
            Format::Json => output.line(&as_json(&list)?),
            Format::Text if list.is_empty() => output::note("no row was rejected"),
            Format::Text => list_in_text(&list)
                .iter()
                .for_each(|line| output.line(line)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list_in_text(list: &[RejectedRows]) -> Vec<String> {
    let heading = ["TABLE", "ROWS", "NEWEST", "REPLAYED", "EARLIER", "WHY"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(list.iter().map(|table| {
        let why: Vec<String> = table.reasons.iter().map(reason_in_text).collect();
        vec![
            table.table.clone(),
            number(table.rows),
            table.newest_at.clone().unwrap_or_else(|| "–".to_owned()),
            number(table.replayed),
            number(table.earlier),
            why.join("; "),
        ]
    }));
    aligned(&rows)
}

fn reason_in_text(reason: &Reason) -> String {
    let Reason { column, kind, rows } = reason;
    format!("{column}: {kind} ({})", number(*rows))
}

impl Show {
    async fn run(&self, settings: &Settings, output: Output) -> Result<ExitCode> {
        let kafka = kafka_of(settings)?;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let client_id = client_id(settings);
        let records = newest_rejected(settings, kafka, &client_id, &self.table, limit).await?;
        match self.output {
            Format::Json => output.line(&as_json(&records)?),
            Format::Text if records.is_empty() => output::note("no row was rejected"),
            Format::Text => {
                for record in &records {
                    for line in record_in_text(record)? {
                        output.line(&line);
                    }
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn record_in_text(record: &RejectedRecord) -> Result<Vec<String>> {
    let mut lines = vec![format!("{}  offset {}", record.rejected_at, record.offset)];
    let bad = record.bad.as_object().into_iter().flatten();
    for (column, value) in bad {
        let word = |name: &str| value.get(name).and_then(Value::as_str);
        let kind = word("kind").unwrap_or_default();
        let form = match (word("text"), word("base64")) {
            (Some(text), _) => text.to_owned(),
            (None, Some(bytes)) => format!("base64 {bytes}"),
            (None, None) => String::new(),
        };
        lines.push(format!("  {column}: {kind}: {form}"));
    }
    let row = serde_json::to_string(&record.row)
        .map_err(|error| Error::new(Kind::Bug, "writing a row as JSON").because(error))?;
    lines.push(format!("  row: {row}"));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_a_line_with_its_reasons() {
        let reason = |column: &str, kind: &str, rows| Reason {
            column: column.into(),
            kind: kind.into(),
            rows,
        };
        let list = [RejectedRows {
            table: "ec.orders".into(),
            topic: "retail.orders.rejected".into(),
            rows: 1_012,
            replayed: 3,
            earlier: 0,
            newest_at: Some("2026-10-01T12:34:56.789000Z".into()),
            reasons: vec![
                reason("shipped_at", "a timestamp of infinity", 1_010),
                reason("total", "a numeric NaN", 2),
            ],
        }];
        insta::assert_snapshot!(list_in_text(&list).join("\n"), @r"
        TABLE      ROWS   NEWEST                       REPLAYED  EARLIER  WHY
        ec.orders  1,012  2026-10-01T12:34:56.789000Z  3         0        shipped_at: a timestamp of infinity (1,010); total: a numeric NaN (2)
        ");
    }

    #[test]
    fn a_row_is_shown_with_what_did_not_fit() {
        let record = RejectedRecord {
            offset: 41,
            rejected_at: "2026-10-01T12:34:56.789000Z".into(),
            column: "shipped_at".into(),
            kind: "a timestamp of infinity".into(),
            row: json!({"id": 7, "shipped_at": null}),
            bad: json!({"shipped_at": {"kind": "a timestamp of infinity", "text": "infinity"}}),
        };
        insta::assert_snapshot!(record_in_text(&record).unwrap().join("\n"), @r#"
        2026-10-01T12:34:56.789000Z  offset 41
          shipped_at: a timestamp of infinity: infinity
          row: {"id":7,"shipped_at":null}
        "#);
    }
}

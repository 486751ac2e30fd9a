//! `cdc offsets set`, `reset` and `import`: what it would come to is said first.

use std::io::Read;

use clap::Args;
use serde::Serialize;

use super::super::ending::ExitCode;
use super::How;
use crate::cli::ask::{Asked, carry_out, client_id, tell, write_outcomes};
use crate::cli::output::{self, Output};
use crate::cli::{Format, as_json, kafka_of, question, signals};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::inspect::{ForeseenMove, Move, counted, foresee};
use crate::state::{OffsetsDocument, Outcome, Placement, Verb};

/// Moves a table's cursor: rows with a value greater than VALUE are read, and no others.
///
/// VALUE is an id, an instant (2026-10-01T12:00:00Z), or both with a comma. What is read again, and
/// what never will be, is said first. Where no worker runs, the command does it itself.
///
/// Example: cdc offsets set orders 12000 --dry-run
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Set {
    /// The table: `orders`, or `ec.orders` where several sources have it
    #[arg(value_name = "TABLE")]
    table: String,
    /// Where the cursor is put; `-` reads a document of `cdc offsets get` from stdin
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    how: How,
}

/// Reads tables from the beginning again; nothing is removed from the lake.
///
/// The lake holds every row twice then. `cdc snapshot --again` copies a table anew and removes its old files.
///
/// Example: cdc offsets reset orders --dry-run
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Reset {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`)
    #[arg(value_name = "TABLE", required = true)]
    tables: Vec<String>,
    #[command(flatten)]
    how: How,
}

/// Moves tables' cursors to where a document says: one of `cdc offsets get` or `export`.
///
/// Gaps and the progress of an unfinished copy are taken over, too. In the timestamp modes rows from the cursor on
/// are read again, also those that were sent already.
///
/// Example: cdc offsets import offsets.json --dry-run
#[derive(Debug, Args)]
pub struct Import {
    /// The document, or `-` for stdin
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    how: How,
}

impl Set {
    pub async fn run(&self, settings: &Settings, output: Output) -> Result<ExitCode> {
        let value = self.value.trim();
        let place = match value == "-" || value.starts_with('{') {
            false => Placement::Value(value.to_owned()),
            true => {
                let text = match value {
                    "-" => read("-")?,
                    document => document.as_bytes().to_vec(),
                };
                let mut tables = OffsetsDocument::parse(&text)?.tables;
                match (tables.pop(), tables.len()) {
                    (Some(offsets), 0) => Placement::Offsets(Box::new(offsets)),
                    _ => {
                        return Err(
                            Error::new(Kind::Usage, "the document is not about one table")
                                .hint("`cdc offsets import` takes several"),
                        );
                    }
                }
            }
        };
        let moves = [(self.table.clone(), Move::To(place))];
        self.how.run(settings, output, &moves).await
    }
}

impl Reset {
    pub async fn run(&self, settings: &Settings, output: Output) -> Result<ExitCode> {
        let moves: Vec<_> = self
            .tables
            .iter()
            .map(|table| (table.clone(), Move::Reset))
            .collect();
        self.how.run(settings, output, &moves).await
    }
}

impl Import {
    pub async fn run(&self, settings: &Settings, output: Output) -> Result<ExitCode> {
        let document = OffsetsDocument::parse(&read(&self.file)?)?;
        if document.tables.is_empty() {
            output::note("the document names no table");
            return Ok(ExitCode::SUCCESS);
        }
        let moves: Vec<_> = document
            .tables
            .into_iter()
            .map(|offsets| {
                let table = offsets.table.clone();
                (table, Move::To(Placement::Offsets(Box::new(offsets))))
            })
            .collect();
        self.how.run(settings, output, &moves).await
    }
}

fn read(file: &str) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| {
        Error::new(Kind::LocalIo, "reading the document")
            .about(file)
            .because(e)
    };
    if file != "-" {
        return std::fs::read(file).map_err(failed);
    }
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}

#[derive(Serialize)]
struct Foreseen<'a> {
    tables: &'a [ForeseenMove],
}

impl How {
    async fn run(
        &self,
        settings: &Settings,
        output: Output,
        moves: &[(String, Move)],
    ) -> Result<ExitCode> {
        let kafka = kafka_of(settings)?;
        let mut foreseen = foresee(settings, kafka, &client_id(settings), moves).await?;
        foreseen.dedup_by(|a, b| a.name == b.name);
        if self.dry_run {
            match self.output {
                Format::Json => output.line(&as_json(&Foreseen { tables: &foreseen })?),
                Format::Text => in_text(&foreseen).iter().for_each(|line| output.line(line)),
            }
            return Ok(ExitCode::SUCCESS);
        }
        in_text(&foreseen)
            .iter()
            .for_each(|line| output::note(line));
        let (standing, moved): (Vec<_>, Vec<_>) =
            foreseen.into_iter().partition(|one| one.stands_there);
        let mut answers: Vec<_> = standing
            .into_iter()
            .map(|one| (one.name, stands_already()))
            .collect();
        if moved.is_empty() {
            let worst = tell(&answers);
            write_outcomes(self.output, output, &answers)?;
            return Ok(ExitCode::from(worst));
        }
        let tables = moved
            .iter()
            .map(|one| one.table.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        question::confirm(
            &format!("{tables}: the cursor would be moved, as said above."),
            self.yes,
        )?;
        let asked: Vec<Asked> = moved
            .iter()
            .filter_map(|one| {
                let of = moves.iter().find(|(pattern, _)| one.is_meant_by(pattern));
                let (verb, place) = match &of?.1 {
                    Move::Reset => (Verb::OffsetsReset, None),
                    Move::To(place) => (Verb::OffsetsSet, Some(place.clone())),
                };
                let table = one.name.clone();
                Some(Asked { table, verb, place })
            })
            .collect();
        let stop = signals::stop_on_signal()?;
        answers.extend(carry_out(settings, kafka, &asked, &stop).await?);
        let worst = tell(&answers);
        write_outcomes(self.output, output, &answers)?;
        Ok(ExitCode::from(worst))
    }
}

/// The answer about a table that is left as it is.
fn stands_already() -> Outcome {
    let at = jiff::Timestamp::now().as_millisecond();
    Outcome::new(0, "it stands there already", at)
}

fn in_text(foreseen: &[ForeseenMove]) -> Vec<String> {
    let mut lines = Vec::new();
    for one in foreseen {
        let rows = |count: Option<u64>| match count {
            Some(count) => counted(count, "row", "rows"),
            None => "not known: they could not be counted in time".to_owned(),
        };
        let twice = match one.read_again {
            Some(0) => "",
            _ => "; the lake holds them twice then",
        };
        lines.push(format!("{} ({})", one.table, one.mode));
        let now = one.now.as_deref().unwrap_or("nothing is remembered");
        lines.push(format!("  now:        {now}"));
        lines.push(format!("  then:       {}", one.then));
        if one.stands_there {
            continue;
        }
        lines.push(format!("  read again: {}{twice}", rows(one.read_again)));
        lines.push(format!("  never read: {}", rows(one.never_read)));
        if one.given_up > 0 {
            let given_up = counted(one.given_up, "rejected row", "rejected rows");
            lines.push(format!(
                "  given up:   {given_up} that cannot be replayed any more; read again only behind that place"
            ));
        }
        lines.extend(one.remarks.iter().map(|remark| format!("  note: {remark}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mode, TableName};

    #[test]
    fn what_is_read_again_and_what_never_is_stands_before_the_question() {
        let foreseen = ForeseenMove {
            table: "ec.orders".into(),
            mode: Mode::Incrementing,
            now: Some("order_id ≤ 12,345, 2 gaps open".into()),
            then: "rows with order_id > 10000 are read".into(),
            read_again: Some(2_345),
            never_read: Some(0),
            given_up: 1,
            stands_there: false,
            remarks: vec!["its initial copy is not complete, and begins anew".into()],
            name: TableName {
                source: "ec".into(),
                schema: "public".into(),
                name: "orders".into(),
                in_default_schema: true,
            },
        };
        let forward = ForeseenMove {
            read_again: Some(0),
            never_read: None,
            given_up: 0,
            remarks: Vec::new(),
            ..foreseen.clone()
        };
        let standing = ForeseenMove {
            then: "it stands there already, and is left as it is".into(),
            stands_there: true,
            ..forward.clone()
        };
        insta::assert_snapshot!(in_text(&[foreseen, forward, standing]).join("\n"), @r"
        ec.orders (incrementing)
          now:        order_id ≤ 12,345, 2 gaps open
          then:       rows with order_id > 10000 are read
          read again: 2,345 rows; the lake holds them twice then
          never read: 0 rows
          given up:   1 rejected row that cannot be replayed any more; read again only behind that place
          note: its initial copy is not complete, and begins anew
        ec.orders (incrementing)
          now:        order_id ≤ 12,345, 2 gaps open
          then:       rows with order_id > 10000 are read
          read again: 0 rows
          never read: not known: they could not be counted in time
        ec.orders (incrementing)
          now:        order_id ≤ 12,345, 2 gaps open
          then:       it stands there already, and is left as it is
        ");
    }
}

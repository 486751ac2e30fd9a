//! `cdc offsets`: the tables' cursors, and moving them.

mod list;
mod moving;
mod skip;

use clap::{Args, Subcommand};

use super::ask::client_id;
use super::ending::ExitCode;
use super::output::{self, Output};
use super::{Format, as_json, kafka_of};
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::inspect::offsets_of;
use crate::state::{Offsets, OffsetsDocument};

/// Shows the tables' cursors, and moves them
///
/// A table whose cursor is moved begins a new epoch in the same topic and the same files: nothing is
/// removed, so that rows which are read again are in the lake twice. `cdc snapshot --again` copies a
/// table anew instead.
///
/// Examples: cdc offsets list
///           cdc offsets set orders 12000 --dry-run
///           cdc offsets export > offsets.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct OffsetsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::List),
    Get(Get),
    Set(moving::Set),
    Reset(moving::Reset),
    Export(Export),
    Import(moving::Import),
    Skip(skip::Skip),
}

/// Writes one table's cursor, as a document that `import` and `set` take.
///
/// Example: cdc offsets get orders > orders.json
#[derive(Debug, Args)]
struct Get {
    /// The table: `orders`, or `ec.orders` where several sources have it
    #[arg(value_name = "TABLE")]
    table: String,
}

/// Writes the tables' cursors, as one document.
///
/// Rows that were sent already and may be read again (the seen window of the timestamp modes) are not in it.
///
/// Example: cdc offsets export > offsets.json
#[derive(Debug, Args)]
struct Export {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`) [default: all that have a cursor]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
}

/// How a change is made.
#[derive(Debug, Args)]
struct How {
    /// Only say what it would come to
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// How the answer is written: text or json [default: text]
    #[arg(
        long,
        short,
        value_name = "FORMAT",
        default_value = "text",
        hide_default_value = true,
        hide_possible_values = true
    )]
    output: Format,
}

impl OffsetsCommand {
    /// Whether it changes nothing and answers at once.
    pub fn only_looks(&self) -> bool {
        matches!(
            self.action,
            Action::List(_) | Action::Get(_) | Action::Export(_)
        )
    }

    pub async fn run(&self, settings: Settings, output: Output) -> Result<ExitCode> {
        match &self.action {
            Action::List(list) => list.run(&settings, output).await,
            Action::Get(get) => get.run(&settings, output).await,
            Action::Export(export) => export.run(&settings, output).await,
            Action::Set(set) => set.run(&settings, output).await,
            Action::Reset(reset) => reset.run(&settings, output).await,
            Action::Import(import) => import.run(&settings, output).await,
            Action::Skip(skip) => skip.run(&settings, output).await,
        }
    }
}

impl Get {
    async fn run(&self, settings: &Settings, output: Output) -> Result<ExitCode> {
        let tables = documents(settings, std::slice::from_ref(&self.table)).await?;
        match tables.as_slice() {
            [(_, Some(offsets))] => write_document(output, vec![offsets.clone()]),
            [(name, None)] => Err(Error::new(
                Kind::No,
                "a bulk table has no cursor: each load reads every row",
            )
            .about(name)),
            [] => Err(
                Error::new(Kind::No, format!("`{}` was not read yet", self.table))
                    .hint("`cdc offsets list` shows the tables that were"),
            ),
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
                Err(Error::new(
                    Kind::Usage,
                    format!("`{}` could be `{}`", self.table, names.join("` or `")),
                )
                .hint("write the source's name before it, or use `cdc offsets export`"))
            }
        }
    }
}

impl Export {
    async fn run(&self, settings: &Settings, output: Output) -> Result<ExitCode> {
        let tables = documents(settings, &self.tables).await?;
        if tables.is_empty() {
            output::note("no table was read yet");
        }
        for (name, _) in tables.iter().filter(|(_, offsets)| offsets.is_none()) {
            tracing::info!(table = name, "a bulk table has no cursor");
        }
        write_document(
            output,
            tables
                .into_iter()
                .filter_map(|(_, offsets)| offsets)
                .collect(),
        )
    }
}

async fn documents(
    settings: &Settings,
    tables: &[String],
) -> Result<Vec<(String, Option<Offsets>)>> {
    let kafka = kafka_of(settings)?;
    let found = offsets_of(settings, kafka, &client_id(settings), tables).await?;
    let named = found
        .into_iter()
        .map(|(name, offsets)| (name.to_string(), offsets));
    Ok(named.collect())
}

fn write_document(output: Output, tables: Vec<Offsets>) -> Result<ExitCode> {
    output.line(&as_json(&OffsetsDocument::new(tables))?);
    Ok(ExitCode::SUCCESS)
}

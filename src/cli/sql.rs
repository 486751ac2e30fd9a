//! `cdc sql`: the view that gives a table's present rows.

use clap::Args;

use super::ask::client_id;
use super::ending::ExitCode;
use super::kafka_of;
use super::output::{self, Output};
use crate::config::Settings;
use crate::error::Result;
use crate::inspect::view_of;

/// Prints the DuckDB view that gives a table's present rows.
///
/// Nothing else goes to stdout. In a timestamp mode it takes each key's newest version; rows that were deleted are still there, because
/// polling sees no deletes. For a bulk table it names the load that is complete now.
///
/// Example: cdc sql orders | duckdb retail.duckdb
#[derive(Debug, Args)]
pub struct Sql {
    /// The table: `orders`, or `ec.orders` where several sources have it
    #[arg(value_name = "TABLE")]
    table: String,
}

impl Sql {
    pub async fn run(&self, settings: Settings, output: Output) -> Result<ExitCode> {
        let kafka = kafka_of(&settings)?;
        let (view, remark) = view_of(&settings, kafka, &client_id(&settings), &self.table).await?;
        output.line(&view);
        if let Some(remark) = remark {
            output::warn(&remark);
        }
        Ok(ExitCode::SUCCESS)
    }
}

//! `cdc path`: what a reader opens for a table.

use clap::Args;

use super::ask::client_id;
use super::ending::ExitCode;
use super::kafka_of;
use super::output::Output;
use crate::config::Settings;
use crate::error::Result;
use crate::inspect::files_of;

/// Prints what a reader opens for one table.
///
/// Nothing else goes to stdout. For a bulk table it is the load that is complete now; ask again after the next load. The files of a table
/// in a timestamp mode hold every version of a row: `cdc sql TABLE` gives the newest ones.
///
/// Example: duckdb -c "SELECT count(*) FROM read_parquet('$(cdc path products)')"
#[derive(Debug, Args)]
pub struct Path {
    /// The table: `orders`, or `ec.orders` where several sources have it
    #[arg(value_name = "TABLE")]
    table: String,
}

impl Path {
    pub async fn run(&self, settings: Settings, output: Output) -> Result<ExitCode> {
        let kafka = kafka_of(&settings)?;
        let files = files_of(&settings, kafka, &client_id(&settings), &self.table).await?;
        output.line(&files);
        Ok(ExitCode::SUCCESS)
    }
}

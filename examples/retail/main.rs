//! The running example: a retailer with a shop site on PostgreSQL and tills on MariaDB.
//!
//! The same seed, size and day give the same rows, so that two runs can be compared; live traffic repeats its choices, but
//! not its timing.

mod answer;
mod calendar;
mod goods;
mod shop;
mod shop_traffic;
mod tills;
mod tills_traffic;
mod traffic;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::civil::Date;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Create, fill and use the retail example's two databases.
#[derive(Parser)]
#[command(name = "retail")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create the tables of both databases; tables that are there stay as they are
    Create {
        #[command(flatten)]
        databases: Databases,
        /// Drop the tables first, with all their rows
        #[arg(long)]
        again: bool,
    },
    /// Fill both databases with sixty days of sales; databases that hold sales already are left as they are
    Fill {
        #[command(flatten)]
        databases: Databases,
        /// How many order items and receipt lines together, 1,000 to 10,000,000; the other tables follow from that
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
        rows: u64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The day after the last one with sales [default: today in Seoul]
        #[arg(long)]
        until: Option<Date>,
    },
    /// Play live traffic on both databases: sales, changes, transactions that stay open, roll-backs
    Traffic {
        #[command(flatten)]
        databases: Databases,
        /// How long, in seconds or as `20s`, `5m`
        #[arg(long = "for", default_value = "20s", value_parser = duration)]
        lasting: Duration,
        /// Transactions per second, both databases together
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
        rate: u32,
        /// Connections to each database
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
        connections: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Print the forecasters' question as the databases answer it: units sold per day, product and channel, as CSV
    Answer {
        #[command(flatten)]
        databases: Databases,
    },
}

#[derive(Args)]
struct Databases {
    /// The shop's database, with the right to create and write
    #[arg(long, env = "EC_ADMIN_URL", hide_env_values = true)]
    ec: String,
    /// The tills' database, with the right to create and write
    #[arg(long, env = "POS_ADMIN_URL", hide_env_values = true)]
    pos: String,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    match CommandLine::parse().command {
        Command::Create { databases, again } => {
            tokio::try_join!(
                shop::create(&databases.ec, again),
                tills::create(&databases.pos, again)
            )?;
            Ok(())
        }
        Command::Fill {
            databases,
            rows,
            seed,
            until,
        } => {
            let until = match until {
                Some(day) => day,
                None => jiff::Timestamp::now().in_tz("Asia/Seoul")?.date(),
            };
            // Four of ten rows are sold by the shop; the tills sell the rest.
            let shop_rows = rows * 4 / 10;
            tokio::try_join!(
                shop::fill(&databases.ec, shop_rows, seed, until),
                tills::fill(&databases.pos, rows - shop_rows, seed, until),
            )?;
            Ok(())
        }
        Command::Traffic {
            databases,
            lasting,
            rate,
            connections,
            seed,
        } => {
            traffic::play(
                &databases.ec,
                &databases.pos,
                traffic::Plan {
                    lasting,
                    rate,
                    connections,
                    seed,
                },
            )
            .await
        }
        Command::Answer { databases } => answer::print(&databases.ec, &databases.pos).await,
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, seconds_each) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not a duration such as `20s` or `5m`"))?;
    Ok(Duration::from_secs(number.saturating_mul(seconds_each)))
}

//! What every test does: databases, a pipeline, its processes, and the three places that must agree.

mod counter;
mod database;
pub mod grants;
mod lake;
mod line;
mod pipeline;
mod terminal;
mod topic;
mod worker;

use std::time::{Duration, Instant};

pub use counter::{Counter, Service};
pub use database::{Database, Engine, Row, Session};
pub use lake::{File, files as files_below, rows as files_rows, rows_of};
pub use line::{Line, Versions};
pub use pipeline::{Pipeline, Table, agree};
pub use terminal::Terminal;
pub use topic::{Record, append, brokers, committed, compacted, ends, held, plain_records};
pub use worker::{BUSY, Finished, STARVED, Worker};

/// A wait that takes longer than this has failed, on the slowest machine.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// A setting of the stack.
pub fn setting(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("`{name}` is not set: eval \"$(scripts/stack env)\""))
}

/// Looks until `look` gives something; `Err` says what there is instead, for the message after the deadline.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
    within(DEADLINE, what, look).await
}

/// The same with a deadline that is a promise of the product.
pub async fn within<T>(
    deadline: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(instead) if began.elapsed() > deadline => {
                panic!("{what}: not within {deadline:?}; {instead}")
            }
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// A pause of random length, so that a crash comes at another moment each time. Nothing is waited for.
pub async fn random_moment(up_to: Duration) {
    tokio::time::sleep(up_to.mul_f64(rand::random::<f64>())).await;
}

/// Makes each function a test on PostgreSQL and a test on MariaDB.
macro_rules! on_both_databases {
    ($($test:ident)*) => {
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::harness::Engine::Postgres).await;
            })*
        }
        mod on_mariadb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::harness::Engine::MariaDb).await;
            })*
        }
    };
}
pub(crate) use on_both_databases;

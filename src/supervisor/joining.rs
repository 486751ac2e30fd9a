//! Before a worker works: may it, and are the parts there?

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::member::Introduction;
use super::run::WorkerOptions;
use crate::config::{Settings, glob_matches};
use crate::error::{Error, Kind, Result};
use crate::model::Mode;
use crate::retry::Backoff;
use crate::state::PipelineNames;
use crate::topic::Admin;

/// How long a command that ends by itself waits for a part that does not answer at the start.
const ONE_SHOT_PATIENCE: Duration = Duration::from_secs(60);
/// How long a killed worker may remain a member of the group: its session's time-out, and some.
const A_DEAD_MEMBER: Duration = Duration::from_secs(14);
/// The pause between two looks at the group's members.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A bulk table that is followed needs a tick: nothing else says when it is loaded.
pub fn check_schedules(settings: &Settings, only: &[String]) -> Result<()> {
    let tables = settings
        .sources
        .iter()
        .flat_map(|source| source.tables.iter().map(move |table| (source, table)));
    let without: Vec<String> = tables
        .filter(|(_, table)| {
            table.mode == Mode::Bulk && table.every.is_none() && table.schedule.is_none()
        })
        .map(|(source, table)| format!("{}.{}", source.name, table.pattern))
        .filter(|name| only.is_empty() || only.iter().any(|only| glob_matches(only, name)))
        .collect();
    if without.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Config,
        format!("bulk tables without a tick cannot be followed: `{}`", without.join("`, `")),
    )
    .code(crate::error::Code::NO_TICK)
    .hint("write `schedule: \"30 2 * * * Asia/Seoul\"` or `every: 1h` below them; `cdc snapshot` loads them without"))
}

/// Checks that this worker can work beside those that are there. One that was killed is a member until its
/// session ends, so what stands in the way is given the time to go: a restart after a crash must not fail.
pub async fn may_join(
    me: &Introduction,
    admin: &Admin,
    names: &PipelineNames,
    options: &WorkerOptions,
) -> Result<()> {
    let began = std::time::Instant::now();
    let check = || {
        if options.capture {
            me.check_beside(&admin.members(&names.capture_group)?)?;
        }
        match options.sink {
            true => me.check_configuration(&admin.members(&names.sink_group)?),
            false => Ok(()),
        }
    };
    loop {
        match tokio::task::block_in_place(check) {
            Err(error) if error.kind() == Kind::TryLater && began.elapsed() < A_DEAD_MEMBER => {
                tracing::info!(%error, "waiting for the end of that membership");
                tokio::select! {
                    () = options.stop.cancelled() => return Err(error),
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
            checked => return checked,
        }
    }
}

/// Tries again what may pass by itself, visibly. A command that ends by itself gives up after a while.
pub async fn patiently<T>(
    stop: &CancellationToken,
    one_shot: bool,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let began = std::time::Instant::now();
    let mut backoff = Backoff::default();
    loop {
        match attempt().await {
            Err(error)
                if error.kind() == Kind::Unavailable
                    && !(one_shot && began.elapsed() > ONE_SHOT_PATIENCE) =>
            {
                let pause = backoff.after_failure();
                tracing::warn!(%error, retry_in_ms = pause.as_millis() as u64, "trying again");
                tokio::select! {
                    () = stop.cancelled() => return Err(error),
                    () = tokio::time::sleep(pause) => {}
                }
            }
            outcome => return outcome,
        }
    }
}

//! SIGTERM and Ctrl-C end the work cleanly; a second one ends it at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::ending::ExitCode;
use crate::error::{Error, Kind, Result};

/// A clean end is over within this; after that the process goes, and what is durable stands.
const CLEAN_END: std::time::Duration = std::time::Duration::from_secs(24);

/// The token is cancelled by the first signal.
pub fn stop_on_signal() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let failed = |e| Error::new(Kind::LocalIo, "listening for signals").because(e);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        super::output::note(
            "stopping: what is on its way is settled first (a second signal ends at once)",
        );
        token.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(CLEAN_END) => super::output::warn("stopping took too long; nothing durable is lost"),
        }
        ExitCode::from(Kind::TryLater).end_the_process()
    });
    Ok(stop)
}

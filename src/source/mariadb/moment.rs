//! Several sessions that see one moment. MariaDB cannot hand a snapshot on, so that each opens its own, and it is
//! shown afterwards that nothing was committed between the first and the last.
//!
//! The server opens a consistent snapshot and orders commits under one lock, so that equal positions in the binary
//! log mean equal snapshots, for everything that is logged there. What is not (a session without logging, a replica
//! that does not log what it applies) moves InnoDB's redo log: it must stand still too. Where either cannot be shown,
//! one session reads alone.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};

use super::connect::Pool;
use super::session::MariaDbSession;
use crate::error::Result;
use crate::source::Session;

/// How often the sessions are opened anew because somebody wrote meanwhile.
const TRIES: u32 = 8;
const DOING: &str = "opening snapshots of one moment";

/// Where the binary log stood when the session's snapshot was opened; empty where there is no binary log.
const POSITION: &str = "SELECT GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME SEPARATOR ':') \
     FROM information_schema.SESSION_STATUS \
     WHERE VARIABLE_NAME IN ('BINLOG_SNAPSHOT_FILE', 'BINLOG_SNAPSHOT_POSITION')";
/// How far InnoDB's redo log is.
const REDO: &str = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
     WHERE VARIABLE_NAME = 'INNODB_LSN_CURRENT'";

/// Up to `most` sessions in snapshots of one moment; what keeps it from being more is no failure of the first.
pub(super) async fn sessions(pool: &Arc<Pool>, most: usize) -> Result<Vec<MariaDbSession>> {
    let mut sessions = vec![MariaDbSession::new(pool.borrow().await?)];
    for other in join_all((1..most).map(|_| pool.borrow())).await {
        match other {
            Ok(connection) => sessions.push(MariaDbSession::new(connection)),
            Err(error) => tracing::info!(%error, "reading over fewer connections"),
        }
    }
    if sessions.len() > 1 {
        for _ in 0..TRIES {
            match opened(&mut sessions).await? {
                Opened::SameMoment => return Ok(sessions),
                Opened::Different => end(&mut sessions).await?,
                Opened::Unknown => {
                    end(&mut sessions).await?;
                    break;
                }
            }
        }
        tracing::info!(
            "the server shows no moment that several connections share; reading over one"
        );
        sessions.truncate(1);
    }
    for session in &mut sessions {
        session.begin_snapshot().await?;
    }
    Ok(sessions)
}

/// What the snapshots that were opened have in common.
enum Opened {
    SameMoment,
    /// Somebody wrote meanwhile.
    Different,
    /// The server does not tell.
    Unknown,
}

async fn opened(sessions: &mut [MariaDbSession]) -> Result<Opened> {
    let Some((first, _)) = sessions.split_first_mut() else {
        return Ok(Opened::Unknown);
    };
    let before = first.text(REDO, DOING).await?;
    try_join_all(sessions.iter_mut().map(|session| session.begin_snapshot())).await?;
    let positions = sessions
        .iter_mut()
        .map(|session| session.text(POSITION, DOING));
    let positions = try_join_all(positions).await?;
    let Some((first, _)) = sessions.split_first_mut() else {
        return Ok(Opened::Unknown);
    };
    let after = first.text(REDO, DOING).await?;
    Ok(judged(&before, &after, &positions))
}

fn judged(before: &Option<String>, after: &Option<String>, positions: &[Option<String>]) -> Opened {
    let is_told =
        |text: &Option<String>| text.as_ref().is_some_and(|t| t.contains(char::is_numeric));
    if !is_told(before) || !positions.iter().all(is_told) {
        return Opened::Unknown;
    }
    let is_same = positions.windows(2).all(|two| two.first() == two.last());
    match is_same && before == after {
        true => Opened::SameMoment,
        false => Opened::Different,
    }
}

async fn end(sessions: &mut [MariaDbSession]) -> Result<()> {
    try_join_all(sessions.iter_mut().map(|session| session.end_snapshot())).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_stood_still_and_says_so_gives_several_sessions_one_moment() {
        let some = |text: &str| Some(text.to_owned());
        let judge = |before: &str, after: &str, positions: &[&str]| {
            let positions: Vec<_> = positions.iter().map(|p| some(p)).collect();
            match judged(&some(before), &some(after), &positions) {
                Opened::SameMoment => "same",
                Opened::Different => "different",
                Opened::Unknown => "unknown",
            }
        };
        assert_eq!(judge("7", "7", &["bin.1:4", "bin.1:4"]), "same");
        assert_eq!(judge("7", "7", &["bin.1:4", "bin.1:9"]), "different");
        assert_eq!(judge("7", "8", &["bin.1:4", "bin.1:4"]), "different");
        assert_eq!(judge("7", "7", &["", ""]), "unknown");
        assert_eq!(judge("", "", &["bin.1:4", "bin.1:4"]), "unknown");
        assert!(matches!(judged(&None, &None, &[None]), Opened::Unknown));
    }
}

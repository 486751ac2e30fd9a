//! What a failure of the driver means: one table from SQLSTATE to kind, and a text that holds no row's value.

use std::error::Error as _;

use tokio_postgres::Error as DriverError;
use tokio_postgres::error::DbError;

use crate::certificates::{self, refusal};
use crate::error::{Code, Error, Kind};

/// How the URL calls what TLS needs.
const TLS: certificates::Settings = certificates::Settings {
    address: "the source's `url`",
    authorities: "`?sslrootcert=FILE` in the source's `url`",
    identity: "`?sslcert=FILE&sslkey=FILE` in the source's `url`",
};

/// Turns a driver's error into ours. DETAIL is left out, because it quotes rows.
pub(super) fn failed(doing: impl Into<String>, error: &DriverError) -> Error {
    let doing = doing.into();
    match error.as_db_error() {
        Some(answer) => refused(doing, answer),
        None => broken(doing, error),
    }
}

/// The server answered with an error.
fn refused(doing: String, answer: &DbError) -> Error {
    let state = answer.code().code();
    let (kind, hint) = match admission(state, answer.message()) {
        Some(hint) => (Kind::Permission, Some(hint)),
        None => meaning(state),
    };
    // Messages of class 22 and 23 quote the value they stumbled over.
    let text = match state.get(..2) {
        Some("22" | "23") => format!("the server refuses a value (SQLSTATE {state})"),
        _ => format!("{} (SQLSTATE {state})", answer.message()),
    };
    let failure = Error::new(kind, doing).because(text);
    let failure = known(state)
        .iter()
        .fold(failure, |failure, code| failure.code(*code));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What the server asks of the connection itself; told apart by words of its default language, for the hint alone.
fn admission(state: &str, message: &str) -> Option<&'static str> {
    let says = |words: &str| message.contains(words);
    match state {
        "28000" => {}
        "42501" if says("permission denied for database") => {
            return Some(
                "GRANT CONNECT ON DATABASE, as the database's owner, to the role of the source's `url`",
            );
        }
        _ => return None,
    }
    match () {
        () if says("client certificate") || says("certificate authentication failed") => Some(
            "give a certificate that the server's authority signed and that names this role: `?sslcert=FILE&sslkey=FILE` in the source's `url`",
        ),
        () if says("no encryption") => Some(
            "the server admits this role from here only over TLS, if at all: write `?sslmode=verify-full` in the source's `url`, or let the role in by pg_hba.conf",
        ),
        () if says("pg_hba.conf") => {
            Some("let the role in from this host by the server's pg_hba.conf")
        }
        () => None,
    }
}

/// What each SQLSTATE, or its class of two characters, means here, and what to do about it.
#[rustfmt::skip]
fn meaning(state: &str) -> (Kind, Option<&'static str>) {
    match state {
        "3D000"                     => (Kind::Config,      Some("check the database's name at the end of the url")),
        "42501"                     => (Kind::Permission,  Some("grant what is missing to the role, e.g. GRANT SELECT ON the table; a table with row security needs ALTER ROLE … BYPASSRLS")),
        "42P01"                     => (Kind::Config,      Some("check the table's name and schema; `cdc plan` shows what the configuration means")),
        "42703" | "42804" | "42883" | "0A000" => (Kind::Config,      Some("the table has changed; describe it again")),
        "55P03"                     => (Kind::Unavailable, Some("another session holds a lock on the table for longer than the lock time-out")),
        "53300"                     => (Kind::Unavailable, Some("the server has no free connection: raise max_connections or lower `connections`")),
        "57014"                     => (Kind::Unavailable, Some("somebody cancelled the statement")),
        _ => match state.get(..2).unwrap_or_default() {
            "28"                    => (Kind::Permission,  Some("wrong credentials: check user and password of the url")),
            "08" | "40" | "53" | "57" | "58" | "XX" => (Kind::Unavailable, None),
            "22" | "23"             => (Kind::Data,        None),
            "42"                    => (Kind::Bug,         None),
            _                       => (Kind::Unavailable, None),
        },
    }
}

/// The codes a state may have; each counts for its own kind of failure.
fn known(state: &str) -> &'static [Code] {
    match state {
        "3D000" => &[Code::NO_SUCH_DATABASE],
        "42501" => &[Code::GRANT_MISSING],
        "42P01" => &[Code::NO_SUCH_TABLE],
        "42703" | "42804" | "42883" | "0A000" => &[Code::TABLE_CHANGED],
        "55P03" => &[Code::LOCKED_TABLE],
        "53300" => &[Code::NO_FREE_CONNECTION],
        _ => &[Code::DATABASE_CREDENTIALS, Code::DATABASE_UNREACHABLE],
    }
}

/// There is no answer: the connection could not be made or is gone, or what came over it is not understood.
fn broken(doing: String, error: &DriverError) -> Error {
    let said = error.to_string();
    let cause = error.source();
    let text = match cause {
        Some(cause) => format!("{said}: {cause}"),
        None => said.clone(),
    };
    if let Some(wrong) = refusal(error) {
        return certificates::refused(doing, wrong, &TLS);
    }
    // Not the network's fault: it is the same at the next try.
    if said.starts_with("error performing TLS handshake")
        && text.contains("server does not support TLS")
    {
        return Error::new(Kind::Config, doing).code(crate::error::Code::SOURCE_CHANGED).because("the server offers no TLS").hint(
            "set `ssl = on` and a certificate there, or write `?sslmode=disable` in the source's `url` if the network is trusted",
        );
    }
    match () {
        () if text.ends_with("password missing") => Error::new(Kind::Permission, doing)
            .code(crate::error::Code::DATABASE_CREDENTIALS)
            .because("the server asks for a password, and the url has none")
            .hint("write it behind the user, `postgres://user:${env:NAME}@host/database`, on a command line in single quotes"),
        () if said.starts_with("authentication error") => Error::new(Kind::Permission, doing)
            .code(crate::error::Code::DATABASE_CREDENTIALS)
            .because(text)
            .hint("the server asks for a way to log in that the url does not provide: check the password"),
        () if said.starts_with("error serializing") || said.starts_with("error deserializing") => {
            Error::new(Kind::Bug, doing).because(said)
        }
        () => Error::new(Kind::Unavailable, doing)
            .code(crate::error::Code::DATABASE_UNREACHABLE)
            .because(text)
            .hint("see that the server runs and that this machine reaches it; it is tried again by itself"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_the_kind_that_decides_whether_it_is_tried_again() {
        for (state, kind) in [
            ("28P01", Kind::Permission),
            ("3D000", Kind::Config),
            ("42501", Kind::Permission),
            ("42P01", Kind::Config),
            ("42703", Kind::Config),
            ("57P01", Kind::Unavailable),
            ("08006", Kind::Unavailable),
            ("40001", Kind::Unavailable),
            ("22P02", Kind::Data),
            ("42601", Kind::Bug),
        ] {
            assert_eq!(meaning(state).0, kind, "{state}");
        }
    }
}

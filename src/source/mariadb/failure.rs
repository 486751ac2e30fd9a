//! What the driver and the server say went wrong, in this program's words.

use mysql_async::{DriverError, IoError, ServerError};

use crate::certificates::{self, refusal};
use crate::error::{Code, Error, Kind};

/// Errors of the server whose text quotes a value; only their number is passed on.
/// Source: `sql/share/errmsg-utf8.txt` (duplicate entry, truncated or incorrect values, data too long).
const QUOTE_A_VALUE: [u16; 8] = [1062, 1264, 1265, 1292, 1366, 1406, 1411, 1525];

/// Another session holds what a NOWAIT read asked for, or a lock was waited for too long.
pub(super) const LOCK_WAIT: u16 = 1205;
/// A server-wide privilege is missing.
pub(super) const NEEDS_PRIVILEGE: u16 = 1227;

/// How the URL calls what TLS needs.
const TLS: certificates::Settings = certificates::Settings {
    address: "the source's `url`",
    authorities: "`?sslrootcert=FILE` in the source's `url`",
    identity: "`?sslcert=FILE&sslkey=FILE` in the source's `url`",
};

/// The server's number of an error, where it comes from the server.
pub(super) fn code(error: &mysql_async::Error) -> Option<u16> {
    match error {
        mysql_async::Error::Server(server) => Some(server.code),
        _ => None,
    }
}

/// Turns a failure while `doing` something into ours.
pub(super) fn failure(error: mysql_async::Error, doing: &str) -> Error {
    if let Some(wrong) = refusal(&error) {
        return certificates::refused(doing, wrong, &TLS);
    }
    match error {
        mysql_async::Error::Server(server) => of_server(&server, doing),
        mysql_async::Error::Io(IoError::Io(io)) => Error::new(Kind::Unavailable, doing)
            .code(crate::error::Code::DATABASE_UNREACHABLE)
            .because(io),
        mysql_async::Error::Io(IoError::Tls(tls)) => Error::new(Kind::Config, doing).because(tls),
        mysql_async::Error::Driver(driver) => of_driver(&driver, doing),
        // Neither is ever made from what a server sends: a URL is not used, and nothing of ours runs inside.
        other @ (mysql_async::Error::Url(_) | mysql_async::Error::Other(_)) => {
            Error::new(Kind::Bug, doing).because(other)
        }
    }
}

fn of_driver(driver: &DriverError, doing: &str) -> Error {
    let kind = match driver {
        DriverError::ConnectionClosed
        | DriverError::PacketOutOfOrder
        | DriverError::PoolDisconnected => Kind::Unavailable,
        DriverError::UnknownAuthPlugin { .. }
        | DriverError::MysqlOldPasswordDisabled
        | DriverError::CleartextPluginDisabled
        | DriverError::NoClientSslFlagFromServer
        | DriverError::CantParseServerVersion { .. } => Kind::Config,
        DriverError::PacketTooLarge => Kind::Data,
        _ => Kind::Bug,
    };
    let error = Error::new(kind, doing)
        .code(Code::DATABASE_UNREACHABLE)
        .code(Code::SOURCE_CHANGED)
        .because(first_lower(&driver.to_string()));
    match driver {
        DriverError::NoClientSslFlagFromServer => error.hint(
            "the server offers no TLS: configure a certificate there, or set `sslmode=disable` if the network is trusted",
        ),
        _ => error,
    }
}

fn of_server(server: &ServerError, doing: &str) -> Error {
    let text = if QUOTE_A_VALUE.contains(&server.code) {
        format!("error {} ({})", server.code, server.state)
    } else {
        format!(
            "error {} ({}): {}",
            server.code,
            server.state,
            first_lower(&server.message)
        )
    };
    let (kind, hint) = fate(server.code);
    let error = Error::new(kind, doing).because(text);
    let error = known(server.code)
        .iter()
        .fold(error, |error, code| error.code(*code));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What each number means here, and what to do about it.
/// Source: <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
fn fate(code: u16) -> (Kind, Option<&'static str>) {
    match code {
        1045 | 1698 => (
            Kind::Permission,
            Some(
                "check user and password of the source's `url`, and the host the account may log in from; an account that REQUIREs SSL or X509 is refused in the same words without TLS (`?sslmode=require` behind the `url`), or without `sslcert` and `sslkey`",
            ),
        ),
        1130 | 1129 => (
            Kind::Permission,
            Some("the server does not admit this host: check the host part of the account"),
        ),
        1820 | 1862 | 4150 | 4151 => (
            Kind::Permission,
            Some("the account is locked or its password has expired: set a new one"),
        ),
        1044 => (
            Kind::Permission,
            Some(
                "the account has no rights in this database: check the name, or GRANT SELECT on its tables",
            ),
        ),
        1142 | 1143 | 1370 => (
            Kind::Permission,
            Some("GRANT SELECT on the table to the account of the source's `url`"),
        ),
        NEEDS_PRIVILEGE => (
            Kind::Permission,
            Some("GRANT the privilege named in the message to the account of the source's `url`"),
        ),
        1049 => (
            Kind::Config,
            Some("check the database name at the end of the source's `url`"),
        ),
        1146 | 1051 => (
            Kind::Config,
            Some("there is no such table: check its name and that it was not dropped or renamed"),
        ),
        1054 => (
            Kind::Config,
            Some(
                "the table has no such column: check its name and that it was not dropped or renamed",
            ),
        ),
        1356 => (
            Kind::Config,
            Some("the view refers to something that is gone or that its definer may not read"),
        ),
        1193 => (
            Kind::Config,
            Some("this server is not MariaDB 10.3 or later"),
        ),
        1040 | 1203 | 1226 => (
            Kind::Unavailable,
            Some(
                "the server admits no more connections: lower `connections`, or raise `max_connections` there",
            ),
        ),
        // Gone, killed, shutting down, waited for a lock, chosen to end a deadlock, interrupted, or changed
        // under a snapshot: the same work can succeed when it is begun again.
        1053 | 1158..=1161 | LOCK_WAIT | 1213 | 1317 | 1412 | 1615 | 1927 | 1969 | 2006 | 2013 => {
            (Kind::Unavailable, None)
        }
        _ => (Kind::Bug, None),
    }
}

/// The codes an error of the server may have; each counts for its own kind of failure.
fn known(code: u16) -> &'static [Code] {
    match code {
        1820 | 1862 | 4150 | 4151 => &[Code::ACCOUNT_LOCKED],
        1142 | 1143 | 1370 | NEEDS_PRIVILEGE => &[Code::GRANT_MISSING],
        1049 => &[Code::NO_SUCH_DATABASE],
        1146 | 1051 => &[Code::NO_SUCH_TABLE],
        1054 => &[Code::TABLE_CHANGED],
        1193 => &[Code::SOURCE_CHANGED],
        1040 | 1203 | 1226 => &[Code::NO_FREE_CONNECTION],
        LOCK_WAIT => &[Code::LOCKED_TABLE],
        _ => &[Code::DATABASE_CREDENTIALS, Code::DATABASE_UNREACHABLE],
    }
}

fn first_lower(message: &str) -> String {
    let mut letters = message.trim_end_matches('.').chars();
    match (letters.next(), letters.clone().next()) {
        // An abbreviation ("SELECT command denied …") stays as it is.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        (Some(first), _) => std::iter::once(first).chain(letters).collect(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fate;

    fn server(code: u16, message: &str) -> mysql_async::Error {
        mysql_async::Error::Server(ServerError {
            code,
            message: message.into(),
            state: "HY000".into(),
        })
    }

    #[test]
    fn a_wrong_password_is_a_matter_of_permission() {
        let error = failure(
            server(
                1045,
                "Access denied for user 'cdc'@'10.0.0.1' (using password: YES)",
            ),
            "connecting",
        );
        assert_eq!(error.kind(), Kind::Permission);
        assert_eq!(
            error.to_string(),
            "connecting: error 1045 (HY000): access denied for user 'cdc'@'10.0.0.1' (using password: YES)"
        );
    }

    #[test]
    fn a_server_that_goes_away_is_tried_again() {
        for code in [1053, 1927, 2006, 2013, 1040, 1205] {
            assert_eq!(
                failure(server(code, "gone"), "reading").kind().fate(),
                Fate::Retry,
                "{code}"
            );
        }
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(
            failure(refused.into(), "connecting").kind(),
            Kind::Unavailable
        );
    }

    #[test]
    fn a_certificate_that_is_not_accepted_is_not_tried_again() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = failure(std::io::Error::other(unknown).into(), "connecting");
        assert_eq!(error.kind(), Kind::Config);
        assert!(
            error
                .next_step()
                .is_some_and(|hint| hint.contains("sslrootcert"))
        );
    }

    #[test]
    fn a_message_that_quotes_a_value_is_not_passed_on() {
        let error = failure(
            server(1292, "Truncated incorrect DOUBLE value: '4111 1111'"),
            "reading rows",
        );
        assert!(!error.to_string().contains("4111"), "{error}");
    }
}

//! Database URLs, taken apart by ourselves: the drivers read `sslmode` each in its own way.
//!
//! No message holds any part of the URL, since any part of it may be the password.

use std::fmt;

use url::{Host, Url};

use super::peer::is_loopback;
use super::reference::{Piece, Text};
use super::{DatabaseKind, DatabaseUrl, Secret, TlsMode, defaults, tls};
use crate::model::percent_encode;

const FORM: &str = "write `postgres://user@host/database` or `mariadb://user@host/database`";

impl DatabaseUrl {
    /// Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…&sslcert=…&sslkey=…` (or
    /// `mariadb://`), percent-decoding each part. The message is the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| {
            format!("is no URL ({error}); {FORM}, with `/ ? # @ % :` in a password percent-encoded")
        })?;
        let (kind, default_port) = match url.scheme() {
            "postgres" | "postgresql" => (DatabaseKind::Postgres, defaults::POSTGRES_PORT),
            "mariadb" | "mysql" => (DatabaseKind::MariaDb, defaults::MARIADB_PORT),
            "jdbc" => return Err("begins with `jdbc:`, which is to be left out".to_owned()),
            _ => return Err(format!("is of no known database; {FORM}")),
        };
        let host = host(&url)?;
        let tls = tls::parse(url.query().unwrap_or_default(), is_loopback(&host))?;
        if url.fragment().is_some() {
            return Err("holds a `#`; in a password it is written `%23`".to_owned());
        }
        Ok(DatabaseUrl {
            kind,
            port: url.port().unwrap_or(default_port),
            user: some(&decode(url.username())?, "user")?,
            password: Secret::new(decode(url.password().unwrap_or_default())?),
            database: database(&url)?,
            host,
            tls: tls.mode,
            tls_ca: tls.authorities,
            tls_identity: tls.identity,
        })
    }

    /// As [`DatabaseUrl::parse`]; a reference between `//` and `@` is taken literally, so that a password
    /// from a file needs no percent-encoding.
    pub(super) fn parse_written(text: &Text) -> Result<Self, String> {
        let login_ends = text.login_ends().unwrap_or(0);
        let piece = |(index, piece): (usize, &Piece)| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Referenced(secret) if index < login_ends => percent_encode(secret.reveal()),
            Piece::Referenced(secret) => secret.reveal().to_owned(),
        };
        let whole: String = text.pieces.iter().enumerate().map(piece).collect();
        Self::parse(&whole)
    }

    /// What the way to the database lacks, where it is written so.
    pub(super) fn weakness(&self) -> Option<&'static str> {
        match self.tls {
            TlsMode::Disable if !self.is_local() => {
                Some("no encryption: password and rows can be read on the way")
            }
            TlsMode::RequireNoVerify => {
                Some("no check of the certificate: anybody may answer in the database's place")
            }
            TlsMode::VerifyCa => Some(
                "no check of the host's name: every server with a certificate of that authority may answer in the database's place",
            ),
            _ => None,
        }
    }

    /// Whether the host is this machine, so that nothing crosses a network.
    pub fn is_local(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// `postgres://user@host:port/database`: what may be shown of it.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            DatabaseKind::Postgres => "postgres",
            DatabaseKind::MariaDb => "mariadb",
        };
        let DatabaseUrl {
            user,
            host,
            port,
            database,
            ..
        } = self;
        if host.contains(':') {
            write!(f, "{scheme}://{user}@[{host}]:{port}/{database}")
        } else {
            write!(f, "{scheme}://{user}@{host}:{port}/{database}")
        }
    }
}

fn host(url: &Url) -> Result<String, String> {
    let host = match url.host() {
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Domain(name)) => decode(name)?,
        None => String::new(),
    };
    if host.contains(',') {
        return Err("names several hosts; name the one to read from".to_owned());
    }
    if host.starts_with('/') {
        return Err("names a socket; only TCP is spoken, so name a host".to_owned());
    }
    some(&host, "host")
}

fn database(url: &Url) -> Result<String, String> {
    let path = url.path().trim_start_matches('/').trim_end_matches('/');
    if path.contains('/') {
        return Err("holds more than a database's name after the host".to_owned());
    }
    some(&decode(path)?, "database")
}

pub(super) fn some(text: &str, what: &str) -> Result<String, String> {
    if text.is_empty() {
        Err(format!("names no {what}; {FORM}"))
    } else {
        Ok(text.to_owned())
    }
}

/// Undoes percent-encoding.
pub(super) fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let byte = match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or(b'?'),
                _ => return Err("holds a `%` without two digits; `%` itself is `%25`".to_owned()),
            },
            byte => byte,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 once percent-decoded".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_decoded_and_ports_and_tls_have_defaults() {
        let url =
            DatabaseUrl::parse("postgresql://re%40der:p%2Fa%25s@db.example.com/sh%C3%B6p").unwrap();
        assert_eq!(url.kind, DatabaseKind::Postgres);
        assert_eq!(url.user, "re@der");
        assert_eq!(url.password.reveal(), "p/a%s");
        assert_eq!(url.database, "shöp");
        assert_eq!((url.port, url.tls), (5432, TlsMode::VerifyFull));
        assert_eq!(
            url.to_string(),
            "postgres://re@der@db.example.com:5432/shöp"
        );
        let url = DatabaseUrl::parse("mysql://cdc@[::1]:3307/pos").unwrap();
        assert_eq!(url.kind, DatabaseKind::MariaDb);
        assert_eq!(
            (url.host.as_str(), url.port, url.tls),
            ("::1", 3307, TlsMode::Disable)
        );
        assert!(url.is_local());
    }

    #[test]
    fn no_message_shows_a_part_of_the_url() {
        for wrong in [
            "",
            "hunter2",
            "oracle://cdc:hunter2@db/shop",
            "jdbc:postgresql://cdc:hunter2@db/shop",
            "postgres://:hunter2@db/shop",
            "postgres://cdc:hunter2@db",
            "postgres://cdc:hunter2@db/shop/more",
            "postgres://cdc:hunter2@a,b/shop",
            "postgres://cdc:hunter2@%2Frun%2Fsocket/shop",
            "postgres://cdc:hunter2@/shop",
            "postgres://cdc:hunter2@db/shop?user=hunter2",
            "postgres://cdc:hunter2@db/shop?sslmode=hunter2",
            "postgres://cdc:hunter2@db/shop?sslcert=hunter2",
            "postgres://cdc:hunter2@db/shop?sslpassword=hunter2",
            "postgres://cdc:hunter2#x@db/shop",
            "postgres://cdc:hunter2%zz@db/shop",
            "postgres://cdc:hunter2@db:port/shop",
        ] {
            let message = DatabaseUrl::parse(wrong).unwrap_err();
            assert!(!message.contains("hunter2"), "{wrong}: {message}");
        }
    }

    #[test]
    fn a_password_from_a_reference_needs_no_percent_encoding() {
        let text = Text {
            written: String::new(),
            pieces: vec![
                Piece::Literal("postgres://cdc:".to_owned()),
                Piece::Referenced(Secret::new("p@/#%")),
                Piece::Literal("@".to_owned()),
                Piece::Referenced(Secret::new("localhost:5433")),
                Piece::Literal("/shop".to_owned()),
            ],
        };
        let url = DatabaseUrl::parse_written(&text).unwrap();
        assert_eq!(url.password.reveal(), "p@/#%");
        assert_eq!((url.host.as_str(), url.port), ("localhost", 5433));
    }
}

//! What a database's URL says about TLS: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, by libpq's names.

use std::path::PathBuf;

use super::database_url::{decode, some};
use super::{TlsIdentity, TlsMode};

/// How the database is spoken to.
pub(super) struct Tls {
    pub mode: TlsMode,
    pub authorities: Option<PathBuf>,
    pub identity: Option<TlsIdentity>,
}

/// Reads what stands behind the `?`. A peer elsewhere is checked in full unless the URL says otherwise:
/// libpq's own default, `prefer`, would talk to anybody. The message is the rest of a sentence, without values.
pub(super) fn parse(query: &str, is_loopback: bool) -> Result<Tls, String> {
    let (mut mode, mut authorities, mut certificate, mut key) = (None, None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let file = |what| Ok::<_, String>(Some(PathBuf::from(some(&decode(value)?, what)?)));
        match name {
            "sslmode" => mode = Some(tls_mode(&decode(value)?)?),
            "sslrootcert" => authorities = file("certificate file")?,
            "sslcert" => certificate = file("certificate file")?,
            "sslkey" => key = file("key file")?,
            "sslpassword" => {
                return Err("gives `sslpassword`, but keys are read unencrypted; write the key without its pass phrase into a file that only `cdc` may read: `openssl pkey -in encrypted.pem -out client.key`".to_owned());
            }
            _ => return Err(unknown(name)),
        }
    }
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsIdentity { certificate, key }),
        (None, None) => None,
        _ => return Err("gives one of `sslcert` and `sslkey`, which belong together".to_owned()),
    };
    let says_nothing = authorities.is_none() && identity.is_none();
    let mode = match mode {
        Some(mode) => mode,
        None if is_loopback && says_nothing => TlsMode::Disable,
        None => TlsMode::VerifyFull,
    };
    match mode {
        TlsMode::Disable if !says_nothing => Err(
            "gives certificates, but its `sslmode` asks for no encryption; write `sslmode=verify-full`"
                .to_owned(),
        ),
        TlsMode::RequireNoVerify if authorities.is_some() => Err(
            "gives `sslrootcert`, but its `sslmode` checks no certificate; write `sslmode=verify-full`"
                .to_owned(),
        ),
        TlsMode::VerifyCa if authorities.is_none() => Err(
            "says `sslmode=verify-ca` without `sslrootcert`: every certificate of a public authority would do; name your own authority, or write `verify-full`"
                .to_owned(),
        ),
        mode => Ok(Tls {
            mode,
            authorities,
            identity,
        }),
    }
}

/// How other programs ask for TLS, by the keys that stand for one of ours.
const FOREIGN: [(&str, &[&str]); 4] = [
    (
        "sslmode",
        &[
            "ssl",
            "usessl",
            "use_ssl",
            "requiressl",
            "ssl_mode",
            "ssl-mode",
            "tls",
            "verifyservercertificate",
        ],
    ),
    (
        "sslrootcert",
        &["sslca", "ssl_ca", "ssl-ca", "sslrootca", "serversslcert"],
    ),
    ("sslcert", &["ssl_cert", "ssl-cert"]),
    ("sslkey", &["ssl_key", "ssl-key"]),
];

/// Of a key that is none of ours. Only words of the list are shown: any other may be a part of the password.
fn unknown(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let found = FOREIGN.iter().find_map(|(ours, theirs)| {
        let foreign = theirs.iter().find(|word| **word == lower)?;
        Some((*ours, *foreign))
    });
    match found {
        Some(("sslmode", foreign)) => format!(
            "has `{foreign}` after its `?`, which is written otherwise here; write `sslmode=verify-full` for encryption with a check of the certificate (the default unless the host is this machine), `sslmode=require` for encryption alone, `sslmode=disable` for none"
        ),
        Some((ours, foreign)) => format!(
            "has `{foreign}` after its `?`, which is written otherwise here; write `{ours}=/path/to/file.pem`"
        ),
        None => "has another key than `sslmode`, `sslrootcert`, `sslcert` and `sslkey` after its `?`; write only these there, for PostgreSQL and MariaDB alike".to_owned(),
    }
}

fn tls_mode(word: &str) -> Result<TlsMode, String> {
    match word {
        "disable" => Ok(TlsMode::Disable),
        "require" | "require-noverify" => Ok(TlsMode::RequireNoVerify),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "verify-full" => Ok(TlsMode::VerifyFull),
        "prefer" | "allow" => Err(format!(
            "says `sslmode={word}`, which falls back to no encryption without a word; write `disable` to accept that, else `verify-full`"
        )),
        _ => Err(
            "has an unknown `sslmode`; it is one of disable, require, verify-ca, verify-full"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(query: &str, is_loopback: bool) -> TlsMode {
        parse(query, is_loopback).map(|tls| tls.mode).unwrap()
    }

    #[test]
    fn a_peer_elsewhere_is_checked_in_full_unless_something_weaker_is_written() {
        assert_eq!(mode("", false), TlsMode::VerifyFull);
        assert_eq!(mode("", true), TlsMode::Disable);
        assert_eq!(mode("sslrootcert=/ca.pem", true), TlsMode::VerifyFull);
        assert_eq!(
            mode("sslcert=/c.pem&sslkey=/c.key", true),
            TlsMode::VerifyFull
        );
        for is_loopback in [true, false] {
            assert_eq!(mode("sslmode=disable", is_loopback), TlsMode::Disable);
            for word in ["require", "require-noverify"] {
                let query = format!("sslmode={word}");
                assert_eq!(mode(&query, is_loopback), TlsMode::RequireNoVerify);
            }
            assert_eq!(
                mode("sslmode=verify-ca&sslrootcert=/ca.pem", is_loopback),
                TlsMode::VerifyCa
            );
            assert_eq!(
                mode("sslmode=verify-full", is_loopback),
                TlsMode::VerifyFull
            );
        }
    }

    #[test]
    fn files_are_percent_decoded() {
        let tls = parse(
            "sslrootcert=/etc/ca%20s.pem&sslcert=/c%2B.pem&sslkey=/c.key",
            false,
        )
        .unwrap();
        assert_eq!(tls.authorities, Some(PathBuf::from("/etc/ca s.pem")));
        let identity = tls.identity.unwrap();
        assert_eq!(identity.certificate, PathBuf::from("/c+.pem"));
        assert_eq!(identity.key, PathBuf::from("/c.key"));
    }

    #[test]
    fn who_asks_for_tls_as_elsewhere_is_told_how_it_is_written_here() {
        let refused = |query| parse(query, false).err().unwrap_or_default();
        for query in ["ssl=true", "useSSL=true", "ssl-mode=REQUIRED"] {
            let said = refused(query);
            assert!(said.contains("write `sslmode=verify-full`"), "{said}");
        }
        assert!(refused("ssl=true").starts_with("has `ssl` after its `?`"));
        assert!(refused("ssl_ca=/ca.pem").contains("write `sslrootcert=/path"));
        let other = refused("hunter2=hunter2");
        assert!(!other.contains("hunter2"), "{other}");
    }

    #[test]
    fn what_would_check_less_than_it_sounds_like_is_refused() {
        for query in [
            "sslmode=prefer",
            "sslmode=allow",
            "sslmode=on",
            "sslmode=",
            "sslmode=verify-ca",
            "sslmode=disable&sslrootcert=/ca.pem",
            "sslmode=disable&sslcert=/c.pem&sslkey=/c.key",
            "sslmode=require&sslrootcert=/ca.pem",
            "sslcert=/c.pem",
            "sslkey=/c.key",
            "sslrootcert=",
            "sslpassword=x",
            "ssl=true",
        ] {
            assert!(parse(query, false).is_err(), "{query}");
        }
    }
}

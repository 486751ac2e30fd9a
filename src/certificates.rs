//! Certificates: reading them from files, and what it means when one is refused.

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError};

use crate::error::{Error, Kind, Result};

/// Every certificate of a PEM file; at least one.
pub fn read_certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let failed = || {
        Error::new(
            Kind::Config,
            format!("reading {what} from `{}`", path.display()),
        )
    };
    let text = std::fs::read(path).map_err(|error| unreadable(failed(), error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(failed()
            .because("it holds no certificate")
            .hint("give a PEM file, which begins with `-----BEGIN CERTIFICATE-----`")),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(failed().because("it is no sound PEM file")),
    }
}

/// The private key of a PEM file.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let failed = || {
        let doing = format!("reading the client's private key from `{}`", path.display());
        Error::new(Kind::Config, doing)
    };
    let text = std::fs::read(path).map_err(|error| unreadable(failed(), error))?;
    let is_encrypted = || {
        let text = String::from_utf8_lossy(&text);
        text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
    };
    // The reader's own messages may quote the file, which is the secret.
    match PrivateKeyDer::from_pem_slice(&text) {
        _ if is_encrypted() => Err(failed().because("it is encrypted with a pass phrase").hint(
            "write the key without its pass phrase into a file that only `cdc` may read: `openssl pkey -in encrypted.pem -out client.key`",
        )),
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(failed()
            .because("it holds no private key")
            .hint("give a PEM file, which begins with `-----BEGIN PRIVATE KEY-----`")),
        Err(_) => Err(failed().because("it is no sound PEM file")),
    }
}

/// A certificate, those between it and its authority, and its private key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What a client shows of itself: a certificate and the key that belongs to it.
pub fn read_identity(certificate: &Path, key: &Path) -> Result<Identity> {
    let chain = read_certificates(certificate, "the client's certificate")?;
    let private = read_key(key)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain.clone(), private.clone_key(), &provider).map_err(|error| {
        let doing = format!(
            "using the client's certificate `{}` with the key `{}`",
            certificate.display(),
            key.display()
        );
        Error::new(Kind::Config, doing)
            .because(error)
            .hint("give the certificate and the private key that belongs to it")
    })?;
    Ok((chain, private))
}

fn unreadable(failed: Error, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "check the path; it is meant on the machine where `cdc` runs",
        _ => "let the account that `cdc` runs under read this file",
    };
    failed.because(error).hint(hint)
}

/// How the settings that a way out is about are called where the peer is configured.
pub struct Settings {
    /// Where the peer's address is.
    pub address: &'static str,
    /// The file with authorities.
    pub authorities: &'static str,
    /// The client's own certificate and key.
    pub identity: &'static str,
}

/// What TLS found wrong, somewhere below `error`, and would find again at the next try.
pub fn refusal<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found).filter(|found| is_lasting(found));
        }
        // An I/O error does not name what it wraps as its source.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

/// Whether it is a matter of certificates and versions, and not of a connection that was disturbed.
fn is_lasting(error: &rustls::Error) -> bool {
    use AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(_)
        | rustls::Error::PeerIncompatible(_)
        | rustls::Error::InvalidMessage(_) => true,
        rustls::Error::AlertReceived(alert) => {
            ours(*alert).is_some()
                || matches!(
                    alert,
                    Alert::HandshakeFailure
                        | Alert::ProtocolVersion
                        | Alert::InsufficientSecurity
                        | Alert::UnrecognisedName
                )
        }
        _ => false,
    }
}

/// The names in the server's certificate, if it is sound but for another host.
pub fn names_presented(error: &rustls::Error) -> Option<Vec<String>> {
    let rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
        presented,
        ..
    }) = error
    else {
        return None;
    };
    // They come as `DnsName("db.example.com")` and `IpAddress(192.0.2.1)`.
    let bare = |name: &String| {
        let name = name
            .strip_prefix("DnsName(")
            .or(name.strip_prefix("IpAddress("))?;
        Some(name.strip_suffix(')')?.trim_matches('"').to_owned())
    };
    Some(presented.iter().filter_map(bare).collect())
}

/// What is wrong, in words, and what to do about it.
pub fn refused(doing: impl Into<String>, error: &rustls::Error, settings: &Settings) -> Error {
    let Settings {
        address,
        authorities,
        identity,
    } = settings;
    let (kind, text, hint) = match error {
        rustls::Error::InvalidCertificate(wrong) => {
            let (text, hint) = match names_presented(error) {
                Some(names) => (
                    for_others(&names),
                    format!(
                        "use a name of the certificate in {address}, or give the server a certificate for the name that stands there"
                    ),
                ),
                None => certificate(wrong, authorities),
            };
            (Kind::Config, text, hint)
        }
        rustls::Error::AlertReceived(alert) => match ours(*alert) {
            Some(text) => (
                Kind::Permission,
                format!("{text} ({alert:?})"),
                format!("give a certificate that the server's authority signed: {identity}"),
            ),
            None => (
                Kind::Config,
                format!("the server ended the handshake ({alert:?})"),
                "see the server's log; it must speak TLS 1.2 or 1.3".to_owned(),
            ),
        },
        other => (
            Kind::Config,
            other.to_string(),
            "see that the server speaks TLS 1.2 or 1.3 there".to_owned(),
        ),
    };
    Error::new(kind, doing)
        .code(crate::error::Code::CERTIFICATE)
        .because(text)
        .hint(hint)
}

fn for_others(names: &[String]) -> String {
    match names {
        [] => "the server's certificate names no host".to_owned(),
        names => format!(
            "the server's certificate is for `{}`, not for this host",
            names.join("`, `")
        ),
    }
}

fn certificate(wrong: &CertificateError, authorities: &str) -> (String, String) {
    use CertificateError as Wrong;
    let day = |time: &rustls::pki_types::UnixTime| {
        i64::try_from(time.as_secs())
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            .map_or_else(|| "long ago".to_owned(), |at| at.to_string())
    };
    let renew = "give the server a new certificate, or set this machine's clock if it is wrong";
    match wrong {
        Wrong::UnknownIssuer => (
            "the server's certificate is signed by an authority that is not trusted here".into(),
            format!("name the file with the server's authority: {authorities}"),
        ),
        Wrong::ExpiredContext { not_after, .. } => (
            format!("the server's certificate has expired at {}", day(not_after)),
            renew.into(),
        ),
        Wrong::Expired => ("the server's certificate has expired".into(), renew.into()),
        Wrong::NotValidYetContext { not_before, .. } => (
            format!(
                "the server's certificate is not valid before {}",
                day(not_before)
            ),
            renew.into(),
        ),
        Wrong::NotValidYet => (
            "the server's certificate is not valid yet".into(),
            renew.into(),
        ),
        Wrong::Revoked => (
            "the server's certificate was revoked".into(),
            "give the server a new certificate".into(),
        ),
        other => (
            format!("the server's certificate is not accepted: {other}"),
            format!(
                "give the server a certificate with a subject alternative name, signed by an authority that is trusted here: {authorities}"
            ),
        ),
    }
}

/// What a server says of the certificate that we showed, or did not show.
fn ours(alert: AlertDescription) -> Option<&'static str> {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => Some("the server asks for a client certificate"),
        Alert::UnknownCA => {
            Some("the server does not trust the authority of our client certificate")
        }
        Alert::CertificateExpired => Some("our client certificate has expired"),
        Alert::CertificateRevoked => Some("our client certificate was revoked"),
        Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::UnsupportedCertificate
        | Alert::DecryptError
        | Alert::AccessDenied => Some("the server asks for a client certificate that it accepts"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        address: "the url",
        authorities: "`sslrootcert`",
        identity: "`sslcert` and `sslkey`",
    };

    #[test]
    fn what_tls_finds_wrong_is_found_below_other_errors() {
        let wrong = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let io = io::Error::other(io::Error::other(wrong.clone()));
        let ours = Error::new(Kind::Unavailable, "connecting").because(io);
        assert_eq!(refusal(&ours), Some(&wrong));
        let error = refused("connecting", &wrong, &SETTINGS);
        assert!(error.to_string().contains("not trusted here"), "{error}");
        assert!(
            error
                .next_step()
                .is_some_and(|hint| hint.contains("`sslrootcert`"))
        );
        assert_eq!(refusal(&io::Error::other("reset")), None);
        let disturbed = rustls::Error::AlertReceived(AlertDescription::InternalError);
        assert_eq!(refusal(&io::Error::other(disturbed)), None);
    }

    #[test]
    fn a_certificate_for_another_host_is_named_by_its_own_names() {
        let wrong = rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            expected: "db".try_into().unwrap(),
            presented: vec![
                "DnsName(\"db.example.com\")".to_owned(),
                "IpAddress(192.0.2.1)".to_owned(),
                "DirectoryName".to_owned(),
            ],
        });
        let text = refused("connecting", &wrong, &SETTINGS).to_string();
        assert!(
            text.contains("for `db.example.com`, `192.0.2.1`, not for"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        for (text, said) in [
            ("hunter2", "holds no private key"),
            (
                "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n",
                "no sound PEM",
            ),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\naGk=\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "pass phrase",
            ),
        ] {
            let path = folder.path().join("client.key");
            std::fs::write(&path, text).unwrap();
            let error = read_key(&path).expect_err("refused");
            let shown = format!("{error:?}");
            assert!(
                shown.contains(said) && !shown.contains("hunter2"),
                "{shown}"
            );
        }
        let error =
            read_certificates(&folder.path().join("none"), "authorities").expect_err("refused");
        assert_eq!(error.kind(), Kind::Config);
    }
}

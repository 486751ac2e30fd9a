//! Why a broker cannot be reached. The client's own errors say only that it cannot; the reason stands in its
//! log, and which certificate was wrong in what way not even there.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certificates::{self, Identity, read_certificates, read_identity, refusal};
use crate::config::{KafkaSettings, Secret};
use crate::error::{Error, Kind, Result};

/// How the configuration calls what TLS needs.
const TLS: certificates::Settings = certificates::Settings {
    address: "`kafka.brokers` (or in the listeners that the brokers advertise)",
    authorities: "`ssl.ca.location` in `kafka.client`",
    identity: "`ssl.certificate.location` and `ssl.key.location` in `kafka.client`",
};
/// How long one step of looking at a broker's certificate may take.
const STEP: Duration = Duration::from_secs(1);

/// What a client of this process said last about a connection that failed, and when.
static NEWEST: Mutex<Option<(Instant, String)>> = Mutex::new(None);

/// Remembers what a client says of a connection: `[thread]: broker: what happened (after how long)`.
pub(super) fn listen(message: &str) {
    let text = message.rsplit_once("]: ").map_or(message, |(_, text)| text);
    let names_a_broker = text
        .split_once(": ")
        .is_some_and(|(broker, _)| broker.contains(':'));
    if names_a_broker {
        *NEWEST.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), text.to_owned()));
    }
}

/// What was said last, if that was after `began`.
pub(super) fn said_since(began: Instant) -> Option<String> {
    let newest = NEWEST.lock().unwrap_or_else(PoisonError::into_inner);
    let (at, text) = newest.as_ref()?;
    (*at >= began).then(|| without_ending(text).to_owned())
}

/// The topic that this user may not write to, where a line of the client's log says so: the error of the transaction
/// names none.
pub(super) fn unwritable_topic(message: &str) -> Option<&str> {
    let (_, named) = message.split_once("Failed to add partition \"")?;
    let (topic, rest) = named.split_once("\" [")?;
    rest.ends_with("to transaction: Broker: Topic authorization failed")
        .then_some(topic)
}

/// What trying again would not change: the failure in words, and what to do. `None` if it may pass.
pub(super) fn lasting(said: &str, kafka: &KafkaSettings, doing: &str) -> Option<Error> {
    let says = |words: &str| said.contains(words);
    let (address, text) = said.split_once(": ").unwrap_or(("", said));
    if says("SASL authentication error") || says("Authentication failed") {
        return Some(
            Error::new(Kind::Permission, doing)
                .because(text.to_owned())
                .hint(
                    "check `sasl.username`, `sasl.password` and `sasl.mechanism` in `kafka.client`",
                ),
        );
    }
    if says("connecting to a PLAINTEXT broker listener") {
        return Some(no_tls(doing));
    }
    if says("connecting to a SSL listener") || says("SSL") || says("ssl://") && says("Disconnected")
    {
        if let Some(error) = look_at(address, kafka, doing) {
            return Some(error);
        }
        let speaks_tls = protocol(kafka).ends_with("ssl");
        // A broker without TLS ends the connection, and the client takes that for what it is or for a lost one.
        if speaks_tls && place(address).is_some_and(answers_plainly) {
            return Some(no_tls(doing));
        }
        if says("connecting to a SSL listener") && !speaks_tls {
            let hint = "write `security.protocol: ssl` or `sasl_ssl` in `kafka.client`, or name the broker's other listener";
            let text = "the broker ended the connection, as one does that speaks TLS there, or asks for a log-in";
            return Some(Error::new(Kind::Config, doing).because(text).hint(hint));
        }
        if says("SSL handshake failed") {
            let hint = "check `ssl.ca.location`, `ssl.certificate.location` and `ssl.key.location` in `kafka.client`";
            return Some(
                Error::new(Kind::Config, doing)
                    .because(text.to_owned())
                    .hint(hint),
            );
        }
    }
    None
}

fn no_tls(doing: &str) -> Error {
    Error::new(Kind::Config, doing)
        .because("the broker speaks no TLS there")
        .hint("name a listener with TLS in `kafka.brokers`, or write `security.protocol: plaintext` in `kafka.client` if the network is trusted")
}

/// Host and port of `sasl_ssl://127.0.0.1:9093/bootstrap`.
fn place(address: &str) -> Option<&str> {
    address.split_once("://")?.1.split('/').next()
}

/// Whether a broker answers there without TLS: what it can do is told to everybody.
fn answers_plainly(place: &str) -> bool {
    /// ApiVersions, version 0, under the number 7, of a client without a name.
    const QUESTION: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    let ask = || -> std::io::Result<[u8; 8]> {
        let address = place.to_socket_addrs()?.next().ok_or(ErrorKind::NotFound)?;
        let mut socket = TcpStream::connect_timeout(&address, STEP)?;
        socket.set_read_timeout(Some(STEP))?;
        socket.write_all(&QUESTION)?;
        let mut answer = [0; 8];
        socket.read_exact(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.ends_with(&[0, 0, 0, 7]))
}

fn protocol(kafka: &KafkaSettings) -> String {
    let protocol = kafka.client.get("security.protocol").map(Secret::reveal);
    protocol.unwrap_or("plaintext").to_ascii_lowercase()
}

/// `… (after 3ms in state SSL_HANDSHAKE, 4 identical error(s) suppressed)` without what is in brackets.
fn without_ending(text: &str) -> &str {
    text.rsplit_once(" (after ").map_or(text, |(text, _)| text)
}

/// Shakes hands with a broker ourselves, to hear what exactly is wrong. `None` if nothing is found.
fn look_at(address: &str, kafka: &KafkaSettings, doing: &str) -> Option<Error> {
    if !protocol(kafka).ends_with("ssl") {
        return None;
    }
    let place = place(address)?;
    let (host, _) = place.rsplit_once(':')?;
    let failure = match shake_hands(place, host.trim_matches(['[', ']']), kafka) {
        Ok(None) => return None,
        Ok(Some(failure)) => failure,
        Err(error) => return Some(error.while_doing(doing)),
    };
    let wrong = refusal(&failure)?;
    Some(certificates::refused(doing, wrong, &TLS).about(format!("`{place}`")))
}

/// The failure of the handshake, or of the first read after it: a server says only then that it refuses a
/// client's certificate. `Err` where our own files are wrong.
fn shake_hands(place: &str, host: &str, kafka: &KafkaSettings) -> Result<Option<std::io::Error>> {
    let bug = |error: rustls::Error| Error::new(Kind::Bug, "setting up TLS").because(error);
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(bug)?
        .with_root_certificates(authorities(kafka)?);
    let config = match identity(kafka)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(bug)?,
        None => builder.with_no_client_auth(),
    };
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        return Ok(None);
    };
    let Some(address) = place.to_socket_addrs().ok().and_then(|mut all| all.next()) else {
        return Ok(None);
    };
    let Ok(socket) = TcpStream::connect_timeout(&address, STEP) else {
        return Ok(None);
    };
    let _ = socket.set_read_timeout(Some(STEP));
    let _ = socket.set_write_timeout(Some(STEP));
    let connection = ClientConnection::new(Arc::new(config), name).map_err(bug)?;
    let mut stream = StreamOwned::new(connection, socket);
    let spoken = stream.flush().and_then(|()| stream.read(&mut [0]));
    Ok(spoken
        .err()
        .filter(|error| !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)))
}

fn authorities(kafka: &KafkaSettings) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match kafka.client.get("ssl.ca.location").map(Secret::reveal) {
        Some(path) if Path::new(path).is_file() || !Path::new(path).exists() => {
            let certificates = read_certificates(Path::new(path), "certificate authorities")?;
            store.add_parsable_certificates(certificates);
        }
        _ => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(store)
}

/// The client's certificate, where it can be read: one with a pass phrase is left to the client.
fn identity(kafka: &KafkaSettings) -> Result<Option<Identity>> {
    let file = |property: &str| kafka.client.get(property).map(Secret::reveal);
    let (Some(certificate), Some(key)) =
        (file("ssl.certificate.location"), file("ssl.key.location"))
    else {
        return Ok(None);
    };
    if file("ssl.key.password").is_some() {
        return Ok(None);
    }
    read_identity(Path::new(certificate), Path::new(key)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka() -> KafkaSettings {
        KafkaSettings {
            brokers: "127.0.0.1:1".into(),
            topic_prefix: String::new(),
            partitions: 1,
            replication: 1,
            retention: Duration::ZERO,
            client: Default::default(),
        }
    }

    #[test]
    fn what_trying_again_would_not_change_is_told_apart_from_what_may_pass() {
        let kind = |said: &str| lasting(said, &kafka(), "connecting").map(|error| error.kind());
        let refused = "sasl_ssl://b:1/bootstrap: SASL authentication error: Authentication failed";
        assert_eq!(kind(refused), Some(Kind::Permission));
        let plain = "ssl://b:1/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?";
        assert_eq!(kind(plain), Some(Kind::Config));
        let encrypted = "b:1/bootstrap: Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol configuration (connecting to a SSL listener?)";
        assert_eq!(kind(encrypted), Some(Kind::Config));
        for passing in [
            "b:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused",
            "b:1/bootstrap: Failed to resolve 'b:1': Name or service not known",
            "b:1/bootstrap: Disconnected",
        ] {
            assert_eq!(kind(passing), None, "{passing}");
        }
    }

    #[test]
    fn a_broker_without_tls_is_recognised_however_the_client_words_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // It ends what is no request, as brokers do.
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let mut asked = [0; 14];
                if socket.read_exact(&mut asked).is_ok() && asked.starts_with(&[0, 0, 0, 10, 0, 18])
                {
                    let _ = socket.write_all(&[0, 0, 0, 4, 0, 0, 0, 7]);
                }
            }
        });
        let mut kafka = kafka();
        kafka
            .client
            .insert("security.protocol".into(), Secret::new("sasl_ssl"));
        let said = format!(
            "sasl_ssl://127.0.0.1:{port}/bootstrap: Disconnected: SSL connection closed by peer"
        );
        let error = lasting(&said, &kafka, "connecting").expect("it does not pass");
        assert_eq!(
            error.to_string(),
            "connecting: the broker speaks no TLS there"
        );
        // Where nobody answers it may pass.
        let said = said.replace(&port.to_string(), "1");
        assert!(lasting(&said, &kafka, "connecting").is_none());
    }

    #[test]
    fn a_topic_is_blamed_only_where_the_right_to_write_to_it_is_missing() {
        let line = |text: &str| {
            format!(
                "[thrd:main]: 127.0.0.1:9092/1: Failed to add partition \"retail.orders\" [2] to transaction: Broker: {text}"
            )
        };
        let refused = line("Topic authorization failed");
        assert_eq!(unwritable_topic(&refused), Some("retail.orders"));
        for other in [
            "Operation not attempted",
            "Producer attempted an operation with an old epoch",
            "Transactional Id authorization failed",
        ] {
            assert_eq!(unwritable_topic(&line(other)), None, "{other}");
        }
        assert_eq!(unwritable_topic("Topic authorization failed"), None);
    }

    #[test]
    fn only_what_was_said_meanwhile_is_the_reason() {
        let before = Instant::now();
        listen("[thrd:b:1/bootstrap]: b:1/bootstrap: Connect failed (after 2ms in state CONNECT)");
        listen("3/3 brokers are down");
        assert_eq!(
            said_since(before).as_deref(),
            Some("b:1/bootstrap: Connect failed")
        );
        assert_eq!(said_since(Instant::now() + STEP), None);
    }
}

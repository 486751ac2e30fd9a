//! Tells systemd how a service fares: `sd_notify(3)`, lines of text in datagrams to the socket that `NOTIFY_SOCKET`
//! names. Where nobody listens nothing happens, and no failure here touches the work.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::capture::Doing;
use crate::model::TableName;
use crate::supervisor::News;

/// Passes the news on, and tells systemd what they mean for the service: ready once the pipeline is joined, alive
/// while the worker's loop turns, stopping once `stop` is cancelled. Without `NOTIFY_SOCKET` it returns what it was
/// given.
pub fn tell_systemd(
    news: UnboundedReceiver<News>,
    stop: &CancellationToken,
) -> UnboundedReceiver<News> {
    let Some(systemd) = Systemd::named_by(std::env::var_os("NOTIFY_SOCKET")) else {
        return news;
    };
    let (on, passed_on) = unbounded_channel();
    tokio::spawn(pass_on(systemd, news, on, stop.clone()));
    passed_on
}

async fn pass_on(
    systemd: Systemd,
    mut news: UnboundedReceiver<News>,
    on: UnboundedSender<News>,
    stop: CancellationToken,
) {
    systemd.tell("STATUS=joining the pipeline: Kafka and the lake must answer");
    let mut fares = Fares::default();
    let mut is_stopping = false;
    loop {
        tokio::select! {
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                systemd.tell("STOPPING=1\nSTATUS=stopping: what is on its way is settled");
            }
            next = news.recv() => {
                let Some(next) = next else { return };
                if let Some(message) = fares.take(&next).filter(|_| !is_stopping) {
                    systemd.tell(&message);
                }
                // Whoever shows the news may have gone; systemd is told all the same.
                let _ = on.send(next);
            }
        }
    }
}

/// The socket on which systemd listens.
struct Systemd {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Systemd {
    /// `/a/path`, or `@name` for a name in the kernel's own space of names.
    fn named_by(name: Option<OsString>) -> Option<Self> {
        let address = address(&name?)?;
        let socket = UnixDatagram::unbound().ok()?;
        // A full queue must not hold up the work: the next message comes soon.
        socket.set_nonblocking(true).ok()?;
        Some(Systemd { socket, address })
    }

    fn tell(&self, message: &str) {
        if let Err(error) = self.socket.send_to_addr(message.as_bytes(), &self.address) {
            tracing::debug!(%error, "systemd does not listen");
        }
    }
}

fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        _ => None,
    }
}

/// How the tables fare, in a line for `systemctl status`.
#[derive(Default)]
struct Fares {
    tables: BTreeMap<TableName, &'static str>,
    said: String,
}

impl Fares {
    /// What systemd is told of it, if it is news.
    fn take(&mut self, news: &News) -> Option<String> {
        match news {
            News::Alive => return Some("WATCHDOG=1".to_owned()),
            News::Joined { worker } => {
                self.said = format!("worker {worker} has joined the pipeline");
                return Some(format!("READY=1\nSTATUS={}", self.said));
            }
            News::Doing { table, what } => self.is(table, in_a_word(what)),
            News::Failed { table, .. } => self.is(table, "failed"),
            News::Finished { .. } | News::Draining { .. } => return None,
        }
        let now = self.in_words();
        let is_news = now != self.said;
        self.said = now;
        is_news.then(|| format!("STATUS={}", self.said))
    }

    fn is(&mut self, table: &TableName, word: &'static str) {
        match self.tables.get_mut(table) {
            Some(known) => *known = word,
            None => drop(self.tables.insert(table.clone(), word)),
        }
    }

    /// `7 tables: 1 failed, 6 following`.
    fn in_words(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for word in self.tables.values() {
            *counts.entry(word).or_default() += 1;
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        let tables = match self.tables.len() {
            1 => "1 table".to_owned(),
            count => format!("{count} tables"),
        };
        format!("{tables}: {}", counts.join(", "))
    }
}

fn in_a_word(what: &Doing) -> &'static str {
    match what {
        Doing::Copying { .. } => "copying",
        Doing::Loading { .. } => "loading",
        Doing::Following { .. } => "following",
        Doing::Idle { .. } => "idle",
        Doing::Paused => "paused",
        Doing::Waiting { .. } => "waiting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn both_sorts_of_sockets_hear_what_is_told_and_no_other_name_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let on_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("cdc-test-{}", ulid::Ulid::new());
        let in_kernel = SocketAddr::from_abstract_name(&name).unwrap();
        let in_kernel = UnixDatagram::bind_addr(&in_kernel).unwrap();

        for (socket, named) in [
            (&on_path, path.into_os_string()),
            (&in_kernel, format!("@{name}").into()),
        ] {
            Systemd::named_by(Some(named)).unwrap().tell("READY=1");
            assert_eq!(received(socket), "READY=1");
        }
        for no_socket in ["", "relative", "vsock:2:1"] {
            assert!(
                Systemd::named_by(Some(no_socket.into())).is_none(),
                "{no_socket}"
            );
        }
        // Nobody listens there, and nothing happens.
        let nobody = Systemd::named_by(Some(directory.path().join("nobody").into_os_string()));
        nobody.unwrap().tell("READY=1");
    }

    #[test]
    fn the_status_counts_tables_and_is_told_when_it_changes() {
        let table = |name: &str| TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: name.into(),
            in_default_schema: true,
        };
        let failed = |name| News::Failed {
            table: table(name),
            text: String::new(),
            code: String::new(),
            next_step: None,
        };
        let paused = |name| News::Doing {
            table: table(name),
            what: Doing::Paused,
        };
        let mut fares = Fares::default();
        let joined = News::Joined {
            worker: "till-1".into(),
        };
        let ready = "READY=1\nSTATUS=worker till-1 has joined the pipeline";
        assert_eq!(fares.take(&joined).as_deref(), Some(ready));
        let told = fares.take(&paused("orders"));
        assert_eq!(told.as_deref(), Some("STATUS=1 table: 1 paused"));
        assert_eq!(fares.take(&paused("orders")), None);
        let told = fares.take(&failed("items"));
        assert_eq!(told.as_deref(), Some("STATUS=2 tables: 1 failed, 1 paused"));
        assert_eq!(fares.take(&News::Alive).as_deref(), Some("WATCHDOG=1"));
    }
}

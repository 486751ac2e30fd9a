//! `cdc follow` as a service of systemd: what it says on the socket that `NOTIFY_SOCKET` names.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::harness::{Database, Engine, Line, Pipeline, Table, brokers, eventually};

/// systemd's end of the socket, and what was heard on it.
struct Listening {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Listening {
    fn on(socket: UnixDatagram) -> Self {
        socket.set_nonblocking(true).expect("a socket");
        Listening {
            socket,
            heard: Vec::new(),
        }
    }

    /// The lines heard so far.
    fn heard(&mut self) -> &[String] {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.heard.extend(message.lines().map(str::to_owned));
        }
        &self.heard
    }

    /// Waits until a line is heard; answers how many were heard before it.
    async fn hears(&mut self, line: &str) -> usize {
        eventually(&format!("systemd hears `{line}`"), async || {
            let heard = self.heard();
            match heard.iter().position(|one| one == line) {
                Some(at) => Ok(at),
                None => Err(format!("it heard {heard:?}")),
            }
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_tells_systemd_that_it_is_ready_how_it_fares_that_it_lives_and_that_it_stops() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let path = pipeline.directory.path().join("notify");
    let mut systemd = Listening::on(UnixDatagram::bind(&path).expect("a socket"));
    let socket = path.to_str().expect("a path");
    database.insert(table.name, 10).await;
    let follower = pipeline.start_as(&[("NOTIFY_SOCKET", socket)], &["follow"]);

    let ready = systemd.hears("READY=1").await;
    // Not before Kafka and the lake have answered.
    let joining = systemd
        .hears("STATUS=joining the pipeline: Kafka and the lake must answer")
        .await;
    assert!(joining < ready);
    systemd.hears("STATUS=1 table: 1 following").await;
    let alive = systemd.hears("WATCHDOG=1").await;
    assert!(ready < alive);
    // The work goes on as without systemd.
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    follower.stop().await;
    let stopping = systemd.hears("STOPPING=1").await;
    assert!(alive < stopping);
    let after = systemd.heard()[stopping..].join(" ");
    assert!(!after.contains("READY"), "{after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_without_a_path_is_spoken_to_and_one_that_nobody_reads_holds_nothing_up() {
    let database = Database::with_table(Engine::MariaDb).await;
    let table = Table::of(&database);
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let address = SocketAddr::from_abstract_name(&pipeline.name).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("a socket");
    let name = format!("@{}", pipeline.name);
    let mut systemd = Listening::on(socket);
    let follower = pipeline.start_as(&[("NOTIFY_SOCKET", &name)], &["follow"]);
    systemd.hears("READY=1").await;
    // Nobody listens any more.
    drop(systemd);
    database.insert(table.name, 10).await;
    pipeline.topic_is_exact(table).await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_falls_silent_is_no_reason_for_systemd_to_end_the_follower() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert(table.name, 10).await;
    let line = Line::to_broker(&brokers()).await;
    let pipeline = Pipeline::new()
        .following(&database, "incrementing")
        .by_way_of(&brokers(), &line.address());
    let path = pipeline.directory.path().join("notify");
    let mut systemd = Listening::on(UnixDatagram::bind(&path).expect("a socket"));
    let socket = path.to_str().expect("a path");
    let follower = pipeline.start_as(&[("NOTIFY_SOCKET", socket)], &["follow"]);
    pipeline.topic_is_exact(table).await;

    // The service is given 3 minutes; that it lives is heard well within, however often it asks in vain.
    line.fall_silent();
    for _ in 0..3 {
        let before = systemd.heard().len();
        eventually("systemd hears that the follower lives", async || {
            let heard = &systemd.heard()[before..];
            match heard.iter().any(|line| line == "WATCHDOG=1") {
                true => Ok(()),
                false => Err(format!("since then it heard {heard:?}")),
            }
        })
        .await;
    }
    line.mend();
    database.insert(table.name, 10).await;
    pipeline.topic_is_exact(table).await;
    follower.stop().await;
}

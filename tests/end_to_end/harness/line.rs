//! A line to a part that can be cut: a TCP proxy of one test's own. Everything passes until the test says otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Whoever is connected is cut off, whoever connects is turned away.
    Cut,
    /// Connections up to this number stay, and nothing passes on them any more: no byte, no word of an end.
    Silent {
        up_to: u64,
    },
}

impl State {
    fn is_silent(self, connection: u64) -> bool {
        matches!(self, State::Silent { up_to } if connection <= up_to)
    }
}

/// A line; it ends with the test.
pub struct Line {
    pub port: u16,
    state: watch::Sender<State>,
    /// The topic whose records are swallowed.
    swallowed: watch::Sender<Option<String>>,
    /// The topic whose commits get lost, and how many did.
    losing: watch::Sender<Option<String>>,
    lost: Arc<AtomicU64>,
    /// How many connections there were.
    opened: Arc<AtomicU64>,
    tasks: tokio::task::JoinHandle<()>,
}

/// The newest versions that a broker knows: (API, version).
pub type Versions = &'static [(i16, i16)];

/// How answers of the part are changed.
#[derive(Clone, Copy)]
enum Answers {
    AsTheyAre,
    OfABroker(Changes),
}

/// A broker tells clients where to find it, and what it can do. This writes the line's port over the broker's own, and
/// older versions over newer ones.
#[derive(Clone, Copy)]
struct Changes {
    from: u16,
    to: u16,
    newest: Versions,
}

impl Line {
    /// A line to `host:port`.
    pub async fn to(address: &str) -> Line {
        Line::open(address, None).await
    }

    /// A line to the broker: clients stay on it.
    pub async fn to_broker(address: &str) -> Line {
        Line::open(address, Some(&[])).await
    }

    /// The same, and the broker looks older than it is.
    pub async fn to_older_broker(address: &str, newest: Versions) -> Line {
        Line::open(address, Some(newest)).await
    }

    async fn open(address: &str, broker: Option<Versions>) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (state, watched) = watch::channel(State::Open);
        let (swallowed, swallowing) = watch::channel(None);
        let (losing, loses) = watch::channel(None);
        let lost = Arc::new(AtomicU64::new(0));
        let counts_lost = lost.clone();
        let address: Arc<str> = address.into();
        let from = address
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        let answers = match broker {
            Some(newest) => Answers::OfABroker(Changes {
                from: from.expect("an address with a port"),
                to: port,
                newest,
            }),
            None => Answers::AsTheyAre,
        };
        let opened = Arc::new(AtomicU64::new(0));
        let counter = opened.clone();
        let tasks = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Watched {
                    state: watched.clone(),
                    swallowing: swallowing.clone(),
                    losing: loses.clone(),
                    lost: counts_lost.clone(),
                    connection: counter.fetch_add(1, Ordering::SeqCst) + 1,
                };
                tokio::spawn(connect(client, address.clone(), state, answers));
            }
        });
        Line {
            port,
            state,
            swallowed,
            losing,
            lost,
            opened,
            tasks,
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Cuts every connection, and turns new ones away.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Lets nothing pass any more, without a word.
    pub fn fall_silent(&self) {
        self.state.send_replace(State::Silent { up_to: u64::MAX });
    }

    /// Serves who connects from now on; those that fell silent stay so.
    pub fn let_new_ones_pass(&self) {
        let up_to = self.opened.load(Ordering::SeqCst);
        self.state.send_replace(State::Silent { up_to });
    }

    /// On a line to a broker: records of this topic get no answer any more.
    pub fn swallow(&self, topic: Option<&str>) {
        self.swallowed.send_replace(topic.map(str::to_owned));
    }

    /// On a line to a broker: commits for the one partition of this topic get lost on the way, and are answered as if
    /// they had arrived.
    pub fn lose_commits(&self, topic: Option<&str>) {
        self.losing.send_replace(topic.map(str::to_owned));
    }

    /// How many commits got lost.
    pub fn lost_commits(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }

    /// Lets everything pass.
    pub fn mend(&self) {
        self.state.send_replace(State::Open);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        self.tasks.abort();
    }
}

/// The state as one connection sees it.
#[derive(Clone)]
struct Watched {
    state: watch::Receiver<State>,
    swallowing: watch::Receiver<Option<String>>,
    losing: watch::Receiver<Option<String>>,
    lost: Arc<AtomicU64>,
    connection: u64,
}

impl Watched {
    /// Waits until something may pass; `false` if the line is gone.
    async fn may_pass(&mut self) -> bool {
        let connection = self.connection;
        let passes = self.state.wait_for(|state| !state.is_silent(connection));
        passes.await.is_ok()
    }
}

async fn connect(client: TcpStream, address: Arc<str>, mut state: Watched, answers: Answers) {
    if *state.state.borrow() == State::Cut {
        reset(&client);
        return;
    }
    let Ok(server) = TcpStream::connect(&*address).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let reset_later = client;
    let (mut from_client, mut to_client) = reset_later.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asked = async {
        match answers {
            Answers::AsTheyAre => pass(&mut from_client, &mut to_server, state.clone()).await,
            Answers::OfABroker(_) => {
                requests(&mut from_client, &mut to_server, state.clone()).await
            }
        }
    };
    let answered = async {
        match answers {
            Answers::AsTheyAre => pass(&mut from_server, &mut to_client, state.clone()).await,
            Answers::OfABroker(changes) => {
                frames(&mut from_server, &mut to_client, state.clone(), changes).await
            }
        }
    };
    let mut watched = state.clone();
    tokio::select! {
        () = asked => {}
        () = answered => {}
        _ = watched.state.wait_for(|state| *state == State::Cut) => {}
    }
    // A line that is silent tells nobody of the end of the other side.
    state.may_pass().await;
    if let Ok(client) = from_client.reunite(to_client) {
        reset(&client);
    }
}

/// Ends a connection as a broken line does.
fn reset(stream: &TcpStream) {
    #[allow(deprecated)] // Nothing waits for the other side: the end is told at once.
    let _ = stream.set_linger(Some(std::time::Duration::ZERO));
}

async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut state: Watched,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if !state.may_pass().await || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Passes a client's requests on, but for records that are to be swallowed. The client asks for one partition in each
/// Produce (API 0), which names its topic.
async fn requests(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut state: Watched,
) {
    while let Ok(length) = from.read_u32().await {
        let mut frame = vec![0; length as usize];
        if from.read_exact(&mut frame).await.is_err() || !state.may_pass().await {
            return;
        }
        let is_swallowed = |topic: &String| {
            let mut places = frame.windows(topic.len());
            frame.starts_with(&[0, 0]) && places.any(|bytes| bytes == topic.as_bytes())
        };
        if state.swallowing.borrow().as_ref().is_some_and(is_swallowed) {
            continue;
        }
        let losing = state.losing.borrow().clone();
        if losing.is_some_and(|topic| commit_nothing(&mut frame, &topic)) {
            state.lost.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_u32(length).await.is_err() || to.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// Makes an OffsetCommit (API 8) for a topic one that says nothing new: offset 0 in its first partition. The list of
/// partitions follows the topic's name; its length is one byte since version 8, and four before it.
fn commit_nothing(frame: &mut [u8], topic: &str) -> bool {
    if !frame.starts_with(&[0, 8]) {
        return false;
    }
    let mut places = frame.windows(topic.len());
    let Some(found) = places.position(|bytes| bytes == topic.as_bytes()) else {
        return false;
    };
    let count = if frame[3] >= 8 { 1 } else { 4 };
    let offset = found + topic.len() + count + 4;
    frame[offset..offset + 8].fill(0);
    true
}

/// Passes a broker's answers on, frame by frame, with one port written over another. The first one lists what the
/// broker can do.
async fn frames(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut state: Watched,
    changes: Changes,
) {
    let place = |port: u16| {
        let mut place = b"127.0.0.1".to_vec();
        place.extend(u32::from(port).to_be_bytes());
        place
    };
    let (old, new) = (place(changes.from), place(changes.to));
    let mut is_first = true;
    loop {
        let Ok(length) = from.read_u32().await else {
            return;
        };
        let mut frame = vec![0; length as usize];
        if from.read_exact(&mut frame).await.is_err() {
            return;
        }
        if std::mem::take(&mut is_first) {
            lower(&mut frame, changes.newest);
        }
        let mut at = 0;
        while let Some(found) = frame[at..]
            .windows(old.len())
            .position(|bytes| bytes == old)
        {
            frame[at + found..at + found + new.len()].copy_from_slice(&new);
            at += found + new.len();
        }
        let open = state.may_pass().await;
        if !open
            || to.write_u32(length).await.is_err()
            || to.write_all(&frame).await.is_err()
            || to.flush().await.is_err()
        {
            return;
        }
    }
}

/// Writes older versions into a list of versions, as ApiVersions answers it since version 3: correlation, error, the
/// number of entries and one more, and of each entry API, oldest, newest, and a byte.
fn lower(frame: &mut [u8], newest: Versions) {
    let (mut at, mut count, mut shift) = (6, 0, 0);
    while let Some(byte) = frame.get(at) {
        at += 1;
        count |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    // What follows the list says other things.
    let entries = frame.get_mut(at..).unwrap_or_default();
    for entry in entries.chunks_exact_mut(7).take(count.saturating_sub(1)) {
        let number = |at: usize| i16::from_be_bytes([entry[at], entry[at + 1]]);
        let (api, oldest, known) = (number(0), number(2), number(4));
        if let Some((_, version)) = newest.iter().find(|(found, _)| *found == api) {
            assert!(
                oldest <= *version,
                "the broker does not know {api} any more"
            );
            entry[4..6].copy_from_slice(&known.min(*version).to_be_bytes());
        }
    }
}

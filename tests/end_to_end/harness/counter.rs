//! A counter in front of the S3 server: a proxy of one test's own that refuses, forgets and loses what the test says.
//! Each request has a connection of its own, so that what is decided about one never touches another.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::setting;

/// What the counter does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Works,
    /// Every request is answered with this status and S3 error code.
    Refuses(u16, &'static str),
    /// Reads are served; what would change something is forbidden.
    ReadOnly,
    /// A second object under one name is taken, whatever the conditions say.
    IgnoresConditions,
    /// What is put is stored, and the answer never comes.
    LosesAnswersToPuts,
    /// As that, but only the first PUT whose path has these words.
    LosesOneAnswerTo(&'static str),
    /// Requests are taken and nothing is answered.
    Silent,
}

/// A counter; it ends with the test.
pub struct Counter {
    port: u16,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    service: Mutex<Service>,
    /// Requests that were served otherwise than the server would.
    sabotaged: std::sync::atomic::AtomicU64,
    server: String,
}

impl Counter {
    pub async fn open(service: Service) -> Counter {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = setting("S3_ENDPOINT");
        let shared = Arc::new(Shared {
            service: Mutex::new(service),
            sabotaged: 0.into(),
            server: server.trim_start_matches("http://").to_owned(),
        });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = serving.clone();
                tokio::spawn(async move { serve(client, &shared).await });
            }
        });
        Counter { port, shared, task }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From the next request on.
    pub fn serves(&self, service: Service) {
        *self.shared.service.lock().expect("a service") = service;
    }

    /// How many requests were not served as they should be.
    pub fn sabotaged(&self) -> u64 {
        self.shared
            .sabotaged
            .load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Shared {
    /// Whether nothing was sabotaged before; then this is.
    fn is_first(&self) -> bool {
        use std::sync::atomic::Ordering::SeqCst;
        let taken = self.sabotaged.compare_exchange(0, 1, SeqCst, SeqCst);
        taken.is_ok()
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream, shared: &Shared) -> Option<()> {
    let request = Request::read(&mut client).await?;
    let service = *shared.service.lock().expect("a service");
    let changes = matches!(request.method.as_str(), "PUT" | "POST" | "DELETE");
    let sabotaged = || {
        shared
            .sabotaged
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    };
    let answer = match service {
        Service::Refuses(status, code) => {
            sabotaged();
            refusal(status, code, &request)
        }
        Service::ReadOnly if changes => {
            sabotaged();
            refusal(403, "AccessDenied", &request)
        }
        Service::Silent => {
            sabotaged();
            std::future::pending::<Vec<u8>>().await
        }
        Service::LosesAnswersToPuts if request.method == "PUT" => {
            sabotaged();
            request.forward(&shared.server).await?;
            return None;
        }
        Service::LosesOneAnswerTo(words) if request.puts(words) => {
            let answer = request.forward(&shared.server).await?;
            if shared.is_first() {
                return None;
            }
            answer
        }
        Service::IgnoresConditions if request.method == "PUT" => {
            let answer = request.forward(&shared.server).await?;
            match answer.starts_with(b"HTTP/1.1 412") {
                true => {
                    sabotaged();
                    b"HTTP/1.1 200 OK\r\nETag: \"0\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
                }
                false => answer,
            }
        }
        _ => request.forward(&shared.server).await?,
    };
    client.write_all(&answer).await.ok()?;
    client.shutdown().await.ok()
}

fn refusal(status: u16, code: &str, request: &Request) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>the counter says so</Message></Error>"
    );
    // An answer to HEAD has no body.
    let shown = if request.method == "HEAD" { "" } else { &body };
    format!(
        "HTTP/1.1 {status} No\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{shown}",
        shown.len()
    )
    .into_bytes()
}

/// A whole request, as it came.
struct Request {
    method: String,
    head: String,
    body: Vec<u8>,
}

impl Request {
    async fn read(client: &mut TcpStream) -> Option<Request> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if client.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim().to_owned())
        };
        if header("expect").is_some() {
            client
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await
                .ok()?;
        }
        let is_chunked = header("transfer-encoding").is_some();
        let length = header("content-length").map_or(0, |length| length.parse().expect("a length"));
        while match is_chunked {
            true => !bytes[end..].ends_with(b"0\r\n\r\n"),
            false => bytes.len() < end + length,
        } {
            if client.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        Some(Request {
            method: head.split(' ').next()?.to_owned(),
            body: bytes[end..].to_vec(),
            head,
        })
    }

    /// Whether it is a PUT of a path that has these words.
    fn puts(&self, words: &str) -> bool {
        let first = self.head.lines().next().unwrap_or_default();
        self.method == "PUT" && first.contains(words)
    }

    /// The server's whole answer.
    async fn forward(&self, server: &str) -> Option<Vec<u8>> {
        let lines = self.head.lines().filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            !name.eq_ignore_ascii_case("connection")
                && !name.eq_ignore_ascii_case("expect")
                && !line.is_empty()
        });
        let mut head: Vec<&str> = lines.collect();
        head.push("Connection: close");
        let mut upstream = TcpStream::connect(server).await.ok()?;
        upstream
            .write_all(head.join("\r\n").as_bytes())
            .await
            .ok()?;
        upstream.write_all(b"\r\n\r\n").await.ok()?;
        upstream.write_all(&self.body).await.ok()?;
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer).await.ok()?;
        Some(answer)
    }
}

//! The grants of `docs/grants.md`: the tests' accounts have exactly what the page says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Engine, brokers};

const PAGE: &str = include_str!("../../../docs/grants.md");

/// The first block of code of a chapter of the page.
fn block(chapter: &str) -> &'static str {
    let chapter = PAGE
        .split_once(&format!("\n## {chapter}\n"))
        .unwrap_or_else(|| panic!("the page has no chapter `{chapter}`"))
        .1;
    let block = chapter.split("```").nth(1).expect("a block of code");
    block.split_once('\n').expect("its language").1
}

/// The page's statements for one account in one database; the one that creates the account comes first.
pub fn statements(engine: Engine, database: &str, account: &str) -> Vec<String> {
    let (chapter, example) = match engine {
        Engine::Postgres => ("PostgreSQL", "shop"),
        Engine::MariaDb => ("MariaDB", "tills"),
    };
    let statements = block(chapter).split(';').map(str::trim);
    statements
        .filter(|statement| !statement.is_empty())
        .map(|statement| {
            let words: Vec<String> = statement
                .split(' ')
                .map(|word| match word {
                    "cdc" => account.to_owned(),
                    "cdc@'%'" => format!("{account}@'%'"),
                    word if word == example => database.to_owned(),
                    word if word.starts_with(&format!("{example}.")) => {
                        word.replacen(example, database, 1)
                    }
                    word => word.to_owned(),
                })
                .collect();
            words.join(" ")
        })
        .collect()
}

/// One `kafka-acls` command of the page.
#[derive(Clone, Debug)]
pub struct Acl {
    resource: i8,
    pub name: String,
    pattern: i8,
    pub operations: Vec<String>,
}

impl Acl {
    /// Operations on exactly this topic.
    pub fn on_topic(name: &str, operations: &[&str]) -> Acl {
        Acl {
            resource: 2,
            name: name.to_owned(),
            pattern: 3,
            operations: operations.iter().map(|o| (*o).to_owned()).collect(),
        }
    }

    pub fn is_group(&self) -> bool {
        self.resource == 3
    }

    pub fn is_transactional_id(&self) -> bool {
        self.resource == 5
    }
}

/// The page's commands for one pipeline.
pub fn acls(pipeline: &str, topic_prefix: &str) -> Vec<Acl> {
    let commands = block("Kafka").lines().filter(|line| !line.is_empty());
    commands
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let after = |flag: &str| {
                words
                    .iter()
                    .position(|word| *word == flag)
                    .map(|at| words[at + 1].to_owned())
            };
            let kinds = [("--topic", 2), ("--group", 3), ("--transactional-id", 5)];
            let named = kinds
                .iter()
                .find_map(|(flag, kind)| Some((*kind, after(flag)?)));
            let (resource, name) = match named {
                Some((kind, name)) if name == "retail." => (kind, topic_prefix.to_owned()),
                Some((kind, name)) => (kind, name.replace("retail", pipeline)),
                None if words.contains(&"--cluster") => (4, "kafka-cluster".to_owned()),
                None => panic!("no resource in {line}"),
            };
            let prefixed = after("--resource-pattern-type").as_deref() == Some("prefixed");
            let operations = words.windows(2).filter(|pair| pair[0] == "--operation");
            Acl {
                resource,
                name,
                pattern: if prefixed { 4 } else { 3 },
                operations: operations.map(|pair| pair[1].to_owned()).collect(),
            }
        })
        .collect()
}

/// Allows `user` what the commands say: CreateAcls, version 1, sent to the door where everything is allowed.
pub fn allow(user: &str, acls: &[Acl]) {
    let entries: Vec<(&Acl, &String)> = acls
        .iter()
        .flat_map(|acl| acl.operations.iter().map(move |operation| (acl, operation)))
        .collect();
    let mut body = request(30);
    body.extend((entries.len() as i32).to_be_bytes());
    for (acl, operation) in &entries {
        entry(&mut body, user, acl, operation);
    }
    let answer = ask(&body);
    // Correlation, throttle time, one result per entry: an error code and a message.
    let count = i32::from_be_bytes(answer[8..12].try_into().expect("four bytes"));
    assert_eq!(count as usize, entries.len(), "{answer:?}");
    let mut rest = &answer[12..];
    for (acl, _) in &entries {
        let code = i16::from_be_bytes([rest[0], rest[1]]);
        assert_eq!(code, 0, "{acl:?}: {}", String::from_utf8_lossy(rest));
        let length = i16::from_be_bytes([rest[2], rest[3]]).max(0);
        rest = &rest[4 + length as usize..];
    }
    // The broker goes by them a moment later.
    acls.iter()
        .for_each(|acl| wait_until_known(user, acl, true));
}

/// Takes away what was allowed in just these words: DeleteAcls, version 1.
pub fn take_away(user: &str, acl: &Acl) {
    for operation in &acl.operations {
        let mut body = request(31);
        body.extend(1i32.to_be_bytes());
        entry(&mut body, user, acl, operation);
        let answer = ask(&body);
        // Correlation, throttle time, one result: no error.
        assert_eq!(answer[8..14], [0, 0, 0, 1, 0, 0], "{acl:?}: {answer:?}");
    }
    wait_until_known(user, acl, false);
}

/// A grant, and the filter that means exactly it.
fn entry(body: &mut Vec<u8>, user: &str, acl: &Acl, operation: &str) {
    let operation: u8 = match operation {
        "Read" => 3,
        "Write" => 4,
        "Create" => 5,
        "Describe" => 8,
        "DescribeConfigs" => 10,
        other => panic!("operation {other}"),
    };
    body.push(acl.resource as u8);
    text(body, &acl.name);
    body.push(acl.pattern as u8);
    text(body, &format!("User:{user}"));
    text(body, "*");
    body.push(operation);
    body.push(3);
}

fn wait_until_known(user: &str, acl: &Acl, known: bool) {
    let began = Instant::now();
    let is_done = |operation: &String| is_known(user, acl, operation) == known;
    while !acl.operations.iter().all(is_done) {
        let late = began.elapsed() > super::DEADLINE;
        assert!(!late, "{acl:?}: known should be {known}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the broker goes by a grant: DescribeAcls, version 1.
fn is_known(user: &str, acl: &Acl, operation: &str) -> bool {
    let mut body = request(29);
    entry(&mut body, user, acl, operation);
    let answer = ask(&body);
    // Correlation, throttle time, no error, an empty message, the number of resources.
    answer[8..12] == [0; 4] && answer[12..16] != [0; 4]
}

/// The head of a request of this kind in version 1.
fn request(kind: i16) -> Vec<u8> {
    let mut head = Vec::new();
    head.extend(kind.to_be_bytes());
    head.extend(1i16.to_be_bytes());
    head.extend(0i32.to_be_bytes());
    text(&mut head, "test");
    head
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend((text.len() as i16).to_be_bytes());
    body.extend(text.as_bytes());
}

fn ask(body: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(brokers()).expect("the broker answers");
    let patience = Some(Duration::from_secs(30));
    socket.set_read_timeout(patience).expect("a deadline");
    socket
        .write_all(&(body.len() as i32).to_be_bytes())
        .and_then(|()| socket.write_all(body))
        .expect("a request is sent");
    let mut length = [0; 4];
    socket.read_exact(&mut length).expect("an answer");
    let mut answer = vec![0; i32::from_be_bytes(length) as usize];
    socket.read_exact(&mut answer).expect("a whole answer");
    answer
}

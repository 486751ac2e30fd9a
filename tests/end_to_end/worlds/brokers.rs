//! Brokers that are too old: they say so themselves, in the first answer of every connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Database, Engine, Line, Pipeline, Table, Versions, brokers};

/// What a broker of 2016 offers: (API, oldest, newest version). Neither topics nor producer ids can be asked for.
const OFFERED: [(i16, i16, i16); 6] = [
    (0, 0, 2),  // Produce
    (1, 0, 3),  // Fetch
    (2, 0, 0),  // ListOffsets
    (3, 0, 2),  // Metadata
    (10, 0, 0), // FindCoordinator
    (18, 0, 0), // ApiVersions
];

/// A broker of 2016, as far as a client asks it before it gives up.
async fn old_broker() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, port));
        }
    });
    format!("127.0.0.1:{port}")
}

async fn serve(mut client: TcpStream, port: u16) -> Option<()> {
    loop {
        let length = client.read_u32().await.ok()? as usize;
        let mut request = vec![0; length];
        client.read_exact(&mut request).await.ok()?;
        let short = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let (api, version) = (short(0), short(2));
        let mut answer = request[4..8].to_vec();
        match api {
            18 => versions(&mut answer, version),
            3 => metadata(&mut answer, version, port, &request),
            _ => return None,
        }
        client.write_u32(answer.len() as u32).await.ok()?;
        client.write_all(&answer).await.ok()?;
    }
}

/// An unknown version is answered in the oldest one, with error 35.
fn versions(answer: &mut Vec<u8>, version: i16) {
    let error: i16 = if version == 0 { 0 } else { 35 };
    answer.extend(error.to_be_bytes());
    answer.extend((OFFERED.len() as u32).to_be_bytes());
    for (api, oldest, newest) in OFFERED {
        for number in [api, oldest, newest] {
            answer.extend(number.to_be_bytes());
        }
    }
}

/// One broker, and no topic.
fn metadata(answer: &mut Vec<u8>, version: i16, port: u16, request: &[u8]) {
    let text = |answer: &mut Vec<u8>, text: &str| {
        answer.extend((text.len() as i16).to_be_bytes());
        answer.extend(text.as_bytes());
    };
    answer.extend(1_u32.to_be_bytes());
    answer.extend(1_u32.to_be_bytes());
    text(answer, "127.0.0.1");
    answer.extend(u32::from(port).to_be_bytes());
    if version >= 1 {
        answer.extend((-1_i16).to_be_bytes()); // no rack
    }
    if version >= 2 {
        text(answer, "an-old-cluster");
    }
    if version >= 1 {
        answer.extend(1_u32.to_be_bytes()); // the controller
    }
    // Every topic that is asked for is unknown.
    let client = i16::from_be_bytes([request[8], request[9]]).max(0) as usize;
    let mut at = 10 + client;
    let count = i32::from_be_bytes(request[at..at + 4].try_into().expect("four bytes")).max(0);
    at += 4;
    answer.extend((count as u32).to_be_bytes());
    for _ in 0..count {
        let length = i16::from_be_bytes([request[at], request[at + 1]]) as usize;
        answer.extend(3_i16.to_be_bytes());
        answer.extend(&request[at..at + 2 + length]);
        at += 2 + length;
        if version >= 1 {
            answer.push(0); // not internal
        }
        answer.extend(0_u32.to_be_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_too_old_is_refused_with_the_version_that_is_needed() {
    let database = Database::with_table(Engine::Postgres).await;
    let address = old_broker().await;
    let pipeline = Pipeline::new()
        .following(&database, "incrementing")
        .by_way_of(&brokers(), &address);
    for command in [&["follow"][..], &["snapshot"]] {
        let refused = pipeline.run(command).await;
        refused.expect(78, &["Apache Kafka 2.5 or later"]);
    }
}

/// What Kafka 2.4 knows. It takes transactions with the metadata of a group, and lets everything of a group through.
const KAFKA_2_4: [(i16, i16); 26] = [
    (0, 8),  // Produce
    (1, 11), // Fetch
    (2, 5),  // ListOffsets
    (3, 9),  // Metadata
    (8, 8),  // OffsetCommit
    (9, 6),  // OffsetFetch
    (10, 3), // FindCoordinator
    (11, 6), // JoinGroup
    (12, 4), // Heartbeat
    (13, 4), // LeaveGroup
    (14, 4), // SyncGroup
    (15, 5), // DescribeGroups
    (16, 3), // ListGroups
    (17, 1), // SaslHandshake
    (18, 3), // ApiVersions
    (19, 5), // CreateTopics
    (20, 4), // DeleteTopics
    (22, 2), // InitProducerId
    (23, 3), // OffsetForLeaderEpoch
    (24, 1), // AddPartitionsToTxn
    (25, 1), // AddOffsetsToTxn
    (26, 1), // EndTxn
    (28, 2), // TxnOffsetCommit
    (32, 2), // DescribeConfigs
    (36, 1), // SaslAuthenticate
    (37, 1), // CreatePartitions
];
/// The same, and what Kafka 2.5 brought: members and generations in TxnOffsetCommit.
const KAFKA_2_5: [(i16, i16); 26] = {
    let mut versions = KAFKA_2_4;
    versions[22].1 = 3;
    versions
};

async fn by_way_of(newest: Versions, database: &Database) -> (Line, Pipeline) {
    let line = Line::to_older_broker(&brokers(), newest).await;
    let pipeline = Pipeline::new()
        .following(database, "incrementing")
        .by_way_of(&brokers(), &line.address());
    (line, pipeline)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_whose_transactions_no_group_fences_is_refused_by_every_command_that_writes() {
    let database = Database::with_table(Engine::Postgres).await;
    let (_line, pipeline) = by_way_of(&KAFKA_2_4, &database).await;
    let words = [
        "transactions are not fenced by the consumer group there",
        "version 2 of TxnOffsetCommit, and 3 is needed",
        "Apache Kafka 2.5 or later",
    ];
    for command in [&["follow"][..], &["follow", "--once"], &["snapshot"]] {
        pipeline.run(command).await.expect(78, &words);
    }
    pipeline.comes_to(&["check"], 1, &words).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_of_2_5_is_new_enough() {
    let database = Database::with_table(Engine::Postgres).await;
    database.insert("orders", 10).await;
    let (_line, pipeline) = by_way_of(&KAFKA_2_5, &database).await;
    pipeline.run(&["follow", "--once"]).await.expect(0, &[]);
    pipeline.topic_is_exact(Table::of(&database)).await;
}

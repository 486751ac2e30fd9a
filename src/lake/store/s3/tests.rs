//! Faults, scripted: a server on loopback that answers request by request as it is told.

use aws_sdk_s3::config::Credentials;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::lake::store::probe;

/// What the server does with one request.
enum Reply {
    /// Takes the request and closes the connection: the answer is lost.
    HangUp,
    Status(u16),
    /// A status and S3's error code in its body.
    Code(u16, &'static str),
    /// 200 with a body, and an entity tag.
    Body(&'static str, &'static str),
}
use Reply::{Body, Code, HangUp, Status};

/// Answers the requests in order and then goes; gives back what was asked: method, path below the bucket,
/// and the condition.
struct Script {
    store: S3Store,
    asked: JoinHandle<Vec<String>>,
}

impl Script {
    async fn new(replies: Vec<Reply>) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for reply in replies {
                let (connection, _) = listener.accept().await.expect("a connection");
                asked.push(serve(connection, reply).await);
            }
            asked
        });
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(
                "AKIATEST",
                "a-secret-of-the-test",
                None,
                None,
                "test",
            ))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(endpoint)
            .force_path_style(true)
            .build();
        Script {
            store: S3Store::new(Client::from_conf(config), "lake", "raw"),
            asked,
        }
    }

    /// What was asked; fails if the script was not played to its end.
    async fn asked(self) -> Vec<String> {
        let asked = tokio::time::timeout(Duration::from_secs(10), self.asked).await;
        asked.expect("every reply was used").expect("no panic")
    }
}

async fn serve(connection: TcpStream, reply: Reply) -> String {
    let mut connection = BufReader::new(connection);
    let (mut asked, mut condition, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await.expect("a line");
        let line = line.trim_end();
        let header = line
            .split_once(": ")
            .map(|(name, value)| (name.to_ascii_lowercase(), value));
        match header.as_ref().map(|(name, value)| (name.as_str(), *value)) {
            _ if line.is_empty() => break,
            Some(("content-length", value)) => length = value.parse().expect("a length"),
            Some(("if-none-match", value)) => condition = format!(" unless {value}"),
            Some(("if-match", value)) => condition = format!(" if {value}"),
            Some(_) => {}
            None => asked = line.replace(" HTTP/1.1", "").replace("/lake/raw/", ""),
        }
    }
    let is_head = asked.starts_with("HEAD");
    connection
        .read_exact(&mut vec![0; length])
        .await
        .expect("a body");
    let (status, body, tag) = match reply {
        HangUp => return asked + &condition,
        Status(status) => (status, String::new(), ""),
        Code(status, code) => (
            status,
            format!("<Error><Code>{code}</Code><Message>no.</Message></Error>"),
            "",
        ),
        Body(body, tag) => (200, body.to_owned(), tag),
    };
    let length = if is_head { 3 } else { body.len() };
    let answer = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\netag: {tag}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection
        .write_all(answer.as_bytes())
        .await
        .expect("answered");
    connection.shutdown().await.expect("closed");
    asked + &condition
}

const BEGUN: &str =
    "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>";
const DONE: &str = "<CompleteMultipartUploadResult><ETag>t</ETag></CompleteMultipartUploadResult>";

fn body() -> Bytes {
    Bytes::from_static(b"new")
}

#[tokio::test]
async fn a_lost_answer_to_a_put_is_settled_by_looking() {
    let script = Script::new(vec![HangUp, Status(200)]).await;
    assert_eq!(
        script.store.put_new("a", body()).await.expect("put"),
        PutOutcome::AlreadyThere
    );
    assert_eq!(
        script.asked().await,
        ["PUT a?x-id=PutObject unless *", "HEAD a"]
    );
}

#[tokio::test]
async fn a_put_that_did_not_arrive_is_repeated_under_the_same_name_and_condition() {
    let script = Script::new(vec![Code(503, "SlowDown"), Status(404), Status(200)]).await;
    assert_eq!(
        script.store.put_new("a", body()).await.expect("put"),
        PutOutcome::Created
    );
    let put = "PUT a?x-id=PutObject unless *";
    assert_eq!(script.asked().await, [put, "HEAD a", put]);
}

#[tokio::test]
async fn a_conflict_is_tried_again_without_looking() {
    let script = Script::new(vec![
        Code(409, "ConditionalRequestConflict"),
        Code(412, "PreconditionFailed"),
    ])
    .await;
    assert_eq!(
        script.store.put_new("a", body()).await.expect("put"),
        PutOutcome::AlreadyThere
    );
    assert_eq!(script.asked().await.len(), 2);
}

#[tokio::test]
async fn a_refusal_fails_at_once_names_the_place_and_tells_no_secret() {
    let script = Script::new(vec![Code(403, "AccessDenied")]).await;
    let error = script
        .store
        .put_new("a", body())
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), Kind::Permission);
    assert_eq!(
        error.to_string(),
        "`s3://lake/raw/a`: putting an object: AccessDenied: no (status 403)"
    );
    assert!(
        !format!("{error:?}").contains("secret-of-the-test")
            && !format!("{error:?}").contains("AKIATEST")
    );
    assert_eq!(script.asked().await.len(), 1);
}

#[tokio::test]
async fn patience_ends_after_the_second_try_that_comes_too_late() {
    let mut script =
        Script::new(vec![Code(500, "InternalError"), Code(500, "InternalError")]).await;
    script.store.patience = Duration::ZERO;
    let error = script.store.delete("a").await.expect_err("given up");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(script.asked().await.len(), 2);
}

#[tokio::test]
async fn a_lost_answer_to_a_replacement_is_settled_by_what_is_there() {
    let replace = "PUT a?x-id=PutObject if old";
    let get = "GET a?x-id=GetObject";
    let put_lost = Script::new(vec![HangUp, Body("new", "other")]).await;
    assert_eq!(
        put_lost
            .store
            .replace("a", body(), Some("old"))
            .await
            .expect("asked"),
        Swap::Done
    );
    assert_eq!(put_lost.asked().await, [replace, get]);

    let replies = vec![
        Status(500),
        Body("was", "old"),
        Code(412, "PreconditionFailed"),
        Body("new", "other"),
    ];
    let arrived_late = Script::new(replies).await;
    assert_eq!(
        arrived_late
            .store
            .replace("a", body(), Some("old"))
            .await
            .expect("asked"),
        Swap::Done
    );
    assert_eq!(arrived_late.asked().await, [replace, get, replace, get]);

    let others = Script::new(vec![Status(500), Body("theirs", "other")]).await;
    assert_eq!(
        others
            .store
            .replace("a", body(), Some("old"))
            .await
            .expect("asked"),
        Swap::Stale
    );
    assert_eq!(others.asked().await.len(), 2);
}

/// Puts a small file in parts.
async fn put_parts(script: &Script) -> Result<PutOutcome> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "rows").expect("written");
    script.store.put_parts("raw/a", &file).await
}

const CREATE: &str = "POST a?uploads";
const PART: &str = "PUT a?x-id=UploadPart&partNumber=1&uploadId=u1";
const COMPLETE: &str = "POST a?uploadId=u1 unless *";
const ABORT: &str = "DELETE a?x-id=AbortMultipartUpload&uploadId=u1";

#[tokio::test]
async fn a_lost_answer_to_the_completion_of_parts_is_settled_by_looking() {
    let replies = vec![
        Status(404),
        Body(BEGUN, ""),
        Status(200),
        HangUp,
        Status(200),
        Status(204),
    ];
    let script = Script::new(replies).await;
    assert_eq!(
        put_parts(&script).await.expect("put"),
        PutOutcome::AlreadyThere
    );
    assert_eq!(
        script.asked().await,
        ["HEAD a", CREATE, PART, COMPLETE, "HEAD a", ABORT]
    );
}

#[tokio::test]
async fn parts_that_are_gone_are_sent_again_unless_the_object_is_there() {
    let gone = || Code(404, "NoSuchUpload");
    let replies = vec![
        Status(404),
        Body(BEGUN, ""),
        Status(200),
        gone(),
        Status(404),
        gone(),
    ];
    let again = vec![
        Status(404),
        Body(BEGUN, ""),
        Status(200),
        gone(),
        Status(200),
        gone(),
    ];
    let script = Script::new(replies.into_iter().chain(again).collect()).await;
    assert_eq!(
        put_parts(&script).await.expect("put"),
        PutOutcome::AlreadyThere
    );
    let once = ["HEAD a", CREATE, PART, COMPLETE, "HEAD a", ABORT];
    assert_eq!(script.asked().await, [once, once].concat());
}

#[tokio::test]
async fn a_conflict_at_the_completion_of_parts_begins_anew() {
    let conflict = vec![
        Status(404),
        Body(BEGUN, ""),
        Status(200),
        Code(409, "ConditionalRequestConflict"),
        Status(204),
    ];
    let again = vec![Status(404), Body(BEGUN, ""), Status(200), Body(DONE, "")];
    let script = Script::new(conflict.into_iter().chain(again).collect()).await;
    assert_eq!(put_parts(&script).await.expect("put"), PutOutcome::Created);
    assert_eq!(
        script.asked().await[5..],
        ["HEAD a", CREATE, PART, COMPLETE]
    );
}

#[tokio::test]
async fn an_error_inside_a_200_is_no_success() {
    let error = Body(
        "<Error><Code>InternalError</Code><Message>no</Message></Error>",
        "",
    );
    let replies = vec![
        Status(404),
        Body(BEGUN, ""),
        Status(200),
        error,
        Status(404),
        Body(DONE, ""),
    ];
    let script = Script::new(replies).await;
    assert_eq!(put_parts(&script).await.expect("put"), PutOutcome::Created);
    assert_eq!(
        script.asked().await,
        ["HEAD a", CREATE, PART, COMPLETE, "HEAD a", COMPLETE]
    );
}

#[tokio::test]
async fn parts_are_given_back_when_an_upload_fails() {
    let replies = vec![
        Status(404),
        Body(BEGUN, ""),
        Code(403, "AccessDenied"),
        Status(204),
    ];
    let script = Script::new(replies).await;
    assert_eq!(
        put_parts(&script).await.expect_err("refused").kind(),
        Kind::Permission
    );
    assert_eq!(script.asked().await, ["HEAD a", CREATE, PART, ABORT]);
}

#[tokio::test]
async fn a_store_that_ignores_a_condition_is_refused_with_the_reason() {
    let refused = || Code(412, "PreconditionFailed");
    for (replies, reason) in [
        (vec![Status(200), Status(200)], "`If-None-Match: *`"),
        (
            vec![
                Status(200),
                refused(),
                Body(BEGUN, ""),
                Status(200),
                Body(DONE, ""),
                Status(204),
            ],
            "in parts",
        ),
        (
            vec![
                Status(200),
                refused(),
                Body(BEGUN, ""),
                Status(200),
                refused(),
                Status(204),
                Status(200),
            ],
            "`If-Match`",
        ),
    ] {
        let script = Script::new(replies).await;
        let error = probe(&script.store, "_cdc/probe/1")
            .await
            .expect_err("unfit");
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains(reason), "{error}");
        script.asked().await;
    }
}

#[tokio::test]
async fn a_name_longer_than_s3_takes_is_refused_before_it_is_sent() {
    let script = Script::new(vec![]).await;
    assert_eq!(
        script
            .store
            .put_new(&"a".repeat(1021), body())
            .await
            .expect_err("long")
            .kind(),
        Kind::Data
    );
    assert_eq!(
        script.store.location("ec/orders"),
        "s3://lake/raw/ec/orders"
    );
}

//! Encrypted connections to all four parts, with certificates that are right and with all that can be wrong.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::Value;

use crate::harness::{
    Database, Engine, Pipeline, Table, eventually, grants, random_moment, setting,
};

/// A file among the stack's certificates.
fn certificate(name: &str) -> String {
    format!("{}/{name}", setting("CDC_CERTIFICATES"))
}

/// What `check` found of one part under one name.
fn finding<'a>(answer: &'a Value, part: &str, name: &str) -> &'a Value {
    let findings = answer["findings"].as_array().expect("findings");
    let found = findings
        .iter()
        .find(|finding| finding["part"] == part && finding["name"] == name);
    found.unwrap_or_else(|| panic!("nothing about {name} of {part} in {answer:#}"))
}

/// Fails unless the finding is a failure that says all of `words`, or is none if there are none.
fn says(answer: &Value, part: &str, name: &str, words: &[&str]) {
    let finding = finding(answer, part, name);
    let level = if words.is_empty() { "ok" } else { "fail" };
    assert_eq!(finding["level"], level, "{part}: {finding:#}");
    for word in words {
        assert!(
            finding.to_string().contains(word),
            "`{word}` is not in what was found of {part}: {finding:#}"
        );
    }
}

async fn check(pipeline: &Pipeline, name: &str, text: &str) -> Value {
    let file = pipeline.file(&format!("{name}.yaml"), text);
    let host = pipeline.temporary(name);
    let finished = eventually("every part has time to answer", async || {
        let check = pipeline.start_with(&file, &host, &["check", "-o", "json"]);
        let finished = check.finish().await;
        match finished.is_busy() {
            true => Err(finished.stdout),
            false => Ok(finished),
        }
    })
    .await;
    serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", finished.stdout, finished.stderr))
}

/// The cases of one database: a name, who logs in where, what stands behind the `?`, and what must be said.
fn cases(engine: Engine) -> Vec<(&'static str, String, &'static [&'static str])> {
    let (ca, other) = (certificate("ca.pem"), certificate("other-ca.pem"));
    let client = |name: &str, key: &str| {
        format!(
            "sslrootcert={ca}&sslcert={}&sslkey={}",
            certificate(&format!("{name}.pem")),
            certificate(&format!("{key}.key"))
        )
    };
    let full = format!("sslmode=verify-full&sslrootcert={ca}");
    let refused_plain: &[&str] = match engine {
        Engine::Postgres => &["no encryption", "sslmode=verify-full"],
        Engine::MariaDb => &["access denied", "REQUIREs SSL"],
    };
    let without_certificate: &[&str] = match engine {
        Engine::Postgres => &["client certificate", "sslcert=FILE"],
        Engine::MariaDb => &["access denied", "`sslcert`"],
    };
    vec![
        ("right", format!("cdc_encrypted:cdc@HERE?{full}"), &[]),
        (
            "plain",
            "cdc_encrypted:cdc@HERE?sslmode=disable".to_owned(),
            refused_plain,
        ),
        (
            "elsewhere",
            format!("cdc_encrypted:cdc@ELSEWHERE?{full}"),
            &[
                "for `localhost`, `127.0.0.1`",
                "not for this host",
                "use a name of the certificate",
            ],
        ),
        (
            "elsewhere_with_any_name",
            format!("cdc_encrypted:cdc@ELSEWHERE?sslmode=verify-ca&sslrootcert={ca}"),
            &[],
        ),
        (
            "any_name_of_another_authority",
            format!("cdc_encrypted:cdc@HERE?sslmode=verify-ca&sslrootcert={other}"),
            &["authority that is not trusted here", "sslrootcert=FILE"],
        ),
        (
            "unknown_authority",
            format!("cdc_encrypted:cdc@HERE?sslmode=verify-full&sslrootcert={other}"),
            &["authority that is not trusted here", "sslrootcert=FILE"],
        ),
        (
            "systems_authorities",
            "cdc_encrypted:cdc@HERE?sslmode=verify-full".to_owned(),
            &["authority that is not trusted here", "sslrootcert=FILE"],
        ),
        (
            "expired",
            format!("cdc:cdc@EXPIRED?{full}"),
            &["has expired at 2020-02-01", "new certificate"],
        ),
        (
            "expired_unchecked",
            "cdc:cdc@EXPIRED?sslmode=require".to_owned(),
            &[],
        ),
        (
            "certificate",
            format!("cdc_certificate:cdc@HERE?{}", client("client", "client")),
            &[],
        ),
        (
            "without_certificate",
            format!("cdc_certificate:cdc@HERE?{full}"),
            without_certificate,
        ),
        (
            "certificate_of_a_stranger",
            format!(
                "cdc_certificate:cdc@HERE?{}",
                client("stranger", "stranger")
            ),
            &[
                "does not trust the authority of our client certificate",
                "sslcert=FILE",
            ],
        ),
        (
            "key_of_another",
            format!("cdc_certificate:cdc@HERE?{}", client("client", "stranger")),
            &["private key that belongs to it"],
        ),
        (
            "no_such_file",
            "cdc:cdc@HERE?sslrootcert=/there/is/none.pem".to_owned(),
            &["/there/is/none.pem", "check the path"],
        ),
    ]
}

async fn what_is_wrong_with_a_connection_is_told_apart(engine: Engine) {
    let database = Database::open(engine).await;
    database.create(engine.table()).await;
    if engine == Engine::MariaDb {
        for account in ["cdc_encrypted", "cdc_certificate", "cdc_ed25519"] {
            let name = database.name();
            database
                .run(&format!("GRANT SELECT ON {name}.* TO {account}@'%'"))
                .await;
        }
    }
    let expired = setting(match engine {
        Engine::Postgres => "EC_EXPIRED_ADDRESS",
        Engine::MariaDb => "POS_EXPIRED_ADDRESS",
    });
    let mut cases = cases(engine);
    if engine == Engine::MariaDb {
        let ca = certificate("ca.pem");
        cases.push((
            "ed25519",
            format!("cdc_ed25519:cdc@HERE?sslrootcert={ca}"),
            &[],
        ));
        cases.push((
            "ed25519_with_another_password",
            format!("cdc_ed25519:cds@HERE?sslrootcert={ca}"),
            &["access denied", "check user and password"],
        ));
    }
    let mut sources = String::new();
    for (name, case, _) in &cases {
        let (login, rest) = case.split_once('@').expect("a login");
        let (place, query) = rest.split_once('?').expect("a query");
        let url = match place {
            "EXPIRED" => database.url_of(login, Some(&expired), query),
            _ => database.url_of(login, None, query),
        };
        let url = match place {
            "ELSEWHERE" => url.replace("@127.0.0.1:", "@127.0.0.2:"),
            _ => url,
        };
        sources += &format!(
            "  {name}:\n    url: {url}\n    tables: {{ {}: {{ mode: bulk, topic: {name} }} }}\n",
            engine.table()
        );
    }
    let pipeline = Pipeline::new();
    let text = pipeline
        .text()
        .replace("sources:\n", &format!("sources:\n{sources}"));

    let answer = check(&pipeline, "check", &text).await;

    for (name, _, words) in cases {
        says(&answer, name, "login", words);
    }
}

crate::harness::on_both_databases! { what_is_wrong_with_a_connection_is_told_apart }

/// The `kafka:` block for these brokers.
fn kafka(pipeline: &Pipeline, brokers: &str, client: &[(&str, &str)]) -> String {
    let client: Vec<String> = client
        .iter()
        .map(|(key, value)| format!("    {key}: \"{value}\"\n"))
        .collect();
    let text = pipeline.text();
    let (before, rest) = text.split_once("  brokers: ").expect("brokers");
    let (_, after) = rest.split_once('\n').expect("a line");
    let client = client.concat();
    format!("{before}  brokers: {brokers}\n  client:\n{client}{after}")
}

type Client = Vec<(&'static str, String)>;
/// A name; the brokers, the client's settings and what must be said of them; the store, the file with its authorities
/// and what must be said of it.
type Case<'a> = (
    &'a str,
    &'a str,
    Client,
    &'a [&'a str],
    &'a str,
    &'a str,
    &'a [&'a str],
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_broker_or_a_store_is_told_apart() {
    let database = Database::with_table(Engine::Postgres).await;
    let pipeline = Pipeline::on_s3().following(&database, "incrementing");
    let (ca, other) = (certificate("ca.pem"), certificate("other-ca.pem"));
    let (client, client_key) = (certificate("client.pem"), certificate("client.key"));
    let (stranger, stranger_key) = (certificate("stranger.pem"), certificate("stranger.key"));
    let acls = grants::acls(&pipeline.name, &pipeline.topic_prefix());
    grants::allow(&setting("KAFKA_SASL_USER"), &acls);
    grants::allow("cdc_certificate", &acls);
    let (user, password) = (setting("KAFKA_SASL_USER"), setting("KAFKA_SASL_PASSWORD"));
    let sasl = |authorities: &'_ str, password: &'_ str| {
        [
            ("security.protocol", "sasl_ssl".to_owned()),
            ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
            ("sasl.username", user.clone()),
            ("sasl.password", password.to_owned()),
            ("ssl.ca.location", authorities.to_owned()),
        ]
        .to_vec()
    };
    let mutual = |certificate: &str, key: &str| {
        [
            ("security.protocol", "ssl".to_owned()),
            ("ssl.ca.location", ca.clone()),
            ("ssl.certificate.location", certificate.to_owned()),
            ("ssl.key.location", key.to_owned()),
        ]
        .to_vec()
    };
    let not_trusted: &[&str] = &["authority that is not trusted here", "ssl.ca.location"];
    let not_trusted_lake: &[&str] = &["authority that is not trusted here", "lake.ca_file"];
    let not_named: &[&str] = &["for `localhost`, `127.0.0.1`", "not for this host"];
    let expired: &[&str] = &["has expired at 2020-02-01", "new certificate"];
    let only_ca = vec![
        ("security.protocol", "ssl".to_owned()),
        ("ssl.ca.location", ca.clone()),
    ];
    let plain = vec![("security.protocol", "plaintext".to_owned())];
    #[rustfmt::skip]
    let cases: Vec<Case<'_>> = vec![
        ("right",       "KAFKA_SASL_BROKERS",      sasl(&ca, &password),    &[],         "S3_TLS_ENDPOINT",       ca.as_str(),    &[]),
        ("authority",   "KAFKA_SASL_BROKERS",      sasl(&other, &password), not_trusted, "S3_TLS_ENDPOINT",       other.as_str(), not_trusted_lake),
        ("elsewhere",   "KAFKA_ELSEWHERE_BROKERS", sasl(&ca, &password),    not_named,   "S3_ELSEWHERE_ENDPOINT", ca.as_str(),    not_named),
        ("expired",     "KAFKA_EXPIRED_BROKERS",   sasl(&ca, &password),    expired,     "S3_EXPIRED_ENDPOINT",   ca.as_str(),    expired),
        ("password",    "KAFKA_SASL_BROKERS",      sasl(&ca, "wrong"),      &["invalid credentials", "sasl.password"], "S3_TLS_ENDPOINT", "", not_trusted_lake),
        ("mutual",      "KAFKA_MUTUAL_BROKERS",    mutual(&client, &client_key), &[],    "S3_TLS_ENDPOINT",       "/none.pem",    &["/none.pem", "check the path"]),
        ("nobody",      "KAFKA_MUTUAL_BROKERS",    only_ca,                 &["asks for a client certificate", "ssl.certificate.location"], "S3_ENDPOINT", "", &[]),
        ("stranger",    "KAFKA_MUTUAL_BROKERS",    mutual(&stranger, &stranger_key), &["asks for a client certificate that it accepts"], "S3_ENDPOINT", "", &[]),
        ("unencrypted", "KAFKA_SASL_BROKERS",      plain,                   &["security.protocol"], "S3_ENDPOINT", "", &[]),
        ("encrypted",   "KAFKA_BROKERS",           sasl(&ca, &password),    &["speaks no TLS there", "plaintext"], "S3_ENDPOINT", "", &[]),
    ];
    let endpoint = format!("endpoint: {}", setting("S3_ENDPOINT"));
    let checks = cases
        .iter()
        .map(|(name, brokers, client, _, store, authorities, _)| {
            let client: Vec<(&str, &str)> = client.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let ca_file = match *authorities {
                "" => String::new(),
                file => format!("\n  ca_file: {file}"),
            };
            let text = kafka(&pipeline, &setting(brokers), &client)
                .replace(&endpoint, &format!("endpoint: {}{ca_file}", setting(store)));
            let pipeline = &pipeline;
            async move { check(pipeline, name, &text).await }
        });

    // A part that does not answer in some seconds is silent: more at once would be, on a busy machine.
    let answers: Vec<_> = stream::iter(checks).buffered(2).collect().await;

    for ((name, _, _, of_kafka, _, _, of_lake), answer) in cases.iter().zip(&answers) {
        println!("{name}");
        says(answer, "kafka", "brokers", of_kafka);
        says(answer, "lake", "store", of_lake);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_go_all_the_way_encrypted_with_nothing_but_the_grants_of_the_page() {
    let (shop, tills) = (
        Database::with_table(Engine::Postgres).await,
        Database::with_table(Engine::MariaDb).await,
    );
    shop.insert("orders", 500).await;
    tills.insert("sales", 500).await;
    let tills_name = tills.name();
    tills
        .run(&format!(
            "GRANT SELECT ON {tills_name}.* TO cdc_certificate@'%'"
        ))
        .await;
    let (ca, client, key) = (
        certificate("ca.pem"),
        certificate("client.pem"),
        certificate("client.key"),
    );
    let identity = format!("sslmode=verify-full&sslrootcert={ca}&sslcert={client}&sslkey={key}");
    let pipeline = Pipeline::on_s3()
        .following(&shop, "timestamp+incrementing")
        .following(&tills, "incrementing")
        .with_url(
            Engine::Postgres,
            &shop.url_of("cdc_certificate", None, &identity),
        )
        .with_url(
            Engine::MariaDb,
            &tills.url_of("cdc_certificate:cdc", None, &identity),
        );
    let acls = grants::acls(&pipeline.name, &pipeline.topic_prefix());
    grants::allow(&setting("KAFKA_SASL_USER"), &acls);
    let text = kafka(
        &pipeline,
        &setting("KAFKA_SASL_BROKERS"),
        &[
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", &setting("KAFKA_SASL_USER")),
            ("sasl.password", &setting("KAFKA_SASL_PASSWORD")),
            ("ssl.ca.location", &ca),
        ],
    );
    let endpoint = format!("endpoint: {}", setting("S3_ENDPOINT"));
    let https = format!("endpoint: {}\n  ca_file: {ca}", setting("S3_TLS_ENDPOINT"));
    let file = pipeline.file("encrypted.yaml", &text.replace(&endpoint, &https));
    let worker = pipeline.start_with(&file, &pipeline.temporary("host"), &["follow"]);

    pipeline.topic_is_exact(Table::of(&shop)).await;
    pipeline.topic_is_exact(Table::of(&tills)).await;
    shop.insert("orders", 500).await;
    tills.insert("sales", 500).await;
    pipeline.topic_is_exact(Table::of(&shop)).await;
    pipeline.topic_is_exact(Table::of(&tills)).await;
    pipeline.lake_is_exact(Table::of(&shop)).await;
    pipeline.lake_is_exact(Table::of(&tills)).await;
    let status = pipeline.start_with(&file, &pipeline.temporary("status"), &["status"]);
    status.finish().await.expect(0, &["orders", "sales"]);
    worker.stop().await;
}

/// What ends the process must not clean up what its clients of Kafka, which are threads of their own, still work with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_stopped_at_any_moment_ends_by_itself_and_by_no_signal() {
    let database = Database::with_table(Engine::Postgres).await;
    database.insert("orders", 100).await;
    for times in [1, 2].repeat(6) {
        let pipeline = Pipeline::new()
            .following(&database, "timestamp+incrementing")
            .with_login();
        let acls = grants::acls(&pipeline.name, &pipeline.topic_prefix());
        grants::allow(&setting("KAFKA_SASL_USER"), &acls);
        let mut worker = pipeline.follow();
        worker.says("joined the pipeline").await;
        random_moment(Duration::from_secs(2)).await;
        for _ in 0..times {
            worker.terminate();
        }
        let ended = worker.finish().await;
        // The second signal ends it at once, if the first has not.
        let is_at_once = times == 2 && ended.code == Some(75);
        assert!(is_at_once || ended.code == Some(0), "{ended:?}");
    }
}

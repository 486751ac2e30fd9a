//! Everything that may be asked in a wrong way, or of a world that is not as it should be: exit code, reason, next
//! step. A refusal leaves the lake as it was.

use std::path::PathBuf;

use bytes::Bytes;

use super::Desk;
use crate::harness::{Counter, Database, Engine, Service, Worker, on_both_databases};
use crate::worlds::Disk;

on_both_databases! {
    what_is_asked_in_a_wrong_way_is_told_with_the_way_out
    a_database_that_lets_nobody_in_or_is_not_there_is_told
    columns_and_tables_without_a_grant_are_told_and_can_be_left_out
}

/// Runs a copy of these tables with these flags, `TO` standing for the desk's lake.
async fn refused(desk: &Desk, url: &str, rest: &[&str], code: i32, words: &[&str]) {
    let mut arguments = vec!["snapshot", url];
    arguments.extend(rest.iter().map(|word| {
        if *word == "TO" {
            desk.to.as_str()
        } else {
            *word
        }
    }));
    desk.run(&arguments).await.expect(code, words);
    assert_eq!(desk.leftovers(), Vec::<PathBuf>::new(), "{rest:?}");
}

async fn what_is_asked_in_a_wrong_way_is_told_with_the_way_out(engine: Engine) {
    let database = Database::with_table(engine).await;
    let (desk, url, table) = (Desk::new(), database.url(), engine.table());
    database.insert(table, 10).await;
    let near = format!("{}x", table);
    let did_you_mean = format!("did you mean `{table}`?");
    let there_are = format!("there are `{table}`");
    let cases: [(&[&str], i32, &[&str]); 15] = [
        (&[table], 2, &["needs `--to`", "--to ./lake"]),
        (
            &[&near, "--to", "TO"],
            78,
            &["no such table", &did_you_mean],
        ),
        (
            &["nothing_*", "--to", "TO"],
            78,
            &["no table matches `nothing_*`", &there_are],
        ),
        (
            &[table, "--to", "lake"],
            2,
            &["`lake` is no place", "./path"],
        ),
        (&[table, "--to", "gs://lake"], 2, &["not there yet"]),
        (&[table, "--to", "x.parquet"], 2, &["--to - > x.parquet"]),
        (&[table, "items", "--to", "-"], 2, &["exactly one table"]),
        (&["*", "--to", "-"], 2, &["exactly one table"]),
        (&[table, "--to", "-", "-o", "json"], 2, &["`-o json`"]),
        (
            &[table, "items", "--to", "TO", "--where", "id = 1"],
            2,
            &["exactly one table"],
        ),
        (
            &[table, "--to", "TO", "--where", "id = 1; DROP TABLE x"],
            2,
            &["holds `;`"],
        ),
        (
            &[table, "--to", "TO", "--where", "idd = 1"],
            78,
            &["does not take the condition", "`--where`"],
        ),
        (
            &[table, "--to", "TO", "--columns", "id,nite"],
            78,
            &["no such column", "did you mean `note`?"],
        ),
        (
            &[table, "--to", "TO", "--source", "my shop"],
            2,
            &["is no name"],
        ),
        (
            &[table, "--to", "TO", "--again"],
            2,
            &["copied whole each time"],
        ),
    ];
    for (rest, code, words) in cases {
        refused(&desk, &url, rest, code, words).await;
    }
    assert_eq!(desk.current(&database, table).await, None);
    let without = desk.run(&["snapshot", table, "--to", &desk.to]).await;
    without.expect(2, &["`--to` needs a URL as the first argument"]);
    let two = desk.run(&["snapshot", &url, &url, "--to", &desk.to]).await;
    two.expect(2, &["one URL is read at a time"]);
    let strange = desk
        .run(&["snapshot", "oracle://cdc@db/shop", "t", "--to", &desk.to])
        .await;
    strange.expect(2, &["of no known database"]);
    let variable = desk
        .run(&["snapshot", "${env:CDC_NO_SUCH_URL}", "t", "--to", &desk.to])
        .await;
    variable.expect(2, &["`${env:CDC_NO_SUCH_URL}` is not set"]);
}

async fn a_database_that_lets_nobody_in_or_is_not_there_is_told(engine: Engine) {
    let database = Database::with_table(engine).await;
    let (desk, table) = (Desk::new(), engine.table());
    let user = url::Url::parse(&database.url())
        .expect("a url")
        .username()
        .to_owned();
    let wrong = database.url_of(&format!("{user}:hunter2"), None, "sslmode=disable");
    let closed = database.url_of(&format!("{user}:hunter2"), Some("127.0.0.1:1"), "");
    for (url, code, words) in [
        (&wrong, 77, "user and password"),
        (&closed, 69, "127.0.0.1:1"),
    ] {
        let told = desk
            .run(&["-vv", "snapshot", url, table, "--to", &desk.to])
            .await;
        assert!(!told.stderr.contains("hunter2"), "{}", told.stderr);
        told.expect(code, &[words]);
    }
    assert!(
        !desk.directory.path().join("lake").exists(),
        "a lake was made for nothing"
    );
    let far = database.url_of("cdc", Some("db.example.invalid:1"), "sslmode=disable");
    let told = desk.run(&["snapshot", &far, table, "--to", &desk.to]).await;
    told.expect(69, &["warning: the url asks for no encryption"]);
}

async fn columns_and_tables_without_a_grant_are_told_and_can_be_left_out(engine: Engine) {
    let database = Database::open(engine).await;
    database
        .run("CREATE TABLE staff (id int PRIMARY KEY, name varchar(9), wage int)")
        .await;
    database.run("INSERT INTO staff VALUES (1, 'a', 10)").await;
    let name = database.name();
    let account = format!("few_{}", &name[name.len() - 12..]);
    let statements = match engine {
        Engine::Postgres => vec![
            format!("CREATE ROLE {account} LOGIN PASSWORD 'few'"),
            format!("GRANT CONNECT ON DATABASE {name} TO {account}"),
            format!("GRANT SELECT (id, name) ON staff TO {account}"),
        ],
        Engine::MariaDb => vec![
            format!("CREATE USER {account}@'%' IDENTIFIED BY 'few'"),
            format!("GRANT SELECT (id, name) ON {name}.staff TO {account}@'%'"),
        ],
    };
    for statement in &statements {
        database.run(statement).await;
    }
    let (desk, url) = (
        Desk::new(),
        database.url_of(&format!("{account}:few"), None, "sslmode=disable"),
    );

    refused(
        &desk,
        &url,
        &["staff", "--to", "TO"],
        77,
        &["may not read", "GRANT SELECT"],
    )
    .await;
    let named = desk
        .run(&[
            "snapshot",
            &url,
            "staff",
            "--to",
            &desk.to,
            "--columns",
            "id,name",
        ])
        .await;
    named.expect(0, &["1 row"]);

    database
        .run(&match engine {
            Engine::Postgres => format!("DROP OWNED BY {account}; DROP ROLE {account}"),
            Engine::MariaDb => format!("DROP USER {account}@'%'"),
        })
        .await;
}

/// A database with one table of ten rows.
async fn shop() -> Database {
    let database = Database::with_table(Engine::Postgres).await;
    database.insert("orders", 10).await;
    database
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_of_a_pipeline_is_not_written_to() {
    let (database, desk) = (shop().await, Desk::new());
    let store = cdc::lake::open_store(&desk.lake).await.expect("a lake");
    let owner = r#"{"v":1,"cluster":"c","pipeline":"retail"}"#;
    store
        .put_new("_cdc/owner", Bytes::from(owner))
        .await
        .expect("put");
    drop(store);
    let url = database.url();
    // Neither it, nor a directory within it.
    let within = format!("{}/ec/orders", desk.to);
    for place in ["TO", &within] {
        refused(
            &desk,
            &url,
            &["orders", "--to", place],
            78,
            &["belongs to pipeline `retail`", "another place"],
        )
        .await;
    }
    assert_eq!(desk.loads(&database, "orders").await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_with_files_that_are_no_loads_is_left_alone() {
    let (database, desk) = (shop().await, Desk::new());
    let store = cdc::lake::open_store(&desk.lake).await.expect("a lake");
    let path = format!("{}/orders/dt=2026-10-01/a.parquet", database.name());
    store
        .put_new(&path, Bytes::from_static(b"rows"))
        .await
        .expect("put");
    drop(store);
    let url = database.url();
    refused(
        &desk,
        &url,
        &["orders", "--to", "TO"],
        78,
        &["no load of it", "--source"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_missing_or_fails_is_told_and_shows_nothing() {
    let (database, desk) = (shop().await, Desk::on_s3());
    let url = database.url();
    let missing = desk
        .run(&[
            "snapshot",
            &url,
            "orders",
            "--to",
            "s3://no-such-bucket-at-all/x",
        ])
        .await;
    missing.expect(78, &["there is no such bucket", "correct `--to`"]);

    let counter = Counter::open(Service::ReadOnly).await;
    let mut command = desk.command(&["snapshot", &url, "orders", "--to", &desk.to]);
    command.env("AWS_ENDPOINT_URL", counter.endpoint());
    let worker = Worker::start(command, desk.directory.path().join("read-only.log"));
    worker.finish().await.expect(77, &["s3:PutObject"]);
    assert_eq!(desk.current(&database, "orders").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_is_told_and_keeps_the_old_load() {
    let (database, desk) = (shop().await, Desk::new());
    let lake = desk.directory.path().join("lake");
    let disk = Disk::mount(&lake);
    desk.copy(&database, &["orders"], &[]).await;
    let old = database.holds("orders").await;
    database
        .run("INSERT INTO orders (note) SELECT md5(random()::text) || md5(random()::text) FROM generate_series(1, 200000)")
        .await;
    let url = database.url();
    let full = desk
        .run(&["snapshot", &url, "orders", "--to", &desk.to])
        .await;
    full.expect(74, &["room"]);
    assert_eq!(desk.rows(&database, "orders").await, old);
    assert_eq!(desk.leftovers(), Vec::<PathBuf>::new());
    drop(disk);
}

//! Copies without a broker and without a configuration: one command, a URL and a place.

mod copies;
mod crashes;
mod moments;
mod progress;
mod refusals;
mod stdout;

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use cdc::config::LakePlace;
use serde_json::Value;
use tempfile::TempDir;
use ulid::Ulid;

use crate::harness::{Counter, Database, Finished, Row, Worker, files_below, files_rows, setting};

/// A place of one test's own, where commands are run and their lake is.
struct Desk {
    directory: TempDir,
    /// As the command line names it.
    to: String,
    lake: LakePlace,
    environment: Vec<(String, String)>,
    started: AtomicUsize,
}

impl Desk {
    /// With a lake in a local directory.
    fn new() -> Desk {
        let directory = tempfile::tempdir().expect("a directory");
        let lake = directory.path().join("lake");
        Desk::at(
            directory,
            lake.display().to_string(),
            LakePlace::Local(lake),
            Vec::new(),
        )
    }

    fn at(
        directory: TempDir,
        to: String,
        lake: LakePlace,
        environment: Vec<(String, String)>,
    ) -> Desk {
        Desk {
            directory,
            to,
            lake,
            environment,
            started: AtomicUsize::new(0),
        }
    }

    /// With a lake on S3, found by the variables that every AWS tool knows.
    fn on_s3() -> Desk {
        let url = setting("LAKE_URL");
        let place = url.strip_prefix("s3://").expect("`LAKE_URL` is on S3");
        let (bucket, _) = place.split_once('/').unwrap_or((place, ""));
        let prefix = format!("direct/{}", Ulid::new());
        let login = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
        let mut environment: Vec<_> = login.map(|name| (name.to_owned(), setting(name))).into();
        environment.push(("AWS_ENDPOINT_URL".to_owned(), setting("S3_ENDPOINT")));
        let to = format!("s3://{bucket}/{prefix}");
        let lake = LakePlace::S3 {
            bucket: bucket.to_owned(),
            prefix,
            endpoint: Some(setting("S3_ENDPOINT")),
            region: None,
            path_style: true,
            ca_file: None,
        };
        let directory = tempfile::tempdir().expect("a directory");
        Desk::at(directory, to, lake, environment)
    }

    /// Has commands meet the store at a counter.
    fn by_way_of(mut self, counter: &Counter) -> Desk {
        for (name, value) in &mut self.environment {
            if name == "AWS_ENDPOINT_URL" {
                *value = counter.endpoint();
            }
        }
        self
    }

    /// The command, with a temporary directory of the desk's own.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.dressed(Command::new(env!("CARGO_BIN_EXE_cdc")));
        command.args(arguments);
        command
    }

    /// Has a command run here.
    fn dressed(&self, mut command: Command) -> Command {
        command
            .current_dir(self.directory.path())
            .env("TMPDIR", self.temporary())
            .env_remove("CDC_CONFIG")
            .envs(self.environment.iter().cloned());
        command
    }

    fn temporary(&self) -> PathBuf {
        let path = self.directory.path().join("tmp");
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    fn start(&self, arguments: &[&str]) -> Worker {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.directory.path().join(format!("{number}.log"));
        Worker::start(self.command(arguments), log)
    }

    async fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finish().await
    }

    /// Copies tables of a database into the lake; what the answer says.
    async fn copy(&self, database: &Database, tables: &[&str], flags: &[&str]) -> Value {
        let url = database.url();
        let mut arguments = vec!["snapshot", &url];
        arguments.extend(tables);
        arguments.extend(["--to", &self.to, "-o", "json"]);
        arguments.extend(flags);
        let finished = self.run(&arguments).await.expect(0, &[]);
        serde_json::from_str(&finished.stdout).expect("JSON")
    }

    /// The pointer of a table.
    async fn current(&self, database: &Database, table: &str) -> Option<Value> {
        let store = cdc::lake::open_to_read(&self.lake).await.expect("the lake");
        let path = format!("{}/{table}/_current.json", database.name());
        let found = store.get(&path).await.expect("the lake can be read");
        found.map(|(body, _)| serde_json::from_slice(&body).expect("JSON"))
    }

    /// The rows of the current load of a table of the usual shape.
    async fn rows(&self, database: &Database, table: &str) -> Vec<Row> {
        let current = self.current(database, table).await.expect("a load");
        let path = current["path"].as_str().expect("a path");
        let mut rows = files_rows(&files_below(&self.lake, path).await);
        rows.sort();
        rows
    }

    /// The loads that lie in a table's directory, oldest first.
    async fn loads(&self, database: &Database, table: &str) -> Vec<String> {
        let directory = format!("{}/{table}", database.name());
        let mut loads: Vec<String> = files_below(&self.lake, &directory)
            .await
            .iter()
            .filter_map(|file| {
                let below = file.path.split_once("/snapshot=")?.1;
                Some(below.split_once('/')?.0.to_owned())
            })
            .collect();
        loads.sort();
        loads.dedup();
        loads
    }

    /// What is left of files that never were published, in the lake and beside it.
    fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.temporary()];
        if let LakePlace::Local(lake) = &self.lake {
            open.push(lake.join("_cdc/tmp"));
        }
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                let is_ulid = |name: &str| Ulid::from_string(name).is_ok();
                match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    true => open.push(entry.path()),
                    false if entry.file_name().to_str().is_some_and(is_ulid) => {
                        found.push(entry.path());
                    }
                    false => {}
                }
            }
        }
        found
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let LakePlace::S3 { .. } = &self.lake {
            let lake = self.lake.clone();
            let clean_up = std::thread::spawn(move || {
                let runtime = tokio::runtime::Runtime::new().expect("a runtime");
                runtime.block_on(async {
                    let store = cdc::lake::open_to_read(&lake).await.expect("the lake");
                    for entry in store.list("").await.expect("a list") {
                        store.delete(&entry.path).await.expect("deleted");
                    }
                });
            });
            let _ = clean_up.join();
        }
    }
}

/// What a statement gives in DuckDB, as JSON.
fn duckdb(sql: &str) -> Value {
    const SCRIPT: &str = "
import duckdb, json, sys
rows = duckdb.connect().execute(sys.argv[1]).fetchall()
print(json.dumps([[value if isinstance(value, (int, type(None))) else str(value) for value in row] for row in rows]))
";
    let output = Command::new(setting("CDC_PYTHON"))
        .args(["-c", SCRIPT, sql])
        .output()
        .expect("Python starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}\n{errors}");
    // A query that takes a while shows its progress on the lines before.
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = text
        .trim_end()
        .rsplit(['\n', '\r'])
        .next()
        .unwrap_or_default();
    serde_json::from_str(answer).unwrap_or_else(|error| panic!("{sql}: {error}: {text}"))
}

/// The same rows as the database has them.
async fn shown(database: &Database, sql: &str) -> Value {
    let rows = database.rows(sql).await;
    let value = |text: Option<String>| match text.map(|text| (text.parse::<i64>(), text)) {
        None => Value::Null,
        Some((Ok(number), _)) => number.into(),
        Some((Err(_), text)) => text.into(),
    };
    let rows = rows.into_iter();
    rows.map(|row| row.into_iter().map(value).collect::<Value>())
        .collect()
}

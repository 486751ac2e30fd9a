//! A pipeline of one test's own: its configuration, its processes, and whether its three places agree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cdc::config::LakePlace;
use cdc::state::PipelineNames;
use tempfile::TempDir;
use ulid::Ulid;

use super::lake::{self, File};
use super::topic::{Record, brokers, delete_topics, read_topic};
use super::worker::{Finished, Worker};
use super::{DEADLINE, Database, Engine, Line, Row, Terminal, eventually, setting, within};

/// A pipeline; its topics go with it.
pub struct Pipeline {
    pub name: String,
    pub directory: TempDir,
    pub lake: LakePlace,
    /// Of the processes that use the file.
    environment: Vec<(String, String)>,
    sources: String,
    /// What stands in the configuration in the place of what: the addresses of proxies.
    instead: Vec<(String, String)>,
    started: AtomicUsize,
}

/// A table of a database in the pipeline.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    pub database: &'a Database,
    pub name: &'a str,
}

impl<'a> Table<'a> {
    /// The usual test table of a database.
    pub fn of(database: &'a Database) -> Self {
        Table {
            database,
            name: database.engine.table(),
        }
    }

    /// Its directory below the lake's root.
    pub fn path(&self) -> String {
        format!("{}/{}", self.database.engine.source(), self.name)
    }

    /// The key of its head in the state topic.
    pub fn head_key(&self) -> String {
        let rows = tokio::task::block_in_place(|| url::Url::parse(&self.database.url()).unwrap());
        let schema = match self.database.engine {
            Engine::Postgres => "public".to_owned(),
            Engine::MariaDb => rows.path().trim_start_matches('/').to_owned(),
        };
        format!("t/{}/{schema}/{}", self.database.engine.source(), self.name)
    }
}

impl Pipeline {
    /// A pipeline with a lake in a local directory and no sources yet.
    pub fn new() -> Pipeline {
        let directory = tempfile::tempdir().expect("a directory");
        let lake = LakePlace::Local(directory.path().join("lake"));
        Pipeline::in_directory(directory, lake, Vec::new())
    }

    /// A pipeline with a lake on S3.
    pub fn on_s3() -> Pipeline {
        let url = setting("LAKE_URL");
        let place = url
            .strip_prefix("s3://")
            .expect("`LAKE_URL` is `s3://bucket/prefix`");
        let (bucket, _) = place.split_once('/').unwrap_or((place, ""));
        let lake = LakePlace::S3 {
            bucket: bucket.to_owned(),
            prefix: format!("end-to-end/{}", Ulid::new()),
            endpoint: Some(setting("S3_ENDPOINT")),
            region: None,
            path_style: true,
            ca_file: None,
        };
        let login = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
        let environment = login.map(|name| (name.to_owned(), setting(name)));
        Pipeline::in_directory(
            tempfile::tempdir().expect("a directory"),
            lake,
            environment.into(),
        )
    }

    fn in_directory(
        directory: TempDir,
        lake: LakePlace,
        environment: Vec<(String, String)>,
    ) -> Pipeline {
        let name = format!("e2e-{}", Ulid::new().to_string().to_lowercase());
        Pipeline {
            name,
            directory,
            lake,
            environment,
            sources: String::new(),
            instead: Vec::new(),
            started: AtomicUsize::new(0),
        }
    }

    /// Adds a database; `tables` is what stands under `tables:`, in flow style without the braces.
    pub fn source(mut self, database: &Database, tables: &str) -> Pipeline {
        let variable = database.engine.variable();
        self.environment.push((variable.to_owned(), database.url()));
        self.sources += &format!(
            "  {}:\n    url: ${{env:{variable}}}\n    defaults: {{ every: 100ms }}\n    tables: {{ {tables} }}\n",
            database.engine.source()
        );
        self
    }

    /// Adds a database with its usual table in this mode.
    pub fn following(self, database: &Database, mode: &str) -> Pipeline {
        let cursor = match mode {
            "timestamp" => ", timestamp: updated_at",
            "incrementing" => ", incrementing: id",
            "timestamp+incrementing" => ", timestamp: updated_at, incrementing: id",
            _ => "",
        };
        self.source(
            database,
            &format!("{}: {{ mode: {mode}{cursor} }}", database.engine.table()),
        )
    }

    /// Changes a source's url, for databases that are not what they should be.
    pub fn with_url(mut self, engine: Engine, url: &str) -> Pipeline {
        self.environment
            .retain(|(name, _)| name != engine.variable());
        self.environment
            .push((engine.variable().to_owned(), url.to_owned()));
        self
    }

    /// Its processes reach a part by another address; the test goes on reaching it directly.
    pub fn by_way_of(mut self, address: &str, instead: &str) -> Pipeline {
        self.instead.push((address.to_owned(), instead.to_owned()));
        self
    }

    /// Its processes log in to Kafka, where they may do what the test allows.
    pub fn with_login(self) -> Pipeline {
        let client = format!(
            "  client:\n    security.protocol: sasl_ssl\n    sasl.mechanism: SCRAM-SHA-512\n    sasl.username: {}\n    \
             sasl.password: {}\n    ssl.ca.location: {}/ca.pem\n  topic_prefix:",
            setting("KAFKA_SASL_USER"),
            setting("KAFKA_SASL_PASSWORD"),
            setting("CDC_CERTIFICATES")
        );
        self.by_way_of(&brokers(), &setting("KAFKA_SASL_BROKERS"))
            .by_way_of("  topic_prefix:", &client)
    }

    /// Says what timestamps without zone mean in the databases.
    pub fn in_zone(self, zone: &str) -> Pipeline {
        self.by_way_of(
            "    defaults:",
            &format!("    time_zone: {zone}\n    defaults:"),
        )
    }

    /// Adds a database with its usual table, reached by this line.
    pub fn following_by(self, database: &Database, mode: &str, line: &Line) -> Pipeline {
        let mut url = url::Url::parse(&database.url()).expect("a url");
        url.set_port(Some(line.port)).expect("a port");
        self.following(database, mode)
            .with_url(database.engine, url.as_str())
    }

    /// What `cdc status` says of the tables, worst first.
    pub async fn status(&self) -> Vec<serde_json::Value> {
        let answer = self.comes_to(&["status", "-o", "json"], 0, &[]).await;
        let status: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON");
        status["tables"].as_array().expect("tables").clone()
    }

    /// What `cdc status` says of one table.
    pub async fn status_of(&self, table: &str) -> serde_json::Value {
        let tables = self.status().await;
        let found = tables.iter().find(|found| found["table"] == table);
        found
            .unwrap_or_else(|| panic!("`{table}` is not among {tables:?}"))
            .clone()
    }

    /// Waits until `cdc status` shows a table in this state, with these words in its reason.
    pub async fn is_shown(&self, table: &str, state: &str, words: &[&str]) -> serde_json::Value {
        self.is_shown_within(DEADLINE, table, state, words).await
    }

    /// The same where what leads to it takes longer.
    pub async fn is_shown_within(
        &self,
        deadline: Duration,
        table: &str,
        state: &str,
        words: &[&str],
    ) -> serde_json::Value {
        let what = format!("status shows `{table}` as {state} because of {words:?}");
        within(deadline, &what, async || {
            let shown = self.status_of(table).await;
            let text = shown.to_string();
            match shown["state"] == state && words.iter().all(|word| text.contains(word)) {
                true => Ok(shown),
                false => Err(text),
            }
        })
        .await
    }

    pub fn topic_prefix(&self) -> String {
        format!("{}.", self.name)
    }

    pub fn topic(&self, table: Table<'_>) -> String {
        format!("{}{}", self.topic_prefix(), table.name)
    }

    pub fn names(&self) -> PipelineNames {
        PipelineNames::new(&self.name)
    }

    /// The configuration file's text.
    pub fn text(&self) -> String {
        let lake = match &self.lake {
            LakePlace::Local(path) => format!("url: {}", path.display()),
            LakePlace::S3 {
                bucket,
                prefix,
                endpoint,
                ..
            } => format!(
                "url: s3://{bucket}/{prefix}\n  endpoint: {}\n  path_style: true",
                endpoint.as_deref().unwrap_or_default()
            ),
        };
        let text = format!(
            "version: 1\npipeline: {}\nkafka:\n  brokers: {}\n  topic_prefix: {}\n  \
             topics: {{ partitions: 3, replication: 1, retention: 1d }}\nsources:\n{}lake:\n  {lake}\n  \
             files: {{ age: 1s }}\n",
            self.name,
            brokers(),
            self.topic_prefix(),
            self.sources
        );
        self.instead.iter().fold(text, |text, (address, instead)| {
            text.replace(address, instead)
        })
    }

    /// Writes a configuration file of this name and text, at once: another process may be reading it.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let fresh = self.directory.path().join(format!("{name}.{number}"));
        std::fs::write(&fresh, text).expect("a file can be written");
        std::fs::rename(fresh, &path).expect("a file can be renamed");
        path
    }

    /// What its processes have in their environment.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Starts the product with this pipeline's configuration.
    pub fn start(&self, arguments: &[&str]) -> Worker {
        self.start_with(
            &self.file("cdc.yaml", &self.text()),
            &self.temporary("host"),
            arguments,
        )
    }

    /// Starts it with more in its environment.
    pub fn start_as(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Worker {
        let file = self.file("cdc.yaml", &self.text());
        self.start_in(&file, &self.temporary("host"), environment, arguments)
    }

    /// Starts it with another file, on what is another host as far as temporary files tell.
    pub fn start_with(&self, file: &Path, temporary: &Path, arguments: &[&str]) -> Worker {
        self.start_in(file, temporary, &[], arguments)
    }

    fn start_in(
        &self,
        file: &Path,
        temporary: &Path,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Worker {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let log = self.directory.path().join(format!(
            "{number:02}-{}.log",
            arguments.first().unwrap_or(&"")
        ));
        let mut command = self.command(file, temporary, arguments);
        command.envs(environment.iter().copied()).env(
            "CDC_LOG",
            std::env::var("CDC_LOG").unwrap_or_else(|_| "cdc=info".to_owned()),
        );
        Worker::start(command, log)
    }

    /// Starts it on a terminal.
    pub fn on_terminal(&self, arguments: &[&str]) -> Terminal {
        let file = self.file("cdc.yaml", &self.text());
        Terminal::start(self.command(&file, &self.temporary("host"), arguments))
    }

    fn command(&self, file: &Path, temporary: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        command
            .arg("--config")
            .arg(file)
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("TMPDIR", temporary);
        command
    }

    /// A directory for temporary files, which hold the locks on workers' names.
    pub fn temporary(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(&path).expect("a directory can be made");
        path
    }

    /// Follows, both halves.
    pub fn follow(&self) -> Worker {
        self.start(&["follow"])
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finish().await
    }

    /// Runs a command that must end with `code` and say each of `words`; once more only where the machine was too busy for
    /// it.
    pub async fn comes_to(&self, arguments: &[&str], code: i32, words: &[&str]) -> Finished {
        eventually(&format!("{arguments:?}"), async || {
            let finished = self.run(arguments).await;
            match finished.lacks(code, words) {
                None => Ok(finished),
                Some(lack) if finished.may_pass() => Err(lack),
                Some(lack) => panic!("{arguments:?}: {lack}"),
            }
        })
        .await
    }

    /// The records of a table's topic.
    pub fn records(&self, table: Table<'_>) -> Vec<Record> {
        self.records_of(&self.topic(table))
    }

    /// The records of a topic of this pipeline.
    pub fn records_of(&self, topic: &str) -> Vec<Record> {
        read_topic(topic)
    }

    /// Waits until the topic holds exactly what the database holds, each row once. For tables whose rows do
    /// not change.
    pub async fn topic_is_exact(&self, table: Table<'_>) {
        let what = format!(
            "topic `{}` holds what the database holds",
            self.topic(table)
        );
        eventually(&what, async || {
            let rows: Vec<Row> = self.records(table).iter().map(Record::row).collect();
            agree(&table.database.holds(table.name).await, &rows)
        })
        .await;
    }

    /// Waits until the topic holds the newest version of every row; no version twice, none that never was.
    pub async fn topic_is_current(&self, table: Table<'_>) -> Vec<Row> {
        let what = format!(
            "topic `{}` holds the newest version of every row",
            self.topic(table)
        );
        eventually(&what, async || {
            let rows: Vec<Row> = self.records(table).iter().map(Record::row).collect();
            current(&table.database.holds(table.name).await, &rows).map(|()| rows)
        })
        .await
    }

    /// Waits until the topic holds this many records.
    pub async fn topic_has(&self, table: Table<'_>, count: usize) {
        let what = format!("topic `{}` has {count} records", self.topic(table));
        eventually(&what, async || match self.records(table).len() {
            now if now == count => Ok(()),
            now => Err(format!("there are {now}")),
        })
        .await;
    }

    /// The table's files.
    pub async fn files(&self, table: Table<'_>) -> Vec<File> {
        lake::files(&self.lake, &table.path()).await
    }

    /// Files below a directory of the lake.
    pub async fn files_below(&self, path: &str) -> Vec<File> {
        lake::files(&self.lake, path).await
    }

    /// A JSON object of the lake.
    pub async fn object(&self, path: &str) -> Option<serde_json::Value> {
        lake::object(&self.lake, path).await
    }

    /// Waits until the lake holds exactly the rows of the topic.
    pub async fn lake_is_exact(&self, table: Table<'_>) {
        let mut expected: Vec<Row> = self.records(table).iter().map(Record::row).collect();
        expected.sort();
        let what = format!("the lake's `{}` holds what the topic holds", table.path());
        eventually(&what, async || {
            agree(&expected, &lake::rows(&self.files(table).await))
        })
        .await;
    }
}

/// Whether `rows` are `expected` (sorted, without repeats), each once. A repeat or a stranger can never become
/// right, and fails at once.
pub fn agree(expected: &[Row], rows: &[Row]) -> Result<(), String> {
    let distinct = no_repeat(rows);
    let expected: BTreeSet<&Row> = expected.iter().collect();
    if let Some(stranger) = distinct.iter().find(|row| !expected.contains(*row)) {
        return Err(format!("{stranger:?} is not expected"));
    }
    match expected.iter().find(|row| !distinct.contains(*row)) {
        Some(missing) => {
            let (there, all) = (distinct.len(), expected.len());
            Err(format!(
                "{there} of {all} rows are there; {missing:?} is not"
            ))
        }
        None => Ok(()),
    }
}

/// Whether every row of the database is there in its newest version, no version twice.
fn current(database: &[Row], rows: &[Row]) -> Result<(), String> {
    let distinct = no_repeat(rows);
    match database.iter().find(|row| !distinct.contains(row)) {
        Some(missing) => Err(format!("{missing:?} is not there")),
        None => Ok(()),
    }
}

/// The rows; fails if a version of a row is there twice.
fn no_repeat(rows: &[Row]) -> BTreeSet<&Row> {
    let mut distinct = BTreeSet::new();
    let mut versions = BTreeSet::new();
    for row in rows {
        assert!(distinct.insert(row), "{row:?} is there twice");
        assert!(
            versions.insert((row.id, row.version)),
            "two rows are version {} of {}",
            row.version,
            row.id
        );
    }
    distinct
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show();
        }
        let prefixes = [
            self.topic_prefix(),
            self.names().state_topic,
            self.names().schemas_topic,
            self.names().loads_topic,
        ];
        let clean_up = std::thread::spawn(move || delete_topics(&prefixes));
        let _ = clean_up.join();
    }
}

impl Pipeline {
    /// What every process said, for a test that failed.
    fn show(&self) {
        eprintln!("── configuration\n{}", self.text());
        let mut logs: Vec<PathBuf> = std::fs::read_dir(self.directory.path())
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.sort();
        for log in logs {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("── {}", log.display());
            for line in &lines[lines.len().saturating_sub(60)..] {
                eprintln!("{line}");
            }
        }
    }
}

//! A database of one test's own on either server, and the oracle's view of a table.

use mysql_async::prelude::Queryable;
use tokio_postgres::{NoTls, SimpleQueryMessage};
use url::Url;

use super::{grants, setting};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    Postgres,
    MariaDb,
}

impl Engine {
    pub const BOTH: [Engine; 2] = [Engine::Postgres, Engine::MariaDb];

    /// The source's name in the configuration.
    pub fn source(self) -> &'static str {
        match self {
            Engine::Postgres => "ec",
            Engine::MariaDb => "pos",
        }
    }

    /// The name of the test table: topics carry no source, so the two differ.
    pub fn table(self) -> &'static str {
        match self {
            Engine::Postgres => "orders",
            Engine::MariaDb => "sales",
        }
    }

    /// The present instant, as this very statement sees it.
    pub fn now(self) -> &'static str {
        match self {
            Engine::Postgres => "clock_timestamp()",
            Engine::MariaDb => "current_timestamp(6)",
        }
    }

    /// Rows 1 to `count` of a column `n`.
    pub fn numbers(self, count: u64) -> String {
        match self {
            Engine::Postgres => format!("generate_series(1, {count}) AS numbers(n)"),
            Engine::MariaDb => format!("(SELECT seq AS n FROM seq_1_to_{count}) AS numbers"),
        }
    }

    /// The variable that holds a source's url in the pipeline's environment.
    pub fn variable(self) -> &'static str {
        match self {
            Engine::Postgres => "TEST_EC_URL",
            Engine::MariaDb => "TEST_POS_URL",
        }
    }

    fn url(self, name: &str) -> Url {
        Url::parse(&setting(name)).unwrap_or_else(|e| panic!("`{name}` of {self:?}: {e}"))
    }

    fn admin_url(self) -> Url {
        self.url(match self {
            Engine::Postgres => "EC_ADMIN_URL",
            Engine::MariaDb => "POS_ADMIN_URL",
        })
    }

    /// As the product logs in.
    fn product_url(self) -> Url {
        self.url(match self {
            Engine::Postgres => "EC_URL",
            Engine::MariaDb => "POS_URL",
        })
    }
}

/// One version of one row of a test table, as any of the three places shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub id: i64,
    pub version: i64,
    /// Microseconds since 1970.
    pub updated_at: i64,
    pub note: String,
}

/// An administrator's session.
pub enum Session {
    Postgres(tokio_postgres::Client),
    MariaDb(mysql_async::Conn),
}

impl Session {
    async fn open(engine: Engine, url: &Url) -> Session {
        match engine {
            Engine::Postgres => {
                let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls)
                    .await
                    .expect("PostgreSQL of EC_ADMIN_URL answers");
                tokio::spawn(connection);
                let session = "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'";
                client.batch_execute(session).await.unwrap();
                Session::Postgres(client)
            }
            Engine::MariaDb => {
                let options = mysql_async::OptsBuilder::default()
                    .ip_or_hostname(url.host_str().unwrap_or_default())
                    .tcp_port(url.port().unwrap_or(3306))
                    .user(Some(url.username()))
                    .pass(url.password())
                    .db_name(Some(url.path().trim_start_matches('/')))
                    .prefer_socket(false);
                let mut conn = mysql_async::Conn::new(options)
                    .await
                    .expect("MariaDB of POS_ADMIN_URL answers");
                let session = "SET time_zone = '+00:00', NAMES utf8mb4";
                conn.query_drop(session).await.unwrap();
                Session::MariaDb(conn)
            }
        }
    }

    /// Runs statements.
    pub async fn run(&mut self, sql: &str) {
        assert_eq!(self.try_run(sql).await, None, "{sql}");
    }

    /// Runs statements that may be refused; what the server said then.
    pub async fn try_run(&mut self, sql: &str) -> Option<String> {
        match self {
            Session::Postgres(client) => client
                .batch_execute(sql)
                .await
                .err()
                .map(|e| format!("{e:?}")),
            Session::MariaDb(conn) => conn.query_drop(sql).await.err().map(|e| e.to_string()),
        }
    }

    /// The rows of a query, as the server renders them.
    pub async fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self {
            Session::Postgres(client) => {
                let answer = client
                    .simple_query(sql)
                    .await
                    .unwrap_or_else(|e| panic!("{sql}: {e}"));
                let rows = answer.iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                rows.map(|row| {
                    (0..row.len())
                        .map(|i| row.get(i).map(str::to_owned))
                        .collect()
                })
                .collect()
            }
            Session::MariaDb(conn) => {
                let rows: Vec<mysql_async::Row> = conn
                    .query(sql)
                    .await
                    .unwrap_or_else(|e| panic!("{sql}: {e}"));
                rows.iter()
                    .map(|row| {
                        (0..row.len())
                            .map(|i| row.get::<Option<String>, _>(i).flatten())
                            .collect()
                    })
                    .collect()
            }
        }
    }
}

/// A database of its own for one test; dropped with it.
pub struct Database {
    pub engine: Engine,
    name: String,
    admin: tokio::sync::Mutex<Session>,
}

impl Database {
    pub async fn open(engine: Engine) -> Database {
        let name = format!("test_{}", ulid::Ulid::new().to_string().to_lowercase());
        let mut server = Session::open(engine, &engine.admin_url()).await;
        let charset = if engine == Engine::MariaDb {
            "CHARACTER SET utf8mb4"
        } else {
            ""
        };
        server
            .run(&format!("CREATE DATABASE {name} {charset}"))
            .await;
        let mut admin = Session::open(engine, &at(engine.admin_url(), &name)).await;
        // The product's account has what the page of grants says, here as elsewhere; it exists already.
        let account = engine.product_url().username().to_owned();
        for statement in grants::statements(engine, &name, &account).iter().skip(1) {
            admin.run(statement).await;
        }
        Database {
            engine,
            name,
            admin: tokio::sync::Mutex::new(admin),
        }
    }

    /// A database with an empty table of the usual shape.
    pub async fn with_table(engine: Engine) -> Database {
        let database = Database::open(engine).await;
        database.create(engine.table()).await;
        database
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The url the product logs in with.
    pub fn url(&self) -> String {
        at(self.engine.product_url(), &self.name).to_string()
    }

    /// The url of an administrator.
    pub fn admin_url(&self) -> String {
        at(self.engine.admin_url(), &self.name).to_string()
    }

    /// The url of another account, at another address (`host:port`) if one is given, and with this behind its `?`.
    pub fn url_of(&self, login: &str, address: Option<&str>, query: &str) -> String {
        let url = self.engine.product_url();
        let own = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port().unwrap_or_default()
        );
        let scheme = url.scheme();
        let address = address.unwrap_or(&own);
        format!("{scheme}://{login}@{address}/{}?{query}", self.name)
    }

    pub async fn run(&self, sql: &str) {
        self.admin.lock().await.run(sql).await;
    }

    /// Runs a statement that may be refused.
    pub async fn try_run(&self, sql: &str) -> Option<String> {
        self.admin.lock().await.try_run(sql).await
    }

    pub async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.admin.lock().await.rows(sql).await
    }

    /// Another session of the administrator, for transactions that stay open.
    pub async fn another(&self) -> Session {
        Session::open(self.engine, &at(self.engine.admin_url(), &self.name)).await
    }

    /// An empty table of the usual shape.
    pub async fn create(&self, table: &str) {
        let (id, instant) = match self.engine {
            Engine::Postgres => ("bigint GENERATED BY DEFAULT AS IDENTITY", "timestamptz"),
            Engine::MariaDb => ("bigint AUTO_INCREMENT", "timestamp(6)"),
        };
        let now = self.engine.now();
        self.run(&format!(
            "CREATE TABLE {table} (
                id {id} PRIMARY KEY,
                version int NOT NULL DEFAULT 1,
                updated_at {instant} NOT NULL DEFAULT {now},
                note text NOT NULL)"
        ))
        .await;
    }

    /// Adds `count` rows in one statement.
    pub async fn insert(&self, table: &str, count: u64) {
        let numbers = self.engine.numbers(count);
        let sql =
            format!("INSERT INTO {table} (note) SELECT concat('매장 \"', n, '\"') FROM {numbers}");
        self.run(&sql).await;
    }

    /// Gives every row that `condition` names its next version.
    pub async fn update(&self, table: &str, condition: &str) {
        let now = self.engine.now();
        self.run(&format!(
            "UPDATE {table} SET version = version + 1, updated_at = {now} WHERE {condition}"
        ))
        .await;
    }

    /// What the table holds now.
    pub async fn holds(&self, table: &str) -> Vec<Row> {
        let micros = match self.engine {
            Engine::Postgres => "(extract(epoch FROM updated_at) * 1000000)::bigint",
            Engine::MariaDb => "CAST(unix_timestamp(updated_at) * 1000000 AS SIGNED)",
        };
        let sql = format!("SELECT id, version, {micros}, note FROM {table} ORDER BY id");
        let rows = self.rows(&sql).await.into_iter().map(|row| {
            let text = |i: usize| row[i].clone().expect("no column of the table is NULL");
            let number = |i: usize| text(i).parse().expect("a number");
            Row {
                id: number(0),
                version: number(1),
                updated_at: number(2),
                note: text(3),
            }
        });
        rows.collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (engine, name) = (self.engine, self.name.clone());
        let clean_up = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let mut server = Session::open(engine, &engine.admin_url()).await;
                let force = if engine == Engine::Postgres {
                    "WITH (FORCE)"
                } else {
                    ""
                };
                server.run(&format!("DROP DATABASE {name} {force}")).await;
            });
        });
        let _ = clean_up.join();
    }
}

fn at(mut url: Url, database: &str) -> Url {
    url.set_path(database);
    url
}

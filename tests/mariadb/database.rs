//! A database per test, and the ways in which tests look at it.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use cdc::config::{DatabaseKind, DatabaseUrl, Secret, SourceSettings, TlsMode};
use cdc::error::Error;
use cdc::model::{BatchLimits, TableName};
use cdc::source::{
    Described, GuardOptions, Select, Session, Source, configured_tables, describe_chosen, mariadb,
};
use futures_util::TryStreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};

/// No test waits longer for anything.
pub const DEADLINE: Duration = Duration::from_secs(30);
pub const OPTIONS: GuardOptions = GuardOptions {
    lookback: Duration::from_secs(600),
};

/// A database of its own, dropped with the accounts made for it.
pub struct Database {
    admin: DatabaseUrl,
    pub name: String,
}

impl Database {
    pub async fn new() -> Self {
        let url =
            std::env::var("POS_ADMIN_URL").expect("POS_ADMIN_URL names the server to test against");
        let url = url::Url::parse(&url).expect("POS_ADMIN_URL is a URL");
        let name = format!("cdc_{}", ulid::Ulid::new().to_string().to_lowercase());
        let admin = DatabaseUrl {
            kind: DatabaseKind::MariaDb,
            host: url.host_str().unwrap().into(),
            port: url.port().unwrap_or(3306),
            user: url.username().into(),
            password: Secret::new(url.password().unwrap_or_default()),
            database: String::new(),
            tls: TlsMode::Disable,
            tls_ca: None,
            tls_identity: None,
        };
        let database = Database { admin, name };
        let mut conn = database.connect("").await;
        conn.query_drop(format!(
            "CREATE DATABASE {} CHARACTER SET utf8mb4",
            database.name
        ))
        .await
        .unwrap();
        database
    }

    pub async fn connect(&self, database: &str) -> Conn {
        let options = OptsBuilder::default()
            .ip_or_hostname(&self.admin.host)
            .tcp_port(self.admin.port)
            .user(Some(&self.admin.user))
            .pass(Some(self.admin.password.reveal()))
            .db_name(Some(database).filter(|name| !name.is_empty()))
            .prefer_socket(false);
        Conn::new(options)
            .await
            .expect("the server of POS_ADMIN_URL answers")
    }

    pub async fn admin(&self) -> Conn {
        let mut conn = self.connect(&self.name).await;
        conn.query_drop("SET time_zone = '+00:00', NAMES utf8mb4")
            .await
            .unwrap();
        conn
    }

    pub fn url(&self) -> DatabaseUrl {
        DatabaseUrl {
            database: self.name.clone(),
            ..self.admin.clone()
        }
    }

    pub fn source(&self) -> Arc<dyn Source> {
        source(self.url())
    }

    /// A source of an account with these grants; `{db}` in them is the database.
    pub async fn source_of_account(&self, grants: &[&str]) -> Arc<dyn Source> {
        let user = self.account();
        let mut conn = self.admin().await;
        conn.query_drop(format!("CREATE USER {user} IDENTIFIED BY 'secret'"))
            .await
            .unwrap();
        for grant in grants {
            conn.query_drop(format!(
                "GRANT {} TO {user}",
                grant.replace("{db}", &self.name)
            ))
            .await
            .unwrap();
        }
        source(DatabaseUrl {
            user,
            password: Secret::new("secret"),
            ..self.url()
        })
    }

    /// Table `t` as these settings of a table have it.
    pub async fn described(&self, settings: &str) -> Described {
        let text = format!(
            "lake: {{ url: /lake }}\nsources:\n  pos:\n    url: mariadb://u@localhost/{}\n    tables: {{ t: {{ mode: bulk, {settings} }} }}",
            self.name
        );
        let settings = cdc::config::parse(&text, "cdc.yaml").unwrap();
        let [chosen] = &configured_tables(&settings, "")[..] else {
            panic!("one table");
        };
        describe_chosen(self.source().as_ref(), chosen)
            .await
            .unwrap()
    }

    pub fn account(&self) -> String {
        format!("u{}", &self.name[4..])
    }

    pub fn table(&self, name: &str) -> TableName {
        TableName {
            source: "pos".into(),
            schema: self.name.clone(),
            name: name.into(),
            in_default_schema: true,
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (admin, name, user) = (self.admin.clone(), self.name.clone(), self.account());
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let database = std::mem::ManuallyDrop::new(Database { admin, name });
                let mut conn = database.connect("").await;
                // An open transaction of the test would keep its tables locked.
                let left = format!(
                    "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{}'",
                    database.name
                );
                for connection in conn.query::<u64, _>(left).await.unwrap() {
                    let _ = conn.query_drop(format!("KILL {connection}")).await;
                }
                conn.query_drop("SET lock_wait_timeout = 10").await.unwrap();
                conn.query_drop(format!("DROP DATABASE {}", database.name))
                    .await
                    .unwrap();
                conn.query_drop(format!("DROP USER IF EXISTS {user}"))
                    .await
                    .unwrap();
            });
        });
        let _ = cleaning.join();
    }
}

pub fn source(url: DatabaseUrl) -> Arc<dyn Source> {
    let settings = SourceSettings {
        name: "pos".into(),
        url,
        time_zone: jiff::tz::TimeZone::UTC,
        connections: 4,
        topic_prefix: None,
        include: Vec::new(),
        exclude: Vec::new(),
        tables: Vec::new(),
    };
    mariadb::open(&settings).unwrap()
}

/// An error of a call that must fail; what succeeds need not be printable.
pub fn failed<T>(result: Result<T, Error>) -> Error {
    result.err().expect("the call fails")
}

pub fn all_of(table: &Described) -> Select {
    let sql = format!(
        "SELECT {} FROM `{}`.`{}`",
        table.selects.join(", "),
        table.name.schema,
        table.name.name
    );
    Select {
        sql,
        params: Vec::new(),
    }
}

pub async fn read(
    source: &Arc<dyn Source>,
    table: &Described,
    select: &Select,
) -> Result<Vec<RecordBatch>, Error> {
    let mut session = source.session().await?;
    session
        .rows(table, select, BatchLimits::default())
        .try_collect()
        .await
}

pub async fn integer(session: &mut Box<dyn Session>, sql: &str) -> i128 {
    let select = Select {
        sql: sql.into(),
        params: Vec::new(),
    };
    session.integer(&select).await.unwrap().unwrap()
}

//! A database for one test, and what every test does with it.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use cdc::config::{DatabaseKind, DatabaseUrl, Secret, SourceSettings, TlsMode};
use cdc::error::Error;
use cdc::model::{BatchLimits, TableName};
use cdc::source::{
    Described, GuardOptions, Select, Source, configured_tables, describe_chosen, postgres,
};
use futures_util::TryStreamExt;
use tokio_postgres::{Client, NoTls};

/// A wait on the server that takes longer than this has failed.
pub const DEADLINE: Duration = Duration::from_secs(20);
pub const OPTIONS: GuardOptions = GuardOptions {
    lookback: Duration::from_secs(600),
};

/// A database of its own for one test; dropped with it.
pub struct Shop {
    pub url: DatabaseUrl,
    admin: Client,
}

impl Shop {
    pub async fn open() -> Shop {
        let mut url = admin_url();
        let database = format!("test_{}", ulid::Ulid::new().to_string().to_lowercase());
        connect(&url)
            .await
            .batch_execute(&format!("CREATE DATABASE {database}"))
            .await
            .unwrap();
        url.database = database;
        let admin = connect(&url).await;
        admin
            .batch_execute("SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'")
            .await
            .unwrap();
        Shop { url, admin }
    }

    /// Runs statements as the administrator.
    pub async fn run(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap();
    }

    /// One text, as the server renders it.
    pub async fn text(&self, sql: &str) -> Option<String> {
        self.admin.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Another session of the administrator.
    pub async fn another(&self) -> Client {
        connect(&self.url).await
    }

    pub fn source(&self) -> Arc<dyn Source> {
        self.source_as(&self.url.user, "postgres")
    }

    pub fn source_as(&self, user: &str, password: &str) -> Arc<dyn Source> {
        let url = DatabaseUrl {
            user: user.into(),
            password: Secret::new(password),
            ..self.url.clone()
        };
        open(url)
    }

    /// Table `t` as these settings of a table have it.
    pub async fn described(&self, settings: &str) -> Described {
        let text = format!(
            "lake: {{ url: /lake }}\nsources:\n  ec:\n    url: postgres://u@localhost/d\n    tables: {{ t: {{ mode: bulk, {settings} }} }}"
        );
        let settings = cdc::config::parse(&text, "cdc.yaml").unwrap();
        let [chosen] = &configured_tables(&settings, "")[..] else {
            panic!("one table");
        };
        describe_chosen(self.source().as_ref(), chosen)
            .await
            .unwrap()
    }

    /// A role that may log in and nothing else.
    pub async fn role(&self) -> String {
        let role = format!("role_{}", ulid::Ulid::new().to_string().to_lowercase());
        self.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'"))
            .await;
        role
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let (mut url, database) = (self.url.clone(), self.url.database.clone());
        url.database = admin_url().database;
        let clean_up = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let _ = connect(&url)
                    .await
                    .batch_execute(&format!("DROP DATABASE {database} WITH (FORCE)"))
                    .await;
            });
        });
        let _ = clean_up.join();
    }
}

pub fn admin_url() -> DatabaseUrl {
    let text = std::env::var("EC_ADMIN_URL")
        .expect("EC_ADMIN_URL is not set: eval \"$(scripts/stack env)\"");
    let url = url::Url::parse(&text).unwrap();
    DatabaseUrl {
        kind: DatabaseKind::Postgres,
        host: url.host_str().unwrap().into(),
        port: url.port().unwrap_or(5432),
        user: url.username().into(),
        password: Secret::new(url.password().unwrap_or_default()),
        database: url.path().trim_start_matches('/').into(),
        tls: TlsMode::Disable,
        tls_ca: None,
        tls_identity: None,
    }
}

pub async fn connect(url: &DatabaseUrl) -> Client {
    let mut config = tokio_postgres::Config::new();
    config
        .host(&url.host)
        .port(url.port)
        .user(&url.user)
        .password(url.password.reveal())
        .dbname(&url.database);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub fn open(url: DatabaseUrl) -> Arc<dyn Source> {
    let settings = SourceSettings {
        name: "ec".into(),
        url,
        time_zone: jiff::tz::TimeZone::UTC,
        connections: 2,
        topic_prefix: None,
        include: Vec::new(),
        exclude: Vec::new(),
        tables: Vec::new(),
    };
    postgres::open(&settings).unwrap()
}

pub fn table(name: &str) -> TableName {
    TableName {
        source: "ec".into(),
        schema: "public".into(),
        name: name.into(),
        in_default_schema: true,
    }
}

pub fn select(described: &Described, rest: &str) -> Select {
    let name = &described.name;
    let sql = format!(
        "SELECT {} FROM \"{}\".\"{}\" {rest}",
        described.selects.join(", "),
        name.schema,
        name.name
    );
    Select {
        sql,
        params: Vec::new(),
    }
}

pub async fn read(
    source: &Arc<dyn Source>,
    described: &Described,
    rest: &str,
) -> Result<Vec<RecordBatch>, Error> {
    let select = select(described, rest);
    let mut session = source.session().await?;
    session
        .rows(described, &select, BatchLimits::default())
        .try_collect()
        .await
}

/// What `Result::unwrap_err` does, for results whose good side cannot be printed.
pub fn refusal<T>(result: Result<T, Error>) -> Error {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error,
    }
}

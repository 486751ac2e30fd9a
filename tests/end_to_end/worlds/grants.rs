//! Logins and grants that are missing, expired or taken away.

use crate::harness::{Database, Engine, Pipeline, Table, on_both_databases};

on_both_databases! {
    a_grant_that_is_taken_away_is_named_and_followed_on_when_it_is_back
    a_login_that_is_shut_is_told_and_used_again_when_it_is_open
}

async fn a_grant_that_is_taken_away_is_named_and_followed_on_when_it_is_back(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    let name = format!("{}.{}", engine.source(), table.name);
    database.create("items").await;
    let items = Table {
        name: "items",
        ..table
    };
    for table in [table, items] {
        database.insert(table.name, 10).await;
    }
    let tables = format!(
        "{}: {{ mode: incrementing, incrementing: id }}, items: {{ mode: incrementing, incrementing: id }}",
        table.name
    );
    let pipeline = Pipeline::new().source(&database, &tables);
    // Grants of its own for each table, so that one can be taken away.
    let url = url::Url::parse(&database.url()).expect("a url");
    let (user, schema) = (url.username(), url.path().trim_start_matches('/'));
    let (take, give) = match engine {
        Engine::Postgres => (
            format!("REVOKE SELECT ON {} FROM {user}", table.name),
            format!("GRANT SELECT ON {} TO {user}", table.name),
        ),
        Engine::MariaDb => {
            let both = [table.name, "items"];
            for table in both {
                database
                    .run(&format!("GRANT SELECT ON {schema}.{table} TO {user}@'%'"))
                    .await;
            }
            database
                .run(&format!("REVOKE SELECT ON {schema}.* FROM {user}@'%'"))
                .await;
            (
                format!("REVOKE SELECT ON {schema}.{} FROM {user}@'%'", table.name),
                format!("GRANT SELECT ON {schema}.{} TO {user}@'%'", table.name),
            )
        }
    };
    let worker = pipeline.follow();
    pipeline.topic_is_exact(table).await;

    database.run(&take).await;
    database.insert(table.name, 10).await;
    let shown = pipeline.is_shown(&name, "failed", &[]).await;
    assert!(
        shown["next"]
            .as_str()
            .is_some_and(|next| next.to_lowercase().contains("grant")),
        "{shown}"
    );
    database.insert("items", 10).await;
    pipeline.topic_is_exact(items).await;
    database.run(&give).await;
    pipeline.topic_is_exact(table).await;
    pipeline
        .is_shown(&name, "following", &["\"error\":null"])
        .await;
    worker.stop().await;
}

async fn a_login_that_is_shut_is_told_and_used_again_when_it_is_open(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    let name = format!("{}.{}", engine.source(), table.name);
    database.insert(table.name, 10).await;
    let mut url = url::Url::parse(&database.url()).expect("a url");
    let schema = url.path().trim_start_matches('/').to_owned();
    let user = format!("shut_{}", &schema[schema.len() - 16..]);
    let (make, open, drop) = match engine {
        Engine::Postgres => (
            format!(
                "CREATE ROLE {user} LOGIN PASSWORD 'cdc' VALID UNTIL '2020-01-01';
                 GRANT pg_read_all_stats TO {user};
                 GRANT USAGE ON SCHEMA public TO {user}; GRANT SELECT ON {} TO {user}",
                table.name
            ),
            format!("ALTER ROLE {user} VALID UNTIL 'infinity'"),
            format!("DROP OWNED BY {user}; DROP ROLE {user}"),
        ),
        Engine::MariaDb => (
            format!("CREATE USER {user}@'%' IDENTIFIED BY 'cdc' ACCOUNT LOCK"),
            format!("ALTER USER {user}@'%' ACCOUNT UNLOCK"),
            format!("DROP USER {user}@'%'"),
        ),
    };
    database.run(&make).await;
    if engine == Engine::MariaDb {
        database
            .run(&format!("GRANT SELECT ON {schema}.* TO {user}@'%'"))
            .await;
        database
            .run(&format!("GRANT PROCESS ON *.* TO {user}@'%'"))
            .await;
    }
    url.set_username(&user).expect("a user");
    url.set_password(Some("cdc")).expect("a password");
    let pipeline = Pipeline::new()
        .following(&database, "incrementing")
        .with_url(engine, url.as_str());

    let worker = pipeline.follow();
    let shown = pipeline.is_shown(&name, "failed", &[]).await;
    assert!(shown["next"].is_string(), "{shown}");
    database.run(&open).await;
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;
    pipeline
        .is_shown(&name, "following", &["\"error\":null"])
        .await;
    worker.stop().await;
    database.run(&drop).await;
}

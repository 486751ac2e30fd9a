//! One sick table never stops another: fifty tables, of which ten fail, each in another way.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};

use crate::harness::{Database, Engine, Pipeline, Table, brokers, eventually, within};

const WELL: usize = 40;

/// A sick table, what `status` says of it, and a word of the way out.
const SICK: [(&str, &str, &str); 10] = [
    ("missing", "there is no such table", "check its name"),
    ("forbidden", "may not read", "GRANT SELECT"),
    ("infinite", "`updated_at`", "correct the row"),
    ("cursorless", "column `id` is gone", "snapshot --again"),
    ("compacted", "cleanup.policy=compact", "topic"),
    ("oversized", "16711680", "drop: [note]"),
    ("secured", "row-level security", "BYPASSRLS"),
    ("retyped", "column `note` was", "snapshot --again"),
    ("locked", "lock", ""),
    ("viewed", "a view is not read", "mode: bulk"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_tables_ten_fail_each_in_its_own_way_and_forty_stay_fresh() {
    let database = Database::open(Engine::Postgres).await;
    let well: Vec<String> = (0..WELL).map(|n| format!("well_{n:02}")).collect();
    for table in &well {
        database.create(table).await;
    }
    for (table, _, _) in SICK
        .iter()
        .filter(|(table, _, _)| !["missing", "viewed"].contains(table))
    {
        database.create(table).await;
        database.insert(table, 3).await;
    }
    database
        .run("CREATE VIEW viewed AS SELECT * FROM well_00")
        .await;
    let mut tables: Vec<String> = well
        .iter()
        .map(|t| format!("{t}: {{ mode: incrementing, incrementing: id }}"))
        .collect();
    tables.extend(SICK.iter().map(|(table, _, _)| match *table {
        "infinite" => "infinite: { mode: timestamp, timestamp: updated_at }".to_owned(),
        table => format!("{table}: {{ mode: incrementing, incrementing: id }}"),
    }));
    let pipeline = Pipeline::new().source(&database, &tables.join(", "));
    let topic = format!("{}compacted", pipeline.topic_prefix());
    let admin: AdminClient<_> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .unwrap();
    let new = NewTopic::new(&topic, 3, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    assert!(
        admin
            .create_topics([&new], &AdminOptions::new())
            .await
            .unwrap()[0]
            .is_ok()
    );
    // Two of them fall sick after they were followed.
    let worker = pipeline.follow();
    for name in ["retyped", "cursorless"] {
        pipeline
            .topic_is_exact(Table {
                database: &database,
                name,
            })
            .await;
    }
    worker.stop().await;
    let user = url::Url::parse(&database.url())
        .unwrap()
        .username()
        .to_owned();
    database
        .run(&format!(
            "REVOKE ALL ON forbidden FROM {user};
         UPDATE infinite SET updated_at = 'infinity' WHERE id = 1;
         ALTER TABLE cursorless DROP COLUMN id;
         ALTER TABLE retyped ALTER COLUMN note TYPE varchar(9) USING left(note, 9);
         ALTER TABLE retyped ALTER COLUMN note TYPE integer USING 1;
         INSERT INTO oversized (note) VALUES (repeat('x', 20000000));
         ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
         CREATE POLICY none ON secured USING (false)"
        ))
        .await;
    let mut holder = database.another().await;
    holder
        .run("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
        .await;

    let mut worker = pipeline.follow();
    eventually("status says of each why, and what to do", async || {
        let shown = pipeline.status().await;
        let wrong = SICK.iter().filter_map(|(table, why, next)| {
            let state = if *table == "locked" {
                "waiting"
            } else {
                "failed"
            };
            let name = format!("ec.{table}");
            let found = shown.iter().find(|found| found["table"] == name)?;
            let said = found["error"].as_str().unwrap_or_default();
            let then = found["next"].as_str().unwrap_or_default();
            let is_right = found["state"] == state && said.contains(why) && then.contains(next);
            (!is_right).then(|| format!("{name}: {} {said} | {then}", found["state"]))
        });
        let wrong: Vec<String> = wrong.collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("\n"))
        }
    })
    .await;
    // The ten stand first.
    let shown = pipeline.status().await;
    let first: Vec<&str> = shown[..SICK.len()]
        .iter()
        .filter_map(|t| t["table"].as_str())
        .collect();
    for (table, _, _) in SICK {
        assert!(
            first.contains(&format!("ec.{table}").as_str()),
            "{table} is not among {first:?}"
        );
    }
    // The others keep their freshness.
    for round in 0..3 {
        for table in &well {
            database.insert(table, 10).await;
        }
        let what = format!("round {round}: forty tables have what was committed");
        let mut late: Vec<&String> = well.iter().collect();
        within(Duration::from_secs(15), &what, async || {
            // One after the other: looking at all of them takes seconds.
            while let Some(name) = late.last() {
                let topic = format!("{}{name}", pipeline.topic_prefix());
                if pipeline.records_of(&topic).len() < 10 * (round + 1) {
                    break;
                }
                late.pop();
            }
            if late.is_empty() {
                Ok(())
            } else {
                Err(format!("late: {late:?}"))
            }
        })
        .await;
    }
    holder.run("COMMIT").await;
    pipeline
        .topic_is_exact(Table {
            database: &database,
            name: "locked",
        })
        .await;
    database
        .run(&format!("GRANT SELECT ON forbidden TO {user}"))
        .await;
    pipeline
        .topic_is_exact(Table {
            database: &database,
            name: "forbidden",
        })
        .await;
    assert!(worker.is_running());
    worker.stop().await;
}

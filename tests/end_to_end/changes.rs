//! Tables that change their shape, and copies that are begun anew.

use crate::harness::{
    Database, Engine, Pipeline, Record, Row, Table, compacted, on_both_databases,
};

on_both_databases! {
    a_column_added_while_following_appears_in_new_records
    a_copy_begun_anew_has_a_new_epoch_and_every_row_again
}

async fn a_column_added_while_following_appears_in_new_records(engine: Engine) {
    for mode in ["incrementing", "timestamp"] {
        let database = Database::with_table(engine).await;
        let table = Table::of(&database);
        database.insert(table.name, 100).await;
        let pipeline = Pipeline::new().following(&database, mode);
        let follower = pipeline.follow();
        pipeline.topic_is_exact(table).await;

        database
            .run(&format!(
                "ALTER TABLE {} ADD COLUMN channel varchar(20)",
                table.name
            ))
            .await;
        database
            .run(&format!(
                "INSERT INTO {} (note, channel) VALUES ('', 'web')",
                table.name
            ))
            .await;
        pipeline.topic_has(table, 101).await;
        let first = pipeline
            .records(table)
            .into_iter()
            .max_by_key(|record| record.value["id"].as_i64())
            .expect("the row that was added");
        assert_eq!(
            first.value["channel"], "web",
            "the first row that has the column"
        );

        pipeline.topic_is_exact(table).await;
        follower.stop().await;
        pipeline.topic_is_exact(table).await;
        let records = pipeline.records(table);
        for record in &records {
            let same = records
                .iter()
                .filter(|other| other.fingerprint == record.fingerprint);
            let has = |record: &Record| record.value.get("channel").is_some();
            assert!(
                same.map(has).all(|other| other == has(record)),
                "one schema, two shapes"
            );
        }
        let schemas = compacted(&pipeline.names().schemas_topic);
        assert!(
            records
                .iter()
                .all(|record| schemas.contains_key(&record.fingerprint)),
            "{schemas:?}"
        );
        assert_eq!(schemas.len(), 2);
    }
}

async fn a_copy_begun_anew_has_a_new_epoch_and_every_row_again(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.insert(table.name, 500).await;
    let pipeline = Pipeline::new().following(&database, "timestamp+incrementing");
    pipeline
        .run(&["snapshot"])
        .await
        .expect(0, &["copied 500 rows"]);
    let first = pipeline.records(table)[0].epoch;
    database.update(table.name, "id <= 100").await;

    pipeline
        .run(&["snapshot", "--again", "--yes", table.name])
        .await
        .expect(0, &["copied 500 rows"]);

    let (old, new): (Vec<Record>, Vec<Record>) = pipeline
        .records(table)
        .into_iter()
        .partition(|record| record.epoch == first);
    assert_eq!(old.len(), 500);
    let mut rows: Vec<Row> = new.iter().map(Record::row).collect();
    rows.sort();
    assert_eq!(
        rows,
        database.holds(table.name).await,
        "the new epoch holds what the database holds"
    );
    let key = format!("{}/epoch", table.head_key());
    let announced = &compacted(&pipeline.names().loads_topic)[&key];
    assert_eq!(announced["epoch"].as_u64(), Some(new[0].epoch));
    assert_eq!(announced["retired_below"].as_u64(), Some(new[0].epoch));

    // The same, asked of a follower, once it is one.
    let follower = pipeline.follow();
    database.insert(table.name, 10).await;
    pipeline.topic_has(table, 1_010).await;
    pipeline
        .run(&["snapshot", "--again", "--yes", table.name])
        .await
        .expect(0, &["copied 510 rows"]);
    let epochs: std::collections::BTreeSet<u64> = pipeline
        .records(table)
        .iter()
        .map(|record| record.epoch)
        .collect();
    assert_eq!(epochs.len(), 3);
    let newest = *epochs.last().expect("an epoch");
    let mut rows: Vec<Row> = pipeline
        .records(table)
        .iter()
        .filter(|record| record.epoch == newest)
        .map(Record::row)
        .collect();
    rows.sort();
    assert_eq!(rows, database.holds(table.name).await);
    follower.stop().await;
}

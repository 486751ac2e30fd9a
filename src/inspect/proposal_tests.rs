//! Which mode is proposed for which table, and the reason in words.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::model::{TableName, TableSchema};
use crate::source::{Described, ExpectedGuards, Withheld};

/// A table with these columns (`name type`, NULL behind a `?`), the first of which is the key.
fn outline(columns: &[&str]) -> Outline {
    let column = |text: &&str| {
        let (name, kind) = text.split_once(' ').unwrap();
        let column_type = match kind.trim_end_matches('?') {
            "time" => ColumnType::Timestamp { utc: true },
            "date" => ColumnType::Date,
            "int" => ColumnType::Int64,
            _ => ColumnType::Text,
        };
        Column {
            name: name.to_owned(),
            source_type: kind.to_owned(),
            column_type,
            nullable: kind.ends_with('?'),
        }
    };
    let columns: Vec<Column> = columns.iter().map(column).collect();
    let is_id = |c: &&Column| c.column_type == ColumnType::Int64 && c.name.ends_with("id");
    let is_change = |c: &&Column| c.name.contains("updated");
    let names = |it: Vec<&Column>| it.into_iter().map(|c| c.name.clone()).collect();
    let ids: Vec<String> = names(columns.iter().filter(is_id).collect());
    let guard = |id: &String| (id.clone(), GuardClass::Proven);
    Outline {
        is_readable: true,
        hides_rows: false,
        bytes: Some(8192),
        changes: None,
        updates_itself: BTreeSet::new(),
        guards: ExpectedGuards {
            by_id: ids.iter().map(guard).collect(),
            by_time: GuardClass::Proven,
        },
        described: Described {
            name: TableName {
                source: "ec".into(),
                schema: "public".into(),
                name: "t".into(),
                in_default_schema: true,
            },
            kind: RelationKind::Table,
            selects: Vec::new(),
            on_value: Vec::new(),
            identity: BTreeMap::new(),
            incrementing_candidates: ids,
            timestamp_candidates: names(columns.iter().filter(is_change).collect()),
            timestamp_precision: BTreeMap::new(),
            indexed: columns.iter().map(|c| c.name.clone()).collect(),
            estimated_rows: Some(100),
            collations: BTreeMap::new(),
            counters: BTreeMap::new(),
            notes: Vec::new(),
            withheld: Withheld {
                role: "cdc".into(),
                grant: "GRANT SELECT ON t TO cdc".into(),
                ..Withheld::default()
            },
            left_out: Vec::new(),
            schema: TableSchema {
                columns,
                key: vec![0],
            },
        },
    }
}

fn changed(inserted: u64, updated: u64, deleted: u64) -> Option<Changes> {
    Some(Changes {
        inserted,
        updated,
        deleted,
    })
}

/// The proposal in a line, its remarks below.
fn shown(outline: &Outline) -> String {
    match propose(Dialect::Postgres, outline) {
        Verdict::Leave { why, next } => format!("left: {why} ({})", next.unwrap_or_default()),
        Verdict::Read(proposal) => {
            let by = proposal
                .partition_by
                .map(|(name, by)| format!(" {name}={by}"));
            let mut text = format!(
                "{}{}: {}",
                proposal.mode,
                by.unwrap_or_default(),
                proposal.why
            );
            for remark in proposal.remarks {
                text += &format!("\n  - {}", remark.text);
                text += &remark
                    .next
                    .map(|next| format!("\n    {next}"))
                    .unwrap_or_default();
            }
            text
        }
    }
}

const ORDERS: [&str; 4] = [
    "order_id int",
    "ordered_at time",
    "updated_at time",
    "note text?",
];
const VISITS: [&str; 3] = ["visit_id int", "occurred_at time", "page text"];

#[test]
fn a_table_that_says_when_a_row_was_changed_is_read_by_it() {
    let mut unindexed = outline(&ORDERS);
    unindexed.described.indexed.clear();
    unindexed.changes = changed(100, 20, 3);
    let mut kept = outline(&["code text", "updated_at time"]);
    kept.updates_itself.insert("updated_at".into());
    let said = [&outline(&ORDERS), &unindexed, &kept].map(shown);
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_time_of_change_that_cannot_be_trusted_is_not_followed() {
    let nullable = outline(&["cart_id int", "updated_at time?"]);
    let mut keyless = outline(&["note text", "updated_at time"]);
    keyless.described.schema.key.clear();
    let mut unsafe_guard = outline(&ORDERS);
    unsafe_guard.guards.by_time = GuardClass::Unsafe("rows come from elsewhere".into());
    let unsafe_id = GuardClass::Unsafe("rows come from elsewhere".into());
    unsafe_guard
        .guards
        .by_id
        .insert("order_id".into(), unsafe_id);
    let said = [&nullable, &keyless, &unsafe_guard].map(shown);
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_table_that_only_grows_is_read_by_its_id() {
    let with = |changes, rows| {
        let mut outline = outline(&VISITS);
        (outline.changes, outline.described.estimated_rows) = (changes, rows);
        outline
    };
    let mut counted = outline(&["line_id int", "quantity int"]);
    (counted.changes, counted.described.estimated_rows) = (changed(50_000, 0, 7), None);
    let said = [
        &with(changed(50_000, 0, 0), Some(50_000)),
        &with(changed(50_000, 1, 0), Some(50_000)),
        &with(None, Some(2_000_000)),
        &counted,
    ]
    .map(shown);
    insta::assert_snapshot!(said.join("\n"));
}

/// What is lost by a wrong guess is a change; what is lost by a load too many is a moment.
#[test]
fn a_table_whose_rows_may_change_is_read_whole() {
    let with = |columns: &[&str], changes, rows| {
        let mut outline = outline(columns);
        (outline.changes, outline.described.estimated_rows) = (changes, rows);
        outline
    };
    let said = [
        // Small, or young statistics: that nothing was changed yet says nothing.
        &with(&VISITS, changed(500, 0, 0), Some(500)),
        &with(&VISITS, changed(500, 0, 0), Some(50_000)),
        &with(&VISITS, changed(0, 0, 0), None),
        &with(&VISITS, None, Some(3)),
        &with(&VISITS, None, Some(900_000)),
        // A time of change that may be NULL is there for a reason.
        &with(&["cart_id int", "updated_at time?"], None, Some(2_000_000)),
    ]
    .map(shown);
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn anything_else_is_read_whole() {
    let mut view = outline(&ORDERS);
    view.described.kind = RelationKind::View;
    let mut cached = outline(&VISITS);
    let cache = GuardClass::Unsafe(
        "sequence `s` hands out 20 numbers at a time to each session; ALTER SEQUENCE s CACHE 1"
            .into(),
    );
    cached.guards.by_id.insert("visit_id".into(), cache);
    let said = [
        &outline(&["code text", "name text"]),
        &outline(&["store_id int", "name text"]),
        &view,
        &cached,
    ]
    .map(shown);
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_may_not_be_read_is_left_out_with_the_grant_that_is_missing() {
    let mut hidden = outline(&ORDERS);
    hidden.is_readable = false;
    let mut policed = outline(&ORDERS);
    policed.hides_rows = true;
    let mut column = outline(&ORDERS);
    column
        .described
        .withheld
        .columns
        .insert("updated_at".into());
    let mut key = outline(&ORDERS);
    key.described.withheld.columns.insert("order_id".into());
    let said = [&hidden, &policed, &column, &key].map(shown);
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn days_are_cut_by_when_a_row_came_to_be() {
    let partition = |columns: &[&str], rows| {
        let mut outline = outline(columns);
        outline.described.estimated_rows = Some(rows);
        match propose(Dialect::Postgres, &outline) {
            Verdict::Read(proposal) => proposal
                .partition_by
                .map(|(name, by)| format!("{name} {by}")),
            Verdict::Leave { .. } => None,
        }
    };
    let of = |columns: &[&str]| partition(columns, 1_000_000).unwrap_or_default();
    assert_eq!(
        [9_999, 10_000, 999_999].map(|rows| partition(&ORDERS, rows).unwrap_or_default()),
        ["", "month month(ordered_at)", "month month(ordered_at)"]
    );
    assert_eq!(
        of(&[
            "id int",
            "created_at time",
            "sold_at time",
            "updated_at time"
        ]),
        "dt day(sold_at)"
    );
    assert_eq!(
        of(&[
            "id int",
            "created_at time?",
            "joined_on date",
            "updated_at time"
        ]),
        "dt day(joined_on)"
    );
    assert_eq!(
        of(&["id int", "DT text", "created_at time", "updated_at time"]),
        "day day(created_at)"
    );
    assert_eq!(
        of(&[
            "id int",
            "order_deleted_at time",
            "birth_date date",
            "updated_at time"
        ]),
        ""
    );
}

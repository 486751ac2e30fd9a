use super::super::fake::{Database, settings};
use super::*;
use crate::config::{DatabaseKind, DatabaseUrl, Secret, TlsMode};

fn source(tables: Vec<TableSettings>) -> SourceSettings {
    SourceSettings {
        name: "ec".into(),
        url: DatabaseUrl {
            kind: DatabaseKind::Postgres,
            host: "localhost".into(),
            port: 5432,
            user: "cdc".into(),
            password: Secret::default(),
            database: "shop".into(),
            tls: TlsMode::Disable,
            tls_ca: None,
            tls_identity: None,
        },
        time_zone: jiff::tz::TimeZone::UTC,
        connections: 4,
        topic_prefix: None,
        include: vec![],
        exclude: vec![],
        tables,
    }
}

fn pattern(pattern: &str, mode: Mode) -> TableSettings {
    TableSettings {
        pattern: pattern.into(),
        ..settings(mode)
    }
}

fn name(text: &str) -> TableName {
    let (schema, name) = text.split_once('.').unwrap_or(("public", text));
    let in_default_schema = schema == "public";
    TableName {
        source: "ec".into(),
        schema: schema.into(),
        name: name.into(),
        in_default_schema,
    }
}

fn listed(names: &[&str]) -> Vec<Listed> {
    names
        .iter()
        .map(|n| Listed {
            name: name(n),
            kind: RelationKind::Table,
            estimated_rows: None,
            is_readable: true,
        })
        .collect()
}

fn topics(choice: &Choice) -> Vec<&str> {
    choice
        .tables
        .iter()
        .map(|table| table.topic.as_str())
        .collect()
}

fn only_problem(choice: &Choice) -> (String, String) {
    assert_eq!(choice.problems.len(), 1, "{:?}", choice.problems);
    let problem = &choice.problems[0];
    (
        problem.to_string(),
        problem.next_step().unwrap_or_default().to_owned(),
    )
}

#[test]
fn an_exact_name_wins_over_globs_and_an_earlier_glob_over_a_later_one() {
    let tables = vec![
        pattern("log_*", Mode::Incrementing),
        pattern("*", Mode::Timestamp),
        pattern("log_b", Mode::Bulk),
    ];
    let choice = choose_from(
        &source(tables),
        &listed(&["log_a", "log_b", "orders", "archive.log_c"]),
        "retail.",
    );
    assert!(choice.problems.is_empty(), "{:?}", choice.problems);
    let modes: Vec<_> = choice
        .tables
        .iter()
        .map(|t| (t.name.short(), t.settings.mode))
        .collect();
    let wanted = [
        ("log_b", Mode::Bulk),
        ("log_a", Mode::Incrementing),
        ("orders", Mode::Timestamp),
    ];
    assert_eq!(modes, wanted.map(|(n, m)| (n.to_owned(), m)));
    assert_eq!(
        topics(&choice),
        ["retail.log_b", "retail.log_a", "retail.orders"]
    );
}

#[test]
fn a_schema_is_written_before_a_dot() {
    let tables = vec![
        pattern("archive.orders", Mode::Bulk),
        pattern("public.orders", Mode::Bulk),
        pattern("old_?.*", Mode::Bulk),
    ];
    let choice = choose_from(
        &source(tables),
        &listed(&[
            "orders",
            "archive.orders",
            "archive.log",
            "old_1.log",
            "old_12.log",
        ]),
        "",
    );
    assert_eq!(topics(&choice), ["archive.orders", "orders", "old_1.log"]);
}

#[test]
fn excluded_tables_are_not_meant_by_the_glob() {
    let tables = vec![TableSettings {
        exclude: vec!["*_tmp".into(), "log_b".into()],
        ..pattern("log_*", Mode::Bulk)
    }];
    let choice = choose_from(
        &source(tables),
        &listed(&["log_a", "log_b", "log_c_tmp"]),
        "",
    );
    assert_eq!(topics(&choice), ["log_a"]);
}

#[test]
fn a_table_that_is_named_with_and_without_its_schema_is_read_once_and_that_is_said() {
    let tables = vec![
        pattern("orders", Mode::Incrementing),
        pattern("public.orders", Mode::Bulk),
    ];
    let choice = choose_from(&source(tables), &listed(&["orders"]), "");
    assert_eq!(topics(&choice), ["orders"]);
    assert_eq!(choice.tables[0].settings.mode, Mode::Incrementing);
    assert!(choice.problems.is_empty(), "{:?}", choice.problems);
    let [double] = choice.doubles.as_slice() else {
        panic!("{:?}", choice.doubles);
    };
    assert_eq!(
        double.to_string(),
        "ec.public.orders: `public.orders` and `orders` are one table, and the block `orders` counts"
    );
    assert!(double.next_step().is_some());
}

#[test]
fn what_the_source_includes_and_excludes_binds_its_globs() {
    let tables = vec![pattern("*.*", Mode::Bulk), pattern("log_kept", Mode::Bulk)];
    let listed = listed(&["log_a", "log_kept", "orders", "archive.old"]);
    let excluding = SourceSettings {
        exclude: vec!["log_*".into(), "archive.*".into()],
        ..source(tables.clone())
    };
    assert_eq!(
        topics(&choose_from(&excluding, &listed, "")),
        ["log_kept", "orders"]
    );
    let including = SourceSettings {
        include: vec!["archive.*".into()],
        ..source(tables)
    };
    assert_eq!(
        topics(&choose_from(&including, &listed, "")),
        ["log_kept", "archive.old"]
    );
}

#[test]
fn views_are_read_only_by_name_and_by_cursor_only_if_that_is_accepted() {
    let view = |text: &str| Listed {
        name: name(text),
        kind: RelationKind::View,
        estimated_rows: None,
        is_readable: true,
    };
    let list = [view("v_sales"), view("v_stock")];
    let tables = vec![pattern("v_*", Mode::Bulk), pattern("v_stock", Mode::Bulk)];
    assert_eq!(
        topics(&choose_from(&source(tables), &list, "")),
        ["v_stock"]
    );
    let choice = choose_from(
        &source(vec![pattern("v_sales", Mode::Incrementing)]),
        &list,
        "",
    );
    let (problem, hint) = only_problem(&choice);
    insta::assert_snapshot!(format!("{problem} (next: {hint})"), @r#"ec.v_sales: a view is not read in mode `incrementing`: rows may come to it behind the cursor without a trace (next: write `mode: bulk`, or name the table below it, or accept it with `allow_unsafe: true`)"#);
    let accepted = TableSettings {
        allow_unsafe: true,
        ..pattern("v_sales", Mode::Incrementing)
    };
    let choice = choose_from(&source(vec![accepted]), &list, "");
    assert_eq!(topics(&choice), ["v_sales"]);
}

#[test]
fn a_table_that_does_not_exist_is_a_problem_of_its_own() {
    let tables = vec![pattern("Orders", Mode::Bulk), pattern("items", Mode::Bulk)];
    let choice = choose_from(&source(tables), &listed(&["orders", "items"]), "");
    assert_eq!(topics(&choice), ["items"]);
    let (problem, hint) = only_problem(&choice);
    assert_eq!(
        problem,
        "ec.Orders: there is no such table, or the role cannot see it"
    );
    assert_eq!(hint, "did you mean `orders`?");
    let tables = vec![pattern("catalogue_%", Mode::Bulk)];
    let choice = choose_from(&source(tables), &listed(&["catalogue_a"]), "");
    let (_, hint) = only_problem(&choice);
    assert_eq!(
        hint,
        "did you mean `catalogue_*`? `*` stands for any characters"
    );
}

#[test]
fn a_topic_on_a_glob_that_matches_several_is_an_error() {
    let with_topic = TableSettings {
        topic: Some("logs".into()),
        ..pattern("log_*", Mode::Bulk)
    };
    let choice = choose_from(
        &source(vec![with_topic.clone()]),
        &listed(&["log_a", "log_b"]),
        "p.",
    );
    assert!(choice.tables.is_empty());
    assert!(only_problem(&choice).0.contains("matches 2 tables"));
    assert_eq!(
        topics(&choose_from(
            &source(vec![with_topic]),
            &listed(&["log_a"]),
            "p."
        )),
        ["logs"]
    );
}

#[test]
fn a_name_too_long_for_a_topic_is_an_error_that_shows_one_that_fits() {
    let long = "주".repeat(60);
    let choice = choose_from(
        &source(vec![pattern(&long, Mode::Bulk)]),
        &listed(&[&long]),
        "retail.",
    );
    let (problem, hint) = only_problem(&choice);
    assert!(
        problem.contains("a topic name has at most 249"),
        "{problem}"
    );
    let shown = hint.split_once("`topic: ").unwrap().1.trim_end_matches('`');
    assert!(
        shown.starts_with("retail.") && TopicName::new(shown).is_ok(),
        "{shown}"
    );
}

#[test]
fn two_tables_cannot_share_a_topic_nor_differ_only_in_dots() {
    let tables = vec![pattern("*.*", Mode::Bulk), pattern("*", Mode::Bulk)];
    let mut chosen = choose_from(&source(tables), &listed(&["a_b", "a.b", "c"]), "p.").tables;
    let mut other = chosen[2].clone();
    assert_eq!(other.topic.as_str(), "p.c");
    other.name.source = "pos".into();
    chosen.push(other);
    let problems: Vec<_> = collisions(&chosen, "p.")
        .into_iter()
        .map(|(_, e)| format!("{e} (next: {})", e.next_step().unwrap_or_default()))
        .collect();
    insta::assert_snapshot!(problems.join("\n"), @r#"
    ec.a_b: its topic `p.a_b` differs from `p.a.b` of `ec.a.b` only in `.` and `_`, which the broker refuses (next: name this table by itself, with `topic: p.ec.a_b` below it)
    pos.c: its topic `p.c` is already that of `ec.c` (next: write `topic_prefix: p.pos.` below source `pos`)
    "#);
    let named = vec![pattern("c", Mode::Bulk)];
    let mut named = choose_from(&source(named), &listed(&["c"]), "p.").tables;
    named[0].name.source = "pos".into();
    let problem = &collisions(&[chosen[2].clone(), named[0].clone()], "p.")[0].1;
    assert_eq!(
        problem.next_step(),
        Some("write `topic: p.pos.c` below this table")
    );
}

#[test]
fn a_source_may_have_a_prefix_of_its_own() {
    let own = SourceSettings {
        topic_prefix: Some("p.shop.".into()),
        ..source(vec![
            pattern("orders", Mode::Bulk),
            pattern("*", Mode::Bulk),
        ])
    };
    let choice = choose_from(&own, &listed(&["orders", "items"]), "p.");
    assert_eq!(topics(&choice), ["p.shop.orders", "p.shop.items"]);
    let configured = super::super::configured_in(&own, "p.");
    assert_eq!(configured[0].topic.as_str(), "p.shop.orders");
}

fn described() -> Described {
    Database::default().described()
}

#[test]
fn cursor_columns_are_found_where_one_is_meant() {
    let columns = resolve_columns(
        Dialect::Postgres,
        &described(),
        &settings(Mode::TimestampIncrementing),
    );
    let wanted = CursorColumns {
        timestamp: Some(1),
        incrementing: Some(0),
        tie_break: vec![0],
    };
    assert_eq!(columns.unwrap(), wanted);
    let bulk = resolve_columns(Dialect::Postgres, &described(), &settings(Mode::Bulk)).unwrap();
    assert_eq!(bulk, CursorColumns::default());
}

#[test]
fn ties_are_broken_by_the_id_and_then_the_rest_of_the_key() {
    let mut table = described();
    table.schema.key = vec![2, 0];
    let columns = resolve_columns(
        Dialect::Postgres,
        &table,
        &settings(Mode::TimestampIncrementing),
    )
    .unwrap();
    assert_eq!(columns.tie_break, [0, 2]);
    let columns = resolve_columns(Dialect::Postgres, &table, &settings(Mode::Timestamp)).unwrap();
    assert_eq!(columns.tie_break, [2, 0]);
    table.schema.columns[2].source_type = "enum('a','b')".into();
    let columns = resolve_columns(Dialect::MariaDb, &table, &settings(Mode::Timestamp)).unwrap();
    assert_eq!(columns.tie_break, [0_usize; 0]);
}

#[test]
fn what_is_wrong_with_a_cursor_column_is_said_with_the_candidates() {
    let mut table = described();
    let explain = |table: &Described, settings: TableSettings| {
        let error = resolve_columns(Dialect::Postgres, table, &settings).unwrap_err();
        format!("{error} (next: {})", error.next_step().unwrap_or_default())
    };
    let named = |column: &str| TableSettings {
        timestamp: Some(column.into()),
        ..settings(Mode::Timestamp)
    };
    let mut said = vec![
        explain(&table, named("updated")),
        explain(&table, named("note")),
    ];
    table.timestamp_candidates = vec!["at".into(), "made_at".into()];
    said.push(explain(&table, settings(Mode::Timestamp)));
    table.timestamp_candidates.clear();
    said.push(explain(&table, settings(Mode::Timestamp)));
    // An id of a type that does not grow, beside a time of change and without one.
    let by_uuid = || TableSettings {
        incrementing: Some("id".into()),
        ..settings(Mode::Incrementing)
    };
    for column in &mut table.schema.columns {
        if is_whole_number(column) {
            (column.source_type, column.column_type) = ("uuid".into(), ColumnType::Text);
        }
    }
    table.incrementing_candidates.clear();
    table.timestamp_candidates = vec!["at".into()];
    said.push(explain(&table, by_uuid()));
    table.timestamp_candidates.clear();
    said.push(explain(&table, by_uuid()));
    insta::assert_snapshot!(said.join("\n"), @r#"
    ec.orders: there is no column `updated` (next: write `timestamp: at`)
    ec.orders: column `note` has type `text`, which cannot be `timestamp` (next: write `timestamp: at`)
    ec.orders: `timestamp` is not stated, and several columns could be meant: `at`, `made_at` (next: write one of `at`, `made_at`, e.g. `timestamp: at`)
    ec.orders: no column was found for `timestamp` (next: no column looks like it; if one of `at` is set with each change, write e.g. `timestamp: at`, else `mode: bulk`)
    ec.orders: column `id` has type `uuid`, which cannot be `incrementing` (next: no column of it can be; write `mode: timestamp` with `timestamp: at`, or `mode: bulk`)
    ec.orders: column `id` has type `uuid`, which cannot be `incrementing` (next: no column of it can be; write `mode: bulk`)
    "#);
}

#[test]
fn what_may_not_be_read_is_left_out_by_patterns_and_kept_where_it_is_named() {
    let mut list = listed(&["log_a", "log_b"]);
    list[1].is_readable = false;
    let tables = vec![pattern("log_*", Mode::Bulk)];
    assert_eq!(topics(&choose_from(&source(tables), &list, "")), ["log_a"]);
    let tables = vec![pattern("log_b", Mode::Bulk)];
    assert_eq!(topics(&choose_from(&source(tables), &list, "")), ["log_b"]);
}

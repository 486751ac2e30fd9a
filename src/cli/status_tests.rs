use super::*;
use crate::inspect::StoppedPartition;
use crate::model::Mode;

fn table(name: &str, state: TableState) -> TableStatus {
    TableStatus {
        table: name.into(),
        state,
        mode: Some(Mode::Incrementing),
        percent: None,
        cursor: Some("item_id ≤ 40,000".into()),
        guard: Some(GuardClass::Proven),
        rows: 40_000,
        rejected: 0,
        nulled: 0,
        captured_at: Some(-12_000),
        capture_lag_seconds: Some(12),
        next_load_at: None,
        lake: LakeStatus {
            records_behind: Some(1_250),
            newest_at: Some(-300_000),
            newest_rows: Some(5_000),
            load: None,
            stopped: Vec::new(),
        },
        error: None,
        code: None,
        next: None,
        error_since: None,
    }
}

#[test]
fn how_often_it_looks_is_written_with_an_equals_sign() {
    let asked = |tables: &[&str], watch: Option<u64>| Status {
        tables: tables.iter().map(|name| (*name).to_owned()).collect(),
        watch: watch.map(Duration::from_secs),
        wide: false,
        output: Format::Text,
    };
    for (written, next) in [("5", "write `--watch=5s`"), ("10m", "write `--watch=10m`")] {
        let error = asked(&["orders", written], Some(2)).check().unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(error.next_step(), Some(next));
    }
    assert!(asked(&["5"], None).check().is_ok());
    assert!(asked(&["orders", "ec.5"], Some(2)).check().is_ok());
}

#[test]
fn a_table_is_a_line_and_its_error_stands_below_it() {
    let failed = TableStatus {
        error: Some("describing the table: there is no table `orders`".into()),
        code: Some("CDC-0201".into()),
        next: Some("check its name and schema".into()),
        error_since: Some(-3_600_000),
        ..table("ec.orders", TableState::Failed)
    };
    let copying = TableStatus {
        percent: Some(42),
        rejected: 1_012,
        nulled: 3,
        ..table("ec.items", TableState::Copying)
    };
    let mut held_up = table("ec.events", TableState::Waiting);
    held_up.lake.stopped.push(StoppedPartition {
        stands_at: 0,
        partition: 2,
        offset: 41,
        error: "putting a file: the disk is full".into(),
        code: Some("CDC-0074".into()),
        next: Some("make room".into()),
        is_retried: true,
        since: -60_000,
    });
    let new = TableStatus {
        cursor: None,
        guard: None,
        captured_at: None,
        lake: LakeStatus::default(),
        ..table("pos.stores", TableState::New)
    };
    let status = PipelineStatus {
        pipeline: "retail".into(),
        at: 0,
        tables: vec![failed, held_up, new, copying],
        capture_workers: vec!["till-1".into()],
        sink_workers: Vec::new(),
        notes: vec!["opening the lake: no answer within 5 s".into()],
        not_looked_up: 0,
        files_age_seconds: 600,
    };
    insta::assert_snapshot!(in_text(&status, false, Screen::default()).join("\n"), @r"
    TABLE       STATE        CURSOR            CAPTURED  LAKE          NEWEST                        GUARD
    ec.orders   FAILED       item_id ≤ 40,000  12 s ago  1,250 behind  files, 5,000 rows, 5 min ago  proven
      error[CDC-0201]: describing the table: there is no table `orders` (for 60 min)
      next: check its name and schema
    ec.events   waiting      item_id ≤ 40,000  12 s ago  1,250 behind  files, 5,000 rows, 5 min ago  proven
      the lake is waiting[CDC-0074]: partition 2 from offset 41 on: putting a file: the disk is full (for 60 s)
      next: make room
    pos.stores  new          –                 –         –             –                             –
    ec.items    copying 42%  item_id ≤ 40,000  12 s ago  1,250 behind  files, 5,000 rows, 5 min ago  proven
      rejected: 1,012 rows; `cdc rejected show ec.items` shows them
      NULL: in the place of 3 values that cannot be carried exactly

    pipeline retail: till-1 captures, nobody writes the lake
    not found out: opening the lake: no answer within 5 s
    ");
}

#[test]
fn of_a_bulk_table_its_next_load_is_told() {
    let next = |next_load_at| {
        let table = TableStatus {
            cursor: Some("load 7".into()),
            next_load_at,
            ..table("pos.stores", TableState::Following)
        };
        cursor(&table, 0)
    };
    let told = |at| next(Some(at)).unwrap_or_default();
    assert_eq!(told(3 * 3_600_000), "load 7, next in 3 h");
    assert_eq!(told(-5_000), "load 7, next now");
    assert_eq!(next(None).as_deref(), Some("load 7"));
}

#[test]
fn what_is_shown_fits_the_terminal_and_wide_shows_everything() {
    let failed = TableStatus {
        error: Some("a text with \u{1b}[31m in it".into()),
        ..table("ec.주문내역", TableState::Failed)
    };
    let status = PipelineStatus {
        pipeline: "retail".into(),
        at: 0,
        tables: vec![failed, table("pos.sales", TableState::Following)],
        capture_workers: vec!["till-1".into()],
        sink_workers: vec!["till-1".into()],
        notes: Vec::new(),
        not_looked_up: 1_936,
        files_age_seconds: 600,
    };
    let on = |width, wide| {
        let screen = Screen {
            size: Some((width, 24)),
            has_color: false,
        };
        in_text(&status, wide, screen).join("\n")
    };
    insta::assert_snapshot!(on(60, false), @r"
    TABLE        STATE      CAPTURED  LAKE
    ec.주문내역  FAILED     12 s ago  1,250 behind
      error: a text with \u{1b}[31m in it
    pos.sales    following  12 s ago  1,250 behind

    pipeline retail: at work: till-1
    rows get into the lake when their file is closed, at the latest 10 min after its first one was read (`lake.files.age`)
    1,936 tables were not looked up in the lake; `cdc status --wide` looks all of them up
    3 columns do not fit; `--wide` shows all
    ");
    insta::assert_snapshot!(on(30, false), @r"
    TABLE        STATE      LAKE
    ec.주문내역  FAILED     1,250…
      error: a text with \u{1b}[31m in it
    pos.sales    following  1,250…

    pipeline retail: at work: till-1
    rows get into the lake when their file is closed, at the latest 10 min after its first one was read (`lake.files.age`)
    1,936 tables were not looked up in the lake; `cdc status --wide` looks all of them up
    4 columns do not fit; `--wide` shows all
    ");
    insta::assert_snapshot!(on(30, true), @r"
    TABLE        STATE      CURSOR            CAPTURED  LAKE          NEWEST                        GUARD   MODE          SENT    REJECTED  EVERYTHING UNTIL
    ec.주문내역  FAILED     item_id ≤ 40,000  12 s ago  1,250 behind  files, 5,000 rows, 5 min ago  proven  incrementing  40,000  0         1969-12-31 23:59:48 UTC
      error: a text with \u{1b}[31m in it
    pos.sales    following  item_id ≤ 40,000  12 s ago  1,250 behind  files, 5,000 rows, 5 min ago  proven  incrementing  40,000  0         1969-12-31 23:59:48 UTC

    pipeline retail: at work: till-1
    rows get into the lake when their file is closed, at the latest 10 min after its first one was read (`lake.files.age`)
    1,936 tables were not looked up in the lake; `cdc status --wide` looks all of them up
    ");
    let coloured = Screen {
        size: Some((200, 24)),
        has_color: true,
    };
    let lines = in_text(&status, false, coloured);
    assert!(
        lines[1].contains("\u{1b}[31mFAILED\u{1b}[0m  "),
        "{lines:?}"
    );
    // Colours take no room: what stands behind them begins where it does elsewhere.
    let plain = console::strip_ansi_codes(&lines[1]).into_owned();
    assert_eq!(
        plain.find("item_id"),
        on(200, false)
            .lines()
            .nth(1)
            .and_then(|line| line.find("item_id"))
    );
}

use super::*;
use crate::inspect::RunPlace;

fn row(text: &str) -> Row {
    serde_json::from_str(text).unwrap()
}

fn column(name: &str, column_type: &str, nullable: bool) -> PeekedColumn {
    PeekedColumn {
        name: name.into(),
        column_type: column_type.into(),
        nullable,
    }
}

fn table() -> PeekedTable {
    PeekedTable {
        table: "ec.orders".into(),
        newest_by: Some("updated_at".into()),
        estimated_rows: Some(12_345),
        key: vec!["order_id".into()],
        columns: vec![
            column("order_id", "int64", false),
            column("total", "decimal(20,2)", true),
            column("note", "text", true),
        ],
        source_types: vec!["bigint".into(), "numeric(20,2)".into(), "text".into()],
        rows: vec![
            row(
                r#"{"order_id":9007199254740993,"total":"123456789012345678.90","note":"주문\u001b[2J ok"}"#,
            ),
            row(
                r#"{"order_id":2,"total":null,"note":"a long note that does not fit into a narrow terminal"}"#,
            ),
        ],
    }
}

fn on(width: usize) -> Screen {
    Screen {
        size: Some((width, 24)),
        has_color: false,
    }
}

#[test]
fn rows_of_a_table_are_exact_harmless_and_fit_the_terminal() {
    let shown = |screen| {
        let (lines, remark) = rows(&Peeked::Table(table()), screen);
        format!("{}\n{remark}", lines.join("\n"))
    };
    insta::assert_snapshot!(shown(Screen::default()), @r"
    order_id          total                  note
    9007199254740993  123456789012345678.90  주문\u{1b}[2J ok
    2                 NULL                   a long note that does not fit into a narrow terminal
    ec.orders: 2 rows, ordered by `updated_at`
    ");
    insta::assert_snapshot!(shown(on(50)), @r"
    order_id          total            note
    9007199254740993  12345678901234…  주문\u{1b}[2J …
    2                 NULL             a long note th…
    ec.orders: 2 rows, ordered by `updated_at`
    ");
    insta::assert_snapshot!(shown(on(20)), @r"
    order_id  total
    9007199…  123456789…
    2         NULL
    ec.orders: 2 rows, ordered by `updated_at`; 1 column does not fit, `-o json` has all
    ");
    insta::assert_snapshot!(rows_in_json(&Peeked::Table(table())).unwrap().join("\n"), @r#"
    {"order_id":9007199254740993,"total":"123456789012345678.90","note":"주문\u001b[2J ok"}
    {"order_id":2,"total":null,"note":"a long note that does not fit into a narrow terminal"}
    "#);
    insta::assert_snapshot!(facts(&Peeked::Table(table())).join("\n"), @r"
    ec.orders
    rows     about 12,345
    key      order_id
    columns
      order_id  bigint → int64                 not null
      total     numeric(20,2) → decimal(20,2)
      note      text → text
    ");
}

#[test]
fn records_of_ours_have_their_place_and_others_are_shown_as_they_are() {
    let record = |offset, run: Option<u64>, key: Content, value: Content| PeekedRecord {
        partition: 1,
        offset,
        at: Some("2026-11-29T11:22:05.123Z".into()),
        run: run.map(|sequence| RunPlace {
            fingerprint: "0123456789abcdef".into(),
            epoch: 1_780_000_000_000,
            sequence,
            load: None,
        }),
        headers: vec![("trace".into(), Content::Bytes(vec![0, 255]))],
        key,
        value,
    };
    let ours = |offset, sequence, value: &str| {
        let key = Content::Object(row(r#"{"order_id":1}"#));
        record(offset, Some(sequence), key, Content::Object(row(value)))
    };
    let mut topic = PeekedTopic {
        topic: "retail.orders".into(),
        table: None,
        partitions: Vec::new(),
        is_ours: true,
        fingerprint: Some("0123456789abcdef".into()),
        columns: vec![column("order_id", "int64", false)],
        records: vec![
            ours(42, 8, r#"{"order_id":1,"extra":"매장"}"#),
            ours(41, 7, r#"{"order_id":1}"#),
        ],
    };
    let shown = |topic: &PeekedTopic| {
        let (lines, remark) = rows(&Peeked::Topic(topic.clone()), Screen::default());
        let json = rows_in_json(&Peeked::Topic(topic.clone())).unwrap();
        format!("{}\n{remark}\n{}", lines.join("\n"), json.join("\n"))
    };
    insta::assert_snapshot!(shown(&topic), @r#"
    PARTITION  OFFSET  AT                        SEQUENCE  order_id  extra
    1          42      2026-11-29T11:22:05.123Z  8         1         매장
    1          41      2026-11-29T11:22:05.123Z  7         1
    topic retail.orders: 2 records, epoch 1780000000000
    {"partition":1,"offset":42,"at":"2026-11-29T11:22:05.123Z","run":{"fingerprint":"0123456789abcdef","epoch":1780000000000,"sequence":8},"headers":[["trace",{"base64":"AP8="}]],"key":{"order_id":1},"value":{"order_id":1,"extra":"매장"}}
    {"partition":1,"offset":41,"at":"2026-11-29T11:22:05.123Z","run":{"fingerprint":"0123456789abcdef","epoch":1780000000000,"sequence":7},"headers":[["trace",{"base64":"AP8="}]],"key":{"order_id":1},"value":{"order_id":1}}
    "#);
    topic.is_ours = false;
    topic.fingerprint = None;
    topic.columns.clear();
    topic.records = vec![
        record(3, None, Content::Nothing, Content::Bytes(vec![1, 2, 254])),
        record(
            2,
            None,
            Content::Text("k\n".into()),
            Content::Text("plain \u{1b}]0;x\u{7}".into()),
        ),
    ];
    insta::assert_snapshot!(shown(&topic), @r#"
    PARTITION  OFFSET  AT                        KEY  VALUE                  HEADERS
    1          3       2026-11-29T11:22:05.123Z  –    0x0102fe               trace=0x00ff
    1          2       2026-11-29T11:22:05.123Z  k\n  plain \u{1b}]0;x\u{7}  trace=0x00ff
    topic retail.orders: 2 records
    {"partition":1,"offset":3,"at":"2026-11-29T11:22:05.123Z","headers":[["trace",{"base64":"AP8="}]],"key":null,"value":{"base64":"AQL+"}}
    {"partition":1,"offset":2,"at":"2026-11-29T11:22:05.123Z","headers":[["trace",{"base64":"AP8="}]],"key":"k\n","value":"plain \u001b]0;x\u0007"}
    "#);
    insta::assert_snapshot!(facts(&Peeked::Topic(topic)).join("\n"), @r"
    topic retail.orders
    its records are not `cdc`'s
    ");
}

#[test]
fn a_file_is_told_with_its_row_groups_and_footer() {
    let file = PeekedFile {
        file: "./part.parquet".into(),
        bytes: Some(1_500_000),
        rows_in_all: 250_000,
        row_groups: vec![crate::lake::RowGroup {
            rows: 250_000,
            compressed_bytes: 1_400_000,
            bytes: 9_000_000,
            compression: "zstd".into(),
        }],
        created_by: Some("cdc 0.1.0".into()),
        metadata: [("cdc.table".into(), "ec.orders".into())].into(),
        columns: vec![column("order_id", "int64", false)],
        rows: vec![row(r#"{"order_id":1}"#)],
    };
    insta::assert_snapshot!(facts(&Peeked::File(file)).join("\n"), @r"
    ./part.parquet
    rows     250,000, 1.4 MiB
    made by  cdc 0.1.0
    row groups  1
      0  250,000 rows  1.3 MiB (8.5 MiB unpacked)  zstd
    footer
      cdc.table  ec.orders
    columns
      order_id  int64  not null
    ");
}

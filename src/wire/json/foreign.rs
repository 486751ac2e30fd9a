//! What the decoder makes of records that it did not write: other layouts, broken ones, random bytes.

use arrow::array::RecordBatch;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::law::{any_batch, values_of};
use super::{JsonDecoder, JsonEncoder};
use crate::error::Kind;
use crate::model::{Column, ColumnType, TableSchema};

fn schema(columns: &[(&str, ColumnType, bool)]) -> TableSchema {
    let column = |(name, column_type, nullable): &(&str, ColumnType, bool)| Column {
        name: (*name).into(),
        source_type: "any".into(),
        column_type: column_type.clone(),
        nullable: *nullable,
    };
    TableSchema {
        columns: columns.iter().map(column).collect(),
        key: Vec::new(),
    }
}

fn read(schema: &TableSchema, record: &str) -> Result<RecordBatch, String> {
    let mut decoder = JsonDecoder::new(schema);
    match decoder.push(record.as_bytes()) {
        Ok(()) => Ok(decoder.finish().expect("a batch")),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Data);
            assert_eq!(decoder.finish().expect("an empty batch").num_rows(), 0);
            Err(error.to_string())
        }
    }
}

fn rewritten(batch: &RecordBatch, schema: &TableSchema) -> String {
    let records = JsonEncoder::new(schema, 1)
        .encode(batch, 0, usize::MAX)
        .expect("encode");
    String::from_utf8(values_of(&records).concat()).expect("utf-8")
}

#[test]
fn order_space_escapes_and_missing_nulls_do_not_matter() {
    let schema = schema(&[
        ("id", ColumnType::Int64, false),
        ("größe", ColumnType::Text, true),
        ("b", ColumnType::List(Box::new(ColumnType::Bool)), true),
    ]);
    let record = " {\n\"b\" : [ true , null,false ] ,\t\"gr\\u00f6\\u00dfe\":\"\\ud83c\\udf4e\\/\", \"id\" :7 } \r\n";
    let batch = read(&schema, record).expect("accepted");
    assert_eq!(
        rewritten(&batch, &schema),
        "{\"id\":7,\"größe\":\"🍎/\",\"b\":[true,null,false]}"
    );
    let batch = read(&schema, "{\"id\":-0}").expect("accepted");
    assert_eq!(
        rewritten(&batch, &schema),
        "{\"id\":0,\"größe\":null,\"b\":null}"
    );
    let batch = read(&schema, "{\"b\":[ ],\"id\":1}").expect("accepted");
    assert_eq!(
        rewritten(&batch, &schema),
        "{\"id\":1,\"größe\":null,\"b\":[]}"
    );
}

#[test]
fn every_refusal_names_the_column_and_what_was_found_but_no_value() {
    let schema = schema(&[
        ("id", ColumnType::Int8, false),
        ("rank", ColumnType::UInt64, true),
        (
            "total",
            ColumnType::Decimal {
                precision: 4,
                scale: 2,
            },
            true,
        ),
        ("ratio", ColumnType::Float32, true),
        ("name", ColumnType::Text, true),
        ("data", ColumnType::Binary, true),
        ("day", ColumnType::Date, true),
        ("at", ColumnType::Timestamp { utc: true }, true),
        ("tags", ColumnType::List(Box::new(ColumnType::Int8)), true),
        ("ok", ColumnType::Bool, true),
    ]);
    let records = [
        "",
        "[]",
        "{",
        "{}",
        "{\"id\"",
        "{\"id\":",
        "{\"id\":1",
        "{\"id\":1}}",
        "{\"id\":1} x",
        "{\"id\":1,}",
        "{,\"id\":1}",
        "{\"id\":null}",
        "{\"id\":\"1\"}",
        "{\"id\":128}",
        "{\"id\":-129}",
        "{\"id\":1.0}",
        "{\"id\":1e0}",
        "{\"id\":01}",
        "{\"id\":-}",
        "{\"id\":+1}",
        "{\"id\":nul}",
        "{\"id\":1,\"id\":1}",
        "{\"id\":1,\"secret\":1}",
        "{\"id\":1 \"rank\":1}",
        "{\"id\":1,rank:1}",
        "{\"id\":1,\"rank\" 1}",
        "{\"id\":1,\"rank\":-1}",
        "{\"id\":1,\"rank\":18446744073709551616}",
        "{\"id\":1,\"rank\":999999999999999999999999999999999999999999}",
        "{\"id\":1,\"total\":1.005}",
        "{\"id\":1,\"total\":1.000}",
        "{\"id\":1,\"total\":100}",
        "{\"id\":1,\"total\":1e1}",
        "{\"id\":1,\"total\":1.}",
        "{\"id\":1,\"total\":\"1.00\"}",
        "{\"id\":1,\"ratio\":1e39}",
        "{\"id\":1,\"ratio\":NaN}",
        "{\"id\":1,\"ratio\":\"nan\"}",
        "{\"id\":1,\"ratio\":.5}",
        "{\"id\":1,\"ratio\":1e}",
        "{\"id\":1,\"name\":\"ab",
        "{\"id\":1,\"name\":\"a\nb\"}",
        "{\"id\":1,\"name\":\"\\x\"}",
        "{\"id\":1,\"name\":\"\\ud800\"}",
        "{\"id\":1,\"name\":\"\\udc00\"}",
        "{\"id\":1,\"name\":\"\\ud800\\u0041\"}",
        "{\"id\":1,\"name\":\"\\u+041\"}",
        "{\"id\":1,\"name\":\"\\u00",
        "{\"id\":1,\"name\":[]}",
        "{\"id\":1,\"data\":\"AA\"}",
        "{\"id\":1,\"data\":\"AB==\"}",
        "{\"id\":1,\"data\":\"-_==\"}",
        "{\"id\":1,\"day\":\"2026-02-30\"}",
        "{\"id\":1,\"day\":20}",
        "{\"id\":1,\"at\":\"2026-01-01T00:00:00.000000\"}",
        "{\"id\":1,\"at\":\"2026-01-01T00:00:00.0000001Z\"}",
        "{\"id\":1,\"tags\":[1,]}",
        "{\"id\":1,\"tags\":[1",
        "{\"id\":1,\"tags\":[[1]]}",
        "{\"id\":1,\"tags\":[1 2]}",
        "{\"id\":1,\"tags\":{}}",
        "{\"id\":1,\"ok\":1}",
        "{\"id\":1,\"ok\":trueish}",
        "{\"id\":1,\"ok\":TRUE}",
    ];
    let mut said = String::new();
    for record in records {
        let error = read(&schema, record).expect_err(record);
        said.push_str(&format!(
            "{}  {}\n",
            record.escape_debug(),
            error.trim_start_matches("reading a record: ")
        ));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn bytes_that_are_no_utf_8_are_refused_where_they_stand() {
    let schema = schema(&[("name", ColumnType::Text, true)]);
    for wrong in [
        b"{\"name\":\"\xff\"}".as_slice(),
        b"{\"name\":\"\\n\xc3\"}",
        b"{\"name\":\"\xed\xa0\x80\"}",
    ] {
        let error = JsonDecoder::new(&schema).push(wrong).expect_err("refused");
        assert!(
            error
                .to_string()
                .contains("column `name`: expected text, found a string that is not UTF-8"),
            "{error}"
        );
    }
}

#[test]
fn a_refused_record_leaves_the_rows_before_and_after_it_as_they_are() {
    let list = ColumnType::List(Box::new(ColumnType::List(Box::new(ColumnType::Text))));
    let schema = schema(&[
        ("id", ColumnType::Int64, false),
        ("words", list, true),
        ("name", ColumnType::Text, true),
    ]);
    let mut decoder = JsonDecoder::new(&schema);
    let good = [
        "{\"id\":1,\"words\":[[\"a\"],null,[null]],\"name\":\"x\"}",
        "{\"id\":2,\"words\":null,\"name\":null}",
    ];
    decoder.push(good[0].as_bytes()).expect("accepted");
    let (length, bytes) = (decoder.len(), decoder.bytes());
    for bad in [
        "{\"name\":\"yy\",\"words\":[[\"b\",\"c\"],[\"d\",1]],\"id\":9}",
        "{\"id\":3,\"words\":[[\"b\"]],\"name\":\"z\"",
        "{\"words\":[[\"b\"]],\"name\":\"z\"}",
        "{\"id\":1,\"name\":null,\"name\":\"x\"}",
    ] {
        decoder.push(bad.as_bytes()).expect_err("refused");
        assert_eq!((decoder.len(), decoder.bytes()), (length, bytes));
    }
    decoder.push(good[1].as_bytes()).expect("accepted");
    let records = JsonEncoder::new(&schema, 1)
        .encode(&decoder.finish().expect("a batch"), 0, 1000)
        .expect("encode");
    assert_eq!(
        values_of(&records),
        good.map(|record| record.as_bytes().to_vec())
    );
    assert!(decoder.is_empty());
}

/// Whether the decoder took from a column what a general JSON reader finds there.
fn same(column_type: &ColumnType, ours: &Value, theirs: &Value) -> bool {
    let float = |value: &Value| value.to_string().parse::<f64>().ok();
    match (column_type, ours, theirs) {
        (ColumnType::List(element), Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(ours, theirs)| same(element, ours, theirs))
        }
        (ColumnType::Float32, Value::Number(_), Value::Number(_)) => {
            float(ours).map(|f| f as f32) == theirs.to_string().parse::<f32>().ok()
        }
        (ColumnType::Float64, Value::Number(_), Value::Number(_)) => float(ours) == float(theirs),
        (_, Value::Number(ours), Value::Number(theirs)) => {
            plain(&ours.to_string()) == plain(&theirs.to_string())
        }
        _ => ours == theirs,
    }
}

/// A number's text without what does not change its value.
fn plain(number: &str) -> String {
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    if number == "-0" {
        "0".into()
    } else {
        number.into()
    }
}

/// No panic; nothing taken that is not well-formed; what is taken is what a general JSON reader reads.
fn holds_against_the_oracle(schema: &TableSchema, record: &[u8]) -> Result<(), TestCaseError> {
    let mut decoder = JsonDecoder::new(schema);
    if decoder.push(record).is_err() {
        prop_assert_eq!(decoder.finish().expect("an empty batch").num_rows(), 0);
        return Ok(());
    }
    let theirs: Map<String, Value> = serde_json::from_slice(record).expect("well-formed");
    let ours = rewritten(&decoder.finish().expect("a batch"), schema);
    let ours: Map<String, Value> = serde_json::from_str(&ours).expect("well-formed");
    prop_assert!(theirs.keys().all(|name| ours.contains_key(name)));
    for column in &schema.columns {
        let theirs = theirs.get(&column.name).unwrap_or(&Value::Null);
        prop_assert!(
            same(&column.column_type, &ours[&column.name], theirs),
            "{} {:?}",
            column.name,
            theirs
        );
    }
    Ok(())
}

/// One change of a record: at a place, remove so many bytes and put these.
fn change() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..3),
        prop::sample::select(vec![
            "\"", "\\", "{", "}", "[", "]", ",", ":", " ", "null", "0", "1", "9", ".", "-", "e5",
            "\\u00e9", "\\ud83d", "é", "true"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (any::<prop::sample::Index>(), 0..3_usize, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn changed_records_are_refused_or_read_as_a_general_reader_reads_them((schema, batch) in any_batch(1..=1), changes in vec(change(), 1..4)) {
        let records = JsonEncoder::new(&schema, 1).encode(&batch, 0, usize::MAX).expect("encode");
        let mut record = values_of(&records).concat();
        for (place, remove, put) in changes {
            let start = place.index(record.len() + 1);
            let end = (start + remove).min(record.len());
            record.splice(start..end, put);
        }
        holds_against_the_oracle(&schema, &record)?;
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..60), text in "[{}\\[\\]\",:0-9a-z\\\\.\\- ]{0,60}") {
        let schema = schema(&[("a", ColumnType::Int64, true), ("b", ColumnType::Text, true)]);
        holds_against_the_oracle(&schema, &bytes)?;
        holds_against_the_oracle(&schema, text.as_bytes())?;
    }

    #[test]
    fn records_laid_out_by_another_writer_are_the_same_rows((schema, batch) in any_batch(1..=1), seed in any::<u64>()) {
        let ours = rewritten(&batch, &schema);
        let values: Map<String, Value> = serde_json::from_str(&ours).expect("well-formed");
        let mut order: Vec<&Column> = schema.columns.iter().collect();
        let by = seed as usize % order.len().max(1);
        order.rotate_left(by);
        order.retain(|column| !(seed % 3 == 0 && values[&column.name].is_null()));
        let escape = |text: &str| text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect::<String>();
        let cells: Vec<_> = order.iter().map(|column| format!(" \"{}\"\n: {}", escape(&column.name), values[&column.name])).collect();
        let theirs = format!("\t{{{}\r}}\n", cells.join(" ,"));
        prop_assert_eq!(read(&schema, &theirs).expect("accepted"), batch);
    }
}

//! Copies by key, page by page, each page by a reader that knows only what a crash would have left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use cdc::model::{CopyPhase, Cursor, TableName, TimestampCursor};
use cdc::source::{CopyReader, GuardOptions, Page, Readable, Source, fix_bound};

/// Texts that orders and encodings disagree about.
pub const WORDS: &str = "'a', 'A', 'b', 'B', 'ä', 'Ä', 'z', 'Z', 'é', 'e', 'É', 'ß', 'ss', '가', '나', '하', '주문', '😀', '', ' ', \
     'a ', 'a  ', ' a', 'a''b', 'a\\b', 'a\"b', '%', '_', 'aa', 'a-b', 'ab', 'co-op', 'coop', '10', '9', 'Å', 'Å', 'İ', 'i', 'ı', 'I'";

/// A bound that takes longer than this to be proven has failed.
const DEADLINE: Duration = Duration::from_secs(30);

/// Copies a table with a timestamp column `at` in pages of two rows; gives its numbers `n` in order.
pub async fn copied(source: &Arc<dyn Source>, name: &TableName) -> Vec<i32> {
    let yaml = "kafka: { brokers: b }\nlake: { url: ./lake }\nsources: { ec: { url: \"postgres://u@localhost/d\", \
         tables: { t: { mode: timestamp, timestamp: at } } } }";
    let settings = cdc::config::parse(yaml, "test").unwrap();
    let settings = &settings.sources[0].tables[0];
    let described = Arc::new(source.describe(name).await.unwrap());
    let zone = jiff::tz::TimeZone::UTC;
    let mut readable = Readable::new(source.dialect(), described.clone(), settings, &zone).unwrap();
    readable.page_rows = 2;
    let lookback = Duration::from_secs(600);
    let options = GuardOptions { lookback };
    let mut guard = source.guard(&described, "at", options).await.unwrap();
    let mut session = source.session().await.unwrap();
    let began = Instant::now();
    // Each try asks the server anew, which is what it waits for.
    let fixed = loop {
        let fixed = fix_bound(&readable, session.as_mut(), guard.as_mut()).await;
        match fixed.unwrap() {
            Some(fixed) => break fixed,
            None => assert!(began.elapsed() < DEADLINE, "{name}: no bound is proven"),
        }
    };
    let (out, mut steps) = tokio::sync::mpsc::channel(1_000);
    let cursor = Cursor::Timestamp(TimestampCursor { low: None });
    let (mut copy, mut pages) = (fixed.copy, 0);
    while copy.phase != CopyPhase::Done {
        let mut reader = CopyReader::new(readable.clone(), copy);
        let page = reader
            .next_page(session.as_mut(), guard.as_mut(), &out, &cursor)
            .await
            .unwrap();
        copy = reader.copy().clone();
        pages += 1;
        assert!(
            pages < 1_000 && !matches!(page, Page::Waiting(_)),
            "{name}: it does not end"
        );
    }
    drop(out);
    let mut numbers = Vec::new();
    while let Some(step) = steps.recv().await {
        let column = step.rows.column_by_name("n").unwrap();
        numbers.extend(column.as_primitive::<Int32Type>().values());
    }
    numbers
}

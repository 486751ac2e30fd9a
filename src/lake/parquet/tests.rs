use std::sync::Arc;

use arrow::array::{
    Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;
use proptest::prelude::*;

use super::*;

fn footer() -> FileFooter {
    FileFooter {
        table: "ec.orders".into(),
        fingerprint: "0123456789abcdef".into(),
        epoch: 1_780_000_000_000,
        topic: "retail.orders".into(),
        partition: 3,
        start: 1_000,
        end: 2_001,
        load: Some("01ARZ3NDEKTSV4RRFFQ69G5FAV".into()),
        guard: "assumed (no transaction outlives 10 minutes)".into(),
        version: "0.1.0".into(),
    }
}

fn rows(n: i64) -> RecordBatch {
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("total", DataType::Decimal128(12, 2), true),
        Field::new("status", DataType::Utf8, true),
        Field::new("clicks", DataType::UInt64, true),
        Field::new(
            "at",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
    ];
    let total = (0..n)
        .map(|i| (i % 7 > 0).then_some(i128::from(i)))
        .collect::<Decimal128Array>();
    RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        vec![
            Arc::new(Int64Array::from_iter_values(0..n)),
            Arc::new(total.with_precision_and_scale(12, 2).expect("a decimal")),
            Arc::new(StringArray::from_iter(
                (0..n).map(|i| (i % 5 > 0).then_some(["new", "paid"][i as usize % 2])),
            )),
            Arc::new(UInt64Array::from_iter(
                (0..n).map(|i| Some(u64::MAX - i as u64)),
            )),
            Arc::new(
                TimestampMicrosecondArray::from_iter_values((0..n).map(|i| i - 5))
                    .with_timezone("UTC"),
            ),
        ],
    )
    .expect("rows")
}

fn write(directory: &Path, compression: &str) -> WrittenFile {
    let rows = rows(1_000);
    let unique = ["id".to_owned(), "at".to_owned()];
    let path = directory.join(format!("{compression}.parquet"));
    let mut file = ParquetFile::create(&path, rows.schema(), compression, &unique).expect("a file");
    file.write(&rows.slice(0, 600)).expect("written");
    assert!(file.memory() > 0 && file.size() > 0);
    file.flush().expect("flushed");
    file.write(&rows.slice(600, 400)).expect("written");
    assert_eq!(file.rows(), 1_000);
    file.finish(&footer()).expect("finished")
}

#[test]
fn a_file_gives_back_its_rows_and_its_footer_in_every_compression() {
    let directory = tempfile::tempdir().expect("a directory");
    for compression in ["zstd", "snappy", "lz4", "none"] {
        let written = write(directory.path(), compression);
        let bytes = std::fs::read(&written.path).expect("the file");
        assert_eq!((written.rows, written.bytes), (1_000, bytes.len() as u64));
        assert_eq!(
            read_footer(&bytes, written.bytes).expect("a footer"),
            Some((1_000, footer()))
        );
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(File::open(&written.path).expect("the file"));
        let read = reader
            .expect("a reader")
            .with_batch_size(1_000)
            .build()
            .expect("a reader");
        let batches = read.collect::<Result<Vec<_>, _>>().expect("rows");
        let read = arrow::compute::concat_batches(&rows(0).schema(), &batches).expect("one batch");
        assert_eq!(read, rows(1_000), "{compression}");
    }
}

#[test]
fn unique_columns_have_no_dictionary_and_every_column_has_a_page_index() {
    let directory = tempfile::tempdir().expect("a directory");
    let written = write(directory.path(), "zstd");
    let bytes = std::fs::read(&written.path).expect("the file");
    let length = u32::from_le_bytes(
        bytes[bytes.len() - 8..bytes.len() - 4]
            .try_into()
            .expect("four bytes"),
    ) as usize;
    let metadata =
        ParquetMetaDataReader::decode_metadata(&bytes[bytes.len() - 8 - length..bytes.len() - 8]);
    let metadata = metadata.expect("metadata");
    assert_eq!(
        metadata.file_metadata().created_by(),
        Some(format!("cdc {}", env!("CARGO_PKG_VERSION")).as_str())
    );
    assert_eq!(metadata.num_row_groups(), 2);
    for group in metadata.row_groups() {
        for column in group.columns() {
            let dictionary = column
                .encodings()
                .any(|encoding| encoding == Encoding::RLE_DICTIONARY);
            let unique = ["id", "at"].contains(&column.column_path().string().as_str());
            assert_eq!(dictionary, !unique, "{}", column.column_path());
            assert!(
                column.column_index_offset().is_some() && column.offset_index_offset().is_some()
            );
            assert!(column.statistics().is_some());
        }
    }
}

#[test]
fn a_short_tail_asks_for_more_and_a_cut_file_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let written = write(directory.path(), "zstd");
    let bytes = std::fs::read(&written.path).expect("the file");
    for tail in [0, 7, 8, 100] {
        assert_eq!(
            read_footer(&bytes[bytes.len() - tail..], written.bytes).expect("no error"),
            None
        );
    }
    for cut in [0, 4, 11, bytes.len() - 1] {
        assert_eq!(
            read_footer(&bytes[..cut], cut as u64)
                .expect_err("a cut file")
                .kind(),
            Kind::Data
        );
    }
}

#[test]
fn a_file_that_is_dropped_before_its_end_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    let mut file = ParquetFile::create(&path, rows(0).schema(), "zstd", &[]).expect("a file");
    file.write(&rows(10)).expect("written");
    assert!(path.exists());
    drop(file);
    assert!(!path.exists());
}

#[test]
fn a_file_without_rows_is_a_file_like_any_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = ParquetFile::create(
        &directory.path().join("a.parquet"),
        rows(0).schema(),
        "zstd",
        &[],
    );
    let written = file
        .expect("a file")
        .finish(&FileFooter {
            load: None,
            ..footer()
        })
        .expect("finished");
    let bytes = std::fs::read(&written.path).expect("the file");
    let (rows, read) = read_footer(&bytes, written.bytes)
        .expect("a footer")
        .expect("whole");
    assert_eq!((rows, read.load), (0, None));
}

#[test]
fn what_cannot_be_written_is_named() {
    let create = |path: &str, compression| {
        ParquetFile::create(Path::new(path), rows(0).schema(), compression, &[])
    };
    let missing = create("/dev/null/a.parquet", "zstd")
        .map(|_| ())
        .expect_err("no directory");
    assert_eq!(missing.kind(), Kind::LocalIo);
    assert!(
        missing.to_string().contains("/dev/null/a.parquet"),
        "{missing}"
    );
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    let unknown = create(&path.display().to_string(), "brotli")
        .map(|_| ())
        .expect_err("unknown");
    assert_eq!(unknown.kind(), Kind::TryLater);
    assert!(!path.exists());
}

proptest! {
    #[test]
    fn no_bytes_make_the_footer_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), length in 0_u32..400) {
        bytes.extend(length.to_le_bytes());
        bytes.extend(MAGIC);
        let size = bytes.len() as u64;
        prop_assert!(read_footer(&bytes, size).is_err());
    }
}

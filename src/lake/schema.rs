//! The schema of a table's files: the table's own columns, then the metadata columns.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Kind, Result};
use crate::model::TableSchema;

/// The metadata column that holds each record's Kafka offset: it orders two versions of a row that share a
/// timestamp.
pub const OFFSET_COLUMN: &str = "cdc_offset";

/// The table's columns, then the metadata columns (`cdc_offset`: Int64, not null).
pub fn file_schema(schema: &TableSchema, metadata_columns: &[String]) -> SchemaRef {
    let own = schema.arrow();
    let metadata = metadata_columns
        .iter()
        .map(|name| Arc::new(Field::new(name, DataType::Int64, false)));
    Arc::new(Schema::new(
        own.fields()
            .iter()
            .cloned()
            .chain(metadata)
            .collect::<Vec<_>>(),
    ))
}

/// The rows with their offsets as a last column, `cdc_offset`. `Config` if the table has such a column itself.
pub fn append_offsets(rows: &RecordBatch, offsets: Int64Array) -> Result<RecordBatch> {
    let schema = rows.schema_ref();
    if schema
        .fields()
        .iter()
        .any(|field| field.name().eq_ignore_ascii_case(OFFSET_COLUMN))
    {
        return Err(Error::new(
            Kind::Config,
            format!("the table has a column `{OFFSET_COLUMN}` of its own"),
        )
        .hint(
            "leave the column out with `columns: { drop: […] }`, or read a view that renames it",
        ));
    }
    let field = Arc::new(Field::new(OFFSET_COLUMN, DataType::Int64, false));
    let fields = schema
        .fields()
        .iter()
        .cloned()
        .chain([field])
        .collect::<Vec<_>>();
    let columns = rows
        .columns()
        .iter()
        .cloned()
        .chain([Arc::new(offsets) as _])
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| Error::new(Kind::Bug, "appending the offsets to a batch").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, ColumnType};

    fn table() -> TableSchema {
        let column = Column {
            name: "id".into(),
            source_type: "bigint".into(),
            column_type: ColumnType::Int64,
            nullable: false,
        };
        TableSchema {
            columns: vec![column],
            key: vec![0],
        }
    }

    #[test]
    fn rows_with_offsets_have_the_schema_of_the_file() {
        let rows = RecordBatch::try_new(
            table().arrow(),
            vec![Arc::new(Int64Array::from(vec![1, 2]))],
        )
        .expect("rows");
        let rows =
            append_offsets(&rows, Int64Array::from(vec![40, 42])).expect("rows with offsets");
        assert_eq!(
            rows.schema(),
            file_schema(&table(), &[OFFSET_COLUMN.into()])
        );
        let again =
            append_offsets(&rows, Int64Array::from(vec![40, 42])).expect_err("the column is there");
        assert_eq!(again.kind(), Kind::Config);
    }
}

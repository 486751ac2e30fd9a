//! How many bytes a table takes in its database.

use crate::error::Result;
use crate::model::{ColumnType, TableName};
use crate::source::{Dialect, Param, Select, Source};

/// A table and its partitions, without indexes.
const POSTGRES: &str = "\
SELECT (pg_catalog.pg_table_size(c.oid) + coalesce((SELECT sum(pg_catalog.pg_table_size(t.relid)) \
FROM pg_catalog.pg_partition_tree(c.oid) AS t WHERE t.isleaf AND t.relid <> c.oid), 0))::int8 \
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
WHERE n.nspname = $1::text AND c.relname = $2::text";

/// An estimate of its statistics.
const MARIADB: &str = "\
SELECT CAST(DATA_LENGTH AS SIGNED) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?";

/// The bytes; `None` where the database does not tell, as for a view.
pub async fn bytes_of(source: &dyn Source, table: &TableName) -> Result<Option<u64>> {
    let text = |value: &str| Param {
        column_type: ColumnType::Text,
        value: value.to_owned(),
    };
    let sql = match source.dialect() {
        Dialect::Postgres => POSTGRES,
        Dialect::MariaDb => MARIADB,
    };
    let select = Select {
        sql: sql.to_owned(),
        params: vec![text(&table.schema), text(&table.name)],
    };
    let bytes = source.session().await?.integer(&select).await?;
    Ok(bytes
        .and_then(|bytes| u64::try_from(bytes).ok())
        .filter(|bytes| *bytes > 0))
}

//! A table cut into pieces, so that several sessions of one moment read it at the same time.
//!
//! The pieces are ranges with open ends of something that every row has exactly one of, so that whatever the numbers
//! they are cut by are worth, each row is in one of them.

use super::query::quote;
use super::{Described, Dialect, Param, Readable, RelationKind, Select, Session};
use crate::error::Result;
use crate::model::{Column, ColumnType};

/// A piece of this size is worth a statement of its own.
const PIECE_BYTES: u64 = 64 << 20;
const PIECE_ROWS: u64 = 500_000;
/// More than these gain nothing.
const MOST_PIECES: u64 = 256;

/// The statements that together give each row of the table once: one where it is small, or cannot be cut.
pub async fn pieces(readable: &Readable, session: &mut dyn Session) -> Result<Vec<Select>> {
    let (table, statements) = (&readable.table, &readable.statements);
    let conditions = match statements.dialect() {
        Dialect::Postgres => by_page(table, session).await?,
        Dialect::MariaDb => by_key(table, session).await?,
    };
    if conditions.is_empty() {
        return Ok(vec![statements.everything()]);
    }
    Ok(conditions.iter().map(|c| statements.part(c)).collect())
}

/// How many blocks a relation has, and 0 where rows cannot be looked up by block: before version 14, and in views,
/// foreign and partitioned tables.
const BLOCKS: &str = "SELECT CASE \
     WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 140000 AND c.relkind IN ('r', 'm') \
     THEN pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8 \
     ELSE 0 END \
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relname = $2";
const BLOCK_BYTES: u64 = 8192;

async fn by_page(table: &Described, session: &mut dyn Session) -> Result<Vec<String>> {
    if !matches!(
        table.kind,
        RelationKind::Table | RelationKind::MaterializedView
    ) {
        return Ok(Vec::new());
    }
    let name = |value: &String| Param {
        column_type: ColumnType::Text,
        value: value.clone(),
    };
    let select = Select {
        sql: BLOCKS.to_owned(),
        params: vec![name(&table.name.schema), name(&table.name.name)],
    };
    let blocks = session.integer(&select).await?.unwrap_or_default();
    let blocks = u64::try_from(blocks).unwrap_or_default();
    let count = (blocks.saturating_mul(BLOCK_BYTES) / PIECE_BYTES).min(MOST_PIECES);
    let borders = borders(0, i128::from(blocks), count);
    let borders: Vec<String> = borders
        .iter()
        .map(|block| format!("'({block},0)'::pg_catalog.tid"))
        .collect();
    Ok(ranges("t.ctid", &borders))
}

async fn by_key(table: &Described, session: &mut dyn Session) -> Result<Vec<String>> {
    let leading = table.schema.key.first();
    let column = leading.and_then(|i| table.schema.columns.get(*i));
    let Some(column) = column.filter(|column| is_whole(column)) else {
        return Ok(Vec::new());
    };
    let count = (table.estimated_rows.unwrap_or_default() / PIECE_ROWS).min(MOST_PIECES);
    if count < 2 {
        return Ok(Vec::new());
    }
    let quoted = |name: &str| quote(Dialect::MariaDb, name);
    let column = format!("t.{}", quoted(&column.name)?);
    let relation = format!(
        "{}.{}",
        quoted(&table.name.schema)?,
        quoted(&table.name.name)?
    );
    let mut ends = [0; 2];
    for (end, extreme) in ends.iter_mut().zip(["min", "max"]) {
        let select = Select {
            sql: format!("SELECT {extreme}({column}) FROM {relation} AS t"),
            params: Vec::new(),
        };
        match session.integer(&select).await? {
            Some(value) => *end = value,
            None => return Ok(Vec::new()),
        }
    }
    let [lowest, highest] = ends;
    let borders: Vec<String> = borders(lowest, highest, count)
        .iter()
        .map(i128::to_string)
        .collect();
    Ok(ranges(&column, &borders))
}

/// Whether a column compares with a number as that number. MariaDB takes a `year` below 100 for one of this century or
/// the last.
fn is_whole(column: &Column) -> bool {
    use ColumnType::*;
    let is_integer = matches!(
        column.column_type,
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64
    );
    is_integer && !column.source_type.starts_with("year")
}

/// Where `count` equal pieces between two numbers meet: ascending, without the ends.
fn borders(from: i128, to: i128, count: u64) -> Vec<i128> {
    let (count, span) = (i128::from(count), to.saturating_sub(from));
    let mut borders: Vec<i128> = (1..count).map(|i| from + span * i / count).collect();
    borders.dedup();
    borders
}

/// The conditions of the ranges between the borders, the first without a lower and the last without an upper end.
fn ranges(term: &str, borders: &[String]) -> Vec<String> {
    let (Some(first), Some(last)) = (borders.first(), borders.last()) else {
        return Vec::new();
    };
    let mut ranges = vec![format!("{term} < {first}")];
    ranges.extend(
        borders
            .iter()
            .zip(borders.iter().skip(1))
            .map(|(low, high)| format!("{term} >= {low} AND {term} < {high}")),
    );
    ranges.push(format!("{term} >= {last}"));
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_meet_at_their_borders_and_are_open_at_their_ends() {
        let borders: Vec<String> = borders(0, 90, 3).iter().map(i128::to_string).collect();
        assert_eq!(
            ranges("t.id", &borders),
            ["t.id < 30", "t.id >= 30 AND t.id < 60", "t.id >= 60"]
        );
        assert_eq!(ranges("t.id", &[]), Vec::<String>::new());
    }

    #[test]
    fn a_key_of_years_is_not_cut() {
        let column = |source_type: &str, column_type| Column {
            name: "key".into(),
            source_type: source_type.into(),
            column_type,
            nullable: false,
        };
        assert!(is_whole(&column("smallint(6)", ColumnType::Int16)));
        assert!(!is_whole(&column("year(4)", ColumnType::Int16)));
        assert!(!is_whole(&column("varchar(9)", ColumnType::Text)));
    }

    proptest! {
        #[test]
        fn every_number_is_in_exactly_one_piece(from in -1000_i128..1000, span in 0_i128..5000, count in 0_u64..40, number in -3000_i128..9000) {
            let borders = borders(from, from + span, count);
            prop_assert!(borders.windows(2).all(|two| two[0] < two[1]));
            let mut edges = vec![i128::MIN];
            edges.extend(&borders);
            edges.push(i128::MAX);
            let pieces = edges.windows(2).filter(|ends| (ends[0]..ends[1]).contains(&number)).count();
            prop_assert_eq!(pieces, 1);
        }
    }
}

//! One JSON object per row. `docs/records.md` describes the format for its readers; a test holds the two equal.
//!
//! Both directions are written for a flat schema that is known beforehand, because general ones lose what must
//! be kept: they round decimals and fractions of seconds, pass duplicate columns, and stop at the year 9999.

mod cells;
mod column;
mod decode;
mod encode;
mod number;
mod reader;
mod text;
mod time;

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod law;
#[cfg(test)]
mod page;

pub use decode::JsonDecoder;
pub use encode::JsonEncoder;

use crate::model::Column;

/// What stands before each column's value: `{"first":`, `,"second":` and so on.
fn openings<'a>(columns: impl Iterator<Item = &'a Column>) -> Vec<Vec<u8>> {
    let opening = |(i, column): (usize, &Column)| {
        let mut opening = vec![if i == 0 { b'{' } else { b',' }];
        text::write(column.name.as_bytes(), &mut opening);
        opening.push(b':');
        opening
    };
    columns.enumerate().map(opening).collect()
}

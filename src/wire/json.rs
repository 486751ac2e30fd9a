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

/// What stands before a column's value: `{"first":` or `,"second":`.
struct Opening {
    text: Vec<u8>,
    /// Its beginning, padded: a copy of a fixed length is a few instructions instead of a call.
    padded: [u8; 32],
}

impl Opening {
    fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.text.len();
        if self.text.len() <= self.padded.len() {
            out.extend_from_slice(&self.padded);
            out.truncate(end);
        } else {
            out.extend_from_slice(&self.text);
        }
    }
}

fn openings<'a>(columns: impl Iterator<Item = &'a Column>) -> Vec<Opening> {
    let opening = |(i, column): (usize, &Column)| {
        let mut text = vec![if i == 0 { b'{' } else { b',' }];
        text::write(column.name.as_bytes(), &mut text);
        text.push(b':');
        let mut padded = [0; 32];
        padded
            .iter_mut()
            .zip(&text)
            .for_each(|(to, from)| *to = *from);
        Opening { text, padded }
    };
    columns.enumerate().map(opening).collect()
}

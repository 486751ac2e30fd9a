//! The words of the keys that take one of a few.

use super::Compression;
use crate::model::{Mode, OnValue};

pub(super) const MODES: &[(&str, Mode)] = &[
    ("bulk", Mode::Bulk),
    ("incrementing", Mode::Incrementing),
    ("timestamp", Mode::Timestamp),
    ("timestamp+incrementing", Mode::TimestampIncrementing),
];

/// What becomes of values that their column cannot carry exactly.
pub(super) const ON_VALUE: &[(&str, OnValue)] = &[
    ("stop", OnValue::Stop),
    ("reject", OnValue::Reject),
    ("null", OnValue::Null),
    ("text", OnValue::Text),
];

pub(super) const COMPRESSIONS: &[(&str, Compression)] = &[
    ("zstd", Compression::Zstd),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("none", Compression::None),
];

/// The words alone.
pub(super) fn of<T>(words: &[(&'static str, T)]) -> Vec<&'static str> {
    words.iter().map(|(word, _)| *word).collect()
}

/// The word that means `meant`.
pub(super) fn named<T: PartialEq>(words: &[(&'static str, T)], meant: T) -> String {
    let word = words.iter().find(|(_, meaning)| *meaning == meant);
    word.map_or_else(String::new, |(word, _)| (*word).to_owned())
}

//! Text of character sets that Unicode does not cover whole.
//!
//! The server converts text to UTF-8 on its way out, and puts `?` (some sets: U+FFFD) where a character has no
//! counterpart: private characters of EUC-KR or Shift_JIS, holes of CP1251. That would be another text, in silence.

use super::quoted;

/// Sets each of whose characters has a counterpart.
const COVERED: &[&str] = &[
    "utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf16le", "utf32", "ascii", "latin1", "binary",
];

/// How a text column is written in a SELECT list. Text that was changed by the conversion arrives as its own
/// bytes behind one that no UTF-8 begins with, so that it is refused like any bytes that are no text.
pub(super) fn selected(column: &str, character_set: &str) -> String {
    let name = quoted(column);
    if COVERED.contains(&character_set) {
        return name;
    }
    let converted = format!("CONVERT({name} USING utf8mb4)");
    let length = |text: &str| format!("CHAR_LENGTH(REPLACE({text}, '?', ''))");
    format!(
        "IF({} = {} AND LOCATE(_utf8mb4 x'EFBFBD', {converted}) = 0, {converted}, CONCAT(x'FF', BINARY {name}))",
        length(&name),
        length(&converted),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sets_with_holes_are_looked_at() {
        assert_eq!(selected("a`b", "utf8mb4"), "`a``b`");
        let korean = selected("name", "euckr");
        assert!(
            korean.starts_with("IF(") && korean.contains("BINARY `name`"),
            "{korean}"
        );
    }
}

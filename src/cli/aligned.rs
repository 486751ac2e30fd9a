//! Rows of text in aligned columns. Pure.

/// Between two columns.
const GAP: usize = 2;

/// Writes rows so that each column begins at one place. The last column is not padded.
pub fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (i, cell) in row.iter().enumerate() {
            match widths.get_mut(i) {
                Some(width) => *width = (*width).max(width_of(cell)),
                None => widths.push(width_of(cell)),
            }
        }
    }
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            let padding = width.saturating_sub(width_of(cell)) + GAP;
            line.extend(std::iter::repeat_n(' ', padding));
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.iter().map(line).collect()
}

/// Columns of a terminal that a text takes: letters of Korean, Chinese and Japanese take two.
pub fn width_of(text: &str) -> usize {
    let is_wide = |c: char| {
        matches!(u32::from(c),
            0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
            | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x20000..=0x3fffd)
    };
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// Joins parts by a separator into lines of at most `width`; a part is never cut.
pub fn wrapped(parts: &[String], separator: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if width_of(line) + width_of(separator) + width_of(part) <= width => {
                line.push_str(separator);
                line.push_str(part);
            }
            Some(line) => {
                line.push_str(separator.trim_end());
                lines.push(part.clone());
            }
            None => lines.push(part.clone()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_begin_at_one_place_whatever_the_script() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [
            row(["TABLE", "STATE", "GUARD"]),
            row(["ec.주문", "idle", "proven"]),
            row(["ec.order_items", "copying 12%", ""]),
        ];
        insta::assert_snapshot!(aligned(&rows).join("\n"), @r"
        TABLE           STATE        GUARD
        ec.주문         idle         proven
        ec.order_items  copying 12%
        ");
    }

    #[test]
    fn lines_are_broken_between_parts_only() {
        let parts = ["one", "twenty-two", "three", "four"].map(str::to_owned);
        assert_eq!(
            wrapped(&parts, ", ", 16),
            ["one, twenty-two,", "three, four"]
        );
        assert_eq!(
            wrapped(&parts, ", ", 3),
            ["one,", "twenty-two,", "three,", "four"]
        );
        assert!(wrapped(&[], ", ", 3).is_empty());
    }
}

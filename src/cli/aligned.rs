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

/// Columns of a terminal that a text takes: letters of Korean, Chinese and Japanese take two, colours none.
pub fn width_of(text: &str) -> usize {
    console::measure_text_width(text)
}

/// A text of at most `width` columns: what is longer ends in `…`.
pub fn cut(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

/// As [`aligned`], in lines of at most `width`: whole columns are left out, the last of `dispensable` first, and then
/// what is still too long is cut. Gives how many columns are left out, too.
pub fn fitted(rows: &[Vec<String>], width: usize, dispensable: &[usize]) -> (Vec<String>, usize) {
    let mut left_out: Vec<usize> = Vec::new();
    let mut spare = dispensable.iter().rev();
    loop {
        let kept: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let cells = row.iter().enumerate();
                let kept = cells.filter(|(i, _)| !left_out.contains(i));
                kept.map(|(_, cell)| cell.clone()).collect()
            })
            .collect();
        let lines = aligned(&kept);
        let fits = lines.iter().all(|line| width_of(line) <= width);
        match spare.next() {
            Some(column) if !fits => left_out.push(*column),
            _ => {
                let lines = lines.iter().map(|line| cut(line, width)).collect();
                return (lines, left_out.len());
            }
        }
    }
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
    fn a_narrow_terminal_leaves_columns_out_and_then_cuts() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [
            row(["TABLE", "STATE", "GUARD"]),
            row(["ec.주문내역", "following", "proven"]),
        ];
        let shown = |width| fitted(&rows, width, &[2]).0.join("\n");
        insta::assert_snapshot!(shown(80), @r"
        TABLE        STATE      GUARD
        ec.주문내역  following  proven
        ");
        insta::assert_snapshot!(shown(22), @r"
        TABLE        STATE
        ec.주문내역  following
        ");
        insta::assert_snapshot!(shown(9), @r"
        TABLE   …
        ec.주문…
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

//! The small languages inside options: regular expressions of tables, maps of columns, paths of days. Pure.

use std::time::Duration;

use crate::config::written_duration;

/// Globs that mean what a regular expression means, as far as that can be: names, `.*`, `\.`, and alternatives.
pub(super) fn globs(regex: &str) -> Option<Vec<String>> {
    let regex = regex.trim();
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    let regex = regex.strip_suffix('$').unwrap_or(regex);
    let mut globs = vec![String::new()];
    let mut rest = regex;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '(' => {
                let (inside, after) = rest.split_once(')')?;
                let inside = inside.strip_prefix("?:").unwrap_or(inside);
                let mut all = Vec::new();
                for choice in inside.split('|') {
                    for choice in self::globs(choice)? {
                        all.extend(globs.iter().map(|glob| format!("{glob}{choice}")));
                    }
                }
                globs = all;
                rest = after;
            }
            '|' => {
                globs.extend(self::globs(rest)?);
                return Some(globs);
            }
            '.' => match rest.chars().next() {
                Some('*') => {
                    rest = &rest[1..];
                    push(&mut globs, '*');
                }
                Some('+') => {
                    rest = &rest[1..];
                    push(&mut globs, '?');
                    push(&mut globs, '*');
                }
                // Many a list was written without escaping its dots, where one stands between schema and table.
                Some(next) if next.is_alphanumeric() || next == '_' || next == '(' => {
                    push(&mut globs, '.')
                }
                _ => push(&mut globs, '?'),
            },
            '\\' => {
                let escaped = rest.chars().next().filter(|c| !c.is_alphanumeric())?;
                rest = &rest[escaped.len_utf8()..];
                push(&mut globs, escaped);
            }
            '"' | '`' => {}
            c if c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '#' | '@') => {
                push(&mut globs, c)
            }
            _ => return None,
        }
        if rest.starts_with(['*', '+', '?', '{']) {
            return None;
        }
    }
    (!globs.iter().any(String::is_empty)).then_some(globs)
}

fn push(globs: &mut [String], c: char) {
    globs.iter_mut().for_each(|glob| glob.push(c));
}

/// `regex:[a|b]` entries of a map of columns: the expression and its columns.
pub(super) fn column_map(text: &str) -> Vec<(String, Vec<String>)> {
    let mut entries = Vec::new();
    let mut depth = 0_i32;
    let mut entry = String::new();
    for c in text.chars().chain([',']) {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth <= 0 {
            if let Some((regex, columns)) = entry.rsplit_once(':') {
                let columns = columns.trim().trim_matches(['[', ']']);
                let columns = columns
                    .split(['|', ','])
                    .map(str::trim)
                    .filter(|c| !c.is_empty());
                entries.push((
                    regex.trim().to_owned(),
                    columns.map(str::to_owned).collect(),
                ));
            }
            entry.clear();
        } else {
            entry.push(c);
        }
    }
    entries
}

/// What a path of days, e.g. `'year'=YYYY/'month'=MM/'day'=dd`, cuts by: the finest unit, and its directory's name.
pub(super) fn day_path(format: &str) -> Option<(&'static str, String)> {
    let mut finest: Option<(&'static str, String)> = None;
    for level in format.split('/') {
        let (label, pattern) = match level.split_once('=') {
            Some((label, pattern)) => (label.trim_matches('\'').to_owned(), pattern),
            None => (String::new(), level),
        };
        let unit = ["hour", "day", "month", "year"].into_iter().find(|unit| {
            let letters: &[char] = match *unit {
                "hour" => &['H', 'k', 'h'],
                "day" => &['d', 'D'],
                "month" => &['M'],
                _ => &['Y', 'y'],
            };
            unquoted(pattern).contains(letters)
        });
        if let Some(unit) = unit {
            finest = Some((unit, label));
        }
    }
    finest
}

/// A date pattern without the words in it.
fn unquoted(pattern: &str) -> String {
    pattern.split('\'').step_by(2).collect()
}

/// `SELECT * FROM table [WHERE condition]` taken apart; `None` where a query is anything else.
pub(super) fn plain_query(query: &str) -> Option<(String, Option<String>)> {
    let query = query.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let (select, rest) = first_word(query)?;
    let (star, rest) = first_word(rest)?;
    let (from, rest) = first_word(rest)?;
    let (table, rest) = first_word(rest)?;
    let is = |word: &str, wanted: &str| word.eq_ignore_ascii_case(wanted);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '"' | '`');
    if !is(select, "select") || star != "*" || !is(from, "from") || !table.chars().all(is_name) {
        return None;
    }
    let table = table.replace(['"', '`'], "");
    match first_word(rest) {
        None => Some((table, None)),
        Some((word, condition)) if is(word, "where") && is_condition(condition) => {
            Some((table, Some(condition.trim().to_owned())))
        }
        Some(_) => None,
    }
}

/// The first word of a text, and what stands behind it.
fn first_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Whether a query ends with it: no other clause, comment or statement follows, as far as can be seen.
fn is_condition(text: &str) -> bool {
    const MORE: [&str; 12] = [
        "join",
        "group",
        "order",
        "limit",
        "union",
        "having",
        "offset",
        "for",
        "select",
        "fetch",
        "intersect",
        "except",
    ];
    let is_closed = text.matches('\'').count().is_multiple_of(2);
    let outside: Vec<&str> = text.split('\'').step_by(2).collect();
    let outside = outside.join(" ");
    let hides =
        outside.contains("--") || outside.contains("/*") || outside.contains([';', '#', '$']);
    let goes_on = outside
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|word| MORE.iter().any(|more| word.eq_ignore_ascii_case(more)));
    !text.trim().is_empty() && is_closed && !text.contains('\\') && !hides && !goes_on
}

/// Whether a time zone is UTC, which is taken where none is written.
pub(super) fn is_utc(zone: &str) -> bool {
    const NAMES: [&str; 7] = ["UTC", "Etc/UTC", "GMT", "Etc/GMT", "Z", "Zulu", "UCT"];
    NAMES.contains(&zone)
}

/// Milliseconds of a connector as the file writes them: `5s`, `10m`.
pub(super) fn duration(milliseconds: u64) -> String {
    written_duration(Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_of_tables_is_globs_where_it_can_be() {
        let shown = |regex: &str| globs(regex).map(|globs| globs.join(" "));
        for (regex, expected) in [
            ("public\\.orders", Some("public.orders")),
            ("public.orders", Some("public.orders")),
            (
                "public\\.(orders|items)",
                Some("public.orders public.items"),
            ),
            ("log_.*", Some("log_*")),
            (".*", Some("*")),
            ("a|b.*", Some("a b*")),
            ("^shop\\..*$", Some("shop.*")),
            ("log_[0-9]+", None),
            ("o+", None),
            ("x{2}", None),
            ("", None),
        ] {
            assert_eq!(shown(regex).as_deref(), expected, "{regex}");
        }
    }

    #[test]
    fn a_path_of_days_is_its_finest_unit() {
        let shown = |format: &str| day_path(format).map(|(unit, name)| format!("{unit} {name}"));
        assert_eq!(shown("'dt'=YYYY-MM-dd").as_deref(), Some("day dt"));
        assert_eq!(
            shown("'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH").as_deref(),
            Some("hour hour")
        );
        assert_eq!(shown("YYYY/MM/dd").as_deref(), Some("day "));
        assert_eq!(shown("'all'").as_deref(), None);
    }

    #[test]
    fn only_a_plain_query_is_a_table_and_a_condition() {
        let taken = plain_query("SELECT * FROM public.orders WHERE status <> 'draft';");
        assert_eq!(
            taken,
            Some(("public.orders".into(), Some("status <> 'draft'".into())))
        );
        assert_eq!(plain_query("select * from t"), Some(("t".into(), None)));
        for other in [
            "SELECT a FROM t",
            "SELECT * FROM t JOIN u ON true",
            "SELECT * FROM t WHERE a ORDER BY b",
            "SELECT * FROM t WHERE (a)ORDER BY b",
            "SELECT * FROM t WHERE a IN (SELECT b FROM u)",
            "SELECT * FROM t WHERE a -- as before\nAND b",
            "SELECT * FROM t WHERE a = 'it''s' and b = 'x",
            "SELECT * FROM t WHERE a = 'it\\'s'",
            "SELECT * FROM t WHERE ",
            "",
        ] {
            assert_eq!(plain_query(other), None, "{other}");
        }
    }

    #[test]
    fn the_condition_of_a_query_is_taken_letter_by_letter() {
        let condition = |text: &str| plain_query(text).unwrap().1.unwrap();
        assert_eq!(
            condition("SELECT *\n  FROM t\n WHERE note = 'a  b\tc for  d'  AND x = ';' ; "),
            "note = 'a  b\tc for  d'  AND x = ';'"
        );
        assert_eq!(condition("select * from t where a\n  and b"), "a\n  and b");
    }

    #[test]
    fn a_map_of_columns_is_taken_apart_at_its_commas() {
        let map = column_map("public.a.*:[updated_at|created_at], public.b:[changed]");
        let expected = [
            (
                "public.a.*".to_owned(),
                vec!["updated_at".to_owned(), "created_at".to_owned()],
            ),
            ("public.b".to_owned(), vec!["changed".to_owned()]),
        ];
        assert_eq!(map, expected);
        assert_eq!(column_map("public.b:id")[0].1, ["id"]);
    }
}

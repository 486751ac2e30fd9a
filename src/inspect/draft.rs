//! A configuration file while it is written: lines of YAML with comments. Pure.
//!
//! Whatever stands in a name comes back from the file as it is: the parser is the judge of that in the tests.

/// Columns a comment takes at most.
const WIDTH: usize = 108;

/// Words that YAML takes for nothing.
const NOTHING: [&str; 4] = ["null", "Null", "NULL", "~"];

/// The lines so far.
#[derive(Debug, Default)]
pub struct Draft {
    lines: Vec<String>,
    depth: usize,
    /// What is written now stands behind `#`, for a person to take in.
    is_off: bool,
}

impl Draft {
    /// The file.
    pub fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }

    /// An empty line, unless one stands there or a block has just begun.
    pub fn gap(&mut self) {
        let is_due = |line: &String| !line.is_empty() && !line.ends_with(':');
        if self.lines.last().is_some_and(is_due) {
            self.lines.push(String::new());
        }
    }

    /// A remark for people, broken into lines.
    pub fn comment(&mut self, text: &str) {
        let indent = "  ".repeat(self.depth);
        let width = WIDTH.saturating_sub(indent.len());
        let words: Vec<String> = shown(text).split(' ').map(str::to_owned).collect();
        let mut line = String::new();
        for word in words {
            let wider = console::measure_text_width(&line) + console::measure_text_width(&word) + 1;
            if !line.is_empty() && wider > width {
                self.lines.push(format!("{indent}# {line}"));
                line = String::from("  ");
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        self.lines.push(format!("{indent}# {line}"));
    }

    /// A line for people to type, which is not broken.
    pub fn line_to_type(&mut self, text: &str) {
        let indent = "  ".repeat(self.depth);
        self.lines.push(format!("{indent}#   {}", shown(text)));
    }

    /// Begins a block; what follows stands in it until [`Draft::close`].
    pub fn open(&mut self, key: &str) {
        self.line(&format!("{}:", scalar(key)));
        self.depth += 1;
    }

    pub fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// What is written from here on is a comment, or is none.
    pub fn switch_off(&mut self, is_off: bool) {
        self.is_off = is_off;
    }

    /// `key: text`, whatever the text holds.
    pub fn value(&mut self, key: &str, text: &str) {
        self.line(&format!("{}: {}", scalar(key), literal(text)));
    }

    /// `key: ${env:NAME}` and what stands around it, followed when the file is read.
    pub fn reference(&mut self, key: &str, text: &str) {
        self.line(&format!("{}: {}", scalar(key), quoted(text)));
    }

    /// `key: [a, b]`.
    pub fn list(&mut self, key: &str, items: &[String]) {
        let items: Vec<String> = items.iter().map(|item| in_flow(item)).collect();
        self.line(&format!("{}: [{}]", scalar(key), items.join(", ")));
    }

    /// `key: { a: b }`.
    pub fn pairs(&mut self, key: &str, pairs: &[(String, String)]) {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, text)| format!("{}: {}", in_flow_key(name), in_flow(text)))
            .collect();
        self.line(&format!("{}: {{ {} }}", scalar(key), pairs.join(", ")));
    }

    fn line(&mut self, text: &str) {
        let sign = if self.is_off { "# " } else { "" };
        self.lines
            .push(format!("{}{sign}{text}", "  ".repeat(self.depth)));
    }
}

/// A text in one line of a comment: nothing in it can end the line.
fn shown(text: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => '\u{fffd}',
        c => c,
    };
    text.chars().map(plain).collect()
}

/// A key: no reference is followed in it.
fn scalar(text: &str) -> String {
    let body =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '+' | '(' | ')');
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '/')
        || text.starts_with("./");
    match is_plain && text.chars().all(body) && !NOTHING.contains(&text) {
        true => text.to_owned(),
        false => double_quoted(text),
    }
}

/// A value in which nothing is followed.
fn literal(text: &str) -> String {
    scalar(&text.replace("${", "$${"))
}

/// A value with references.
fn quoted(text: &str) -> String {
    let is_one = text.starts_with("${") && text.find('}') == Some(text.len() - 1);
    let is_plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '$' | '{' | '}' | ':' | '/' | '_' | '-' | '.')
    };
    match is_one && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => double_quoted(text),
    }
}

/// A value between braces or brackets.
fn in_flow(text: &str) -> String {
    match text.contains("${") {
        true => double_quoted(&text.replace("${", "$${")),
        false => scalar(text),
    }
}

fn in_flow_key(text: &str) -> String {
    scalar(text)
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use proptest::prelude::*;

    /// A whole file in which one table has this name and one column that.
    fn file(table: &str, column: &str) -> String {
        let mut draft = Draft::default();
        draft.comment(&format!("{table} by {column}"));
        draft.open("lake");
        draft.value("url", "./lake");
        draft.close();
        draft.open("sources");
        draft.open("ec");
        draft.value("url", "postgres://cdc@localhost/shop");
        draft.open("tables");
        draft.comment(table);
        draft.line_to_type(column);
        draft.open(table);
        draft.value("mode", "incrementing");
        draft.value("incrementing", column);
        draft.pairs(
            "partition_by",
            &[("dt".to_owned(), format!("day({column})"))],
        );
        draft.open("columns");
        draft.list("drop", &[column.to_owned()]);
        draft.text()
    }

    proptest! {
        #[test]
        fn every_name_comes_back_from_the_file(table in "[^\\.\\*\\?\0]{1,30}", column in "[^\0\\s]{1,30}") {
            let text = file(&table, &column);
            let settings = config::parse(&text, "cdc.yaml");
            prop_assert!(settings.is_ok(), "{text}\n{}", settings.unwrap_err());
            let settings = settings.unwrap();
            let read = &settings.sources[0].tables[0];
            prop_assert_eq!(&read.pattern, &table);
            prop_assert_eq!(read.incrementing.as_deref(), Some(column.as_str()));
            prop_assert_eq!(&read.columns.drop, std::slice::from_ref(&column));
        }
    }

    #[test]
    fn plain_words_stand_as_they_are_and_others_in_quotes() {
        let words = [
            "orders", "./lake", "null", "", "a b", "yes", "12", "a: b", "#x", "${env:X}", "매장",
        ];
        let written: Vec<String> = words.iter().map(|word| literal(word)).collect();
        assert_eq!(
            written.join(" "),
            r##"orders ./lake "null" "" "a b" yes 12 "a: b" "#x" "$${env:X}" "매장""##
        );
        assert_eq!(quoted("${env:EC_URL}"), "${env:EC_URL}");
        assert_eq!(
            quoted("postgres://${env:U}:${env:P}@db/shop"),
            "\"postgres://${env:U}:${env:P}@db/shop\""
        );
    }
}

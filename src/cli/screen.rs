//! What stdout is: a terminal of some width, or a pipe that takes everything as it is.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use console::{Color, Style, Term};

use super::aligned::cut;

/// Stdout.
#[derive(Clone, Copy, Debug, Default)]
pub struct Screen {
    /// Columns and rows, of a terminal.
    pub size: Option<(usize, usize)>,
    pub has_color: bool,
}

impl Screen {
    pub fn of_stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Screen::default();
        }
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|name| name == "dumb");
        let (rows, columns) = Term::stdout().size();
        Screen {
            size: Some((columns.into(), rows.into())),
            has_color: !is_plain,
        }
    }

    pub fn is_terminal(&self) -> bool {
        self.size.is_some()
    }

    /// Columns of a line; a pipe has no end of them.
    pub fn width(&self) -> usize {
        self.size.map_or(usize::MAX, |(columns, _)| columns)
    }

    /// Colours a text, where there are colours.
    pub fn paint(&self, text: &str, color: Color) -> String {
        match self.has_color {
            true => Style::new()
                .force_styling(true)
                .fg(color)
                .apply_to(text)
                .to_string(),
            false => text.to_owned(),
        }
    }

    /// Draws lines where the last ones stand, on a terminal; `before` is how many those were. Lines that do not fit
    /// are cut, and those below the screen are counted. Gives how many lines stand there now.
    pub fn redraw(&self, lines: &[String], before: usize) -> usize {
        let frame = self.frame(lines);
        let mut text = String::new();
        if before > 0 {
            let _ = write!(text, "\x1b[{before}A");
        }
        for line in &frame {
            let _ = writeln!(text, "\r{line}\x1b[K");
        }
        text.push_str("\x1b[J");
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        frame.len()
    }

    /// The lines that fit: one row is left for the cursor.
    fn frame(&self, lines: &[String]) -> Vec<String> {
        let (columns, rows) = self.size.unwrap_or((usize::MAX, usize::MAX));
        let room = rows.saturating_sub(1).max(1);
        let mut frame: Vec<String> = lines.iter().map(|line| cut(line, columns)).collect();
        if frame.len() > room {
            let hidden = frame.len() - room + 1;
            frame.truncate(room - 1);
            frame.push(cut(&format!("… {hidden} more lines"), columns));
        }
        frame
    }
}

/// A text that changes nothing but the line it stands in: control characters, and those that turn the direction of
/// writing, are written as escapes.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_harmful(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same in JSON, where such characters stand in strings alone: what is read from it stays the same.
pub fn harmless_json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match is_harmful(c) && c != '\n' {
            true => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_command_the_terminal() {
        let evil = "a\x1b[2J\nb\u{9b}31m\u{202e}c\t매장";
        assert_eq!(harmless(evil), "a\\u{1b}[2J\\nb\\u{9b}31m\\u{202e}c\\t매장");
        assert!(matches!(harmless("매장 7 — ok"), Cow::Borrowed(_)));
        let json = serde_json::to_string(evil).unwrap();
        let safe = harmless_json(&json);
        assert!(!safe.chars().any(is_harmful), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), evil);
    }

    #[test]
    fn a_frame_fits_the_screen_and_counts_what_does_not() {
        let screen = Screen {
            size: Some((6, 4)),
            has_color: false,
        };
        let lines = ["one", "two and more", "three", "four"].map(str::to_owned);
        assert_eq!(screen.frame(&lines), ["one", "two a…", "… 2 m…"]);
        assert_eq!(screen.frame(&lines[..3]), ["one", "two a…", "three"]);
    }

    #[test]
    fn colours_are_for_terminals() {
        let plain = Screen::default();
        assert_eq!(plain.paint("FAIL", Color::Red), "FAIL");
        let coloured = Screen {
            size: Some((80, 24)),
            has_color: true,
        };
        assert_eq!(coloured.paint("FAIL", Color::Red), "\x1b[31mFAIL\x1b[0m");
    }
}

//! `where:`: a condition in the user's own SQL. Pure.
//!
//! It is put in parentheses into every statement of its table, so it must be one expression and nothing else:
//! whatever could end the parentheses early, hide the rest of a statement or take a bound value's place is
//! refused. What it *means* is for the database to say.

use super::DatabaseKind;

/// The condition, trimmed; the refusal is the rest of a sentence that begins with it. Where the database is
/// not known the rules of both hold.
pub(super) fn checked(text: &str, kind: Option<DatabaseKind>) -> Result<&str, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty; write a condition, e.g. `where: status <> 'draft'`".to_owned());
    }
    if text.contains('\0') {
        return Err("holds a NUL character".to_owned());
    }
    if let Some(word) = text.get(..5)
        && word.eq_ignore_ascii_case("where")
        && text.chars().nth(5).is_some_and(char::is_whitespace)
    {
        return Err("begins with the word `where`; write the condition alone".to_owned());
    }
    let (postgres, mariadb) = (
        kind != Some(DatabaseKind::MariaDb),
        kind != Some(DatabaseKind::Postgres),
    );
    let mut depth = 0_usize;
    let mut before = ' ';
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = rest.as_str().chars().next();
        match (c, next) {
            ('\'' | '"' | '`', _) => {
                let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                let escape_string = c == '\'' && matches!(before, 'e' | 'E') && {
                    let read = &text[..text.len() - rest.as_str().len() - 1];
                    !read.chars().rev().nth(1).is_some_and(is_word)
                };
                let backslashes = c != '`' && (escape_string || mariadb);
                let after = behind_quote(rest.as_str(), c, backslashes)
                    .ok_or_else(|| format!("opens {c} and never closes it"))?;
                rest = after.chars();
            }
            ('(', _) => depth += 1,
            (')', _) => {
                depth = depth
                    .checked_sub(1)
                    .ok_or("closes a parenthesis that it did not open")?;
            }
            (';', _) => {
                return Err("holds `;` outside quotes; it must be one condition".to_owned());
            }
            ('-', Some('-')) | ('/', Some('*')) => return Err(comment(c)),
            ('#', _) if mariadb => return Err(comment(c)),
            ('?', _) if mariadb => {
                return Err("holds `?` outside quotes; write values out".to_owned());
            }
            ('$', _) if postgres => {
                return Err(
                    "holds `$` outside quotes; write values out, in single quotes".to_owned(),
                );
            }
            _ => {}
        }
        before = c;
    }
    match depth {
        0 => Ok(text),
        _ => Err("opens a parenthesis that it does not close".to_owned()),
    }
}

fn comment(begin: char) -> String {
    let begin = match begin {
        '-' => "--",
        '/' => "/*",
        _ => "#",
    };
    format!("holds a comment (`{begin}`), which would hide the rest of the statement")
}

/// What follows the closing quote. A doubled quote is part of the text, and so is one behind a backslash
/// where that escapes.
fn behind_quote(text: &str, quote: char, backslashes: bool) -> Option<&str> {
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\\' && backslashes {
            rest.next();
        } else if c == quote {
            match rest.as_str().strip_prefix(quote) {
                Some(after) => rest = after.chars(),
                None => return Some(rest.as_str()),
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POSTGRES: Option<DatabaseKind> = Some(DatabaseKind::Postgres);
    const MARIADB: Option<DatabaseKind> = Some(DatabaseKind::MariaDb);

    #[test]
    fn one_condition_is_taken_as_it_is() {
        for (text, kind) in [
            ("status = 'paid'", None),
            (" (a > 1 or b is null) and c in (1, 2) ", None),
            ("note <> 'it''s (;) -- fine /* here */ # ? $1'", None),
            ("\"odd \"\" name\" > 1", POSTGRES),
            ("`odd `` name` > 1", MARIADB),
            ("note = 'a\\'; b'", MARIADB),
            ("note = E'a\\'; b'", POSTGRES),
            ("path = 'c:\\'", POSTGRES),
            ("typee'x' is null", POSTGRES),
            ("doc ? 'key' and doc #>> '{a}' = 'b'", POSTGRES),
            ("주문상태 = '완료'", None),
        ] {
            assert_eq!(checked(text, kind), Ok(text.trim()), "{text}");
        }
    }

    #[test]
    fn what_could_reach_beyond_its_parentheses_is_refused() {
        for (text, kind, why) in [
            ("", None, "is empty"),
            ("where a = 1", None, "the word `where`"),
            ("a = 1; drop table t", None, "`;`"),
            ("a = 1 -- all", None, "a comment (`--`)"),
            ("a = 1 /* all", None, "a comment (`/*`)"),
            ("a = 1 # all", MARIADB, "a comment (`#`)"),
            ("a = 1) or (1 = 1", None, "did not open"),
            ("(a = 1", None, "does not close"),
            ("a = 'x", None, "opens ' and never closes it"),
            ("a = 'c:\\'", MARIADB, "opens ' and never closes it"),
            (
                "a = E'\\') or (1 = 1",
                POSTGRES,
                "opens ' and never closes it",
            ),
            ("\"a = 1", POSTGRES, "opens \" and never closes it"),
            ("a = ?", MARIADB, "`?`"),
            ("a = $1", POSTGRES, "`$`"),
            ("a = $$x$$", POSTGRES, "`$`"),
            ("a = '\0'", None, "NUL"),
        ] {
            let refusal = checked(text, kind).unwrap_err();
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn no_text_whatever_breaks_the_check(text in "\\PC{0,40}") {
            for kind in [None, POSTGRES, MARIADB] {
                let _ = checked(&text, kind);
            }
        }

        #[test]
        fn outside_quotes_parentheses_always_balance(text in "[a()' ]{0,20}") {
            if let Ok(condition) = checked(&text, POSTGRES) {
                let mut depth = 0_i32;
                let mut quoted = false;
                for c in condition.chars() {
                    match c {
                        '\'' => quoted = !quoted,
                        '(' if !quoted => depth += 1,
                        ')' if !quoted => depth -= 1,
                        _ => {}
                    }
                    prop_assert!(depth >= 0);
                }
                prop_assert!(depth == 0 && !quoted);
            }
        }
    }
}

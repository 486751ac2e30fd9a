//! `${env:NAME}` and `${file:/path}`: values that stand outside the file.
//!
//! They are followed after the YAML was parsed and inside values only, so what a variable holds can never
//! become a key, a list or a comment. What they gave is a [`Secret`] and appears in no message.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::Secret;

/// Larger files are not secrets but mistakes.
const LARGEST_SECRET_BYTES: usize = 64 * 1024;

/// One value of the file: as it was written, and what it means once its references were followed.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// As written; safe to show as far as the file itself is.
    pub written: String,
    pub pieces: Vec<Piece>,
}

/// A part of a value.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Literal(String),
    Referenced(Secret),
}

impl Text {
    /// What the value is, secrets included.
    pub fn value(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Referenced(secret) => secret.reveal().to_owned(),
        };
        self.pieces.iter().map(piece).collect()
    }

    /// In a URL: the piece with the last `@` that stands in the file, where user and password end.
    pub fn login_ends(&self) -> Option<usize> {
        let has_at = |piece: &Piece| matches!(piece, Piece::Literal(text) if text.contains('@'));
        self.pieces.iter().rposition(has_at)
    }

    /// Whether all of it stands in the file.
    pub fn is_literal(&self) -> bool {
        self.pieces
            .iter()
            .all(|piece| matches!(piece, Piece::Literal(_)))
    }
}

/// Where references lead: the process's environment and its file system, or a test's own.
pub(super) struct References<'a> {
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    pub file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

impl References<'_> {
    /// Follows every reference in `written`; `$${` stands for `${` itself.
    pub fn follow(&self, written: &str) -> Result<Text, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = written;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = after;
                continue;
            }
            literal.push_str(before);
            let (reference, after) = after.split_once('}').ok_or(
                "`${` is never closed by `}`; write `${env:NAME}` or `${file:/path}`, and `$${` for a `${` that is none",
            )?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Referenced(self.look_up(reference)?));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Text {
            written: written.to_owned(),
            pieces,
        })
    }

    fn look_up(&self, reference: &str) -> Result<Secret, String> {
        let found = match reference.split_once(':') {
            Some(("env", name)) => self.look_up_variable(name),
            Some(("file", path)) => self.look_up_file(path),
            _ => Err("is no reference; there are `${env:NAME}` and `${file:/path}`".to_owned()),
        };
        found.map_err(|why| format!("`${{{reference}}}` {why}"))
    }

    fn look_up_variable(&self, name: &str) -> Result<Secret, String> {
        if name.is_empty() {
            return Err("names no environment variable".to_owned());
        }
        let value = (self.variable)(name)
            .ok_or("is not set; set this environment variable where `cdc` runs")?;
        match value.into_string() {
            Ok(text) if text.is_empty() => Err("is set, but empty".to_owned()),
            Ok(text) => Ok(Secret::new(text)),
            Err(_) => Err("is not valid UTF-8".to_owned()),
        }
    }

    fn look_up_file(&self, path: &str) -> Result<Secret, String> {
        let path = Path::new(path);
        if !path.is_absolute() {
            return Err("needs an absolute path, e.g. `${file:/run/secrets/name}`".to_owned());
        }
        let bytes = (self.file)(path).map_err(|error| format!("cannot be read: {error}"))?;
        if bytes.len() > LARGEST_SECRET_BYTES {
            return Err(format!(
                "is larger than {LARGEST_SECRET_BYTES} bytes; is it the right file?"
            ));
        }
        let text = String::from_utf8(bytes).map_err(|_| "is not valid UTF-8")?;
        // Editors and `echo` end a file with a newline that is no part of the secret.
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        Ok(Secret::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(written: &str) -> Result<Text, String> {
        let variable = |name: &str| (name == "NAME").then(|| OsString::from("cdc"));
        let file = |path: &Path| match path.to_str() {
            Some("/run/secrets/word") => Ok(b"hush\n".to_vec()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let references = References {
            variable: &variable,
            file: &file,
        };
        references.follow(written)
    }

    #[test]
    fn references_are_followed_anywhere_in_a_value_and_never_shown() {
        let text = follow("${env:NAME}:${file:/run/secrets/word}@host").unwrap();
        assert_eq!(text.value(), "cdc:hush@host");
        assert!(!text.is_literal());
        assert!(!format!("{text:?}").contains("hush"));
        assert_eq!(follow("plain").unwrap().value(), "plain");
        assert_eq!(follow("").unwrap().value(), "");
    }

    #[test]
    fn a_doubled_dollar_stands_for_the_sign_itself() {
        let text = follow("a$${env:NAME} costs $5").unwrap();
        assert_eq!(text.value(), "a${env:NAME} costs $5");
        assert!(text.is_literal());
    }

    #[test]
    fn a_reference_that_leads_nowhere_says_which_and_why() {
        for (written, why) in [
            ("${env:OTHER}", "`${env:OTHER}` is not set"),
            ("${file:/none}", "`${file:/none}` cannot be read"),
            ("${file:none}", "`${file:none}` needs an absolute path"),
            ("${vault:kv/x}", "`${vault:kv/x}` is no reference"),
            ("${env:}", "`${env:}` names no environment variable"),
            ("${env:NAME", "`${` is never closed"),
        ] {
            let message = follow(written).unwrap_err();
            assert!(message.starts_with(why), "{message}");
        }
    }
}

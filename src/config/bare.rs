//! A database that is named without a file: on the command line.

use std::ffi::OsString;

use super::load::parse_bytes;
use super::reference::References;
use super::{DatabaseUrl, Problems, SourceSettings, defaults};

impl DatabaseUrl {
    /// Reads a URL as it would stand in the file, with its references. The message is the rest of a sentence and
    /// holds no part of the URL.
    pub fn parse_with_references(written: &str) -> Result<Self, String> {
        let references = References {
            variable: &|name| std::env::var_os(name),
            file: &|path| std::fs::read(path),
        };
        let text = references
            .follow(written)
            .map_err(|why| format!("cannot be followed: {why}"))?;
        DatabaseUrl::parse_written(&text)
    }
}

impl SourceSettings {
    /// A database of which nothing is known but its URL.
    pub fn bare(name: &str, url: DatabaseUrl) -> Self {
        SourceSettings {
            name: name.to_owned(),
            url,
            time_zone: jiff::tz::TimeZone::UTC,
            connections: defaults::CONNECTIONS,
            topic_prefix: None,
            include: Vec::new(),
            exclude: Vec::new(),
            tables: Vec::new(),
        }
    }
}

/// What is wrong with a file that was just written, wherever its references will lead.
pub fn check_written(text: &str, file_name: &str) -> Result<(), Problems> {
    let references = References {
        variable: &|_| Some(OsString::from("postgres://word@localhost/word")),
        file: &|_| Ok(b"postgres://word@localhost/word".to_vec()),
    };
    parse_bytes(text.as_bytes(), file_name, &references).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_on_the_command_line_may_be_a_reference_and_is_never_shown() {
        let url =
            DatabaseUrl::parse_with_references("postgres://cdc:hunter2@localhost/shop").unwrap();
        assert_eq!(url.database, "shop");
        for wrong in ["${env:CDC_NO_SUCH_URL}", "postgres://cdc:hunter2@localhost"] {
            let why = DatabaseUrl::parse_with_references(wrong).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}

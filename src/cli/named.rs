//! Databases named on the command line: `postgres://…`, `shop=postgres://…`, or a reference to either.

use crate::config::{DatabaseUrl, SourceSettings};
use crate::error::{Error, Kind, Result};

/// A database, and how the configuration may name its URL.
#[derive(Clone, Debug)]
pub struct Named {
    pub settings: SourceSettings,
    /// What stands in the file: a reference, never the URL.
    pub written: String,
    /// The variable that is still to be set so that the reference leads somewhere.
    pub to_export: Option<String>,
}

/// Whether a word of the command line is a database rather than a table.
pub fn is_database(word: &str) -> bool {
    let (_, url) = name_and_url(word);
    url.contains("://") || url.starts_with("${")
}

/// The databases of the command line. Names that are not given are those of the databases; no two are equal.
pub fn databases(words: &[String]) -> Result<Vec<Named>> {
    let mut named: Vec<Named> = Vec::new();
    for word in words {
        let one = database(word, &named)?;
        named.push(one);
    }
    Ok(named)
}

/// One database beside those there are. No message holds any part of the URL.
pub fn database(word: &str, others: &[Named]) -> Result<Named> {
    let (name, written) = name_and_url(word);
    let url = DatabaseUrl::parse_with_references(written).map_err(|why| {
        let whose = name.map_or("the URL".to_owned(), |name| format!("the URL of `{name}`"));
        Error::new(Kind::Usage, format!("{whose} {why}"))
            .hint("e.g. `postgres://user:password@host/database`, or `'${env:EC_URL}'` to keep it off the command line")
    })?;
    let is_taken = |name: &str| others.iter().any(|other| other.settings.name == name);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name = match name {
        Some(name) if is_taken(name) => {
            return Err(Error::new(
                Kind::Usage,
                format!("two databases are called `{name}`"),
            ));
        }
        Some(name) if !name.chars().all(allowed) => {
            let what = format!("`{name}` is no name for a source");
            return Err(
                Error::new(Kind::Usage, what).hint("it may hold letters, digits, `_` and `-` only")
            );
        }
        Some(name) => name.to_owned(),
        None => {
            let plain = |c: char| if allowed(c) { c } else { '_' };
            let plain: String = url.database.chars().map(plain).collect();
            let numbered = (2_u64..).map(|number| format!("{plain}-{number}"));
            let mut names = std::iter::once(plain.clone()).chain(numbered);
            names.find(|name| !is_taken(name)).unwrap_or(plain)
        }
    };
    let (written, to_export) = reference(&name, written);
    Ok(Named {
        settings: SourceSettings::bare(&name, url),
        written,
        to_export,
    })
}

/// `name=url` taken apart; an `=` may also be part of the URL.
fn name_and_url(word: &str) -> (Option<&str>, &str) {
    match word.split_once('=') {
        Some((name, url)) if !name.is_empty() && !name.contains([':', '/', '$', '?']) => {
            (Some(name), url)
        }
        _ => (None, word),
    }
}

/// How the file names a URL: as it was named here, by the variable that holds it already, or by one to be set.
fn reference(name: &str, written: &str) -> (String, Option<String>) {
    if written.contains("${") {
        return (written.to_owned(), None);
    }
    let is_plain = |name: &String| {
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let holding = std::env::vars_os().filter_map(|(name, value)| {
        let holds = value.to_str() == Some(written);
        holds.then(|| name.into_string().ok()).flatten()
    });
    if let Some(variable) = holding.filter(is_plain).min() {
        return (format!("${{env:{variable}}}"), None);
    }
    let upper = name.to_ascii_uppercase().replace('-', "_");
    let variable = match upper.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => format!("{upper}_URL"),
        false => format!("DB_{upper}_URL"),
    };
    (format!("${{env:{variable}}}"), Some(variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_has_the_name_it_is_given_or_its_own() {
        let words = [
            "postgres://cdc:hunter2@localhost/shop?sslmode=disable",
            "tills=mariadb://cdc@localhost/pos",
            "postgres://cdc@db/shop",
            "postgres://cdc@db/9%20lives",
        ];
        let named = databases(&words.map(str::to_owned)).unwrap();
        let shown: Vec<String> = named
            .iter()
            .map(|one| format!("{} {}", one.settings.name, one.written))
            .collect();
        assert_eq!(
            shown.join(", "),
            "shop ${env:SHOP_URL}, tills ${env:TILLS_URL}, shop-2 ${env:SHOP_2_URL}, 9_lives ${env:DB_9_LIVES_URL}"
        );
    }

    #[test]
    fn a_word_is_a_database_by_its_form() {
        for word in [
            "postgres://a@b/c",
            "ec=mariadb://a@b/c",
            "${env:X}",
            "ec=${file:/x}",
        ] {
            assert!(is_database(word), "{word}");
        }
        for word in ["orders", "ec.*", "shop.orders"] {
            assert!(!is_database(word), "{word}");
        }
    }

    #[test]
    fn a_wrong_url_is_refused_without_showing_it() {
        let error = database("ec=postgres://cdc:hunter2@localhost", &[]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(database("e c=postgres://cdc@localhost/x", &[]).is_err());
    }
}

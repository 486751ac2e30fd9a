//! The names that stand in a configuration file, for completing them while one types.
//!
//! Nothing is checked here and no reference is followed: at a prompt the secrets of the service are mostly out of
//! reach, and half a file still has names in it.

use std::ffi::OsString;
use std::path::Path;

use super::load::USUAL_FILE;
use super::reference::References;
use super::tree::{self, Entry, Node, What};

/// What a file calls one source, and the tables that stand there one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenSource {
    pub name: String,
    /// As written, without globs.
    pub tables: Vec<String>,
}

/// The names in the file at `path`, else in `cdc.yaml` in the working directory; none where it cannot be read.
pub fn written_names(path: Option<&Path>) -> Vec<WrittenSource> {
    let path = path.unwrap_or(Path::new(USUAL_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => names_in(&text),
        Err(_) => Vec::new(),
    }
}

fn names_in(text: &str) -> Vec<WrittenSource> {
    let references = References {
        variable: &|_| Some(OsString::from("unread")),
        file: &|_| Ok(b"unread".to_vec()),
    };
    let Some(root) = tree::read(text, &references, &mut Vec::new()) else {
        return Vec::new();
    };
    let sources = below(&root, "sources").map_or(&[][..], entries);
    let named = sources.iter().map(|source| WrittenSource {
        name: source.key.clone(),
        tables: below(&source.node, "tables")
            .map_or(&[][..], entries)
            .iter()
            .map(|table| table.key.clone())
            .filter(|name| !name.contains(['*', '?']))
            .collect(),
    });
    named.collect()
}

fn entries(node: &Node) -> &[Entry] {
    match &node.what {
        What::Block(entries) => entries,
        _ => &[],
    }
}

fn below<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let found = entries(node).iter().find(|entry| entry.key == key);
    found.map(|entry| &entry.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_without_the_secrets_and_in_a_file_that_is_not_right() {
        let text = "\
sources:
  ec:
    url: ${env:NOWHERE_SET}
    tables: { orders: { mode: incrementing }, 'log_*': { mode: bulk }, archive.orders: { mood: bulk } }
  pos: { url: '${file:/no/such/file}' }
lake: 7
";
        let names = names_in(text);
        let found: Vec<_> = names
            .iter()
            .map(|source| (source.name.as_str(), source.tables.join(" ")))
            .collect();
        assert_eq!(
            found,
            [
                ("ec", "orders archive.orders".to_owned()),
                ("pos", String::new())
            ]
        );
        for no_file in ["", "[", "sources", "sources: []", "sources: { ec: 1 }"] {
            assert!(
                names_in(no_file)
                    .iter()
                    .all(|source| source.tables.is_empty())
            );
        }
    }
}

//! The keys of the state topic. A format that never changes.

use ulid::Ulid;

use crate::model::{Minute, TableName};

/// What a record of the state topic is about. `table` is `<source>/<schema>/<table>`, percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StateKey {
    /// `t/<table>`: the table's head.
    Head { table: String },
    /// `f/<table>`: what keeps the table from working now.
    Trouble { table: String },
    /// `w/<table>/<minute>`: one minute of its seen window.
    Seen { table: String, minute: Minute },
    /// `q/<table>/<ULID>`: a request to its owner.
    Request { table: String, id: Ulid },
    /// `r/<table>/<ULID>`: the owner's answer.
    Outcome { table: String, id: Ulid },
    /// `_meta`: how many partitions the topic has, in each of them.
    Meta,
}

impl StateKey {
    pub fn head(table: &TableName) -> Self {
        StateKey::Head {
            table: table.key_tail(),
        }
    }

    /// The key of the table's head, which decides the partition of every record about the table.
    pub fn head_key(&self) -> Option<String> {
        match self {
            StateKey::Head { table }
            | StateKey::Trouble { table }
            | StateKey::Seen { table, .. }
            | StateKey::Request { table, .. }
            | StateKey::Outcome { table, .. } => Some(format!("t/{table}")),
            StateKey::Meta => None,
        }
    }

    /// Reads a key; `None` for one this version does not know.
    pub fn parse(key: &[u8]) -> Option<Self> {
        let key = std::str::from_utf8(key).ok()?;
        if key == "_meta" {
            return Some(StateKey::Meta);
        }
        let (sort, rest) = key.split_once('/')?;
        let table =
            |parts: usize, text: &str| (text.split('/').count() == parts).then(|| text.to_owned());
        if sort == "t" {
            return Some(StateKey::Head {
                table: table(3, rest)?,
            });
        }
        if sort == "f" {
            return Some(StateKey::Trouble {
                table: table(3, rest)?,
            });
        }
        let (name, last) = rest.rsplit_once('/')?;
        let table = table(3, name)?;
        match sort {
            "w" => Some(StateKey::Seen {
                table,
                minute: last.parse().ok()?,
            }),
            "q" => Some(StateKey::Request {
                table,
                id: Ulid::from_string(last).ok()?,
            }),
            "r" => Some(StateKey::Outcome {
                table,
                id: Ulid::from_string(last).ok()?,
            }),
            _ => None,
        }
    }
}

impl std::fmt::Display for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StateKey::Head { table } => write!(f, "t/{table}"),
            StateKey::Trouble { table } => write!(f, "f/{table}"),
            StateKey::Seen { table, minute } => write!(f, "w/{table}/{minute}"),
            StateKey::Request { table, id } => write!(f, "q/{table}/{id}"),
            StateKey::Outcome { table, id } => write!(f, "r/{table}/{id}"),
            StateKey::Meta => f.write_str("_meta"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_and_read_the_same_way_for_ever() {
        for text in [
            "t/ec/public/orders",
            "f/ec/public/orders",
            "w/ec/public/sales%20order/-29",
            "q/ec/public/orders/01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "r/ec/public/orders/01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "_meta",
        ] {
            let key = StateKey::parse(text.as_bytes()).expect(text);
            assert_eq!(key.to_string(), text);
        }
        for wrong in [
            "",
            "t",
            "t/a/b",
            "t/a/b/c/d",
            "f/a/b",
            "w/a/b/c/x",
            "q/a/b/c/1",
            "x/a/b/c",
            "meta",
        ] {
            assert_eq!(StateKey::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}

//! Names of tables and topics, and the one reversible escape that both topics and lake paths use.

use std::fmt;

/// A table of one source: `source` is its name in the configuration, `schema` the PostgreSQL schema or
/// the MariaDB database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The source's name in the configuration.
    pub source: String,
    /// PostgreSQL: the schema. MariaDB: the database.
    pub schema: String,
    /// The table's own name, exactly as the catalog spells it.
    pub name: String,
    /// Whether `schema` is the source's default one, so that people leave it out.
    pub in_default_schema: bool,
}

impl TableName {
    /// The name within its source as people write it: `orders`, or `archive.orders` outside the default schema.
    pub fn short(&self) -> String {
        if self.in_default_schema {
            self.name.clone()
        } else {
            format!("{}.{}", self.schema, self.name)
        }
    }

    /// The name within its source with each part escaped: the topic's name after the prefix, and the
    /// table's directory below `<source>/` in the lake.
    pub fn escaped(&self) -> String {
        if self.in_default_schema {
            escape_part(&self.name)
        } else {
            format!("{}.{}", escape_part(&self.schema), escape_part(&self.name))
        }
    }

    /// `<source>/<table>`: the table's directory below the lake's root.
    pub fn directory(&self) -> String {
        format!("{}/{}", self.source, self.escaped())
    }

    /// The name a state key was made of; `written` is the table as people write it, which tells whether its
    /// schema is the default one. `None` where the text is no such key.
    pub fn from_key_tail(tail: &str, written: &str) -> Option<Self> {
        let mut parts = tail.split('/').map(percent_decode);
        let (source, schema, name) = (parts.next()??, parts.next()??, parts.next()??);
        let in_default_schema = written == format!("{source}.{name}");
        parts.next().is_none().then_some(TableName {
            source,
            schema,
            name,
            in_default_schema,
        })
    }

    /// The key of this table's head in the state topic: `t/<source>/<schema>/<table>`, parts percent-encoded.
    pub fn head_key(&self) -> String {
        format!("t/{}", self.key_tail())
    }

    /// `<source>/<schema>/<table>` with each part percent-encoded: what follows `t/`, `w/`, `q/` and `r/`.
    pub fn key_tail(&self) -> String {
        format!(
            "{}/{}/{}",
            percent_encode(&self.source),
            percent_encode(&self.schema),
            percent_encode(&self.name)
        )
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.source, self.short())
    }
}

/// A Kafka topic's name: `[A-Za-z0-9._-]`, at most 249 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(String);

impl TopicName {
    /// The longest name Kafka accepts, in characters.
    pub const LONGEST: usize = 249;

    /// Checks characters and length; the message says what is wrong with it.
    pub fn new(name: impl Into<String>) -> Result<Self, String> {
        let name = name.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name == "." || name == ".." {
            Err(format!("`{name}` is no topic name"))
        } else if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
            Err(format!(
                "`{bad}` is not allowed in a topic name; allowed are letters, digits, `.`, `_` and `-`"
            ))
        } else if name.len() > Self::LONGEST {
            Err(format!(
                "the name is {} characters long; a topic name has at most {}",
                name.len(),
                Self::LONGEST
            ))
        } else {
            Ok(TopicName(name))
        }
    }

    /// The name as Kafka knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes a name part with `[A-Za-z0-9_]` only: each run of other characters becomes `-`, their code points
/// in lowercase hexadecimal joined by `_`, and `-`. `sales order` is `sales-20-order`. Reversible.
pub fn escape_part(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut in_run = false;
    for c in part.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            if in_run {
                out.push('-');
                in_run = false;
            }
            out.push(c);
        } else {
            out.push(if in_run { '_' } else { '-' });
            in_run = true;
            out.push_str(&format!("{:x}", u32::from(c)));
        }
    }
    if in_run {
        out.push('-');
    }
    out
}

/// Undoes [`escape_part`]; `None` where the text was not written by it.
pub fn unescape_part(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    for (i, piece) in escaped.split('-').enumerate() {
        if i % 2 == 0 {
            out.push_str(piece);
        } else {
            for code in piece.split('_') {
                out.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
            }
        }
    }
    (escape_part(&out) == escaped).then_some(out)
}

/// Percent-encodes every byte outside `[A-Za-z0-9_.-]` as `%XX`: parts of state keys and partition values.
pub fn percent_encode(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Undoes [`percent_encode`]; `None` where a `%` is not followed by two digits or the bytes are no UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_escape_reads_as_written_down() {
        assert_eq!(escape_part("order_items"), "order_items");
        assert_eq!(escape_part("sales order"), "sales-20-order");
        assert_eq!(escape_part("주문"), "-c8fc_bb38-");
        assert_eq!(escape_part("a.-b"), "a-2e_2d-b");
    }

    proptest! {
        #[test]
        fn every_name_comes_back_from_its_escape(name in ".{0,40}") {
            let escaped = escape_part(&name);
            prop_assert!(escaped.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'));
            prop_assert_eq!(unescape_part(&escaped), Some(name));
        }

        #[test]
        fn every_table_comes_back_from_its_key(schema in ".{1,9}", name in ".{1,9}", in_default_schema: bool) {
            let table = TableName { source: "ec".into(), schema, name, in_default_schema };
            prop_assert_eq!(TableName::from_key_tail(&table.key_tail(), &table.to_string()), Some(table));
        }
    }
}

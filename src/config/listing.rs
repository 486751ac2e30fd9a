//! The keys as a list, for the page of the configuration.

use super::keys::{FILE, Is, KAFKA_CONNECT, Key, Shape, Without};
use super::shape::{join, placeholder};

/// A key of the file, and all there is to know about it.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// `kafka.brokers`, `sources.NAME.tables.TABLE.mode`.
    pub path: String,
    pub standing: Standing,
    /// As Markdown, like all that follows.
    pub meaning: &'static str,
    pub form: String,
    pub default: String,
    /// The default alone, where it is one value.
    pub default_value: Option<String>,
    pub example: &'static str,
    /// What Kafka Connect calls it.
    pub connect: Vec<&'static str>,
}

/// Whether a key may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    There,
    /// Not in this version; what happens in its stead.
    Later(&'static str),
    /// Not here; why.
    Refused(&'static str),
}

/// Every key that holds values, and every one that is refused, in the order of the file.
pub fn known_keys() -> Vec<KnownKey> {
    let mut keys = Vec::new();
    gather(&FILE, "", &mut keys);
    keys
}

fn gather(shape: &'static Shape, path: &str, keys: &mut Vec<KnownKey>) {
    for key in shape.0 {
        let path = join(path, key.name);
        match key.is {
            Is::Block(below) => gather(below, &path, keys),
            Is::Named(below) => gather(below, &join(&path, placeholder(key.name)), keys),
            _ => keys.push(known(key, path)),
        }
    }
}

fn known(key: &'static Key, path: String) -> KnownKey {
    let connect = KAFKA_CONNECT.iter().filter(|theirs| theirs.key == path);
    // `mode` has one name in both, with the same words.
    let same = (path == "sources.NAME.tables.TABLE.mode").then_some("mode");
    KnownKey {
        standing: match key.is {
            Is::Later(instead) => Standing::Later(instead),
            Is::Refused(why) => Standing::Refused(why),
            _ => Standing::There,
        },
        meaning: key.meaning,
        form: match (key.is, key.form()) {
            (_, None) => String::new(),
            (Is::Words(_), Some(form)) => format!("{}; or column: word", form.in_words()),
            (_, Some(form)) => form.in_words(),
        },
        default: in_words(key.without),
        default_value: value(key.without),
        example: key.example,
        connect: connect.map(|theirs| theirs.name).chain(same).collect(),
        path,
    }
}

fn in_words(without: Without) -> String {
    match without {
        Without::Required => "required".to_owned(),
        Without::Default(value, why) => format!("`{}`: {why}", value()),
        Without::InWords(words) => words.to_owned(),
        Without::Inherited(Without::Required) => "that of `defaults`, else required".to_owned(),
        Without::Inherited(below) => format!("that of `defaults`; else {}", in_words(*below)),
    }
}

fn value(without: Without) -> Option<String> {
    match without {
        Without::Default(value, _) => Some(value()),
        Without::Inherited(below) => value(*below),
        Without::Required | Without::InWords(_) => None,
    }
}

//! A block of the tree under its shape, and the report of what is wrong in it.

use crate::config::keys::{Is, Shape};
use crate::config::problem::{Place, Problem};
use crate::config::reference::{Piece, Text};
use crate::config::shape::join;
use crate::config::tree::{Entry, Node, What};
use crate::error::Code;

/// The keys under one path of the file. What does not have its shape was reported before and is absent here.
pub(super) struct Block<'t> {
    pub path: String,
    /// Where the key stands that this block is under.
    pub place: Place,
    entries: &'t [Entry],
    pub shape: &'static Shape,
    /// Not even a block, so that nothing can be said to be missing in it.
    broken: bool,
}

/// One value, and where it stands.
#[derive(Clone)]
pub(super) struct Value<'t> {
    pub path: String,
    pub place: Place,
    pub text: &'t Text,
    /// What it is called where it is wrong.
    pub code: Code,
}

impl<'t> Block<'t> {
    pub fn new(node: &'t Node, shape: &'static Shape, path: String, place: Place) -> Self {
        let (entries, broken): (&[Entry], bool) = match &node.what {
            What::Block(entries) => (entries, false),
            What::Empty | What::Null(_) => (&[], false),
            _ => (&[], true),
        };
        Block {
            path,
            place,
            entries,
            shape,
            broken,
        }
    }

    fn entry(&self, key: &str) -> Option<&'t Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether `key` is missing, also under a name that was most likely meant to be it.
    pub fn lacks(&self, key: &str) -> bool {
        let is_meant = |entry: &Entry| {
            entry.key == key
                || (self.shape.find(&entry.key).is_none()
                    && self.shape.nearest(&entry.key) == Some(key))
        };
        !self.broken && !self.entries.iter().any(is_meant)
    }

    /// Whether `key` stands here with nothing under it.
    pub fn is_empty_at(&self, key: &str) -> bool {
        match self.entry(key).map(|entry| &entry.node.what) {
            Some(What::Empty | What::Null(_)) => true,
            Some(What::Block(entries)) => entries.is_empty(),
            _ => false,
        }
    }

    /// Where `key` stands, or the block itself where it is missing.
    pub fn place_of(&self, key: &str) -> Place {
        self.entry(key).map_or(self.place, |entry| entry.place)
    }

    /// The value under `key`.
    pub fn value(&self, key: &str) -> Option<Value<'t>> {
        let entry = self.entry(key)?;
        value(entry, join(&self.path, key), self.code_of(key))
    }

    /// What a wrong value of `key` is called.
    fn code_of(&self, key: &str) -> Code {
        self.shape
            .find(key)
            .map_or(Code::WRONG_SHAPE, |key| key.code())
    }

    /// The word under `key`, where a bare `null` is a word too.
    pub fn word(&self, key: &str) -> Option<Value<'t>> {
        word(self.entry(key)?, join(&self.path, key), self.code_of(key))
    }

    /// The words under `key`, each with its name.
    pub fn words(&self, key: &str) -> Vec<(&'t str, Place, Value<'t>)> {
        let path = join(&self.path, key);
        let pair = |entry: &'t Entry| {
            let word = word(entry, join(&path, &entry.key), self.code_of(key))?;
            Some((entry.key.as_str(), entry.place, word))
        };
        self.below(key).iter().filter_map(pair).collect()
    }

    /// The block under `key`, where it is one.
    pub fn block(&self, key: &str) -> Option<Block<'t>> {
        let entry = self.entry(key)?;
        match self.shape.find(key)?.is {
            Is::Block(shape) => {
                let path = join(&self.path, key);
                Some(Block::new(&entry.node, shape, path, entry.place))
            }
            _ => None,
        }
    }

    /// The blocks under `key`, each with its name.
    pub fn named(&self, key: &str) -> Vec<(&'t str, Block<'t>)> {
        let Some(Is::Named(shape)) = self.shape.find(key).map(|key| key.is) else {
            return Vec::new();
        };
        let path = join(&self.path, key);
        let named = |entry: &'t Entry| {
            let path = join(&path, &entry.key);
            let block = Block::new(&entry.node, shape, path, entry.place);
            (entry.key.as_str(), block)
        };
        self.below(key).iter().map(named).collect()
    }

    /// The values under `key`, each with its name.
    pub fn pairs(&self, key: &str) -> Vec<(&'t str, Place, Value<'t>)> {
        let path = join(&self.path, key);
        let pair = |entry: &'t Entry| {
            let value = value(entry, join(&path, &entry.key), self.code_of(key))?;
            Some((entry.key.as_str(), entry.place, value))
        };
        self.below(key).iter().filter_map(pair).collect()
    }

    /// Whether anything stands under `name` in the block under `key`, right or wrong.
    pub fn has_below(&self, key: &str, name: &str) -> bool {
        self.below(key).iter().any(|entry| entry.key == name)
    }

    fn below(&self, key: &str) -> &'t [Entry] {
        match self.entry(key).map(|entry| &entry.node.what) {
            Some(What::Block(entries)) => entries,
            _ => &[],
        }
    }

    /// The lists under `key`, each with its name.
    pub fn lists(&self, key: &str) -> Vec<(&'t str, Place, Vec<&'t Text>)> {
        let list = |entry: &'t Entry| match &entry.node.what {
            What::List(items) => {
                let values = items.iter().filter_map(|item| match &item.what {
                    What::Value(text) => Some(text),
                    _ => None,
                });
                Some((entry.key.as_str(), entry.place, values.collect()))
            }
            _ => None,
        };
        self.below(key).iter().filter_map(list).collect()
    }

    /// The values of the list under `key`.
    pub fn list(&self, key: &str) -> Vec<Value<'t>> {
        let path = join(&self.path, key);
        let item = |node: &'t Node| match &node.what {
            What::Value(text) => Some(Value {
                path: path.clone(),
                place: node.place,
                text,
                code: self.code_of(key),
            }),
            _ => None,
        };
        match self.entry(key).map(|entry| &entry.node.what) {
            Some(What::List(items)) => items.iter().filter_map(item).collect(),
            _ => Vec::new(),
        }
    }
}

fn value(entry: &Entry, path: String, code: Code) -> Option<Value<'_>> {
    match &entry.node.what {
        What::Value(text) => Some(Value {
            path,
            place: entry.node.place,
            text,
            code,
        }),
        _ => None,
    }
}

fn word(entry: &Entry, path: String, code: Code) -> Option<Value<'_>> {
    match &entry.node.what {
        What::Value(text) | What::Null(text) => Some(Value {
            path,
            place: entry.node.place,
            text,
            code,
        }),
        _ => None,
    }
}

impl Value<'_> {
    /// How a message may call the value: what a reference gave and what may hold a password is not shown.
    pub fn shown(&self) -> String {
        let written = &self.text.written;
        match self.text.pieces.as_slice() {
            [Piece::Referenced(_)] => format!("the value of `{written}`"),
            _ if written.contains('@') || written.is_empty() => "the value".to_owned(),
            [Piece::Literal(_)] => format!("`{written}`"),
            _ => format!("the value of `{written}`"),
        }
    }
}

/// Problems and warnings, gathered to the end.
#[derive(Default)]
pub(super) struct Report {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

impl Report {
    pub fn problem(&mut self, code: Code, place: Place, text: impl Into<String>) {
        self.problems.push(Problem::new(code, place, text));
    }

    pub fn warning(&mut self, place: Place, text: impl Into<String>) {
        self.warnings.push(Problem::warning(place, text));
    }

    /// What `parse` makes of the value; its refusal is the rest of a sentence that does not hold the value.
    pub fn parsed<T>(
        &mut self,
        value: Option<Value<'_>>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = value?;
        let parsed = parse(&value.text.value());
        self.accept(&value, parsed)
    }

    /// As [`Report::parsed`], where the refusal is a sentence that may hold the value itself.
    pub fn parsed_openly<T>(
        &mut self,
        value: Option<Value<'_>>,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = value?;
        match parse(&value.text.value()) {
            Ok(parsed) => Some(parsed),
            Err(why) if value.text.is_literal() => {
                self.problem(value.code, value.place, format!("`{}`: {why}", value.path));
                None
            }
            Err(_) => self.accept(&value, Err(format!("is no {wanted}"))),
        }
    }

    /// Reports why the value was refused.
    pub fn accept<T>(&mut self, value: &Value<'_>, parsed: Result<T, String>) -> Option<T> {
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                let text = format!("`{}`: {} {why}", value.path, value.shown());
                self.problem(value.code, value.place, text);
                None
            }
        }
    }
}

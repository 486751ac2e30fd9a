//! Every key of the file: what stands under it, what it means, its default and why, an example, and what Kafka Connect
//! calls it. The parser, the JSON Schema and the page of the configuration are all made from these tables.

use crate::error::Code;
use crate::model::Mode;

mod connect;
mod file;
mod form;
mod source;
mod table;

pub(super) use connect::KAFKA_CONNECT;
pub(super) use file::FILE;
pub(super) use form::Form;

/// The keys of one block.
pub(super) struct Shape(pub &'static [Key]);

/// A key, and all there is to know about it.
pub(super) struct Key {
    pub name: &'static str,
    pub is: Is,
    /// What it does, as Markdown.
    pub meaning: &'static str,
    pub without: Without,
    /// How it is written.
    pub example: &'static str,
    /// The only modes it belongs to, and what is so in the others.
    pub fits: Option<(&'static [Mode], &'static str)>,
}

/// What stands under a key.
#[derive(Clone, Copy)]
pub(super) enum Is {
    /// A single value.
    Value(Form),
    /// A list of values.
    List(Form),
    /// A block of known keys.
    Block(&'static Shape),
    /// Blocks of known keys, under names of the user's choice.
    Named(&'static Shape),
    /// Values under names of the user's choice.
    Pairs(Form),
    /// Lists of values under names of the user's choice.
    Lists(Form),
    /// One word; `null` may be it.
    Word(Form),
    /// One word, or words under names of the user's choice; `null` may be one.
    Words(Form),
    /// Nothing in this version; what happens in its stead.
    Later(&'static str),
    /// Nothing, because of this.
    Refused(&'static str),
}

/// What holds where the key is not written.
#[derive(Clone, Copy)]
pub(super) enum Without {
    /// The key must be written.
    Required,
    /// This value, because of this.
    Default(fn() -> String, &'static str),
    /// Something that is not one value, in words.
    InWords(&'static str),
    /// What `defaults` of the source says, else as below.
    Inherited(&'static Without),
}

impl Key {
    const fn new(name: &'static str, is: Is) -> Self {
        Key {
            name,
            is,
            meaning: "",
            without: Without::InWords("nothing"),
            example: "",
            fits: None,
        }
    }

    const fn means(self, meaning: &'static str) -> Self {
        Key { meaning, ..self }
    }

    const fn without(self, without: Without) -> Self {
        Key { without, ..self }
    }

    const fn example(self, example: &'static str) -> Self {
        Key { example, ..self }
    }

    const fn fits(self, modes: &'static [Mode], else_so: &'static str) -> Self {
        Key {
            fits: Some((modes, else_so)),
            ..self
        }
    }

    /// The form of its values, where it has any.
    pub fn form(&self) -> Option<Form> {
        match self.is {
            Is::Value(form)
            | Is::List(form)
            | Is::Pairs(form)
            | Is::Lists(form)
            | Is::Word(form)
            | Is::Words(form) => Some(form),
            Is::Block(_) | Is::Named(_) | Is::Later(_) | Is::Refused(_) => None,
        }
    }

    /// What a wrong value of it is called.
    pub fn code(&self) -> Code {
        self.form().map_or(Code::WRONG_SHAPE, Form::code)
    }

    /// Whether it may be written.
    pub fn is_there(&self) -> bool {
        !matches!(self.is, Is::Later(_) | Is::Refused(_))
    }
}

impl Shape {
    /// The key of this name.
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.0.iter().find(|key| key.name == name)
    }

    /// The keys that may be written.
    pub fn there(&self) -> impl Iterator<Item = &'static Key> {
        self.0.iter().filter(|key| key.is_there())
    }
}

/// A key that is refused with a reason, or is not there yet.
const fn none(name: &'static str, is: Is) -> Key {
    Key::new(name, is)
}

//! Kafka Connect's JDBC source and S3 sink connectors, translated into one configuration. Pure.
//!
//! `read.rs` reads the JSON documents, `options.rs` is the table of every option that has no equal, with the reason;
//! `source.rs`, `tables.rs`, `mapping.rs` and `sink.rs` translate what has one, `naming.rs`, `jdbc_url.rs`, `jdbc_tls.rs`, `expression.rs`
//! and `transforms.rs` the small languages inside, `reach.rs` compares globs; `write.rs` writes the file. No option is passed over in silence, and no password is written.

use std::collections::BTreeSet;

use crate::error::{Error, Kind, Result};

mod expression;
mod jdbc_tls;
mod jdbc_url;
mod mapping;
mod naming;
mod options;
mod reach;
mod read;
mod sink;
mod source;
mod tables;
mod transforms;
mod write;

use read::Sort;

/// The file, and what it cannot say.
#[derive(Debug)]
pub struct Translation {
    pub text: String,
    pub remarks: Vec<Remark>,
    /// Environment variables the file refers to.
    pub variables: BTreeSet<String>,
    /// How many connectors were read.
    pub connectors: usize,
}

/// An option of a connector, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    pub connector: String,
    pub key: String,
    pub weight: Weight,
    pub text: String,
}

/// How much a remark matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It has no equal: something is to be decided.
    NoEqual,
    /// It is there, and behaves in another way.
    Differs,
    /// It has no equal and needs none.
    NotNeeded,
}

impl Weight {
    /// As people read it.
    pub fn in_words(self) -> &'static str {
        match self {
            Weight::NoEqual => "has no equal",
            Weight::Differs => "differs",
            Weight::NotNeeded => "is not needed",
        }
    }
}

/// What the connectors' files do not say.
pub struct Around {
    pub pipeline: String,
    pub brokers: Option<String>,
    /// In the place of the connectors' own.
    pub topic_prefix: Option<String>,
    pub lake: Option<String>,
}

/// Translates documents, each with the name it is shown under.
pub fn translate(documents: &[(String, String)], around: &Around) -> Result<Translation> {
    let mut connectors = Vec::new();
    for (name, text) in documents {
        connectors.extend(read::connectors(name, text)?);
    }
    let mut notes = Notes::default();
    let (mut sources, mut sinks) = (Vec::new(), Vec::new());
    for connector in &connectors {
        match connector.sort {
            Sort::ConfluentSource | Sort::AivenSource => sources.push(connector),
            Sort::ConfluentSink | Sort::AivenSink => sinks.push(connector),
        }
    }
    if sources.is_empty() {
        return Err(
            Error::new(Kind::No, "there is no JDBC source connector among them")
                .about(documents.first().map_or_else(
                    || "the documents".to_owned(),
                    |(name, _)| format!("`{name}`"),
                ))
                .hint("give the source's document too: it says which database and which tables"),
        );
    }
    let mut capture = source::Capture::default();
    for connector in &sources {
        source::translate(connector, &mut capture, &mut notes)?;
    }
    let mut lake = sink::Lake::default();
    for connector in &sinks {
        sink::translate(connector, &mut lake, &mut capture, &mut notes);
    }
    sink::tell_days(&lake, &mut notes);
    if sinks.is_empty() {
        notes.say(
            "all",
            "s3.bucket.name",
            Weight::NoEqual,
            "no S3 sink connector was given: `lake.url` is a directory until you name the bucket",
        );
    }
    let text = write::file(&capture, &lake, around, &mut notes);
    Ok(Translation {
        text,
        variables: notes.variables,
        remarks: notes.remarks.into_iter().collect(),
        connectors: connectors.len(),
    })
}

/// What is gathered on the way.
#[derive(Default)]
struct Notes {
    remarks: BTreeSet<Remark>,
    variables: BTreeSet<String>,
}

impl Notes {
    fn say(&mut self, connector: &str, key: &str, weight: Weight, text: impl Into<String>) {
        self.remarks.insert(Remark {
            connector: connector.to_owned(),
            key: key.to_owned(),
            weight,
            text: text.into(),
        });
    }

    fn of(&self, connector: &str) -> impl Iterator<Item = &Remark> {
        self.remarks
            .iter()
            .filter(move |remark| remark.connector == connector)
    }
}

//! Every setting that holds, and where it comes from: the file, the `defaults` of a source, or the program.
//!
//! Values are shown as they are written. What a reference gave is not shown, nor a password.

use serde::Serialize;

use super::keys::{FILE, Is, Key, Shape, Without};
use super::pattern::is_glob;
use super::problem::Place;
use super::reference::Text;
use super::shape::join;
use super::tree::{Entry, Node, What};
use super::{LakePlace, Settings, client, words};
use crate::model::{Mode, Transform};

/// A setting that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// `sources.ec.tables.orders.every`
    pub path: String,
    pub value: String,
    pub origin: Origin,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// It is written there.
    File(Written),
    /// The `defaults` of its source say so.
    Defaults(Written),
    /// Nobody wrote it.
    BuiltIn { because: Option<String> },
}

/// A place in the file, and what the value there refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    pub file: String,
    pub line: usize,
    pub column: usize,
    /// `env:EC_URL`, `file:/run/secrets/kafka`
    pub references: Vec<String>,
}

/// Of a file that was found to be right.
pub(super) fn settings(root: &Node, file: &str, settings: &Settings) -> Vec<Setting> {
    let mut walk = Walk {
        file,
        settings,
        found: Vec::new(),
    };
    walk.block(&FILE, "", Some(root), None);
    walk.found
}

struct Walk<'w> {
    file: &'w str,
    settings: &'w Settings,
    found: Vec<Setting>,
}

/// What a table is in, beside its own block.
#[derive(Clone, Copy)]
struct Around<'w> {
    mode: Mode,
    is_glob: bool,
    /// Whether it has a level that `null_partition` is for.
    takes_null: bool,
    /// Whether it names the columns it keeps.
    keeps: bool,
    /// The same block of `defaults`.
    defaults: Option<&'w Node>,
}

impl<'w> Walk<'w> {
    fn block(
        &mut self,
        shape: &'static Shape,
        path: &str,
        node: Option<&'w Node>,
        around: Option<Around<'w>>,
    ) {
        for key in shape.there() {
            let path = join(path, key.name);
            let entry = node.and_then(|node| entry(node, key.name));
            match key.is {
                Is::Block(_) if key.name == "defaults" => {}
                Is::Block(_) if key.name == "kafka" && self.settings.kafka.is_none() => {}
                Is::Block(below) => {
                    let around = around.map(|around| Around {
                        defaults: around
                            .defaults
                            .and_then(|node| Some(&entry_of(node, key)?.node)),
                        ..around
                    });
                    self.block(below, &path, entry.map(|entry| &entry.node), around);
                }
                Is::Named(below) => {
                    let defaults = node.and_then(|node| Some(&self::entry(node, "defaults")?.node));
                    for entry in entry.map_or(&[][..], |entry| entries(&entry.node)) {
                        let path = join(&path, &entry.key);
                        let is_table = key.name == "tables";
                        let around = is_table.then(|| around_table(entry, defaults)).flatten();
                        self.block(below, &path, Some(&entry.node), around);
                    }
                }
                _ => self.key(key, &path, entry, around),
            }
        }
        if path == "kafka" {
            self.protocol(node);
        }
    }

    fn key(
        &mut self,
        key: &'static Key,
        path: &str,
        entry: Option<&'w Entry>,
        around: Option<Around<'w>>,
    ) {
        let is_written = entry.is_some_and(|entry| !matches!(entry.node.what, What::Empty));
        if let Some(entry) = entry.filter(|_| is_written) {
            self.written(path, entry, Origin::File);
        }
        let others = join(path, "*");
        let path = match entry.map(|entry| &entry.node.what) {
            // Columns that are not named are as `defaults` say, unless they are named together.
            Some(What::Block(words)) if matches!(key.is, Is::Words(_)) => {
                if words.iter().any(|entry| entry.key == "*") {
                    return;
                }
                &others
            }
            _ if is_written && !(key.name == "drop" && around.is_some()) => return,
            _ => path,
        };
        if !self.applies(key, path, around) {
            return;
        }
        let inherited = around.and_then(|around| entry_of(around.defaults?, key));
        match inherited.filter(|_| inherits(key, around)) {
            Some(entry) => self.written(path, entry, Origin::Defaults),
            None if is_written && path != others => {}
            None => self.built_in(path, key.without),
        }
    }

    /// Whether the key means anything here where it is not written.
    fn applies(&self, key: &Key, path: &str, around: Option<Around<'_>>) -> bool {
        if let Some(around) = around {
            let fits = key
                .fits
                .is_none_or(|(modes, _)| modes.contains(&around.mode));
            let is_idle = match key.name {
                "every" => around.mode == Mode::Bulk,
                "exclude" => !around.is_glob,
                "null_partition" => !around.takes_null,
                _ => false,
            };
            return fits && !is_idle;
        }
        let is_local = matches!(self.settings.lake.place, LakePlace::Local(_));
        let of_s3 = [
            "lake.endpoint",
            "lake.region",
            "lake.path_style",
            "lake.ca_file",
        ];
        !(is_local && of_s3.contains(&path))
    }

    /// What stands at an entry: a value, a list, or values with names.
    fn written(&mut self, path: &str, entry: &Entry, origin: fn(Written) -> Origin) {
        match &entry.node.what {
            What::Block(below) => {
                for entry in below {
                    self.written(&join(path, &entry.key), entry, origin);
                }
            }
            What::List(items) => {
                let texts: Vec<&Text> = items.iter().filter_map(text).collect();
                let values: Vec<String> = texts.iter().map(|text| shown(&text.written)).collect();
                let value = format!("[{}]", values.join(", "));
                let origin = origin(self.place(entry.node.place, &texts));
                self.add(path, value, origin);
            }
            _ => {
                let Some(text) = text(&entry.node) else {
                    return;
                };
                let is_secret = path.starts_with("kafka.client.")
                    && client::is_secret(&entry.key)
                    && text.is_literal();
                let value = match is_secret {
                    true => "***".to_owned(),
                    false => shown(&text.written),
                };
                let origin = origin(self.place(entry.node.place, &[text]));
                self.add(path, value, origin);
            }
        }
    }

    fn place(&self, place: Place, texts: &[&Text]) -> Written {
        Written {
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            references: texts
                .iter()
                .flat_map(|text| references(&text.written))
                .collect(),
        }
    }

    fn built_in(&mut self, path: &str, without: Without) {
        match without {
            Without::Required => {}
            Without::Inherited(below) => self.built_in(path, *below),
            Without::Default(value, why) => {
                let because = Some(why.to_owned());
                self.add(path, value(), Origin::BuiltIn { because });
            }
            Without::InWords(words) => {
                let value = match (path, &self.settings.lake.place) {
                    ("lake.path_style", LakePlace::S3 { path_style, .. }) => path_style.to_string(),
                    // What follows is advice, or a reason.
                    _ => words
                        .split([';', ':', ','])
                        .next()
                        .unwrap_or(words)
                        .to_owned(),
                };
                let because = (value != words).then(|| words.to_owned());
                self.add(path, value, Origin::BuiltIn { because });
            }
        }
    }

    /// TLS to brokers elsewhere, which nobody needs to write.
    fn protocol(&mut self, kafka: Option<&Node>) {
        const PROPERTY: &str = "security.protocol";
        let client = kafka.and_then(|node| entry(node, "client"));
        if client.is_some_and(|client| entry(&client.node, PROPERTY).is_some()) {
            return;
        }
        let settings = self.settings.kafka.as_ref();
        if let Some(protocol) = settings.and_then(|kafka| kafka.client.get(PROPERTY)) {
            let because = Some("a broker is not on this machine".to_owned());
            let value = protocol.reveal().to_owned();
            self.add(
                "kafka.client.security.protocol",
                value,
                Origin::BuiltIn { because },
            );
        }
    }

    fn add(&mut self, path: &str, value: String, origin: Origin) {
        self.found.push(Setting {
            path: path.to_owned(),
            value,
            origin,
        });
    }
}

/// Whether a table takes what its `defaults` say of this key.
fn inherits(key: &Key, around: Option<Around<'_>>) -> bool {
    let keeps = around.is_some_and(|around| around.keeps);
    matches!(key.without, Without::Inherited(_)) || (key.name == "drop" && !keeps)
}

fn around_table<'w>(table: &'w Entry, defaults: Option<&'w Node>) -> Option<Around<'w>> {
    let own = entry(&table.node, "mode");
    let mode = own.or_else(|| entry(defaults?, "mode"));
    let mode = text(&mode?.node)?.value();
    let (_, mode) = words::MODES.iter().find(|(word, _)| *word == mode)?;
    let levels = entry(&table.node, "partition_by");
    let takes_null = levels.is_some_and(|levels| {
        entries(&levels.node).iter().any(|level| {
            let level = text(&level.node).map(Text::value);
            let level = level.and_then(|text| Transform::parse(&text).ok());
            matches!(level, Some(Transform::Column(_) | Transform::Bucket(..)))
        })
    });
    let kept = entry(&table.node, "columns").and_then(|columns| entry(&columns.node, "keep"));
    let keeps =
        kept.is_some_and(|keep| matches!(&keep.node.what, What::List(items) if !items.is_empty()));
    Some(Around {
        mode: *mode,
        is_glob: is_glob(&table.key),
        takes_null,
        keeps,
        defaults,
    })
}

fn entries(node: &Node) -> &[Entry] {
    match &node.what {
        What::Block(entries) => entries,
        _ => &[],
    }
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    entries(node).iter().find(|entry| entry.key == key)
}

fn entry_of<'n>(node: &'n Node, key: &Key) -> Option<&'n Entry> {
    entry(node, key.name).filter(|entry| !matches!(entry.node.what, What::Empty))
}

fn text(node: &Node) -> Option<&Text> {
    match &node.what {
        What::Value(text) | What::Null(text) => Some(text),
        _ => None,
    }
}

/// A value as it is written, but for a password in a URL.
fn shown(written: &str) -> String {
    let hidden = || {
        let (scheme, rest) = written.split_once("://")?;
        let (login, place) = rest.rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{place}"))
    };
    hidden().unwrap_or_else(|| written.to_owned())
}

/// What a value refers to: `env:EC_URL`.
fn references(written: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = written;
    while let Some((before, after)) = rest.split_once("${") {
        rest = after;
        if before.ends_with('$') {
            continue;
        }
        if let Some((reference, after)) = after.split_once('}') {
            found.push(reference.to_owned());
            rest = after;
        }
    }
    found
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;

//! The JSON Schema of the file, for editors: made from the keys, so that it knows what the parser knows.
//!
//! A schema sees what YAML makes of the text (`5` is a number), and neither environment nor secret files; it says what
//! can be said of one value, and of few together. `tests/config` holds it to the parser file by file.

use serde_json::{Map, Value, json};

use super::keys::{FILE, Form, Is, KAFKA_CONNECT, Key, Shape, Without};
use super::shape::{join, placeholder};
use super::{client, words};

mod forms;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod validator;

use forms::{NAME, REFERENCE, TEXT, one};

/// The schema, in JSON Schema's draft 2020-12.
pub fn schema() -> Value {
    let mut schema = block(&FILE, "");
    let more = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cdc.yaml",
        "description": "The configuration of cdc. Its page is docs/configuration.md.",
        "$defs": {
            "text": { "type": ["string", "number", "boolean"], "minLength": 1, "pattern": TEXT },
            "reference": {
                "description": "A value that stands elsewhere: ${env:NAME} or ${file:/path}",
                "type": "string",
                "allOf": [{ "pattern": TEXT }, { "pattern": REFERENCE }],
            },
        },
    });
    add(&mut schema, more);
    schema
}

/// Adds the members of `more`.
fn add(schema: &mut Value, more: Value) {
    if let (Value::Object(schema), Value::Object(more)) = (schema, more) {
        schema.extend(more);
    }
}

/// A block of known keys.
fn block(shape: &'static Shape, path: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in shape.there() {
        properties.insert(key.name.to_owned(), property(key, &join(path, key.name)));
        if matches!(key.without, Without::Required) {
            required.push(key.name);
        }
    }
    let mut schema = json!({ "additionalProperties": false, "properties": properties });
    let more = match required.is_empty() {
        true => json!({ "type": ["object", "null"] }),
        false => json!({ "type": "object", "required": required }),
    };
    add(&mut schema, more);
    let together = together(shape, path);
    if !together.is_empty() {
        add(&mut schema, json!({ "allOf": together }));
    }
    schema
}

/// What stands under a key, and what is to be known about it.
fn property(key: &'static Key, path: &str) -> Value {
    let mut schema = match key.is {
        Is::Block(shape) => block(shape, path),
        Is::Named(shape) => named(key, shape, path),
        Is::Value(form) => one(form),
        Is::List(form) => json!({ "type": "array", "items": one(form) }),
        Is::Lists(form) => json!({ "type": ["object", "null"], "additionalProperties": one(form) }),
        Is::Word(form) => word(form),
        Is::Words(form) => json!({ "anyOf": [
            word(form),
            { "type": "object", "propertyNames": { "minLength": 1 }, "additionalProperties": word(form) },
        ]}),
        Is::Pairs(Form::Property) => client_properties(),
        Is::Pairs(form) => json!({
            "type": ["object", "null"],
            "propertyNames": {
                "pattern": "^[A-Za-z0-9_]+$",
                "not": { "pattern": "^[sS][nN][aA][pP][sS][hH][oO][tT]$" },
            },
            "additionalProperties": one(form),
        }),
        // Never there, so never a property.
        Is::Later(_) | Is::Refused(_) => json!(false),
    };
    add(&mut schema, notes(key, path));
    schema
}

/// Blocks under names of the user's choice.
fn named(key: &Key, shape: &'static Shape, path: &str) -> Value {
    let names = match key.name {
        // No dot at an end; of globs, no regular expression and no list.
        "tables" => json!({
            "pattern": r"^[^.]([\s\S]*[^.])?$",
            "not": { "allOf": [
                { "pattern": "[*?]" },
                { "pattern": r"^\^|\$$|[\[|\\,]" },
                { "pattern": r"^([A-Za-z0-9_.*?^$\[\]|()\\+-]+|[A-Za-z0-9_.*?, ]+)$" },
            ] },
        }),
        _ => json!({ "pattern": NAME }),
    };
    json!({
        "type": "object",
        "minProperties": 1,
        "propertyNames": names,
        "additionalProperties": block(shape, &join(path, placeholder(key.name))),
    })
}

/// One word, or the word `null`, which YAML reads as nothing.
fn word(form: Form) -> Value {
    json!({ "anyOf": [one(form), { "type": "null" }] })
}

fn client_properties() -> Value {
    let one_of = |words: &[&str]| {
        let upper = words.iter().map(|word| word.to_uppercase());
        let lower = words.iter().map(|word| word.to_lowercase());
        let all: std::collections::BTreeSet<String> = upper.chain(lower).collect();
        json!({ "anyOf": [{ "enum": all }, { "$ref": "#/$defs/reference" }] })
    };
    let mechanisms = one_of(client::MECHANISMS);
    json!({
        "type": ["object", "null"],
        "propertyNames": { "not": { "pattern": client::refused_pattern() } },
        "properties": {
            "security.protocol": one_of(client::PROTOCOLS),
            "sasl.mechanism": mechanisms.clone(),
            "sasl.mechanisms": mechanisms,
        },
        "additionalProperties": { "$ref": "#/$defs/text" },
        "if": {
            "type": "object",
            "required": ["security.protocol"],
            "properties": { "security.protocol": { "pattern": "^[sS][aA][sS][lL]" } },
        },
        "then": { "anyOf": [{ "required": ["sasl.mechanism"] }, { "required": ["sasl.mechanisms"] }] },
    })
}

/// What keys of one block mean for each other.
fn together(shape: &'static Shape, path: &str) -> Vec<Value> {
    let mut rules = fitting_modes(shape);
    let more = match path {
        "sources.NAME" => vec![
            // Each table has a mode, or `defaults` has one for all.
            json!({ "anyOf": [
                { "required": ["defaults"], "properties": { "defaults": { "type": "object", "required": ["mode"] } } },
                { "properties": { "tables": { "additionalProperties": { "type": "object", "required": ["mode"] } } } },
            ]}),
            // `exclude` is for globs.
            json!({ "properties": { "tables": { "patternProperties": {
                "^[^*?]*$": { "properties": { "exclude": { "maxItems": 0 } } },
            } } } }),
        ],
        "sources.NAME.tables.TABLE" => vec![json!({ "not": {
            "type": "object",
            "required": ["every", "schedule"],
        } })],
        "sources.NAME.tables.TABLE.columns" => vec![json!({ "not": {
            "type": "object",
            "required": ["keep", "drop"],
            "properties": { "keep": { "minItems": 1 }, "drop": { "minItems": 1 } },
        } })],
        "lake" => vec![json!({
            "if": { "required": ["url"], "properties": { "url": { "pattern": "^([./]|file:)" } } },
            "then": { "properties": { "endpoint": false, "region": false, "path_style": false, "ca_file": false } },
        })],
        _ => Vec::new(),
    };
    rules.extend(more);
    rules
}

/// Keys that belong to some modes only.
fn fitting_modes(shape: &'static Shape) -> Vec<Value> {
    let rule = |key: &Key| {
        let (modes, _) = key.fits?;
        let others = words::MODES
            .iter()
            .filter(|(_, mode)| !modes.contains(mode));
        let others: Vec<&str> = others.map(|(word, _)| *word).collect();
        Some(json!({
            "if": { "type": "object", "required": ["mode"], "properties": { "mode": { "enum": others } } },
            "then": { "properties": { key.name: false } },
        }))
    };
    shape.there().filter_map(rule).collect()
}

/// Meaning, default, example.
fn notes(key: &Key, path: &str) -> Value {
    let mut notes = Map::new();
    let theirs = KAFKA_CONNECT.iter().filter(|theirs| theirs.key == path);
    let theirs: Vec<&str> = theirs.map(|theirs| theirs.name).collect();
    let mut text = plain(key.meaning);
    if !theirs.is_empty() {
        text.push_str(&format!(" (Kafka Connect: {})", theirs.join(", ")));
    }
    if !text.is_empty() {
        notes.insert("description".to_owned(), json!(text));
    }
    if let Some(default) = default(key.without) {
        notes.insert("default".to_owned(), typed(key, &default));
    }
    let example: Option<Value> = serde_saphyr::from_str(key.example).ok();
    let at = |value: &Value| match value.get(key.name) {
        Some(example) => Some(example.clone()),
        None => value.get("columns")?.get(key.name).cloned(),
    };
    if let Some(example) = example.as_ref().and_then(at) {
        notes.insert("examples".to_owned(), json!([example]));
    }
    Value::Object(notes)
}

fn default(without: Without) -> Option<String> {
    match without {
        Without::Default(value, _) => Some(value()),
        Without::Inherited(below) => default(*below),
        Without::Required | Without::InWords(_) => None,
    }
}

/// A default as YAML reads it.
fn typed(key: &Key, text: &str) -> Value {
    let is_plain = matches!(
        key.form(),
        Some(Form::Count { .. } | Form::Replication { .. } | Form::Version | Form::Boolean)
    );
    let read = is_plain.then(|| serde_json::from_str(text).ok()).flatten();
    read.unwrap_or_else(|| json!(text))
}

/// Markdown without its links: `see [the lake](lake.md)` is `see the lake`.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, after)) = rest.split_once("](") {
        let (start, words) = before.rsplit_once('[').unwrap_or((before, ""));
        text.push_str(start);
        text.push_str(words);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    text
}

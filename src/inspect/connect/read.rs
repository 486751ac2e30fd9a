//! The documents: JSON in each of the shapes that Kafka Connect takes or gives.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Kind, Result};

/// One connector: its name and its options.
#[derive(Debug)]
pub(super) struct Connector {
    pub name: String,
    pub sort: Sort,
    pub options: BTreeMap<String, String>,
}

/// What a connector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    ConfluentSource,
    AivenSource,
    ConfluentSink,
    AivenSink,
}

#[rustfmt::skip]
const CLASSES: &[(&str, Sort)] = &[
    ("io.confluent.connect.jdbc.JdbcSourceConnector",          Sort::ConfluentSource),
    ("JdbcSourceConnector",                                    Sort::ConfluentSource),
    ("JdbcSource",                                             Sort::ConfluentSource),
    ("io.aiven.connect.jdbc.JdbcSourceConnector",              Sort::AivenSource),
    ("io.confluent.connect.s3.S3SinkConnector",                Sort::ConfluentSink),
    ("S3SinkConnector",                                        Sort::ConfluentSink),
    ("S3Sink",                                                 Sort::ConfluentSink),
    ("io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector", Sort::AivenSink),
    ("io.aiven.kafka.connect.s3.S3SinkConnector",              Sort::AivenSink),
    ("AivenKafkaConnectS3SinkConnector",                       Sort::AivenSink),
];

impl Connector {
    /// An option that says something.
    pub fn option(&self, key: &str) -> Option<&str> {
        let value = self.options.get(key)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// A list, as Connect writes it: with commas.
    pub fn list(&self, key: &str) -> Vec<String> {
        let value = self.option(key).unwrap_or_default();
        let items = value
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        items.map(str::to_owned).collect()
    }
}

/// The connectors of one document.
pub(super) fn connectors(document: &str, text: &str) -> Result<Vec<Connector>> {
    let text = text.trim_start_matches('\u{feff}');
    let root: Value = serde_json::from_str(text).map_err(|error| {
        // The parser's own words hold no value, but a place.
        let what = format!(
            "it is no JSON: line {}, column {}",
            error.line(),
            error.column()
        );
        refusal(document, what)
    })?;
    let mut found = Vec::new();
    gather(document, None, &root, &mut found)?;
    if found.is_empty() {
        return Err(refusal(document, "it holds no connector".to_owned()));
    }
    Ok(found)
}

fn refusal(document: &str, what: String) -> Error {
    Error::new(Kind::Config, what).about(format!("`{document}`")).hint(
        "a connector is `{\"name\": …, \"config\": {…}}`, or the options alone, or a list of either, as `GET /connectors/NAME` gives it",
    )
}

/// `{"name", "config"}`, the options alone, a list of either, or `{NAME: {"info": …}}`, as `?expand=info` gives it.
fn gather(
    document: &str,
    name: Option<&str>,
    value: &Value,
    found: &mut Vec<Connector>,
) -> Result<()> {
    match value {
        Value::Array(items) => {
            for item in items {
                gather(document, None, item, found)?;
            }
            Ok(())
        }
        Value::Object(object) => {
            let own = object.get("name").and_then(Value::as_str).or(name);
            if let Some(Value::Object(config)) = object.get("config") {
                return take(document, own, config, found);
            }
            if object.contains_key("connector.class") {
                return take(document, own, object, found);
            }
            if let Some(info) = object.get("info") {
                return gather(document, own, info, found);
            }
            for (name, below) in object {
                match below {
                    Value::Object(_) => gather(document, Some(name), below, found)?,
                    _ => {
                        return Err(refusal(
                            document,
                            format!("`{name}` stands where a connector should be"),
                        ));
                    }
                }
            }
            Ok(())
        }
        _ => Err(refusal(
            document,
            "it is neither an object nor a list".to_owned(),
        )),
    }
}

/// What a connector without a name is called: like its document.
fn unnamed(document: &str, before: usize) -> String {
    let file = document.rsplit('/').next().unwrap_or(document);
    let name = file.strip_suffix(".json").unwrap_or(file);
    match before {
        0 => name.to_owned(),
        before => format!("{name}-{}", before + 1),
    }
}

fn take(
    document: &str,
    name: Option<&str>,
    config: &Map<String, Value>,
    found: &mut Vec<Connector>,
) -> Result<()> {
    let mut options = BTreeMap::new();
    for (key, value) in config {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => continue,
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(refusal(
                    document,
                    format!("`{key}` is no text, number or boolean"),
                ));
            }
        };
        options.insert(key.clone(), text);
    }
    let class = options.get("connector.class").map(|class| class.trim());
    let Some(class) = class else {
        return Err(refusal(
            document,
            "a connector has no `connector.class`".to_owned(),
        ));
    };
    let Some((_, sort)) = CLASSES.iter().find(|(name, _)| *name == class) else {
        let what = format!("`{class}` is no connector that can be translated");
        return Err(Error::new(Kind::No, what).about(format!("`{document}`")).hint(
            "there are Confluent's and Aiven's JDBC source and S3 sink; leave the others out of the documents",
        ));
    };
    found.push(Connector {
        name: name.map_or_else(|| unnamed(document, found.len()), str::to_owned),
        sort: *sort,
        options,
    });
    Ok(())
}

//! The part of JSON Schema's draft 2020-12 that the schema of the file uses, for the tests. A keyword that it does not
//! know is a failure, so that nothing in the schema goes unchecked.

use regex::Regex;
use serde_json::{Map, Value};

/// Keywords that say something to people only.
const NOTES: [&str; 7] = [
    "$schema",
    "$defs",
    "title",
    "description",
    "default",
    "examples",
    "then",
];

pub(super) struct Validator<'s> {
    root: &'s Value,
}

impl<'s> Validator<'s> {
    pub fn new(root: &'s Value) -> Self {
        Validator { root }
    }

    /// The first thing in `value` that breaks the schema.
    pub fn broken(&self, value: &Value) -> Option<String> {
        self.breaks(self.root, value)
    }

    /// The same, of a part of the schema.
    pub fn breaks(&self, schema: &Value, value: &Value) -> Option<String> {
        let rules = match schema {
            Value::Bool(true) => return None,
            Value::Object(rules) => rules,
            _ => return Some("nothing may stand here".to_owned()),
        };
        rules
            .iter()
            .find_map(|(keyword, rule)| self.rule(keyword, rule, rules, value))
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        self.breaks(schema, value).is_none()
    }

    fn rule(
        &self,
        keyword: &str,
        rule: &Value,
        rules: &Map<String, Value>,
        value: &Value,
    ) -> Option<String> {
        let list = || rule.as_array().into_iter().flatten();
        let holds = match keyword {
            _ if NOTES.contains(&keyword) => true,
            "$ref" => {
                let path = rule.as_str().unwrap().trim_start_matches('#');
                return self.breaks(self.root.pointer(path).unwrap(), value);
            }
            "type" => match rule {
                Value::String(word) => is_of(word, value),
                _ => list().any(|word| is_of(word.as_str().unwrap(), value)),
            },
            "enum" => list().any(|word| word == value),
            "anyOf" => list().any(|schema| self.fits(schema, value)),
            "allOf" => return list().find_map(|schema| self.breaks(schema, value)),
            "not" => !self.fits(rule, value),
            "if" => {
                let then = rules.get("then").unwrap();
                return self
                    .fits(rule, value)
                    .then(|| self.breaks(then, value))
                    .flatten();
            }
            _ => match value {
                Value::Object(object) => return self.of_object(keyword, rule, rules, object),
                Value::Array(items) => return self.of_array(keyword, rule, items),
                Value::String(text) => of_text(keyword, rule, text),
                Value::Number(number) => of_number(keyword, rule, number.as_f64().unwrap()),
                Value::Null | Value::Bool(_) => true,
            },
        };
        (!holds).then(|| format!("{keyword}: {rule}: {value}"))
    }

    fn of_object(
        &self,
        keyword: &str,
        rule: &Value,
        rules: &Map<String, Value>,
        object: &Map<String, Value>,
    ) -> Option<String> {
        let below = |schema: &Value, key: &str, value: &Value| {
            self.breaks(schema, value).map(|why| format!("{key}.{why}"))
        };
        match keyword {
            "properties" => {
                let known = rule.as_object().unwrap().iter();
                known
                    .filter_map(|(key, schema)| Some((schema, key, object.get(key)?)))
                    .find_map(|(schema, key, value)| below(schema, key, value))
            }
            "patternProperties" => {
                rule.as_object()
                    .unwrap()
                    .iter()
                    .find_map(|(pattern, schema)| {
                        let pattern = Regex::new(pattern).unwrap();
                        let mut named = object.iter().filter(|(key, _)| pattern.is_match(key));
                        named.find_map(|(key, value)| below(schema, key, value))
                    })
            }
            "additionalProperties" => {
                assert!(
                    !rules.contains_key("patternProperties"),
                    "both in one place"
                );
                let known = rules.get("properties").and_then(Value::as_object);
                let is_known = |key: &str| known.is_some_and(|known| known.contains_key(key));
                let mut others = object.iter().filter(|(key, _)| !is_known(key));
                others.find_map(|(key, value)| below(rule, key, value))
            }
            "propertyNames" => object
                .keys()
                .find_map(|key| below(rule, key, &Value::String(key.clone()))),
            "required" => {
                let mut names = rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| name.as_str().unwrap());
                names
                    .find(|name| !object.contains_key(*name))
                    .map(|name| format!("no {name}"))
            }
            "minProperties" => {
                (object.len() < rule.as_u64().unwrap() as usize).then(|| "too few".to_owned())
            }
            _ => known_elsewhere(keyword),
        }
    }

    fn of_array(&self, keyword: &str, rule: &Value, items: &[Value]) -> Option<String> {
        let count = || rule.as_u64().unwrap() as usize;
        match keyword {
            "items" => items.iter().find_map(|item| self.breaks(rule, item)),
            "prefixItems" => {
                let mut pairs = rule.as_array().unwrap().iter().zip(items);
                pairs.find_map(|(schema, item)| self.breaks(schema, item))
            }
            "minItems" => (items.len() < count()).then(|| "too few".to_owned()),
            "maxItems" => (items.len() > count()).then(|| "too many".to_owned()),
            _ => known_elsewhere(keyword),
        }
    }
}

fn of_text(keyword: &str, rule: &Value, text: &str) -> bool {
    match keyword {
        "pattern" => Regex::new(rule.as_str().unwrap()).unwrap().is_match(text),
        "minLength" => text.chars().count() >= rule.as_u64().unwrap() as usize,
        _ => known_elsewhere(keyword).is_none(),
    }
}

fn of_number(keyword: &str, rule: &Value, number: f64) -> bool {
    match keyword {
        "minimum" => number >= rule.as_f64().unwrap(),
        "maximum" => number <= rule.as_f64().unwrap(),
        _ => known_elsewhere(keyword).is_none(),
    }
}

/// A keyword about another sort of value says nothing about this one.
fn known_elsewhere(keyword: &str) -> Option<String> {
    let known = [
        "properties",
        "patternProperties",
        "additionalProperties",
        "propertyNames",
        "required",
        "minProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "pattern",
        "minLength",
        "minimum",
        "maximum",
    ];
    assert!(
        known.contains(&keyword),
        "the tests do not know the keyword `{keyword}`"
    );
    None
}

fn is_of(word: &str, value: &Value) -> bool {
    match word {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("there is no type `{other}`"),
    }
}

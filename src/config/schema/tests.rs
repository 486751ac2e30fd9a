//! The schema is in `schemas/`, and agrees with the parser file by file.

use std::fs;
use std::path::Path;

use super::schema;
use super::validator::Validator;
use crate::config::tests::files;

const FILE: &str = "schemas/cdc.schema.json";

/// Wrong files that the schema takes, and why it cannot know better.
const BEYOND_A_SCHEMA: &[(&str, &str)] = &[
    (
        "booleans",
        "YAML makes booleans of `yes` and `True` before the schema sees them",
    ),
    (
        "globs-that-can-mean-no-table",
        "a schema does not compare names with each other",
    ),
    (
        "merge-keys",
        "YAML puts the keys in before the schema sees them",
    ),
    (
        "one-topic-twice",
        "a schema does not compare values with each other",
    ),
    (
        "what-a-reference-gave-is-never-shown",
        "a schema does not follow references",
    ),
];

/// What YAML makes of a file. `None` where it is none, which an editor says by itself.
fn read(path: &Path) -> Option<serde_json::Value> {
    serde_saphyr::from_str(&fs::read_to_string(path).ok()?).ok()
}

/// `CDC_UPDATE=1` writes it anew.
#[test]
fn the_schema_that_editors_read_is_made_from_the_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let made = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("CDC_UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == made,
        "{FILE} is old: CDC_UPDATE=1 cargo test --lib schema"
    );
}

#[test]
fn every_good_file_keeps_to_the_schema() {
    let schema = schema();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/cdc.yaml");
    for path in files("good").into_iter().chain([example]) {
        let file = read(&path).unwrap_or_else(|| panic!("{}", path.display()));
        let broken = Validator::new(&schema).broken(&file);
        assert_eq!(broken, None, "{}", path.display());
    }
}

#[test]
fn every_wrong_file_breaks_the_schema_but_for_what_a_schema_cannot_know() {
    let schema = schema();
    let mut taken: Vec<String> = Vec::new();
    for path in files("wrong") {
        let is_taken =
            read(&path).is_some_and(|file| Validator::new(&schema).broken(&file).is_none());
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        taken.extend(is_taken.then_some(name));
    }
    let mut named: Vec<&str> = BEYOND_A_SCHEMA.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    assert_eq!(taken, named);
}

/// The examples and defaults that an editor offers are themselves right.
#[test]
fn every_example_in_the_schema_keeps_to_it() {
    fn check(schema: &serde_json::Value, at: &str, root: &serde_json::Value) -> usize {
        let Some(properties) = schema.get("properties").and_then(|p| p.as_object()) else {
            let below = ["additionalProperties"]
                .iter()
                .filter_map(|key| schema.get(key));
            return below.map(|below| check(below, at, root)).sum();
        };
        let mut checked = 0;
        for (key, property) in properties {
            let at = format!("{at}.{key}");
            let validator = Validator::new(root);
            let examples = property
                .get("examples")
                .and_then(|examples| examples.as_array());
            let examples = examples
                .into_iter()
                .flatten()
                .chain(property.get("default"));
            for example in examples {
                assert_eq!(validator.breaks(property, example), None, "{at}: {example}");
                checked += 1;
            }
            checked += check(property, &at, root);
        }
        checked
    }
    let schema = schema();
    let checked = check(&schema, "", &schema);
    assert!(checked > 60, "only {checked} examples were found");
}

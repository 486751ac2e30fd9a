//! Where each setting of the good files comes from.

use std::fs;

use super::*;
use crate::config::load::origins_in;
use crate::config::tests::{files, folder, good, in_test_world};
use crate::config::units;

/// Every setting of a good file and where it comes from, as `path = value < origin`.
fn origins_of(name: &str) -> Vec<String> {
    let bytes = fs::read(folder("good").join(name)).unwrap();
    let settings = good(name);
    let found = in_test_world(|references| origins_in(&bytes, name, &settings, references));
    let line = |setting: Setting| {
        let place = |written: Written| {
            let Written {
                line,
                column,
                references,
                ..
            } = written;
            format!("{line}:{column} {}", references.join(" "))
        };
        let origin = match setting.origin {
            Origin::File(written) => place(written),
            Origin::Defaults(written) => format!("defaults {}", place(written)),
            Origin::BuiltIn { .. } => "built in".to_owned(),
        };
        format!("{} = {} < {}", setting.path, setting.value, origin.trim())
    };
    found.unwrap().into_iter().map(line).collect()
}

#[test]
fn each_setting_says_where_it_comes_from() {
    insta::assert_snapshot!(
        "origins_of_the_retailer",
        origins_of("retailer.yaml").join("\n")
    );
    insta::assert_snapshot!("origins_of_the_least", origins_of("least.yaml").join("\n"));
    insta::assert_snapshot!(
        "origins_without_kafka",
        origins_of("no-kafka.yaml").join("\n")
    );
}

/// What the origins say is what the settings are: both are found in ways of their own.
#[test]
fn the_values_with_an_origin_are_those_that_hold() {
    let mut compared = 0;
    for path in files("good") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let lines = origins_of(name);
        let value = |path: &str| {
            let line = lines
                .iter()
                .find_map(|line| line.strip_prefix(&format!("{path} = ")))?;
            line.rsplit_once(" < ").map(|(value, _)| value.to_owned())
        };
        for source in good(name).sources {
            for table in &source.tables {
                let at = |key: &str| {
                    value(&format!(
                        "sources.{}.tables.{}.{key}",
                        source.name, table.pattern
                    ))
                };
                let duration = |text: String| units::duration(&text).unwrap();
                assert_eq!(at("mode").as_deref(), Some(table.mode.as_str()), "{name}");
                assert_eq!(
                    at("every").map(duration),
                    table.every,
                    "{name} {}",
                    table.pattern
                );
                if table.mode != Mode::Bulk {
                    assert_eq!(at("lookback").map(duration), Some(table.lookback), "{name}");
                }
                let named = |column: &Option<String>, found: Option<String>| match column {
                    Some(column) => assert_eq!(found.as_ref(), Some(column), "{name}"),
                    None => assert!(
                        found.is_none_or(|found| found.contains("looks like")),
                        "{name}"
                    ),
                };
                named(&table.timestamp, at("timestamp"));
                named(&table.incrementing, at("incrementing"));
                if let Some(text) = &table.null_partition {
                    assert_eq!(at("null_partition").as_ref(), Some(text), "{name}");
                }
                compared += 1;
            }
        }
    }
    assert!(compared >= 8, "only {compared} tables were compared");
}

#[test]
fn no_origin_shows_a_secret() {
    for path in files("good") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let shown = origins_of(name).join("\n");
        assert!(!shown.contains("hunter2"), "{name}:\n{shown}");
    }
}

//! The page of grants says what the program uses and what the examples grant.

use std::collections::BTreeSet;

use super::{blocks, files, read, rows, spans};

const PAGE: &str = "docs/grants.md";

/// `head_object` → `HeadObject`.
fn operation(method: &str) -> String {
    let mut name = String::new();
    for word in method.split('_') {
        let (first, rest) = word.split_at(1);
        name += &first.to_uppercase();
        name += rest;
    }
    name
}

/// The operations in the store's own text: the first call on the client.
fn used() -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for file in files("src/lake/store", ".rs") {
        let text = read(&file.to_string_lossy());
        if file.ends_with("tests.rs") {
            continue;
        }
        let text: String = text.split_whitespace().collect();
        for (at, found) in text.match_indices(".client.") {
            let method = text[at + found.len()..]
                .split('(')
                .next()
                .unwrap_or_default();
            used.insert(operation(method));
        }
    }
    used
}

#[test]
fn the_operations_on_the_page_are_those_the_store_uses() {
    let page = read(PAGE);
    let table = page.split("| Operation of S3 |").nth(1).expect("the table");
    let on_the_page: BTreeSet<String> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| spans(line.split('|').nth(1).unwrap_or_default()))
        .map(str::to_owned)
        .collect();
    assert_eq!(on_the_page, used());
    assert!(on_the_page.len() > 8, "{on_the_page:?}");
}

#[test]
fn the_actions_of_the_policy_are_those_of_the_table() {
    let page = read(PAGE);
    let policy = blocks(&page, "json").concat();
    let policy: serde_json::Value = serde_json::from_str(&policy).expect("a policy");
    let mut granted = BTreeSet::new();
    for statement in policy["Statement"].as_array().expect("statements") {
        match &statement["Action"] {
            serde_json::Value::Array(actions) => {
                granted.extend(actions.iter().filter_map(|action| action.as_str()))
            }
            action => granted.extend(action.as_str()),
        }
    }
    let table = rows(&page, "Without it");
    let needed: BTreeSet<&str> = table
        .iter()
        .flat_map(|row| spans(row[1]))
        .filter(|span| span.starts_with("s3:"))
        .collect();
    assert_eq!(granted, needed);
}

#[test]
fn the_examples_roles_have_the_grants_of_the_page() {
    let page = read(PAGE);
    for (statements, file) in blocks(&page, "sql")
        .iter()
        .zip(["schemas/roles/postgres.sql", "schemas/roles/mariadb.sql"])
    {
        let roles = read(file);
        let of_page: Vec<&str> = statements.split(';').map(str::trim).collect();
        // The account itself is made with another password, and for the loopback address.
        for statement in of_page.iter().skip(1).filter(|text| !text.is_empty()) {
            assert!(
                roles.contains(&format!("{statement};")),
                "{file}: {statement}"
            );
        }
        let grants = |text: &str| {
            let granting =
                |line: &&str| line.starts_with("GRANT") || line.starts_with("ALTER DEFAULT");
            text.lines().filter(granting).count()
        };
        assert_eq!(grants(&roles), grants(statements), "{file}");
    }
}

//! A promise without a test is an opinion: every row under a heading `Test` names one that exists.

use std::collections::BTreeSet;

use super::{files, pages, read, rows, spans};

/// The names of all tests of the repository.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["src", "tests"] {
        for file in files(folder, ".rs") {
            let text = read(&file.to_string_lossy());
            let (mut is_test, mut is_list) = (false, false);
            for line in text.lines().map(str::trim) {
                if is_list {
                    is_list = line != "}";
                    names.extend(is_list.then(|| line.to_owned()));
                } else if let Some((_, listed)) = line.split_once("on_both_databases! {") {
                    // The names on one line, or one per line.
                    is_list = listed.is_empty();
                    names.extend(listed.split_whitespace().map(str::to_owned));
                } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                } else if let Some((_, rest)) = line.split_once("fn ") {
                    if is_test {
                        names.extend(rest.split('(').next().map(str::to_owned));
                    }
                    is_test = false;
                }
            }
        }
    }
    names
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let tests = tests();
    let mut promises = 0;
    for page in pages() {
        for row in rows(&page.text, "Test") {
            let named = spans(row.last().unwrap_or(&""));
            assert!(
                !named.is_empty(),
                "{}: no test holds `{}`",
                page.path,
                row[0]
            );
            for name in named {
                assert!(
                    tests.contains(name),
                    "{}: there is no test `{name}`",
                    page.path
                );
            }
            promises += usize::from(page.path == "docs/guarantees.md");
        }
    }
    assert!(
        promises > 30,
        "only {promises} promises were found in docs/guarantees.md"
    );
}

//! The page for bad nights quotes what the program really says.

use super::{files, read, rows, spans};

/// The sources as the compiler reads their texts: continued lines are one.
fn sources() -> String {
    let mut all = String::new();
    // The registry of codes quotes too.
    let is_said = |file: &std::path::PathBuf| !file.starts_with("src/error/codes");
    for file in files("src", ".rs").into_iter().filter(is_said) {
        let text = read(&file.to_string_lossy());
        let mut continued = false;
        for line in text.lines() {
            let line = if continued { line.trim_start() } else { line };
            continued = line.ends_with('\\');
            all.push_str(line.trim_end_matches('\\'));
            if !continued {
                all.push('\n');
            }
        }
    }
    all
}

#[test]
fn every_message_that_the_page_of_failures_quotes_is_one_of_the_programs() {
    let (page, sources) = (read("docs/failures.md"), sources());
    let mut quoted = 0;
    for row in rows(&page, "By itself") {
        assert_eq!(row.len(), 5, "{row:?}");
        for message in spans(row[0]) {
            assert!(
                sources.contains(message),
                "docs/failures.md: nothing says `{message}`"
            );
            quoted += 1;
        }
    }
    assert!(quoted > 30, "only {quoted} messages are quoted");
}

#[test]
fn the_exit_codes_of_the_page_of_failures_are_those_of_the_program() {
    let page = read("docs/failures.md");
    let told: Vec<u8> = rows(&page, "A scheduler should")
        .iter()
        .map(|row| row[0].parse().expect("a number"))
        .collect();
    use cdc::error::Kind::*;
    let kinds = [
        No,
        Usage,
        Data,
        Unavailable,
        Bug,
        LocalIo,
        TryLater,
        Permission,
        Config,
    ];
    let mut codes: Vec<u8> = kinds.iter().map(|kind| kind.exit_code()).collect();
    codes.insert(0, 0);
    assert_eq!(told, codes);
}

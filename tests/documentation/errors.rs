//! The page of the codes is made from the registry, and what the program prints leads there.

use std::fmt::Write;

use cdc::error::{Code, Explained};

use super::{read, root, rows, spans};

const PAGE: &str = "docs/errors.md";

const INTRODUCTION: &str = "\
# Errors and their codes

This page is rendered from the program itself: `CDC_UPDATE=1 cargo test --test documentation` writes it anew.

Every error has a code that never changes and is never given to another: `error[CDC-0201]: …`, `code` in JSON, and
`[CDC-0103]` at the end of a line about the configuration. `cdc explain CODE` prints what stands here, `cdc explain` the list
of all, both without a configuration. What to do on a bad night stands in the order of what you see on the page
[when something fails](failures.md).

A failure without a code of its own has the general one of its kind, whose number is the exit code. With a code always comes
the same exit code.
";

/// What each hundred is about.
const AREAS: [&str; 6] = [
    "General",
    "The configuration",
    "Databases",
    "Kafka",
    "The lake",
    "Workers and requests",
];

fn rendered() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (hundred, area) in AREAS.iter().enumerate() {
        write!(page, "\n## {area}\n").unwrap();
        let of_area = Code::all().filter(|known| usize::from(known.code.number()) / 100 == hundred);
        for known in of_area {
            let Explained {
                code,
                kind,
                title,
                cause,
                remedy,
                example,
            } = known;
            let exit = kind.exit_code();
            write!(
                page,
                "\n### {code}\n\n**{title}** · exit code {exit}\n\n{cause}\n\nDo: {remedy}\n\n```text\n{example}\n```\n"
            )
            .unwrap();
        }
    }
    page
}

#[test]
fn the_page_of_the_codes_is_what_the_registry_says() {
    let rendered = rendered();
    if std::env::var_os("CDC_UPDATE").is_some() {
        std::fs::write(root().join(PAGE), &rendered).unwrap();
    }
    let written = std::fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    assert!(
        written == rendered,
        "{PAGE} is old: CDC_UPDATE=1 cargo test --test documentation"
    );
    for known in Code::all() {
        assert!(rendered.contains(&format!("\n### {}\n", known.code)));
    }
}

#[test]
fn each_failure_of_the_page_for_bad_nights_has_a_code_whose_example_says_it() {
    let page = read("docs/failures.md");
    let mut checked = 0;
    for row in rows(&page, "By itself") {
        let codes = spans(row[1]);
        assert!(!codes.is_empty(), "no code: {row:?}");
        for text in codes {
            let code = Code::parse(text).unwrap_or_else(|| panic!("there is no `{text}`"));
            let example = code.explained().map_or("", |known| known.example);
            let said = spans(row[0]).iter().any(|said| example.contains(said));
            assert!(said, "{code}: `{example}` says nothing of {}", row[0]);
            checked += 1;
        }
    }
    assert!(checked > 35, "only {checked} codes were found");
}

//! The page of the configuration: its tables are made from the keys of the parser, and what it shows is accepted.

use std::fmt::Write;

use cdc::config::{KnownKey, Standing, known_keys};

use super::{blocks, pages, read, root, spans};

const PAGE: &str = "docs/configuration.md";

/// The end of a table that is made.
const END: &str = "<!-- end -->\n";

/// A vertical bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The table of one block: every key whose values stand there, also in blocks of its own without names.
fn table(block: &str) -> String {
    let is_in = |key: &&KnownKey| {
        let inner = match block {
            "the file" => Some(key.path.as_str()),
            _ => key.path.strip_prefix(&format!("{block}.")),
        };
        let is_below = |inner: &str| {
            ["defaults.", "tables.", "kafka.", "sources.", "lake."]
                .iter()
                .any(|below| inner.starts_with(below))
        };
        inner.is_some_and(|inner| !is_below(inner)) && key.standing == Standing::There
    };
    let mut table = String::from(
        "| Key | Meaning | Form | Default, and why | Kafka Connect | Example |\n|---|---|---|---|---|---|\n",
    );
    for key in known_keys().iter().filter(is_in) {
        let connect: Vec<String> = key.connect.iter().map(|name| format!("`{name}`")).collect();
        let cells = [
            format!("`{}`", key.path),
            key.meaning.to_owned(),
            key.form.clone(),
            key.default.clone(),
            connect.join(", "),
            format!("`{}`", key.example),
        ];
        writeln!(table, "| {} |", cells.map(|text| cell(&text)).join(" | ")).unwrap();
    }
    table
}

/// The keys that are refused, each with what its error says.
fn refused() -> String {
    let mut table = String::from("| Key | Instead |\n|---|---|\n");
    for key in known_keys() {
        let instead = match key.standing {
            Standing::There => continue,
            Standing::Later(instead) => format!("not there yet: {instead}"),
            Standing::Refused(why) => why.to_owned(),
        };
        writeln!(table, "| `{}` | {} |", key.path, cell(&instead)).unwrap();
    }
    table
}

/// The page with its tables made anew.
fn rendered(page: &str) -> String {
    let mut rendered = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- ") {
        let (mark, below) = after.split_once(" -->\n").expect("a mark ends its line");
        let (_, behind) = below.split_once(END).expect("a table ends");
        let made = match mark.strip_prefix("keys: ") {
            Some(block) => table(block),
            None => refused(),
        };
        write!(rendered, "{before}<!-- {mark} -->\n{made}{END}").unwrap();
        rest = behind;
    }
    rendered.push_str(rest);
    rendered
}

#[test]
fn the_tables_of_the_page_are_made_from_the_keys_the_parser_has() {
    let page = read(PAGE);
    let rendered = rendered(&page);
    if std::env::var_os("CDC_UPDATE").is_some() {
        std::fs::write(root().join(PAGE), &rendered).unwrap();
    } else {
        assert!(
            page == rendered,
            "{PAGE} is old: CDC_UPDATE=1 cargo test --test documentation\n{rendered}"
        );
    }
    let there = known_keys();
    assert!(there.len() > 60);
    for key in there {
        let rows = rendered.matches(&format!("\n| `{}` |", key.path)).count();
        assert_eq!(rows, 1, "{}", key.path);
    }
}

#[test]
fn every_key_has_a_meaning_a_form_a_default_and_an_example() {
    for key in known_keys() {
        if key.standing != Standing::There {
            continue;
        }
        for text in [key.meaning, &key.form, &key.default, key.example] {
            assert!(!text.is_empty(), "{}: {key:?}", key.path);
        }
        let name = key.path.rsplit('.').next().unwrap();
        assert!(
            key.example.contains(&format!("{name}:")),
            "{}: {}",
            key.path,
            key.example
        );
    }
}

/// Parses a file of the page; references lead to what a page can have.
fn parsed(yaml: &str) -> cdc::config::Settings {
    let yaml = yaml
        .replace("${env:EC_URL}", "postgres://cdc@127.0.0.1/shop")
        .replace(
            "${file:/run/secrets/pos_url}",
            "mariadb://cdc@127.0.0.1/tills",
        )
        .replace("${file:/run/secrets/kafka}", "secret")
        .replace(
            "${file:/run/secrets/cdc/ec_url}",
            "postgres://cdc@127.0.0.1/shop",
        )
        .replace("${env:POS_URL}", "mariadb://cdc@127.0.0.1/tills")
        .replace("${env:KAFKA_BROKERS}", "127.0.0.1:9092");
    cdc::config::parse(&yaml, PAGE).unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
}

/// The configuration in a block: all of it, or what a manifest of Kubernetes holds.
fn file_in(yaml: &str) -> Option<String> {
    let Some((_, held)) = yaml.split_once("  cdc.yaml: |\n") else {
        return yaml.contains("sources:").then(|| yaml.to_owned());
    };
    let lines = held.lines().map_while(|line| line.strip_prefix("    "));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_files_a_page_shows_are_accepted_and_one_of_them_has_every_key() {
    let mut whole = 0;
    for page in pages() {
        let written = ["yaml", "yaml cdc.yaml"].map(|kind| blocks(&page.text, kind));
        for yaml in written.concat() {
            if let Some(file) = file_in(&yaml) {
                parsed(&file);
                whole += 1;
            }
        }
    }
    assert!(whole >= 8, "only {whole} files were found");
    let fullest = blocks(&read(PAGE), "yaml")
        .into_iter()
        .max_by_key(String::len)
        .unwrap();
    for key in known_keys() {
        let name = key.path.rsplit('.').next().unwrap_or(&key.path);
        let is_there = fullest.contains(&format!("{name}:"));
        assert!(
            is_there || key.standing != Standing::There,
            "`{}` is not in the full file",
            key.path
        );
    }
    let tested = read("tests/config/good/every-key.yaml");
    assert!(
        tested == fullest,
        "tests/config/good/every-key.yaml is another file"
    );
}

#[test]
fn the_names_of_kafka_connect_that_the_parser_knows_are_side_by_side_with_ours() {
    let page = read("docs/kafka-connect.md");
    let mut checked = 0;
    for key in known_keys() {
        let ours = key.path.rsplit('.').next().unwrap();
        for theirs in &key.connect {
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| `{theirs}` |")));
            let row = row.unwrap_or_else(|| panic!("`{theirs}` is not on the page"));
            let named = spans(row);
            let is_named = named.iter().any(|name| *name == key.path || *name == ours);
            assert!(is_named, "{theirs}: {}\n{row}", key.path);
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} names were found");
}

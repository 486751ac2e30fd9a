//! What the pages show is run: the blocks of the tutorial and of the how-to pages that are marked so, on databases
//! of each page's own, and their output is what the page says.
//!
//! A page's blocks are told apart by what stands behind their language: ```` ```yaml cdc.yaml ```` is written into the
//! page's directory, ```` ```sh run ```` is run there by one shell, and ```` ```text output ```` is what the block
//! before it says. There `…` stands for what differs from time to time; alone on a line it stands for any lines.
//! Lines of tables that go side by side come in any order.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{BUSY, Database, Engine, Pipeline, setting};

/// A block of a page: what stands behind the fence, and the lines.
struct Block {
    info: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block {
                    info: info.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The output of each block that is run, as the page says it; `None` where the page says nothing.
struct Step {
    script: String,
    output: Option<String>,
}

fn steps(blocks: &[Block]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks {
        match block.info.as_str() {
            "sh run" => steps.push(Step {
                script: block.text.clone(),
                output: None,
            }),
            "text output" => {
                let last = steps
                    .last_mut()
                    .expect("an output stands behind a block that is run");
                assert!(last.output.is_none(), "two outputs of\n{}", last.script);
                last.output = Some(block.text.clone());
            }
            _ => {}
        }
    }
    steps
}

/// Stands for the line between the outputs of two blocks.
const BORDER: &str = "════";

/// Runs a page from its first block to its last.
async fn run_page(path: &str, rows: u32) {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    let blocks = blocks(&page.expect("the page is there"));
    let (shop, tills) = (
        Database::open(Engine::Postgres).await,
        Database::open(Engine::MariaDb).await,
    );
    let pipeline = Pipeline::new();
    let directory = pipeline.temporary("page");
    let mut called = "retail";
    for block in &blocks {
        if let Some(name) = block.info.strip_prefix("yaml ") {
            // The page's pipeline must meet no other.
            let mut lines = block.text.lines();
            called = lines
                .find_map(|line| line.strip_prefix("pipeline: "))
                .expect("a pipeline");
            let text = block
                .text
                .replace(
                    &format!("pipeline: {called}"),
                    &format!("pipeline: {}", pipeline.name),
                )
                .replace(
                    &format!("topic_prefix: {called}."),
                    &format!("topic_prefix: {}", pipeline.topic_prefix()),
                );
            assert!(text.contains(&pipeline.topic_prefix()), "{path}: {text}");
            std::fs::write(directory.join(name), text).expect("a file");
        }
    }
    let steps = steps(&blocks);
    assert!(!steps.is_empty(), "{path}: nothing is run");
    let mut script = String::from("set -eo pipefail\n");
    if rows > 0 {
        let fill = format!("retail fill --rows {rows} --until 2026-10-01");
        writeln!(script, "retail create && {fill}").expect("text");
    }
    for step in &steps {
        write!(script, "echo {BORDER}\n{}", step.script).expect("text");
    }
    writeln!(script, "echo {BORDER}").expect("text");

    let file = pipeline.file("page.sh", &script);
    let said = pipeline.directory.path().join("page.out");
    let output = std::fs::File::create(&said).expect("a file");
    let mut shell = Command::new("bash")
        .arg(&file)
        .current_dir(&directory)
        .env("PATH", programs(&pipeline))
        .env("TMPDIR", pipeline.temporary("host"))
        .env("EC_URL", shop.url())
        .env("EC_ADMIN_URL", shop.admin_url())
        .env("POS_URL", tills.url())
        .env("POS_ADMIN_URL", tills.admin_url())
        .env_remove("CDC_CONFIG")
        .env_remove("CDC_LOG")
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a file"))
        .stderr(output)
        .spawn()
        .expect("bash runs");
    let ended = tokio::task::block_in_place(|| shell.wait()).expect("the shell ends");
    let said = std::fs::read_to_string(&said).expect("its output");
    assert!(ended.success(), "{path}: a block failed:\n{said}");

    let said = said.replace(&pipeline.name, called);
    let border = format!("{BORDER}\n");
    let mut outputs = said.split(&border).skip(1);
    for step in &steps {
        let said = outputs.next().unwrap_or_default();
        if let Some(expected) = &step.output {
            let wrong = differs(expected, said);
            assert!(
                wrong.is_none(),
                "{path}: {}\n{}\nsaid\n{said}",
                wrong.unwrap_or_default(),
                step.script
            );
        }
    }
}

/// What is not as the page says; `None` if all is.
fn differs(expected: &str, said: &str) -> Option<String> {
    let mut left: Vec<&str> = said
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let mut any_more = false;
    for line in expected.lines().filter(|line| !line.trim().is_empty()) {
        if line == "…" {
            any_more = true;
            continue;
        }
        match left.iter().position(|said| fits(line.trim_end(), said)) {
            Some(at) => drop(left.remove(at)),
            None => return Some(format!("no line is `{line}`")),
        }
    }
    match left.first() {
        Some(line) if !any_more => Some(format!("the page does not say `{line}`")),
        _ => None,
    }
}

/// Whether a line is as expected, where `…` stands for anything.
fn fits(expected: &str, said: &str) -> bool {
    let parts: Vec<&str> = expected.split('…').collect();
    let [first, between @ .., last] = parts.as_slice() else {
        return expected == said;
    };
    let Some(mut rest) = said.strip_prefix(first) else {
        return false;
    };
    for part in between {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The product, the example, and a `duckdb` that reads as the shell of that name does.
fn programs(pipeline: &Pipeline) -> String {
    let product = PathBuf::from(env!("CARGO_BIN_EXE_cdc"));
    let built = product.parent().expect("a directory");
    let examples = built.join("examples");
    assert!(
        examples.join("retail").exists(),
        "the example is missing: cargo build --example retail"
    );
    let own = pipeline.temporary("bin");
    let patient = PATIENT
        .replace("PRODUCT", &product.display().to_string())
        .replace("BUSY", &BUSY.join("\\|"));
    write_program(&own.join("cdc"), &patient);
    let duckdb = own.join("duckdb");
    write_program(&duckdb, &DUCKDB.replace("PYTHON", &setting("CDC_PYTHON")));
    let others = std::env::var("PATH").expect("a path");
    let places = [&own, &built.to_owned(), &examples].map(|place| place.display().to_string());
    format!("{}:{others}", places.join(":"))
}

fn write_program(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("rights");
}

/// The product, whose `check` is asked again while a part had no time to answer: a busy machine may not have it.
const PATIENT: &str = r#"#!/usr/bin/env bash
[[ " $* " == *" check "* ]] || exec "PRODUCT" "$@"
for _ in {1..20}; do
    said=$("PRODUCT" "$@" 2>&1)
    ended=$?
    grep -q 'BUSY' <<<"$said" || break
done
printf '%s\n' "$said"
exit $ended
"#;

/// `duckdb [-csv] [FILE] [-c SQL]`, else the statements of stdin.
const DUCKDB: &str = r#"#!PYTHON
import csv, sys
import duckdb

arguments = [argument for argument in sys.argv[1:] if argument != "-csv"]
sql = arguments.pop(arguments.index("-c") + 1) if "-c" in arguments else sys.stdin.read()
names = [argument for argument in arguments if argument != "-c"]
with duckdb.connect(names[0] if names else ":memory:") as connection:
    answer = connection.execute(sql)
    if "-csv" in sys.argv and answer.description:
        show = lambda value: str(value).lower() if isinstance(value, bool) else value
        out = csv.writer(sys.stdout, lineterminator="\n")
        out.writerow([column[0] for column in answer.description])
        out.writerows([[show(value) for value in row] for row in answer.fetchall()])
"#;

macro_rules! pages {
    ($($test:ident: $path:literal, $rows:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            run_page($path, $rows).await;
        })*

        /// Every page that has blocks to run.
        const RUN: &[&str] = &[$($path),*];
    };
}

pages! {
    the_tutorial_does_what_it_says: "docs/tutorial.md", 0;
    a_nightly_reload_does_what_its_page_says: "docs/how-to/nightly-reload.md", 1_000;
    a_backfill_does_what_its_page_says: "docs/how-to/backfill.md", 1_000;
    a_changed_partition_does_what_its_page_says: "docs/how-to/change-a-partition.md", 1_000;
}

#[test]
fn every_page_with_blocks_to_run_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![PathBuf::from("docs")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))
            .expect("a folder")
            .flatten()
        {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let page = std::fs::read_to_string(root.join(&path)).expect("a page");
                let runs = blocks(&page).iter().any(|block| block.info == "sh run");
                found.extend(runs.then(|| path.display().to_string()));
            }
        }
    }
    found.sort();
    let mut run = RUN.to_vec();
    run.sort_unstable();
    assert_eq!(found, run);
}

#[test]
fn a_line_that_is_not_on_the_page_is_found_and_so_is_one_that_is_missing() {
    assert_eq!(differs("a\nb … (… s)\n", "b 5 rows (0.1 s)\na\n"), None);
    assert_eq!(differs("…\na\n", "x\na\ny\n"), None);
    assert!(differs("a\n", "a\nb\n").is_some());
    assert!(differs("a\nb\n", "a\n").is_some());
    assert!(differs("a … c\n", "a b\n").is_some());
}

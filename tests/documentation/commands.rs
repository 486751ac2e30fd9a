//! The command line: its page is rendered from the program, and no page shows what the program does not have.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cdc::error::Kind;

use super::{lines, pages, read, root, spans};

const PAGE: &str = "docs/cli.md";

const INTRODUCTION: &str = "\
# The command line

This page is rendered from the program itself: `CDC_UPDATE=1 cargo test --test documentation` writes it anew.

Answers go to stdout, everything else to stderr. An error names what was attempted, on what, why it failed, and what to
do next.

| environment variable | meaning |
|---|---|
| `CDC_CONFIG` | the configuration file, where `--config` names none |
| `CDC_LOG` | what is logged, in the filter syntax of `tracing`, e.g. `cdc=debug`; it goes before `--verbose` |
| `NO_COLOR` | if it is set and not empty, nothing is coloured |

A lake on S3 finds its credentials where every AWS tool does: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`,
`AWS_PROFILE`, single sign-on, the instance's or the pod's role.

## Exit codes

";

/// What each kind of failure means to a script.
pub const KINDS: [(Kind, &str); 9] = [
    (
        Kind::No,
        "the question was answered, and the answer is no: a refused snapshot, an unequal count",
    ),
    (Kind::Usage, "the command line cannot be understood"),
    (Kind::Data, "a value or a record is not what it must be"),
    (
        Kind::Unavailable,
        "a database, broker or store does not answer",
    ),
    (Kind::Bug, "a fault of `cdc` itself"),
    (
        Kind::LocalIo,
        "a local file or directory cannot be read or written",
    ),
    (
        Kind::TryLater,
        "it would work later or elsewhere: another worker has it, a newer `cdc` wrote it, it was stopped",
    ),
    (Kind::Permission, "credentials or grants are missing"),
    (
        Kind::Config,
        "the configuration, or the world it describes, is wrong",
    ),
];

/// What `--help` says of a command.
fn help(command: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_cdc"))
        .args(command)
        .arg("--help")
        .env("COLUMNS", "100")
        .output();
    let run = run.unwrap();
    assert!(run.status.success(), "cdc {} --help", command.join(" "));
    let text = String::from_utf8(run.stdout).unwrap();
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The names under `Commands:`.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| line.starts_with("  "));
    // Deeper lines go on with a description.
    let names = listed
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// Every command with its help, the program itself first.
pub fn all() -> BTreeMap<Vec<String>, String> {
    let mut all = BTreeMap::new();
    let mut next = vec![Vec::new()];
    while let Some(command) = next.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let text = help(&words);
        for name in subcommands(&text) {
            let mut below: Vec<String> = command.clone();
            below.push(name);
            next.push(below);
        }
        all.insert(command, text);
    }
    all
}

fn rendered() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("| code | meaning |\n|---|---|\n| 0 | done |\n");
    for (kind, meaning) in KINDS {
        writeln!(page, "| {} | {meaning} |", kind.exit_code()).unwrap();
    }
    for (command, help) in all() {
        let title = command
            .iter()
            .fold("cdc".to_owned(), |title, word| format!("{title} {word}"));
        write!(page, "\n## {title}\n\n```text\n{}\n```\n", help.trim()).unwrap();
    }
    page
}

#[test]
fn the_page_of_the_command_line_is_what_the_program_says() {
    let rendered = rendered();
    if std::env::var_os("CDC_UPDATE").is_some() {
        std::fs::write(root().join(PAGE), &rendered).unwrap();
    }
    let written = std::fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    assert!(
        written == rendered,
        "{PAGE} is old: CDC_UPDATE=1 cargo test --test documentation\n{rendered}"
    );
}

#[test]
fn what_help_says_of_a_command_fits_a_screen() {
    for (command, help) in all() {
        let lines = help.trim().lines().count();
        assert!(lines <= 40, "cdc {}: {lines} lines", command.join(" "));
    }
}

/// The commands a page shows: in code spans, and in fenced blocks at the start of a line or behind what may
/// stand before a command.
fn shown(text: &str) -> Vec<String> {
    let mut shown = Vec::new();
    for (line, fenced) in lines(text) {
        let candidates: Vec<&str> = match fenced {
            true => ["$(", "$ ", "&& ", "| ", "Example: ", "Examples: "]
                .iter()
                .flat_map(|before| line.split(before))
                .map(|part| part.split(')').next().unwrap_or(part).trim())
                .collect(),
            false => spans(line),
        };
        let commands = candidates
            .into_iter()
            .filter(|text| text.starts_with("cdc "));
        shown.extend(commands.map(str::to_owned));
    }
    shown.sort();
    shown.dedup();
    shown
}

/// Why the program would not understand a command; `None` where it would.
pub fn misunderstood(shown: &str, all: &BTreeMap<Vec<String>, String>) -> Option<String> {
    let ends = |word: &&str| matches!(*word, "|" | ";" | "&&" | "||" | "#" | "&" | ">");
    let mut words = shown
        .split_whitespace()
        .skip(1)
        .take_while(|word| !ends(word))
        .peekable();
    let is_name = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    // `cdc <version>` and `cdc …` are no commands.
    if words
        .peek()
        .is_some_and(|word| !is_name(word.trim_end_matches(';')))
    {
        return None;
    }
    let mut command: Vec<String> = Vec::new();
    while let Some(word) = words.next() {
        let ended = word.ends_with(';');
        let word = word.trim_end_matches(';');
        let help = all.get(&command)?;
        let flag = word.split('=').next().unwrap_or(word);
        if flag.starts_with('-') {
            let has = |line: &&str| line.trim().split([' ', ',']).any(|one| one == flag);
            let Some(line) = help.lines().find(has) else {
                return Some(format!("`cdc {}` has no flag `{flag}`", command.join(" ")));
            };
            let takes_value = line.contains(&format!("{flag} <"));
            if takes_value && !word.contains('=') {
                words.next();
            }
        } else if subcommands(help).iter().any(|name| name == word) {
            command.push(word.to_owned());
        } else if !subcommands(help).is_empty() {
            return Some(format!("there is no `cdc {word}`"));
        }
        if ended {
            break;
        }
    }
    None
}

#[test]
fn every_command_a_page_shows_exists_with_its_flags() {
    let all = all();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        for command in shown(&page.text) {
            checked += 1;
            wrong.extend(
                misunderstood(&command, &all)
                    .map(|why| format!("{}: `{command}`: {why}", page.path)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 20, "only {checked} commands were found");
    for no_command in [
        "cdc snapshoot orders",
        "cdc snapshot --agian orders",
        "cdc -c cdc.yaml folow",
    ] {
        assert!(misunderstood(no_command, &all).is_some(), "{no_command}");
    }
}

/// The words of a command as a shell splits them, up to what ends it. `None` where the page leaves something out.
fn words(shown: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quote, mut is_word) = (None, false);
    for c in shown.chars().chain([' ']) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, is_word) = (Some(c), true),
            (None, '|' | ';' | '&' | '>' | '#') => {
                // `2>` is no word either.
                is_word &= !word.chars().all(|c| c.is_ascii_digit());
                words.extend(is_word.then(|| std::mem::take(&mut word)));
                break;
            }
            (None, ' ') => {
                words.extend(is_word.then(|| std::mem::take(&mut word)));
                is_word = false;
            }
            (None, c) => {
                word.push(c);
                is_word = true;
            }
        }
    }
    let is_whole = words.iter().all(|word| !word.contains(['…', '<', '$']));
    is_whole.then_some(words)
}

/// How long a command may take that goes further than its command line.
const FURTHER: Duration = Duration::from_secs(5);

/// What the program itself says of a command line that it does not understand. It is run where it finds no
/// configuration, so that nothing else happens.
fn refused(words: &[String]) -> Option<String> {
    let nowhere = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cdc"))
        .args(&words[1..])
        .current_dir(nowhere.path())
        .env_remove("CDC_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > FURTHER {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    let is_refused = ended.status.code() == Some(2) && said.contains("--help");
    is_refused.then_some(said)
}

#[test]
fn every_command_line_a_page_shows_is_understood_by_the_program() {
    let all = all();
    let mut lines: BTreeMap<Vec<String>, String> = BTreeMap::new();
    for page in pages() {
        for command in shown(&page.text) {
            // `cdc rejected` in a sentence is a name, and no command line.
            let named = |words: &Vec<String>| all.contains_key(&words[1..]);
            if let Some(words) = words(&command).filter(|words| !named(words)) {
                lines.insert(words, page.path.clone());
            }
        }
    }
    assert!(lines.len() > 20, "only {} were found", lines.len());
    let wrong: Vec<String> = lines
        .iter()
        .filter_map(|(words, page)| {
            Some(format!("{page}: {}: {}", words.join(" "), refused(words)?))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for no_line in [
        "cdc snapshot --yes orders",
        "cdc pause -o json",
        "cdc path a b",
    ] {
        let words = words(no_line).unwrap();
        assert!(refused(&words).is_some(), "{no_line}");
    }
}

#[test]
fn the_readme_shows_the_two_commands_that_a_clone_begins_with() {
    let readme = read("README.md");
    for script in ["scripts/quickstart", "scripts/test"] {
        assert!(
            readme.contains(script) && root().join(script).exists(),
            "{script}"
        );
    }
}

//! The pages of the manual: one for each command, sound, and with what scripts go by.

use std::process::{Command, Output, Stdio};

use super::commands::{KINDS, all};

fn cdc(arguments: &[&str]) -> Output {
    let run = Command::new(env!("CARGO_BIN_EXE_cdc"))
        .args(arguments)
        .output();
    run.expect("the binary runs")
}

/// What groff makes of a page, and what it has to say about it.
fn formatted(page: &[u8]) -> (String, String) {
    use std::io::Write;
    let mut groff = Command::new("groff")
        .args(["-man", "-Tutf8", "-k", "-ww", "-P-cbou"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("groff runs (Debian: groff-base)");
    let mut stdin = groff.stdin.take().expect("its stdin");
    stdin.write_all(page).expect("it reads");
    drop(stdin);
    let output = groff.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_command_has_a_page_of_the_manual_that_groff_reads_without_a_warning() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().join("man1");
    let run = cdc(&["man", "--dir", place.to_str().expect("a path")]);
    assert!(run.status.success() && run.stdout.is_empty());
    let commands = all();
    for (command, help) in &commands {
        let name = [&["cdc".to_owned()], command.as_slice()].concat().join("-");
        let page = std::fs::read(place.join(format!("{name}.1"))).expect("a page");
        let (text, complaints) = formatted(&page);
        assert!(complaints.is_empty(), "{name}: {complaints}");
        let first = help.lines().next().unwrap_or_default();
        let first: String = first
            .split_whitespace()
            .take(4)
            .collect::<Vec<_>>()
            .join(" ");
        let words: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains(&first),
            "{name}: `{first}` is not in\n{text}"
        );
        assert!(words.contains("EXIT STATUS"), "{name}:\n{text}");
    }
    let written = std::fs::read_dir(&place).expect("a directory").count();
    assert_eq!(written, commands.len());
}

#[test]
fn the_page_of_one_command_goes_to_stdout_and_an_unknown_one_is_told() {
    let page = |arguments: &[&str]| {
        let run = cdc(&[&["man"], arguments].concat());
        (
            run.status.code(),
            String::from_utf8_lossy(&run.stdout).into_owned(),
        )
    };
    let (code, text) = page(&["rejected", "list"]);
    assert_eq!(code, Some(0));
    assert!(text.contains(".TH cdc-rejected-list 1"), "{text}");
    let (_, whole) = page(&[]);
    for (kind, _) in KINDS {
        let code = format!("\\fB{}\\fR", kind.exit_code());
        assert!(whole.contains(&code), "{code} is not in\n{whole}");
    }
    let run = cdc(&["man", "snapshoot"]);
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(
        said,
        "error[CDC-0002]: there is no command `snapshoot`\n  next: did you mean `snapshot`? `cdc --help` lists what there is\n"
    );
}

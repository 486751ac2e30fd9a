//! What is given away: the image, the service and the package say what is.

use super::commands::{all, misunderstood};
use super::{blocks, files, read, root};

/// The instructions of the Dockerfile, word by word, without comments.
fn instructions() -> Vec<Vec<String>> {
    let text = read("Dockerfile");
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect()
}

fn is(instruction: &[String], name: &str) -> bool {
    instruction.first().is_some_and(|first| first == name)
}

#[test]
fn the_image_is_built_in_two_stages_and_runs_without_a_shell_and_without_root() {
    let all = instructions();
    let stages: Vec<usize> = (0..all.len()).filter(|at| is(&all[*at], "FROM")).collect();
    assert_eq!(stages.len(), 2, "{all:?}");
    let (build, image) = all.split_at(stages[1]);
    assert_eq!(build[0][2..], ["AS", "build"]);
    assert!(
        image[0][1].contains("distroless") && image[0][1].ends_with(":nonroot"),
        "{image:?}"
    );
    // Without a shell nothing can be RUN there, and what is started is written as a list.
    assert!(!image.iter().any(|one| is(one, "RUN")), "{image:?}");
    for name in ["ENTRYPOINT", "CMD"] {
        let one = image.iter().find(|one| is(one, name)).expect(name);
        assert!(one[1].starts_with('['), "{one:?}");
    }
    // A number: Kubernetes cannot tell whether a name is root's.
    let user = image.iter().find(|one| is(one, "USER")).expect("USER");
    let user: u32 = user[1]
        .split(':')
        .next()
        .and_then(|id| id.parse().ok())
        .expect("a number");
    assert!(user > 0);
}

#[test]
fn the_image_is_built_from_files_that_are_there_by_the_compiler_that_is_needed() {
    let ignored = read(".dockerignore");
    let sent: Vec<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    assert!(ignored.lines().any(|line| line == "*"), "{ignored}");
    let mut copied = Vec::new();
    for one in instructions().iter().filter(|one| is(one, "COPY")) {
        if one[1].starts_with("--from=") {
            assert_eq!(one[1], "--from=build");
            assert_eq!(one[2], "/build/target/release/cdc");
            continue;
        }
        copied.extend_from_slice(&one[1..one.len() - 1]);
    }
    for source in &copied {
        assert!(root().join(source).exists(), "`{source}` is not there");
        assert!(
            sent.contains(&source.as_str()),
            "`{source}` is not sent to the builder"
        );
    }
    // Cargo refuses a manifest whose targets are missing.
    let manifest = read("Cargo.toml");
    for (section, folder) in [
        ("[[bench]]", "benches"),
        ("[[example]]", "examples"),
        ("[[test]]", "tests"),
    ] {
        let is_needed = manifest.contains(section);
        assert!(
            !is_needed || copied.iter().any(|one| one == folder),
            "{folder}"
        );
    }
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.expect("a version").trim_matches('"');
    let from = &instructions()[0][1];
    assert!(from.starts_with(&format!("rust:{version}")), "{from}");
}

/// The values of a setting in the service.
fn service(setting: &str) -> Vec<String> {
    let text = read("packaging/cdc.service");
    let prefix = format!("{setting}=");
    let values = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    values.map(str::to_owned).collect()
}

/// A number of seconds in the program's own text.
fn seconds(file: &str, constant: &str) -> u64 {
    let text = read(file);
    let line = text
        .lines()
        .find(|line| line.contains(&format!("const {constant}:")));
    let (_, number) = line
        .expect(constant)
        .split_once("from_secs(")
        .expect("seconds");
    let number = number
        .split(')')
        .next()
        .and_then(|number| number.parse().ok());
    number.expect("a number")
}

#[test]
fn the_service_gives_the_program_the_time_it_takes() {
    assert_eq!(service("Type"), ["notify"]);
    let clean_end = seconds("src/cli/signals.rs", "CLEAN_END");
    let stop = service("TimeoutStopSec")[0]
        .trim_end_matches('s')
        .parse::<u64>();
    assert!(stop.expect("seconds") > clean_end + 3);
    let pulse = seconds("src/supervisor/worker.rs", "PULSE");
    assert_eq!(service("WatchdogSec"), ["3min"]);
    // A broker that does not answer may hold the loop for a while; that is no reason to be killed.
    assert!(pulse * 20 < 180);
    assert_eq!(service("RestartPreventExitStatus"), ["2 78"]);
    assert_eq!(service("EnvironmentFile"), ["-/etc/cdc/cdc.env"]);
    assert_eq!(service("DynamicUser"), ["yes"]);
    let grace = blocks(&read("docs/how-to/kubernetes.md"), "yaml").concat();
    assert!(grace.contains("terminationGracePeriodSeconds: 30"));
}

#[test]
fn the_service_the_image_and_the_manifest_start_commands_that_exist() {
    let all = all();
    let mut commands = service("ExecStart");
    for one in instructions().iter().filter(|one| is(one, "CMD")) {
        let listed: Vec<String> = serde_json::from_str(&one[1..].join(" ")).expect("a list");
        commands.push(format!("cdc {}", listed.join(" ")));
    }
    for line in read("docs/how-to/kubernetes.md").lines() {
        if let Some((_, arguments)) = line.split_once("args: [") {
            let arguments = arguments.split(']').next().unwrap_or_default();
            commands.push(format!("cdc {}", arguments.replace(',', "")));
        }
    }
    assert_eq!(commands.len(), 4, "{commands:?}");
    for command in commands {
        let command = command.replace("/usr/bin/", "");
        assert_eq!(misunderstood(&command, &all), None, "{command}");
    }
}

#[test]
fn the_package_is_made_of_files_that_are_there_and_keeps_what_people_change() {
    let manifest = read("Cargo.toml");
    let (_, deb) = manifest
        .split_once("[package.metadata.deb]")
        .expect("the package");
    let assets: Vec<Vec<&str>> = deb
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[\""))
        .map(|line| line.split('"').step_by(2).collect())
        .collect();
    assert!(assets.len() > 8, "{assets:?}");
    let script = read("scripts/package");
    for asset in &assets {
        let source = asset[0];
        match source.strip_prefix("target/package/") {
            Some(made) => {
                let made = made.replace("man/*.1", "man").replace("cdc.", "");
                let shells = "for shell in bash zsh fish; do";
                let is_made = script.contains(&format!("$MADE/{made}"))
                    || script.contains(shells) && shells.contains(&made);
                assert!(is_made, "scripts/package does not make `{source}`");
            }
            None if source.starts_with("target/release/") => {
                assert_eq!(source, "target/release/cdc")
            }
            None => match source.split_once("/*") {
                Some((folder, ending)) => assert!(!files(folder, ending).is_empty(), "{source}"),
                None => assert!(root().join(source).exists(), "{source}"),
            },
        }
    }
    for (kept, mode) in [("etc/cdc/cdc.yaml", "644"), ("etc/cdc/cdc.env", "600")] {
        assert!(
            deb.contains(&format!("\"/{kept}\"")),
            "{kept} is no conffile"
        );
        let asset = assets.iter().find(|asset| asset[1] == kept).expect(kept);
        // Secrets are root's alone.
        assert_eq!(asset[2], mode, "{kept}");
    }
    let example =
        read("packaging/cdc.yaml").replace("${env:EC_URL}", "postgres://cdc@127.0.0.1/shop");
    let example = cdc::config::parse(&example, "packaging/cdc.yaml");
    example.unwrap_or_else(|problems| panic!("{problems}"));
}

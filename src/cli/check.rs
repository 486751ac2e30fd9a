//! `cdc check`: whether everything a pipeline needs is there and lets us in.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use console::Color;

use super::aligned::aligned;
use super::ask::client_id;
use super::output::{self, Output};
use super::screen::{Screen, harmless};
use super::{Format, as_json, kafka_of};
use crate::config::{Settings, load_to_check};
use crate::error::{Error, Kind, Result};
use crate::inspect::{Finding, Level, check, number};

/// Looks whether databases, Kafka and the lake are there and let us in.
///
/// Logins, grants, columns, indexes, clocks, what proves that no late row is missed, the settings of topics, a
/// transaction, the bucket and its conditional writes. All parts are asked at once, and the answer is there within 5 s,
/// also while some are down. Every finding that is not ok comes with the line to type, or what to do.
/// Exit code 0 if nothing fails, else 1; where something is wrong with the file, what could be understood of it is
/// checked, and the exit code is 78.
///
/// Example: cdc check && cdc snapshot
#[derive(Debug, Args)]
pub struct Check {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`) [default: all]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Check {
    /// Of a file that something is wrong with, what could be understood is checked all the same: whoever mends it
    /// hears at once what else is to be done.
    pub async fn run(&self, file: Option<&Path>, output: Output) -> Result<ExitCode> {
        let (settings, wrong) = load_to_check(file)?;
        let warnings = settings.iter().flat_map(|settings| &settings.warnings);
        warnings.for_each(|text| output::warn(text));
        match (settings, wrong) {
            (Some(settings), None) => self.look(&settings, Vec::new(), output).await,
            (Some(settings), Some(wrong)) if settings.kafka.is_some() => {
                let looked = self.look(&settings, in_file(&wrong), output).await;
                if let Err(error) = looked {
                    output::warn(&error.to_string());
                }
                Err(wrong)
            }
            (None, None) => Err(Error::new(Kind::Bug, "the configuration means nothing")),
            (_, Some(wrong)) => Err(wrong),
        }
    }

    /// Looks, and tells what was found behind what is known already.
    async fn look(
        &self,
        settings: &Settings,
        mut findings: Vec<Finding>,
        output: Output,
    ) -> Result<ExitCode> {
        let kafka = kafka_of(settings)?;
        findings.extend(check(settings, kafka, &client_id(settings), &self.tables).await?);
        let [ok, warn, fail] =
            [Level::Ok, Level::Warn, Level::Fail].map(|level| count(&findings, level));
        match self.output {
            Format::Json => {
                let answer = serde_json::json!({
                    "ok": fail == 0,
                    "counts": { "ok": ok, "warn": warn, "fail": fail },
                    "findings": findings,
                });
                output.line(&as_json(&answer)?);
            }
            Format::Text => in_text(&findings, Screen::of_stdout())
                .iter()
                .for_each(|line| output.line(line)),
        }
        Ok(match fail {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(Kind::No.exit_code()),
        })
    }
}

/// What is wrong with the file, from the lines `cdc.yaml:12:7: … [CDC-0103]`.
fn in_file(wrong: &Error) -> Vec<Finding> {
    let message = wrong.to_string();
    let finding = |line: &str| {
        let (name, text) = line.split_once(": ")?;
        let (found, code) = match text
            .strip_suffix(']')
            .and_then(|text| text.rsplit_once(" ["))
        {
            Some((found, code)) => (found, Some(code.to_owned())),
            None => (text, None),
        };
        Some(Finding {
            part: "configuration".to_owned(),
            name: name.to_owned(),
            level: Level::Fail,
            found: found.to_owned(),
            code,
            next: None,
        })
    };
    message.lines().filter_map(finding).collect()
}

fn count(findings: &[Finding], level: Level) -> usize {
    let of_level = |finding: &&Finding| finding.level == level;
    findings.iter().filter(of_level).count()
}

/// The findings part by part, and what they come to.
fn in_text(findings: &[Finding], screen: Screen) -> Vec<String> {
    let rows = findings.iter().map(|finding| {
        let (level, color) = match finding.level {
            Level::Ok => ("ok", Color::Green),
            Level::Warn => ("warn", Color::Yellow),
            Level::Fail => ("FAIL", Color::Red),
        };
        vec![
            format!("  {}", screen.paint(level, color)),
            harmless(&finding.name).into_owned(),
            match &finding.code {
                Some(code) => format!("{} [{code}]", harmless(&finding.found)),
                None => harmless(&finding.found).into_owned(),
            },
        ]
    });
    let rows = aligned(&rows.collect::<Vec<_>>());
    let mut lines = Vec::new();
    let mut part = "";
    for (finding, row) in findings.iter().zip(rows) {
        if finding.part != part {
            part = &finding.part;
            lines.push(part.to_owned());
        }
        lines.push(row);
        lines.extend(
            finding
                .next
                .iter()
                .map(|next| format!("        next: {next}")),
        );
    }
    let [ok, warn, fail] =
        [Level::Ok, Level::Warn, Level::Fail].map(|level| count(findings, level));
    lines.push(String::new());
    lines.push(format!(
        "{} ok, {} to look at, {} to mend{}",
        number(ok),
        number(warn),
        number(fail),
        match fail {
            0 => ": `cdc plan` shows what would be done",
            _ => "",
        }
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_of_the_file_is_a_finding() {
        let wrong = Error::new(
            Kind::Config,
            "the configuration has 2 problems\ncdc.yaml:8:12: `sources.ec.tables`: no [x] [CDC-0103]\ncdc.yaml:9:1: more",
        );
        let found = in_file(&wrong).into_iter().map(|found| {
            let code = found.code.unwrap_or_default();
            format!("{}|{}|{code}", found.name, found.found)
        });
        assert_eq!(
            found.collect::<Vec<_>>(),
            [
                "cdc.yaml:8:12|`sources.ec.tables`: no [x]|CDC-0103",
                "cdc.yaml:9:1|more|"
            ]
        );
    }

    #[test]
    fn findings_stand_under_their_part_with_the_next_step_below() {
        let finding = |part: &str, name: &str, level, found: &str, next: Option<&str>| Finding {
            part: part.into(),
            name: name.into(),
            level,
            found: found.into(),
            code: (level == Level::Fail).then(|| "CDC-0301".to_owned()),
            next: next.map(str::to_owned),
        };
        let findings = [
            finding("ec", "login", Level::Ok, "PostgreSQL 15.18, 4 ms", None),
            finding(
                "ec",
                "customers",
                Level::Warn,
                "no index begins with `updated_at`, so every poll reads the whole table",
                Some("CREATE INDEX CONCURRENTLY ON \"public\".\"customers\" (\"updated_at\");"),
            ),
            finding(
                "kafka",
                "brokers",
                Level::Fail,
                "no answer within 5 s",
                Some("check `kafka.brokers`"),
            ),
        ];
        insta::assert_snapshot!(in_text(&findings, Screen::default()).join("\n"), @r#"
        ec
          ok    login      PostgreSQL 15.18, 4 ms
          warn  customers  no index begins with `updated_at`, so every poll reads the whole table
                next: CREATE INDEX CONCURRENTLY ON "public"."customers" ("updated_at");
        kafka
          FAIL  brokers    no answer within 5 s [CDC-0301]
                next: check `kafka.brokers`

        1 ok, 1 to look at, 1 to mend
        "#);
    }
}

//! `cdc check`: whether everything a pipeline needs is there and lets us in.

use std::path::Path;

use clap::Args;
use console::Color;

use super::aligned::aligned;
use super::ask::client_id;
use super::ending::ExitCode;
use super::output::{self, Output};
use super::screen::{Screen, harmless};
use super::{Format, as_json, kafka_of};
use crate::config::{Checkable, Mistake, load_to_check};
use crate::error::{Error, Kind, Result};
use crate::inspect::{Finding, Level, check, number};

/// Looks whether databases, Kafka and the lake are there and let us in.
///
/// Logins, grants, columns, indexes, clocks, what proves that no late row is missed, the settings of topics, a
/// transaction, the bucket and its conditional writes. All parts are asked at once, and the answer is there within 5 s,
/// also while some are down. Every finding that is not ok comes with the line to type, or what to do.
/// Exit code 0 if nothing fails, else 1. Where something is wrong with tables or sources in the file, the rest is checked
/// all the same; the exit code of a wrong file is 78.
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
    /// Of a file that something is wrong with, what is sure is checked all the same: whoever mends it hears at once
    /// what else is to be done.
    pub async fn run(&self, file: Option<&Path>, output: Output) -> Result<ExitCode> {
        let (settings, mistakes) = match load_to_check(file)? {
            Checkable::Sound(settings) => (settings, Vec::new()),
            Checkable::Partly(settings, mistakes) => (settings, mistakes),
            Checkable::Wrong(mistakes, error) => {
                return self.nothing_looked_at(mistakes, error, output);
            }
        };
        let warnings = settings.warnings.iter();
        warnings.for_each(|text| output::warn(text));
        let kafka = kafka_of(&settings)?;
        let looked = check(&settings, kafka, &client_id(&settings), &self.tables).await;
        if mistakes.is_empty() {
            let findings = looked?;
            self.tell(&findings, output)?;
            let fails = count(&findings, Level::Fail) > 0;
            return Ok(match fails {
                true => ExitCode::from(Kind::No),
                false => ExitCode::SUCCESS,
            });
        }
        let mut findings: Vec<Finding> = mistakes.into_iter().map(in_file).collect();
        match looked {
            Ok(found) => findings.extend(found),
            // A table that is asked for may be one that was left out.
            Err(error) => tracing::debug!(%error, "the rest is not looked at"),
        }
        self.tell(&findings, output)?;
        Ok(ExitCode::from(Kind::Config))
    }

    /// Of a file in which nothing is sure, people hear as from any other command, and programs as from this one.
    fn nothing_looked_at(
        &self,
        mistakes: Vec<Mistake>,
        error: Error,
        output: Output,
    ) -> Result<ExitCode> {
        match self.output {
            Format::Text => Err(error),
            Format::Json => {
                let findings: Vec<Finding> = mistakes.into_iter().map(in_file).collect();
                self.tell(&findings, output)?;
                Ok(ExitCode::from(Kind::Config))
            }
        }
    }

    fn tell(&self, findings: &[Finding], output: Output) -> Result<()> {
        let [ok, warn, fail] =
            [Level::Ok, Level::Warn, Level::Fail].map(|level| count(findings, level));
        match self.output {
            Format::Json => {
                let answer = serde_json::json!({
                    "ok": fail == 0,
                    "counts": { "ok": ok, "warn": warn, "fail": fail },
                    "findings": findings,
                });
                output.line(&as_json(&answer)?);
            }
            Format::Text => in_text(findings, Screen::of_stdout())
                .iter()
                .for_each(|line| output.line(line)),
        }
        Ok(())
    }
}

fn in_file(mistake: Mistake) -> Finding {
    Finding {
        part: "configuration".to_owned(),
        name: mistake.place,
        level: Level::Fail,
        found: mistake.text,
        code: mistake.code,
        next: None,
    }
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

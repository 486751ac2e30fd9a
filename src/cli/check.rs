//! `cdc check`: whether everything a pipeline needs is there and lets us in.

use std::process::ExitCode;

use clap::Args;

use super::aligned::aligned;
use super::ask::client_id;
use super::output::Output;
use super::{Format, as_json, kafka_of};
use crate::config::Settings;
use crate::error::{Kind, Result};
use crate::inspect::{Finding, Level, check};

/// Looks whether databases, Kafka and the lake are there and let us in.
///
/// Logins, grants, columns, indexes, what proves that no late row is missed, the settings of topics, a
/// transaction, the bucket and its conditional writes. Every finding that is not ok comes with the next step.
/// Exit code 0 if nothing fails, else 1.
///
/// Example: cdc check && cdc snapshot
#[derive(Debug, Args)]
pub struct Check {
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Check {
    pub async fn run(&self, settings: Settings, output: Output) -> Result<ExitCode> {
        let kafka = kafka_of(&settings)?;
        let findings = check(&settings, kafka, &client_id(&settings)).await;
        let fails = findings.iter().any(|finding| finding.level == Level::Fail);
        match self.output {
            Format::Json => {
                let answer = serde_json::json!({ "ok": !fails, "findings": findings });
                output.line(&as_json(&answer)?);
            }
            Format::Text => in_text(&findings).iter().for_each(|line| output.line(line)),
        }
        Ok(match fails {
            true => ExitCode::from(Kind::No.exit_code()),
            false => ExitCode::SUCCESS,
        })
    }
}

/// The findings part by part, and what they come to.
fn in_text(findings: &[Finding]) -> Vec<String> {
    let rows = findings.iter().map(|finding| {
        let level = match finding.level {
            Level::Ok => "  ok",
            Level::Warn => "  warn",
            Level::Fail => "  FAIL",
        };
        vec![
            level.to_owned(),
            finding.name.clone(),
            finding.found.clone(),
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
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    lines.push(String::new());
    lines.push(match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => "everything is in order: `cdc plan` shows what would be done".to_owned(),
        (0, warnings) => {
            format!("nothing fails ({warnings} to look at): `cdc plan` shows what would be done")
        }
        (fails, 0) => format!("{fails} to mend"),
        (fails, warnings) => format!("{fails} to mend, {warnings} to look at"),
    });
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
        insta::assert_snapshot!(in_text(&findings).join("\n"), @r#"
        ec
          ok    login      PostgreSQL 15.18, 4 ms
          warn  customers  no index begins with `updated_at`, so every poll reads the whole table
                next: CREATE INDEX CONCURRENTLY ON "public"."customers" ("updated_at");
        kafka
          FAIL  brokers    no answer within 5 s
                next: check `kafka.brokers`

        1 to mend, 1 to look at
        "#);
    }
}

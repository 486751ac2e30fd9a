//! `cdc offsets skip`: what is in a stopped partition's way is given up.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::super::ending::ExitCode;
use super::How;
use crate::cli::ask::client_id;
use crate::cli::output::{self, Output};
use crate::cli::{Format, as_json, kafka_of, question, signals};
use crate::config::{KafkaSettings, Settings};
use crate::error::{Error, Kind, Result};
use crate::inspect::{number, offsets};
use crate::lake::open_store;
use crate::model::TopicName;
use crate::sink::{Skipper, Skipping};
use crate::state::PipelineNames;
use crate::topic::Admin;

/// How long the sink may take to find the decision.
const GOING_ON: Duration = Duration::from_secs(60);
/// How often it is looked whether the partition goes on.
const LOOK: Duration = Duration::from_millis(500);

/// Gives up what is in the way of a partition that does not get into the lake, so that it goes on.
///
/// For records of another program, a hole, a run that cannot be read. What is given up is said first;
/// nothing of Kafka is deleted, and other partitions are not touched. The sink goes on by itself.
///
/// Example: cdc offsets skip orders --partition 2 --dry-run
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Skip {
    /// The table: `orders`, or `ec.orders` where several sources have it
    #[arg(value_name = "TABLE")]
    table: String,
    /// The partition of its topic
    #[arg(long, short, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
    #[command(flatten)]
    how: How,
}

/// What was decided.
#[derive(Serialize)]
struct Skipped<'a> {
    table: &'a str,
    #[serde(flatten)]
    skipping: &'a Skipping,
    /// Whether the plan was written.
    done: bool,
}

impl Skip {
    pub async fn run(&self, settings: &Settings, output: Output) -> Result<ExitCode> {
        let kafka = kafka_of(settings)?;
        let client_id = client_id(settings);
        let named = std::slice::from_ref(&self.table);
        let tables = offsets(settings, kafka, &client_id, named).await?;
        let table = match tables.as_slice() {
            [table] => table,
            [] => {
                return Err(
                    Error::new(Kind::No, format!("`{}` was not read yet", self.table))
                        .hint("`cdc status` lists the tables of this pipeline"),
                );
            }
            several => {
                let names: Vec<&str> = several.iter().map(|one| one.table.as_str()).collect();
                return Err(Error::new(
                    Kind::Usage,
                    format!("`{}` could be `{}`", self.table, names.join("` or `")),
                )
                .hint("write the source's name before it"));
            }
        };
        if !table
            .partitions
            .iter()
            .any(|one| one.partition == self.partition)
        {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "topic `{}` has {} partitions, counted from 0",
                    table.topic,
                    table.partitions.len()
                ),
            ));
        }
        let store = open_store(&settings.lake.place).await?;
        let topic = TopicName::new(table.topic.clone()).map_err(|e| {
            Error::new(Kind::Data, "reading the table's topic").because(e.to_string())
        })?;
        let skipper = Skipper {
            kafka,
            client_id: &client_id,
            pipeline: &settings.pipeline,
            store: store.as_ref(),
            table: &table.name,
            topic,
            partition: self.partition,
        };
        let skipping = skipper.look().await?;
        let lines = in_text(&table.table, &skipping);
        let told = |done| Skipped {
            table: &table.table,
            skipping: &skipping,
            done,
        };
        if self.how.dry_run {
            match self.how.output {
                Format::Json => output.line(&as_json(&told(false))?),
                Format::Text => lines.iter().for_each(|line| output.line(line)),
            }
            return Ok(ExitCode::SUCCESS);
        }
        lines.iter().for_each(|line| output::note(line));
        let question = format!(
            "{} partition {}: this would be given up.",
            table.table, self.partition
        );
        question::confirm(&question, self.how.yes)?;
        skipper.write(&skipping).await?;
        let text = await_sink(settings, kafka, &client_id, &skipper).await?;
        output::note(&format!(
            "{} partition {}: {text}",
            table.table, self.partition
        ));
        if self.how.output == Format::Json {
            output.line(&as_json(&told(true))?);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Waits until the sink has found the decision, if one is at work.
async fn await_sink(
    settings: &Settings,
    kafka: &KafkaSettings,
    client_id: &str,
    skipper: &Skipper<'_>,
) -> Result<&'static str> {
    let stop = signals::stop_on_signal()?;
    let names = PipelineNames::new(&settings.pipeline);
    let admin = Admin::new(kafka, client_id)?;
    let began = Instant::now();
    loop {
        if !tokio::task::block_in_place(|| skipper.stands_still())? {
            return Ok("skipped, and it goes on");
        }
        if tokio::task::block_in_place(|| admin.members(&names.sink_group))?.is_empty() {
            return Ok("skipped; the next `cdc follow` goes on behind it");
        }
        if began.elapsed() > GOING_ON {
            return Err(Error::new(
                Kind::TryLater,
                "it is skipped, and the sink has not gone on yet",
            )
            .hint("`cdc status` shows how it fares"));
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(Error::new(Kind::TryLater, "it is skipped; stopped before the sink went on"));
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn in_text(table: &str, skipping: &Skipping) -> Vec<String> {
    let Skipping {
        topic,
        partition,
        start,
        end,
        ..
    } = skipping;
    let mut lines = vec![
        format!("{table}: topic {topic} partition {partition} stands still"),
        format!("  why:      {}", skipping.because),
    ];
    let records = match skipping.records {
        0 => "no record that is there".to_owned(),
        1 => format!("1 record, offset {start}"),
        records => format!(
            "{} records, offsets {start} to {}",
            number(records),
            end.saturating_sub(1)
        ),
    };
    lines.push(format!("  given up: {records}"));
    if skipping.unfinished_rows > 0 {
        lines.push(format!(
            "            and a chunk of {} rows that cannot be finished; some of its files may be in the lake",
            number(skipping.unfinished_rows)
        ));
    }
    lines.push(match skipping.missing {
        Some((first, next)) if next == first + 1 => {
            format!("  lost:     1 row of the table (sequence number {first})")
        }
        Some((first, next)) => format!(
            "  lost:     {} rows of the table (sequence numbers {first} to {})",
            number(next.saturating_sub(first)),
            next.saturating_sub(1)
        ),
        None if skipping.unfinished_rows > 0 => {
            "  lost:     what of that chunk is not in the lake".to_owned()
        }
        None => "  lost:     no row of the table that can be told from the log".to_owned(),
    });
    lines.push(format!("  goes on:  at offset {end}"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_stands_before_the_question() {
        let skipping = Skipping {
            topic: "retail.orders".into(),
            partition: 2,
            epoch: 7,
            start: 1_200,
            end: 1_212,
            records: 12,
            unfinished_rows: 0,
            missing: Some((990, 1_000)),
            next_sequence: None,
            because: "a record belongs to no run".into(),
        };
        let hole = Skipping {
            end: 1_200,
            records: 0,
            missing: Some((990, 991)),
            ..skipping.clone()
        };
        let foreign = Skipping {
            end: 1_201,
            records: 1,
            missing: None,
            ..skipping.clone()
        };
        let chunk = Skipping {
            unfinished_rows: 40,
            records: 0,
            missing: None,
            ..skipping.clone()
        };
        let all = [skipping, hole, foreign, chunk];
        let text: Vec<String> = all
            .iter()
            .flat_map(|one| in_text("ec.orders", one))
            .collect();
        insta::assert_snapshot!(text.join("\n"), @r"
        ec.orders: topic retail.orders partition 2 stands still
          why:      a record belongs to no run
          given up: 12 records, offsets 1200 to 1211
          lost:     10 rows of the table (sequence numbers 990 to 999)
          goes on:  at offset 1212
        ec.orders: topic retail.orders partition 2 stands still
          why:      a record belongs to no run
          given up: no record that is there
          lost:     1 row of the table (sequence number 990)
          goes on:  at offset 1200
        ec.orders: topic retail.orders partition 2 stands still
          why:      a record belongs to no run
          given up: 1 record, offset 1200
          lost:     no row of the table that can be told from the log
          goes on:  at offset 1201
        ec.orders: topic retail.orders partition 2 stands still
          why:      a record belongs to no run
          given up: no record that is there
                    and a chunk of 40 rows that cannot be finished; some of its files may be in the lake
          lost:     what of that chunk is not in the lake
          goes on:  at offset 1212
        ");
    }
}

//! What is shown of a copy without a broker: bars or lines while it runs, and what it came to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::super::aligned::{aligned, width_of};
use super::super::output::{self, Output};
use super::super::{Format, as_json};
use crate::direct::{Done, Progress, Stage, TableDone, TableProgress};
use crate::error::Result;
use crate::inspect::{bytes, counted, number};

/// How often the progress is looked at.
pub const LOOK: Duration = Duration::from_millis(100);
/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Longer names are not aligned.
const LONGEST_NAME: usize = 32;
/// A rate over less than that says nothing.
const LEAST: Duration = Duration::from_millis(500);

/// Shows the progress of one copy on stderr.
pub struct Shown {
    progress: Arc<Progress>,
    output: Output,
    bars: MultiProgress,
    /// Of the tables that are being read.
    tables: BTreeMap<usize, (ProgressBar, Instant)>,
    said: Instant,
}

impl Shown {
    pub fn new(progress: Arc<Progress>, output: Output) -> Self {
        let target = match output.is_live {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        Shown {
            progress,
            output,
            bars: MultiProgress::with_draw_target(target),
            tables: BTreeMap::new(),
            said: Instant::now(),
        }
    }

    /// Shows how far it is now.
    pub fn look(&mut self) {
        let progress = Arc::clone(&self.progress);
        let is_due = self.said.elapsed() >= LINE_EVERY;
        let (all, mut read) = (progress.tables(), 0);
        for (number, table) in all.iter().enumerate() {
            if table.is_read() {
                read += 1;
                if let Some((bar, _)) = self.tables.remove(&number) {
                    bar.finish_and_clear();
                }
            } else if table.rows() > 0 {
                let began = self.bar(number, all);
                if let Some((bar, _)) = self.tables.get(&number) {
                    bar.set_message(briefly(table, began.elapsed()));
                    bar.tick();
                }
                if is_due && !self.output.is_live {
                    let text = in_words(table, began.elapsed());
                    output::note(&format!("{}: {text}", table.name));
                }
            }
        }
        if !is_due {
            return;
        }
        self.said = Instant::now();
        let text = match progress.stage() {
            Stage::Connecting => "connecting".to_owned(),
            Stage::Reading if self.tables.is_empty() && read < all.len() => {
                "waiting for the first rows".to_owned()
            }
            Stage::Reading if read == all.len() => "read; counting the rows".to_owned(),
            Stage::Publishing => "counted; publishing the files".to_owned(),
            Stage::Reading => return,
        };
        match self.output.is_live {
            true => drop(self.bars.println(text)),
            false => output::note(&text),
        }
    }

    /// Shows that a table is being read; since when.
    fn bar(&mut self, number: usize, all: &[TableProgress]) -> Instant {
        let bars = &self.bars;
        let name = all.get(number).map_or("", |table| &table.name);
        let longest = all.iter().map(|table| width_of(&table.name)).max();
        let longest = longest.unwrap_or_default().min(LONGEST_NAME);
        let entry = self.tables.entry(number).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg}") {
                bar.set_style(style);
            }
            let padding = " ".repeat(longest.saturating_sub(width_of(name)));
            bar.set_prefix(format!("{name}{padding}"));
            (bar, Instant::now())
        });
        entry.1
    }

    pub fn clear(&mut self) {
        let _ = self.bars.clear();
    }
}

/// `1,200,000 of about 3,000,000 rows (40 %), 310 MiB, 412,000 rows/s, 4 seconds left`.
fn in_words(table: &TableProgress, since: Duration) -> String {
    let pace = Pace::of(table, since);
    let of = match (table.estimated_rows, pace.percent) {
        (Some(all), Some(percent)) => {
            format!(" of about {} rows ({percent} %)", number(all))
        }
        _ => " rows".to_owned(),
    };
    let left = pace
        .left
        .map(|left| format!(", {} left", HumanDuration(left)));
    format!(
        "{}{of}, {}, {} rows/s{}",
        number(table.rows()),
        bytes(table.bytes()),
        number(pace.rows_per_second),
        left.unwrap_or_default()
    )
}

/// The same in the width that a terminal has: `40 %  1,200,000 rows  310 MiB  412,000 rows/s  4s left`.
fn briefly(table: &TableProgress, since: Duration) -> String {
    let pace = Pace::of(table, since);
    let percent = pace.percent.map(|percent| format!("{percent:>2} %  "));
    let left = pace
        .left
        .map(|left| format!("  {:#} left", HumanDuration(left)));
    format!(
        "{}{} rows  {}  {} rows/s{}",
        percent.unwrap_or_default(),
        number(table.rows()),
        bytes(table.bytes()),
        number(pace.rows_per_second),
        left.unwrap_or_default()
    )
}

/// How fast a table is read, and what that means for the rest of it.
struct Pace {
    rows_per_second: u64,
    /// Of the estimate, which may be too small.
    percent: Option<u64>,
    left: Option<Duration>,
}

impl Pace {
    fn of(table: &TableProgress, since: Duration) -> Self {
        let rows = table.rows();
        let rate = rows as f64 / since.max(LEAST).as_secs_f64();
        let all = table.estimated_rows;
        let rest = all
            .and_then(|all| all.checked_sub(rows))
            .filter(|_| since >= LEAST);
        Pace {
            rows_per_second: rate as u64,
            percent: all.map(|all| (rows.saturating_mul(100) / all.max(1)).min(99)),
            left: rest.map(|rest| Duration::from_secs_f64(rest as f64 / rate.max(1.0))),
        }
    }
}

/// What one or several copies came to.
pub struct Summary {
    tables: Vec<Copied>,
    took: Duration,
}

struct Copied {
    done: TableDone,
    load: String,
    read_at: jiff::Timestamp,
}

impl Summary {
    pub fn new<'d>(copies: impl IntoIterator<Item = &'d Done>, took: Duration) -> Self {
        let of_one = |copy: &'d Done| {
            copy.tables.iter().map(|done| Copied {
                done: done.clone(),
                load: copy.load.clone(),
                read_at: copy.read_at,
            })
        };
        Summary {
            tables: copies.into_iter().flat_map(of_one).collect(),
            took,
        }
    }

    pub fn write(&self, format: Format, output: Output) -> Result<()> {
        match format {
            Format::Json => output.line(&as_json(&self.as_answer())?),
            Format::Text => self.lines().iter().for_each(|line| output.line(line)),
        }
        Ok(())
    }

    fn total(&self, of: impl Fn(&TableDone) -> u64) -> u64 {
        self.tables.iter().map(|table| of(&table.done)).sum()
    }

    fn rate(&self) -> u64 {
        (self.total(|done| done.rows) as f64 / self.took.as_secs_f64().max(0.001)) as u64
    }

    /// A line for each table, what they come to, and what can be done next.
    pub fn lines(&self) -> Vec<String> {
        let rows = self.tables.iter().map(|Copied { done, .. }| {
            vec![
                done.name.to_string(),
                counted(done.rows, "row", "rows"),
                counted(done.files as u64, "file", "files"),
                bytes(done.bytes),
            ]
        });
        let mut lines = aligned(&rows.collect::<Vec<_>>());
        for Copied { done, .. } in &self.tables {
            lines.extend(done.nulled.iter().map(|((column, kind), count)| {
                format!(
                    "{}: NULL stands for {} in column `{column}` ({kind})",
                    done.name,
                    counted(*count, "value", "values"),
                )
            }));
        }
        let moment = self.tables.iter().map(|table| table.read_at).max();
        lines.push(format!(
            "{}, {}, {}, {} in {:.1} s ({} rows/s), as of {}",
            counted(self.tables.len() as u64, "table", "tables"),
            counted(self.total(|done| done.rows), "row", "rows"),
            counted(self.total(|done| done.files as u64), "file", "files"),
            bytes(self.total(|done| done.bytes)),
            self.took.as_secs_f64(),
            number(self.rate()),
            moment.map(|at| format!("{at:.0}")).unwrap_or_default(),
        ));
        let first = self.tables.first().map(|table| &table.done.location);
        if let Some(location) = first.filter(|location| !location.is_empty()) {
            lines.push(format!(
                "next: duckdb -c \"SELECT count(*) FROM read_parquet('{}')\"",
                location.replace('\'', "''")
            ));
        }
        lines
    }

    fn as_answer(&self) -> serde_json::Value {
        let tables = self.tables.iter().map(
            |Copied {
                 done,
                 load,
                 read_at,
             }| {
                let nulled = done.nulled.iter().map(|((column, kind), values)| {
                json!({ "column": column, "kind": kind, "values": values })
            });
                json!({
                    "table": done.name.to_string(),
                    "rows": done.rows,
                    "files": done.files,
                    "bytes": done.bytes,
                    "path": done.location,
                    "load": load,
                    "read_at": read_at.to_string(),
                    "nulled": nulled.collect::<Vec<_>>(),
                })
            },
        );
        json!({
            "tables": tables.collect::<Vec<_>>(),
            "rows": self.total(|done| done.rows),
            "files": self.total(|done| done.files as u64),
            "bytes": self.total(|done| done.bytes),
            "milliseconds": self.took.as_millis() as u64,
            "rows_per_second": self.rate(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TableName;

    fn copied(name: &str, rows: u64, location: &str) -> Copied {
        let name = TableName {
            source: "shop".into(),
            schema: "public".into(),
            name: name.into(),
            in_default_schema: true,
        };
        Copied {
            done: TableDone {
                name,
                rows,
                files: 1 + (rows / 1_000_000) as usize,
                bytes: rows * 9,
                location: location.to_owned(),
                nulled: BTreeMap::new(),
            },
            load: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            read_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_summary_says_what_is_there_and_what_can_be_done_next() {
        let mut summary = Summary {
            tables: vec![
                copied(
                    "orders",
                    3_200_000,
                    "./lake/shop/orders/snapshot=01A/**/*.parquet",
                ),
                copied(
                    "주문",
                    1,
                    "./lake/shop/-c8fc_bb38-/snapshot=01A/**/*.parquet",
                ),
            ],
            took: Duration::from_millis(6_400),
        };
        let what = ("total".to_owned(), "a numeric of NaN".to_owned());
        summary.tables[0].done.nulled.insert(what, 3);
        insta::assert_snapshot!(summary.lines().join("\n"), @r#"
        shop.orders  3,200,000 rows  4 files  27 MiB
        shop.주문    1 row           1 file   9 B
        shop.orders: NULL stands for 3 values in column `total` (a numeric of NaN)
        2 tables, 3,200,001 rows, 5 files, 27 MiB in 6.4 s (500,000 rows/s), as of 1970-01-01T00:00:00Z
        next: duckdb -c "SELECT count(*) FROM read_parquet('./lake/shop/orders/snapshot=01A/**/*.parquet')"
        "#);
    }
}

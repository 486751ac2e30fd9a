//! The questions of `cdc init` on a terminal, each with a default and a way back.

use std::collections::BTreeSet;
use std::io::IsTerminal;

use console::Term;
use dialoguer::theme::ColorfulTheme;
use dialoguer::{Input, MultiSelect, Select};

use super::aligned::aligned;
use super::ending::ExitCode;
use super::init::{look, prefix_of};
use super::named::{Named, database};
use super::output;
use crate::config::LakePlace;
use crate::error::{Error, Kind, Result};
use crate::inspect::{DiscoveredTable, FirstSource, Verdict, counted, number};
use crate::model::TableName;

/// What goes back where a text is asked for.
const BACK: &str = "<";
/// Tables shown at one time.
const SHOWN: usize = 15;

/// What is known before, or was answered.
#[derive(Clone)]
pub struct Known {
    pub databases: Vec<Named>,
    /// Names or globs; empty: all.
    pub tables: Vec<String>,
    pub brokers: Option<String>,
    pub topic_prefix: Option<String>,
    pub lake: Option<String>,
    pub pipeline: Option<String>,
    /// Where the file goes.
    pub file: String,
}

/// The questions in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Databases,
    Tables,
    Brokers,
    Prefix,
    Lake,
    Write,
}

const STEPS: [Step; 6] = [
    Step::Databases,
    Step::Tables,
    Step::Brokers,
    Step::Prefix,
    Step::Lake,
    Step::Write,
];

/// Where an answer leads.
enum Way {
    On,
    Back,
    Stop,
}

/// The questions that are open.
pub struct Questions {
    /// What the command line says: it is not asked.
    given: Known,
    known: Known,
    sources: Vec<FirstSource>,
    chosen: Option<BTreeSet<TableName>>,
    term: Term,
}

impl Questions {
    /// Whether there is somebody to ask.
    pub fn may_be_asked() -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    pub fn new(known: Known) -> Self {
        Questions {
            given: known.clone(),
            known,
            sources: Vec::new(),
            chosen: None,
            term: Term::stderr(),
        }
    }

    /// Asks to the end; `None` where the answer was to write nothing.
    pub async fn ask(mut self) -> Result<Option<(Known, Vec<FirstSource>)>> {
        let _interrupted = tokio::spawn(end_when_interrupted());
        let mut at = 0;
        while let Some(step) = STEPS.get(at).copied() {
            let way = match step {
                Step::Databases => self.databases().await?,
                Step::Tables => self.tables()?,
                Step::Brokers => self.brokers()?,
                Step::Prefix => self.prefix()?,
                Step::Lake => self.lake()?,
                Step::Write => self.write()?,
            };
            match way {
                Way::On => at += 1,
                Way::Back => at = self.before(at),
                Way::Stop => return Ok(None),
            }
        }
        if let Some(chosen) = &self.chosen {
            for source in &mut self.sources {
                source.chosen = Some(chosen.clone());
            }
        }
        Ok(Some((self.known, self.sources)))
    }

    /// The question before this one that is not answered by the command line; this one if there is none.
    fn before(&self, at: usize) -> usize {
        let is_open = |step: &Step| match step {
            Step::Databases => self.given.databases.is_empty(),
            Step::Tables => self.given.tables.is_empty(),
            Step::Brokers => self.given.brokers.is_none(),
            Step::Prefix => self.given.topic_prefix.is_none(),
            Step::Lake => self.given.lake.is_none(),
            Step::Write => true,
        };
        let earlier = STEPS.get(..at).unwrap_or_default();
        earlier.iter().rposition(is_open).unwrap_or(at)
    }

    async fn databases(&mut self) -> Result<Way> {
        if !self.given.databases.is_empty() {
            self.sources = look(&self.known).await?;
            return Ok(Way::On);
        }
        self.known.databases.clear();
        loop {
            let (prompt, is_first) = match self.known.databases.len() {
                0 => (
                    "Database (postgres://user:password@host/database or mariadb://…)",
                    true,
                ),
                _ => ("Another database (empty: no)", false),
            };
            let Some(word) = self.text(prompt, if is_first { None } else { Some("") })? else {
                self.known.databases.clear();
                continue;
            };
            if word.is_empty() {
                return Ok(Way::On);
            }
            // What cannot be reached is said at once, and asked again.
            match self.with(&word).await {
                Ok(()) => {}
                Err(error) => {
                    output::fail(&error);
                }
            }
        }
    }

    async fn with(&mut self, word: &str) -> Result<()> {
        let named = database(word, &self.known.databases)?;
        let mut wider = self.known.clone();
        wider.databases.push(named);
        self.sources = look(&wider).await?;
        self.known = wider;
        if let Some(source) = self.sources.last() {
            let tables = source.chosen.as_ref().map_or(0, BTreeSet::len);
            output::note(&format!(
                "  {}: {} tables",
                source.found.url,
                number(tables)
            ));
        }
        Ok(())
    }

    fn tables(&mut self) -> Result<Way> {
        if !self.given.tables.is_empty() {
            return Ok(Way::On);
        }
        let meant = |source: &FirstSource, table: &DiscoveredTable| {
            source
                .chosen
                .as_ref()
                .is_none_or(|chosen| chosen.contains(&table.name))
        };
        let tables: Vec<&DiscoveredTable> = self
            .sources
            .iter()
            .flat_map(|source| {
                source
                    .found
                    .tables
                    .iter()
                    .filter(move |table| meant(source, table))
            })
            .collect();
        if tables.is_empty() {
            return Ok(Way::On);
        }
        let rows: Vec<Vec<String>> = tables.iter().map(|table| item(table)).collect();
        let before: Vec<bool> = tables
            .iter()
            .map(|table| match &self.chosen {
                Some(chosen) => chosen.contains(&table.name),
                None => matches!(table.verdict, Verdict::Read(_)),
            })
            .collect();
        let theme = ColorfulTheme::default();
        let answer = MultiSelect::with_theme(&theme)
            .with_prompt("Tables (space: take or leave, a: all, enter: go on, esc: back)")
            .items(aligned(&rows))
            .defaults(&before)
            .max_length(SHOWN)
            .report(false);
        let answer = tokio::task::block_in_place(|| answer.interact_on_opt(&self.term));
        let Some(taken) = answer.map_err(unanswered)? else {
            return Ok(Way::Back);
        };
        let chosen: BTreeSet<TableName> = taken
            .iter()
            .filter_map(|at| tables.get(*at))
            .map(|table| table.name.clone())
            .collect();
        if chosen.is_empty() {
            output::note("  take at least one table");
            return self.tables();
        }
        output::note(&format!(
            "  {} of {} tables",
            number(chosen.len()),
            number(tables.len())
        ));
        self.chosen = Some(chosen);
        Ok(Way::On)
    }

    fn brokers(&mut self) -> Result<Way> {
        if self.given.brokers.is_some() {
            return Ok(Way::On);
        }
        let before = self.known.brokers.clone();
        let before = before.unwrap_or_else(|| "localhost:9092".to_owned());
        let answer = self.text("Kafka brokers (`<`: back)", Some(&before))?;
        Ok(self.keep(answer, |known, answer| known.brokers = Some(answer)))
    }

    fn prefix(&mut self) -> Result<Way> {
        if self.given.topic_prefix.is_some() {
            return Ok(Way::On);
        }
        let before = prefix_of(&self.known);
        let answer = self.text("Topic prefix (`<`: back)", Some(&before))?;
        Ok(self.keep(answer, |known, answer| known.topic_prefix = Some(answer)))
    }

    fn lake(&mut self) -> Result<Way> {
        if self.given.lake.is_some() {
            return Ok(Way::On);
        }
        let before = self
            .known
            .lake
            .clone()
            .unwrap_or_else(|| "./lake".to_owned());
        loop {
            let prompt = "Lake (s3://bucket/prefix or ./directory; `<`: back)";
            let answer = self.text(prompt, Some(&before))?;
            if let Some(answer) = &answer
                && let Err(why) = LakePlace::parse(answer)
            {
                output::note(&format!("  `{answer}` {why}"));
                continue;
            }
            return Ok(self.keep(answer, |known, answer| known.lake = Some(answer)));
        }
    }

    fn write(&mut self) -> Result<Way> {
        let items = [
            format!("write {}", self.known.file),
            "back".to_owned(),
            "stop, and write nothing".to_owned(),
        ];
        let theme = ColorfulTheme::default();
        let select = Select::with_theme(&theme)
            .with_prompt("All set")
            .items(&items)
            .default(0)
            .report(false);
        let answer = tokio::task::block_in_place(|| select.interact_on_opt(&self.term));
        Ok(match answer.map_err(unanswered)? {
            Some(0) => Way::On,
            Some(1) | None => Way::Back,
            Some(_) => Way::Stop,
        })
    }

    fn keep(&mut self, answer: Option<String>, keep: impl FnOnce(&mut Known, String)) -> Way {
        match answer {
            Some(answer) => {
                keep(&mut self.known, answer);
                Way::On
            }
            None => Way::Back,
        }
    }

    /// A line of text; `None` goes back. A URL is not left standing: it may hold a password.
    fn text(&self, prompt: &str, before: Option<&str>) -> Result<Option<String>> {
        let is_secret = before.is_none_or(str::is_empty);
        let theme = ColorfulTheme::default();
        let mut input = Input::<String>::with_theme(&theme)
            .with_prompt(prompt)
            .report(!is_secret);
        if let Some(before) = before {
            input = input
                .default(before.to_owned())
                .show_default(!before.is_empty());
            input = input.allow_empty(before.is_empty());
        }
        let answer = tokio::task::block_in_place(|| input.interact_text_on(&self.term));
        let answer = answer.map_err(unanswered)?.trim().to_owned();
        Ok((answer != BACK).then_some(answer))
    }
}

/// A question hides the cursor; whoever interrupts it gets it back. Nothing was written by then.
async fn end_when_interrupted() {
    if tokio::signal::ctrl_c().await.is_ok() {
        let _ = Term::stderr().show_cursor();
        output::note("\nnothing was written");
        ExitCode::from(Kind::No).end_the_process()
    }
}

/// A table as a line to choose.
fn item(table: &DiscoveredTable) -> Vec<String> {
    let rows = table
        .estimated_rows
        .map_or_else(|| "? rows".to_owned(), |rows| counted(rows, "row", "rows"));
    let mode = match &table.verdict {
        Verdict::Read(proposal) => proposal.mode.to_string(),
        Verdict::Leave { why, .. } => why.clone(),
    };
    vec![table.table.clone(), rows, mode]
}

fn unanswered(error: dialoguer::Error) -> Error {
    let dialoguer::Error::IO(error) = error;
    let _ = Term::stderr().show_cursor();
    Error::new(Kind::No, "it was not answered, and nothing was written").because(error)
}

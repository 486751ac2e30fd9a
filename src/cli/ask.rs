//! Asking the owners of tables: requests through the state topic, and their answers.

mod closing;
mod lake;
mod requests;
mod stillness;

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::ending::ExitCode;
use super::output::{self, Output};
use super::snapshot::{exit_code, write_results};
use super::{Format, as_json, signals};
use crate::config::{KafkaSettings, Settings, is_meant, is_problem_meant};
use crate::error::{Error, Kind, Result};
use crate::inspect::must_all_mean_some;
use crate::model::{Mode, TableName};
use crate::retry::Backoff;
use crate::source::{Chosen, choose, open_source};
use crate::state::{Outcome, PipelineNames, Verb};
use crate::supervisor::{Ended, Results};
use crate::topic::Admin;
use closing::closing;
use lake::{await_lake, await_readers};
pub use requests::{Asked, carry_out};
use requests::{Nobody, ask_owners};

/// How often the answers are looked for.
const LOOK: Duration = Duration::from_millis(300);
/// How often a command begins to work by itself: others may come and go meanwhile.
const BEGINNINGS: u32 = 3;
/// How long a table may have nobody who owns it before the asker gives up.
const NOBODY: Duration = Duration::from_secs(60);

/// Tables to act on.
#[derive(Debug, Args)]
pub struct Tables {
    /// Tables or globs (`orders`, `ec.orders`, `pos.*`)
    #[arg(value_name = "TABLE", required = true)]
    tables: Vec<String>,
    /// How the answer is written
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

impl Tables {
    /// Asks for `verb` and waits for the answers.
    pub async fn ask(&self, settings: Settings, output: Output, verb: Verb) -> Result<ExitCode> {
        let kafka = super::kafka_of(&settings)?;
        if !verb.is_at_once() && !has_members(kafka, &settings)? {
            return Err(Error::new(
                Kind::TryLater,
                "nobody follows this pipeline, so nobody answers",
            )
            .code(crate::error::Code::NOBODY_FOLLOWS)
            .hint("start `cdc follow`, then type this again"));
        }
        let stop = signals::stop_on_signal()?;
        let asking = Asking {
            verb,
            await_lake: false,
            format: self.output,
        };
        let mut results = Results::default();
        let (tables, nobody) = (&self.tables, Nobody::AwaitNext);
        asking
            .ask(&settings, tables, &stop, &mut results, false, nobody)
            .await?;
        write_results(self.output, output, &results)?;
        Ok(exit_code(&results, false))
    }
}

/// Whether workers of this pipeline are running.
pub fn has_members(kafka: &KafkaSettings, settings: &Settings) -> Result<bool> {
    let names = PipelineNames::new(&settings.pipeline);
    let admin = Admin::new(kafka, &client_id(settings))?;
    Ok(!admin.members(&names.capture_group)?.is_empty())
}

/// The id of a command that joins no group.
pub fn client_id(settings: &Settings) -> String {
    format!("cdc.{}", settings.pipeline)
}

/// One verb for some tables.
pub struct Asking {
    pub verb: Verb,
    /// Wait until the lake holds what the answer is about.
    pub await_lake: bool,
    /// How the answers are written.
    pub format: Format,
}

/// What became of one table.
#[derive(Debug, Serialize)]
pub struct Answer {
    pub table: String,
    /// The exit code of a command about this table alone.
    pub exit: u8,
    /// By what `cdc explain` knows a failure.
    pub code: Option<String>,
    pub text: String,
    pub next: Option<String>,
    /// The rows that were copied, loaded or sent for it.
    pub rows: Option<u64>,
    /// A bulk table's load.
    pub load: Option<String>,
}

impl Answer {
    pub fn of(table: &TableName, result: &Result<Outcome>) -> Self {
        let table = table.to_string();
        match result {
            Ok(outcome) => Answer {
                table,
                exit: outcome.exit,
                code: outcome.code.clone(),
                text: outcome.text.clone(),
                next: outcome.next_step.clone(),
                rows: outcome.rows,
                load: outcome.load.clone(),
            },
            Err(error) => Answer {
                table,
                exit: error.kind().exit_code(),
                code: Some(error.stable_code().to_string()),
                text: error.to_string(),
                next: error.next_step().map(str::to_owned),
                rows: None,
                load: None,
            },
        }
    }
}

/// Answers table by table, as one JSON value on stdout; in text they were told when they came.
pub fn write_answers(format: Format, output: Output, answers: &[Answer]) -> Result<()> {
    #[derive(Serialize)]
    struct Answers<'a> {
        tables: &'a [Answer],
    }
    if format == Format::Json {
        output.line(&as_json(&Answers { tables: answers })?);
    }
    Ok(())
}

impl Asking {
    /// Asks the owners of the tables; where there are none, works here. Whoever joins meanwhile has the tables: what is
    /// not done yet is asked of them. What was done is told, whatever kept the rest from it.
    pub async fn run_or_work(
        &self,
        settings: &Settings,
        tables: &[String],
        output: Output,
        stop: &CancellationToken,
        work: impl AsyncFn(&[String]) -> Result<Ended>,
    ) -> Result<ExitCode> {
        let began = Instant::now();
        let mut results = Results::default();
        let done = self.get_done(settings, tables, stop, work, &mut results);
        let ended = match done.await {
            Ok(Done::InKafka) => self.await_readers(settings, &results, stop).await,
            Ok(Done::InLake) => Ok(()),
            Err(error) => Err(error),
        };
        if ended.is_ok() || !results.tables.is_empty() {
            write_results(self.format, output, &results)?;
        }
        ended?;
        if stop.is_cancelled() {
            output::note(
                "stopped before the end: what is done stays done, and the same command without `--again` goes on; \
                 until then the lake may hold a part of a copy (`cdc status` shows how far each table is)",
            );
        } else {
            let place = match self.await_lake {
                true => "in the lake",
                false => "in Kafka",
            };
            closing(&results, place, began.elapsed())
                .iter()
                .for_each(|line| output::note(line));
        }
        Ok(exit_code(&results, stop.is_cancelled()))
    }

    async fn get_done(
        &self,
        settings: &Settings,
        tables: &[String],
        stop: &CancellationToken,
        work: impl AsyncFn(&[String]) -> Result<Ended>,
        results: &mut Results,
    ) -> Result<Done> {
        let kafka = super::kafka_of(settings)?;
        let (mut has_begun, mut done) = (false, Done::InLake);
        let mut backoff = Backoff::default();
        for _ in 0..BEGINNINGS {
            if stop.is_cancelled() {
                return Ok(done);
            }
            if has_members(kafka, settings)? {
                let asking = self.ask(
                    settings,
                    tables,
                    stop,
                    results,
                    has_begun,
                    Nobody::WorkMyself,
                );
                let is_all = asking.await?;
                if is_all || !results.tables.is_empty() {
                    done = Done::InKafka;
                }
                if is_all {
                    return Ok(done);
                }
                tracing::info!("nobody answers: working here");
            }
            must_mean_some(settings, &kafka.topic_prefix, tables).await?;
            let mut rest = tables.to_vec();
            if !results.tables.is_empty() {
                let left = self.left(settings, tables, results).await?;
                rest = left.iter().map(|chosen| chosen.name.to_string()).collect();
                if rest.is_empty() {
                    return Ok(done);
                }
            }
            let left_to = match work(&rest).await {
                Err(error) if error.kind() == Kind::TryLater && has_members(kafka, settings)? => {
                    tracing::info!(%error, "asking the worker that has the tables");
                    continue;
                }
                Err(error) => return Err(error),
                Ok(Ended::Done(found)) => {
                    results.add(found);
                    return Ok(done);
                }
                Ok(Ended::NotInLake(found, error)) => {
                    results.add(found);
                    return Err(error);
                }
                Ok(Ended::LeftTo(found, error)) => {
                    results.add(found);
                    // Who leaves its tables leaves their rows in Kafka to the sink of whoever has them now.
                    done = Done::InKafka;
                    error
                }
            };
            tracing::info!(error = %left_to, "asking the worker that has the tables");
            has_begun = true;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(backoff.after_failure()) => {}
            }
        }
        self.ask(
            settings,
            tables,
            stop,
            results,
            has_begun,
            Nobody::AwaitNext,
        )
        .await?;
        Ok(Done::InKafka)
    }

    /// The tables that are not done yet.
    async fn left(
        &self,
        settings: &Settings,
        tables: &[String],
        results: &Results,
    ) -> Result<Vec<Chosen>> {
        let kafka = super::kafka_of(settings)?;
        let Meant {
            mut tables,
            problem,
        } = meant(settings, &kafka.topic_prefix, tables).await?;
        if let Some(problem) = problem {
            return Err(problem);
        }
        tables.retain(|chosen| !matches!(results.tables.get(&chosen.name), Some(Ok(_))));
        Ok(tables)
    }

    /// Asks the owners about what is not done yet; whether all of it was answered.
    async fn ask(
        &self,
        settings: &Settings,
        tables: &[String],
        stop: &CancellationToken,
        results: &mut Results,
        has_begun: bool,
        nobody: Nobody,
    ) -> Result<bool> {
        let kafka = super::kafka_of(settings)?;
        let verb = |chosen: &Chosen| match self.verb {
            // The new owner finishes a copy that was begun, perhaps before it is asked.
            Verb::Snapshot if has_begun && chosen.settings.mode != Mode::Bulk => Verb::Once,
            verb => verb,
        };
        let left = self.left(settings, tables, results).await?;
        let asked: Vec<Asked> = left
            .into_iter()
            .map(|chosen| Asked {
                verb: verb(&chosen),
                table: chosen.name,
                place: None,
            })
            .collect();
        let answers = match nobody {
            Nobody::AwaitNext => carry_out(settings, kafka, &asked, stop).await?,
            Nobody::WorkMyself => ask_owners(settings, kafka, &asked, nobody, stop).await?,
        };
        tell(&answers);
        let is_all = answers.len() == asked.len();
        let answers = answers
            .into_iter()
            .map(|(table, answer)| (table, Ok(answer)));
        results.tables.extend(answers);
        Ok(is_all)
    }

    /// Waits until the lake, and its readers, have what was done: some tables may not be.
    async fn await_readers(
        &self,
        settings: &Settings,
        results: &Results,
        stop: &CancellationToken,
    ) -> Result<()> {
        let answers: Vec<(&TableName, &Outcome)> = results
            .tables
            .iter()
            .filter_map(|(table, result)| Some((table, result.as_ref().ok()?)))
            .filter(|(_, outcome)| outcome.exit == 0)
            .collect();
        if !self.await_lake || answers.is_empty() {
            return Ok(());
        }
        let kafka = super::kafka_of(settings)?;
        let names = PipelineNames::new(&settings.pipeline);
        let age = crate::inspect::duration(settings.lake.files.age);
        output::note(&format!(
            "in Kafka; waiting for the lake, whose files the one who follows closes after {age} (`lake.files.age`)"
        ));
        await_lake(
            kafka,
            &names,
            &client_id(settings),
            settings.lake.files.age,
            &answers,
            stop,
        )
        .await?;
        await_readers(settings, &answers, stop).await
    }
}

/// Where the rows of what is done are.
#[derive(Clone, Copy)]
enum Done {
    /// It was done here, and the lake was waited for.
    InLake,
    /// Others did some of it, or have its tables now.
    InKafka,
}

/// Says what the owners answered; the largest of their exit codes.
pub fn tell(answers: &[(TableName, Outcome)]) -> u8 {
    for (table, outcome) in answers {
        let code = outcome.code.as_ref().filter(|_| outcome.exit != 0);
        let code = code.map_or_else(String::new, |code| format!(" [{code}]"));
        output::note(&format!("{table}: {}{code}", outcome.text));
        let next = outcome.next_step.iter();
        next.for_each(|next| output::note(&format!("  next: {next}")));
    }
    let exits = answers.iter().map(|(_, outcome)| outcome.exit);
    exits.max().unwrap_or(0)
}

/// The owners' answers, as one JSON value on stdout; in text they were told.
pub fn write_outcomes(
    format: Format,
    output: Output,
    answers: &[(TableName, Outcome)],
) -> Result<()> {
    let told: Vec<Answer> = answers
        .iter()
        .map(|(table, outcome)| Answer::of(table, &Ok(outcome.clone())))
        .collect();
    write_answers(format, output, &told)
}

/// What names on the command line mean, as the sources hold it now.
pub struct Meant {
    pub tables: Vec<Chosen>,
    /// What is wrong with a table that is named.
    pub problem: Option<Error>,
}

/// Fails for a name that means nothing.
pub async fn meant(settings: &Settings, topic_prefix: &str, names: &[String]) -> Result<Meant> {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for source in &settings.sources {
        let choice = choose(source, open_source(source)?.as_ref(), topic_prefix).await?;
        all.extend(choice.tables);
        problems.extend(choice.problems);
    }
    let is_about = |problem: &Error| {
        let subject = problem.subject();
        subject.is_some_and(|subject| is_problem_meant(names, subject))
    };
    let found: Vec<TableName> = all
        .iter()
        .map(|chosen: &Chosen| chosen.name.clone())
        .collect();
    let wrong = problems.iter().filter_map(Error::subject);
    must_all_mean_some(names, &found, wrong)?;
    all.retain(|chosen| is_meant(names, &chosen.name));
    problems.retain(|problem| !names.is_empty() && is_about(problem));
    Ok(Meant {
        tables: all,
        problem: problems.into_iter().next(),
    })
}

/// Fails for a name that means nothing, before anything is begun. A source that does not answer now may have it.
pub async fn must_mean_some(
    settings: &Settings,
    topic_prefix: &str,
    names: &[String],
) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    match meant(settings, topic_prefix, names).await {
        Err(error) if error.kind() != Kind::Usage => {
            tracing::debug!(%error, "whether every name means a table is found out later");
            Ok(())
        }
        found => found.map(drop),
    }
}

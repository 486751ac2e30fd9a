//! What units report becomes news: for people, for other workers, and for the sink.

use super::telling::WORTH_TELLING;
use super::worker::Worker;
use crate::capture::{Doing, Goal, UnitReport};
use crate::model::TableName;
use crate::state::Outcome;

/// What happens in a worker, for people.
#[derive(Debug)]
pub enum News {
    Joined {
        worker: String,
    },
    /// The loop that owns the tables turns. Told every few seconds.
    Alive,
    Doing {
        table: TableName,
        what: Doing,
    },
    Finished {
        table: TableName,
        outcome: Outcome,
    },
    Failed {
        table: TableName,
        text: String,
        /// By what `cdc explain` knows it.
        code: String,
        next_step: Option<String>,
    },
    /// All that was asked for is in Kafka; the lake is awaited.
    Draining {
        partitions: usize,
    },
}

impl Worker {
    pub(super) fn take_report(&mut self, report: UnitReport) {
        let news = match report {
            UnitReport::Doing { table, what } => {
                match &what {
                    Doing::Following { guard, .. } => self.guarded_by(&table, guard.clone()),
                    Doing::Waiting {
                        why,
                        code,
                        next_step,
                        failures,
                    } if *failures >= WORTH_TELLING => {
                        self.troubles.met_as(
                            &table,
                            why.clone(),
                            Some(code.clone()),
                            next_step.clone(),
                            true,
                        );
                    }
                    _ => {}
                }
                if !matches!(what, Doing::Waiting { .. }) {
                    self.troubles.over(&table);
                }
                News::Doing { table, what }
            }
            UnitReport::Guarded { table, class } => {
                return self.guarded_by(&table, class.to_string());
            }
            UnitReport::Finished { table, outcome } => {
                self.troubles.over(&table);
                self.results
                    .tables
                    .insert(table.clone(), Ok(outcome.clone()));
                News::Finished { table, outcome }
            }
            UnitReport::Failed {
                table,
                error,
                is_told,
            } => {
                match is_told {
                    true => self.troubles.over(&table),
                    false => self.troubles.met(&table, &error, false),
                }
                let news = News::Failed {
                    table: table.clone(),
                    text: error.to_string(),
                    code: error.stable_code().to_string(),
                    next_step: error.next_step().map(str::to_owned),
                };
                if self.goal != Goal::Follow {
                    self.results.tables.insert(table, Err(error));
                }
                news
            }
        };
        let _ = self.news.send(news);
    }

    fn guarded_by(&mut self, table: &TableName, guard: String) {
        if self.guards.get(table) == Some(&guard) {
            return;
        }
        self.tables.send_modify(|tables| {
            if let Some(known) = tables.iter_mut().find(|known| known.name == *table) {
                known.guard.clone_from(&guard);
            }
        });
        self.guards.insert(table.clone(), guard);
    }
}

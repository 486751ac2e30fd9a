//! Which tables are meant here: what the configuration names, the command line asks for and the databases hold.

use std::collections::{BTreeMap, BTreeSet};

use super::discovery::Discovered;
use super::worker::Worker;
use crate::capture::Goal;
use crate::config::{is_meant, is_problem_meant};
use crate::error::Result;
use crate::inspect::must_all_mean_some;
use crate::model::{Mode, TableName};
use crate::sink::SinkTable;
use crate::source::{Chosen, collisions, configured_tables};

impl Worker {
    /// Takes in what a database holds. The tables that are wanted here, unless the database did not answer.
    pub(super) fn take_discovered(
        &mut self,
        found: Discovered,
    ) -> Result<Option<(String, BTreeSet<TableName>)>> {
        let Discovered { source, outcome } = found;
        let choice = match outcome {
            Ok(choice) => choice,
            Err(error) => {
                self.sources.failed(&source, &error);
                self.source_failed(&source, &error);
                if self.goal != Goal::Follow && self.sources.has_given_up(&source) {
                    return Err(error);
                }
                return Ok(None);
            }
        };
        for problem in &choice.problems {
            self.problem_of(&source, problem);
            tracing::error!(code = %problem.stable_code(), error = %problem, next = problem.next_step(), "this table cannot be followed");
            // A command with a table list is not about all of them.
            self.wrong.extend(problem.subject().map(str::to_owned));
            let is_meant = |subject| is_problem_meant(&self.only, subject);
            if self.only.is_empty() || problem.subject().is_some_and(is_meant) {
                self.results.problems.push(problem.kind());
            }
        }
        let collisions = self
            .sources
            .found(&source, choice, &self.kafka.topic_prefix);
        for (table, error) in &collisions {
            self.troubles.met(table, error, false);
            self.wrong.insert(table.to_string());
            if is_meant(&self.only, table) {
                self.results.problems.push(error.kind());
            }
        }
        self.forget_strangers();
        self.chosen = self
            .sources
            .chosen()
            .filter(|chosen| is_meant(&self.only, &chosen.name))
            .map(|chosen| (chosen.name.clone(), chosen.clone()))
            .collect();
        if self.sources.all_are_known() {
            self.must_all_mean_some()?;
        }
        self.publish_tables();
        let tables = self
            .chosen
            .keys()
            .filter(|table| table.source == source)
            .cloned()
            .collect();
        Ok(Some((source, tables)))
    }

    /// A command that ends by itself fails where a name means nothing; one that follows says it once, and waits for the
    /// table to be made.
    fn must_all_mean_some(&mut self) -> Result<()> {
        let found: Vec<TableName> = self
            .sources
            .chosen()
            .map(|chosen| chosen.name.clone())
            .collect();
        match must_all_mean_some(&self.only, &found, self.wrong.iter().map(String::as_str)) {
            Err(error) if self.goal == Goal::Follow && !self.chosen.is_empty() => {
                if !std::mem::replace(&mut self.told_unknown, true) {
                    tracing::warn!(%error, "it is followed once it is there");
                }
                Ok(())
            }
            checked => checked,
        }
    }

    /// Tells the sink which topics there are.
    pub(super) fn publish_tables(&self) {
        let mut tables: BTreeMap<TableName, SinkTable> = BTreeMap::new();
        // A table that is gone from its database is not gone from its topic.
        let known = self.tables.borrow().clone();
        let mut configured = configured_tables(&self.settings, &self.kafka.topic_prefix);
        // What a name means may be another table than it seems: a dot can be part of it.
        configured.retain(|written| {
            let is_found = |found: &Chosen| {
                found.name.source == written.name.source && written.settings.means(&found.name)
            };
            !self.sources.chosen().any(is_found)
        });
        let mut found: Vec<Chosen> = self.sources.chosen().cloned().chain(configured).collect();
        // What a topic holds is its first table's.
        let colliding = collisions(&found, &self.kafka.topic_prefix);
        let colliding: BTreeSet<TableName> = colliding.into_iter().map(|(name, _)| name).collect();
        found.retain(|chosen| !colliding.contains(&chosen.name));
        for chosen in found
            .into_iter()
            .filter(|chosen| is_meant(&self.only, &chosen.name))
        {
            let Some((_, zone)) = self.sources.of(&chosen.name) else {
                continue;
            };
            tables
                .entry(chosen.name.clone())
                .or_insert_with(|| SinkTable {
                    guard: match chosen.settings.mode {
                        // What is visible of a load was counted, which no guard could add to.
                        Mode::Bulk => "counted".to_owned(),
                        _ => self
                            .guards
                            .get(&chosen.name)
                            .cloned()
                            .unwrap_or_else(|| "unknown".to_owned()),
                    },
                    name: chosen.name,
                    topic: chosen.topic,
                    mode: chosen.settings.mode,
                    partition_by: chosen.settings.partition_by,
                    null_partition: chosen.settings.null_partition,
                    source_zone: zone,
                });
        }
        for table in known {
            tables.entry(table.name.clone()).or_insert(table);
        }
        self.tables.send_replace(tables.into_values().collect());
    }
}

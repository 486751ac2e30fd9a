//! Which tables the sources hold: asked at the start, and again and again for globs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::config::{Settings, SourceSettings};
use crate::error::{Error, Kind, Result};
use crate::model::TableName;
use crate::retry::Backoff;
use crate::source::{Choice, Chosen, Source, choose, collisions, configured_in, open_source};

/// How often a source is asked anew: a table that a glob means is followed within a minute of its making.
const EVERY: Duration = Duration::from_secs(60);
/// Failures in a row after which a command that ends by itself gives a source up: about a minute.
const ONE_SHOT_FAILURES: u32 = 8;

/// What asking a source came to.
pub struct Discovered {
    pub source: String,
    pub outcome: Result<Choice>,
}

/// A source as the discovery asks it.
#[derive(Clone)]
pub struct Asked {
    settings: SourceSettings,
    source: Arc<dyn Source>,
}

/// Asks a source for ever; `tell` answers whether anybody still listens.
pub async fn discover(asked: Asked, topic_prefix: String, tell: impl Fn(Discovered) -> bool) {
    let mut backoff = Backoff::default();
    loop {
        let outcome = choose(&asked.settings, asked.source.as_ref(), &topic_prefix).await;
        let pause = match &outcome {
            Ok(_) => {
                backoff.after_success();
                EVERY
            }
            Err(error) => {
                let pause = backoff.after_failure();
                let retry_in_ms = pause.as_millis() as u64;
                tracing::warn!(source = asked.settings.name, code = %error.stable_code(), %error, next = error.next_step(), retry_in_ms, "this source cannot be read");
                pause
            }
        };
        if !tell(Discovered {
            source: asked.settings.name.clone(),
            outcome,
        }) {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// All sources and what is known of them.
pub struct SourceTables {
    sources: BTreeMap<String, Known>,
    /// Their names as the configuration has them.
    order: Vec<String>,
}

struct Known {
    asked: Asked,
    tables: Option<Vec<Chosen>>,
    failures: u32,
    gave_up: bool,
}

impl SourceTables {
    /// Opens every source; nothing is asked yet.
    pub fn open(settings: &Settings) -> Result<Self> {
        let mut sources = BTreeMap::new();
        for one in &settings.sources {
            let asked = Asked {
                settings: one.clone(),
                source: open_source(one)?,
            };
            sources.insert(
                one.name.clone(),
                Known {
                    asked,
                    tables: None,
                    failures: 0,
                    gave_up: false,
                },
            );
        }
        let order = settings.sources.iter();
        Ok(SourceTables {
            sources,
            order: order.map(|source| source.name.clone()).collect(),
        })
    }

    pub fn all(&self) -> Vec<Asked> {
        self.sources
            .values()
            .map(|known| known.asked.clone())
            .collect()
    }

    /// The source of a table, and what its timestamps without zone mean.
    pub fn of(&self, table: &TableName) -> Option<(Arc<dyn Source>, TimeZone)> {
        let asked = &self.sources.get(&table.source)?.asked;
        Some((asked.source.clone(), asked.settings.time_zone.clone()))
    }

    /// Takes in what a source holds. Tables whose topic collides with another's are left out, loudly; they are
    /// given back.
    ///
    /// Which of two has the topic does not hang on which source answers first: one that may run already keeps
    /// it, and what is named exactly counts before its source has answered.
    pub fn found(
        &mut self,
        source: &str,
        choice: Choice,
        topic_prefix: &str,
    ) -> Vec<(TableName, Error)> {
        let mut all: Vec<Chosen> = Vec::new();
        let mut later: Vec<Chosen> = Vec::new();
        for name in &self.order {
            let Some(known) = self.sources.get(name) else {
                continue;
            };
            match &known.tables {
                _ if name == source => later.extend(choice.tables.iter().cloned()),
                Some(tables) => all.extend(tables.iter().cloned()),
                None => later.extend(configured_in(&known.asked.settings, topic_prefix)),
            }
        }
        if let Some(known) = self.sources.get_mut(source) {
            known.tables = Some(choice.tables);
            known.failures = 0;
        }
        all.extend(later);
        let mut collisions = collisions(&all, topic_prefix);
        // Of a source that has not answered, another call tells.
        collisions.retain(|(table, _)| table.source == source);
        for (table, error) in &collisions {
            tracing::error!(code = %error.stable_code(), %error, next = error.next_step(), "this table cannot be followed");
            if let Some(tables) = self
                .sources
                .get_mut(&table.source)
                .and_then(|known| known.tables.as_mut())
            {
                tables.retain(|chosen| chosen.name != *table);
            }
        }
        collisions
    }

    pub fn failed(&mut self, source: &str, error: &Error) {
        if let Some(known) = self.sources.get_mut(source) {
            known.failures = known.failures.saturating_add(1);
            // What does not pass by itself is not waited for.
            known.gave_up =
                known.failures >= ONE_SHOT_FAILURES || error.kind() != Kind::Unavailable;
        }
    }

    /// Whether a command that ends by itself should wait for this source no longer.
    pub fn has_given_up(&self, source: &str) -> bool {
        self.sources.get(source).is_some_and(|known| known.gave_up)
    }

    /// How often in a row a source has not answered.
    pub fn failures(&self, source: &str) -> u32 {
        self.sources.get(source).map_or(0, |known| known.failures)
    }

    /// Whether every source has answered.
    pub fn all_are_known(&self) -> bool {
        self.sources.values().all(|known| known.tables.is_some())
    }

    /// The tables of the sources that have answered.
    pub fn chosen(&self) -> impl Iterator<Item = &Chosen> {
        self.sources
            .values()
            .flat_map(|known| known.tables.iter().flatten())
    }
}

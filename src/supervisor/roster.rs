//! Which tables run here: the pure heart of the supervisor.
//!
//! `step(event) → effects`: no clock, no I/O. A table runs here while its source is known to hold it, its
//! partition of the state topic is this worker's, and what it remembers was read for the present life.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ulid::Ulid;

use crate::capture::{Life, Place, Recovered, TableMemory};
use crate::model::TableName;
use crate::state::{PipelineNames, Request};
use crate::wire::partition_for;

/// What happened.
#[derive(Debug)]
pub enum Event {
    Assigned {
        life: Life,
        partitions: Vec<i32>,
    },
    Revoked,
    /// What is durable was read for this life.
    TakenOver {
        life: Life,
        recovered: Recovered,
    },
    /// A transaction of this life failed; `renewed` is the number to go on under.
    Failed {
        life: Life,
        renewed: Life,
    },
    /// The tables of one source, as its database shows them now.
    Tables {
        source: String,
        tables: BTreeSet<TableName>,
    },
    /// A request was read; `table` is `<source>/<schema>/<table>`, percent-encoded.
    Requested {
        table: String,
        id: Ulid,
        request: Request,
    },
}

/// What to do about it, in this order.
#[derive(Debug)]
pub enum Effect {
    /// End every unit whose partition is not among these: its table is another worker's.
    KeepOnly { partitions: Vec<i32> },
    /// Tell the committer that the life goes on under another number.
    Renew { of: Life, life: Life },
    /// Read what is durable of these partitions.
    TakeOver { life: Life, partitions: Vec<i32> },
    /// Run a table from what it remembers. A unit that was interrupted by the end of a life goes on if what it
    /// knows to be durable is what was read; else it is made anew.
    Start {
        table: TableName,
        life: Life,
        state_partition: i32,
        state_offset: i64,
        memory: Box<TableMemory>,
    },
    /// Hand a request to a running unit.
    Deliver {
        table: TableName,
        id: Ulid,
        request: Request,
    },
    /// Answer a request about a table that no source holds.
    AnswerUnknown {
        table: String,
        id: Ulid,
        life: Life,
        state_partition: i32,
        state_offset: i64,
    },
}

/// The tables known, owned and running.
#[derive(Default)]
pub struct Roster {
    /// Tables by source; a source that was not listed yet is missing.
    tables: BTreeMap<String, BTreeSet<TableName>>,
    life: Option<Life>,
    partitions: Vec<i32>,
    /// What was taken over for the present life: positions, and the memory of tables that do not run yet.
    memory: Option<(BTreeMap<i32, i64>, HashMap<String, TableMemory>)>,
    running: BTreeSet<TableName>,
    /// Requests about tables that are not known (yet).
    waiting: Vec<(String, Ulid, Request)>,
}

impl Roster {
    /// Takes an event in and says what to do.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Assigned { life, partitions } => {
                self.end_life();
                self.life = Some(life);
                self.partitions = partitions.clone();
                let mut effects = vec![Effect::KeepOnly {
                    partitions: partitions.clone(),
                }];
                if !partitions.is_empty() {
                    effects.push(Effect::TakeOver { life, partitions });
                }
                effects
            }
            Event::Revoked => {
                self.partitions.clear();
                self.end_life();
                Vec::new()
            }
            Event::Failed { life, renewed } if self.life == Some(life) => {
                self.end_life();
                self.life = Some(renewed);
                let partitions = self.partitions.clone();
                vec![
                    Effect::Renew {
                        of: life,
                        life: renewed,
                    },
                    Effect::TakeOver {
                        life: renewed,
                        partitions,
                    },
                ]
            }
            Event::TakenOver { life, recovered } if self.life == Some(life) => {
                self.taken_over(recovered)
            }
            // Of a life that is over.
            Event::Failed { .. } | Event::TakenOver { .. } => Vec::new(),
            Event::Tables { source, tables } => {
                self.tables.insert(source, tables);
                self.start_what_can_run()
            }
            Event::Requested { table, id, request } => {
                self.waiting.push((table, id, request));
                self.settle_requests()
            }
        }
    }

    /// Whether this life is the present one and was taken over.
    pub fn is_taken_over(&self, life: Life) -> bool {
        self.life == Some(life) && self.memory.is_some()
    }

    /// Where a table stands in the present life; `None` while it is not this worker's, or not taken over yet.
    pub fn place_of(&self, table: &TableName) -> Option<Place> {
        let (life, (positions, _)) = (self.life?, self.memory.as_ref()?);
        let state_partition = state_partition(table);
        let state_offset = *positions.get(&state_partition)?;
        Some(Place {
            life,
            state_partition,
            state_offset,
        })
    }

    /// Units are left as they are: nothing of a life that is over is committed any more.
    fn end_life(&mut self) {
        self.life = None;
        self.memory = None;
        self.running.clear();
        self.waiting.clear();
    }

    fn taken_over(&mut self, mut recovered: Recovered) -> Vec<Effect> {
        for (table, memory) in &mut recovered.tables {
            let requests = std::mem::take(&mut memory.requests);
            self.waiting.extend(
                requests
                    .into_iter()
                    .map(|(id, request)| (table.clone(), id, request)),
            );
        }
        self.memory = Some((recovered.positions, recovered.tables));
        self.start_what_can_run()
    }

    fn start_what_can_run(&mut self) -> Vec<Effect> {
        let (Some(life), Some((positions, memory))) = (self.life, &mut self.memory) else {
            return Vec::new();
        };
        let mut effects = Vec::new();
        for table in self.tables.values().flatten() {
            let partition = state_partition(table);
            let Some(offset) = positions.get(&partition) else {
                continue;
            };
            if self.running.insert(table.clone()) {
                effects.push(Effect::Start {
                    table: table.clone(),
                    life,
                    state_partition: partition,
                    state_offset: *offset,
                    memory: Box::new(memory.remove(&table.key_tail()).unwrap_or_default()),
                });
            }
        }
        effects.extend(self.settle_requests());
        effects
    }

    /// Delivers or answers the requests about tables whose fate is known.
    fn settle_requests(&mut self) -> Vec<Effect> {
        let (Some(life), Some((positions, _))) = (self.life, &self.memory) else {
            return Vec::new();
        };
        let mut effects = Vec::new();
        for (table, id, request) in std::mem::take(&mut self.waiting) {
            let source = table.split('/').next().unwrap_or_default();
            let state_partition = partition_of_key(&format!("t/{table}"));
            match self
                .running
                .iter()
                .find(|running| running.key_tail() == table)
            {
                Some(running) => effects.push(Effect::Deliver {
                    table: running.clone(),
                    id,
                    request,
                }),
                // Its database was not listed yet: the table may still turn up.
                None if !self.is_listed(source) => self.waiting.push((table, id, request)),
                None => {
                    if let Some(offset) = positions.get(&state_partition) {
                        let state_offset = *offset;
                        effects.push(Effect::AnswerUnknown {
                            table,
                            id,
                            life,
                            state_partition,
                            state_offset,
                        });
                    }
                }
            }
        }
        effects
    }

    fn is_listed(&self, encoded_source: &str) -> bool {
        // Source names consist of characters that the encoding leaves alone.
        self.tables.contains_key(encoded_source)
    }
}

/// The partition of the state topic that holds everything about a table.
pub fn state_partition(table: &TableName) -> i32 {
    partition_of_key(&table.head_key())
}

fn partition_of_key(head_key: &str) -> i32 {
    partition_for(head_key.as_bytes(), PipelineNames::STATE_PARTITIONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Verb;

    fn table(name: &str) -> TableName {
        TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: name.into(),
            in_default_schema: true,
        }
    }

    fn recovered(partitions: impl IntoIterator<Item = i32>) -> Recovered {
        Recovered {
            positions: partitions.into_iter().map(|p| (p, 7)).collect(),
            ..Recovered::default()
        }
    }

    fn request() -> Request {
        Request {
            verb: Verb::Pause,
            place: None,
            by: "test".into(),
            expires_at: i64::MAX,
        }
    }

    fn started(effects: &[Effect]) -> Vec<&str> {
        effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Start { table, .. } => Some(table.name.as_str()),
                _ => None,
            })
            .collect()
    }

    fn tables(names: &[&str]) -> Event {
        Event::Tables {
            source: "ec".into(),
            tables: names.iter().map(|name| table(name)).collect(),
        }
    }

    #[test]
    fn a_table_starts_once_it_is_known_owned_and_taken_over_in_any_order() {
        let all: Vec<i32> = (0..16).collect();
        let mut roster = Roster::default();
        assert!(started(&roster.step(tables(&["a"]))).is_empty());
        roster.step(Event::Assigned {
            life: 1,
            partitions: all.clone(),
        });
        assert_eq!(
            started(&roster.step(Event::TakenOver {
                life: 1,
                recovered: recovered(0..16)
            })),
            ["a"]
        );
        assert_eq!(started(&roster.step(tables(&["a", "b"]))), ["b"]);
    }

    #[test]
    fn a_take_over_of_a_life_that_is_over_starts_nothing() {
        let mut roster = Roster::default();
        roster.step(tables(&["a"]));
        roster.step(Event::Assigned {
            life: 1,
            partitions: (0..16).collect(),
        });
        roster.step(Event::Revoked);
        assert!(
            roster
                .step(Event::TakenOver {
                    life: 1,
                    recovered: recovered(0..16)
                })
                .is_empty()
        );
    }

    #[test]
    fn after_a_failed_transaction_what_is_durable_is_read_again_under_a_new_number() {
        let mut roster = Roster::default();
        roster.step(tables(&["a"]));
        roster.step(Event::Assigned {
            life: 1,
            partitions: (0..16).collect(),
        });
        roster.step(Event::TakenOver {
            life: 1,
            recovered: recovered(0..16),
        });
        let effects = roster.step(Event::Failed {
            life: 1,
            renewed: 2,
        });
        assert!(matches!(
            effects.as_slice(),
            [
                Effect::Renew { of: 1, life: 2 },
                Effect::TakeOver { life: 2, .. }
            ]
        ));
        assert!(
            roster
                .step(Event::Failed {
                    life: 1,
                    renewed: 3
                })
                .is_empty(),
            "heard twice"
        );
        assert_eq!(
            started(&roster.step(Event::TakenOver {
                life: 2,
                recovered: recovered(0..16)
            })),
            ["a"]
        );
    }

    #[test]
    fn a_table_of_another_workers_partition_is_not_started() {
        let mut roster = Roster::default();
        let mine = state_partition(&table("a"));
        roster.step(tables(&["a"]));
        roster.step(Event::Assigned {
            life: 1,
            partitions: vec![(mine + 1) % 16],
        });
        assert!(
            started(&roster.step(Event::TakenOver {
                life: 1,
                recovered: recovered([(mine + 1) % 16])
            }))
            .is_empty()
        );
    }

    #[test]
    fn a_request_about_an_unknown_table_is_answered_once_its_source_was_listed() {
        let mut roster = Roster::default();
        roster.step(Event::Assigned {
            life: 1,
            partitions: (0..16).collect(),
        });
        roster.step(Event::TakenOver {
            life: 1,
            recovered: recovered(0..16),
        });
        let ask = |name: &str| Event::Requested {
            table: format!("ec/public/{name}"),
            id: Ulid::nil(),
            request: request(),
        };
        assert!(
            roster.step(ask("ghost")).is_empty(),
            "the source may still hold it"
        );
        let effects = roster.step(tables(&["a"]));
        assert!(effects.iter().any(
            |e| matches!(e, Effect::AnswerUnknown { table, .. } if table == "ec/public/ghost")
        ));
        assert!(matches!(
            roster.step(ask("a")).as_slice(),
            [Effect::Deliver { .. }]
        ));
    }
}

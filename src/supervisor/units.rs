//! Units begin and end here, as the roster says.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::capturing::Capture;
use super::roster::{Effect, Event, state_partition};
use super::worker::{Incoming, Worker};
use crate::capture::{
    Berth, Command, Committer, Life, Parcel, Place, Recovery, Shared, StateRecord, TableMemory,
    Tenure, Unit, commit,
};
use crate::error::Kind;
use crate::model::TableName;
use crate::retry::Backoff;
use crate::state::{Head, Outcome, Request, StateKey, encode};

/// A running unit.
pub(super) struct Running {
    lives: watch::Sender<Place>,
    durable: Arc<Mutex<Option<Head>>>,
    stop: CancellationToken,
    asks: UnboundedSender<(Ulid, Request)>,
    task: JoinHandle<()>,
}

impl Worker {
    /// Steps the roster and carries out what it says, in order.
    pub(super) async fn act(
        &mut self,
        event: Event,
        capture: &mut Option<Capture>,
        incoming: &UnboundedSender<Incoming>,
    ) {
        let Some(capture) = capture else { return };
        for effect in self.roster.step(event) {
            match effect {
                Effect::KeepOnly { partitions } => {
                    self.stop_units(|table| !partitions.contains(&state_partition(table)))
                        .await;
                }
                Effect::Renew { of, life } => capture.committer.send(Command::Renew { of, life }),
                Effect::TakeOver { life, partitions } => self.take_over(life, partitions, incoming),
                Effect::Start {
                    table,
                    life,
                    state_partition,
                    state_offset,
                    memory,
                } => {
                    let place = Place {
                        life,
                        state_partition,
                        state_offset,
                    };
                    self.start(&capture.shared, table, place, *memory, incoming)
                        .await;
                }
                Effect::Deliver { table, id, request } => {
                    if let Some(running) = self.units.get(&table) {
                        let _ = running.asks.send((id, request));
                    }
                }
                // Of the tables that it does not serve, this worker knows nothing.
                Effect::AnswerUnknown { .. } if !self.only.is_empty() => {}
                Effect::AnswerUnknown {
                    table,
                    id,
                    life,
                    state_partition,
                    state_offset,
                } => {
                    answer_unknown(
                        &capture.committer,
                        table,
                        id,
                        life,
                        state_partition,
                        state_offset,
                    );
                }
            }
        }
    }

    /// Runs a table. A unit that a life left behind goes on if nobody wrote about its table meanwhile: else
    /// every rebalance would begin a long load anew.
    async fn start(
        &mut self,
        shared: &Arc<Shared>,
        table: TableName,
        place: Place,
        memory: TableMemory,
        incoming: &UnboundedSender<Incoming>,
    ) {
        if self.results.tables.contains_key(&table) {
            return;
        }
        if let Some(running) = self.units.get(&table) {
            let durable = running
                .durable
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if durable == memory.head && !running.task.is_finished() {
                running.lives.send_replace(place);
                return;
            }
            self.stop_units(|other| *other == table).await;
        }
        let (Some(chosen), Some((source, zone))) =
            (self.chosen.get(&table).cloned(), self.sources.of(&table))
        else {
            return;
        };
        let berth = Berth {
            table: table.clone(),
            topic: chosen.topic.clone(),
            place,
            worker: shared.worker.clone(),
        };
        let (lives, heard) = watch::channel(place);
        let durable = Arc::new(Mutex::new(memory.head.clone()));
        let tenure = Tenure {
            lives: heard,
            durable: durable.clone(),
        };
        let (asks, asked) = unbounded_channel();
        let (reports, mut from_unit) = unbounded_channel();
        let to_loop = incoming.clone();
        tokio::spawn(async move {
            while let Some(report) = from_unit.recv().await {
                if to_loop.send(Incoming::Unit(report)).is_err() {
                    return;
                }
            }
        });
        let stop = CancellationToken::new();
        let unit = Unit::new(
            shared.clone(),
            chosen,
            source,
            zone,
            berth,
            tenure,
            self.goal,
            memory,
            asked,
            reports,
        );
        let task = tokio::spawn(unit.run(stop.clone()));
        self.units.insert(
            table,
            Running {
                lives,
                durable,
                stop,
                asks,
                task,
            },
        );
    }

    fn take_over(&self, life: Life, partitions: Vec<i32>, incoming: &UnboundedSender<Incoming>) {
        let (kafka, names, client_id) =
            (self.kafka.clone(), self.names.clone(), self.me.client_id());
        let out = incoming.clone();
        tokio::task::spawn_blocking(move || {
            let mut backoff = Backoff::default();
            let recovered = loop {
                let taken = Recovery::open(&kafka, &names, &client_id)
                    .and_then(|recovery| recovery.take_over(&partitions));
                match taken {
                    Err(error) if error.kind() == Kind::Unavailable && !out.is_closed() => {
                        let pause = backoff.after_failure();
                        tracing::warn!(%error, retry_in_ms = pause.as_millis() as u64, "taking over again");
                        std::thread::park_timeout(pause);
                    }
                    taken => break taken,
                }
            };
            let _ = out.send(Incoming::TakenOver { life, recovered });
        });
    }

    pub(super) async fn stop_units(&mut self, which: impl Fn(&TableName) -> bool) {
        let units: Vec<_> = self.units.extract_if(.., |table, _| which(table)).collect();
        units.iter().for_each(|(_, unit)| unit.stop.cancel());
        for (_, unit) in units {
            // A panic would have ended the process.
            let _ = unit.task.await;
        }
    }
}

/// Answers a request about a table that no source holds, in a transaction like any other work.
fn answer_unknown(
    committer: &Committer,
    key: String,
    id: Ulid,
    life: Life,
    state_partition: i32,
    state_offset: i64,
) {
    let at = jiff::Timestamp::now().as_millisecond();
    let text = "no source of this pipeline has such a table";
    let outcome = Outcome::new(Kind::No.exit_code(), text, at);
    let records = vec![
        StateRecord {
            key: StateKey::Request {
                table: key.clone(),
                id,
            }
            .to_string(),
            value: None,
        },
        StateRecord {
            key: StateKey::Outcome { table: key, id }.to_string(),
            value: Some(encode(&outcome)),
        },
    ];
    let place = Place {
        life,
        state_partition,
        state_offset,
    };
    drop(commit(
        committer,
        place,
        None,
        Arc::new(Parcel {
            state: records,
            ..Parcel::default()
        }),
    ));
}

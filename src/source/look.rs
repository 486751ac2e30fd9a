//! How a table looks right now, by a short question to the catalog.
//!
//! Explicit column lists never notice a column that was added, so whoever reads a table compares what the
//! catalog says after reading with what it said before. Those who ask at one moment are answered together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};
use crate::model::TableName;

/// What the catalog says of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Changes with everything that could change how a row is read: columns, types, collations, key, sort of
    /// relation. While it is equal there is nothing to describe anew.
    pub definition: String,
    /// What holds the rows, by part of the table: another value after a TRUNCATE, and after everything that
    /// writes the rows anew. Empty where the database does not show it, or where it was not asked for.
    pub storage: BTreeMap<String, String>,
}

/// How much is asked at least: a database that can tell more for nothing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The definition.
    Definition,
    /// The storage too.
    Storage,
}

type Answer = Result<Option<Look>, Refusal>;

/// Gathers those who ask at one moment: the first asks for all who came while the round before was under way.
#[derive(Default)]
pub(super) struct Rounds {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

struct Waiting {
    table: TableName,
    depth: Depth,
    answer: oneshot::Sender<Answer>,
}

/// What becomes of a question.
pub(super) enum Turn<'a> {
    /// Somebody asked for us.
    Answered(Result<Option<Look>>),
    /// It is on us to ask for everybody.
    Lead(Round<'a>),
}

/// The questions of one round.
pub(super) struct Round<'a> {
    waiting: Vec<Waiting>,
    own: oneshot::Receiver<Answer>,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Rounds {
    /// Joins the next round. An answer given here was asked for after this call.
    pub async fn join(&self, table: &TableName, depth: Depth) -> Turn<'_> {
        loop {
            let (answer, mut own) = oneshot::channel();
            self.waiting().push(Waiting {
                table: table.clone(),
                depth,
                answer,
            });
            let turn = tokio::select! {
                biased;
                answered = &mut own => match answered {
                    Ok(answer) => return Turn::Answered(answer.map_err(Error::from)),
                    // Whoever asked was stopped.
                    Err(_) => continue,
                },
                turn = self.turn.lock() => turn,
            };
            let waiting = std::mem::take(&mut *self.waiting());
            match own.try_recv() {
                Ok(answer) => return Turn::Answered(answer.map_err(Error::from)),
                Err(oneshot::error::TryRecvError::Closed) => {
                    // Not ours to drop: they wait for the next round.
                    self.waiting().extend(waiting);
                    continue;
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            return Turn::Lead(Round {
                waiting,
                own,
                _turn: turn,
            });
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Round<'_> {
    /// The tables asked for, some perhaps more than once.
    pub fn tables(&self) -> Vec<&TableName> {
        self.waiting.iter().map(|waiting| &waiting.table).collect()
    }

    /// How much has to be asked, so that everybody has enough.
    pub fn depth(&self) -> Depth {
        let depths = self.waiting.iter().map(|waiting| waiting.depth);
        depths.max().unwrap_or(Depth::Definition)
    }

    /// Tells everybody, and gives back one's own answer. `looks` are in the order of [`Round::tables`].
    /// An error of one table is its own.
    pub fn tell(mut self, looks: Result<Vec<Result<Option<Look>>>>) -> Result<Option<Look>> {
        match looks {
            Ok(looks) => {
                for (waiting, look) in self.waiting.into_iter().zip(looks) {
                    let look = look.map_err(|error| Refusal::of(&error));
                    let _ = waiting.answer.send(look);
                }
                match self.own.try_recv() {
                    Ok(answer) => answer.map_err(Error::from),
                    Err(_) => Err(Error::new(Kind::Bug, "a look at the catalog has no answer")),
                }
            }
            Err(error) => {
                for waiting in self.waiting {
                    let _ = waiting.answer.send(Err(Refusal::of(&error)));
                }
                Err(error)
            }
        }
    }
}

/// A failure for those who did not ask themselves.
struct Refusal {
    kind: Kind,
    text: String,
    hint: Option<String>,
}

impl Refusal {
    fn of(error: &Error) -> Self {
        Refusal {
            kind: error.kind(),
            text: error.to_string(),
            hint: error.next_step().map(str::to_owned),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let error = Error::new(refusal.kind, refusal.text);
        match refusal.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableName {
        TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: name.into(),
            in_default_schema: true,
        }
    }

    fn look(of: &TableName) -> Result<Option<Look>> {
        Ok(Some(Look {
            definition: of.name.clone(),
            ..Look::default()
        }))
    }

    async fn ask(rounds: &Rounds, name: &str, asked: &Mutex<Vec<usize>>) -> Option<Look> {
        match rounds.join(&table(name), Depth::Definition).await {
            Turn::Answered(answer) => answer.unwrap(),
            Turn::Lead(round) => {
                tokio::task::yield_now().await;
                let tables = round.tables();
                asked.lock().unwrap().push(tables.len());
                let looks = tables.into_iter().map(look).collect();
                round.tell(Ok(looks)).unwrap()
            }
        }
    }

    #[tokio::test]
    async fn those_who_ask_during_a_round_are_answered_together_by_the_next() {
        let (rounds, asked) = (Rounds::default(), Mutex::default());
        let answers = futures_util::future::join_all(
            ["a", "b", "c", "d"].map(|name| ask(&rounds, name, &asked)),
        )
        .await;
        let names: Vec<_> = answers
            .into_iter()
            .map(|look| look.unwrap().definition)
            .collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert_eq!(*asked.lock().unwrap(), [1, 3]);
    }

    #[tokio::test]
    async fn who_asks_for_all_and_is_stopped_leaves_nobody_waiting() {
        let (rounds, asked) = (Rounds::default(), Mutex::default());
        let Turn::Lead(round) = rounds.join(&table("a"), Depth::Definition).await else {
            panic!("nobody else asks");
        };
        let waits = ask(&rounds, "b", &asked);
        let stopped = async {
            tokio::task::yield_now().await;
            drop(round);
        };
        let (answer, ()) = tokio::join!(waits, stopped);
        assert_eq!(answer, look(&table("b")).unwrap());
    }

    #[tokio::test]
    async fn a_failure_is_told_to_everybody_who_waited() {
        let rounds = Rounds::default();
        let Turn::Lead(first) = rounds.join(&table("a"), Depth::Storage).await else {
            panic!("nobody else asks");
        };
        let away = || Error::new(Kind::Unavailable, "asking the catalog").hint("wait");
        let lead = async |name: &str| match rounds.join(&table(name), Depth::Storage).await {
            Turn::Answered(answer) => answer,
            Turn::Lead(round) => round.tell(Err(away())),
        };
        let first = async { first.tell(Err(away())) };
        let (b, c, a) = tokio::join!(lead("b"), lead("c"), first);
        for error in [a, b, c].map(Result::unwrap_err) {
            assert_eq!(error.kind(), Kind::Unavailable);
            assert_eq!(error.next_step(), Some("wait"));
        }
    }
}

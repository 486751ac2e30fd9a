//! Where a table stands in the world of topics, and the records about it.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use ulid::Ulid;

use super::Life;
use super::committer::StateRecord;
use crate::model::{TableName, TopicName};
use crate::state::{Head, Outcome, StateKey, encode};

/// A table's place in one life: its partition of the state topic, and the offset at which the life took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub life: Life,
    pub state_partition: i32,
    pub state_offset: i64,
}

/// Where a table stands in the world of topics. Its place changes when it is taken over again.
#[derive(Clone, Debug)]
pub struct Berth {
    pub table: TableName,
    pub topic: TopicName,
    pub place: Place,
    pub worker: String,
}

/// How a unit learns that its table is this worker's again, and tells what it knows to be durable.
#[derive(Clone)]
pub struct Tenure {
    /// The table's place in the present life.
    pub lives: watch::Receiver<Place>,
    /// The last head this unit knows to be committed: the unit goes on in a later life if nobody wrote another.
    pub durable: Arc<Mutex<Option<Head>>>,
}

/// The record of a table's head, stamped.
pub fn head_record(berth: &Berth, head: &mut Head) -> StateRecord {
    head.written_at = jiff::Timestamp::now().as_millisecond();
    head.worker.clone_from(&berth.worker);
    StateRecord {
        key: StateKey::head(&berth.table).to_string(),
        value: Some(encode(head)),
    }
}

/// A request's tombstone and the answer to it.
pub fn answer_records(table: &TableName, id: Ulid, outcome: &Outcome) -> Vec<StateRecord> {
    let table = table.key_tail();
    let request = StateKey::Request {
        table: table.clone(),
        id,
    };
    vec![
        StateRecord {
            key: request.to_string(),
            value: None,
        },
        StateRecord {
            key: StateKey::Outcome { table, id }.to_string(),
            value: Some(encode(outcome)),
        },
    ]
}

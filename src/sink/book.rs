//! What the loads topic says: bulk loads and tables begun anew, by table.

use std::collections::HashMap;

use serde::Deserialize;

use super::judge::LoadsOfTable;
use super::resume::{Raised, Retirement};
use crate::error::{Error, Kind, Result};
use crate::model::TopicName;
use crate::state::{EpochRecord, LoadRecord, StopRecord};

/// The loads topic as it stands, by the head key of each table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    /// By topic, too: the loads of a topic that the table had before are no loads of this one.
    loads: HashMap<(String, String), LoadsOfTable>,
    epochs: HashMap<String, EpochRecord>,
    /// What stands still, by head key and partition.
    stops: HashMap<(String, i32), StopRecord>,
}

impl Book {
    /// Takes over the newest value of a key. `TryLater` for an unknown version, `Data` for what cannot be read.
    pub fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let key = String::from_utf8_lossy(key);
        let broken = |e: serde_json::Error| {
            Error::new(Kind::Data, "reading a record of the loads topic")
                .about(&key)
                .because(e)
        };
        if let Some(head_key) = EpochRecord::parse_key(&key) {
            version(&key, value)?;
            let record = serde_json::from_slice(value).map_err(broken)?;
            self.epochs.insert(head_key.to_owned(), record);
        } else if let Some((head_key, number)) = LoadRecord::parse_key(&key) {
            version(&key, value)?;
            let record: LoadRecord = serde_json::from_slice(value).map_err(broken)?;
            let place = (head_key.to_owned(), record.topic.clone());
            self.loads.entry(place).or_default().insert(number, record);
        } else if let Some((head_key, partition)) = StopRecord::parse_key(&key)
            // It is for people: one that cannot be read is written anew.
            && let Ok(record) = serde_json::from_slice(value)
        {
            self.stops.insert((head_key.to_owned(), partition), record);
        }
        Ok(())
    }

    /// Takes over that a key was removed.
    pub fn remove(&mut self, key: &[u8]) {
        let key = String::from_utf8_lossy(key);
        if let Some((head_key, partition)) = StopRecord::parse_key(&key) {
            self.stops.remove(&(head_key.to_owned(), partition));
        }
    }

    /// What was written about a partition that stands still.
    pub fn stop(&self, head_key: &str, partition: i32) -> Option<&StopRecord> {
        self.stops.get(&(head_key.to_owned(), partition))
    }

    /// The loads of a table in one topic; `None` if it never had one.
    pub fn loads(&self, head_key: &str, topic: &TopicName) -> Option<&LoadsOfTable> {
        self.loads.get(&(head_key.to_owned(), topic.to_string()))
    }

    /// The last time a table was begun anew.
    pub fn epoch(&self, head_key: &str) -> Option<&EpochRecord> {
        self.epochs.get(head_key)
    }

    /// What is void of a partition because its table was begun anew.
    pub fn retirement(&self, head_key: &str, partition: i32) -> Option<Retirement> {
        let record = self.epochs.get(head_key)?;
        let below = record.retired_below?;
        let start = usize::try_from(partition)
            .ok()
            .and_then(|partition| record.start.get(partition));
        Some(Retirement {
            below,
            start: start.copied().unwrap_or(0),
        })
    }

    /// The epoch a table's reading was put elsewhere with, and how far the last one before it that had records came
    /// in a partition.
    pub fn raised(&self, head_key: &str, partition: i32) -> Option<Raised> {
        let record = self.epochs.get(head_key)?;
        let before = usize::try_from(partition)
            .ok()
            .and_then(|partition| record.before.get(partition))
            .map(|before| (before.epoch, before.next));
        Some(Raised {
            epoch: record.epoch,
            before,
        })
    }
}

fn version(key: &str, value: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let found: Version = serde_json::from_slice(value).map_err(|e| {
        Error::new(Kind::Data, "reading a record of the loads topic")
            .about(key)
            .because(e)
    })?;
    if found.v == 1 {
        return Ok(());
    }
    Err(Error::new(
        Kind::TryLater,
        format!(
            "a record of the loads topic has format version {}, and this program knows 1",
            found.v
        ),
    )
    .about(key)
    .hint("a newer `cdc` wrote it: let that one go on, or upgrade this one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_and_epochs_are_told_apart_and_newer_formats_are_refused() {
        let mut book = Book::default();
        let load = br#"{"v":1,"state":"began","ulid":"A","topic":"t","epoch":7,"fingerprint":"0123456789abcdef"}"#;
        let epoch =
            br#"{"v":1,"topic":"t","epoch":9,"retired_below":9,"start":[4,5],"reason":"again"}"#;
        let head = "t/ec/public/orders";
        book.apply(LoadRecord::key(head, 3).as_bytes(), load)
            .expect("a load");
        book.apply(EpochRecord::key(head).as_bytes(), epoch)
            .expect("an epoch");
        let topic = |name| TopicName::new(name).expect("a name");
        assert_eq!(
            book.loads(head, &topic("t")).map(LoadsOfTable::len),
            Some(1)
        );
        assert!(book.loads(head, &topic("other")).is_none());
        let retirement = Retirement { below: 9, start: 5 };
        assert_eq!(book.retirement(head, 1), Some(retirement));
        let moved = br#"{"v":1,"topic":"t","epoch":11,"start":[7,8],"reason":"offsets set","before":[{"epoch":9,"next":3},{"epoch":9,"next":1}]}"#;
        let other = "t/ec/public/items";
        book.apply(EpochRecord::key(other).as_bytes(), moved)
            .expect("an epoch");
        assert_eq!(book.retirement(other, 1), None, "a move voids nothing");
        let raised = Raised {
            epoch: 11,
            before: Some((9, 1)),
        };
        assert_eq!(book.raised(other, 1), Some(raised));
        let newer = book.apply(EpochRecord::key(head).as_bytes(), br#"{"v":2}"#);
        assert_eq!(newer.map_err(|e| e.kind()), Err(Kind::TryLater));
    }
}

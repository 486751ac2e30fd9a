//! What keeps tables from working, for everybody to see: the trouble records of the state topic. Pure.
//!
//! A table with a head has its failures there. This holds what no head tells: tables that never got one, and parts
//! that do not answer now. Only the owner of a table's partition writes about it, and removes it when it is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::capture::Place;
use crate::error::Error;
use crate::model::TableName;
use crate::state::Trouble;

/// What this worker knows about its tables, and what is written of it.
#[derive(Default)]
pub struct Troubles {
    worker: String,
    /// What was found out here; a table that nobody has looked at yet is missing.
    known: BTreeMap<TableName, Option<Trouble>>,
    /// What the state topic says about the partitions of this life, by `<source>/<schema>/<table>`.
    written: BTreeMap<String, Trouble>,
    /// Tables whose record may have to change.
    changed: BTreeSet<TableName>,
}

/// A record that is to be written, or removed (`None`).
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    pub place: Place,
    pub table: TableName,
    pub trouble: Option<Trouble>,
}

impl Troubles {
    pub fn new(worker: &str) -> Self {
        Troubles {
            worker: worker.to_owned(),
            ..Troubles::default()
        }
    }

    /// What the partitions of a new life say. What was on its way in the life before may be lost.
    pub fn taken_over(&mut self, written: BTreeMap<String, Trouble>) {
        self.written = written;
        self.changed.extend(self.known.keys().cloned());
    }

    /// Something keeps a table from working. Since when is kept while it does.
    pub fn met(&mut self, table: &TableName, error: &Error, is_retried: bool) {
        self.met_as(
            table,
            error.to_string(),
            Some(error.stable_code().to_string()),
            error.next_step().map(str::to_owned),
            is_retried,
        );
    }

    /// The same, in words.
    pub fn met_as(
        &mut self,
        table: &TableName,
        text: String,
        code: Option<String>,
        next_step: Option<String>,
        is_retried: bool,
    ) {
        let before = match self.known.get(table) {
            Some(known) => known.as_ref(),
            None => self.written.get(&table.key_tail()),
        };
        let since = before.map(|trouble| trouble.since);
        let trouble = Trouble {
            table: table.to_string(),
            text,
            code,
            next_step,
            is_retried,
            since: since.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond()),
            worker: self.worker.clone(),
        };
        self.know(table, Some(trouble));
    }

    /// Nothing does any more.
    pub fn over(&mut self, table: &TableName) {
        if self.known.get(table) != Some(&None) {
            self.know(table, None);
        }
    }

    /// Forgets the tables that are nobody's: they were taken out of the configuration.
    pub fn keep_only(&mut self, is_meant: impl Fn(&TableName) -> bool) {
        let names = self.written.iter().filter_map(|(tail, trouble)| {
            let name = TableName::from_key_tail(tail, &trouble.table)?;
            (!is_meant(&name)).then_some(name)
        });
        let strangers: Vec<TableName> = names.collect();
        strangers.iter().for_each(|name| self.over(name));
    }

    fn know(&mut self, table: &TableName, trouble: Option<Trouble>) {
        self.known.insert(table.clone(), trouble);
        self.changed.insert(table.clone());
    }

    /// What is to be written now; `place` gives the place of a table that is this worker's. It counts as written
    /// until the next life: a transaction that fails ends this one.
    pub fn due(&mut self, place: impl Fn(&TableName) -> Option<Place>) -> Vec<Due> {
        let mut due = Vec::new();
        for table in std::mem::take(&mut self.changed) {
            let (Some(known), Some(place)) = (self.known.get(&table), place(&table)) else {
                continue;
            };
            let tail = table.key_tail();
            if is_same(known.as_ref(), self.written.get(&tail)) {
                continue;
            }
            match known {
                Some(trouble) => self.written.insert(tail, trouble.clone()),
                None => self.written.remove(&tail),
            };
            let trouble = known.clone();
            due.push(Due {
                place,
                table,
                trouble,
            });
        }
        due
    }
}

/// Whether people learn the same from both.
fn is_same(a: Option<&Trouble>, b: Option<&Trouble>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            (&a.text, &a.next_step, a.is_retried) == (&b.text, &b.next_step, b.is_retried)
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const PLACE: Place = Place {
        life: 1,
        state_partition: 3,
        state_offset: 7,
    };

    fn table(name: &str) -> TableName {
        TableName {
            source: "ec".into(),
            schema: "public".into(),
            name: name.into(),
            in_default_schema: true,
        }
    }

    fn texts(due: &[Due]) -> Vec<(&str, Option<&str>)> {
        due.iter()
            .map(|due| {
                let text = due.trouble.as_ref().map(|trouble| trouble.text.as_str());
                (due.table.name.as_str(), text)
            })
            .collect()
    }

    fn missing() -> Error {
        Error::new(Kind::Config, "there is no such table")
    }

    #[test]
    fn a_trouble_is_written_once_and_removed_once() {
        let mut troubles = Troubles::new("till-1");
        let owned = |_: &TableName| Some(PLACE);
        troubles.met(&table("a"), &missing(), false);
        troubles.over(&table("b"));
        assert_eq!(
            texts(&troubles.due(owned)),
            [("a", Some("there is no such table"))]
        );
        troubles.met(&table("a"), &missing(), false);
        assert!(troubles.due(owned).is_empty());
        troubles.over(&table("a"));
        assert_eq!(texts(&troubles.due(owned)), [("a", None)]);
        assert!(troubles.due(owned).is_empty());
    }

    #[test]
    fn only_the_owner_writes_and_what_a_lost_life_wrote_is_written_again() {
        let mut troubles = Troubles::new("till-1");
        troubles.met(&table("a"), &missing(), false);
        assert!(troubles.due(|_| None).is_empty());
        troubles.taken_over(BTreeMap::new());
        assert_eq!(troubles.due(|_| Some(PLACE)).len(), 1);
        // That transaction failed: the next life finds nothing written.
        troubles.taken_over(BTreeMap::new());
        assert_eq!(troubles.due(|_| Some(PLACE)).len(), 1);
    }

    #[test]
    fn what_an_earlier_worker_wrote_stands_until_it_is_found_to_be_over_and_keeps_its_beginning() {
        let mut earlier = Troubles::new("till-1");
        earlier.met(&table("a"), &missing(), false);
        let mut written = earlier.due(|_| Some(PLACE));
        let mut trouble = written.remove(0).trouble.expect("a trouble");
        trouble.since = 7;
        let found = BTreeMap::from([("ec/public/a".to_owned(), trouble)]);
        let mut troubles = Troubles::new("till-2");
        troubles.taken_over(found.clone());
        assert!(troubles.due(|_| Some(PLACE)).is_empty());
        troubles.met_as(&table("a"), "another reason".into(), None, None, true);
        let due = troubles.due(|_| Some(PLACE));
        assert_eq!(
            due[0].trouble.as_ref().map(|trouble| trouble.since),
            Some(7)
        );

        let mut troubles = Troubles::new("till-3");
        troubles.taken_over(found);
        troubles.keep_only(|_| false);
        assert_eq!(texts(&troubles.due(|_| Some(PLACE))), [("a", None)]);
    }
}

//! Timestamp modes: which rows at or above the low mark were sent already. Pure.
//!
//! Every visible row is sent at once, long before the guard can say that no earlier one will follow. The rows
//! above what the guard has closed are read again at each poll, and this window tells those that were sent
//! from those that are new. It remembers hashes only, minute by minute, because each minute is a record of its
//! own in the state: no record grows without bound.
//!
//! The law: every row that was sent lies below the low mark, or its hash is in the window.
//!
//! Of each key it remembers the newest version alone: where a later change brings the very same values back
//! within one tick of the column, they must be sent again, because the lake's newest is another. So a key's
//! earlier version leaves the window with the step that sends the next one.
//!
//! Equal rows of a table without key are counted: the third of three equal rows is new where two were sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{Micros, Minute, RowHash, SeenChange};

/// How many hashes one minute's record holds: 900 kB at 36 bytes each (hexadecimal, quotes, comma).
pub const LARGEST_MINUTE: usize = 25_000;

/// How many hashes all minutes hold: 48 MB of memory.
pub const LARGEST_WINDOW: usize = 1_000_000;

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// The reading at which the minute after `minute` begins.
pub fn end_of(minute: Minute) -> Micros {
    minute.saturating_add(1).saturating_mul(MICROS_PER_MINUTE)
}

/// The minute a reading lies in.
pub fn minute_of(at: Micros) -> Minute {
    at.div_euclid(MICROS_PER_MINUTE)
}

/// The rows sent at or above the low mark.
#[derive(Clone, Debug)]
pub struct Window {
    minutes: BTreeMap<Minute, Seen>,
    /// The version remembered of each key, by the key's hash; empty for a table without key.
    versions: HashMap<RowHash, (Minute, RowHash)>,
    /// Minutes whose durable record differs from what is here.
    changed: BTreeSet<Minute>,
    /// Minutes that have a durable record.
    recorded: BTreeSet<Minute>,
    rows: usize,
    read_number: u32,
    largest_minute: usize,
    largest_window: usize,
}

/// One minute's rows.
#[derive(Clone, Debug, Default)]
struct Seen {
    hashes: HashMap<RowHash, Entry>,
    /// The sum of what was sent: how many hashes its record holds.
    rows: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// How many equal rows were sent.
    sent: u32,
    /// How many of them the read `read_number` has come across.
    read: u32,
    read_number: u32,
}

/// What became of the rows of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// For each row whether it is new. Shorter than the batch where the window is full: the rest must not be
    /// sent now.
    pub is_new: Vec<bool>,
    /// Rows that were sent before and that the low mark passes with this read.
    pub passed: Vec<(Minute, RowHash)>,
}

impl Default for Window {
    fn default() -> Self {
        Window {
            minutes: BTreeMap::new(),
            versions: HashMap::new(),
            changed: BTreeSet::new(),
            recorded: BTreeSet::new(),
            rows: 0,
            read_number: 0,
            largest_minute: LARGEST_MINUTE,
            largest_window: LARGEST_WINDOW,
        }
    }
}

impl Window {
    /// Goes on from the remembered minutes.
    pub fn restore(minutes: impl IntoIterator<Item = (Minute, Vec<RowHash>)>) -> Self {
        let mut window = Window::default();
        for (minute, hashes) in minutes {
            window.recorded.insert(minute);
            for hash in hashes {
                window.remember(minute, hash, None);
            }
        }
        window.changed.clear();
        window
    }

    /// With other bounds than [`LARGEST_MINUTE`] and [`LARGEST_WINDOW`].
    #[cfg(test)]
    pub fn with_largest(mut self, minute: usize, window: usize) -> Self {
        self.largest_minute = minute;
        self.largest_window = window;
        self
    }

    /// How many rows it remembers.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The latest minute it remembers a row of.
    pub fn last_minute(&self) -> Option<Minute> {
        self.minutes.keys().next_back().copied()
    }

    /// Whether it is so full that nothing new above the bound should be tried: half of what it can hold, so
    /// that it does not come and go with each row.
    pub fn is_crowded(&self) -> bool {
        self.rows * 2 >= self.largest_window
            || self
                .minutes
                .values()
                .any(|minute| minute.rows * 2 >= self.largest_minute)
    }

    /// Begins a read from the low mark on, in which each equal row is counted anew.
    pub fn begin_read(&mut self) {
        self.read_number = self.read_number.wrapping_add(1);
    }

    /// Judges rows in the order they were read. Those at or above `bound` that are new are remembered; those
    /// below are not, because the low mark will pass them. `keys` are the hashes of the rows' keys, empty for a
    /// table without key.
    pub fn sweep(
        &mut self,
        instants: &[Micros],
        hashes: &[RowHash],
        keys: &[RowHash],
        bound: Micros,
    ) -> Swept {
        let mut swept = Swept {
            is_new: Vec::with_capacity(hashes.len()),
            passed: Vec::new(),
        };
        for (row, (at, hash)) in instants.iter().zip(hashes).enumerate() {
            let (minute, key) = (minute_of(*at), keys.get(row));
            let was_sent = self.count(minute, *hash, key);
            if was_sent && *at < bound {
                swept.passed.push((minute, *hash));
            } else if !was_sent {
                if *at >= bound && self.is_full(minute) {
                    break;
                }
                if let Some((minute, hash)) = key.and_then(|key| self.versions.remove(key)) {
                    self.forget(minute, hash);
                }
                if *at >= bound {
                    self.remember(minute, *hash, key);
                }
            }
            swept.is_new.push(!was_sent);
        }
        swept
    }

    /// Counts rows of a read that sends nothing, and learns the keys of those that are remembered.
    pub fn recognize(&mut self, instants: &[Micros], hashes: &[RowHash], keys: &[RowHash]) {
        for (row, (at, hash)) in instants.iter().zip(hashes).enumerate() {
            self.count(minute_of(*at), *hash, keys.get(row));
        }
    }

    /// Ends a read after which the low mark stands at `low`: forgets what was `passed` and what lies in minutes
    /// below; after a read that was `complete`, to the table's end, also what it did not find any more.
    pub fn end_read(&mut self, low: Micros, passed: &[(Minute, RowHash)], complete: bool) {
        let (number, low_minute) = (self.read_number, minute_of(low));
        for (minute, hash) in passed {
            self.forget(*minute, *hash);
        }
        for (minute, seen) in &mut self.minutes {
            let before = seen.rows;
            if *minute < low_minute {
                *seen = Seen::default();
            } else if complete {
                seen.hashes.retain(|_, entry| {
                    let found = if entry.read_number == number {
                        entry.read
                    } else {
                        0
                    };
                    entry.sent = entry.sent.min(found);
                    entry.sent > 0
                });
                seen.rows = seen.hashes.values().map(|entry| entry.sent as usize).sum();
            }
            if seen.rows < before {
                self.rows -= before - seen.rows;
                self.changed.insert(*minute);
            }
        }
        let minutes = &mut self.minutes;
        minutes.retain(|_, seen| !seen.hashes.is_empty());
        self.versions.retain(|_, (minute, hash)| {
            minutes
                .get(minute)
                .is_some_and(|seen| seen.hashes.contains_key(hash))
        });
    }

    /// Remembers a row that was sent before this window began to be kept.
    pub fn remember_sent(&mut self, at: Micros, hash: RowHash, key: Option<&RowHash>) {
        self.remember(minute_of(at), hash, key);
    }

    /// Has the record of a minute written again, or removed if nothing is remembered of it.
    pub fn rewrite(&mut self, minute: Minute) {
        self.recorded.insert(minute);
        self.changed.insert(minute);
    }

    /// The minutes whose records must change with the rows that go out now.
    pub fn take_changes(&mut self) -> Vec<SeenChange> {
        let mut changes = Vec::new();
        for minute in std::mem::take(&mut self.changed) {
            match self.minutes.get(&minute) {
                Some(seen) => {
                    self.recorded.insert(minute);
                    changes.push(SeenChange {
                        minute,
                        hashes: Some(seen.listed()),
                    });
                }
                None if self.recorded.remove(&minute) => changes.push(SeenChange {
                    minute,
                    hashes: None,
                }),
                None => {}
            }
        }
        changes
    }

    /// Whether records must change.
    pub fn has_changes(&self) -> bool {
        self.changed
            .iter()
            .any(|minute| self.minutes.contains_key(minute) || self.recorded.contains(minute))
    }

    /// Counts a row of the present read; whether it is one of those that were sent.
    fn count(&mut self, minute: Minute, hash: RowHash, key: Option<&RowHash>) -> bool {
        let number = self.read_number;
        let Some(entry) = self
            .minutes
            .get_mut(&minute)
            .and_then(|seen| seen.hashes.get_mut(&hash))
        else {
            return false;
        };
        if entry.read_number != number {
            (entry.read_number, entry.read) = (number, 0);
        }
        entry.read = entry.read.saturating_add(1);
        if let Some(key) = key {
            self.versions.insert(*key, (minute, hash));
        }
        entry.read <= entry.sent
    }

    fn is_full(&self, minute: Minute) -> bool {
        self.rows >= self.largest_window
            || self
                .minutes
                .get(&minute)
                .is_some_and(|seen| seen.rows >= self.largest_minute)
    }

    fn remember(&mut self, minute: Minute, hash: RowHash, key: Option<&RowHash>) {
        let read_number = self.read_number;
        let seen = self.minutes.entry(minute).or_default();
        // The read that remembers a row has come across it; of equal ones, across the first.
        let entry = seen.hashes.entry(hash).or_insert(Entry {
            sent: 0,
            read: 1,
            read_number,
        });
        entry.sent = entry.sent.saturating_add(1);
        seen.rows += 1;
        self.rows += 1;
        self.changed.insert(minute);
        if let Some(key) = key {
            self.versions.insert(*key, (minute, hash));
        }
    }

    fn forget(&mut self, minute: Minute, hash: RowHash) {
        if let Some(seen) = self.minutes.get_mut(&minute)
            && let Some(entry) = seen.hashes.remove(&hash)
        {
            seen.rows -= entry.sent as usize;
            self.rows -= entry.sent as usize;
            self.changed.insert(minute);
            if seen.hashes.is_empty() {
                self.minutes.remove(&minute);
            }
        }
    }
}

impl Seen {
    /// Each hash as often as it was sent, ascending, so that equal windows have equal records.
    fn listed(&self) -> Vec<RowHash> {
        let mut list: Vec<RowHash> = Vec::with_capacity(self.rows);
        for (hash, entry) in &self.hashes {
            list.extend(std::iter::repeat_n(*hash, entry.sent as usize));
        }
        list.sort_unstable();
        list
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;

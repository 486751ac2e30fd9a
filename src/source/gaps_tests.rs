//! The ledger against a database of random interleavings, and the naive poller against the same.

use proptest::prelude::*;

use super::*;

/// One thing that happens. Numbers choose among what there is at that moment.
#[derive(Clone, Debug)]
enum Event {
    /// A transaction takes its lock.
    Begin,
    /// A transaction draws ids, in one statement.
    Draw(usize, u8),
    Commit(usize),
    Rollback(usize),
    /// A transaction is prepared: its lock goes on under another name.
    Prepare(usize),
    /// All but prepared transactions end, and identities begin anew.
    ServerRestart,
    /// The reader goes on by one stage: evidence, gap read, forward read.
    Stage,
    /// The same, but a read ends in the middle.
    CutStage,
    /// The reader's process starts again from the last cursor.
    ProcessRestart,
    Time(u16),
}

fn event() -> impl Strategy<Value = Event> {
    let any = 0..8usize;
    prop_oneof![
        4 => Just(Event::Begin),
        6 => (any.clone(), 1..4u8).prop_map(|(t, n)| Event::Draw(t, n)),
        3 => any.clone().prop_map(Event::Commit),
        1 => any.clone().prop_map(Event::Rollback),
        1 => any.prop_map(Event::Prepare),
        1 => Just(Event::ServerRestart),
        9 => Just(Event::Stage),
        1 => Just(Event::CutStage),
        1 => Just(Event::ProcessRestart),
        4 => (0..200u16).prop_map(Event::Time),
    ]
}

#[derive(Clone, Debug)]
struct Transaction {
    identity: String,
    prepared: bool,
    ids: Vec<i128>,
}

#[derive(Default)]
struct Database {
    open: Vec<Transaction>,
    visible: BTreeSet<i128>,
    next_id: i128,
    identities: u32,
    lives: u32,
}

impl Database {
    fn evidence(&self) -> Evidence {
        let name = |t: &Transaction| t.identity.clone();
        Evidence::Writers {
            holders: self.open.iter().map(name).collect(),
            joins_all: self.open.iter().filter(|t| t.prepared).map(name).collect(),
            since: self.lives.to_string(),
        }
    }

    /// Only the first id each transaction has drawn shows as held, as MariaDB does it in mid-statement.
    fn probe(&self) -> Evidence {
        let held = self
            .open
            .iter()
            .filter_map(|t| t.ids.first())
            .map(|id| (*id, *id))
            .collect();
        Evidence::Probe {
            held,
            grace: Duration::ZERO,
        }
    }

    fn happens(&mut self, event: &Event) {
        let pick = |i: usize, n: usize| (n > 0).then(|| i % n.max(1));
        match event {
            Event::Begin => {
                self.identities += 1;
                let identity = format!("{}/{}", self.lives, self.identities);
                self.open.push(Transaction {
                    identity,
                    prepared: false,
                    ids: Vec::new(),
                });
            }
            Event::Draw(i, n) => {
                if let Some(t) = pick(*i, self.open.len())
                    .map(|i| &mut self.open[i])
                    .filter(|t| !t.prepared)
                {
                    for _ in 0..*n {
                        self.next_id += 1;
                        t.ids.push(self.next_id);
                    }
                }
            }
            Event::Commit(i) => {
                if let Some(i) = pick(*i, self.open.len()) {
                    self.visible.extend(self.open.remove(i).ids);
                }
            }
            Event::Rollback(i) => {
                if let Some(i) = pick(*i, self.open.len()) {
                    self.open.remove(i);
                }
            }
            Event::Prepare(i) => {
                if let Some(t) = pick(*i, self.open.len())
                    .map(|i| &mut self.open[i])
                    .filter(|t| !t.prepared)
                {
                    self.identities += 1;
                    t.identity = format!("-1/{}", self.identities);
                    t.prepared = true;
                }
            }
            Event::ServerRestart => {
                self.open.retain(|t| t.prepared);
                self.lives += 1;
            }
            _ => {}
        }
    }
}

/// A reader of the simulated database, and everything it has sent.
struct Reader {
    ledger: Ledger,
    sent: Vec<i128>,
    stage: u8,
    millis: u64,
    probing: bool,
}

impl Reader {
    fn new(probing: bool) -> Self {
        let ledger = Ledger::restore(&IncrementingCursor::default(), 1, moment(0));
        Reader {
            ledger,
            sent: Vec::new(),
            stage: 0,
            millis: 0,
            probing,
        }
    }

    fn stage(&mut self, database: &Database, cut: bool) {
        let now = moment(self.millis);
        match self.stage {
            0 => self.ledger.observe(
                &if self.probing {
                    database.probe()
                } else {
                    database.evidence()
                },
                now,
            ),
            1 => {
                let ranges = self.ledger.ranges();
                let inside = |id: &&i128| ranges.iter().any(|(lo, hi)| lo <= *id && *id <= hi);
                let mut ids: Vec<_> = database.visible.iter().filter(inside).copied().collect();
                if cut {
                    ids.truncate(ids.len() / 2);
                }
                self.sent.extend(&ids);
                self.ledger.found(&ids);
                if !cut {
                    self.ledger.close_drained();
                }
            }
            _ => {
                let above = self
                    .ledger
                    .highest()
                    .map_or(i128::MIN, |highest| highest + 1);
                let mut ids: Vec<_> = database.visible.range(above..).copied().collect();
                if cut {
                    ids.truncate(ids.len() / 2);
                }
                let ticket = self.ledger.begin_forward(now);
                let taken = self.ledger.forward(ticket, &ids, now);
                self.sent.extend(&ids[..taken]);
            }
        }
        self.stage = (self.stage + 1) % 3;
        assert_is_well_formed(&self.ledger.cursor());
    }

    fn restart(&mut self) {
        let cursor = self.ledger.cursor();
        let text = serde_json::to_string(&cursor).unwrap();
        self.ledger = Ledger::restore(
            &serde_json::from_str(&text).unwrap(),
            1,
            moment(self.millis),
        );
        self.stage = 0;
    }

    fn settle(&mut self, database: &Database) {
        self.stage = 0;
        for _ in 0..4 {
            self.millis += 150;
            (0..3).for_each(|_| self.stage(database, false));
        }
    }
}

fn moment(millis: u64) -> Moment {
    Moment {
        elapsed: Duration::from_millis(millis),
        server: millis as Micros * 1_000,
    }
}

fn assert_is_well_formed(cursor: &IncrementingCursor) {
    for gap in &cursor.gaps {
        assert!(
            gap.lo <= gap.hi && Some(gap.hi) < cursor.highest,
            "{cursor:?}"
        );
    }
    for pair in cursor.gaps.windows(2) {
        assert!(
            pair[0].hi + 1 < pair[1].lo,
            "adjacent or out of order: {cursor:?}"
        );
    }
}

fn simulate(events: &[Event], probing: bool) {
    let (mut database, mut reader) = (Database::default(), Reader::new(probing));
    for event in events {
        match event {
            Event::Stage => reader.stage(&database, false),
            Event::CutStage => reader.stage(&database, true),
            Event::ProcessRestart => reader.restart(),
            Event::Time(millis) => reader.millis += u64::from(*millis),
            _ => database.happens(event),
        }
    }
    while !database.open.is_empty() {
        database.happens(&Event::Commit(0));
        reader.settle(&database);
    }
    reader.settle(&database);
    let mut sent = reader.sent.clone();
    sent.sort_unstable();
    assert_eq!(
        sent,
        database.visible.iter().copied().collect::<Vec<_>>(),
        "sent is not what was committed"
    );
    assert!(
        reader.ledger.is_without_gaps(),
        "a gap stays open: {:?}",
        reader.ledger.cursor()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn with_tickets_every_row_is_sent_once_and_every_gap_is_closed(events in prop::collection::vec(event(), 1..120)) {
        simulate(&events, false);
    }

    #[test]
    fn with_probes_every_row_is_sent_once_and_every_gap_is_closed(
        events in prop::collection::vec(event(), 1..120),
    ) {
        // A probe knows no transactions, and has no answer to a statement that has written nothing yet.
        let events = events.into_iter().filter(|event| {
            !matches!(event, Event::Begin | Event::ServerRestart | Event::Prepare(_))
        });
        // Every transaction is one statement of several rows, whose first row is written at once.
        let whole: Vec<_> = events.flat_map(|event| match event {
            Event::Draw(_, n) => vec![Event::Begin, Event::Draw(usize::MAX, n)],
            other => vec![other],
        }).collect();
        simulate_statements(&whole);
    }
}

/// As [`simulate`] with probes, where a draw always belongs to the transaction begun last.
fn simulate_statements(events: &[Event]) {
    let mut begun = 0usize;
    let mut count = 0usize;
    let events: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Begin => {
                count += 1;
                begun = count - 1;
                Event::Begin
            }
            Event::Draw(_, n) => Event::Draw(begun, *n),
            Event::Commit(_) | Event::Rollback(_) => {
                count = count.saturating_sub(1);
                event.clone()
            }
            other => other.clone(),
        })
        .collect();
    simulate(&events, true);
}

#[test]
fn a_poller_that_only_remembers_the_highest_id_loses_rows_here() {
    let (mut database, mut sent, mut highest) = (Database::default(), BTreeSet::new(), 0);
    for event in [
        Event::Begin,
        Event::Begin,
        Event::Draw(0, 1),
        Event::Draw(1, 1),
        Event::Commit(1),
    ] {
        database.happens(&event);
    }
    let mut poll = |database: &Database| {
        let new: Vec<_> = database.visible.range(highest + 1..).copied().collect();
        highest = new.last().copied().unwrap_or(highest);
        sent.extend(new);
    };
    poll(&database);
    database.happens(&Event::Commit(0));
    poll(&database);
    assert_eq!(sent, BTreeSet::from([2]), "row 1 is lost");
}

fn writers(holders: &[&str]) -> Evidence {
    let holders = holders.iter().map(|h| (*h).to_owned()).collect();
    Evidence::Writers {
        holders,
        joins_all: BTreeSet::new(),
        since: "1".into(),
    }
}

fn ledger_after(ids: &[i128]) -> Ledger {
    let mut ledger = Ledger::restore(
        &IncrementingCursor {
            highest: Some(0),
            gaps: vec![],
        },
        1,
        moment(0),
    );
    let ticket = ledger.begin_forward(moment(0));
    assert_eq!(ledger.forward(ticket, ids, moment(0)), ids.len());
    ledger
}

#[test]
fn a_ticket_is_not_taken_before_the_margin_has_passed() {
    let mut ledger = ledger_after(&[2]);
    ledger.observe(&writers(&[]), moment(99));
    assert!(!ledger.close_drained());
    ledger.observe(&writers(&[]), moment(100));
    assert!(ledger.close_drained());
}

#[test]
fn writers_that_came_later_do_not_keep_a_gap_open() {
    let mut ledger = ledger_after(&[2]);
    ledger.observe(&writers(&["a"]), moment(100));
    assert!(!ledger.close_drained());
    ledger.observe(&writers(&["b"]), moment(200));
    assert!(ledger.close_drained());
}

#[test]
fn identities_of_another_server_life_are_not_compared_with_earlier_ones() {
    let mut ledger = ledger_after(&[2]);
    ledger.observe(&writers(&["a"]), moment(100));
    let Evidence::Writers {
        holders, joins_all, ..
    } = writers(&["b"])
    else {
        unreachable!()
    };
    let since = "2".to_owned();
    ledger.observe(
        &Evidence::Writers {
            holders,
            joins_all,
            since,
        },
        moment(200),
    );
    assert!(!ledger.close_drained(), "the ticket is taken anew");
}

#[test]
fn a_table_that_was_empty_has_a_gap_below_its_first_id() {
    let mut ledger = Ledger::restore(&IncrementingCursor::default(), i64::MIN.into(), moment(0));
    let ticket = ledger.begin_forward(moment(0));
    ledger.forward(ticket, &[5], moment(0));
    assert_eq!(ledger.ranges(), [(i64::MIN.into(), 4)]);
}

#[test]
fn ids_up_to_the_bound_of_the_copy_never_open_a_gap() {
    let mut ledger = Ledger::restore(
        &IncrementingCursor {
            highest: Some(100),
            gaps: vec![],
        },
        1,
        moment(0),
    );
    let ticket = ledger.begin_forward(moment(0));
    ledger.forward(ticket, &[101, 103], moment(0));
    assert_eq!(ledger.ranges(), [(102, 102)]);
}

#[test]
fn a_run_is_pending_while_any_of_it_is_held_and_for_the_grace_afterwards() {
    let mut ledger = ledger_after(&[1, 5]);
    let grace = Duration::from_secs(60);
    ledger.observe(
        &Evidence::Probe {
            held: vec![(2, 2)],
            grace,
        },
        moment(70_000),
    );
    assert!(!ledger.close_drained());
    ledger.observe(
        &Evidence::Probe {
            held: vec![],
            grace,
        },
        moment(129_999),
    );
    assert!(!ledger.close_drained());
    ledger.observe(
        &Evidence::Probe {
            held: vec![],
            grace,
        },
        moment(130_000),
    );
    assert!(ledger.close_drained());
}

#[test]
fn a_restored_gap_keeps_the_time_it_was_first_seen() {
    let gap = Gap {
        lo: 2,
        hi: 2,
        first_seen: 7,
    };
    let cursor = IncrementingCursor {
        highest: Some(3),
        gaps: vec![gap],
    };
    let mut ledger = Ledger::restore(&cursor, 1, moment(60_001));
    assert_eq!(ledger.cursor(), cursor);
    ledger.observe(
        &Evidence::Probe {
            held: vec![],
            grace: Duration::from_secs(60),
        },
        moment(60_001),
    );
    assert!(ledger.close_drained());
}

#[test]
fn the_highest_id_waits_while_the_gaps_fill_the_record() {
    let start = IncrementingCursor {
        highest: Some(0),
        gaps: vec![],
    };
    let mut ledger = Ledger::restore(&start, 1, moment(0)).with_largest(200);
    let ids: Vec<i128> = (1..100).map(|i| i * 2).collect();
    let ticket = ledger.begin_forward(moment(0));
    let taken = ledger.forward(ticket, &ids, moment(0));
    assert!(taken < ids.len() && ledger.is_waiting());
    assert_eq!(ledger.highest(), Some(ids[taken - 1]));
    let encoded = serde_json::to_string(&ledger.cursor().gaps).unwrap().len();
    assert!((200..260).contains(&encoded), "{encoded}");
    ledger.observe(&writers(&[]), moment(100));
    assert!(ledger.close_drained() && !ledger.is_waiting());
}

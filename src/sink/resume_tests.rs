use proptest::prelude::*;

use super::*;
use crate::lake::{FilePlan, LayoutSpec};
use crate::sink::stored::SkipPlan;

fn plan(epoch: u64, start: u64, end: u64, first_sequence: u64) -> Stored {
    Stored::Chunk(Box::new(Plan {
        v: 1,
        topic: "retail.orders".into(),
        partition: 0,
        epoch,
        start,
        end,
        first_sequence,
        next_sequence: first_sequence + (end - start),
        load: None,
        file: FilePlan {
            table_path: "ec/orders".into(),
            table: "ec.orders".into(),
            fingerprint: "0123456789abcdef".into(),
            layout: LayoutSpec {
                partition_by: vec![],
                zone: "UTC".into(),
                source_zone: "UTC".into(),
                tzdb: String::new(),
                bucket_hash: String::new(),
                null_partition: None,
            },
            compression: "zstd".into(),
            metadata_columns: vec![],
            guard: "proven".into(),
        },
    }))
}

fn nothing() -> Found {
    Found {
        hint: None,
        newest: None,
        before_hint: None,
        at_hint: false,
        low: 0,
        high: 1_000,
        retired: None,
        raised: None,
    }
}

/// What is found of a chain of plans, as the listing and the reads after it give it.
fn found(chain: &[Stored], hint: Option<u64>) -> Found {
    let keys: Vec<PlanKey> = chain
        .iter()
        .map(|plan| PlanKey {
            epoch: plan.expected_behind().epoch,
            partition: 0,
            start: plan.start(),
        })
        .collect();
    let needed = needed(&keys, hint, None);
    let read = |key: Option<PlanKey>| {
        key.and_then(|key| chain.iter().find(|p| p.start() == key.start).cloned())
    };
    Found {
        hint,
        newest: read(needed.newest),
        before_hint: read(needed.before_hint),
        at_hint: needed.at_hint,
        ..nothing()
    }
}

fn chain() -> Vec<Stored> {
    // A commit marker lies between the chunks, so that they do not touch.
    vec![
        plan(7, 0, 100, 1),
        plan(7, 101, 200, 101),
        plan(7, 201, 300, 200),
    ]
}

/// Whether giving records up may help where it stops; `None` where it does not stop.
fn may_be_skipped(found: &Found) -> Option<bool> {
    match resume(found) {
        Resume::Stop(stop) => Some(stop.may_be_skipped),
        _ => None,
    }
}

fn redone(stored: &Stored) -> Resume {
    match stored {
        Stored::Chunk(plan) => Resume::Redo(plan.clone()),
        Stored::Skip(_) => unreachable!("a skip is not done again"),
    }
}

#[test]
fn without_hint_and_plan_the_log_is_read_from_its_start_which_must_be_sequence_one() {
    let start = Found {
        low: 40,
        ..nothing()
    };
    let expected = Expected::FIRST;
    assert_eq!(resume(&start), Resume::Read { at: 40, expected });
}

#[test]
fn without_a_hint_the_newest_plan_is_executed_again_exactly() {
    assert_eq!(resume(&found(&chain(), None)), redone(&chain()[2]));
}

#[test]
fn a_hint_at_the_newest_plans_end_goes_on_behind_it() {
    let expected = Expected {
        epoch: 7,
        sequence: Some(299),
    };
    assert_eq!(
        resume(&found(&chain(), Some(300))),
        Resume::Read { at: 300, expected }
    );
}

#[test]
fn a_hint_at_an_earlier_border_executes_the_newest_plan_again() {
    for hint in [0, 100, 101, 200, 201] {
        assert_eq!(
            resume(&found(&chain(), Some(hint))),
            redone(&chain()[2]),
            "{hint}"
        );
    }
}

#[test]
fn a_hint_without_a_plan_stops() {
    for hint in [50, 150, 250, 301, 400] {
        assert_eq!(
            may_be_skipped(&found(&chain(), Some(hint))),
            Some(false),
            "{hint}"
        );
    }
    let mut torn = chain();
    torn.remove(1);
    assert_eq!(may_be_skipped(&found(&torn, Some(200))), Some(false));
    assert_eq!(may_be_skipped(&found(&[], Some(5))), Some(false));
}

#[test]
fn a_chain_beyond_the_logs_end_stops() {
    let cut = Found {
        high: 299,
        ..found(&chain(), None)
    };
    assert_eq!(may_be_skipped(&cut), Some(false));
    let whole = Found {
        high: 300,
        ..found(&chain(), None)
    };
    assert_eq!(resume(&whole), redone(&chain()[2]));
}

#[test]
fn an_unfinished_plan_whose_records_are_gone_stops() {
    let gone = Found {
        low: 202,
        ..found(&chain(), None)
    };
    assert_eq!(may_be_skipped(&gone), Some(true));
    // With all its files in the lake the sequence numbers tell whether anything is missing.
    let finished = Found {
        low: 350,
        ..found(&chain(), Some(300))
    };
    assert!(matches!(
        resume(&finished),
        Resume::Read {
            at: 350,
            expected: Expected {
                sequence: Some(299),
                ..
            }
        }
    ));
}

#[test]
fn a_stretch_given_up_by_hand_is_jumped_over_and_whatever_follows_is_taken() {
    let mut skipped = chain();
    skipped.push(Stored::Skip(SkipPlan {
        v: 1,
        skip: true,
        epoch: 7,
        start: 301,
        end: 400,
        next_sequence: None,
        reason: "a hole".into(),
    }));
    let expected = Expected {
        epoch: 7,
        sequence: None,
    };
    let there = Resume::Read { at: 400, expected };
    assert_eq!(resume(&found(&skipped, Some(300))), there);
    assert_eq!(resume(&found(&skipped, None)), there);
    // Where only records of others were given up, what must come next is known.
    if let Some(Stored::Skip(skip)) = skipped.last_mut() {
        skip.next_sequence = Some(299);
    }
    let expected = Expected {
        epoch: 7,
        sequence: Some(299),
    };
    let there = Resume::Read { at: 400, expected };
    assert_eq!(resume(&found(&skipped, Some(300))), there);
}

#[test]
fn a_table_copied_anew_is_read_from_the_start_of_its_new_epoch() {
    let retired = Some(Retirement {
        below: 9,
        start: 320,
    });
    let keys: Vec<PlanKey> = chain()
        .iter()
        .map(|p| PlanKey {
            epoch: 7,
            partition: 0,
            start: p.start(),
        })
        .collect();
    assert_eq!(needed(&keys, None, retired).newest, None);
    let expected = Expected {
        epoch: 9,
        sequence: Some(1),
    };
    for hint in [None, Some(300)] {
        let anew = Found {
            retired,
            hint,
            ..nothing()
        };
        assert_eq!(resume(&anew), Resume::Read { at: 320, expected });
    }
}

#[test]
fn a_plans_name_is_taken_apart_and_nothing_else_is_a_plan() {
    let path = "_cdc/plan/retail.orders/1780000000000/3/00000000000000000042";
    let key = PlanKey::parse("retail.orders", path).expect("a key");
    assert_eq!(
        (key.epoch, key.partition, key.start),
        (1_780_000_000_000, 3, 42)
    );
    for other in [
        "_cdc/plan/retail.orders/1/3",
        "_cdc/plan/retail.orders2/1/3/4",
        "_cdc/plan/retail.orders/1/3/4/5",
    ] {
        assert_eq!(PlanKey::parse("retail.orders", other), None, "{other}");
    }
}

proptest! {
    /// Whatever the hint: reading never begins behind the first record that may be missing in the lake. All
    /// plans but the newest are finished; the newest is known to be only by a hint at its end.
    #[test]
    fn no_hint_makes_reading_begin_behind_an_unfinished_plan(
        lengths in prop::collection::vec((1_u64..50, 0_u64..3), 1..8), hint in prop::option::of(0_u64..500),
    ) {
        let mut plans = Vec::new();
        let (mut at, mut sequence) = (0, 1);
        for (length, gap) in lengths {
            plans.push(plan(7, at, at + length, sequence));
            sequence += length;
            at += length + gap;
        }
        let newest = plans[plans.len() - 1].clone();
        match resume(&found(&plans, hint)) {
            Resume::Read { at, expected } => {
                prop_assert_eq!(hint, Some(newest.end()));
                prop_assert_eq!(at, newest.end());
                prop_assert_eq!(expected.sequence, Some(sequence));
            }
            Resume::Redo(redo) => prop_assert_eq!(Stored::Chunk(redo), newest),
            Resume::Stop(_) => {
                let hint = hint.expect("only a hint can contradict the plans");
                prop_assert!(plans.iter().all(|p| p.start() != hint && p.end() != hint));
            }
        }
    }
}

#[test]
fn what_retention_deleted_of_an_epoch_that_was_left_is_noticed_although_numbers_start_over() {
    let chain = [plan(7, 0, 10, 1)];
    let gone = |before| Found {
        low: 50,
        raised: Some(Raised { epoch: 9, before }),
        ..found(&chain, Some(10))
    };
    assert_eq!(may_be_skipped(&gone(Some((7, 12)))), Some(true));
    assert_eq!(may_be_skipped(&gone(None)), Some(true));
    assert_eq!(may_be_skipped(&gone(Some((8, 11)))), Some(true));
    // Everything of it was in the lake.
    assert!(matches!(
        resume(&gone(Some((7, 11)))),
        Resume::Read { at: 50, .. }
    ));
    // Nothing was deleted.
    let whole = Found {
        low: 3,
        ..gone(Some((7, 12)))
    };
    assert!(matches!(resume(&whole), Resume::Read { at: 10, .. }));
    // The new epoch's own numbers tell.
    let later = Found {
        raised: Some(Raised {
            epoch: 7,
            before: None,
        }),
        ..gone(None)
    };
    assert!(matches!(resume(&later), Resume::Read { at: 50, .. }));
}

#[test]
fn what_retention_deleted_of_an_epoch_that_was_left_is_noticed_although_there_is_no_plan_yet() {
    let found = |low, before| Found {
        low,
        raised: Some(Raised { epoch: 9, before }),
        ..nothing()
    };
    assert_eq!(may_be_skipped(&found(50, Some((7, 500)))), Some(false));
    // Nothing was deleted, or there was nothing.
    for whole in [found(0, Some((7, 500))), found(50, Some((7, 1)))] {
        let (at, expected) = (whole.low, Expected::FIRST);
        assert_eq!(resume(&whole), Resume::Read { at, expected });
    }
    let retired = |low, below, before| Found {
        retired: Some(Retirement { below, start: 40 }),
        ..found(low, Some(before))
    };
    // What is void is not missed; what was begun after that is.
    assert!(matches!(
        resume(&retired(50, 8, (7, 500))),
        Resume::Read { at: 50, .. }
    ));
    assert!(matches!(
        resume(&retired(40, 7, (7, 500))),
        Resume::Read { at: 40, .. }
    ));
    assert_eq!(may_be_skipped(&retired(50, 7, (7, 500))), Some(false));
}

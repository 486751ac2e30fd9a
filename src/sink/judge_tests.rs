use proptest::prelude::*;

use super::*;
use crate::state::LoadPartition;

fn record(state: LoadState, ulid: &str, rows: &[u64]) -> LoadRecord {
    let partition = |rows: &u64| LoadPartition {
        start: 10,
        end: 10 + rows,
        rows: *rows,
        rejected: 0,
    };
    LoadRecord {
        v: 1,
        state,
        ulid: ulid.into(),
        topic: "retail.products".into(),
        epoch: 7,
        partitions: rows.iter().map(partition).collect(),
        source_rows: rows.iter().sum(),
        reason: None,
        cut_off: false,
        fingerprint: None,
    }
}

fn shares(rows: &[u64]) -> BTreeMap<i32, u64> {
    (0..).zip(rows.iter().copied()).collect()
}

#[test]
fn a_load_is_complete_when_every_share_is_there_and_every_count_is_equal() {
    let ended = record(LoadState::Ended, "A", &[3, 0, 4]);
    assert_eq!(
        judge(&ended, &shares(&[3, 0, 4])),
        Verdict::Complete { rows: 7 }
    );
    assert_eq!(judge(&ended, &shares(&[3])), Verdict::Waiting(vec![1, 2]));
    assert!(matches!(
        judge(&ended, &shares(&[3, 0, 3])),
        Verdict::Unequal(_)
    ));
    // Equal in sum only.
    assert!(matches!(
        judge(&ended, &shares(&[4, 0, 3])),
        Verdict::Unequal(_)
    ));
}

#[test]
fn a_load_that_differs_from_the_databases_own_count_is_never_complete() {
    let mut ended = record(LoadState::Ended, "A", &[3, 4]);
    ended.source_rows = 8;
    assert!(matches!(
        judge(&ended, &shares(&[3, 4])),
        Verdict::Unequal(_)
    ));
    ended.partitions[1].rejected = 1;
    assert_eq!(
        judge(&ended, &shares(&[3, 4])),
        Verdict::Complete { rows: 7 }
    );
}

#[test]
fn an_open_or_abandoned_load_is_not_judged_by_its_shares() {
    let shares = shares(&[3, 4]);
    assert_eq!(
        judge(&record(LoadState::Began, "A", &[3, 4]), &shares),
        Verdict::Open
    );
    assert_eq!(
        judge(&record(LoadState::Abandoned, "A", &[3, 4]), &shares),
        Verdict::Abandoned
    );
}

#[test]
fn a_share_is_due_only_after_the_load_ended_and_its_records_are_in_the_lake() {
    let ended = record(LoadState::Ended, "A", &[3, 0]);
    assert!(!share_is_due(&ended, 0, 12));
    assert!(share_is_due(&ended, 0, 13));
    assert!(share_is_due(&ended, 1, 0));
    assert!(!share_is_due(&ended, 2, 99));
    assert!(!share_is_due(&record(LoadState::Began, "A", &[3]), 0, 99));
    assert_eq!(drain_target(&ended, 0), Some(13));
    assert_eq!(drain_target(&ended, 1), None);
}

#[test]
fn the_pointer_never_goes_back() {
    assert!(may_switch(None, 1));
    assert!(may_switch(Some(1), 2));
    assert!(!may_switch(Some(2), 2));
    assert!(!may_switch(Some(3), 2));
}

#[test]
fn the_current_load_the_one_before_it_and_open_ones_are_kept() {
    let loads: LoadsOfTable = [
        (1, record(LoadState::Ended, "A", &[1])),
        (2, record(LoadState::Ended, "B", &[1])),
        (3, record(LoadState::Abandoned, "C", &[])),
        (4, record(LoadState::Ended, "D", &[1])),
        (5, record(LoadState::Abandoned, "E", &[])),
        (6, record(LoadState::Began, "F", &[])),
    ]
    .into();
    let garbage = garbage(&loads, Some(4), Some(2));
    assert_eq!(garbage, ["A", "C", "E"].map(String::from).into());
}

proptest! {
    #[test]
    fn garbage_never_holds_what_a_reader_may_open(
        states in prop::collection::vec(0..3_u8, 1..12), current in prop::option::of(0_u64..12), previous in prop::option::of(0_u64..12),
    ) {
        let loads: LoadsOfTable = (0..).zip(states.iter().map(|state| match state {
            0 => LoadState::Began,
            1 => LoadState::Ended,
            _ => LoadState::Abandoned,
        })).map(|(number, state)| (number, record(state, &format!("load-{number}"), &[1]))).collect();
        let garbage = garbage(&loads, current, previous);
        for (number, record) in &loads {
            let open = current.is_none_or(|current| *number > current) && record.state != LoadState::Abandoned;
            if open || Some(*number) == current || Some(*number) == previous {
                prop_assert!(!garbage.contains(&record.ulid));
            }
        }
    }
}

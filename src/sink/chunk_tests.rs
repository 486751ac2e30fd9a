use proptest::prelude::*;

use super::*;
use crate::config::Compression;

fn run(epoch: u64, first: u64, records: u64) -> RunHeader {
    RunHeader {
        fingerprint: Fingerprint::parse("0123456789abcdef").expect("a fingerprint"),
        epoch,
        first,
        records,
        load: None,
    }
}

fn loaded(first: u64, records: u64) -> RunHeader {
    RunHeader {
        load: Some(Ulid::from_parts(1, 1)),
        ..run(7, first, records)
    }
}

fn expected(epoch: u64, sequence: u64) -> Expected {
    Expected {
        epoch,
        sequence: Some(sequence),
    }
}

#[test]
fn a_log_begins_with_sequence_one() {
    assert_eq!(
        step(Expected::FIRST, &run(7, 1, 5)).map(|a| a.next),
        Ok(expected(7, 6))
    );
    assert_eq!(
        step(Expected::FIRST, &run(7, 2, 5)),
        Err(Fault::Hole {
            expected: 1,
            found: 2
        })
    );
}

#[test]
fn a_repeat_stops_and_is_not_dropped() {
    let fault = Fault::Repeat {
        expected: 6,
        found: 1,
    };
    assert_eq!(step(expected(7, 6), &run(7, 1, 5)), Err(fault));
}

#[test]
fn a_lower_epoch_stops_and_a_higher_one_starts_over() {
    let fault = Fault::LowerEpoch {
        current: 7,
        found: 6,
    };
    assert_eq!(step(expected(7, 6), &run(6, 6, 1)), Err(fault));
    assert_eq!(
        step(expected(7, 6), &run(8, 1, 2)).map(|a| a.next),
        Ok(expected(8, 3))
    );
    assert_eq!(
        step(expected(7, 6), &run(8, 6, 2)),
        Err(Fault::Hole {
            expected: 1,
            found: 6
        })
    );
}

#[test]
fn a_hole_inside_a_load_gives_up_the_load_only() {
    let accepted = step(expected(7, 6), &loaded(9, 2)).expect("accepted");
    assert_eq!(accepted.hole_in_load, Some((6, 9)));
    assert_eq!(accepted.next, expected(7, 11));
    assert!(matches!(
        step(expected(7, 6), &loaded(5, 2)),
        Err(Fault::Repeat { .. })
    ));
}

#[test]
fn after_a_stretch_given_up_by_hand_whatever_comes_is_taken() {
    let given_up = Expected {
        epoch: 7,
        sequence: None,
    };
    assert_eq!(
        step(given_up, &run(7, 400, 3)).map(|a| a.next),
        Ok(expected(7, 403))
    );
    assert!(step(given_up, &run(6, 1, 1)).is_err());
}

#[test]
fn a_record_stands_only_where_its_run_has_it() {
    let mut open = OpenRun::begin(run(7, 1, 3), 10);
    assert_eq!(place(None, true), Ok(()));
    assert_eq!(place(None, false), Err(Fault::Headless));
    assert_eq!(
        place(Some(&open), true),
        Err(Fault::Torn {
            announced: 3,
            came: 1
        })
    );
    open.extend(11);
    assert!(!open.is_whole());
    // An aborted transaction lies between.
    open.extend(40);
    assert!(open.is_whole());
}

fn limits() -> FileSettings {
    FileSettings {
        rows: 100,
        size: 1_000,
        age: Duration::from_secs(600),
        compression: Compression::Zstd,
    }
}

fn small() -> Measure {
    Measure {
        rows: 99,
        bytes: 999,
        oldest: 599_999,
        open_for: Duration::from_secs(1),
        caught_up: true,
    }
}

#[test]
fn a_chunk_is_closed_by_rows_by_size_and_by_age() {
    assert_eq!(due(&small(), &limits()), None);
    let by = |measure| due(&measure, &limits());
    assert_eq!(
        by(Measure {
            rows: 100,
            ..small()
        }),
        Some(Close::Rows)
    );
    assert_eq!(
        by(Measure {
            bytes: 1_000,
            ..small()
        }),
        Some(Close::Size)
    );
    assert_eq!(
        by(Measure {
            oldest: 600_000,
            ..small()
        }),
        Some(Close::Age)
    );
}

#[test]
fn a_backlog_does_not_become_a_file_per_run_and_yet_no_chunk_stays_open_for_ever() {
    let old = Measure {
        oldest: 86_400_000,
        caught_up: false,
        ..small()
    };
    assert_eq!(due(&old, &limits()), None);
    let long_open = Measure {
        open_for: Duration::from_secs(600),
        ..old
    };
    assert_eq!(due(&long_open, &limits()), Some(Close::Age));
}

proptest! {
    /// However a dense log is cut into runs and whatever is done to it, the rows between two accepted states
    /// are exactly those the numbers say, or the partition stops.
    #[test]
    fn any_run_lost_repeated_or_swapped_stops_the_partition(
        sizes in prop::collection::vec(1_u64..50, 2..20), at in any::<prop::sample::Index>(), what in 0..3_u8,
    ) {
        let mut runs = Vec::new();
        let mut first = 1;
        for records in sizes {
            runs.push(run(7, first, records));
            first += records;
        }
        let walk = |runs: &[RunHeader]| {
            runs.iter().try_fold(Expected::FIRST, |expected, run| step(expected, run).map(|a| a.next))
        };
        prop_assert_eq!(walk(&runs), Ok(expected(7, first)));
        let at = at.index(runs.len() - 1);
        match what {
            0 => drop(runs.remove(at)),
            1 => runs.insert(at, runs[at].clone()),
            _ => runs.swap(at, at + 1),
        }
        prop_assert!(walk(&runs).is_err());
    }
}

use proptest::prelude::*;

use super::super::chunk::place;
use super::*;
use crate::model::Fingerprint;
use crate::wire::RunHeader;

fn run(epoch: u64, first: u64, records: u64) -> Head {
    Head::Run(Box::new(RunHeader {
        fingerprint: Fingerprint::parse("0123456789abcdef").expect("a fingerprint"),
        epoch,
        first,
        records,
        load: None,
    }))
}

const EXPECTED: Expected = Expected {
    epoch: 5,
    sequence: Some(10),
};

fn search(expected: Expected, is_suspect: bool, records: &[Head]) -> Search {
    let mut search = Search::new(expected, is_suspect, 100);
    for (offset, head) in (100..).zip(records) {
        search.take(offset, head);
    }
    search
}

#[test]
fn records_of_nobody_are_given_up_to_the_next_run_and_no_further() {
    let found = search(
        EXPECTED,
        true,
        &[Head::None, Head::Unreadable, run(5, 10, 2), Head::None],
    );
    assert_eq!((found.end, found.lost, found.missing()), (102, 2, None));
}

#[test]
fn a_hole_gives_up_no_record_that_is_there() {
    let found = search(EXPECTED, true, &[run(5, 14, 2), Head::None]);
    assert_eq!(
        (found.end, found.lost, found.missing()),
        (100, 0, Some((10, 14)))
    );
}

#[test]
fn a_repeat_and_a_run_of_an_epoch_that_was_left_are_given_up_whole() {
    let log = [run(5, 8, 2), Head::None, run(4, 99, 1), run(5, 10, 1)];
    let found = search(EXPECTED, true, &log);
    assert_eq!((found.end, found.lost, found.missing()), (103, 3, None));
}

#[test]
fn a_run_that_fits_and_cannot_be_read_is_given_up_whole() {
    let log = [run(5, 10, 3), Head::None, Head::None, run(5, 13, 1)];
    let found = search(EXPECTED, true, &log);
    assert_eq!(
        (found.end, found.lost, found.missing()),
        (103, 3, Some((10, 13)))
    );
}

#[test]
fn behind_a_chunk_that_cannot_be_finished_everything_is_good() {
    let found = search(EXPECTED, false, &[run(5, 10, 1)]);
    assert_eq!((found.end, found.lost, found.missing()), (100, 0, None));
}

#[test]
fn a_new_epoch_ends_the_search() {
    let found = search(EXPECTED, true, &[Head::None, run(6, 1, 1)]);
    assert_eq!((found.end, found.lost, found.missing()), (101, 1, None));
}

#[test]
fn where_no_run_follows_everything_that_was_seen_is_given_up() {
    let found = search(EXPECTED, true, &[Head::None, Head::None]);
    assert_eq!((found.end, found.lost, found.found), (102, 2, None));
}

proptest! {
    /// Whatever lies in the log: what the sink reads at the end of a skip begins a run that it takes.
    #[test]
    fn reading_goes_on_where_a_skip_ends(
        kinds in proptest::collection::vec((0u8..4, 4u64..7, 1u64..30), 0..20),
        is_suspect: bool,
    ) {
        let log: Vec<Head> = kinds.iter().map(|(kind, epoch, first)| match kind {
            0 => Head::None,
            1 => Head::Unreadable,
            _ => run(*epoch, *first, 1),
        }).collect();
        let found = search(EXPECTED, is_suspect, &log);
        let at = usize::try_from(found.end - 100).unwrap();
        prop_assert!(at <= log.len());
        prop_assert_eq!(found.lost, at as u64);
        if let Some(head) = log.get(at) {
            let Head::Run(header) = head else { panic!("it ends at no run") };
            let after = Expected { epoch: EXPECTED.epoch, sequence: None };
            prop_assert!(step(after, header).is_ok());
            prop_assert!(place(None, true).is_ok());
            // Nothing that was in the lake before comes a second time.
            prop_assert!(header.epoch > EXPECTED.epoch || header.first >= 10);
        }
    }
}

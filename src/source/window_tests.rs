use super::*;

const MINUTE: i64 = MICROS_PER_MINUTE;

fn sweep(window: &mut Window, rows: &[(Micros, RowHash)], bound: Micros) -> Swept {
    let (instants, hashes): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
    window.begin_read();
    window.sweep(&instants, &hashes, &[], bound)
}

fn news(window: &mut Window, rows: &[(Micros, RowHash)], bound: Micros) -> Vec<bool> {
    let swept = sweep(window, rows, bound);
    window.end_read(bound, &swept.passed, true);
    swept.is_new
}

#[test]
fn a_row_above_the_bound_is_new_once() {
    let mut window = Window::default();
    assert_eq!(news(&mut window, &[(10, 1), (11, 2)], 5), [true, true]);
    assert_eq!(
        news(&mut window, &[(10, 1), (10, 3), (11, 2)], 5),
        [false, true, false]
    );
    assert_eq!(window.rows(), 3);
}

#[test]
fn equal_rows_are_counted_and_not_collapsed() {
    let mut window = Window::default();
    assert_eq!(news(&mut window, &[(10, 1), (10, 1)], 5), [true, true]);
    assert_eq!(
        news(&mut window, &[(10, 1), (10, 1), (10, 1)], 5),
        [false, false, true]
    );
    assert_eq!(
        window.take_changes(),
        [SeenChange {
            minute: 0,
            hashes: Some(vec![1, 1, 1])
        }]
    );
}

#[test]
fn a_value_that_was_gone_and_came_back_is_new_again() {
    let mut window = Window::default();
    assert_eq!(news(&mut window, &[(10, 1)], 5), [true]);
    assert_eq!(news(&mut window, &[(10, 2)], 5), [true]);
    assert_eq!(news(&mut window, &[(10, 1)], 5), [true]);
}

#[test]
fn a_keys_earlier_version_leaves_with_the_next_even_if_the_read_is_cut_short() {
    let mut window = Window::default();
    let mut sweep = |hash| {
        window.begin_read();
        window.sweep(&[10], &[hash], &[77], 5).is_new
    };
    assert_eq!(
        [sweep(1), sweep(2), sweep(1), sweep(1)].concat(),
        [true, true, true, false]
    );
    assert_eq!(window.rows(), 1);
}

#[test]
fn a_read_that_was_cut_short_forgets_nothing() {
    let mut window = Window::default();
    news(&mut window, &[(10, 1), (11, 2)], 5);
    sweep(&mut window, &[(10, 1)], 5);
    assert_eq!(news(&mut window, &[(10, 1), (11, 2)], 5), [false, false]);
}

#[test]
fn rows_the_low_mark_passes_are_forgotten_and_their_minute_is_closed() {
    let mut window = Window::default();
    news(&mut window, &[(10, 1), (11, 2)], 5);
    assert_eq!(
        window.take_changes(),
        [SeenChange {
            minute: 0,
            hashes: Some(vec![1, 2])
        }]
    );
    assert_eq!(news(&mut window, &[(10, 1), (11, 2)], 11), [false, false]);
    assert_eq!(
        window.take_changes(),
        [SeenChange {
            minute: 0,
            hashes: Some(vec![2])
        }]
    );
    assert_eq!(news(&mut window, &[(11, 2)], 2 * MINUTE), [false]);
    assert_eq!(
        window.take_changes(),
        [SeenChange {
            minute: 0,
            hashes: None
        }]
    );
    assert_eq!((window.rows(), window.has_changes()), (0, false));
}

#[test]
fn a_minute_that_was_never_recorded_needs_no_closing() {
    let mut window = Window::default();
    news(&mut window, &[(10, 1)], 5);
    news(&mut window, &[], 5);
    assert!(!window.has_changes());
    assert_eq!(window.take_changes(), []);
}

#[test]
fn a_restored_window_knows_its_rows_and_has_nothing_to_record() {
    let mut window = Window::restore([(0, vec![1, 1]), (1, vec![2])]);
    assert!(!window.has_changes());
    let rows = [(10, 1), (10, 1), (10, 1), (MINUTE, 2)];
    assert_eq!(news(&mut window, &rows, 5), [false, false, true, false]);
}

#[test]
fn a_full_minute_takes_no_more_rows_and_a_full_window_none_at_all() {
    let mut window = Window::default().with_largest(2, 3);
    let rows = [(10, 1), (11, 2), (12, 3)];
    assert_eq!(sweep(&mut window, &rows, 5).is_new, [true, true]);
    assert!(window.is_crowded());
    assert_eq!(
        sweep(&mut window, &[(MINUTE, 4), (MINUTE, 5)], 5).is_new,
        [true]
    );
    assert_eq!(
        sweep(&mut window, &rows, 12).is_new,
        [false, false],
        "below the bound nothing is remembered"
    );
}

#[test]
fn minutes_before_1970_are_whole_minutes_too() {
    assert_eq!((minute_of(-1), minute_of(0), minute_of(MINUTE)), (-1, 0, 1));
}

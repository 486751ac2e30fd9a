//! What is seen of a copy while it runs: a bar on a terminal, a line every few seconds elsewhere.

use super::Desk;
use crate::harness::{Database, Engine, Terminal};

/// A view whose rows come over more than 6 s, some of them all the while.
const SLOW: &str = "CREATE VIEW slow AS SELECT n AS id, md5(n::text) AS note, \
     CASE WHEN n % 20000 = 0 THEN pg_sleep(0.5)::text END AS pause FROM generate_series(1, 270000) AS n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_shows_a_bar_and_a_log_has_a_line_every_few_seconds() {
    let database = Database::open(Engine::Postgres).await;
    database.run(SLOW).await;
    let (on_terminal, desk) = (Desk::new(), Desk::new());
    let url = database.url();
    let copy = |desk: &Desk| desk.command(&["snapshot", &url, "slow", "--to", &desk.to]);
    let mut terminal = Terminal::start(copy(&on_terminal));
    let in_log = desk.start(&["snapshot", &url, "slow", "--to", &desk.to]);
    terminal.sees(&format!("{}.slow  ", database.name())).await;
    terminal.sees(" rows/s").await;
    terminal.sees("1 table, 270,000 rows, ").await;
    assert_eq!(terminal.ends().await, Some(0));
    let finished = in_log.finish().await;
    // The bar is drawn over again and again, and gone at the end.
    let raw = terminal.raw();
    let (during, _) = raw.split_once("1 table, ").expect("the summary");
    assert!(during.contains("\u{1b}["), "{raw}");
    assert!(!raw.contains(" rows/s\r\n"), "{raw}");

    let finished = finished.expect(0, &["1 table, 270,000 rows, "]);
    let line = finished
        .stderr
        .lines()
        .find(|line| line.contains(".slow: "));
    let line = line.unwrap_or_else(|| panic!("no line of progress:\n{}", finished.stderr));
    assert!(
        line.contains(" rows, ") && line.ends_with(" rows/s"),
        "{line}"
    );
    assert!(!finished.stderr.contains('\u{1b}'), "{}", finished.stderr);
}

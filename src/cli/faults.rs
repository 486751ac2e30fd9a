//! A fault of `cdc` itself, a panic, ends the whole process: one that goes on without one of its threads would look
//! alive while a table stands still. What was committed is exact, and a new process goes on from there.

use super::output;
use crate::error::{Error, Kind};

/// From now on a panic on any thread ends the process with the exit code of a fault. Only its place is told: its words
/// may hold the value that it stumbled over.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        let error = Error::new(Kind::Bug, format!("a fault of cdc itself at {place}"))
            .hint("report this line with `cdc --version` and the log before it; starting again goes on from what was committed");
        output::fail(&error).end_the_process()
    }));
}

/// Where this build is for tests and is told to, it panics, with words that must be told nobody.
#[cfg(debug_assertions)]
pub fn on_demand() {
    if let Ok(words) = std::env::var("CDC_TEST_PANIC") {
        let thread = std::thread::spawn(move || panic!("{words}"));
        let _ = thread.join();
    }
}

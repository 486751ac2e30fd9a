//! A clock that is wrong by an hour: this machine's, as the databases and the broker see it.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Database, Engine, Pipeline, Table, on_both_databases};

on_both_databases! {
    a_clock_that_is_an_hour_off_loses_and_repeats_nothing
}

/// Moves what a process is told of the time of day. What runs in it (pauses, time-outs) is not touched.
const MOVED_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>
#include <sys/time.h>
static long moved(void) { const char *by = getenv("CLOCK_MOVED_BY"); return by ? atol(by) : 0; }
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += moved();
    return answer;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
/* The Kafka client tells its deadlines by that clock; they are waited for by the real one. */
int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
    static int (*real)(cnd_t *, mtx_t *, const struct timespec *);
    struct timespec deadline = *until;
    if (!real) real = (int (*)(cnd_t *, mtx_t *, const struct timespec *))dlsym(RTLD_NEXT, "cnd_timedwait");
    deadline.tv_sec -= moved();
    return real(condition, mutex, &deadline);
}
"#;

fn library(pipeline: &Pipeline) -> PathBuf {
    let source = pipeline.file("moved_clock.c", MOVED_CLOCK);
    let library = source.with_extension("so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "cc builds the moved clock"
    );
    library
}

async fn a_clock_that_is_an_hour_off_loses_and_repeats_nothing(engine: Engine) {
    let database = Database::with_table(engine).await;
    let table = Table::of(&database);
    database.create("rates").await;
    let rates = Table {
        name: "rates",
        ..table
    };
    database.insert(table.name, 30).await;
    database.insert("rates", 7).await;
    let tables = format!(
        "{}: {{ mode: timestamp+incrementing, timestamp: updated_at, incrementing: id }}, \
         rates: {{ mode: bulk, every: 1h }}",
        table.name
    );
    let pipeline = Pipeline::new().source(&database, &tables);
    let library = library(&pipeline);
    let ahead_and_behind = ["3600", "-3600"];
    let current = format!("{}/_current.json", rates.path());
    for (round, moved) in ahead_and_behind.iter().enumerate() {
        let clock = [
            ("LD_PRELOAD", library.to_str().expect("a path")),
            ("CLOCK_MOVED_BY", moved),
        ];
        let worker = pipeline.start_as(&clock, &["follow"]);
        pipeline.topic_is_current(table).await;
        database.update(table.name, "id % 3 = 1").await;
        database.insert(table.name, 10).await;
        pipeline.topic_is_current(table).await;
        pipeline.lake_is_exact(table).await;
        worker.stop().await;
        // A load whose clock is behind that of the load before it still comes after it.
        let load = pipeline
            .start_as(&clock, &["snapshot", "rates"])
            .finish()
            .await;
        load.expect(0, &[]);
        let now = pipeline.object(&current).await.expect("a current load");
        assert!(now["load"].as_u64() > Some(round as u64), "{now}");
        assert_eq!(now["rows"], 7, "{now}");
    }
    // As does a table that is begun anew.
    let clock = [
        ("LD_PRELOAD", library.to_str().expect("a path")),
        ("CLOCK_MOVED_BY", "-7200"),
    ];
    let again = ["snapshot", "--again", "--yes", table.name];
    pipeline
        .start_as(&clock, &again)
        .finish()
        .await
        .expect(0, &["copied 50 rows"]);
    let rows = crate::harness::files_rows(&pipeline.files(table).await);
    crate::harness::agree(&database.holds(table.name).await, &rows).expect("the new copy alone");
}

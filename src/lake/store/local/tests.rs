use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ulid::Ulid;

use super::durable::WORKSHOP;
use super::*;

fn unfinished(directory: &Path) -> usize {
    let entries = fs::read_dir(directory.join(WORKSHOP)).expect("the workshop");
    let names = entries.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a name")
    });
    names.filter(|name| Ulid::from_string(name).is_ok()).count()
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_swept_by_the_next_who_opens_the_lake_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = LocalStore::open(directory.path()).await.expect("a store");
    fs::write(
        directory
            .path()
            .join(WORKSHOP)
            .join(Ulid::new().to_string()),
        "half",
    )
    .expect("written");
    let second = LocalStore::open(directory.path()).await.expect("a store");
    assert_eq!(
        unfinished(directory.path()),
        1,
        "the first may still be writing it"
    );
    drop((first, second));
    LocalStore::open(directory.path()).await.expect("a store");
    assert_eq!(unfinished(directory.path()), 0);
}

#[tokio::test]
async fn nothing_unfinished_stays_and_nothing_unfinished_is_listed() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).await.expect("a store");
    store
        .put_new("a/b", Bytes::from_static(b"1"))
        .await
        .expect("put");
    store
        .put_new("a/b", Bytes::from_static(b"2"))
        .await
        .expect("put");
    store
        .put_file_new("a/c", &directory.path().join("nothing"))
        .await
        .expect_err("no such file");
    assert_eq!(unfinished(directory.path()), 0);
    fs::write(
        directory
            .path()
            .join(WORKSHOP)
            .join(Ulid::new().to_string()),
        "half",
    )
    .expect("written");
    let paths: Vec<_> = store
        .list("")
        .await
        .expect("a list")
        .into_iter()
        .map(|entry| entry.path)
        .collect();
    assert_eq!(paths, ["a/b"]);
}

#[tokio::test]
async fn an_empty_directory_goes_with_its_last_object() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).await.expect("a store");
    store
        .put_new("t/snapshot=1/a", Bytes::new())
        .await
        .expect("put");
    store.put_new("t/b", Bytes::new()).await.expect("put");
    store.delete("t/snapshot=1/a").await.expect("deleted");
    assert!(
        !directory.path().join("t/snapshot=1").exists() && directory.path().join("t/b").exists()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_survives_the_pruning_of_its_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Arc::new(LocalStore::open(directory.path()).await.expect("a store"));
    let churn = |name: &'static str| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..50 {
                let put = store
                    .put_new(&format!("x/y/{name}"), Bytes::new())
                    .await
                    .expect("put");
                assert_eq!(put, PutOutcome::Created);
                store.delete(&format!("x/y/{name}")).await.expect("deleted");
            }
        })
    };
    let (one, two) = (churn("one"), churn("two"));
    one.await.expect("no panic");
    two.await.expect("no panic");
}

#[tokio::test]
async fn a_spool_file_that_is_written_again_does_not_change_the_lake() {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = directory.path().join("spool");
    let store = LocalStore::open(&directory.path().join("lake"))
        .await
        .expect("a store");
    fs::write(&spool, "first").expect("written");
    store.put_file_new("a", &spool).await.expect("put");
    fs::write(&spool, "other").expect("written");
    assert_eq!(
        store.get("a").await.expect("got").expect("there").0,
        "first"
    );
}

#[tokio::test]
async fn a_file_that_is_given_is_in_the_lake_and_nowhere_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).await.expect("a store");
    let spool = store.spool().expect("a spool");
    for (content, outcome) in [
        ("first", PutOutcome::Created),
        ("other", PutOutcome::AlreadyThere),
    ] {
        let file = spool.join(Ulid::new().to_string());
        fs::write(&file, content).expect("written");
        let given = store.give_file_new("t/a", &file).await.expect("given");
        assert_eq!(given, outcome);
    }
    assert_eq!(unfinished(directory.path()), 0);
    let (body, _) = store.get("t/a").await.expect("got").expect("there");
    assert_eq!(body, "first");
}

#[tokio::test]
async fn a_lake_that_cannot_be_opened_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "").expect("written");
    let error = LocalStore::open(&file.join("lake"))
        .await
        .map(|_| ())
        .expect_err("no directory");
    assert_eq!(error.kind(), Kind::LocalIo);
    assert!(error.to_string().contains("file/lake"), "{error}");
}

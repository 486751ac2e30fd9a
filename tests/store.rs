//! One contract, two stores: every test here runs on a local directory and on S3.
//!
//! S3 is the one `scripts/stack up` starts: `eval "$(scripts/stack env)"`. Without it the tests of S3 fail.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cdc::config::LakePlace;
use cdc::error::{Error, Kind};
use cdc::lake::{PutOutcome, Store, Swap, open_store};
use tempfile::TempDir;
use ulid::Ulid;

/// A store of this test's own.
struct Lake {
    store: Arc<dyn Store>,
    place: LakePlace,
    /// Local files: the lake itself, and what is to be uploaded.
    directory: TempDir,
}

async fn local() -> Lake {
    let directory = tempfile::tempdir().expect("a directory");
    let place = LakePlace::Local(directory.path().join("not/there/yet"));
    Lake {
        store: open_store(&place).await.expect("a store"),
        place,
        directory,
    }
}

async fn s3() -> Lake {
    let (bucket, prefix) = bucket_and_prefix();
    let place = s3_place(bucket, format!("{prefix}/{}", Ulid::new()));
    let store = open_store(&place)
        .await
        .expect("the S3 server of `scripts/stack up`");
    Lake {
        store,
        place,
        directory: tempfile::tempdir().expect("a directory"),
    }
}

fn s3_place(bucket: String, prefix: String) -> LakePlace {
    for login in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        setting(login);
    }
    LakePlace::S3 {
        bucket,
        prefix,
        endpoint: Some(setting("S3_ENDPOINT")),
        region: None,
        path_style: true,
        ca_file: None,
    }
}

fn bucket_and_prefix() -> (String, String) {
    let url = setting("LAKE_URL");
    let place = url
        .strip_prefix("s3://")
        .expect("`LAKE_URL` is `s3://bucket/prefix`")
        .trim_end_matches('/');
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, "tests"));
    (bucket.to_owned(), prefix.to_owned())
}

fn setting(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("`{name}` is not set: eval \"$(scripts/stack env)\""))
}

/// Runs each test on both stores.
macro_rules! on_both_stores {
    ($($test:ident)*) => {
        mod on_a_local_directory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::local().await).await;
            })*
        }
        mod on_s3 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::s3().await).await;
            })*
        }
    };
}

on_both_stores! {
    an_object_is_put_once_and_read_whole
    a_file_is_put_whole_and_a_large_one_in_parts
    a_name_that_is_taken_is_refused_to_files_of_every_size
    the_tail_of_an_object_comes_with_its_size
    an_object_is_replaced_only_by_who_read_it_last
    a_replacement_may_create_an_object_that_is_not_there
    a_listing_has_every_object_below_its_prefix_in_byte_order
    a_listing_of_more_than_one_page_is_whole
    a_deleted_object_is_gone_and_deleting_it_again_is_no_error
    names_with_every_character_of_a_partition_come_back
    a_path_that_leaves_the_lake_is_refused
    opening_leaves_nothing_behind_and_finds_what_is_there
}

async fn an_object_is_put_once_and_read_whole(lake: Lake) {
    assert_eq!(
        put(&lake, "ec/orders/a", "first").await,
        PutOutcome::Created
    );
    assert_eq!(
        put(&lake, "ec/orders/a", "second").await,
        PutOutcome::AlreadyThere
    );
    assert_eq!(read(&lake, "ec/orders/a").await.as_deref(), Some("first"));
    assert_eq!(read(&lake, "ec/orders/b").await, None);
    assert_eq!(put(&lake, "empty", "").await, PutOutcome::Created);
    assert_eq!(read(&lake, "empty").await.as_deref(), Some(""));
}

// The two races below run on a local directory alone: AWS decides a condition when the whole body is there, but
// s3s-fs, the stack's server, looks before it reads the body, so two at once may both pass.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_put_one_name_exactly_one_succeeds() {
    let lake = local().await;
    let puts = (0..8).map(|i| {
        let store = Arc::clone(&lake.store);
        tokio::spawn(async move {
            store
                .put_new("one", Bytes::from(format!("{i}")))
                .await
                .expect("put")
        })
    });
    let mut winners = Vec::new();
    for (i, put) in puts.collect::<Vec<_>>().into_iter().enumerate() {
        if put.await.expect("no panic") == PutOutcome::Created {
            winners.push(i.to_string());
        }
    }
    assert_eq!(winners, [read(&lake, "one").await.expect("there")]);
}

async fn a_file_is_put_whole_and_a_large_one_in_parts(lake: Lake) {
    for size in [0, 1_000, (65 << 20) + 1] {
        let file = spooled(&lake, size);
        let path = format!("files/{size}");
        assert_eq!(
            lake.store.put_file_new(&path, &file).await.expect("put"),
            PutOutcome::Created
        );
        let (body, _) = lake.store.get(&path).await.expect("got").expect("there");
        assert!(
            body == std::fs::read(&file).expect("the file"),
            "{size} bytes came back changed"
        );
    }
}

async fn a_name_that_is_taken_is_refused_to_files_of_every_size(lake: Lake) {
    put(&lake, "taken", "first").await;
    for size in [10, (65 << 20) + 1] {
        let file = spooled(&lake, size);
        assert_eq!(
            lake.store.put_file_new("taken", &file).await.expect("put"),
            PutOutcome::AlreadyThere
        );
    }
    assert_eq!(read(&lake, "taken").await.as_deref(), Some("first"));
    let missing = lake
        .store
        .put_file_new("other", Path::new("/nonexistent"))
        .await
        .expect_err("no such file");
    assert_eq!(missing.kind(), Kind::LocalIo);
    assert_eq!(read(&lake, "other").await, None);
}

async fn the_tail_of_an_object_comes_with_its_size(lake: Lake) {
    put(&lake, "a", "0123456789").await;
    for (len, end) in [
        (0, ""),
        (1, "9"),
        (4, "6789"),
        (10, "0123456789"),
        (64_000, "0123456789"),
    ] {
        let (tail, size) = lake
            .store
            .tail("a", len)
            .await
            .expect("got")
            .expect("there");
        assert_eq!(
            (&tail[..], size),
            (end.as_bytes(), 10),
            "the last {len} bytes"
        );
    }
    put(&lake, "empty", "").await;
    assert_eq!(
        lake.store.tail("empty", 8).await.expect("got"),
        Some((Bytes::new(), 0))
    );
    assert_eq!(lake.store.tail("nothing", 8).await.expect("got"), None);
}

async fn an_object_is_replaced_only_by_who_read_it_last(lake: Lake) {
    put(&lake, "a", "first").await;
    let (_, first) = lake.store.get("a").await.expect("got").expect("there");
    assert_eq!(
        replace(&lake, "a", "second", Some(&first)).await,
        Swap::Done
    );
    assert_eq!(
        replace(&lake, "a", "third", Some(&first)).await,
        Swap::Stale
    );
    assert_eq!(read(&lake, "a").await.as_deref(), Some("second"));
    assert_eq!(
        replace(&lake, "nothing", "x", Some(&first)).await,
        Swap::Stale
    );
    assert_eq!(read(&lake, "nothing").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_replace_one_version_exactly_one_succeeds() {
    let lake = local().await;
    put(&lake, "a", "first").await;
    let (_, tag) = lake.store.get("a").await.expect("got").expect("there");
    let swaps = (0..8).map(|i| {
        let (store, tag) = (Arc::clone(&lake.store), tag.clone());
        tokio::spawn(async move {
            store
                .replace("a", Bytes::from(format!("{i}")), Some(&tag))
                .await
                .expect("asked")
        })
    });
    let mut winners = Vec::new();
    for (i, swap) in swaps.collect::<Vec<_>>().into_iter().enumerate() {
        if swap.await.expect("no panic") == Swap::Done {
            winners.push(i.to_string());
        }
    }
    assert_eq!(winners, [read(&lake, "a").await.expect("there")]);
}

async fn a_replacement_may_create_an_object_that_is_not_there(lake: Lake) {
    assert_eq!(replace(&lake, "a", "first", None).await, Swap::Done);
    assert_eq!(replace(&lake, "a", "second", None).await, Swap::Stale);
    assert_eq!(read(&lake, "a").await.as_deref(), Some("first"));
}

async fn a_listing_has_every_object_below_its_prefix_in_byte_order(lake: Lake) {
    for path in ["t/b", "t/a/2", "t/a/1", "t/a-0", "tt", "u/x"] {
        put(&lake, path, path).await;
    }
    assert_eq!(
        listed(&lake, "t/").await,
        ["t/a-0", "t/a/1", "t/a/2", "t/b"]
    );
    assert_eq!(listed(&lake, "t/a").await, ["t/a-0", "t/a/1", "t/a/2"]);
    assert_eq!(
        listed(&lake, "t").await,
        ["t/a-0", "t/a/1", "t/a/2", "t/b", "tt"]
    );
    assert_eq!(
        listed(&lake, "").await,
        ["t/a-0", "t/a/1", "t/a/2", "t/b", "tt", "u/x"]
    );
    assert!(listed(&lake, "v/w/").await.is_empty());
    let entries = lake.store.list("u/").await.expect("a list");
    let now = jiff::Timestamp::now().as_millisecond();
    assert_eq!(entries[0].size, 3);
    assert!(
        (now - entries[0].modified).abs() < 600_000,
        "its time is the store's clock, in milliseconds"
    );
}

async fn a_listing_of_more_than_one_page_is_whole(lake: Lake) {
    let mut puts = tokio::task::JoinSet::new();
    for chunk in 0..8 {
        let store = Arc::clone(&lake.store);
        puts.spawn(async move {
            for i in (chunk..1_005).step_by(8) {
                store
                    .put_new(&format!("many/{i:04}"), Bytes::new())
                    .await
                    .expect("put");
            }
        });
    }
    puts.join_all().await;
    let expected: Vec<_> = (0..1_005).map(|i| format!("many/{i:04}")).collect();
    assert_eq!(listed(&lake, "many/").await, expected);
}

async fn a_deleted_object_is_gone_and_deleting_it_again_is_no_error(lake: Lake) {
    put(&lake, "t/a", "x").await;
    for _ in 0..2 {
        lake.store.delete("t/a").await.expect("deleted");
    }
    assert_eq!(read(&lake, "t/a").await, None);
    assert!(listed(&lake, "t/").await.is_empty());
    assert_eq!(put(&lake, "t/a", "y").await, PutOutcome::Created);
}

async fn names_with_every_character_of_a_partition_come_back(lake: Lake) {
    let path = "ec/-c8fc_bb38-/dt=2026-10-01/store=%C3%BC%20%2F..%25/retail.orders+1+0+0-1.parquet";
    put(&lake, path, "x").await;
    assert_eq!(listed(&lake, "ec/").await, [path]);
    assert_eq!(read(&lake, path).await.as_deref(), Some("x"));
    assert!(lake.store.location(path).ends_with(path));
}

async fn a_path_that_leaves_the_lake_is_refused(lake: Lake) {
    for path in ["../outside", "/outside", "a/../../outside", ""] {
        let kinds = [
            lake.store.put_new(path, Bytes::new()).await.map(|_| ()),
            lake.store.get(path).await.map(|_| ()),
            lake.store.tail(path, 1).await.map(|_| ()),
            lake.store
                .replace(path, Bytes::new(), None)
                .await
                .map(|_| ()),
            lake.store.delete(path).await,
        ];
        for refused in kinds {
            assert_eq!(
                refused.map_err(|error: Error| error.kind()),
                Err(Kind::Bug),
                "`{path}`"
            );
        }
    }
}

async fn opening_leaves_nothing_behind_and_finds_what_is_there(lake: Lake) {
    assert!(listed(&lake, "").await.is_empty());
    put(&lake, "a", "x").await;
    let again = open_store(&lake.place).await.expect("a store");
    assert_eq!(again.get("a").await.expect("got").expect("there").0, "x");
    assert_eq!(listed(&lake, "").await, ["a"]);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_refused_with_its_name() {
    let place = s3_place("there-is-no-such-bucket".into(), String::new());
    let error = open_store(&place).await.map(|_| ()).expect_err("refused");
    assert_eq!(error.kind(), Kind::Config);
    assert!(
        error.to_string().contains("`s3://there-is-no-such-bucket`"),
        "{error}"
    );
    assert!(error.next_step().is_some());
}

async fn put(lake: &Lake, path: &str, body: &str) -> PutOutcome {
    lake.store
        .put_new(path, Bytes::from(body.to_owned()))
        .await
        .expect("put")
}

async fn replace(lake: &Lake, path: &str, body: &str, tag: Option<&str>) -> Swap {
    lake.store
        .replace(path, Bytes::from(body.to_owned()), tag)
        .await
        .expect("asked")
}

async fn read(lake: &Lake, path: &str) -> Option<String> {
    let (body, _) = lake.store.get(path).await.expect("got")?;
    Some(String::from_utf8(body.to_vec()).expect("text"))
}

async fn listed(lake: &Lake, prefix: &str) -> Vec<String> {
    lake.store
        .list(prefix)
        .await
        .expect("a list")
        .into_iter()
        .map(|entry| entry.path)
        .collect()
}

/// A file of so many bytes, no two parts of it alike.
fn spooled(lake: &Lake, size: usize) -> std::path::PathBuf {
    let path = lake.directory.path().join(format!("spooled-{size}"));
    let body: Vec<u8> = (0..size)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8)
        .collect();
    std::fs::write(&path, body).expect("written");
    path
}

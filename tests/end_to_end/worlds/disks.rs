//! Disks that are full: small ones, mounted for one test.

use std::path::{Path, PathBuf};
use std::process::Command;

use cdc::config::LakePlace;

use crate::harness::{Database, Engine, Pipeline, Table};

/// A disk of a few megabytes; unmounted with the test.
pub struct Disk(PathBuf);

impl Disk {
    pub fn mount(at: &Path) -> Disk {
        std::fs::create_dir_all(at).expect("a directory");
        let arguments = ["-t", "tmpfs", "-o", "size=4m,mode=0777", "tmpfs"];
        run(Command::new("mount").args(arguments).arg(at));
        Disk(at.to_owned())
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let ballast = std::fs::File::create(self.0.join("ballast")).expect("a file");
        let mut ballast = std::io::BufWriter::new(ballast);
        let page = [0_u8; 4096];
        while std::io::Write::write_all(&mut ballast, &page)
            .and_then(|()| std::io::Write::flush(&mut ballast))
            .is_ok()
        {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("the ballast");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(&self.0));
    }
}

/// Mounting is root's.
fn run(command: &mut Command) {
    let status = command.status().expect("the command is there");
    assert!(status.success(), "{command:?} needs root: {status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_holds_up_the_lake_until_there_is_room() {
    let database = Database::with_table(Engine::Postgres).await;
    let table = Table::of(&database);
    database.insert("orders", 10).await;
    let pipeline = Pipeline::new().following(&database, "incrementing");
    let temporary = pipeline.temporary("small");
    let disk = Disk::mount(&temporary);
    let file = pipeline.file("cdc.yaml", &pipeline.text());
    let worker = pipeline.start_with(&file, &temporary, &["follow"]);
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;

    disk.fill();
    database.insert("orders", 10).await;
    pipeline.topic_is_exact(table).await;
    let words = ["No space left on device"];
    pipeline.is_shown("ec.orders", "waiting", &words).await;
    disk.make_room();
    pipeline.lake_is_exact(table).await;
    pipeline
        .is_shown("ec.orders", "following", &["\"stopped\":[]"])
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_local_lake_is_waited_for_until_there_is_room() {
    let database = Database::with_table(Engine::MariaDb).await;
    let table = Table::of(&database);
    database.insert("sales", 10).await;
    let mut pipeline = Pipeline::new().following(&database, "incrementing");
    let place = pipeline.directory.path().join("small-lake");
    let disk = Disk::mount(&place);
    pipeline.lake = LakePlace::Local(place.join("lake"));
    let worker = pipeline.follow();
    pipeline.topic_is_exact(table).await;
    pipeline.lake_is_exact(table).await;

    disk.fill();
    database.insert("sales", 10).await;
    pipeline.topic_is_exact(table).await;
    let words = ["No space left on device"];
    pipeline.is_shown("pos.sales", "waiting", &words).await;
    disk.make_room();
    pipeline.lake_is_exact(table).await;
    pipeline
        .is_shown("pos.sales", "following", &["\"stopped\":[]"])
        .await;
    worker.stop().await;
}

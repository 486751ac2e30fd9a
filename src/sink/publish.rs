//! From a closed chunk to the lake: PLAN, PUT. What follows, SHARE and COMMIT, is the caller's.
//!
//! The order is what makes a crash harmless. Before PLAN nothing of the chunk exists, and whoever reads its
//! records next may cut them otherwise. From PLAN on everybody who reads them writes the same rows into the
//! same names, as often as need be. COMMIT is only a hint that all of it is done.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::open::ClosedChunk;
use super::stored::Stored;
use crate::error::{Error, Kind, Result};
use crate::lake::{FileFooter, Plan, PutOutcome, Store, Swap, WrittenFile, read_footer};

/// Files of one chunk that are put at the same time.
const UPLOADS: usize = 4;

/// What came of publishing a chunk.
#[derive(Debug)]
pub enum Outcome {
    /// All its files are in the lake.
    InLake,
    /// Another plan is there for these records; it is executed instead, and nothing of this chunk is used.
    Adopt(Stored),
}

/// Plans a chunk and puts its files. A crash at any place, and a second worker doing the same, change
/// nothing: names and rows come from the plan alone, and whoever plans second adopts what is there.
///
/// Errors: `Unavailable` is tried again with the same chunk; `Data` stops the partition.
pub async fn publish(store: &dyn Store, chunk: &ClosedChunk) -> Result<Outcome> {
    if !chunk.adopted
        && let Some(other) = plan(store, &chunk.plan).await?
    {
        return Ok(Outcome::Adopt(other));
    }
    // The plan is durable: from here on the files of this chunk are decided.
    let files = chunk.files.iter();
    let puts: Vec<_> = files
        .map(|(directory, file)| put(store, chunk.plan.file_path(directory), file))
        .collect();
    stream::iter(puts)
        .buffer_unordered(UPLOADS)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(Outcome::InLake)
}

/// Makes the plan durable. `Some` is the plan that was there before, if it differs.
async fn plan(store: &dyn Store, plan: &Plan) -> Result<Option<Stored>> {
    let path = Plan::path(&plan.topic, plan.epoch, plan.partition, plan.start);
    let body = Bytes::from(plan.to_json());
    if store.put_new(&path, body.clone()).await? == PutOutcome::Created {
        return Ok(None);
    }
    let (there, tag) = read_tagged(store, &path).await?;
    let gives_up_no_record = matches!(&there, Stored::Skip(skip) if skip.end == plan.start);
    if !gives_up_no_record {
        return Ok(differs(there, plan));
    }
    // It said only that reading goes on here, which is done: the plan of what was read takes its place.
    match store.replace(&path, body, Some(&tag)).await? {
        Swap::Done => Ok(None),
        Swap::Stale => Ok(differs(read_tagged(store, &path).await?.0, plan)),
    }
}

/// What is there, unless it is our own plan, which an answer that was lost leaves behind.
fn differs(there: Stored, plan: &Plan) -> Option<Stored> {
    let is_ours = matches!(&there, Stored::Chunk(chunk) if **chunk == *plan);
    (!is_ours).then_some(there)
}

/// Reads a plan that is there, and the tag that replaces it.
async fn read_tagged(store: &dyn Store, path: &str) -> Result<(Stored, String)> {
    let Some((text, tag)) = store.get(path).await? else {
        return Err(Error::new(
            Kind::Unavailable,
            "reading a plan that was there a moment ago",
        )
        .about(path));
    };
    let stored = Stored::from_json(&text).map_err(|e| e.about(store.location(path)))?;
    Ok((stored, tag))
}

/// Puts one file. One that is there already must hold as many rows.
async fn put(store: &dyn Store, path: String, file: &WrittenFile) -> Result<()> {
    let path = path.as_str();
    if store.put_file_new(path, &file.path).await? == PutOutcome::Created {
        return Ok(());
    }
    match stored_rows(store, path).await? {
        Some((rows, _)) if rows == file.rows => Ok(()),
        Some((rows, _)) => Err(Error::new(
            Kind::Data,
            format!(
                "putting a file that is there already and differs: it holds {rows} rows, and the log gives {}",
                file.rows
            ),
        )
        .about(store.location(path))
        .hint("nothing was overwritten; compare the file with the table, then `cdc snapshot --again` begins it anew")),
        None => Err(Error::new(
            Kind::Unavailable,
            "looking at a file that was there a moment ago",
        )
        .about(store.location(path))),
    }
}

/// Reads a plan, or a stretch given up; `None` if there is none.
pub async fn read_stored(store: &dyn Store, path: &str) -> Result<Option<Stored>> {
    match store.get(path).await? {
        Some((text, _)) => Stored::from_json(&text)
            .map(Some)
            .map_err(|e| e.about(store.location(path))),
        None => Ok(None),
    }
}

/// Rows and footer of a file in the lake; `None` if there is no such file.
pub async fn stored_rows(store: &dyn Store, path: &str) -> Result<Option<(u64, FileFooter)>> {
    // Enough for the footer of most files; larger ones say so.
    let mut length = 64 << 10;
    loop {
        let Some((tail, size)) = store.tail(path, length).await? else {
            return Ok(None);
        };
        if let Some(found) = read_footer(&tail, size)? {
            return Ok(Some(found));
        }
        if length >= size {
            return Err(
                Error::new(Kind::Data, "reading the footer of a file").about(store.location(path))
            );
        }
        length *= 8;
    }
}

//! The capture half of a worker: membership, committer, and what all units share.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::capture::{
    Command, Committer, CommitterEvent, Group, GroupEvent, GroupOptions, PERMIT_BYTES, Schemas,
    Shared,
};
use crate::config::KafkaSettings;
use crate::error::Result;
use crate::lake::Store;
use crate::model::BatchLimits;
use crate::state::PipelineNames;
use crate::topic::Admin;

/// A batch may always grow to this, however little memory there is: smaller ones cost more than they save.
const SMALLEST_BATCH: usize = 128 << 10;
/// How many tables look at their topics at one time: whoever finds no place looks at its next rest.
const LOOKS: usize = 4;

/// What the capture half may use.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes of memory.
    pub memory: u64,
    /// Connections that may read at one time, of all sources.
    pub readers: usize,
}

impl Room {
    /// How large a batch may grow, so that the batches of all readers fit into half of it: each has one that
    /// grows, with twice its bytes reserved, one on its way and one that becomes records.
    fn limits(&self) -> BatchLimits {
        let at_most = BatchLimits::default();
        let share = self.memory as usize / 2 / (4 * self.readers.max(1));
        BatchLimits {
            bytes: share.clamp(SMALLEST_BATCH, at_most.bytes),
            ..at_most
        }
    }

    /// Permits for the other half: records that are being committed.
    fn permits(&self) -> u32 {
        u32::try_from(self.memory / 2 / PERMIT_BYTES as u64)
            .unwrap_or(u32::MAX)
            .max(1)
    }
}

/// The capture half: membership, committer, and what all units share.
pub struct Capture {
    pub group: Group,
    pub committer: Committer,
    committing: std::thread::JoinHandle<()>,
    pub shared: Arc<Shared>,
}

/// What comes from the capture half; silent where there is none.
#[derive(Default)]
pub struct CaptureEvents {
    pub group: Option<UnboundedReceiver<GroupEvent>>,
    pub committer: Option<UnboundedReceiver<CommitterEvent>>,
}

impl Capture {
    pub async fn start(
        kafka: &KafkaSettings,
        names: &PipelineNames,
        client_id: &str,
        worker: &str,
        store: Arc<dyn Store>,
        admin: Admin,
        room: Room,
    ) -> Result<(Self, CaptureEvents)> {
        let (committer_out, committer_events) = unbounded_channel();
        let (group_out, group_events) = unbounded_channel();
        let (committer, committing) = tokio::task::block_in_place(|| {
            Committer::start(
                kafka.clone(),
                names.clone(),
                worker,
                client_id,
                committer_out,
            )
        })?;
        let options = GroupOptions {
            kafka: kafka.clone(),
            group: names.capture_group.clone(),
            state_topic: names.state_topic.clone(),
            client_id: client_id.to_owned(),
        };
        let group = Group::join(options, committer.clone(), group_out)?;
        let permits = room.permits();
        let shared = Arc::new(Shared {
            kafka: kafka.clone(),
            admin,
            names: names.clone(),
            committer: committer.clone(),
            schemas: Schemas::open(kafka, names, client_id)?,
            looks: Semaphore::new(LOOKS),
            store,
            budget: Arc::new(Semaphore::new(permits as usize)),
            permits,
            limits: room.limits(),
            worker: worker.to_owned(),
            client_id: client_id.to_owned(),
        });
        let events = CaptureEvents {
            group: Some(group_events),
            committer: Some(committer_events),
        };
        Ok((
            Capture {
                group,
                committer,
                committing,
                shared,
            },
            events,
        ))
    }

    /// Leaves in order: what is open is settled, then the group is told.
    pub async fn leave(self) {
        let Capture {
            group,
            committer,
            committing,
            ..
        } = self;
        let left = tokio::task::spawn_blocking(move || {
            group.leave();
            committer.send(Command::Stop);
            let _ = committing.join();
        });
        let _ = left.await;
    }
}

/// The next event; where there is no channel, none ever comes.
pub async fn next<T>(events: &mut Option<UnboundedReceiver<T>>) -> Option<T> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

//! A partition that is ours, as the polling thread knows it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use rdkafka::Timestamp;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use tokio_util::sync::CancellationToken;

use super::super::records::{Head, PartitionId, Records};
use super::super::stored::PlanKey;
use super::super::writer::Life;
use crate::retry::Backoff;
use crate::topic::TopicPartition;
use crate::wire::RUN_HEADER;

/// A partition without a record for so long, while others were asked for, has none waiting.
const QUIET: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    TakingOver,
    Reading,
    Stopped,
}

/// A life, and the offset up to which it has brought a partition into the lake.
pub(super) type InLake = (Life, u64);

/// A partition that is ours.
pub(super) struct Seat {
    pub(super) id: PartitionId,
    pub(super) place: TopicPartition,
    pub(super) life: Life,
    pub(super) state: State,
    /// Ends with the ownership: cancels what is done for it.
    pub(super) token: CancellationToken,
    pub(super) waiting: Arc<AtomicU64>,
    pub(super) gathered: Records,
    pub(super) last_record: Instant,
    pub(super) told_quiet: bool,
    pub(super) paused: bool,
    /// The epoch announced for its table when it was taken over.
    pub(super) epoch: Option<u64>,
    /// The newest plan there was then.
    pub(super) newest: Option<PlanKey>,
    /// Counts its troubles since it last got on.
    pub(super) troubles: Backoff,
    /// When it is taken over again, if it stopped for a reason that may pass.
    pub(super) again_at: Option<Instant>,
    pub(super) in_lake: Option<InLake>,
    /// How often in a row the client would not go to an offset.
    pub(super) refused: u32,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

impl Seat {
    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Ok(offset) = u64::try_from(message.offset()) else {
            return;
        };
        let header = message.headers().and_then(|headers| {
            let mut named = headers.iter().filter(|header| header.key == RUN_HEADER);
            named.next().map(|header| header.value.unwrap_or_default())
        });
        let appended = match message.timestamp() {
            Timestamp::CreateTime(at) | Timestamp::LogAppendTime(at) => at,
            Timestamp::NotAvailable => i64::MAX,
        };
        let value = message.payload().unwrap_or_default();
        self.gathered
            .push(offset, appended, value, Head::parse(header));
        self.last_record = Instant::now();
        self.told_quiet = false;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.state == State::Reading
            && !self.told_quiet
            && !self.paused
            && self.last_record.elapsed() >= QUIET
    }
}

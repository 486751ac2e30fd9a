//! The membership in the group that shares the tables: who owns a partition of the state topic owns the
//! tables in it. One assignment is one life.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc::UnboundedSender;

use super::Life;
use super::committer::{Command, Committer};
use super::topics::lost_state;
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::topic::{Logged, client_config, kafka_error};

/// A worker that is not heard of for this long has lost its tables.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// The thread never stays away from the group for longer.
const POLL: Duration = Duration::from_millis(100);
/// How long a revocation waits for the open transaction before it goes on without it.
const SETTLE: Duration = Duration::from_secs(5);

/// How the group is joined.
pub struct GroupOptions {
    pub kafka: KafkaSettings,
    pub group: String,
    pub state_topic: String,
    pub client_id: String,
}

/// What happens in the group.
#[derive(Debug)]
pub enum GroupEvent {
    /// These partitions of the state topic are this worker's, for this life.
    Assigned { life: Life, partitions: Vec<i32> },
    /// The life is over; nothing of it is open any more.
    Revoked,
    /// A record of an owned partition that was written after the take-over: a request, or our own.
    Record {
        partition: i32,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
    },
    /// The group cannot be worked with.
    Failed(Error),
}

/// Speaks to the thread that polls the group.
pub struct Group {
    orders: Sender<Order>,
    lives: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

enum Order {
    /// Read the partitions of this life from these offsets on.
    ReadFrom {
        life: Life,
        offsets: Vec<(i32, i64)>,
    },
    Leave,
}

impl Group {
    /// Joins and starts polling. The committer is told of every life before anybody else.
    pub fn join(
        options: GroupOptions,
        committer: Committer,
        events: UnboundedSender<GroupEvent>,
    ) -> Result<Group> {
        let lives = Arc::new(AtomicU64::new(0));
        let context = Membership {
            topic: options.state_topic.clone(),
            lives: lives.clone(),
            current: Mutex::new(None),
            committer,
            events: events.clone(),
        };
        let mut config = client_config(&options.kafka, &options.client_id);
        config
            .set("group.id", &options.group)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "range")
            .set(
                "session.timeout.ms",
                SESSION_TIMEOUT.as_millis().to_string(),
            )
            .set("heartbeat.interval.ms", "1000")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "100")
            .set("allow.auto.create.topics", "false");
        let doing = || format!("joining group `{}`", options.group);
        let consumer: BaseConsumer<Membership> = config
            .create_with_context(context)
            .map_err(|e| kafka_error(doing(), e))?;
        consumer
            .subscribe(&[&options.state_topic])
            .map_err(|e| kafka_error(doing(), e))?;
        let (orders, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("group".into())
            .spawn(move || poll(&consumer, &options.state_topic, &inbox, &events))
            .map_err(|e| Error::new(Kind::LocalIo, "starting the group's thread").because(e))?;
        Ok(Group {
            orders,
            lives,
            thread: Some(thread),
        })
    }

    /// A number for a life that renews a failed one.
    pub fn next_life(&self) -> Life {
        self.lives.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Reads on from where a take-over ended, so that no request is missed.
    pub fn read_from(&self, life: Life, offsets: Vec<(i32, i64)>) {
        let _ = self.orders.send(Order::ReadFrom { life, offsets });
    }

    /// Leaves the group at once, so that others need not wait for the session to time out. Blocking.
    pub fn leave(mut self) {
        let _ = self.orders.send(Order::Leave);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn poll(
    consumer: &BaseConsumer<Membership>,
    topic: &str,
    inbox: &Receiver<Order>,
    events: &UnboundedSender<GroupEvent>,
) {
    loop {
        match inbox.try_recv() {
            Ok(Order::ReadFrom { life, offsets }) => read_from(consumer, topic, life, &offsets),
            Ok(Order::Leave) | Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                // Dropping the consumer runs the revocation and leaves the group.
                consumer.unsubscribe();
                while consumer.assignment().is_ok_and(|a| a.count() > 0) {
                    let _ = consumer.poll(POLL);
                }
                return;
            }
            Err(std::sync::mpsc::TryRecvError::Empty) => {}
        }
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                let _ = events.send(GroupEvent::Record {
                    partition: message.partition(),
                    key: message.key().unwrap_or_default().to_vec(),
                    value: message.payload().map(<[u8]>::to_vec),
                });
            }
            Some(Err(error)) => report(error, topic, events),
        }
    }
}

fn report(error: KafkaError, topic: &str, events: &UnboundedSender<GroupEvent>) {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        // A compacted log never loses its beginning, and what was read of it never lies beyond its end.
        Some(Code::AutoOffsetReset) => {
            let lost = lost_state(topic, "its log does not reach to where it was read");
            let _ = events.send(GroupEvent::Failed(lost));
        }
        Some(
            Code::GroupAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::Fatal,
        ) => {
            let _ = events.send(GroupEvent::Failed(kafka_error(
                format!("following topic `{topic}`"),
                error,
            )));
        }
        _ => tracing::debug!(topic, %error, "the group is held up"),
    }
}

/// Positions the partitions of a life, unless it is over already.
fn read_from(consumer: &BaseConsumer<Membership>, topic: &str, life: Life, offsets: &[(i32, i64)]) {
    if *consumer
        .context()
        .current
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        != Some(life)
    {
        return;
    }
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        if let Err(error) = list.add_partition_offset(topic, *partition, Offset::Offset(*offset)) {
            tracing::error!(topic, partition, %error, "a position cannot be set");
        }
    }
    // The pause of the assignment outlives another `assign`.
    if let Err(error) = consumer.assign(&list).and_then(|()| consumer.resume(&list)) {
        tracing::error!(topic, %error, "the positions cannot be set");
    }
}

/// Handles assignment and revocation, on the polling thread.
struct Membership {
    topic: String,
    lives: Arc<AtomicU64>,
    /// The number under which the present assignment began.
    current: Mutex<Option<Life>>,
    committer: Committer,
    events: UnboundedSender<GroupEvent>,
}

impl Membership {
    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let numbers: Vec<i32> = partitions
            .elements()
            .iter()
            .map(|e| e.partition())
            .collect();
        // Nothing is fetched until the take-over says from where. A compacted log begins at 0: were its beginning asked
        // for, an answer that came after the take-over would have the client ask once more, and read from there.
        let mut list = TopicPartitionList::new();
        for number in &numbers {
            let _ = list.add_partition_offset(&self.topic, *number, Offset::Offset(0));
        }
        if let Err(error) = consumer.assign(&list).and_then(|()| consumer.pause(&list)) {
            let _ = self.events.send(GroupEvent::Failed(kafka_error(
                "taking an assignment",
                error,
            )));
            return;
        }
        let Some(group) = consumer.group_metadata() else {
            let _ = self.events.send(GroupEvent::Failed(Error::new(
                Kind::Bug,
                "the group gives no metadata",
            )));
            return;
        };
        let life = self.lives.fetch_add(1, Ordering::SeqCst) + 1;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(life);
        self.committer.send(Command::Begin { life, group });
        let _ = self.events.send(GroupEvent::Assigned {
            life,
            partitions: numbers,
        });
    }

    /// Waits until the committer has finished or given up what is open: after this, the tables are others'.
    fn revoked(&self, consumer: &BaseConsumer<Self>) {
        self.committer.is_over(self.lives.load(Ordering::SeqCst));
        let (ended, wait) = sync_channel(1);
        self.committer.send(Command::End { ended });
        if wait.recv_timeout(SETTLE).is_err() {
            tracing::warn!("the open transaction did not end in time; the broker will refuse it");
        }
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Err(error) = consumer.unassign() {
            tracing::error!(%error, "the assignment cannot be given back");
        }
        let _ = self.events.send(GroupEvent::Revoked);
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logged.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logged.error(error, reason);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.assigned(consumer, partitions)
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoked(consumer),
            other => {
                tracing::warn!(error = ?other, "the group could not be balanced");
                self.revoked(consumer);
            }
        }
    }
}

//! What the Kafka client can do and its Rust crate does not offer: the one place of this room that calls C.

use std::ffi::{CString, c_int};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

/// How much longer than the broker the client may take.
const SLACK: Duration = Duration::from_secs(1);

/// Whether the user of this client may write to a topic. `None` where the broker does not say, or has no such topic.
/// Blocking.
pub fn may_write<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    patience: Duration,
) -> KafkaResult<Option<bool>> {
    let client = client.native_ptr();
    let name = CString::new(topic)?;
    let mut names = [name.as_ptr()];
    let failed = |code| Err(KafkaError::AdminOp(code));
    // What is opened is closed in the reverse order, also where something fails.
    // SAFETY: one name is passed and one is said to be there; the client copies it.
    let topics = unsafe { c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1) };
    let topics = Owned::new(topics, c::rd_kafka_TopicCollection_destroy);
    // SAFETY: the client lives as long as `client` is borrowed, here and below.
    let options = unsafe {
        c::rd_kafka_AdminOptions_new(
            client,
            c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        )
    };
    let options = Owned::new(options, c::rd_kafka_AdminOptions_destroy);
    // SAFETY: as above.
    let queue = Owned::new(
        unsafe { c::rd_kafka_queue_new(client) },
        c::rd_kafka_queue_destroy,
    );
    let (Some(topics), Some(options), Some(queue)) = (topics, options, queue) else {
        return failed(RDKafkaErrorCode::CriticalSystemResource);
    };
    let mut words = [0; 512];
    // SAFETY: the options are open, and the buffer is as long as is said.
    let refused = unsafe {
        c::rd_kafka_AdminOptions_set_request_timeout(
            options.get(),
            millis(patience),
            words.as_mut_ptr(),
            words.len(),
        )
    };
    if refused != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return failed(refused.into());
    }
    // SAFETY: the options are open; an error that is given is ours to close.
    let refused =
        unsafe { c::rd_kafka_AdminOptions_set_include_authorized_operations(options.get(), 1) };
    if Owned::new(refused, c::rd_kafka_error_destroy).is_some() {
        return failed(RDKafkaErrorCode::InvalidArgument);
    }
    // SAFETY: all four are open. The answer comes to the queue, also if it is late: then it is dropped with it.
    let answer = unsafe {
        c::rd_kafka_DescribeTopics(client, topics.get(), options.get(), queue.get());
        c::rd_kafka_queue_poll(queue.get(), millis(patience + SLACK))
    };
    match Owned::new(answer, c::rd_kafka_event_destroy) {
        Some(answer) => allows_to_write(&answer),
        None => failed(RDKafkaErrorCode::OperationTimedOut),
    }
}

/// What the answer says of its one topic.
fn allows_to_write(answer: &Owned<c::rd_kafka_event_t>) -> KafkaResult<Option<bool>> {
    use RDKafkaErrorCode as Code;
    let failed = |code| Err(KafkaError::AdminOp(code));
    // SAFETY: the event is open.
    match unsafe { c::rd_kafka_event_error(answer.get()) }.into() {
        Code::NoError => {}
        // An older broker, which knows no such question.
        Code::UnsupportedFeature | Code::UnsupportedVersion => return Ok(None),
        code => return failed(code),
    }
    let (mut topics, mut operations) = (0, 0);
    // SAFETY: what is asked of the event lives as long as it; each list is as long as is said, and is looked at only
    // if it is there. The operations are numbers, and read as such: a later broker may know more of them.
    unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(answer.get());
        if result.is_null() {
            return failed(Code::BadMessage);
        }
        let list = c::rd_kafka_DescribeTopics_result_topics(result, &mut topics);
        if list.is_null() || topics == 0 {
            return Ok(None);
        }
        match c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(*list)).into() {
            Code::NoError => {}
            Code::UnknownTopicOrPartition | Code::UnknownTopic => return Ok(None),
            // Who may write may also look.
            Code::TopicAuthorizationFailed => return Ok(Some(false)),
            code => return failed(code),
        }
        let list = c::rd_kafka_TopicDescription_authorized_operations(*list, &mut operations);
        if list.is_null() {
            return Ok(None);
        }
        let allowed = std::slice::from_raw_parts(list.cast::<u32>(), operations);
        Ok(Some(allowed.contains(
            &(c::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE as u32),
        )))
    }
}

/// From now on the client's log has errors only.
pub fn say_errors_only<C: ClientContext>(client: &Client<C>) {
    // SAFETY: the client lives as long as it is borrowed.
    unsafe { c::rd_kafka_set_log_level(client.native_ptr(), RDKafkaLogLevel::Error as c_int) };
}

fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}

/// Something of the client's that is closed when it is dropped.
struct Owned<T> {
    at: NonNull<T>,
    close: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(at: *mut T, close: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(at).map(|at| Owned { at, close })
    }

    fn get(&self) -> *mut T {
        self.at.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: it was opened, is closed once, and by its own function.
        unsafe { (self.close)(self.at.as_ptr()) };
    }
}

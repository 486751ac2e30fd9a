//! What the Kafka client can do and its Rust crate does not offer: the one place of this room that calls C.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::TopicPartition;

/// How much longer than the broker the client may take.
const SLACK: Duration = Duration::from_secs(1);

/// Whether the user of this client may write to some topics. Those of which the broker does not say it, or that are not
/// there, are left out. Blocking.
pub fn may_write<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    patience: Duration,
) -> KafkaResult<BTreeMap<String, bool>> {
    let names = topics.iter().map(|topic| CString::new(*topic));
    let names: Vec<CString> = names.collect::<Result<_, _>>()?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: as many names are passed as are said to be there; the client copies them.
    let topics = unsafe {
        c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len())
    };
    let topics = Owned::of(topics, c::rd_kafka_TopicCollection_destroy)?;
    let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let answer = asked(client, operation, patience, |client, options, queue| {
        // SAFETY: the options are open; an error that is given is ours to close.
        let refused =
            unsafe { c::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1) };
        if Owned::new(refused, c::rd_kafka_error_destroy).is_some() {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::InvalidArgument));
        }
        // SAFETY: all four are open.
        unsafe { c::rd_kafka_DescribeTopics(client, topics.get(), options, queue) };
        Ok(())
    });
    match answer {
        // An older broker, which knows no such question.
        Err(KafkaError::AdminOp(
            RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::UnsupportedVersion,
        )) => Ok(BTreeMap::new()),
        answer => allows_to_write(&answer?),
    }
}

/// The offsets that a group has committed for some partitions; those without one are left out. Without partitions all
/// are meant that this user may see. Blocking. The client needs a group's id: one without ends the process where the
/// broker is not the group's coordinator.
pub fn committed<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    partitions: &[TopicPartition],
    patience: Duration,
) -> KafkaResult<BTreeMap<TopicPartition, u64>> {
    let name = CString::new(group)?;
    // SAFETY: the list grows as it must.
    let list = unsafe { c::rd_kafka_topic_partition_list_new(0) };
    let list = Owned::of(list, c::rd_kafka_topic_partition_list_destroy)?;
    for (topic, partition) in partitions {
        let topic = CString::new(topic.as_str())?;
        // SAFETY: the list is open; the name is copied.
        unsafe { c::rd_kafka_topic_partition_list_add(list.get(), topic.as_ptr(), *partition) };
    }
    let asked_for: *const _ = match partitions {
        [] => std::ptr::null(),
        _ => list.get(),
    };
    // SAFETY: name and list are copied.
    let question = unsafe { c::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), asked_for) };
    let question = Owned::of(question, c::rd_kafka_ListConsumerGroupOffsets_destroy)?;
    let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
    let answer = asked(client, operation, patience, |client, options, queue| {
        let mut questions = [question.get()];
        // SAFETY: all four are open, one question is passed, and one is said to be there; the client copies it.
        unsafe {
            c::rd_kafka_ListConsumerGroupOffsets(client, questions.as_mut_ptr(), 1, options, queue);
        }
        Ok(())
    })?;
    let failed = |code| Err(KafkaError::AdminOp(code));
    let (mut count, mut committed) = (0, BTreeMap::new());
    // SAFETY: what is asked of the event lives as long as it; each list is as long as is said, and is looked at only
    // if it is there.
    unsafe {
        let result = c::rd_kafka_event_ListConsumerGroupOffsets_result(answer.get());
        if result.is_null() {
            return failed(RDKafkaErrorCode::BadMessage);
        }
        let groups = c::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
        if groups.is_null() || count == 0 {
            return failed(RDKafkaErrorCode::BadMessage);
        }
        let error = c::rd_kafka_group_result_error(*groups);
        if !error.is_null() {
            return failed(c::rd_kafka_error_code(error).into());
        }
        let list = c::rd_kafka_group_result_partitions(*groups);
        if list.is_null() || (*list).elems.is_null() {
            return Ok(committed);
        }
        let partitions = usize::try_from((*list).cnt).unwrap_or_default();
        for found in std::slice::from_raw_parts((*list).elems, partitions) {
            match found.err.into() {
                RDKafkaErrorCode::NoError => {}
                code => return failed(code),
            }
            // Below 0 stands what is no offset.
            if let Ok(offset) = u64::try_from(found.offset) {
                let topic = CStr::from_ptr(found.topic).to_string_lossy().into_owned();
                committed.insert((topic, found.partition), offset);
            }
        }
    }
    Ok(committed)
}

/// Asks one question with the options it needs, and waits for the answer: an event without an error.
fn asked<C: ClientContext>(
    client: &Client<C>,
    operation: c::rd_kafka_admin_op_t,
    patience: Duration,
    ask: impl FnOnce(
        *mut c::rd_kafka_t,
        *mut c::rd_kafka_AdminOptions_t,
        *mut c::rd_kafka_queue_t,
    ) -> KafkaResult<()>,
) -> KafkaResult<Owned<c::rd_kafka_event_t>> {
    let client = client.native_ptr();
    let failed = |code| Err(KafkaError::AdminOp(code));
    // What is opened is closed in the reverse order, also where something fails.
    // SAFETY: the client lives as long as it is borrowed, here and below.
    let options = unsafe { c::rd_kafka_AdminOptions_new(client, operation) };
    let options = Owned::of(options, c::rd_kafka_AdminOptions_destroy)?;
    // SAFETY: as above.
    let queue = unsafe { c::rd_kafka_queue_new(client) };
    let queue = Owned::of(queue, c::rd_kafka_queue_destroy)?;
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
    ask(client, options.get(), queue.get())?;
    // SAFETY: the queue is open. The answer comes to it, also if it is late: then it is dropped with it.
    let answer = unsafe { c::rd_kafka_queue_poll(queue.get(), millis(patience + SLACK)) };
    let Some(answer) = Owned::new(answer, c::rd_kafka_event_destroy) else {
        return failed(RDKafkaErrorCode::OperationTimedOut);
    };
    // SAFETY: the event is open.
    match unsafe { c::rd_kafka_event_error(answer.get()) }.into() {
        RDKafkaErrorCode::NoError => Ok(answer),
        code => failed(code),
    }
}

/// What the answer says of its topics.
fn allows_to_write(answer: &Owned<c::rd_kafka_event_t>) -> KafkaResult<BTreeMap<String, bool>> {
    use RDKafkaErrorCode as Code;
    let failed = |code| Err(KafkaError::AdminOp(code));
    let (mut count, mut allowed) = (0, BTreeMap::new());
    // SAFETY: what is asked of the event lives as long as it; the list is as long as is said, and is looked at only if
    // it is there.
    unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(answer.get());
        if result.is_null() {
            return failed(Code::BadMessage);
        }
        let list = c::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if list.is_null() {
            return Ok(allowed);
        }
        for topic in std::slice::from_raw_parts(list, count) {
            let name = CStr::from_ptr(c::rd_kafka_TopicDescription_name(*topic));
            // What goes wrong with one topic says nothing of the others.
            if let Ok(Some(may)) = allows(*topic) {
                allowed.insert(name.to_string_lossy().into_owned(), may);
            }
        }
    }
    Ok(allowed)
}

/// What the answer says of one topic.
///
/// # Safety
/// The topic is of an event that is open.
unsafe fn allows(topic: *const c::rd_kafka_TopicDescription_t) -> KafkaResult<Option<bool>> {
    use RDKafkaErrorCode as Code;
    let mut operations = 0;
    // SAFETY: the list is as long as is said, and is looked at only if it is there. The operations are numbers, and
    // read as such: a later broker may know more of them.
    unsafe {
        match c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(topic)).into() {
            Code::NoError => {}
            Code::UnknownTopicOrPartition | Code::UnknownTopic => return Ok(None),
            // Who may write may also look.
            Code::TopicAuthorizationFailed => return Ok(Some(false)),
            code => return Err(KafkaError::AdminOp(code)),
        }
        let list = c::rd_kafka_TopicDescription_authorized_operations(topic, &mut operations);
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

    /// The same of something that is there unless memory is short.
    fn of(at: *mut T, close: unsafe extern "C" fn(*mut T)) -> KafkaResult<Self> {
        Owned::new(at, close).ok_or(KafkaError::AdminOp(
            RDKafkaErrorCode::CriticalSystemResource,
        ))
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

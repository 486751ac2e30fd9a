//! Which librdkafka properties may not be set by hand: those the exactly-once protocol rests on.

/// Why `kafka.client` may not say `property`; `None` where it may.
pub(super) fn refusal(property: &str) -> Option<&'static str> {
    let means = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => property.starts_with(beginning),
        None => property == pattern,
    };
    REFUSED
        .iter()
        .find(|(patterns, _)| patterns.iter().any(|pattern| means(pattern)))
        .map(|(_, reason)| *reason)
}

/// The refused properties as one regular expression.
pub(super) fn refused_pattern() -> String {
    let pattern = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(beginning) => format!("{}.*", beginning.replace('.', "\\.")),
        None => pattern.replace('.', "\\."),
    };
    let patterns = REFUSED.iter().flat_map(|(patterns, _)| patterns.iter());
    let patterns: Vec<String> = patterns.map(pattern).collect();
    format!("^({})$", patterns.join("|"))
}

/// How the connection to a broker can be.
pub(super) const PROTOCOLS: &[&str] = &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

/// The ways to log in that are built in.
pub(super) const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Whether the property's value is a secret, so that it should not stand in the file.
pub(super) fn is_secret(property: &str) -> bool {
    let property = property.to_ascii_lowercase();
    ["password", "secret", "key.pem", "sasl.jaas"]
        .iter()
        .any(|word| property.contains(word))
}

/// Properties (`*` at the end: all that begin so) and what would go wrong.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &["bootstrap.servers", "metadata.broker.list"],
        "`kafka.brokers` says it",
    ),
    (
        &["client.id"],
        "it carries this worker's name and the configuration's hash, by which workers know each other",
    ),
    (
        &[
            "group.*",
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "max.poll.interval.ms",
            "partition.assignment.strategy",
            "coordinator.query.interval.ms",
        ],
        "owning a partition of the group is owning its tables; other values would let two workers write one",
    ),
    (
        &[
            "enable.auto.commit",
            "auto.commit.*",
            "enable.auto.offset.store",
            "auto.offset.reset",
            "offset.store.*",
            "enable.partition.eof",
        ],
        "offsets are committed together with what they stand for, never by a timer",
    ),
    (&["isolation.level"], "uncommitted rows must stay unseen"),
    (
        &[
            "partitioner",
            "partitioner_cb",
            "sticky.partitioning.*",
            "msg_order_cmp",
        ],
        "a key's rows must stay in one partition, in every version and format",
    ),
    (
        &[
            "enable.idempotence",
            "enable.gapless.guarantee",
            "acks",
            "request.required.acks",
            "retries",
            "message.send.max.retries",
            "max.in.flight*",
            "queuing.strategy",
        ],
        "rows would be lost, doubled or reordered",
    ),
    (
        &[
            "transactional.id",
            "transaction.timeout.ms",
            "message.timeout.ms",
            "delivery.timeout.ms",
        ],
        "rows and cursor are written in one transaction, whose name and time-outs belong together",
    ),
    (
        &[
            "message.max.bytes",
            "max.message.bytes",
            "fetch.max.bytes",
            "fetch.message.max.bytes",
            "max.partition.fetch.bytes",
            "receive.message.max.bytes",
            "allow.auto.create.topics",
        ],
        "it must fit the topics that `cdc` creates",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_protocol_rests_on_is_refused_and_the_rest_is_not() {
        for property in [
            "group.id",
            "group.instance.id",
            "enable.auto.commit",
            "auto.offset.reset",
            "isolation.level",
            "partitioner",
            "enable.idempotence",
            "acks",
            "transactional.id",
            "transaction.timeout.ms",
            "session.timeout.ms",
            "client.id",
            "bootstrap.servers",
            "max.in.flight",
            "max.in.flight.requests.per.connection",
        ] {
            assert!(refusal(property).is_some(), "{property}");
        }
        for property in [
            "security.protocol",
            "sasl.username",
            "ssl.ca.location",
            "linger.ms",
        ] {
            assert_eq!(refusal(property), None, "{property}");
        }
    }
}

//! 03: Kafka, its topics, and what is remembered in them.

codes! {
    KAFKA_UNREACHABLE = 301 Unavailable "no broker answers"
        cause "The brokers are down, or this machine does not reach them; often a broker's advertised listener is a name that only it knows. What was not committed is read again, nothing is sent twice."
        remedy "Check `kafka.brokers` and the network, and that the advertised listeners can be reached from here. It is tried again by itself."
        example "error[CDC-0301]: connecting to Kafka at kafka-1:9092: no broker answers";
    TRANSACTION_FAILED = 302 Unavailable "a transaction failed"
        cause "The broker went away or refused something in the middle of it. Its rows are unseen by readers and are sent again."
        remedy "Nothing, if it happens once. If it goes on, look at the broker's log for the worker's name."
        example "WARN a transaction failed; reading again what is durable";
    TOPIC_GONE = 303 Config "a table's topic was deleted"
        cause "The topic is gone while its table was followed; that is noticed with the next row, or by a look every 20 s: with a longer `every` at the next poll, of a paused table when it goes on. Rows that were not in the lake yet are only in the database. It is not made anew by itself."
        remedy "`cdc snapshot --again TABLE`."
        example "error[CDC-0303]: ec.orders: topic `retail.orders` is gone: it was deleted";
    TOPIC_MADE_ANEW = 304 Data "a table's topic is another one under its name"
        cause "The topic was deleted and made again: offsets that the lake and the cursor rest on mean other records there. No row is committed into it."
        remedy "`cdc snapshot --again TABLE`."
        example "error[CDC-0304]: ec.orders: topic `retail.orders` was deleted and made anew: partition 0 ends before what was written to it";
    STATE_LOST = 305 Config "the state topic is gone, and with it what the tables remember"
        cause "It was deleted, or another topic has its name. It is never made anew by itself, since a pipeline that remembers nothing would copy everything once more."
        remedy "Stop all workers and follow docs/protocol.md, when the state topic is lost."
        example "error[CDC-0305]: topic `_cdc_state.retail` was deleted (it is gone), and with it what the tables remember";
    NOTHING_REMEMBERED = 306 Config "rows are there, but nothing is remembered of their table"
        cause "The pipeline was renamed, or its memory was lost, and the topic or the lake is not empty. Copying once more would write every row twice."
        remedy "Use the old `pipeline:` name, or begin anew as `next:` says."
        example "error[CDC-0306]: ec.orders: nothing is remembered of this table, but its topic `retail.orders` is not empty";
    PARTITIONS_CHANGED = 307 Config "a topic has another number of partitions"
        cause "Somebody added partitions, so that a key's rows would stand in two of them, in no order."
        remedy "`cdc snapshot --again TABLE`."
        example "error[CDC-0307]: ec.orders: topic `retail.orders` had 3 partitions and has 6 now, so keys would move between partitions";
    TOPIC_SETTING = 308 Config "a topic's setting could lose rows or cursors"
        cause "Compaction, retention, sizes or timestamps of the topic are set so that records could vanish or be refused."
        remedy "Alter the topic's setting as `next:` says, then `cdc restart TABLE`."
        example "error[CDC-0308]: topic `retail.orders` has cleanup.policy=compact: rows would vanish\n  next: alter the topic's setting `cleanup.policy`, or give the table another `topic:`";
    FENCED = 309 TryLater "another process writes under this worker's name"
        cause "Two processes have one `worker:` name; the broker lets only the later one write, so that nothing is written twice."
        remedy "Give each process its own name, or leave `worker:` out."
        example "error[CDC-0309]: another process writes under this worker's name";
    BROKER_TOO_OLD = 310 Config "the broker is too old"
        cause "It does not know transactions, or takes them without asking whether this worker is still a member of the group (before Kafka 2.5)."
        remedy "Use Apache Kafka 2.5 or later, or a broker that speaks its protocol."
        example "error[CDC-0310]: beginning a transaction: UnsupportedVersion\n  next: the broker is too old: Apache Kafka 2.5 or later is needed, or a broker that speaks its protocol";
    NO_KAFKA_BLOCK = 311 Config "the configuration has no `kafka:` block"
        cause "The command moves rows through Kafka, or looks at what the tables remember there."
        remedy "Add `kafka: { brokers: \"localhost:9092\", topic_prefix: \"retail.\" }`; `cdc snapshot` copies bulk tables without."
        example "error[CDC-0311]: the configuration has no `kafka:` block, which this command needs";
    KAFKA_REFUSED = 312 Permission "Kafka does not let this client in"
        cause "The login failed, or an ACL for a topic, a group or a transactional id is missing."
        remedy "docs/grants.md lists every ACL; `cdc check` tries them."
        example "error[CDC-0312]: connecting to Kafka at kafka-1:9093: SASL authentication failed";
    TOPIC_REFUSED = 313 Permission "a topic may not be written"
        cause "The user has no right to Write on a table's topic, or on its rejected topic. That table stops, and goes on by itself after the grant; without the right on the state topic or the topic of loads the worker ends."
        remedy "Run the `kafka-acls` command that stands behind `next`."
        example "error[CDC-0313]: topic `retail.orders` may not be written: this user has no right to Write on it\n  next: `kafka-acls --add --allow-principal User:NAME --topic retail.orders --operation Write`";
    TOPIC_TAKES_NOTHING = 314 Unavailable "a topic takes no rows now"
        cause "A partition of the table's topic has no leader, or fewer replicas in step than `min.insync.replicas` asks for. The table waits and goes on when they are there."
        remedy "Bring back the brokers that hold the partition, or lower `min.insync.replicas` of the topic."
        example "error[CDC-0314]: writing to topic `retail.orders`: partition 0 has 1 in-sync replicas, and needs 2";
}

//! What Kafka Connect's JDBC source and S3 sink call it, and what it is called here.

/// A name of Kafka Connect.
pub(in crate::config) struct Theirs {
    pub name: &'static str,
    /// The path of our key; empty where there is none.
    pub key: &'static str,
    /// What to use here, in words.
    pub here: &'static str,
}

const fn theirs(name: &'static str, key: &'static str, here: &'static str) -> Theirs {
    Theirs { name, key, here }
}

#[rustfmt::skip]
pub(in crate::config) static KAFKA_CONNECT: &[Theirs] = &[
    theirs("config",                      "",                                        "nothing: this is the document of a connector, and docs/kafka-connect.md has its names side by side"),
    theirs("connector.class",             "",                                        "nothing: the scheme of `sources.NAME.url` says which database it is"),
    theirs("bootstrap.servers",           "kafka.brokers",                           "`kafka.brokers`"),
    theirs("topic.prefix",                "kafka.topic_prefix",                      "`kafka.topic_prefix`"),
    theirs("value.converter",             "kafka.format",                            "`kafka.format`"),
    theirs("topic.creation.default.partitions", "kafka.topics.partitions",           "`kafka.topics.partitions`"),
    theirs("topic.creation.default.replication.factor", "kafka.topics.replication",  "`kafka.topics.replication`"),
    theirs("topic.creation.default.retention.ms", "kafka.topics.retention",          "`kafka.topics.retention`"),
    theirs("connection.url",              "sources.NAME.url",                        "`sources.NAME.url`"),
    theirs("connection.user",             "sources.NAME.url",                        "the user in `sources.NAME.url`"),
    theirs("connection.password",         "sources.NAME.url",                        "the password in `sources.NAME.url`"),
    theirs("db.timezone",                 "sources.NAME.time_zone",                  "`sources.NAME.time_zone`"),
    theirs("tasks.max",                   "sources.NAME.connections",                "`sources.NAME.connections`"),
    theirs("table.whitelist",             "",                                        "`sources.NAME.tables`"),
    theirs("table.include.list",          "",                                        "`sources.NAME.tables`"),
    theirs("schema.pattern",              "sources.NAME.include",                    "`sources.NAME.include`"),
    theirs("table.blacklist",             "sources.NAME.exclude",                    "`sources.NAME.exclude`, or `exclude` of a glob under `sources.NAME.tables`"),
    theirs("table.exclude.list",          "sources.NAME.exclude",                    "`sources.NAME.exclude`, or `exclude` of a glob under `sources.NAME.tables`"),
    theirs("poll.interval.ms",            "sources.NAME.tables.TABLE.every",         "`every` of a table or of `defaults`"),
    theirs("timestamp.column.name",       "sources.NAME.tables.TABLE.timestamp",     "`timestamp` of a table"),
    theirs("incrementing.column.name",    "sources.NAME.tables.TABLE.incrementing",  "`incrementing` of a table"),
    theirs("timestamp.delay.interval.ms", "sources.NAME.tables.TABLE.lookback",      "`lookback`"),
    theirs("numeric.mapping",             "sources.NAME.tables.TABLE.decimal",       "`decimal` of a table"),
    theirs("query.suffix",                "sources.NAME.tables.TABLE.where",         "`where` of a table"),
    theirs("errors.tolerance",            "sources.NAME.tables.TABLE.on_value",      "`on_value` of a table or of `defaults`"),
    theirs("path.format",                 "sources.NAME.tables.TABLE.partition_by",  "`partition_by` of a table"),
    theirs("partition.field.name",        "sources.NAME.tables.TABLE.partition_by",  "`partition_by` of a table"),
    theirs("partitioner.class",           "sources.NAME.tables.TABLE.partition_by",  "`partition_by` of a table"),
    theirs("batch.max.rows",              "",                                        "nothing: batches follow from `memory`"),
    theirs("s3.bucket.name",              "lake.url",                                "`lake.url`"),
    theirs("topics.dir",                  "lake.url",                                "the prefix in `lake.url`"),
    theirs("store.url",                   "lake.endpoint",                           "`lake.endpoint`"),
    theirs("s3.region",                   "lake.region",                             "`lake.region`"),
    theirs("timezone",                    "lake.day_in",                             "`lake.day_in`"),
    theirs("flush.size",                  "lake.files.rows",                         "`lake.files.rows`"),
    theirs("rotate.interval.ms",          "lake.files.age",                          "`lake.files.age`"),
    theirs("rotate.schedule.interval.ms", "lake.files.age",                          "`lake.files.age`"),
    theirs("parquet.codec",               "lake.files.compression",                  "`lake.files.compression`"),
];

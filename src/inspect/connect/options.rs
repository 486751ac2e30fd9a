//! Every option that has no equal, and why. What has one is read by `source.rs` and `sink.rs` and stands in
//! [`TRANSLATED`]; what stands nowhere is said to be unknown.

use super::read::{Connector, Sort};
use super::{Notes, Weight};
use Weight::{Differs, NoEqual, NotNeeded};

/// Options of either side that are translated, or are what a connector is.
const TRANSLATED: &[&str] = &[
    "name",
    "connector.class",
    "tasks.max",
    "transforms",
    "connection.url",
    "connection.user",
    "connection.password",
    "mode",
    "incrementing.column.name",
    "timestamp.column.name",
    "timestamp.columns.mapping",
    "incrementing.column.mapping",
    "table.whitelist",
    "table.blacklist",
    "table.include.list",
    "table.exclude.list",
    "table.types",
    "schema.pattern",
    "catalog.pattern",
    "query",
    "query.masked",
    "topic.prefix",
    "poll.interval.ms",
    "timestamp.delay.interval.ms",
    "db.timezone",
    "topic.creation.default.partitions",
    "topic.creation.default.replication.factor",
    "key.converter",
    "value.converter",
    "producer.override.bootstrap.servers",
    "consumer.override.bootstrap.servers",
    "topics",
    "topics.regex",
    "s3.bucket.name",
    "s3.region",
    "store.url",
    "topics.dir",
    "flush.size",
    "rotate.interval.ms",
    "rotate.schedule.interval.ms",
    "parquet.codec",
    "format.class",
    "partitioner.class",
    "partition.field.name",
    "partition.duration.ms",
    "path.format",
    "timezone",
    "timestamp.extractor",
    "timestamp.field",
    "s3.path.style.access.enabled",
    "errors.tolerance",
    "aws.s3.bucket.name",
    "aws.s3.bucket",
    "aws.s3.region",
    "aws.s3.endpoint",
    "aws.s3.prefix",
    "file.max.records",
    "file.compression.type",
    "file.name.template",
    "file.name.timestamp.timezone",
    "format.output.type",
];

/// Options without an equal; one that ends in `.` or `*` stands for all that begin so.
#[rustfmt::skip]
const OTHERS: &[(&str, Weight, &str)] = &[
    // The JDBC source.
    ("jdbc.credentials.provider.*",       NoEqual,   "a token that changes cannot be fetched: write the password where `${env:…}` or `${file:…}` finds it"),
    ("connection.attempts",               NotNeeded, "a database that is away is tried again, with growing pauses, for ever"),
    ("connection.backoff.ms",             NotNeeded, "the pauses between attempts grow by themselves"),
    ("dialect.name",                      NotNeeded, "the URL says which database it is"),
    ("table.names.qualify",               NotNeeded, "every statement names schema and table"),
    ("table.poll.interval.ms",            NotNeeded, "new tables of a glob are found within a minute"),
    ("table.monitoring.*",                NotNeeded, "a slow catalog holds up its own source alone"),
    ("timestamp.initial*",                NoEqual,   "the copy begins with the first row; `where:` leaves older rows out, for good"),
    ("incrementing.initial",              NoEqual,   "the copy begins with the first row; `where:` leaves older rows out, for good"),
    ("timestamp.granularity",             NotNeeded, "microseconds are kept"),
    ("date.calendar.system",              NotNeeded, "dates are what the database says, in the Gregorian calendar"),
    ("validate.non.null",                 Differs,   "rows whose cursor is NULL are copied once, and later ones are not seen; `cdc check` warns of such a column"),
    ("numeric.mapping",                   NotNeeded, "numbers are carried exactly: decimals with their digits, a `numeric` without precision as text or by `decimal:`"),
    ("numeric.precision.mapping",         NotNeeded, "numbers are carried exactly"),
    ("query.suffix",                      NoEqual,   "statements are built by `cdc`; `cdc plan` shows them"),
    ("query.retry.attempts",              NotNeeded, "what can pass is tried again for ever; anything else stops that table with the reason"),
    ("quote.sql.identifiers",             NotNeeded, "names are always quoted"),
    ("sql.quote.identifiers",             NotNeeded, "names are always quoted"),
    ("transaction.isolation.mode",        NotNeeded, "reads are READ COMMITTED below a proven bound, loads one snapshot"),
    ("batch.max.rows",                    NotNeeded, "batches follow from `memory`"),
    ("max.buffer.size",                   NotNeeded, "batches follow from `memory`"),
    ("poll.linger.ms",                    NotNeeded, "what was read is sent at once"),
    ("engine.shutdown.timeout*",          NotNeeded, "stopping is safe at any moment"),
    ("topic.creation.default.cleanup.policy",      NotNeeded, "topics keep records for a time: rows with old keys must not be compacted away before the sink has them"),
    ("topic.creation.*",                  NoEqual,   "topics that are missing are made by `kafka.topics`: partitions, replication, retention"),
    // The Confluent sink.
    ("storage.class",                     NotNeeded, "`lake.url` says where the lake is"),
    ("schema.compatibility",              Differs,   "a column that is added, or a type that grows, begins a new file; nothing is projected"),
    ("behavior.on.null.values",           NotNeeded, "there are no records without a value"),
    ("report.null.values.to.dlq",         NotNeeded, "there are no records without a value"),
    ("store.kafka.keys",                  NotNeeded, "the key's columns are in the row"),
    ("store.kafka.headers",               NoEqual,   "a file holds the columns of its table; a timestamp table's also `cdc_offset`"),
    ("keys.format.class",                 NotNeeded, "the key's columns are in the row"),
    ("headers.format.class",              NoEqual,   "headers are not written into the lake"),
    ("enable.conditional.writes",         NotNeeded, "every file is written on the condition that it is not there"),
    ("max.write.duration.ms",             NotNeeded, "writing never holds up the membership of the group"),
    ("partitioner.max.open.files",        NotNeeded, "open files follow from `memory`"),
    ("rotate.file.on.partition.change",   NotNeeded, "the files of a chunk grow side by side, one for each partition value"),
    ("locale",                            NotNeeded, "directories have ISO dates"),
    ("s3.part.size",                      NotNeeded, "parts follow from `memory`"),
    ("s3.part.retries",                   NotNeeded, "what can pass is tried again, with growing pauses"),
    ("s3.retry.backoff.ms",               NotNeeded, "the pauses grow by themselves"),
    ("retry.backoff.ms",                  NotNeeded, "the pauses grow by themselves"),
    ("s3.elastic.buffer.*",               NotNeeded, "buffers follow from `memory`"),
    ("s3.compression.*",                  NotNeeded, "Parquet is compressed inside: `lake.files.compression`"),
    ("avro.codec",                        NotNeeded, "Parquet is compressed inside: `lake.files.compression`"),
    ("s3.credentials.provider.*",         NotNeeded, "credentials are found where every AWS tool finds them: environment, profile, role"),
    ("s3.ssea.name",                      NoEqual,   "set the encryption of the bucket itself; it then holds for every file"),
    ("s3.sse.*",                          NoEqual,   "set the encryption of the bucket itself; it then holds for every file"),
    ("s3.acl.canned",                     NoEqual,   "set the bucket's policy"),
    ("s3.object.tagging*",                NoEqual,   "files are not tagged; their names hold the offsets"),
    ("behavior.on.tagging.error",         NotNeeded, "files are not tagged"),
    ("s3.proxy.*",                        NoEqual,   "there is no proxy for S3"),
    ("s3.wan.mode",                       NoEqual,   "`lake.endpoint` names another address of the store"),
    ("s3.http.send.expect.continue",      NotNeeded, "the client decides"),
    ("s3.send.digest",                    NotNeeded, "every part has its checksum"),
    ("s3.schema.partition.affix.type",    NoEqual,   "directories are the table's and `partition_by`"),
    ("directory.delim",                   NotNeeded, "directories are divided by `/`"),
    ("file.delim",                        NotNeeded, "the names of files are given"),
    ("filename.offset.zero.pad.width",    NotNeeded, "the names of files are given"),
    ("json.decimal.format",               NotNeeded, "decimals are decimals in the file"),
    ("enhanced.avro.schema.support",      NotNeeded, "no Avro stands in between"),
    ("connect.meta.data",                 NotNeeded, "no Avro stands in between"),
    ("schemas.cache.config",              NotNeeded, "no Avro stands in between"),
    ("allow.optional.map.keys",           NotNeeded, "no Avro stands in between"),
    ("format.bytearray.*",                NotNeeded, "files are Parquet"),
    ("shutdown.timeout.ms",               NotNeeded, "stopping is safe at any moment"),
    // The Aiven sink.
    ("aws.access.key.id",                 Differs,   "it stands in `AWS_ACCESS_KEY_ID` where `cdc` runs, or a profile or role gives it"),
    ("aws.secret.access.key",             Differs,   "it stands in `AWS_SECRET_ACCESS_KEY` where `cdc` runs, or a profile or role gives it"),
    ("aws.credentials.provider",          NotNeeded, "credentials are found where every AWS tool finds them: environment, profile, role"),
    ("aws.sts.*",                         Differs,   "a role is assumed by an AWS profile: `role_arn` and `source_profile` in `~/.aws/config`, and `AWS_PROFILE`"),
    ("aws.s3.sse.algorithm",              NoEqual,   "set the encryption of the bucket itself; it then holds for every file"),
    ("aws.s3.part.size.bytes",            NotNeeded, "parts follow from `memory`"),
    ("aws.s3.backoff.*",                  NotNeeded, "the pauses grow by themselves"),
    ("file.name.*",                       NotNeeded, "the names of files are given"),
    ("format.output.*",                   NotNeeded, "a file holds the columns of its table"),
    ("connect.parquet.*",                 NoEqual,   "row groups and pages have one size"),
    ("kafka.retry.backoff.ms",            NotNeeded, "the pauses grow by themselves"),
    // Kafka Connect's own.
    ("key.converter.*",                   NotNeeded, "records are JSON, keys too"),
    ("value.converter.*",                 NotNeeded, "records are JSON, and no schema stands in them"),
    ("header.converter*",                 NotNeeded, "records have no headers but the run's"),
    ("predicates*",                       NoEqual,   "no transform runs, so none is decided upon"),
    ("errors.deadletterqueue.*",          Differs,   "rows are rejected where they are read: `on_value: reject`, into the topic `….rejected`"),
    ("errors.retry.*",                    NotNeeded, "what can pass is tried again, with growing pauses"),
    ("errors.log.*",                      NotNeeded, "every failure is logged, and never a row's value"),
    ("exactly.once.support",              NotNeeded, "rows and cursor are always one transaction"),
    ("transaction.boundary*",             NotNeeded, "a transaction is as long as a batch"),
    ("offsets.storage.topic",             NotNeeded, "state is kept in `_cdc_state.PIPELINE`"),
    ("offset.flush.*",                    NotNeeded, "a cursor is written with its rows"),
    ("tasks.max.enforce",                 NotNeeded, "tables are shared by all processes of the pipeline"),
    ("config.action.reload",              NotNeeded, "references are followed when `cdc` starts"),
    ("producer.override.*",               NoEqual,   "librdkafka's properties stand in `kafka.client`, under librdkafka's names"),
    ("consumer.override.*",               NoEqual,   "librdkafka's properties stand in `kafka.client`, under librdkafka's names"),
    ("admin.override.*",                  NoEqual,   "librdkafka's properties stand in `kafka.client`, under librdkafka's names"),
    ("confluent.*",                       NotNeeded, "no license is asked for"),
    ("kafka.topic",                       NotNeeded, "that is a setting of Confluent Cloud"),
    ("kafka.api.*",                       NoEqual,   "Confluent Cloud's key stands in `kafka.client`: `sasl.username` and `sasl.password`"),
    ("kafka.auth.mode",                   NoEqual,   "the login stands in `kafka.client`"),
];

/// Says of every option without an equal why there is none.
pub(super) fn tell(connector: &Connector, notes: &mut Notes) {
    let is_sink = matches!(connector.sort, Sort::ConfluentSink | Sort::AivenSink);
    for key in connector.options.keys() {
        // `transforms.…` are looked at one by one.
        if key.starts_with("transforms.") {
            continue;
        }
        let name = connector.name.as_str();
        if key == "tasks.max" && is_sink {
            let text = "start as many `cdc follow --only sink` as you like: they share the topics";
            notes.say(name, key, NotNeeded, text);
        }
        if TRANSLATED.contains(&key.as_str()) {
            continue;
        }
        let is_meant = |pattern: &str| match pattern.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning),
            None => pattern == key,
        };
        match OTHERS.iter().find(|(pattern, _, _)| is_meant(pattern)) {
            Some((_, weight, why)) => notes.say(name, key, *weight, *why),
            None => {
                let text = "no such option is known; nothing was made of it";
                notes.say(name, key, NoEqual, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_stands_twice() {
        let mut seen = std::collections::BTreeSet::new();
        let all = OTHERS.iter().map(|(key, _, _)| key).chain(TRANSLATED);
        for key in all {
            assert!(seen.insert(key), "`{key}`");
        }
    }
}

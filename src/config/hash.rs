//! The configuration's hash: by it the workers of a pipeline know that they do the same.

use std::fmt::{Debug, Write};

use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::{
    ColumnChoice, DatabaseUrl, Digits, FileSettings, KafkaSettings, LakePlace, LakeSettings,
    Settings, SourceSettings, TableSettings,
};

/// Bytes of the digest that are kept: 16 hexadecimal digits.
const KEPT_BYTES: usize = 8;

/// 16 hexadecimal digits over what must be equal in all workers. Secrets, memory and the worker's own name
/// are left out. Each block is taken apart in full, so that a new setting cannot be forgotten here.
pub(super) fn of(settings: &Settings) -> String {
    let Settings {
        pipeline,
        worker: _,
        kafka,
        sources,
        lake,
        memory: _,
        hash: _,
        warnings: _,
    } = settings;
    let mut lines = Lines(String::new());
    lines.add("pipeline", pipeline);
    if let Some(kafka) = kafka {
        lines.kafka(kafka);
    }
    for source in sources {
        lines.source(source);
    }
    lines.lake(lake);
    let digest = Sha256::digest(lines.0.as_bytes());
    let mut hash = String::new();
    for byte in digest.iter().take(KEPT_BYTES) {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

/// The canonical rendering: a line per setting, values quoted.
struct Lines(String);

impl Lines {
    fn add(&mut self, key: &str, value: impl Debug) {
        let _ = writeln!(self.0, "{key} {value:?}");
    }

    fn zone(&mut self, key: &str, zone: &TimeZone) {
        self.add(key, zone.iana_name());
    }

    fn kafka(&mut self, kafka: &KafkaSettings) {
        let KafkaSettings {
            brokers,
            topic_prefix,
            partitions,
            replication,
            retention,
            client,
        } = kafka;
        self.add("kafka.brokers", brokers);
        self.add("kafka.topic_prefix", topic_prefix);
        self.add("kafka.topics.partitions", partitions);
        self.add("kafka.topics.replication", replication);
        self.add("kafka.topics.retention", retention.as_millis());
        // The values may be secrets.
        self.add("kafka.client", client.keys().collect::<Vec<_>>());
    }

    fn source(&mut self, source: &SourceSettings) {
        let SourceSettings {
            name,
            url,
            time_zone,
            connections,
            topic_prefix,
            include,
            exclude,
            tables,
        } = source;
        self.add("source", name);
        let DatabaseUrl {
            kind,
            host,
            port,
            user,
            password: _,
            database,
            tls,
            tls_ca,
            tls_identity,
        } = url;
        self.add("url", (kind, host, port, user, database, tls, tls_ca));
        self.add("url.identity", tls_identity);
        self.zone("time_zone", time_zone);
        self.add("connections", connections);
        self.add("topic_prefix", topic_prefix);
        self.add("include", include);
        self.add("exclude", exclude);
        for table in tables {
            self.table(table);
        }
    }

    fn table(&mut self, table: &TableSettings) {
        let TableSettings {
            pattern,
            exclude,
            columns,
            filter,
            mode,
            timestamp,
            incrementing,
            on_value,
            every,
            schedule,
            topic,
            partition_by,
            null_partition,
            decimal,
            allow_unsafe,
            lookback,
        } = table;
        self.add("table", pattern);
        self.add("exclude", exclude);
        let ColumnChoice {
            keep,
            drop,
            drop_if_there,
        } = columns;
        self.add("columns", (keep, drop, drop_if_there));
        self.add("where", filter);
        self.add("mode", mode.as_str());
        self.add("timestamp", timestamp);
        self.add("incrementing", incrementing);
        self.add("on_value", (on_value.others, &on_value.columns));
        self.add("every", every.map(|every| every.as_millis()));
        self.add("schedule", schedule.as_ref().map(|schedule| &schedule.text));
        self.add("topic", topic);
        for level in partition_by {
            self.add("partition_by", (&level.name, level.transform.to_string()));
        }
        self.add("null_partition", null_partition);
        for (column, Digits { precision, scale }) in decimal {
            self.add("decimal", (column, precision, scale));
        }
        self.add("allow_unsafe", allow_unsafe);
        self.add("lookback", lookback.as_millis());
    }

    fn lake(&mut self, lake: &LakeSettings) {
        let LakeSettings {
            place,
            day_in,
            files,
        } = lake;
        match place {
            LakePlace::S3 {
                bucket,
                prefix,
                endpoint,
                region,
                path_style,
                ca_file,
            } => {
                self.add("lake.s3", (bucket, prefix, endpoint, region, path_style));
                self.add("lake.ca_file", ca_file);
            }
            LakePlace::Local(path) => self.add("lake.local", path),
        }
        self.zone("lake.day_in", day_in);
        let FileSettings {
            rows,
            size,
            age,
            compression,
        } = files;
        self.add("lake.files", (rows, size, age.as_millis(), compression));
    }
}

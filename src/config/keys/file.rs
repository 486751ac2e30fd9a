//! The file itself, and the blocks `kafka` and `lake`.

use super::Is::{Block, Later, Named, Pairs, Refused, Value};
use super::Without::{Default, InWords, Required};
use super::{Form, Key, Shape, none, source};
use crate::config::{defaults, shown, words};

const NO_SERVER: &str = "no server is built in; `cdc status` says how the tables fare";

#[rustfmt::skip]
pub(in crate::config) static FILE: Shape = Shape(&[
    Key::new("version", Value(Form::Version))
        .means("the version of this format")
        .without(Default(|| defaults::VERSION.to_owned(), "there is no other yet"))
        .example("version: 1"),
    Key::new("pipeline", Value(Form::Name))
        .means("processes with the same name share the work and remember in the same topics; another name is another pipeline that remembers nothing")
        .without(Default(|| defaults::PIPELINE.to_owned(), "most have one only"))
        .example("pipeline: retail"),
    Key::new("worker", Value(Form::Name))
        .means("this process's name in the pipeline; two running processes must not have the same")
        .without(InWords("the host's name and the first free number"))
        .example("worker: till-1"),
    Key::new("memory", Value(Form::Size { least: defaults::LEAST_MEMORY }))
        .means("rows and open files held at one time, nearly half for capture and nearly half for the sink where both run; librdkafka's queues come on top")
        .without(Default(|| shown::size(defaults::MEMORY_BYTES), "fits a container of half a gigabyte"))
        .example("memory: 512MiB"),
    Key::new("kafka", Block(&KAFKA)).example("kafka: { brokers: \"localhost:9092\", topic_prefix: \"retail.\" }"),
    Key::new("sources", Named(&source::SOURCE)).without(Required).example("sources: { shop: { url: \"${env:SHOP_URL}\", tables: { orders: { mode: bulk } } } }"),
    Key::new("lake", Block(&LAKE)).without(Required).example("lake: { url: \"s3://bucket/prefix\" }"),
    none("listen", Later(NO_SERVER)),
    none("serve", Later(NO_SERVER)),
    none("schedules", Later("a bulk table has its own `schedule`")),
    none("state", Later("state is kept in Kafka")),
]);

#[rustfmt::skip]
static KAFKA: Shape = Shape(&[
    Key::new("brokers", Value(Form::Brokers))
        .means("where to find the cluster")
        .without(Required)
        .example("brokers: \"kafka-1:9092,kafka-2:9092\""),
    Key::new("topic_prefix", Value(Form::TopicPrefix))
        .means("begins the name of each table's topic: prefix + table, see [names](protocol.md#names)")
        .without(InWords("empty"))
        .example("topic_prefix: retail."),
    Key::new("format", Value(Form::OneOf(|| vec!["json"])))
        .means("how rows are written, see [records](records.md)")
        .without(Default(|| "json".to_owned(), "needs no registry"))
        .example("format: json"),
    Key::new("topics", Block(&TOPICS)),
    Key::new("client", Pairs(Form::Property))
        .means("further properties of librdkafka: TLS, login, compression. Those the protocol rests on (group, offsets, isolation, idempotence, transactions, partitioner, sizes, `client.id`) are refused, each with its reason")
        .without(InWords("none, but `security.protocol: ssl` where a broker is not on loopback"))
        .example("client: { security.protocol: ssl }"),
    none("schema_registry", Later("`format: json` needs none")),
    none("security", Refused("it is written in `client`, e.g. `client: { security.protocol: sasl_ssl }`")),
]);

#[rustfmt::skip]
static TOPICS: Shape = Shape(&[
    Key::new("partitions", Value(Form::Count { least: 1, most: 10_000 }))
        .means("partitions of a table's topic when `cdc` creates it")
        .without(Default(|| defaults::TOPIC_PARTITIONS.to_string(), "enough for three sinks to share one table, few enough for a laptop"))
        .example("partitions: 12"),
    Key::new("replication", Value(Form::Replication { most: 32_767 }))
        .means("replicas of a topic when `cdc` creates it; −1 leaves it to the broker")
        .without(Default(|| defaults::TOPIC_REPLICATION.to_string(), "the broker knows how many brokers there are"))
        .example("replication: 3"),
    Key::new("retention", Value(Form::Duration))
        .means("how long a table's topic keeps records when `cdc` creates it. The sink must not be down for longer")
        .without(Default(|| shown::duration(defaults::TOPIC_RETENTION), "a week outlasts a long weekend with a broken sink"))
        .example("retention: 14d"),
    none("create", Later("missing topics are created")),
]);

#[rustfmt::skip]
static LAKE: Shape = Shape(&[
    Key::new("url", Value(Form::LakeUrl))
        .means("where the lake is; `./lake` is a directory beside this file, wherever a command is typed")
        .without(Required)
        .example("url: s3://retail-lake/raw"),
    Key::new("endpoint", Value(Form::Endpoint))
        .means("a store other than AWS's")
        .without(InWords("AWS"))
        .example("endpoint: https://minio.example.com:9000"),
    Key::new("region", Value(Form::Text))
        .means("the bucket's region")
        .without(InWords("that of the AWS environment; with an `endpoint`, `us-east-1`"))
        .example("region: ap-northeast-2"),
    Key::new("path_style", Value(Form::Boolean))
        .means("`host/bucket` instead of `bucket.host`")
        .without(InWords("`true` with an `endpoint`, since few stores but AWS's own know a bucket by its host name; else `false`"))
        .example("path_style: true"),
    Key::new("ca_file", Value(Form::File))
        .means("a PEM file with the authorities to trust for the store, instead of the system's")
        .without(InWords("that of `AWS_CA_BUNDLE`, else the system's"))
        .example("ca_file: /etc/ssl/minio.pem"),
    Key::new("day_in", Value(Form::Zone))
        .means("where a day begins, for `partition_by`")
        .without(Default(|| defaults::ZONE.to_owned(), "it has every day and hour once"))
        .example("day_in: Asia/Seoul"),
    Key::new("files", Block(&FILES)),
    none("types", Later("types are carried exactly")),
    none("settle", Later("days are not closed by a marker")),
    none("register", Later("nothing is registered in a catalog")),
]);

#[rustfmt::skip]
static FILES: Shape = Shape(&[
    Key::new("rows", Value(Form::Count { least: 1, most: i64::MAX }))
        .means("a chunk of files is closed when its largest file has so many rows")
        .without(Default(|| defaults::FILE_ROWS.to_string(), "every reader scans it within seconds"))
        .example("rows: 500000"),
    Key::new("size", Value(Form::Size { least: defaults::LEAST_FILE }))
        .means("… or about so many bytes")
        .without(Default(|| shown::size(defaults::FILE_SIZE_BYTES), "what Athena and Spark like to read at once"))
        .example("size: 128MiB"),
    Key::new("age", Value(Form::Duration))
        .means("… or when its oldest record is so old")
        .without(Default(|| shown::duration(defaults::FILE_AGE), "how far the lake may be behind on a quiet day"))
        .example("age: 1m"),
    Key::new("compression", Value(Form::OneOf(|| words::of(words::COMPRESSIONS))))
        .means("how Parquet pages are compressed")
        .without(Default(|| words::named(words::COMPRESSIONS, defaults::FILE_COMPRESSION), "the smallest of those every reader knows, and fast enough"))
        .example("compression: snappy"),
]);

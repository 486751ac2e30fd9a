//! The forms a value can have: how they are called, and how a wrong one is.

use crate::error::Code;

/// How a single value is written.
#[derive(Clone, Copy)]
pub(in crate::config) enum Form {
    Version,
    /// Of a pipeline, a worker or a source.
    Name,
    /// Bytes; the least as it is written.
    Size {
        least: &'static str,
    },
    Duration,
    /// A whole number; an end without a limit is `i64::MAX`.
    Count {
        least: i64,
        most: i64,
    },
    /// −1, or a count.
    Replication {
        most: i64,
    },
    /// One of these words.
    OneOf(fn() -> Vec<&'static str>),
    Boolean,
    Zone,
    Cron,
    Brokers,
    TopicPrefix,
    TopicName,
    /// Of librdkafka.
    Property,
    DatabaseUrl,
    LakeUrl,
    /// `http://…` or `https://…`.
    Endpoint,
    /// A table, or tables by `*` and `?`.
    TableGlob,
    /// A column, or columns by `*` and `?`.
    ColumnGlob,
    Column,
    Condition,
    /// `day(column)` and its kin.
    Transform,
    Digits,
    File,
    Text,
}

impl Form {
    /// How it is written, as Markdown.
    pub fn in_words(self) -> String {
        let words = match self {
            Form::Version => "`1`",
            Form::Name => "name",
            Form::Size { least } => return format!("size, at least `{least}`"),
            Form::Duration => "duration",
            Form::Count {
                least,
                most: i64::MAX,
            } => return format!("at least {least}"),
            Form::Count { least, most } => return format!("{least} to {most}"),
            Form::Replication { most } => return format!("−1, or 1 to {most}"),
            Form::OneOf(words) => return format!("`{}`", words().join("`, `")),
            Form::Boolean => "`true`, `false`",
            Form::Zone => "time zone",
            Form::Cron => "cron, five fields, and a time zone",
            Form::Brokers => "`host:port`, several with commas",
            Form::TopicPrefix => "text that may begin a topic's name",
            Form::TopicName => "topic name",
            Form::Property => "property: value",
            Form::DatabaseUrl => "`postgres://user:password@host:port/database` or `mariadb://…`",
            Form::LakeUrl => "`s3://bucket/prefix`, or a directory `/path`, `./path`",
            Form::Endpoint => "`http://…` or `https://…`",
            Form::TableGlob | Form::ColumnGlob => "list of names and globs",
            Form::Column => "column",
            Form::Condition => "one condition",
            Form::Transform => {
                "name: `year`, `month`, `day`, `hour` or `bucket` of a column, or the column itself"
            }
            Form::Digits => "column: [1 to 38, digits behind the point]",
            Form::File => "file",
            Form::Text => "text",
        };
        words.to_owned()
    }

    /// What a wrong value of this form is called.
    pub fn code(self) -> Code {
        match self {
            Form::Version => Code::WRONG_VERSION,
            Form::Size { .. } => Code::WRONG_SIZE,
            Form::Duration => Code::WRONG_DURATION,
            Form::Count { .. } | Form::Replication { .. } => Code::WRONG_NUMBER,
            Form::OneOf(_) => Code::UNKNOWN_WORD,
            Form::Boolean => Code::WRONG_BOOLEAN,
            Form::Zone => Code::WRONG_TIME_ZONE,
            Form::Cron => Code::WRONG_SCHEDULE,
            Form::Brokers | Form::LakeUrl | Form::Endpoint => Code::WRONG_ADDRESS,
            Form::Property => Code::KAFKA_LOGIN,
            Form::DatabaseUrl => Code::WRONG_DATABASE_URL,
            Form::TableGlob => Code::WRONG_PATTERN,
            Form::Condition => Code::WRONG_CONDITION,
            Form::Transform => Code::WRONG_PARTITION,
            Form::Digits => Code::WRONG_DIGITS,
            Form::Name
            | Form::TopicPrefix
            | Form::TopicName
            | Form::ColumnGlob
            | Form::Column
            | Form::File
            | Form::Text => Code::WRONG_NAME,
        }
    }
}

//! Every default of the configuration: its value and its unit, nowhere else. The reason stands with its key.

use std::time::Duration;

use super::Compression;

/// The version of the file.
pub const VERSION: &str = "1";

/// What days and timestamps without zone are in.
pub const ZONE: &str = "UTC";

/// The pipeline's name where the file gives none.
pub const PIPELINE: &str = "default";

/// Partitions of a data topic.
pub const TOPIC_PARTITIONS: i32 = 3;

/// Replicas of a topic; −1 leaves it to the broker.
pub const TOPIC_REPLICATION: i32 = -1;

/// How long Kafka keeps records.
pub const TOPIC_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The pause between two polls of a cursor table.
pub const EVERY: Duration = Duration::from_secs(5);

/// The longest a transaction is expected to stay open where the database gives no evidence.
pub const LOOKBACK: Duration = Duration::from_secs(10 * 60);

/// Connections to one database at one time.
pub const CONNECTIONS: usize = 4;

/// Rows of a chunk's largest file.
pub const FILE_ROWS: u64 = 1_000_000;

/// Bytes of a chunk's largest file.
pub const FILE_SIZE_BYTES: u64 = 256 * 1024 * 1024;

/// Age of a chunk's oldest record.
pub const FILE_AGE: Duration = Duration::from_secs(10 * 60);

/// Bytes of rows and open files held at one time.
pub const MEMORY_BYTES: u64 = 256 * 1024 * 1024;

/// PostgreSQL's registered port.
pub const POSTGRES_PORT: u16 = 5432;

/// MariaDB's registered port.
pub const MARIADB_PORT: u16 = 3306;

/// How pages are compressed.
pub const FILE_COMPRESSION: Compression = Compression::Zstd;

/// The least memory in which a batch, its encoding and an open file find room.
pub(super) const LEAST_MEMORY: &str = "16MiB";

/// The least size of a file: below it there would be more footer than rows.
pub(super) const LEAST_FILE: &str = "1KiB";

/// More connections than this to one database are a slip of the hand.
pub(super) const MOST_CONNECTIONS: i64 = 1_000;

//! Every default of the configuration: its value, its unit, its reason. Nowhere else.

use std::time::Duration;

use super::Compression;

/// The pipeline's name where the file gives none.
pub const PIPELINE: &str = "default";

/// Partitions of a data topic: enough for three sinks to share one table, few enough for a laptop.
pub const TOPIC_PARTITIONS: i32 = 3;

/// Replicas of a topic; −1 leaves it to the broker, which knows how many brokers there are.
pub const TOPIC_REPLICATION: i32 = -1;

/// How long Kafka keeps records: a week outlasts a long weekend with a broken sink.
pub const TOPIC_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The pause between two polls of a cursor table: fresh enough for people, cheap enough for the database.
pub const EVERY: Duration = Duration::from_secs(5);

/// The longest a transaction is expected to stay open where the database gives no evidence.
pub const LOOKBACK: Duration = Duration::from_secs(10 * 60);

/// Connections to one database at one time: reads in parallel, far below the usual limit of 100.
pub const CONNECTIONS: usize = 4;

/// Rows of a chunk's largest file: scanned by every reader within seconds.
pub const FILE_ROWS: u64 = 1_000_000;

/// Bytes of a chunk's largest file: what Athena and Spark like to read at once.
pub const FILE_SIZE_BYTES: u64 = 256 * 1024 * 1024;

/// Age of a chunk's oldest record: how far the lake is behind on a quiet day.
pub const FILE_AGE: Duration = Duration::from_secs(10 * 60);

/// Bytes of rows and open files held at one time: fits a container of half a gigabyte.
pub const MEMORY_BYTES: u64 = 256 * 1024 * 1024;

/// PostgreSQL's registered port.
pub const POSTGRES_PORT: u16 = 5432;

/// MariaDB's registered port.
pub const MARIADB_PORT: u16 = 3306;

/// How pages are compressed: zstd is the smallest of those every reader knows, and fast enough.
pub const FILE_COMPRESSION: Compression = Compression::Zstd;

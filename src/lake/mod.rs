//! Batches as partitioned Parquet files in a store.
//!
//! `partition.rs` cuts a batch by its partition directories, `parquet.rs` writes one file, `growing.rs` holds
//! its first rows, `plan.rs` is the durable decision which offsets make one chunk of files, `current.rs` the
//! pointer to a bulk table's load, `owner.rs` says whose lake it is, `store/` puts and gets objects, on S3 and
//! in a local directory, with the same guarantees.

mod current;
mod growing;
mod owner;
mod parquet;
mod partition;
mod plan;
mod schema;
mod some_rows;
pub mod store;

pub use current::{CurrentLoad, load_of, load_path, next_ulid, read_object};
pub use growing::{GrowingFile, Shape, compression_name};
pub use owner::Owner;
pub use parquet::{FileFooter, Footer, LoadFooter, ParquetFile, WrittenFile, read_footer};
pub use partition::{Layout, LayoutSpec};
pub use plan::{FilePlan, Plan};
pub use schema::{OFFSET_COLUMN, append_offsets, file_schema};
pub use some_rows::{Contents, RowGroup, SomeRows, read_some};
pub use store::{Entry, PutOutcome, Store, Swap, open_store, open_to_read};

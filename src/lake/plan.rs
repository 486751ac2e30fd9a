//! The durable decision which offsets of a partition make one chunk of files. Format version 1.

use serde::{Deserialize, Serialize};

use super::partition::LayoutSpec;
use super::schema::OFFSET_COLUMN;
use crate::error::{Error, Kind, Result};

/// The format this program writes and reads.
const VERSION: u32 = 1;

/// A plan: everything that shapes the files of the chunk `[start, end)`, so that whoever executes it writes
/// the same rows into the same names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub v: u32,
    pub topic: String,
    pub partition: i32,
    pub epoch: u64,
    /// Offset of the first record; a run begins there.
    pub start: u64,
    /// Offset of the last record + 1.
    pub end: u64,
    /// Sequence number of the record at `start`.
    pub first_sequence: u64,
    /// Sequence number the next chunk begins with.
    pub next_sequence: u64,
    /// The load these rows belong to, for a bulk table.
    pub load: Option<String>,
    pub file: FilePlan,
}

/// How the files of a chunk are laid out and written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlan {
    /// `<source>/<table>`, or `<source>/<table>/snapshot=<ULID>`, relative to the lake's root.
    pub table_path: String,
    /// The table as people write it, for the footer.
    pub table: String,
    pub fingerprint: String,
    pub layout: LayoutSpec,
    /// `zstd`, `snappy`, `lz4` or `none`.
    pub compression: String,
    /// Metadata columns appended to the table's own: `cdc_offset` or none.
    pub metadata_columns: Vec<String>,
    /// The guard class when the plan was made, for the footer.
    pub guard: String,
}

impl Plan {
    /// Where the plans of a partition and epoch are, ascending by start: `_cdc/plan/<topic>/<epoch>/<partition>/`.
    pub fn directory(topic: &str, epoch: u64, partition: i32) -> String {
        format!("_cdc/plan/{topic}/{epoch}/{partition}/")
    }

    /// `_cdc/plan/<topic>/<epoch>/<partition>/<start, 20 digits>`.
    pub fn path(topic: &str, epoch: u64, partition: i32, start: u64) -> String {
        format!("{}{start:020}", Plan::directory(topic, epoch, partition))
    }

    /// `<table path>/<directory>/<topic>+<epoch>+<partition>+<s>-<e>.parquet`.
    pub fn file_path(&self, directory: &str) -> String {
        let table = &self.file.table_path;
        let slash = if directory.is_empty() { "" } else { "/" };
        format!("{table}/{directory}{slash}{}", self.file_name())
    }

    fn file_name(&self) -> String {
        let Plan {
            topic,
            epoch,
            partition,
            start,
            end,
            ..
        } = self;
        format!("{topic}+{epoch}+{partition}+{start:020}-{end:020}.parquet")
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a plan. `TryLater` for an unknown version (a newer `cdc` wrote it), `Data` for anything else.
    pub fn from_json(text: &[u8]) -> Result<Plan> {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        let broken =
            |error: serde_json::Error| Error::new(Kind::Data, "reading a plan").because(error);
        let Version { v } = serde_json::from_slice(text).map_err(broken)?;
        if v != u64::from(VERSION) {
            return Err(newer(format!(
                "the plan has format version {v}, and this program knows {VERSION}"
            )));
        }
        let plan: Plan = serde_json::from_slice(text).map_err(broken)?;
        if let Some(column) = plan
            .file
            .metadata_columns
            .iter()
            .find(|column| *column != OFFSET_COLUMN)
        {
            return Err(newer(format!(
                "the plan asks for the metadata column `{column}`, which is not known"
            )));
        }
        if plan.end <= plan.start || plan.next_sequence <= plan.first_sequence {
            return Err(Error::new(
                Kind::Data,
                format!("the plan ends at offset {} before it began", plan.end),
            ));
        }
        Ok(plan)
    }
}

fn newer(what: String) -> Error {
    Error::new(Kind::TryLater, what)
        .code(crate::error::Code::NEWER_VERSION)
        .hint("a newer `cdc` wrote it: let that one go on, or upgrade this one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            v: 1,
            topic: "retail.orders".into(),
            partition: 3,
            epoch: 1_780_000_000_000,
            start: 1_000,
            end: 2_001,
            first_sequence: 990,
            next_sequence: 1_985,
            load: None,
            file: FilePlan {
                table_path: "ec/orders".into(),
                table: "ec.orders".into(),
                fingerprint: "0123456789abcdef".into(),
                layout: LayoutSpec {
                    partition_by: vec![("dt".into(), "day(ordered_at)".into())],
                    zone: "Asia/Seoul".into(),
                    source_zone: "UTC".into(),
                    tzdb: "0011223344556677".into(),
                    bucket_hash: "murmur3_x86_32".into(),
                    null_partition: None,
                },
                compression: "zstd".into(),
                metadata_columns: vec!["cdc_offset".into()],
                guard: "proven".into(),
            },
        }
    }

    #[test]
    fn a_plan_and_its_paths_are_written_the_same_way_for_ever() {
        insta::assert_snapshot!(plan().to_json(), @r#"{"v":1,"topic":"retail.orders","partition":3,"epoch":1780000000000,"start":1000,"end":2001,"first_sequence":990,"next_sequence":1985,"load":null,"file":{"table_path":"ec/orders","table":"ec.orders","fingerprint":"0123456789abcdef","layout":{"partition_by":[["dt","day(ordered_at)"]],"zone":"Asia/Seoul","source_zone":"UTC","tzdb":"0011223344556677","bucket_hash":"murmur3_x86_32","null_partition":null},"compression":"zstd","metadata_columns":["cdc_offset"],"guard":"proven"}}"#);
        assert_eq!(
            Plan::from_json(plan().to_json().as_bytes()).expect("a plan"),
            plan()
        );
        assert_eq!(
            Plan::path("retail.orders", 1_780_000_000_000, 3, 1_000),
            "_cdc/plan/retail.orders/1780000000000/3/00000000000000001000"
        );
        let name =
            "retail.orders+1780000000000+3+00000000000000001000-00000000000000002001.parquet";
        assert_eq!(
            plan().file_path("dt=2026-10-01"),
            format!("ec/orders/dt=2026-10-01/{name}")
        );
        assert_eq!(plan().file_path(""), format!("ec/orders/{name}"));
    }

    #[test]
    fn a_plan_of_a_newer_version_is_left_for_later_and_a_broken_one_is_an_error() {
        let kind = |text: &str| {
            Plan::from_json(text.as_bytes())
                .expect_err("no plan")
                .kind()
        };
        assert_eq!(kind(r#"{"v":2,"skip":true}"#), Kind::TryLater);
        assert_eq!(
            kind(&plan().to_json().replace("cdc_offset", "cdc_op")),
            Kind::TryLater
        );
        assert_eq!(
            kind(&plan().to_json().replace(r#""end":2001"#, r#""end":1000"#)),
            Kind::Data
        );
        for broken in ["", "{}", r#"{"v":1}"#, "\u{0}", r#"{"v":1,"#] {
            assert_eq!(kind(broken), Kind::Data, "{broken}");
        }
    }
}

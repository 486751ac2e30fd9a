//! Plans as they lie in the lake: chunks, and stretches of the log that were given up by hand.

use serde::{Deserialize, Serialize};

use super::chunk::Expected;
use crate::error::{Error, Kind, Result};
use crate::lake::Plan;

/// The folder of all plans of a topic.
pub fn plans_of(topic: &str) -> String {
    format!("_cdc/plan/{topic}/")
}

/// The name of a plan, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanKey {
    pub epoch: u64,
    pub partition: i32,
    pub start: u64,
}

impl PlanKey {
    /// Reads `_cdc/plan/<topic>/<epoch>/<partition>/<start>`; `None` for anything else.
    pub fn parse(topic: &str, path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix(&plans_of(topic))?.split('/');
        let key = PlanKey {
            epoch: parts.next()?.parse().ok()?,
            partition: parts.next()?.parse().ok()?,
            start: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(key)
    }

    /// The path of this plan.
    pub fn path(&self, topic: &str) -> String {
        Plan::path(topic, self.epoch, self.partition, self.start)
    }
}

/// A stretch of the log that was given up by hand: reading goes on at `end` with whatever comes. One of no record has
/// the name that the next chunk's plan has, which takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipPlan {
    pub v: u32,
    /// Always true; tells a skip from a chunk.
    pub skip: bool,
    pub epoch: u64,
    /// Offset where the partition stopped.
    pub start: u64,
    pub end: u64,
    /// The number that the first record behind it must have: known where the log ended with records of others. Else
    /// whatever comes is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_sequence: Option<u64>,
    pub reason: String,
}

/// What lies at the path of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    Chunk(Box<Plan>),
    Skip(SkipPlan),
}

impl Stored {
    /// Reads either. `TryLater` for an unknown version, `Data` for anything else that cannot be read.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Kinds {
            #[serde(default)]
            v: u32,
            #[serde(default)]
            skip: bool,
        }
        let doing = "reading a plan";
        let kinds: Kinds =
            serde_json::from_slice(text).map_err(|e| Error::new(Kind::Data, doing).because(e))?;
        if !kinds.skip {
            return Ok(Stored::Chunk(Box::new(Plan::from_json(text)?)));
        }
        if kinds.v != 1 {
            return Err(
                Error::new(Kind::TryLater, format!("{doing} of version {}", kinds.v))
                    .hint("a newer `cdc` wrote it; run that version here too"),
            );
        }
        let skip =
            serde_json::from_slice(text).map_err(|e| Error::new(Kind::Data, doing).because(e))?;
        Ok(Stored::Skip(skip))
    }

    pub fn start(&self) -> u64 {
        match self {
            Stored::Chunk(plan) => plan.start,
            Stored::Skip(skip) => skip.start,
        }
    }

    pub fn end(&self) -> u64 {
        match self {
            Stored::Chunk(plan) => plan.end,
            Stored::Skip(skip) => skip.end,
        }
    }

    /// What the run behind it must look like.
    pub fn expected_behind(&self) -> Expected {
        match self {
            Stored::Chunk(plan) => Expected {
                epoch: plan.epoch,
                sequence: Some(plan.next_sequence),
            },
            Stored::Skip(skip) => Expected {
                epoch: skip.epoch,
                sequence: skip.next_sequence,
            },
        }
    }
}

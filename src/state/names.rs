//! The names of a pipeline's own topics, groups and ids.

/// What the `client.id` of a worker ends with that is a command which ends by itself.
pub const ENDS_BY_ITSELF: &str = "-once";

/// Every name follows from the pipeline's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineNames {
    /// What each table remembers; owning one of its partitions is owning the tables in it.
    pub state_topic: String,
    /// Every schema ever written, by fingerprint.
    pub schemas_topic: String,
    /// Bulk loads and retired epochs.
    pub loads_topic: String,
    pub capture_group: String,
    pub sink_group: String,
    pipeline: String,
}

impl PipelineNames {
    /// Partitions of the state topic, fixed when it is created.
    pub const STATE_PARTITIONS: i32 = 16;

    pub fn new(pipeline: &str) -> Self {
        PipelineNames {
            state_topic: format!("_cdc_state.{pipeline}"),
            schemas_topic: format!("_cdc_schemas.{pipeline}"),
            loads_topic: format!("_cdc_loads.{pipeline}"),
            capture_group: format!("cdc.{pipeline}.capture"),
            sink_group: format!("cdc.{pipeline}.sink"),
            pipeline: pipeline.to_owned(),
        }
    }

    /// The transactional id of one worker's producer: a restart under the same name settles its own
    /// transaction at once.
    pub fn transactional_id(&self, worker: &str, slot: u32) -> String {
        format!("cdc.{}.{worker}.capture.{slot}", self.pipeline)
    }

    /// The transactional id under which `check` tries a transaction: no worker's, so that none is fenced.
    pub fn check_transactional_id(&self) -> String {
        format!("cdc.{}.check", self.pipeline)
    }
}

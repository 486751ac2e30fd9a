//! The schemas topic, read when a run names a schema that is not known yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::partition::Schemas;
use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::model::{Fingerprint, TableSchema};
use crate::topic::Compacted;

/// Reads `_cdc_schemas.<pipeline>`.
pub struct KafkaSchemas {
    kafka: KafkaSettings,
    client_id: String,
    topic: String,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    topic: Option<Compacted>,
    known: HashMap<Fingerprint, Arc<TableSchema>>,
}

impl KafkaSchemas {
    pub fn new(kafka: &KafkaSettings, client_id: &str, topic: &str) -> Self {
        KafkaSchemas {
            kafka: kafka.clone(),
            client_id: client_id.to_owned(),
            topic: topic.to_owned(),
            inside: Mutex::default(),
        }
    }

    /// The topic read to its present end.
    fn fresh<'a>(&self, topic: &'a mut Option<Compacted>) -> Result<&'a Compacted> {
        match topic {
            Some(open) => {
                open.refresh()?;
                Ok(open)
            }
            None => {
                let open = Compacted::open(&self.kafka, &self.client_id, &self.topic)?;
                Ok(topic.insert(open))
            }
        }
    }
}

impl Schemas for KafkaSchemas {
    fn schema(&self, fingerprint: &Fingerprint) -> Result<Arc<TableSchema>> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let Inside { topic, known } = &mut *inside;
        if let Some(schema) = known.get(fingerprint) {
            return Ok(schema.clone());
        }
        let doing = || format!("reading schema `{fingerprint}` of topic `{}`", self.topic);
        let text = self
            .fresh(topic)?
            .get(fingerprint.as_str().as_bytes())
            .ok_or_else(|| {
                Error::new(Kind::Data, doing())
                    .because("there is none, and it is written before the first row that has it")
                    .hint("the topic was deleted or cut; `cdc check` says more")
            })?;
        let schema = TableSchema::from_canonical_json(text)
            .map_err(|why| Error::new(Kind::Data, doing()).because(why))?;
        let schema = Arc::new(schema);
        known.insert(fingerprint.clone(), schema.clone());
        Ok(schema)
    }
}

//! Makes schemas known: a schema is acknowledged in the schemas topic before the first run that names it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::config::KafkaSettings;
use crate::error::{Error, Kind, Result};
use crate::model::{Fingerprint, TableSchema};
use crate::state::PipelineNames;
use crate::topic::{Appender, Compacted};

/// Writes each schema once per process; a repeated record is compacted away.
pub struct Schemas {
    appender: Mutex<Appender>,
    topic: String,
    known: Mutex<HashSet<Fingerprint>>,
    kafka: KafkaSettings,
    client_id: String,
}

impl Schemas {
    pub fn open(kafka: &KafkaSettings, names: &PipelineNames, client_id: &str) -> Result<Self> {
        let appender = Mutex::new(Appender::open(kafka, client_id)?);
        Ok(Schemas {
            appender,
            topic: names.schemas_topic.clone(),
            known: Mutex::default(),
            kafka: kafka.clone(),
            client_id: client_id.to_owned(),
        })
    }

    /// A schema that was announced earlier, by anybody. Blocking.
    pub fn find(&self, fingerprint: &str) -> Result<Option<TableSchema>> {
        let announced = Compacted::open(&self.kafka, &self.client_id, &self.topic)?;
        let Some(text) = announced.get(fingerprint.as_bytes()) else {
            return Ok(None);
        };
        TableSchema::from_canonical_json(text)
            .map(Some)
            .map_err(|why| {
                Error::new(Kind::Data, format!("reading schema `{fingerprint}`")).because(why)
            })
    }

    /// Returns once the schema is durable. Blocking.
    pub fn announce(&self, schema: &TableSchema) -> Result<Fingerprint> {
        let fingerprint = schema.fingerprint();
        let is_known = |schemas: &Self| {
            schemas
                .known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&fingerprint)
        };
        if is_known(self) {
            return Ok(fingerprint);
        }
        let appender = self.appender.lock().unwrap_or_else(PoisonError::into_inner);
        let text = schema.canonical_json();
        appender.append(
            &self.topic,
            0,
            fingerprint.as_str().as_bytes(),
            Some(text.as_bytes()),
        )?;
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(fingerprint.clone());
        Ok(fingerprint)
    }
}

//! Topics: making and checking them, writing in transactions, reading, and compacted topics as bytes.

use rdkafka::ClientConfig;

use crate::config::KafkaSettings;

/// The client properties every connection of this pipeline shares; `client_id` says whose it is.
pub fn client_config(kafka: &KafkaSettings, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in &kafka.client {
        config.set(key, value.reveal());
    }
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("client.id", client_id)
        .set("check.crcs", "true")
        .set("log.connection.close", "false");
    config
}

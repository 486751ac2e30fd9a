//! The `kafka:` block.

use std::collections::BTreeMap;

use super::block::{Block, Report};
use crate::config::{KafkaSettings, Secret, client, defaults, units};
use crate::model::TopicName;

/// `None` where a required value is missing or wrong, which is reported.
pub(super) fn kafka(block: &Block<'_>, report: &mut Report) -> Option<KafkaSettings> {
    if block.lacks("brokers") {
        let text = "`kafka.brokers` is missing; write e.g. `brokers: \"host:9092\"`";
        report.problem(block.place, text);
    }
    let brokers = report.parsed(block.value("brokers"), brokers);
    let topic_prefix = report.parsed_openly(block.value("topic_prefix"), "topic prefix", prefix);
    report.parsed(block.value("format"), |text| match text {
        "json" => Ok(()),
        "avro" | "connect-json" => Err("is not there yet; there is `json`".to_owned()),
        _ => Err("is no format; there is `json`".to_owned()),
    });
    let topics = block.block("topics");
    let in_topics = |key| topics.as_ref().and_then(|topics| topics.value(key));
    let partitions = report.parsed(in_topics("partitions"), |text| count(text, 1, 10_000));
    let replication = report.parsed(in_topics("replication"), |text| match text {
        "-1" => Ok(defaults::TOPIC_REPLICATION),
        _ => count(text, 1, 32_767)
            .map_err(|why| format!("{why}, nor -1, which leaves it to the broker")),
    });
    let retention = report.parsed(in_topics("retention"), units::duration);
    let client = client_properties(block, report);
    Some(KafkaSettings {
        brokers: brokers?,
        topic_prefix: topic_prefix.unwrap_or_default(),
        partitions: partitions.unwrap_or(defaults::TOPIC_PARTITIONS),
        replication: replication.unwrap_or(defaults::TOPIC_REPLICATION),
        retention: retention.unwrap_or(defaults::TOPIC_RETENTION),
        client,
    })
}

fn count(text: &str, least: i64, most: i64) -> Result<i32, String> {
    let number = units::number(text, least..=most)?;
    i32::try_from(number).map_err(|_| "is too large".to_owned())
}

/// `host:port,host:port`, without the spaces people put after commas.
fn brokers(text: &str) -> Result<String, String> {
    const FORM: &str = "write `host:port`, several with commas between them";
    let mut brokers = Vec::new();
    for broker in text.split(',').map(str::trim) {
        let (host, port) = match broker.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (broker, None),
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        let wrong_host = host.is_empty() || host.contains(['/', '@', ' ']);
        if wrong_host || !port.is_none_or(is_port) {
            return Err(format!("is no list of brokers; {FORM}"));
        }
        brokers.push(broker);
    }
    Ok(brokers.join(","))
}

fn prefix(text: &str) -> Result<String, String> {
    match TopicName::new(format!("{text}x")) {
        Ok(_) => Ok(text.to_owned()),
        Err(why) => Err(format!("`{text}` cannot begin a topic's name: {why}")),
    }
}

/// Properties for librdkafka, without those the protocol rests on.
fn client_properties(block: &Block<'_>, report: &mut Report) -> BTreeMap<String, Secret> {
    let mut properties = BTreeMap::new();
    for (property, place, value) in block.pairs("client") {
        if let Some(reason) = client::refusal(property) {
            let text = format!("`{property}` cannot be set in `kafka.client`: {reason}");
            report.problem(place, text);
            continue;
        }
        if client::is_secret(property) && value.text.is_literal() {
            let text = format!(
                "`{}` stands in the file for everybody to read; write `\"${{file:/run/secrets/kafka}}\"` or `\"${{env:KAFKA_PASSWORD}}\"`",
                value.path
            );
            report.warning(value.place, text);
        }
        check_login(property, &value, report);
        properties.insert(property.to_owned(), Secret::new(value.text.value()));
    }
    let protocol = properties.get("security.protocol").map(Secret::reveal);
    let is_sasl = protocol.is_some_and(|text| text.to_ascii_lowercase().starts_with("sasl"));
    let names_mechanism = ["sasl.mechanism", "sasl.mechanisms"]
        .iter()
        .any(|property| block.has_below("client", property));
    if is_sasl && !names_mechanism {
        let text = "`kafka.client` logs in by SASL, but `sasl.mechanism` is missing; it is one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512";
        let place = block
            .pairs("client")
            .first()
            .map_or(block.place, |(_, place, _)| *place);
        report.problem(place, text);
    }
    properties
}

/// librdkafka reports these two late and in words about Kerberos.
fn check_login(property: &str, value: &super::block::Value<'_>, report: &mut Report) {
    let allowed: &[&str] = match property {
        "security.protocol" => &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"],
        "sasl.mechanism" | "sasl.mechanisms" => &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        _ => return,
    };
    report.parsed(Some(value.clone()), |text| {
        match allowed.iter().any(|word| word.eq_ignore_ascii_case(text)) {
            true => Ok(()),
            false => Err(format!(
                "is not built in; allowed are {}",
                allowed.join(", ")
            )),
        }
    });
}

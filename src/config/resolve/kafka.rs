//! The `kafka:` block.

use std::collections::BTreeMap;

use super::block::{Block, Report, Value};
use crate::config::peer::is_loopback;
use crate::config::{KafkaSettings, Secret, client, defaults, units};
use crate::error::Code;

/// `None` where a required value is missing or wrong, which is reported.
pub(super) fn kafka(block: &Block<'_>, report: &mut Report) -> Option<KafkaSettings> {
    if block.lacks("brokers") {
        let text = "`kafka.brokers` is missing; write e.g. `brokers: \"host:9092\"`";
        report.problem(Code::KEY_MISSING, block.place, text);
    }
    let brokers = report.parsed(block.value("brokers"), brokers);
    let topic_prefix = report.parsed_openly(
        block.value("topic_prefix"),
        "topic prefix",
        units::topic_prefix,
    );
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
    let mut client = client_properties(block, report);
    if let (Some(brokers), Some(value)) = (&brokers, block.value("brokers")) {
        check_encryption(brokers, &value, &mut client, report);
    }
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

/// Properties for librdkafka, without those the protocol rests on.
fn client_properties(block: &Block<'_>, report: &mut Report) -> BTreeMap<String, Secret> {
    let mut properties = BTreeMap::new();
    for (property, place, value) in block.pairs("client") {
        if let Some(reason) = client::refusal(property) {
            let text = format!("`{property}` cannot be set in `kafka.client`: {reason}");
            report.problem(Code::CLIENT_PROPERTY, place, text);
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
        report.problem(Code::KAFKA_LOGIN, place, text);
    }
    properties
}

/// TLS with all its checks, unless something else is written or every broker is this machine; what is weaker
/// gives a warning.
fn check_encryption(
    brokers: &str,
    value: &Value<'_>,
    client: &mut BTreeMap<String, Secret>,
    report: &mut Report,
) {
    let host = |broker: &str| match broker.rsplit_once(':') {
        Some((host, _)) if !host.ends_with(':') => host.trim_matches(['[', ']']).to_owned(),
        _ => broker.to_owned(),
    };
    if brokers.split(',').all(|broker| is_loopback(&host(broker))) {
        return;
    }
    let protocol = client
        .entry("security.protocol".to_owned())
        .or_insert_with(|| Secret::new("ssl"));
    let is_encrypted = protocol.reveal().to_ascii_lowercase().ends_with("ssl");
    let says = |property: &str, weak: &[&str]| {
        let value = client.get(property).map(Secret::reveal);
        value.is_some_and(|value| weak.iter().any(|weak| weak.eq_ignore_ascii_case(value)))
    };
    let weakness = if !is_encrypted {
        "no encryption: passwords and rows can be read on the way"
    } else if says("enable.ssl.certificate.verification", &["false", "0", "f"]) {
        "no check of the certificate: anybody may answer in a broker's place"
    } else if says("ssl.endpoint.identification.algorithm", &["none"]) {
        "no check of the host's name: every server with a certificate of that authority may answer in a broker's place"
    } else {
        return;
    };
    report.warning(value.place, format!("`kafka.client` asks for {weakness}"));
}

/// librdkafka reports these two late and in words about Kerberos.
fn check_login(property: &str, value: &Value<'_>, report: &mut Report) {
    let allowed: &[&str] = match property {
        "security.protocol" => client::PROTOCOLS,
        "sasl.mechanism" | "sasl.mechanisms" => client::MECHANISMS,
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

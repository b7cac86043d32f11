//! The producer's settings.

use std::time::Duration;

use rdkafka::config::ClientConfig;

use crate::config::{Config, Properties};
use crate::kafka::context::log_connections;

/// The largest request for a broker with default settings
/// (`socket.request.max.bytes`). Up to here the broker decides; beyond, it
/// closes the connection without a response.
const MAX_BYTES: &str = "104857600";

/// Prefixes of the properties for consumers alone, and of those for producers
/// alone, which are set here.
const NOT_SHARED: [&str; 31] = [
    "auto.",
    "batch.",
    "check.crcs",
    "consume.",
    "coordinator.query.",
    "delivery.",
    "enable.auto.",
    "enable.gapless.",
    "enable.idempotence",
    "enable.partition.eof",
    "fetch.",
    "group.",
    "heartbeat.",
    "isolation.",
    "max.in.flight",
    "max.partition.fetch.",
    "max.poll.",
    "message.",
    "offset.",
    "partition.",
    "partitioner",
    "produce.",
    "queue.",
    "queued.",
    "queuing.",
    "request.",
    "session.",
    "socket.timeout.",
    "statistics.",
    "sticky.",
    "transaction",
];

/// The settings of a producer for the brokers of `config`, whose records are
/// acknowledged within `timeout` or fail. Holds secrets.
pub(super) fn settings(config: &Config, properties: &Properties, timeout: Duration) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("client.id", &*config.group_id)
        .set("ssl.ca.location", "probe");
    // As for the consumer: how soon a broker of the metadata is connected to.
    if properties.get("reconnect.backoff.max.ms").is_none() {
        client.set("reconnect.backoff.ms", "20");
    }
    for (name, value) in properties.iter() {
        if is_shared(name) {
            client.set(name, value);
        }
    }
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("request.required.acks", "all")
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", MAX_BYTES)
        .set("message.timeout.ms", timeout.as_millis().to_string())
        // A connection that went stale while the process was frozen leaves
        // time for another one.
        .set("socket.timeout.ms", (timeout / 2).as_millis().to_string())
        // No more records come that would be worth waiting for.
        .set("queue.buffering.max.ms", "0")
        // A broker limits the size of batches: so it limits that of one record.
        .set("batch.num.messages", "1");
    log_connections(&mut client);
    client
}

fn is_shared(canonical_name: &str) -> bool {
    !NOT_SHARED.iter().any(|start| canonical_name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings_of(more: &[(&str, &str)]) -> ClientConfig {
        let pairs = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::from_lookup(pairs).expect("these are settings");
        settings(&config, &config.kafka_properties, Duration::from_secs(4))
    }

    #[test]
    fn the_producer_connects_as_the_consumer_does() {
        let settings = settings_of(&[
            ("KAFKA_BOOTSTRAP_SERVERS", "b:1"),
            ("KAFKA_GROUP_ID", "g"),
            ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
            ("KAFKA_SASL_MECHANISM", "PLAIN"),
            ("KAFKA_SASL_USERNAME", "u"),
            ("KAFKA_SASL_PASSWORD", "p"),
            ("KAFKA_SSL_CA_LOCATION", "/ca"),
            ("KAFKA_SOCKET_KEEPALIVE_ENABLE", "true"),
            ("KAFKA_COMPRESSION_TYPE", "zstd"),
            ("KAFKA_RECONNECT_BACKOFF_MS", "7"),
        ]);
        let expected = [
            ("bootstrap.servers", "b:1"),
            ("client.id", "g"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "u"),
            ("sasl.password", "p"),
            ("ssl.ca.location", "/ca"),
            ("socket.keepalive.enable", "true"),
            ("compression.codec", "zstd"),
            ("reconnect.backoff.ms", "7"),
        ];
        for (name, value) in expected {
            assert_eq!(settings.get(name), Some(value), "{name}");
        }
        assert!(settings.create_native_config().is_ok());
    }

    #[test]
    fn a_lower_limit_of_the_user_for_reconnects_creates_a_producer() {
        let settings = settings_of(&[("KAFKA_RECONNECT_BACKOFF_MAX_MS", "10")]);
        assert_eq!(settings.get("reconnect.backoff.max.ms"), Some("10"));
        assert_eq!(settings.get("reconnect.backoff.ms"), None);
        assert_eq!(settings_of(&[]).get("reconnect.backoff.ms"), Some("20"));
    }

    #[test]
    fn properties_of_consumers_and_those_that_would_lose_records_are_left_out() {
        let settings = settings_of(&[
            ("KAFKA_ACKS", "0"),
            ("KAFKA_MESSAGE_MAX_BYTES", "2000"),
            ("KAFKA_MAX_IN_FLIGHT", "100"),
            ("KAFKA_RETRIES", "0"),
            ("KAFKA_LINGER_MS", "60000"),
            ("KAFKA_DELIVERY_TIMEOUT_MS", "1"),
            ("KAFKA_DELIVERY_REPORT_ONLY_ERROR", "true"),
            ("KAFKA_TRANSACTIONAL_ID", "t"),
            ("KAFKA_FETCH_WAIT_MAX_MS", "7"),
            ("KAFKA_ISOLATION_LEVEL", "read_uncommitted"),
            ("KAFKA_SESSION_TIMEOUT_MS", "6000"),
            ("KAFKA_STATISTICS_INTERVAL_MS", "10"),
        ]);
        let owned = [
            ("request.required.acks", Some("all")),
            ("enable.idempotence", Some("true")),
            ("message.max.bytes", Some(MAX_BYTES)),
            ("message.timeout.ms", Some("4000")),
            ("queue.buffering.max.ms", Some("0")),
        ];
        let left_out = [
            "max.in.flight.requests.per.connection",
            "message.send.max.retries",
            "delivery.report.only.error",
            "transactional.id",
            "fetch.wait.max.ms",
            "isolation.level",
            "session.timeout.ms",
            "statistics.interval.ms",
        ];
        for (name, value) in owned.into_iter().chain(left_out.map(|name| (name, None))) {
            assert_eq!(settings.get(name), value, "{name}");
        }
    }
}

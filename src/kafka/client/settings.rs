//! The properties of the librdkafka client.

use rdkafka::ClientConfig;

use crate::config::{Config, Properties};
use crate::kafka::context;
use crate::kafka::fetch::{self, FetchSizes};

/// For the brokers of `config`, with these properties of the user, secrets
/// among them, which override what is not owned.
pub(super) fn consumer(config: &Config, properties: &Properties) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("client.id", &*config.group_id)
        .set("ssl.ca.location", "probe")
        .set("topic.metadata.refresh.interval.ms", "60000")
        // librdkafka closes its bootstrap connection after the first metadata, and waits half of
        // this, 11 ms at least, before it connects to a broker of the metadata: by default 50 ms.
        .set("reconnect.backoff.ms", "20")
        .set(
            "statistics.interval.ms",
            context::statistics_interval_ms(config.poll_timeout).to_string(),
        );
    FetchSizes::new(config.max_memory_bytes, config.max_messages).apply(&mut client);
    for (name, value) in properties.iter() {
        client.set(name, value);
    }
    fetch::respect_user_limits(&mut client, properties);
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("group.id", &*config.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true");
    context::log_connections(&mut client);
    client
}

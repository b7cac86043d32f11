//! Names of brokers, topics, the group and the table. Each function takes the raw text of a setting
//! and returns it validated, or what is allowed.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::sync::Arc;

use super::problem::NotAllowed;
use super::setting::SETTINGS;

/// Kafka's own limit, in characters: a log directory's name has to fit into a file name.
const MAX_TOPIC_CHARS: usize = 249;

/// The length of a table's name, in characters.
const TABLE_CHARS: std::ops::RangeInclusive<usize> = 3..=255;

/// The limit of the table's partition key, in bytes.
pub(crate) const MAX_KEY_BYTES: usize = 2048;

/// The protocols that may stand before a broker's address.
const PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];

/// A comma-separated list of `host`, `host:port` or `protocol://host:port`, without blanks.
///
/// librdkafka only logs an address that it cannot parse and ignores those behind it; a run would then
/// wait until its time-out. `security_protocol` is the setting's value in lower case: librdkafka
/// ignores an address with another protocol.
pub(super) fn bootstrap_servers(text: &str, security_protocol: &str) -> Result<String, NotAllowed> {
    let servers: Vec<&str> = text.split(',').map(str::trim).collect();
    for server in &servers {
        let address = match server.split_once("://") {
            None => server,
            Some((protocol, address)) => {
                if !PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol)) {
                    return Err(NotAllowed::new("must be host:port, comma-separated"));
                }
                if !protocol.eq_ignore_ascii_case(security_protocol) {
                    return Err(NotAllowed::new(format!(
                        "names another protocol than KAFKA_SECURITY_PROTOCOL, which is `{security_protocol}`; write host:port only",
                    )));
                }
                address
            }
        };
        if !is_address(address) {
            return Err(NotAllowed::new(
                "must be host:port, comma-separated, such as `broker-1:9092,broker-2:9092`",
            ));
        }
    }
    Ok(servers.join(","))
}

fn is_address(address: &str) -> bool {
    let (host_is_valid, port) = if let Some(rest) = address.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else {
            return false;
        };
        (host.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = address.find(':').map_or((address, ""), |at| address.split_at(at));
        let valid = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        (!host.is_empty() && host.chars().all(valid), port)
    };
    // librdkafka reads an address without a port as port 9092.
    let port_is_valid = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0));
    host_is_valid && port_is_valid
}

/// One topic, or several with commas, in the order given; none twice.
pub(super) fn topics(text: &str) -> Result<Vec<Arc<str>>, NotAllowed> {
    let mut seen = BTreeSet::new();
    text.split(',')
        .map(str::trim)
        .map(|topic| {
            if topic.is_empty() {
                return Err(NotAllowed::new("holds an empty name; write topics with one comma between two"));
            }
            if !is_topic(topic) {
                return Err(NotAllowed::new(
                    "must be topic names, comma-separated: 1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-` each, not `.` or `..`",
                ));
            }
            if !seen.insert(topic) {
                return Err(NotAllowed::new(format!("names `{topic}` twice; name each topic once")));
            }
            Ok(Arc::from(topic))
        })
        .collect()
}

/// Whether `text` is a valid name of a Kafka topic.
pub(super) fn is_topic(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_TOPIC_CHARS).contains(&text.len()) && !matches!(text, "." | "..") && text.bytes().all(valid)
}

/// Whether the name of a topic can begin so.
pub(super) fn is_topic_prefix(text: &str) -> bool {
    matches!(text, "." | "..") || is_topic(text)
}

/// Whether the only topic is the default of `KAFKA_TOPIC`.
pub(super) fn are_default(topics: &[Arc<str>]) -> bool {
    let default = SETTINGS.iter().find(|setting| setting.variable == "KAFKA_TOPIC");
    let default = default.and_then(|setting| setting.default);
    matches!(topics, [topic] if Some(&**topic) == default)
}

/// A group id: anything but control characters and blanks at its ends.
pub(super) fn group_id(text: &str) -> Result<Arc<str>, NotAllowed> {
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(NotAllowed::new(
            "must not begin or end with white space, or hold control characters",
        ));
    }
    Ok(Arc::from(text))
}

/// Whether `text` is a valid name of a table.
pub(super) fn is_table(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    TABLE_CHARS.contains(&text.len()) && text.bytes().all(valid)
}

/// A table's name, or its ARN.
pub(super) fn table(text: &str) -> Result<String, NotAllowed> {
    let name = if text.starts_with("arn:") {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            [_, partition, "dynamodb", region, account, resource]
                if partition.starts_with("aws") && !region.is_empty() && !account.is_empty() =>
            {
                resource.strip_prefix("table/")
            }
            _ => None,
        }
    } else {
        Some(text)
    };
    match name {
        Some(name) if is_table(name) => Ok(text.to_owned()),
        _ => Err(NotAllowed::new(
            "must be the name of a table, 3 to 255 of a-z, A-Z, 0-9, `.`, `_` and `-`, or its ARN (arn:aws:dynamodb:<region>:<account>:table/<name>)",
        )),
    }
}

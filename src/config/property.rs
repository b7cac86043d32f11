//! `KAFKA_*` variables that are librdkafka properties.
//!
//! Whether a property exists and accepts its value is checked with librdkafka itself, the version
//! that is linked in: a configuration is built with it, and no client, so no connection is made.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::foreign::other_program;
use super::pem::{self, PemKind};
use super::problem::{InvalidSetting, NotAllowed, is_secret, shown};
use super::suggest::similar_names;
use super::vars::Vars;

/// The beginning of every variable of a librdkafka property.
const PREFIX: &str = "KAFKA_";

/// Variables that are settings of this program, and no librdkafka properties.
const NAMED: [(&str, &str); 5] = [
    ("KAFKA_BOOTSTRAP_SERVERS", "bootstrap.servers"),
    ("KAFKA_TOPIC", "topic"),
    ("KAFKA_GROUP_ID", "group.id"),
    ("KAFKA_SECRET_ARN", "secret.arn"),
    ("KAFKA_CA_SECRET_ARN", "ca.secret.arn"),
];

/// The setting for OAUTHBEARER with tokens signed for Amazon MSK.
const MSK_IAM: &str = "AWS_MSK_IAM";

/// The SASL mechanisms of this build. GSSAPI, librdkafka's default, needs Kerberos.
pub(super) const MECHANISMS: [&str; 5] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", MSK_IAM];

/// The property that a variable sets, as in Confluent's images: `_` is `.`, `__` is `_`, `___`
/// is `-`, and case does not matter. `None` for a variable that does not begin with `KAFKA_`.
#[must_use]
pub fn property_of(variable: &str) -> Option<String> {
    let mut rest = variable.strip_prefix(PREFIX)?;
    let mut property = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        property.push_str(&rest[..at].to_ascii_lowercase());
        let (marks, mark) = match rest[at..].bytes().take_while(|b| *b == b'_').count() {
            1 => (1, '.'),
            2 => (2, '_'),
            _ => (3, '-'),
        };
        property.push(mark);
        rest = &rest[at + marks..];
    }
    property.push_str(&rest.to_ascii_lowercase());
    Some(property)
}

/// The variable that sets a property: `KAFKA_SECURITY_PROTOCOL` for `security.protocol`.
#[must_use]
pub fn variable_of(property: &str) -> String {
    let name = property.replace('_', "__").replace('-', "___").replace('.', "_");
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

/// librdkafka properties by name. Values that are secrets are hidden in the `Debug` output.
#[derive(Clone, PartialEq, Default)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// The value of a property, by its name or an alias of it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let same = |(key, _): &(&String, &String)| canonical(key) == canonical(name);
        self.0.iter().find(same).map(|(_, value)| value.as_str())
    }

    /// Sets a property, in place of the one that has its name or an alias of it.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|key, _| canonical(key) != canonical(name));
        self.0.insert(name.to_owned(), value.into());
    }

    /// Every property by its canonical name: librdkafka applies aliases in no defined order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (canonical(name), value.as_str()))
    }

    /// Whether the connection to the brokers is encrypted; only then are their
    /// certificates verified.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.protocol().ends_with("ssl")
    }

    /// Whether clients authenticate with SASL.
    #[must_use]
    pub fn has_sasl(&self) -> bool {
        self.protocol().starts_with("sasl")
    }

    /// `security.protocol` in lower case; librdkafka's default is `plaintext`.
    #[must_use]
    pub fn protocol(&self) -> String {
        let given = self.get("security.protocol");
        given.map_or("plaintext".to_owned(), |p| p.trim().to_ascii_lowercase())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, value)| (name, shown(name, value))))
            .finish()
    }
}

/// The librdkafka properties that the variables set.
pub(super) struct ReadProperties<'a> {
    /// Those that librdkafka accepts.
    pub(super) properties: Properties,
    /// The variable of each that is set, also of those that are wrong.
    pub(super) given: BTreeMap<String, &'a str>,
    /// Variables that are set for other programs, a line each.
    pub(super) warnings: Vec<String>,
    /// Whether the mechanism is [`MSK_IAM`], which is OAUTHBEARER in librdkafka.
    pub(super) msk_iam: bool,
}

/// Reads all properties from the variables that are set, and adds the errors to `problems`.
pub(super) fn read<'a>(vars: &'a Vars, problems: &mut Vec<InvalidSetting>) -> ReadProperties<'a> {
    let mut read = ReadProperties {
        properties: Properties::default(),
        given: BTreeMap::new(),
        warnings: Vec::new(),
        msk_iam: false,
    };
    for (variable, value) in vars.texts() {
        let Some(property) = own_property(variable) else {
            continue;
        };
        if let Some(program) = other_program(variable, value)
            && !exists(&property)
        {
            read.warnings.push(format!("{variable}: ignored, it is {program}"));
            continue;
        }
        let added = read.add(variable, property, value);
        problems.extend(added.err());
    }
    for variable in vars.not_utf8() {
        let property = own_property(variable);
        read.given
            .extend(property.map(|property| (canonical(&property).to_owned(), variable)));
    }
    read
}

/// The property that a variable sets; `None` for a setting of this program, and for other variables.
fn own_property(variable: &str) -> Option<String> {
    let is_named = NAMED.iter().any(|(named, _)| *named == variable);
    property_of(variable).filter(|_| !is_named)
}

impl<'a> ReadProperties<'a> {
    fn add(&mut self, variable: &'a str, property: String, value: &str) -> Result<(), InvalidSetting> {
        match self.given.entry(canonical(&property).to_owned()) {
            Entry::Vacant(entry) => _ = entry.insert(variable),
            Entry::Occupied(entry) => {
                let why = format!("sets the same property as {}; set one of them only", entry.get());
                return Err(InvalidSetting::name(variable, why));
            }
        }
        let signed = canonical(&property) == "sasl.mechanisms" && value == MSK_IAM;
        self.msk_iam |= signed;
        let value = match PemKind::of(&property) {
            _ if signed => "OAUTHBEARER".to_owned(),
            Some(kind) => {
                pem::normalised(value, kind).map_err(|invalid| InvalidSetting::name(variable, invalid.to_string()))?
            }
            None => value.to_owned(),
        };
        check(variable, &property, &value)?;
        self.properties.0.insert(property, value);
        Ok(())
    }
}

/// The name of the property behind an alias.
#[must_use]
pub fn canonical(property: &str) -> &str {
    match property {
        "sasl.mechanism" => "sasl.mechanisms",
        "max.in.flight" => "max.in.flight.requests.per.connection",
        "max.partition.fetch.bytes" => "fetch.message.max.bytes",
        "sasl.oauthbearer.client.credentials.client.id" => "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.client.credentials.client.secret" => "sasl.oauthbearer.client.secret",
        "linger.ms" => "queue.buffering.max.ms",
        "retries" => "message.send.max.retries",
        "compression.type" => "compression.codec",
        "acks" => "request.required.acks",
        "delivery.timeout.ms" => "message.timeout.ms",
        other => other,
    }
}

fn check(variable: &str, property: &str, value: &str) -> Result<(), InvalidSetting> {
    if let Some((named, _)) = NAMED.iter().find(|(_, name)| *name == property) {
        return Err(InvalidSetting::name(variable, format!("use {named}, in this spelling")));
    }
    if let Some(reason) = refusal(property) {
        return Err(InvalidSetting::name(variable, reason));
    }
    let not_allowed = |reason: String| InvalidSetting::value(variable, value, NotAllowed::new(reason));
    if canonical(property) == "sasl.mechanisms" && !MECHANISMS.contains(&value) {
        return Err(not_allowed(format!("must be one of {}", MECHANISMS.join(", "))));
    }

    let mut config = ClientConfig::new();
    config.set(property, value);
    match config.create_native_config() {
        Ok(native) => match native.get(property) {
            Ok(read) if !is_secret(property) && is_misread(value, &read) => Err(not_allowed(format!(
                "would be read as {read}; write a plain number, without a unit"
            ))),
            _ if is_cut(value) && is_text(property) => Err(InvalidSetting::name(
                variable,
                "begins with white space, which the Kafka client library cuts off; remove it, or choose another value",
            )),
            _ => Ok(()),
        },
        // The value is not shown: it may be the password of a misspelt sasl.password.
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            Err(InvalidSetting::name(variable, unknown(property)))
        }
        Err(KafkaError::ClientConfig(_, description, ..)) if !is_secret(property) => {
            let description = description.split_whitespace().collect::<Vec<_>>().join(" ");
            Err(not_allowed(description))
        }
        // Neither name nor value reached librdkafka, so this too may be a misspelt sasl.password.
        Err(KafkaError::Nul(_)) => Err(InvalidSetting::name(variable, "must not contain a NUL character")),
        // librdkafka's own message repeats the value.
        Err(_) => Err(not_allowed(format!("is not a value for librdkafka's `{property}`"))),
    }
}

/// Whether librdkafka would use less than the value: it removes white space, as C's `isspace` defines
/// it, from the front of every text.
pub(crate) fn is_cut(value: &str) -> bool {
    value.starts_with([' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
}

/// Whether librdkafka accepts any text for the property, and not only a number or an enum's values.
fn is_text(property: &str) -> bool {
    let mut config = ClientConfig::new();
    config.set(property, "\u{1}");
    config.create_native_config().is_ok()
}

/// Why a property cannot be set, and what to do instead.
fn refusal(property: &str) -> Option<&'static str> {
    Some(match property {
        "metadata.broker.list" => "use KAFKA_BOOTSTRAP_SERVERS",
        "enable.auto.commit" | "auto.commit.enable" | "enable.auto.offset.store" => {
            "owned by the program: the table holds the positions, and nothing is committed to Kafka; remove it"
        }
        "auto.offset.reset" => {
            "owned by the program: it would skip records silently; use START_POSITION, ON_RETENTION_LOSS and ON_TRUNCATION"
        }
        "enable.partition.eof" => "owned by the program: a run needs it to detect that it has caught up; remove it",
        "client.rack" => {
            "not available: a follower may lag behind the end offsets of the leader; remove it to read from the leaders"
        }
        "check.crcs" => "owned by the program: damaged records are always detected; remove it",
        "plugin.library.paths" => "not available: it would load code into the process; remove it",
        _ => return None,
    })
}

fn unknown(property: &str) -> String {
    // Long enough for every property of librdkafka's, short enough for a line.
    let shown: String = property.chars().take(80).collect();
    let mut reason = format!("librdkafka has no property {shown:?}");
    match suggestion(property) {
        Some(variable) => {
            reason.push_str("; did you mean ");
            reason.push_str(&variable);
            reason.push('?');
        }
        None => reason.push_str("; correct the name, or unset it if it belongs to another program"),
    }
    reason
}

/// The variable that may have been meant. Properties that the program owns are never suggested.
fn suggestion(property: &str) -> Option<String> {
    similar_names(property).find_map(|name| match NAMED.iter().find(|(_, named)| *named == name) {
        Some((variable, _)) => Some((*variable).to_owned()),
        // Names with `_` are callbacks and pointers, which cannot be set as text.
        None => (!name.contains('_') && refusal(&name).is_none() && exists(&name)).then(|| variable_of(&name)),
    })
}

/// Whether librdkafka has the property. It is set and not read: reading one without a default, such
/// as `sasl.password`, fails as for one that does not exist.
fn exists(property: &str) -> bool {
    let mut config = ClientConfig::new();
    config.set(property, "");
    let unknown = RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN;
    !matches!(config.create_native_config(), Err(KafkaError::ClientConfig(result, ..)) if result == unknown)
}

/// Whether librdkafka parsed only the beginning of a number: it reads `10s` and `10` as the same,
/// `010` as 8, and truncates a number that is too large for its type.
fn is_misread(value: &str, read: &str) -> bool {
    let value = value.trim();
    let looks_like_number = value
        .trim_start_matches(['-', '+'])
        .starts_with(|c: char| c.is_ascii_digit());
    let Ok(read_number) = read.parse::<f64>() else {
        return false;
    };
    // Far below the difference between two whole numbers, or two different settings.
    looks_like_number
        && value != read
        && !value
            .parse::<f64>()
            .is_ok_and(|number| (number - read_number).abs() < 1e-6)
}

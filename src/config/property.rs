//! `KAFKA_*` variables that are librdkafka properties.
//!
//! librdkafka itself is asked whether a property exists and takes its value, so the answer is
//! that of the very version that will run. Asking builds a configuration and no client: nothing
//! is connected.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::foreign::whose;
use super::pem::{self, PemKind};
use super::problem::{InvalidSetting, NotAllowed, is_secret, shown};
use super::suggest::similar_names;
use super::vars::Vars;

/// What every variable of Kafka begins with.
const PREFIX: &str = "KAFKA_";

/// Variables that are named settings, and no librdkafka properties.
const NAMED: [(&str, &str); 5] = [
    ("KAFKA_BOOTSTRAP_SERVERS", "bootstrap.servers"),
    ("KAFKA_TOPIC", "topic"),
    ("KAFKA_GROUP_ID", "group.id"),
    ("KAFKA_SECRET_ARN", "secret.arn"),
    ("KAFKA_CA_SECRET_ARN", "ca.secret.arn"),
];

/// The mechanism that is OAUTHBEARER with a token signed for Amazon MSK.
const MSK_IAM: &str = "AWS_MSK_IAM";

/// SASL mechanisms that this build can do. GSSAPI, librdkafka's default, needs Kerberos.
pub(super) const MECHANISMS: [&str; 5] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", MSK_IAM];

/// The property that a variable means, as in Confluent's images: `_` is `.`, `__` is `_`, `___`
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

/// Properties of librdkafka's by name. Some are secrets: they are hidden where
/// this is printed.
#[derive(Clone, PartialEq, Default)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// A property under this name or an alias of it.
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

    /// Every property by its own name: librdkafka takes aliases in no certain order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (canonical(name), value.as_str()))
    }

    /// Whether the connection to the brokers is encrypted; only then is a
    /// certificate of theirs verified.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.protocol().ends_with("ssl")
    }

    /// Whether the broker is told who this is by SASL.
    #[must_use]
    pub fn has_sasl(&self) -> bool {
        self.protocol().starts_with("sasl")
    }

    /// The protocol in lower case; librdkafka's default is without TLS and SASL.
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

/// What the variables say of librdkafka's properties.
pub(super) struct Read<'a> {
    /// Those that librdkafka takes.
    pub(super) properties: Properties,
    /// The variable of each that is set, also of those that are wrong.
    pub(super) given: BTreeMap<String, &'a str>,
    /// Variables that are set for other programs, a line each.
    pub(super) warnings: Vec<String>,
    /// Whether the mechanism is [`MSK_IAM`], which librdkafka knows as OAUTHBEARER.
    pub(super) msk_iam: bool,
}

/// Reads all properties from the variables that are set, and adds what is wrong to `problems`.
pub(super) fn read<'a>(vars: &'a Vars, problems: &mut Vec<InvalidSetting>) -> Read<'a> {
    let mut read = Read {
        properties: Properties::default(),
        given: BTreeMap::new(),
        warnings: Vec::new(),
        msk_iam: false,
    };
    for (variable, value) in vars.texts() {
        let Some(property) = own_property(variable) else {
            continue;
        };
        if let Some(program) = whose(variable, value)
            && !exists(&property)
        {
            read.warnings
                .push(format!("{variable}: is {program}, and not read here"));
            continue;
        }
        let read = read.take(variable, property, value);
        problems.extend(read.err());
    }
    for variable in vars.not_text() {
        let property = own_property(variable);
        read.given
            .extend(property.map(|property| (canonical(&property).to_owned(), variable)));
    }
    read
}

/// The property that a variable means; `None` for a named setting, and for what is not Kafka's.
fn own_property(variable: &str) -> Option<String> {
    let is_named = NAMED.iter().any(|(named, _)| *named == variable);
    property_of(variable).filter(|_| !is_named)
}

impl<'a> Read<'a> {
    fn take(&mut self, variable: &'a str, property: String, value: &str) -> Result<(), InvalidSetting> {
        match self.given.entry(canonical(&property).to_owned()) {
            Entry::Vacant(entry) => _ = entry.insert(variable),
            Entry::Occupied(entry) => {
                let why = format!("means the same property as {}; set one of them only", entry.get());
                return Err(InvalidSetting::name(variable, why));
            }
        }
        let signed = canonical(&property) == "sasl.mechanisms" && value == MSK_IAM;
        self.msk_iam |= signed;
        let value = match PemKind::of(&property) {
            _ if signed => "OAUTHBEARER".to_owned(),
            Some(kind) => pem::normalised(value, kind).map_err(|why| InvalidSetting::name(variable, why))?,
            None => value.to_owned(),
        };
        check(variable, &property, &value)?;
        self.properties.0.insert(property, value);
        Ok(())
    }
}

/// The name behind an alias of librdkafka's.
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
        Err(KafkaError::Nul(_)) => Err(InvalidSetting::name(variable, "must not hold a NUL character")),
        // librdkafka's own words repeat the value.
        Err(_) => Err(not_allowed(format!("is no value for librdkafka's `{property}`"))),
    }
}

/// Whether librdkafka would use less than the value: it cuts white space, as C's `isspace` knows
/// it, from the front of every text.
pub(crate) fn is_cut(value: &str) -> bool {
    value.starts_with([' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
}

/// Whether librdkafka takes any text for the property, and neither a number nor certain words.
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
        "enable.partition.eof" => "owned by the program: it tells a run that it has caught up; remove it",
        "client.rack" => {
            "not available: a follower may lag behind the end that a run has seen; remove it to read from the leaders"
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
        None => reason.push_str("; correct the name, or unset it if it is another program's"),
    }
    reason
}

/// The variable that may have been meant. Names that the program owns are never suggested.
fn suggestion(property: &str) -> Option<String> {
    similar_names(property).find_map(|name| match NAMED.iter().find(|(_, named)| *named == name) {
        Some((variable, _)) => Some((*variable).to_owned()),
        // Names with `_` are call-backs and pointers, which no text can set.
        None => (!name.contains('_') && refusal(&name).is_none() && exists(&name)).then(|| variable_of(&name)),
    })
}

/// Whether librdkafka knows the property. Asking for its value would not do: one that has none by
/// default, as `sasl.password`, is then as unknown as one that does not exist.
fn exists(property: &str) -> bool {
    let mut config = ClientConfig::new();
    config.set(property, "");
    let unknown = RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN;
    !matches!(config.create_native_config(), Err(KafkaError::ClientConfig(result, ..)) if result == unknown)
}

/// Whether librdkafka took only the beginning of a number: it reads `10s` and `10` as the same,
/// `010` as 8, and cuts what is too long for its type.
fn is_misread(value: &str, read: &str) -> bool {
    let value = value.trim();
    let looks_like_number = value
        .trim_start_matches(['-', '+'])
        .starts_with(|c: char| c.is_ascii_digit());
    let Ok(read_number) = read.parse::<f64>() else {
        return false;
    };
    // Far below any difference between two whole numbers, or two settings people tell apart.
    looks_like_number
        && value != read
        && !value
            .parse::<f64>()
            .is_ok_and(|number| (number - read_number).abs() < 1e-6)
}

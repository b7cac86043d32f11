//! Raw settings -> validated [`Config`].
//!
//! The caller passes the variables in, so that the command line can override them with flags and a
//! test can pass anything. No connection is made: all wrong settings are reported together, before
//! the first effect.

mod arn;
mod authentication;
mod aws;
mod endpoint;
mod foreign;
mod function;
mod memory;
mod name;
mod number;
mod pem;
mod problem;
mod property;
mod resource;
mod routes;
mod setting;
mod suggest;
mod table;
mod target;
mod time;
mod value;
mod vars;

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::filter::Filter;
use crate::kafka_event::EventSource;
use crate::kafka_event::write::Envelope;
use crate::report::dimension;

pub use authentication::{Authentication, SecretArn};
pub use endpoint::EndpointUrl;
pub use function::FunctionArn;
pub(crate) use name::MAX_KEY_BYTES;
pub(crate) use number::whole_number;
pub(crate) use pem::{PemKind, normalised as normalised_pem};
pub use problem::{InvalidSetting, InvalidSettings, NotAllowed};
pub(crate) use property::is_cut;
pub use property::{Properties, canonical, property_of, variable_of};
pub use resource::{EventBusArn, SnsTopicArn};
pub use routes::{Route, Routes, TopicPattern};
pub use setting::{SETTINGS, Setting};
pub use table::TableArn;
pub(crate) use target::is_host_label;
pub use target::{QueueArn, Target, TopicName};
#[cfg(feature = "cli")]
pub(crate) use time::{InvalidTime, TIME_ALLOWED, unix_ms};
pub use value::{
    Destination, MessageEnvelope, MessageFormat, MessageLimit, OnFailure, OnRetentionLoss, OnTruncation, StartPosition,
};
use vars::Vars;

/// Below 0.1 s a connection with TLS and SASL to a broker in another region cannot be made.
/// Above 300 s a silent broker would take a third of the longest run there is.
const POLL_TIMEOUT_SECONDS: RangeInclusive<f64> = 0.1..=300.0;

/// 5,400 s is the longest time-out of a Lambda function, on managed instances: a run on the command
/// line takes no longer.
const TIME_LIMIT_SECONDS: RangeInclusive<f64> = 1.0..=5400.0;

/// 10,000 is the maximum of AWS's event source mappings too. For unlimited attempts there is `halt`.
const MAX_ATTEMPTS: RangeInclusive<u32> = 1..=10_000;

/// The validated settings of a run. Built by [`Config::from_environment`] alone.
///
/// ```
/// use kafka_consumer_lambda::config::Config;
///
/// let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
/// let config = Config::from_lookup([setting("KAFKA_TOPIC", "orders"), setting("KAFKA_GROUP_ID", "billing")])?;
/// assert_eq!(&*config.group_id, "billing");
/// assert_eq!(config.table, "kafka-consumer-offsets"); // the default
///
/// let invalid = Config::from_lookup([setting("MAX_MESSAGES", "many")]).unwrap_err();
/// assert!(invalid.to_string().contains("MAX_MESSAGES"));
/// # Ok::<(), kafka_consumer_lambda::config::InvalidSettings>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The bootstrap brokers: `host:port`, comma-separated, without blanks.
    pub bootstrap_servers: String,
    /// The topics to read: at least one, none twice, in the order given.
    pub topics: Vec<Arc<str>>,
    /// Names the cursors. With any of the topics it fits into the table's key.
    pub group_id: Arc<str>,
    /// The table of the cursors: a name or an ARN.
    pub table: String,
    /// How many records a run may handle.
    pub max_messages: MessageLimit,
    /// How long the brokers may be silent before a run fails.
    pub poll_timeout: Duration,
    /// How long a run may take on the command line.
    pub time_limit: Duration,
    /// Where a topic without cursors starts.
    pub start_position: StartPosition,
    /// Where the records of each topic go, which of them, and how their values are decoded.
    pub routes: Routes,
    /// The kind of cluster that functions see as the source of their events.
    pub event_source: EventSource,
    /// Whether the response to a pushed batch names the records that failed,
    /// instead of failing the invocation.
    pub report_batch_item_failures: bool,
    /// What happens to a record that cannot be decoded or processed.
    pub on_failure: OnFailure,
    /// How often a record is tried, over all runs, before `on_failure` applies.
    pub max_attempts: NonZeroU32,
    /// What happens when retention deleted records after the cursor.
    pub on_retention_loss: OnRetentionLoss,
    /// What happens when the cursor lies past the end of the partition.
    pub on_truncation: OnTruncation,
    /// What fetched records may take at once, in bytes. A single larger record is still read.
    pub max_memory_bytes: u64,
    /// How clients authenticate with the brokers.
    pub authentication: Authentication,
    /// The secret with the certificate authority that signed the brokers' certificates.
    pub ca_secret: Option<SecretArn>,
    /// The secret with the headers of requests to HTTP endpoints.
    pub http_headers_secret: Option<SecretArn>,
    /// librdkafka properties by name, checked one by one. They never hold `bootstrap.servers`,
    /// `group.id`, or a property that the program owns; `client.id` only if it was set.
    pub kafka_properties: Properties,
    /// Settings that are valid and may have an unexpected effect, one line each, which begins with
    /// the variable. To be logged once, at the start.
    pub warnings: Vec<String>,
}

impl Config {
    /// Whether the only topic is the default of `KAFKA_TOPIC`, as where the variable is not set:
    /// a function that gets pushed events only does not need it.
    #[must_use]
    pub fn has_default_topic(&self) -> bool {
        name::are_default(&self.topics)
    }

    /// What a function's events name beside their records.
    #[must_use]
    pub fn envelope(&self) -> Envelope {
        Envelope {
            source: self.event_source.clone(),
            bootstrap_servers: self.bootstrap_servers.clone(),
        }
    }

    /// Which records of `topic` are passed on; `None`: all.
    #[must_use]
    pub fn filter(&self, topic: &str) -> Option<&Arc<Filter>> {
        self.routes.of(topic)?.filter.as_ref()
    }

    /// How the values of `topic` are decoded. Those of a topic without a route are not.
    #[must_use]
    pub fn message_format(&self, topic: &str) -> MessageFormat {
        self.routes.of(topic).map_or(MessageFormat::Bytes, |route| route.format)
    }

    /// As [`from_environment`](Self::from_environment), of text.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn from_lookup(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidSettings> {
        Self::from_environment(vars.into_iter().map(|(name, value)| (name.into(), value.into())))
    }

    /// Validates settings given as `(variable, value)`: the whole environment, or flags under the
    /// names of their variables. Of two values for the same variable the later applies, so flags
    /// follow the environment. An empty value counts as unset. White space around a value is
    /// ignored, except in `KAFKA_GROUP_ID` and librdkafka properties.
    ///
    /// # Errors
    ///
    /// All settings that are wrong, each with its variable, its value unless that is a secret,
    /// and what is allowed. A value that is not UTF-8 is wrong where this program reads it.
    pub fn from_environment(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, InvalidSettings> {
        let vars = Vars::new(vars);
        let mut property_problems = Vec::new();
        let mut read = property::read(&vars, &mut property_problems);
        let mut settings = Settings {
            vars: &vars,
            problems: vars.problems(),
        };
        aws::check(&vars, &mut settings.problems);
        let warnings = std::mem::take(&mut read.warnings);
        let config = settings.read(read);
        let mut problems = settings.problems;
        problems.append(&mut property_problems);
        match config {
            Some(mut config) if problems.is_empty() => {
                config.warnings = warnings;
                config.warnings.extend(unfit_dimension(&config.group_id));
                config.warnings.extend(routes::unused(&config));
                Ok(config)
            }
            _ => Err(InvalidSettings::new(problems)),
        }
    }
}

/// The warning for a group id that CloudWatch does not accept as a dimension.
fn unfit_dimension(group_id: &str) -> Option<String> {
    let variable = "KAFKA_GROUP_ID";
    let value = dimension(group_id);
    (value != group_id).then(|| {
        format!(
            "{variable}: a CloudWatch dimension has at most 1,024 printable ASCII characters; the metrics are written \
             with ConsumerGroup={}",
            problem::shown(variable, &value)
        )
    })
}

/// The variables that are set, and the problems found so far.
struct Settings<'a> {
    vars: &'a Vars,
    problems: Vec<InvalidSetting>,
}

impl Settings<'_> {
    /// Reads every named setting, so that all problems are found. `None` only if there is one.
    fn read(&mut self, read: property::ReadProperties<'_>) -> Option<Config> {
        let protocol = read.properties.protocol();
        let bootstrap_servers = self.parse("KAFKA_BOOTSTRAP_SERVERS", |text| {
            name::bootstrap_servers(text, &protocol)
        });
        let topics = self.parse("KAFKA_TOPIC", name::topics);
        let group_id = self.parse_raw("KAFKA_GROUP_ID", name::group_id);
        self.check_key_length(group_id.as_deref(), topics.as_deref());
        let table = self.parse("DYNAMODB_TABLE", name::table);
        let max_messages = self.parse("MAX_MESSAGES", str::parse);
        let poll_timeout = self.parse("POLL_TIMEOUT", |text| seconds(text, &POLL_TIMEOUT_SECONDS));
        let time_limit = self.parse("TIME_LIMIT", |text| seconds(text, &TIME_LIMIT_SECONDS));
        let start_position = self.parse("START_POSITION", str::parse);
        let routes = self.routes(topics.as_deref());
        let event_source = self.event_source();
        let report_batch_item_failures = self.parse("REPORT_BATCH_ITEM_FAILURES", boolean);
        let on_failure = self.parse("ON_FAILURE", str::parse);
        self.check_dead_letter_topic(on_failure.as_ref(), topics.as_deref());
        let max_attempts = self.parse("MAX_ATTEMPTS", attempts);
        let on_retention_loss = self.parse("ON_RETENTION_LOSS", str::parse);
        let on_truncation = self.parse("ON_TRUNCATION", str::parse);
        let max_memory_bytes = self.max_memory_bytes();
        let secret = self.secret("KAFKA_SECRET_ARN");
        let ca_secret = self.secret("KAFKA_CA_SECRET_ARN");
        let http_headers_secret = self.secret("HTTP_HEADERS_SECRET_ARN");
        let (properties, given) = (&read.properties, &read.given);
        let mut authentication = Authentication::default();
        let no_protocol = given.contains_key("security.protocol") && properties.get("security.protocol").is_none();
        let no_secret = self.vars.is_set("KAFKA_SECRET_ARN") && secret.is_none();
        // Their own problem is reported already; do not report what only follows from it.
        if !no_protocol && !no_secret {
            authentication =
                authentication::authentication(properties, given, read.msk_iam, secret, &mut self.problems);
        }
        if !no_protocol {
            authentication::check_ca(properties, given, ca_secret.as_ref(), &mut self.problems);
        }
        Some(Config {
            bootstrap_servers: bootstrap_servers?,
            topics: topics?,
            group_id: group_id?,
            table: table?,
            max_messages: max_messages?,
            poll_timeout: poll_timeout?,
            time_limit: time_limit?,
            start_position: start_position?,
            routes: routes?,
            event_source: event_source?,
            report_batch_item_failures: report_batch_item_failures?,
            on_failure: on_failure?,
            max_attempts: max_attempts?,
            on_retention_loss: on_retention_loss?,
            on_truncation: on_truncation?,
            max_memory_bytes: max_memory_bytes?,
            authentication,
            ca_secret,
            http_headers_secret,
            kafka_properties: read.properties,
            warnings: Vec::new(),
        })
    }

    /// The value of a variable without a default; `None` if it is not set, or wrong.
    fn optional<T>(&mut self, variable: &str, parse: impl FnOnce(&str) -> Result<T, NotAllowed>) -> Option<T> {
        self.vars.is_set(variable).then(|| self.parse(variable, parse))?
    }

    /// The ARN in a variable; `None` if it is not set, or wrong.
    fn secret(&mut self, variable: &str) -> Option<SecretArn> {
        self.optional(variable, str::parse)
    }

    fn parse<T>(&mut self, variable: &str, parse: impl FnOnce(&str) -> Result<T, NotAllowed>) -> Option<T> {
        self.parse_raw(variable, |text| parse(text.trim()))
    }

    /// The value of a variable, or of its default in [`SETTINGS`]; `None` if it is wrong.
    fn parse_raw<T>(&mut self, variable: &str, parse: impl FnOnce(&str) -> Result<T, NotAllowed>) -> Option<T> {
        let default = || SETTINGS.iter().find(|setting| setting.variable == variable)?.default;
        let text = match self.vars.get(variable) {
            Some(text) => text,
            // It is not UTF-8: reported already.
            None if self.vars.is_set(variable) => return None,
            None => default().unwrap_or_default(),
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(reason) => {
                let problem = InvalidSetting::value(variable, text, reason);
                self.problems.push(problem);
                None
            }
        }
    }

    /// Group and topic form one key in the table, whose length is limited.
    fn check_key_length(&mut self, group_id: Option<&str>, topics: Option<&[Arc<str>]>) {
        let (Some(group_id), Some(topics)) = (group_id, topics) else {
            return;
        };
        let longest_topic_bytes = topics.iter().map(|topic| topic.len()).max().unwrap_or_default();
        let left_bytes = name::MAX_KEY_BYTES - longest_topic_bytes - "_".len();
        if group_id.len() > left_bytes {
            let reason = format!(
                "must have at most {left_bytes} bytes beside this topic, and has {}",
                group_id.len()
            );
            self.problems.push(InvalidSetting::value(
                "KAFKA_GROUP_ID",
                group_id,
                NotAllowed::new(reason),
            ));
        }
    }

    /// A dead letter in a topic that is read would fail again, and be written there again.
    fn check_dead_letter_topic(&mut self, on_failure: Option<&OnFailure>, topics: Option<&[Arc<str>]>) {
        let (Some(OnFailure::DeadLetter(target @ Target::Kafka(dead))), Some(topics)) = (on_failure, topics) else {
            return;
        };
        if topics.iter().any(|topic| &**topic == dead.as_str()) {
            self.problems.push(InvalidSetting::value(
                "ON_FAILURE",
                &target.to_string(),
                NotAllowed::new(
                    "names a topic of KAFKA_TOPIC: dead letters would be read and fail again; name another topic",
                ),
            ));
        }
    }
}

fn attempts(text: &str) -> Result<NonZeroU32, NotAllowed> {
    let (least, most) = (MAX_ATTEMPTS.start(), MAX_ATTEMPTS.end());
    whole_number(text)
        .filter(|attempts| MAX_ATTEMPTS.contains(attempts))
        .and_then(NonZeroU32::new)
        .ok_or_else(|| NotAllowed::new(format!("must be a whole number, {least} to {most}")))
}

fn boolean(text: &str) -> Result<bool, NotAllowed> {
    let allowed = |_| NotAllowed::new("must be `true` or `false`");
    text.to_ascii_lowercase().parse().map_err(allowed)
}

fn seconds(text: &str, range: &RangeInclusive<f64>) -> Result<Duration, NotAllowed> {
    text.parse()
        .ok()
        .filter(|seconds| range.contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| {
            NotAllowed::new(format!(
                "must be a number of seconds, {} to {}",
                range.start(),
                range.end()
            ))
        })
}

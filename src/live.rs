//! The parts of a run in production: settings from the environment, Kafka,
//! `DynamoDB` and the machine's clocks. Lambda and the command line use the same.

use std::ffi::OsString;
use std::sync::Arc;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::dead_letter::target::DeadLetters;
use crate::error::{Error, ErrorType};
use crate::invoke::Parts;
use crate::kafka::linked;
use crate::processor::Processor;
use crate::security::Security;
use crate::source::kafka::KafkaSource;
use crate::store::dynamodb::{self, DynamoStore};

/// Parts that connect to Kafka and `DynamoDB`.
pub type LiveParts<P> = Parts<(DynamoStore, KafkaSource, P, DeadLetters, SystemClock)>;

/// The next step for a topic without a handler.
const ADD_A_ROUTE: &str = "Add a route for it to DESTINATION, or `topic` or `otherwise` to the routes of the handler; \
                           or remove it from KAFKA_TOPIC";

/// Reads the settings from the environment and from `more`, which overrides it.
/// Settings that are valid but may be a mistake are logged as warnings.
///
/// # Errors
/// `InvalidConfiguration`, naming every invalid setting, or because the linked
/// librdkafka is not the version that this program is built for.
pub fn settings(more: impl IntoIterator<Item = (String, OsString)>) -> Result<Config, Error> {
    // The command line exits while librdkafka's threads use OpenSSL, which would free its state
    // at exit. Initialised here, before librdkafka does so, it does not.
    #[cfg(feature = "cli")]
    openssl::init();
    linked::check()?;
    #[expect(clippy::disallowed_methods, reason = "this is where the environment comes in")]
    let variables = std::env::vars_os();
    let more = more.into_iter().map(|(name, value)| (name.into(), value));
    let config = Config::from_environment(variables.chain(more))
        .map_err(|invalid| Error::new(ErrorType::InvalidConfiguration, invalid.to_string()))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

/// Builds the parts for these settings. Sends no request to Kafka, `DynamoDB` or
/// Secrets Manager yet.
///
/// # Errors
/// `InvalidConfiguration` when no AWS region is set, or when the processor has no handler
/// for a topic of `KAFKA_TOPIC`. Where the only topic is the default, it may be that no run
/// is ever made: [`check_topics`] finds it when one is.
pub async fn parts<P: Processor>(config: Config, processor: impl FnOnce(&Config) -> P) -> Result<LiveParts<P>, Error> {
    let processor = checked(&config, processor)?;
    let client = dynamodb::client(dynamodb::CallLimits::default()).await?;
    let security = Arc::new(Security::new(&config));
    let source = KafkaSource::new(&config, Arc::clone(&security));
    Ok(assemble(config, &security, source, client, processor))
}

/// Builds the parts for a run, and [prefetches metadata](crate::kafka::KafkaClient::prefetch_metadata)
/// from the brokers while it builds the `DynamoDB` client. That client takes most of
/// a cold start, because it loads every CA certificate of the system.
///
/// Nothing is prefetched of the default topic. An error of the brokers is not returned: the run's own requests decide.
///
/// # Errors
/// As [`parts`].
pub async fn parts_for_a_run<P: Processor>(
    config: Config,
    processor: impl FnOnce(&Config) -> P,
) -> Result<LiveParts<P>, Error> {
    let processor = checked(&config, processor)?;
    let security = Arc::new(Security::new(&config));
    let source = KafkaSource::new(&config, Arc::clone(&security));
    let prefetch = async {
        // A function that gets pushed events only names no topic, and contacts no broker.
        if config.has_default_topic() {
            return Ok(());
        }
        source.client().prefetch_metadata(&config.topics).await
    };
    let (prefetched, client) = futures::join!(prefetch, dynamodb::client(dynamodb::CallLimits::default()));
    if let Err(error) = prefetched {
        tracing::debug!(%error, "metadata not prefetched");
    }
    Ok(assemble(config, &security, source, client?, processor))
}

/// Builds the parts with the given credentials and `DynamoDB` client.
pub fn parts_on<P: Processor>(
    config: Config,
    security: &Arc<Security>,
    client: dynamodb::Client,
    processor: impl FnOnce(&Config) -> P,
) -> LiveParts<P> {
    let source = KafkaSource::new(&config, Arc::clone(security));
    let processor = processor(&config);
    assemble(config, security, source, client, processor)
}

/// Checks that `processor` has a handler for each topic that a run reads.
///
/// # Errors
/// `InvalidConfiguration`, which names the topics without a handler.
pub fn check_topics<P: Processor>(config: &Config, processor: &P) -> Result<(), Error> {
    let without: Vec<&str> = config
        .topics
        .iter()
        .map(|topic| &**topic)
        .filter(|topic| !processor.takes(topic))
        .collect();
    if without.is_empty() {
        return Ok(());
    }
    let what = format!("no handler for topic {} of KAFKA_TOPIC", without.join(", "));
    Err(Error::new(ErrorType::InvalidConfiguration, what).next(ADD_A_ROUTE))
}

fn checked<P: Processor>(config: &Config, processor: impl FnOnce(&Config) -> P) -> Result<P, Error> {
    let processor = processor(config);
    if !config.has_default_topic() {
        check_topics(config, &processor)?;
    }
    Ok(processor)
}

fn assemble<P: Processor>(
    config: Config,
    security: &Arc<Security>,
    source: KafkaSource,
    client: dynamodb::Client,
    processor: P,
) -> LiveParts<P> {
    Parts {
        store: DynamoStore::new(client, &config.table),
        source,
        processor,
        dead_letters: DeadLetters::new(&config, security),
        clock: SystemClock,
        config: Arc::new(config),
    }
}

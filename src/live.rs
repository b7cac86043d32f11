//! The real parts of a run: settings from the environment, Kafka, `DynamoDB`
//! and the machine's clocks. Lambda and the command line make the same ones.

use std::ffi::OsString;
use std::sync::Arc;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::dead_letter::target::DeadLetters;
use crate::error::{Error, ErrorType};
use crate::invoke::Parts;
use crate::kafka::linked;
use crate::security::Security;
use crate::source::kafka::KafkaSource;
use crate::store::dynamodb::{self, DynamoStore};

/// Parts that talk to real services.
pub type LiveParts<P> = Parts<DynamoStore, KafkaSource, P, SystemClock, DeadLetters>;

/// The settings: the environment first, then `more`, which wins. What is not wrong and may surprise
/// is logged as a warning.
///
/// # Errors
/// `InvalidConfiguration`, naming every wrong setting; or because librdkafka,
/// which is asked about its properties, is not the one this program is made for.
pub fn settings(more: impl IntoIterator<Item = (String, OsString)>) -> Result<Config, Error> {
    // The command line ends while librdkafka's threads use OpenSSL, which would tear itself down
    // beneath them. Initialised so, and before librdkafka does it, it stays as it is.
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

/// The parts for these settings, with the processor that `make` builds.
/// Nothing is sent to Kafka, to the table or to Secrets Manager yet.
///
/// # Errors
/// `InvalidConfiguration` when no AWS region is set.
pub async fn parts<P>(config: Config, make: impl FnOnce(&Config) -> P) -> Result<LiveParts<P>, Error> {
    let client = dynamodb::client(dynamodb::CallLimits::default()).await?;
    let security = Arc::new(Security::new(&config));
    Ok(parts_on(config, &security, client, make))
}

/// The same for a run: brokers are [asked ahead](crate::kafka::KafkaClient::prefetch_metadata) while
/// the client of `DynamoDB` is made. That takes most of a start, for it reads
/// every certificate that the machine trusts.
///
/// What goes wrong with the brokers is left to the run: it may be mended by then.
///
/// # Errors
/// As [`parts`].
pub async fn parts_for_a_run<P>(config: Config, make: impl FnOnce(&Config) -> P) -> Result<LiveParts<P>, Error> {
    let security = Arc::new(Security::new(&config));
    let source = KafkaSource::new(&config, Arc::clone(&security));
    let (asked, client) = futures::join!(
        source.client().prefetch_metadata(&config.topics),
        dynamodb::client(dynamodb::CallLimits::default())
    );
    if let Err(error) = asked {
        tracing::debug!(%error, "not asked ahead");
    }
    Ok(assemble(config, &security, source, client?, make))
}

/// The same, with credentials and a `DynamoDB` client of your own.
pub fn parts_on<P>(
    config: Config,
    security: &Arc<Security>,
    client: dynamodb::Client,
    make: impl FnOnce(&Config) -> P,
) -> LiveParts<P> {
    let source = KafkaSource::new(&config, Arc::clone(security));
    assemble(config, security, source, client, make)
}

fn assemble<P>(
    config: Config,
    security: &Arc<Security>,
    source: KafkaSource,
    client: dynamodb::Client,
    make: impl FnOnce(&Config) -> P,
) -> LiveParts<P> {
    Parts {
        store: DynamoStore::new(client, &config.table),
        source,
        processor: make(&config),
        dead_letters: DeadLetters::new(&config, security),
        clock: SystemClock,
        config: Arc::new(config),
    }
}

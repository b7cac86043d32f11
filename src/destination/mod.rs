//! Where records go, each destination a [`Processor`].
//!
//! A service that takes records is a sender, which knows the service, and an
//! encoder, which knows what is sent. Dead letters are sent by the same senders.
//!
//! | | |
//! |---|---|
//! | [`log`], [`discard`] | no service |
//! | [`function`] | a Lambda function |
//! | `batched` | the seam of services, and how records are sent, again and in order |
//! | `message` | what queues and topics get; pure |
//! | `refusal` | what errors of AWS's services mean; pure |
//! | `sqs`, `sns`, `eventbridge` | an SQS queue, an SNS topic, an EventBridge bus |
//! | `kafka` | a Kafka topic |
//! | `dynamodb` | a `DynamoDB` table with the newest value of each key |
//! | `http` | an HTTP endpoint |

pub(crate) mod batched;
pub mod discard;
pub(crate) mod dynamodb;
mod eventbridge;
pub mod function;
pub(crate) mod http;
pub(crate) mod kafka;
pub mod log;
pub(crate) mod message;
mod refusal;
mod sns;
pub(crate) mod sqs;

use std::num::NonZeroUsize;
use std::sync::Arc;

use self::http::{EndpointSender, EventMessages};
use crate::config::{Config, Destination, Route, Routes};
use crate::processor::any::AnyProcessor;
use crate::processor::by_key::by_key;
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::Chunk;
use crate::security::{SecretHeaders, Security};
use batched::{Batched, Encoder, Sender};
use discard::Discard;
use dynamodb::{Items, TableSender};
use eventbridge::{BusSender, RecordEvents};
use function::Function;
use kafka::{Copies, TopicSender};
use log::Log;
use message::RecordMessages;
use message::id::Grouping;
use sns::SnsSender;
use sqs::QueueSender;

/// The setting that names destinations, for messages.
const SETTING: &str = "DESTINATION";

/// The destinations that `DESTINATION` names, by topic.
pub struct Configured {
    routes: Routes<Box<dyn AnyProcessor>>,
}

impl Configured {
    /// The destinations for these settings. Nothing is connected before the first record.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        // One for all endpoints: it is read once.
        let headers = config.http_headers_secret.clone();
        let headers = headers.map(|arn| Arc::new(SecretHeaders::new(arn)));
        Self {
            routes: config.routes.map(|route| destination(config, route, headers.as_ref())),
        }
    }
}

/// The destination of a route. `headers` are for HTTP endpoints.
fn destination(config: &Config, route: &Route, headers: Option<&Arc<SecretHeaders>>) -> Box<dyn AnyProcessor> {
    match &route.to {
        Destination::Log { values } => Box::new(Log {
            format: route.format,
            values: *values,
        }),
        Destination::Discard => Box::new(Discard),
        Destination::Function(arn) => named(route, Function::new(config, arn.clone(), route.batch_size)),
        Destination::Sqs(arn) => batched(route, QueueSender::new(arn.clone(), SETTING), messages(route)),
        Destination::Sns(arn) => batched(route, SnsSender::new(arn.clone()), messages(route)),
        Destination::EventBridge(arn) => {
            batched(route, BusSender::new(arn.clone()), RecordEvents::new(&config.group_id))
        }
        Destination::Kafka(topic) => {
            let security = Arc::new(Security::new(config));
            batched(route, TopicSender::new(config, security, topic, SETTING), Copies)
        }
        Destination::DynamoDb(arn) => batched(route, TableSender::new(arn.clone()), Items),
        Destination::Http(url) => {
            let sender = EndpointSender::new(url.clone(), headers.cloned(), route.batch_size);
            batched(route, sender, EventMessages::new(config, route))
        }
    }
}

/// A service as the destination of a route.
fn batched<S, E>(route: &Route, sender: S, encoder: E) -> Box<dyn AnyProcessor>
where
    S: Sender + 'static,
    E: Encoder<S::Entry> + 'static,
{
    named(route, Batched::new(sender, encoder, route.batch_size))
}

/// What sends the records of a route: several at once by their keys, and with the destination's
/// name in its failures.
fn named(route: &Route, sends: impl Processor + 'static) -> Box<dyn AnyProcessor> {
    Box::new(Named {
        name: route.to.to_string(),
        inner: by_key(route.parallelization_factor.get(), sends),
    })
}

/// The messages of the records of a route.
fn messages(route: &Route) -> RecordMessages {
    RecordMessages {
        envelope: route.envelope,
        grouping: if route.parallelization_factor == NonZeroUsize::MIN {
            Grouping::Partition
        } else {
            Grouping::Key
        },
    }
}

/// A destination whose failures begin with its name.
struct Named<P> {
    name: String,
    inner: P,
}

impl<P: Processor> Processor for Named<P> {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let progress = self.inner.process(chunk, run).await;
        let named = |text| format!("{}: {text}", self.name);
        Progress {
            stop: progress.stop.map(|failure| failure.map_text(named)),
            ..progress
        }
    }

    fn batch_size(&self, topic: &str) -> Option<NonZeroUsize> {
        self.inner.batch_size(topic)
    }

    fn parallelization_factor(&self, topic: &str) -> NonZeroUsize {
        self.inner.parallelization_factor(topic)
    }
}

impl Processor for Configured {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let topic = &chunk.partition().topic;
        let Some(destination) = self.routes.of(topic) else {
            return Progress {
                settled: 0,
                stop: Some(Failure::Fatal(format!(
                    "DESTINATION has no route for the topic {topic}; add it, or `*` for every other topic"
                ))),
            };
        };
        AnyProcessor::process(destination.as_ref(), chunk, run).await
    }

    fn batch_size(&self, topic: &str) -> Option<NonZeroUsize> {
        AnyProcessor::batch_size(self.routes.of(topic)?.as_ref(), topic)
    }

    fn parallelization_factor(&self, topic: &str) -> NonZeroUsize {
        let destination = self.routes.of(topic);
        destination.map_or(NonZeroUsize::MIN, |it| {
            AnyProcessor::parallelization_factor(it.as_ref(), topic)
        })
    }

    fn takes(&self, topic: &str) -> bool {
        self.routes.of(topic).is_some()
    }
}

//! Where records go, each destination a [`Processor`].
//!
//! A service that takes records is a [sender](batched::Sender), which knows the service, and an
//! [encoder](batched::Encoder), which knows what is sent. Dead letters are sent by the same senders.
//!
//! | | |
//! |---|---|
//! | [`log`], [`discard`] | no service |
//! | [`function`] | a Lambda function |
//! | `batched` | the seam of services, and how records are sent, again and in order |
//! | `message` | what queues and topics get; pure |
//! | `sqs` | an SQS queue |
//! | `http` | an HTTP endpoint |

pub(crate) mod batched;
pub mod discard;
pub mod function;
pub(crate) mod http;
pub mod log;
pub(crate) mod message;
mod of_run;
pub(crate) mod sqs;

use std::num::NonZeroUsize;
use std::sync::Arc;

use self::http::{EndpointSender, EventMessages};
use crate::config::{Config, Destination, Route, Routes};
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::Chunk;
use crate::security::SecretHeaders;
use batched::Batched;
use discard::Discard;
use function::Function;
use log::Log;
use message::RecordMessages;
use message::id::Grouping;
use sqs::QueueSender;

/// The setting that names destinations, for messages.
const SETTING: &str = "DESTINATION";

/// The destinations that `DESTINATION` names, by topic.
pub struct Configured {
    routes: Routes<Sink>,
}

/// One destination.
enum Sink {
    Log(Log),
    Discard(Discard),
    Function(Box<Function>),
    Sqs(Box<Named<Batched<QueueSender, RecordMessages>>>),
    Http(Box<Named<Batched<EndpointSender, EventMessages>>>),
}

/// A destination whose failures begin with its name.
struct Named<P> {
    name: String,
    inner: P,
}

impl<P: Processor> Named<P> {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let progress = self.inner.process(chunk, run).await;
        let named = |text| format!("{}: {text}", self.name);
        Progress {
            stop: progress.stop.map(|failure| failure.map_text(named)),
            ..progress
        }
    }
}

impl Configured {
    /// The destinations for these settings. Nothing is connected before the first record.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        // One for all endpoints: it is read once.
        let headers = config.http_headers_secret.clone();
        let headers = headers.map(|arn| Arc::new(SecretHeaders::new(arn)));
        Self {
            routes: config.routes.map(|route| Sink::new(config, route, headers.as_ref())),
        }
    }
}

impl Sink {
    fn new(config: &Config, route: &Route, headers: Option<&Arc<SecretHeaders>>) -> Self {
        match &route.to {
            Destination::Log { values } => Self::Log(Log {
                format: route.format,
                values: *values,
            }),
            Destination::Discard => Self::Discard(Discard),
            Destination::Function(arn) => {
                Self::Function(Box::new(Function::new(config, arn.clone(), route.batch_size)))
            }
            Destination::Sqs(arn) => Self::Sqs(Box::new(Named {
                name: arn.to_string(),
                inner: Batched::new(
                    QueueSender::new(arn.clone(), SETTING),
                    messages(route),
                    route.batch_size,
                ),
            })),
            Destination::Http(url) => Self::Http(Box::new(Named {
                name: url.to_string(),
                inner: Batched::new(
                    EndpointSender::new(url.clone(), headers.cloned(), route.batch_size),
                    EventMessages::new(config, route),
                    route.batch_size,
                ),
            })),
        }
    }
}

/// The messages of the records of a route.
fn messages(route: &Route) -> RecordMessages {
    RecordMessages {
        envelope: route.envelope,
        grouping: Grouping::Partition,
    }
}

impl Processor for Configured {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let topic = &chunk.partition().topic;
        match self.routes.of(topic) {
            Some(Sink::Log(log)) => log.process(chunk, run).await,
            Some(Sink::Discard(discard)) => discard.process(chunk, run).await,
            Some(Sink::Function(function)) => function.process(chunk, run).await,
            Some(Sink::Sqs(queue)) => queue.process(chunk, run).await,
            Some(Sink::Http(endpoint)) => endpoint.process(chunk, run).await,
            None => Progress {
                settled: 0,
                stop: Some(Failure::Fatal(format!(
                    "DESTINATION has no route for the topic {topic}; add it, or `*` for every other topic"
                ))),
            },
        }
    }

    fn batch_size(&self, topic: &str) -> Option<NonZeroUsize> {
        match self.routes.of(topic) {
            Some(Sink::Function(function)) => function.batch_size(topic),
            Some(Sink::Sqs(queue)) => queue.inner.batch_size(topic),
            Some(Sink::Http(endpoint)) => endpoint.inner.batch_size(topic),
            Some(Sink::Log(_) | Sink::Discard(_)) | None => None,
        }
    }

    fn takes(&self, topic: &str) -> bool {
        self.routes.of(topic).is_some()
    }
}

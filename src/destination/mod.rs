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
//! | `refusal` | what errors of AWS's services mean; pure |
//! | `sqs`, `sns`, `eventbridge` | an SQS queue, an SNS topic, an EventBridge bus |
//! | `kafka` | a Kafka topic |

pub(crate) mod batched;
pub mod discard;
mod eventbridge;
pub mod function;
pub(crate) mod kafka;
pub mod log;
pub(crate) mod message;
mod of_run;
mod refusal;
mod sns;
pub(crate) mod sqs;

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::config::{Config, Destination, Route, Routes};
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::Chunk;
use crate::security::Security;
use batched::{Batched, Encoder, Sender};
use discard::Discard;
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
    routes: Routes<Sink>,
}

/// One destination.
enum Sink {
    Log(Log),
    Discard(Discard),
    Function(Box<Function>),
    Sqs(Box<Named<Batched<QueueSender, RecordMessages>>>),
    Sns(Box<Named<Batched<SnsSender, RecordMessages>>>),
    EventBridge(Box<Named<Batched<BusSender, RecordEvents>>>),
    Kafka(Box<Named<Batched<TopicSender, Copies>>>),
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
        Self {
            routes: config.routes.map(|route| Sink::new(config, route)),
        }
    }
}

impl Sink {
    fn new(config: &Config, route: &Route) -> Self {
        match &route.to {
            Destination::Log { values } => Self::Log(Log {
                format: route.format,
                values: *values,
            }),
            Destination::Discard => Self::Discard(Discard),
            Destination::Function(arn) => {
                Self::Function(Box::new(Function::new(config, arn.clone(), route.batch_size)))
            }
            Destination::Sqs(arn) => {
                let sender = QueueSender::new(arn.clone(), SETTING);
                Self::Sqs(Box::new(batched(sender, messages(route), route)))
            }
            Destination::Sns(arn) => {
                let sender = SnsSender::new(arn.clone());
                Self::Sns(Box::new(batched(sender, messages(route), route)))
            }
            Destination::EventBridge(arn) => {
                let events = RecordEvents::new(&config.group_id);
                Self::EventBridge(Box::new(batched(BusSender::new(arn.clone()), events, route)))
            }
            Destination::Kafka(topic) => {
                let sender = TopicSender::new(config, Arc::new(Security::new(config)), topic, SETTING);
                Self::Kafka(Box::new(batched(sender, Copies, route)))
            }
        }
    }
}

fn batched<S: Sender, E: Encoder<S::Entry>>(sender: S, encoder: E, route: &Route) -> Named<Batched<S, E>> {
    Named {
        name: route.to.to_string(),
        inner: Batched::new(sender, encoder, route.batch_size),
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
            Some(Sink::Sns(topic)) => topic.process(chunk, run).await,
            Some(Sink::EventBridge(bus)) => bus.process(chunk, run).await,
            Some(Sink::Kafka(to)) => to.process(chunk, run).await,
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
            Some(Sink::Sns(sns)) => sns.inner.batch_size(topic),
            Some(Sink::EventBridge(bus)) => bus.inner.batch_size(topic),
            Some(Sink::Kafka(to)) => to.inner.batch_size(topic),
            Some(Sink::Log(_) | Sink::Discard(_)) | None => None,
        }
    }

    fn takes(&self, topic: &str) -> bool {
        self.routes.of(topic).is_some()
    }
}

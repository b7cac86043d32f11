//! Where records go: one file per destination, each a [`Processor`].

pub mod discard;
pub mod function;
pub mod log;

use std::num::NonZeroUsize;

use crate::config::{Config, Destination, Route, Routes};
use crate::processor::by_key::{ByKey, by_key};
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::Chunk;
use discard::Discard;
use function::Function;
use log::Log;

/// The destinations that `DESTINATION` names, by topic.
pub struct Configured {
    routes: Routes<Sink>,
}

/// One destination.
enum Sink {
    Log(Log),
    Discard(Discard),
    Function(Box<ByKey<Function>>),
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
                let function = Function::new(config, arn.clone(), route.batch_size);
                Self::Function(Box::new(by_key(route.parallelization_factor.get(), function)))
            }
        }
    }
}

impl Processor for Configured {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let topic = &chunk.partition().topic;
        match self.routes.of(topic) {
            Some(Sink::Log(log)) => log.process(chunk, run).await,
            Some(Sink::Discard(discard)) => discard.process(chunk, run).await,
            Some(Sink::Function(function)) => function.process(chunk, run).await,
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
            Some(Sink::Log(_) | Sink::Discard(_)) | None => None,
        }
    }

    fn parallelization_factor(&self, topic: &str) -> NonZeroUsize {
        match self.routes.of(topic) {
            Some(Sink::Function(function)) => function.parallelization_factor(topic),
            Some(Sink::Log(_) | Sink::Discard(_)) | None => NonZeroUsize::MIN,
        }
    }

    fn takes(&self, topic: &str) -> bool {
        self.routes.of(topic).is_some()
    }
}

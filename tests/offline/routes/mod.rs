//! Routes of handlers, by topic and header.

mod header;
mod topic;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_consumer_lambda::Failure;
use kafka_consumer_lambda::processor::routes::Router;
use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::{Chunk, Header, Record, TopicPartition};

/// The calls of handlers, with their offsets, attempt and lag.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Call>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    handler: &'static str,
    offsets: Vec<i64>,
    attempt: u32,
    lag: Option<u64>,
}

impl Calls {
    /// A handler that settles every record.
    fn settles(&self, handler: &'static str) -> Handler {
        self.handler(handler, Progress::all)
    }

    /// A handler that settles the records up to `offset`, and fails there.
    fn fails_at(&self, handler: &'static str, offset: i64) -> Handler {
        self.handler(handler, move |chunk| {
            let settled = chunk
                .records()
                .iter()
                .take_while(|record| record.offset < offset)
                .count();
            let stop = (settled < chunk.len()).then(|| Failure::Retry("busy".into()));
            Progress { settled, stop }
        })
    }

    fn handler(&self, name: &'static str, progress: impl Fn(&Chunk) -> Progress + Send + Sync + 'static) -> Handler {
        Handler {
            name,
            calls: self.clone(),
            progress: Box::new(progress),
            batch_size: None,
            decodes: false,
        }
    }

    fn all(&self) -> Vec<Call> {
        self.0.lock().expect("no panic").clone()
    }

    /// The handler and the offsets of each call.
    fn offsets(&self) -> Vec<(&'static str, Vec<i64>)> {
        self.all()
            .into_iter()
            .map(|call| (call.handler, call.offsets))
            .collect()
    }
}

struct Handler {
    name: &'static str,
    calls: Calls,
    progress: Box<dyn Fn(&Chunk) -> Progress + Send + Sync>,
    batch_size: Option<usize>,
    decodes: bool,
}

impl Handler {
    fn in_batches(self, size: usize) -> Self {
        let batch_size = Some(size);
        Self { batch_size, ..self }
    }

    fn decoding(self) -> Self {
        Self { decodes: true, ..self }
    }
}

impl Processor for Handler {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let call = Call {
            handler: self.name,
            offsets: chunk.records().iter().map(|record| record.offset).collect(),
            attempt: run.attempt,
            lag: run.lag,
        };
        self.calls.0.lock().expect("no panic").push(call);
        (self.progress)(chunk)
    }

    fn decodes(&self, _: &str) -> bool {
        self.decodes
    }

    fn batch_size(&self, _: &str) -> Option<NonZeroUsize> {
        self.batch_size.and_then(NonZeroUsize::new)
    }
}

/// Records of `topic` from offset 0 on, with these values of the header `type`, or without it.
fn chunk(topic: &str, types: &[Option<&'static str>]) -> Chunk {
    let record = |(offset, value): (i64, Option<&'static str>)| {
        let header = value.map(|value| Header::new("type", Some(value.into())));
        Record {
            headers: header.into_iter().collect(),
            ..Record::new(TopicPartition::new(topic, 0), offset)
        }
    };
    Chunk::new((0..).zip(types.iter().copied()).map(record).collect()).expect("records")
}

fn context() -> RunContext {
    RunContext {
        stop_at: Instant::now() + Duration::from_mins(1),
        attempt: 3,
        run_id: "run".into(),
        group_id: "g".into(),
        lag: Some(10),
    }
}

async fn process(router: &Router, chunk: &Chunk) -> Progress {
    router.process(chunk, &context()).await
}

/// The handler of each topic.
async fn handlers(router: Router, calls: &Calls, topics: &[&str]) -> Vec<&'static str> {
    for topic in topics {
        assert!(router.takes(topic), "{topic}");
        let chunk = chunk(topic, &[None, None]);
        assert_eq!(process(&router, &chunk).await, Progress::all(&chunk));
    }
    calls.all().into_iter().map(|call| call.handler).collect()
}

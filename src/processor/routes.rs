//! A processor that passes records to other processors, by topic and header.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;

use super::any::AnyProcessor;
use crate::config::TopicPattern;
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::{Chunk, Record};

/// A processor that passes each record to the handler of its topic, or of a header.
///
/// The first route that a record matches applies, in the order in which the
/// routes are added; then [`otherwise`](Router::otherwise). A handler is any
/// [`Processor`], also another router.
///
/// ```
/// use kafka_consumer_lambda::processor::Processor;
/// use kafka_consumer_lambda::{Failure, Record, each, json, routes};
///
/// #[derive(serde::Deserialize)]
/// struct Order { id: u64 }
///
/// async fn handle_order(order: Option<Order>, record: Record) -> Result<(), Failure> {
///     # let _ = (order.map(|order| order.id), record);
///     Ok(())
/// }
/// async fn handle_user(record: Record) -> Result<(), Failure> {
///     # let _ = record;
///     Ok(())
/// }
/// async fn handle_other(record: Record) -> Result<(), Failure> {
///     # let _ = record;
///     Ok(())
/// }
///
/// let handler = routes()
///     .topic("orders", json(handle_order))
///     .topic("users", each(handle_user))
///     .otherwise(each(handle_other));
/// assert!(handler.takes("orders") && handler.takes("payments"));
///
/// // Without `otherwise`, other topics have no handler.
/// let handler = routes().topic("orders", json(handle_order));
/// assert!(!handler.takes("payments"));
/// ```
///
/// # Topics without a handler
///
/// A topic of `KAFKA_TOPIC` for which there is no handler is
/// `InvalidConfiguration` at start. An event of AWS's mapping with records of
/// such a topic is `InvalidEvent`, and none of its records are handed over.
pub fn routes() -> Router {
    Router {
        routes: Vec::new(),
        otherwise: None,
    }
}

/// Handlers by topic and header: see [`routes`].
#[must_use = "a router does nothing until records are passed to it"]
pub struct Router {
    routes: Vec<Route>,
    otherwise: Option<Box<dyn AnyProcessor>>,
}

struct Route {
    matches: Match,
    handler: Box<dyn AnyProcessor>,
}

enum Match {
    Topic(TopicPattern),
    Header { name: String, value: Bytes },
}

impl Router {
    /// Passes the records of `topic` to `handler`: the name of a topic, or
    /// `prefix*` for all whose names begin so.
    ///
    /// # Panics
    ///
    /// If `topic` cannot be the name of a topic or the beginning of one: the
    /// route could never apply.
    pub fn topic(self, topic: &str, handler: impl Processor + 'static) -> Self {
        match topic.parse() {
            Ok(pattern) => self.with(Match::Topic(pattern), handler),
            Err(reason) => panic!("the topic {topic:?} of a route {reason}"),
        }
    }

    /// Passes records whose header `name` has this value to `handler`, whatever
    /// their topic.
    ///
    /// The bytes are compared: the value need not be UTF-8, and case matters. Of a
    /// header that is there several times, the last counts, as for Kafka's
    /// `lastHeader`. A header without a value matches no route, not even that of
    /// an empty value.
    ///
    /// Within one topic, consecutive records of the same handler are one chunk
    /// for it, and records are handled in the order of their offsets whichever
    /// their handlers are: if one fails, none behind it is handed over. A record
    /// that matches no route is [`Failure::Poison`]: it blocks its partition, or
    /// is skipped and reported, or becomes a dead letter, by `ON_FAILURE`.
    ///
    /// ```
    /// use kafka_consumer_lambda::processor::Processor;
    /// use kafka_consumer_lambda::{Failure, Record, each, routes};
    ///
    /// async fn handle_priority(record: Record) -> Result<(), Failure> {
    ///     # let _ = record;
    ///     Ok(())
    /// }
    /// async fn handle_normal(record: Record) -> Result<(), Failure> {
    ///     # let _ = record;
    ///     Ok(())
    /// }
    ///
    /// // Priority messages of every topic.
    /// let handler = routes()
    ///     .header("message-type", "priority", each(handle_priority))
    ///     .topic("orders", each(handle_normal));
    /// # assert!(handler.takes("orders"));
    ///
    /// // Those of one topic: a router in a router.
    /// let orders = routes()
    ///     .header("message-type", "priority", each(handle_priority))
    ///     .otherwise(each(handle_normal));
    /// let handler = routes().topic("orders", orders);
    /// # assert!(handler.takes("orders") && !handler.takes("users"));
    /// ```
    pub fn header(self, name: impl Into<String>, value: impl Into<Bytes>, handler: impl Processor + 'static) -> Self {
        let (name, value) = (name.into(), value.into());
        self.with(Match::Header { name, value }, handler)
    }

    /// Passes the records that no route matches to `handler`, wherever among the
    /// routes this is called.
    pub fn otherwise(self, handler: impl Processor + 'static) -> Self {
        let otherwise: Option<Box<dyn AnyProcessor>> = Some(Box::new(handler));
        Self { otherwise, ..self }
    }

    fn with(mut self, matches: Match, handler: impl Processor + 'static) -> Self {
        let handler = Box::new(handler);
        self.routes.push(Route { matches, handler });
        self
    }

    /// The handlers that records of `topic` may get, in the order in which they
    /// are considered. One whose condition is `None` gets every record that
    /// reaches it, and is the last.
    fn candidates<'a>(&'a self, topic: &str) -> Vec<Candidate<'a>> {
        let mut candidates = Vec::new();
        for Route { matches, handler } in &self.routes {
            let header = match matches {
                Match::Topic(pattern) if pattern.matches(topic) => None,
                Match::Topic(_) => continue,
                Match::Header { name, value } => Some((name.as_str(), value.as_ref())),
            };
            // A router among the handlers need not have a route for the topic.
            if handler.takes(topic) {
                candidates.push(Candidate {
                    header,
                    handler: &**handler,
                });
                if header.is_none() {
                    return candidates;
                }
            }
        }
        if let Some(handler) = self.otherwise.as_deref().filter(|handler| handler.takes(topic)) {
            candidates.push(Candidate { header: None, handler });
        }
        candidates
    }
}

/// A handler for some records of a topic.
struct Candidate<'a> {
    /// The name and value of the header that a record must have.
    header: Option<(&'a str, &'a [u8])>,
    handler: &'a dyn AnyProcessor,
}

impl Candidate<'_> {
    fn takes(&self, record: &Record) -> bool {
        let Some((name, value)) = self.header else { return true };
        let last = record.headers.iter().rfind(|header| header.is_named(name));
        last.is_some_and(|header| header.value.as_deref() == Some(value))
    }
}

impl Processor for Router {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let topic = &chunk.partition().topic;
        let candidates = self.candidates(topic);
        match candidates.as_slice() {
            [] => stopped(0, Failure::Fatal(format!("there is no handler for the topic {topic}"))),
            [Candidate { header: None, handler }] => handler.process(chunk, run).await,
            _ => by_header(&candidates, chunk, run).await,
        }
    }

    /// Whether all handlers of the topic do. If only some do, values are checked
    /// for all of them.
    fn decodes(&self, topic: &str) -> bool {
        let candidates = self.candidates(topic);
        !candidates.is_empty() && candidates.iter().all(|candidate| candidate.handler.decodes(topic))
    }

    /// The largest of the topic's handlers. By header, none of them gets more than its own.
    fn batch_size(&self, topic: &str) -> Option<NonZeroUsize> {
        let candidates = self.candidates(topic);
        candidates
            .iter()
            .filter_map(|candidate| candidate.handler.batch_size(topic))
            .max()
    }

    /// The largest of the topic's handlers.
    fn parallelization_factor(&self, topic: &str) -> NonZeroUsize {
        let candidates = self.candidates(topic);
        let factors = candidates
            .iter()
            .map(|candidate| candidate.handler.parallelization_factor(topic));
        factors.max().unwrap_or(NonZeroUsize::MIN)
    }

    fn takes(&self, topic: &str) -> bool {
        !self.candidates(topic).is_empty()
    }
}

fn stopped(settled: usize, failure: Failure) -> Progress {
    Progress {
        settled,
        stop: Some(failure),
    }
}

/// Passes consecutive records of the same handler to it, until one is not settled, or until the
/// next call would not be finished in time, by the slowest so far: if it were cut off, the records
/// of all calls would be handled again.
async fn by_header(candidates: &[Candidate<'_>], chunk: &Chunk, run: &RunContext) -> Progress {
    let mut settled = 0;
    let mut slowest = Duration::ZERO;
    while let [first, ..] = &chunk.records()[settled..] {
        let left = run.time_left();
        // The run has just checked the time for the first call.
        if settled > 0 && left <= slowest {
            return Progress { settled, stop: None };
        }
        let Some(at) = index_of(candidates, first) else {
            return stopped(settled, without_handler(first));
        };
        let Some(part) = part_of(chunk, settled, candidates, at) else {
            break;
        };
        let context = run.of_part(&part, chunk);
        let progress = candidates[at].handler.process(&part, &context).await;
        let is_last = settled + part.len() == chunk.len();
        let progress = if is_last { progress } else { progress.checked(&part) };
        settled += progress.settled.min(part.len());
        if progress.stop.is_some() || progress.settled < part.len() {
            let stop = progress.stop;
            return Progress { settled, stop };
        }
        slowest = slowest.max(left.saturating_sub(run.time_left()));
    }
    Progress { settled, stop: None }
}

fn without_handler(record: &Record) -> Failure {
    let Record { partition, offset, .. } = record;
    Failure::Poison(format!(
        "no handler for the record at offset {offset} of {partition}: it has none of the headers of a route, and there \
         is no `otherwise`"
    ))
}

fn index_of(candidates: &[Candidate<'_>], record: &Record) -> Option<usize> {
    candidates.iter().position(|candidate| candidate.takes(record))
}

/// The records from `start` on that go to the candidate `at`, no more than it takes at best.
fn part_of(chunk: &Chunk, start: usize, candidates: &[Candidate<'_>], at: usize) -> Option<Chunk> {
    let batch_size = candidates[at].handler.batch_size(&chunk.partition().topic);
    let records = chunk.records()[start..].iter();
    let part = records
        .take(batch_size.map_or(usize::MAX, NonZeroUsize::get))
        .take_while(|record| index_of(candidates, record) == Some(at));
    Chunk::new(part.cloned().collect())
}

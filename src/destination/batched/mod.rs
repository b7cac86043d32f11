//! Sends records to a service in batches: a [`Sender`] knows the service, an [`Encoder`]
//! what is sent, and [`Batched`] makes a [`Processor`] of both.
//!
//! **Order.** In the order of offsets, one call at a time for each partition. What a call
//! refused for now is sent again before anything behind that call.
//!
//! **Settled** are the records before the first that was not accepted. What was accepted
//! behind it is not sent again in this run; the next run sends it again, because only a
//! cursor is stored.
//!
//! **Repetition.** A call whose response is lost, or that the end of the run cuts off, is
//! made again: the service may get an entry twice.
//!
//! | file | |
//! |---|---|
//! | `sender.rs` | the seam: what a service implements |
//! | `accepted.rs` | which records are sent next; pure |

mod accepted;
mod sender;

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::time::timeout;

use crate::processor::run_memory::RunMemory;
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::{Chunk, Record};
use accepted::Accepted;
pub(crate) use sender::{CallFailure, Encoder, EntryOutcome, Limits, Sender, Unfit};

/// With less time than this a new connection with TLS is not even tried.
const MIN_TIME: Duration = Duration::from_millis(500);

/// A service as a processor.
pub(crate) struct Batched<S, E> {
    sender: S,
    encoder: E,
    batch_size: NonZeroUsize,
    /// Whether the end of the run ends a call without a failure.
    ends_with_run: bool,
    accepted: RunMemory<Accepted>,
}

/// The entries of the next call.
struct Call<Entry> {
    /// Their records: indexes of the chunk.
    records: Vec<usize>,
    entries: Vec<Entry>,
}

/// Why no further call is made.
enum Stop {
    OutOfTime,
    Failed(Failure),
}

/// Why a record of a call was not accepted.
enum Refused {
    TooLarge,
    Failed(Failure),
}

impl<S: Sender, E: Encoder<S::Entry>> Batched<S, E> {
    /// `batch_size`: the most entries of a call; `None`: as many as the service takes.
    pub(crate) fn new(sender: S, encoder: E, batch_size: Option<NonZeroUsize>) -> Self {
        let most = NonZeroUsize::new(sender.limits().entries).unwrap_or(NonZeroUsize::MIN);
        Self {
            sender,
            encoder,
            batch_size: batch_size.map_or(most, |size| size.min(most)),
            ends_with_run: false,
            accepted: RunMemory::default(),
        }
    }

    /// The same, where the end of the run ends a call without a failure. Otherwise the run ends the
    /// call, as it does a handler's, and fails.
    pub(crate) fn ending_with_the_run(self) -> Self {
        Self {
            ends_with_run: true,
            ..self
        }
    }

    /// The next call with at most `most` of the records `open`. The first of them is in it.
    ///
    /// # Errors
    /// If the first of them can never be sent.
    fn call(&self, chunk: &Chunk, open: &[usize], most: usize, reduced: &[usize]) -> Result<Call<S::Entry>, Failure> {
        let limits = self.sender.limits();
        let (mut call, mut bytes) = (
            Call {
                records: vec![],
                entries: vec![],
            },
            0,
        );
        for &index in open.iter().take(most) {
            let encoded = self.entry(&chunk.records()[index], reduced.contains(&index), limits);
            let entry = match encoded {
                Ok(entry) => entry,
                Err(failure) if call.entries.is_empty() => return Err(failure),
                // It is the first of a later call.
                Err(_) => break,
            };
            bytes += self.sender.bytes(&entry);
            if bytes > limits.call_bytes && !call.entries.is_empty() {
                break;
            }
            call.records.push(index);
            call.entries.push(entry);
        }
        Ok(call)
    }

    /// The entry of a record, or what stands for one that is too large.
    fn entry(&self, record: &Record, is_reduced: bool, limits: Limits) -> Result<S::Entry, Failure> {
        let fits = |entry: &S::Entry| self.sender.bytes(entry) <= limits.entry_bytes;
        if !is_reduced {
            match self.encoder.encode(record) {
                Ok(entry) if fits(&entry) => return Ok(entry),
                Ok(_) | Err(Unfit::TooLarge) => {}
                Err(Unfit::Invalid(text)) => return Err(Failure::Poison(text)),
            }
        }
        let reduced = self.encoder.reduced(record).filter(fits);
        reduced.ok_or_else(|| self.too_large())
    }

    /// The failure of a record alone that is above the size that is taken.
    fn too_large(&self) -> Failure {
        Failure::Poison(self.encoder.too_large(self.sender.limits()))
    }

    /// Sends the records that were not accepted, until all are, or one is not.
    async fn deliver(&self, chunk: &Chunk, offsets: &[i64], run: &RunContext) -> Result<(), Stop> {
        let partition = chunk.partition();
        let mut most = self.batch_size.get();
        let mut reduced = vec![];
        loop {
            let open = self
                .accepted
                .with(partition, run, |accepted| accepted.next(offsets, most));
            if open.is_empty() {
                return Ok(());
            }
            let left = run.time_left();
            if left < MIN_TIME {
                return Err(Stop::OutOfTime);
            }
            let call = self.call(chunk, &open, most, &reduced).map_err(Stop::Failed)?;
            let sending = self.sender.send(&call.entries);
            let response = if self.ends_with_run {
                let Ok(response) = timeout(left, sending).await else {
                    tracing::warn!(%partition, entries = call.entries.len(), waited_ms = left.as_millis(), "the run ended before a call was acknowledged");
                    return Err(Stop::OutOfTime);
                };
                response
            } else {
                sending.await
            };
            let outcomes = match response {
                Ok(outcomes) => outcomes,
                Err(CallFailure::TooLarge | CallFailure::Invalid(_)) if call.entries.len() > 1 => {
                    most = call.entries.len() / 2;
                    continue;
                }
                Err(CallFailure::TooLarge) => vec![EntryOutcome::TooLarge],
                Err(CallFailure::Invalid(text)) => vec![EntryOutcome::Invalid(text)],
                Err(CallFailure::Throttled(text)) => return Err(Stop::Failed(Failure::Throttled(text))),
                Err(CallFailure::Fatal(text)) => return Err(Stop::Failed(Failure::Fatal(text))),
            };
            let refused = self.apply(chunk, &call.records, outcomes, run);
            match refused {
                None => {}
                Some((index, Refused::TooLarge)) if !reduced.contains(&index) => reduced.push(index),
                Some((_, Refused::TooLarge)) => return Err(Stop::Failed(self.too_large())),
                Some((_, Refused::Failed(failure))) => return Err(Stop::Failed(failure)),
            }
        }
    }

    /// Notes which records of a call were accepted. Returns the first that was not.
    fn apply(
        &self,
        chunk: &Chunk,
        sent: &[usize],
        outcomes: Vec<EntryOutcome>,
        run: &RunContext,
    ) -> Option<(usize, Refused)> {
        let missing = || EntryOutcome::Throttled("the response names no outcome of the entry".to_owned());
        let outcomes = outcomes.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let mut first = None;
        for (&index, outcome) in sent.iter().zip(outcomes) {
            let refused = match outcome.unwrap_or_else(missing) {
                EntryOutcome::Accepted => {
                    let offset = chunk.records()[index].offset;
                    self.accepted
                        .with(chunk.partition(), run, |accepted| accepted.add(offset));
                    continue;
                }
                EntryOutcome::TooLarge => Refused::TooLarge,
                EntryOutcome::Throttled(text) => Refused::Failed(Failure::Throttled(text)),
                EntryOutcome::Invalid(text) => Refused::Failed(Failure::Poison(text)),
                EntryOutcome::Fatal(text) => Refused::Failed(Failure::Fatal(text)),
            };
            first.get_or_insert((index, refused));
        }
        first
    }
}

impl<S: Sender, E: Encoder<S::Entry>> Processor for Batched<S, E> {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let offsets: Vec<i64> = chunk.records().iter().map(|record| record.offset).collect();
        let stop = match self.deliver(chunk, &offsets, run).await {
            Ok(()) | Err(Stop::OutOfTime) => None,
            Err(Stop::Failed(failure)) => Some(failure),
        };
        let settled = self.accepted.with(chunk.partition(), run, |accepted| {
            let settled = accepted.settled(&offsets);
            accepted.forget(&offsets[..settled]);
            settled
        });
        Progress { settled, stop }
    }

    fn batch_size(&self, _topic: &str) -> Option<NonZeroUsize> {
        Some(self.batch_size)
    }
}

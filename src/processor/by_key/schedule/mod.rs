//! Which records of a chunk are handled next, and what is settled. Pure.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use crate::processor::{Failure, Progress};

/// The order in which the records of one chunk are handled. Records are named by
/// their index in the chunk.
///
/// A record may begin once every record of its key before it is done, or is
/// before it in the same batch. A record without a key may always begin. Of those that may,
/// a batch takes the first ones. Keys are not divided among the calls by their hash: where a few
/// keys have most of the records, some calls would have nothing to do.
///
/// | a batch ended with | its settled records | the next one | those behind it |
/// |---|---|---|---|
/// | all settled | done | | |
/// | some settled, no failure | done | may begin again | may begin again |
/// | `Retry`, `Poison`, `Undecodable` | done | failed: no record of its key begins in this chunk | may begin, unless of its key |
/// | `Throttled` | done | may begin again; no new batch begins in this chunk | as it |
/// | `Fatal` | done | as `Throttled`, and it is the failure of the chunk | as it |
/// | a failure of no record, one record | | failed, as `Retry` | |
/// | a failure of no record, several | | may begin again, in a batch of its own | as it |
///
/// What the chunk ends with, by its first record that is not done:
///
/// | that record | [`outcome`](Schedule::outcome) |
/// |---|---|
/// | any, after a `Fatal` of any batch | that failure |
/// | there is none | all settled |
/// | failed | its failure |
/// | did not begin, or ended without a failure, after a `Throttled` | that failure |
/// | the same, otherwise | no failure: the time ended |
#[derive(Debug)]
pub(super) struct Schedule {
    records: Vec<Entry>,
    /// The records that may begin.
    ready: BTreeSet<usize>,
    /// How many of the first records are done.
    settled: usize,
    batch_size: usize,
    /// A `Throttled` or `Fatal` failure: no new batch begins.
    stopped: Option<Failure>,
}

/// What earlier calls of the run have shown of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Known {
    /// It is to be handled.
    #[default]
    Open,
    /// It was handled.
    Done,
    /// It failed, and the run does not have the failure yet.
    Failed(Failure),
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// The records of its key before and behind it, without those that were done before.
    previous: Option<usize>,
    next: Option<usize>,
    /// Whether it is handled in a batch of its own.
    alone: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Waiting,
    InFlight,
    Done,
    Failed(Failure),
}

impl Schedule {
    /// The records, with their keys, in the order of the chunk.
    pub(super) fn new<'a>(records: impl IntoIterator<Item = (Option<&'a [u8]>, Known)>, batch_size: usize) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut last_of: HashMap<&[u8], usize> = HashMap::new();
        for (index, (key, known)) in records.into_iter().enumerate() {
            let state = match known {
                Known::Open => State::Waiting,
                Known::Done => State::Done,
                Known::Failed(failure) => State::Failed(failure),
            };
            let key = key.filter(|_| state != State::Done);
            let previous = key.and_then(|key| last_of.insert(key, index));
            if let Some(previous) = previous {
                entries[previous].next = Some(index);
            }
            entries.push(Entry {
                state,
                previous,
                next: None,
                alone: false,
            });
        }
        let mut schedule = Self {
            records: entries,
            ready: BTreeSet::new(),
            settled: 0,
            batch_size: batch_size.max(1),
            stopped: None,
        };
        for index in 0..schedule.records.len() {
            schedule.make_ready(index);
        }
        schedule.advance();
        schedule
    }

    /// The records of the next batch, in ascending order; `None`: none may begin now.
    pub(super) fn next(&mut self) -> Option<Vec<usize>> {
        if self.stopped.is_some() {
            return None;
        }
        let mut batch = Vec::new();
        while batch.len() < self.batch_size
            && let Some(first) = self.ready.first().copied()
        {
            let alone = self.records[first].alone;
            if alone && !batch.is_empty() {
                break;
            }
            self.ready.remove(&first);
            self.records[first].state = State::InFlight;
            batch.push(first);
            if alone {
                break;
            }
            // The next of its key may follow it in this batch.
            self.ready.extend(self.waiting_behind(first));
        }
        for index in &batch {
            if let Some(next) = self.records[*index].next {
                self.ready.remove(&next);
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// A batch ended. A failure is that of the record after the settled ones, or `Fatal`.
    pub(super) fn ended(&mut self, batch: &[usize], progress: Progress) {
        let (done, rest) = batch.split_at(progress.settled.min(batch.len()));
        for index in done {
            self.records[*index].state = State::Done;
        }
        for index in rest {
            self.records[*index].state = State::Waiting;
        }
        match (progress.stop, rest.first()) {
            (None, _) => {}
            (Some(fatal @ Failure::Fatal(_)), _) => self.stopped = Some(fatal),
            (Some(throttled @ Failure::Throttled(_)), _) => {
                self.stopped.get_or_insert(throttled);
            }
            (Some(failure), Some(failed)) => self.records[*failed].state = State::Failed(failure),
            (Some(_), None) => debug_assert!(false, "a failure behind the whole batch is fatal"),
        }
        for index in rest {
            self.make_ready(*index);
        }
        for index in done {
            self.ready.extend(self.waiting_behind(*index));
        }
        self.advance();
    }

    /// A batch failed, and the failure is that of no record of it: none of several is
    /// blamed, and each is handled in a batch of its own.
    pub(super) fn failed_without_a_record(&mut self, batch: &[usize], what: String) {
        let stop = if batch.len() == 1 {
            Some(Failure::Retry(what))
        } else {
            for index in batch {
                self.records[*index].alone = true;
            }
            None
        };
        self.ended(batch, Progress { settled: 0, stop });
    }

    /// Whether nothing is settled, and the first record has not failed.
    pub(super) fn has_no_outcome(&self) -> bool {
        let first = self.records.first().map(|first| &first.state);
        matches!(first, Some(State::Waiting | State::InFlight))
    }

    /// What is settled, and the failure of the first record that is not.
    pub(super) fn outcome(&self) -> Progress {
        let settled = self.settled;
        let first = self.records.get(settled).map(|first| &first.state);
        let stop = match (&self.stopped, first) {
            (Some(fatal @ Failure::Fatal(_)), _) => Some(fatal.clone()),
            (_, Some(State::Failed(failure))) => Some(failure.clone()),
            (throttled, Some(_)) => throttled.clone(),
            (_, None) => None,
        };
        Progress { settled, stop }
    }

    /// The failures behind the first record that is not done: the run does not have them yet.
    pub(super) fn failures_behind(&self) -> impl Iterator<Item = (usize, &Failure)> {
        let behind = self.records.iter().enumerate().skip(self.settled + 1);
        behind.filter_map(|(index, entry)| match &entry.state {
            State::Failed(failure) => Some((index, failure)),
            State::Waiting | State::InFlight | State::Done => None,
        })
    }

    /// The record may begin, if it waits for no other.
    fn make_ready(&mut self, index: usize) {
        let Entry { state, previous, .. } = &self.records[index];
        let is_next = previous.is_none_or(|previous| self.records[previous].state == State::Done);
        if *state == State::Waiting && is_next {
            self.ready.insert(index);
        }
    }

    /// The next record of the same key, if it waits.
    fn waiting_behind(&self, index: usize) -> Option<usize> {
        let next = self.records[index].next?;
        (self.records[next].state == State::Waiting).then_some(next)
    }

    fn advance(&mut self) {
        let behind = &self.records[self.settled..];
        self.settled += behind.iter().take_while(|entry| entry.state == State::Done).count();
    }
}

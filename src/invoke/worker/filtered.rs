//! Buffered records that match no filter pattern: settled without the handler, in
//! their place between the others.

use super::PartitionWorker;
use crate::invoke::Backend;
use crate::invoke::run::Run;
use crate::record::Record;

/// From this many records, or bytes, on they are matched and decoded on another
/// thread: 1 KB of JSON takes some microseconds.
const MAX_RECORDS_ON_THIS_THREAD: usize = 256;
const MAX_BYTES_ON_THIS_THREAD: usize = 256 * 1024;

/// Whether work on these records belongs on another thread.
pub(super) fn is_long_work(records: &[Record]) -> bool {
    let bytes: usize = records.iter().map(Record::size_bytes).sum();
    records.len() >= MAX_RECORDS_ON_THIS_THREAD || bytes >= MAX_BYTES_ON_THIS_THREAD
}

impl PartitionWorker {
    /// Matches `records`, a poll's, and returns how many are filtered.
    ///
    /// Where a run crashed, nothing is matched before the mark is written: that
    /// may be what crashed it. [`filter_buffer`](Self::filter_buffer) does it then.
    pub(super) async fn filter_polled<B: Backend>(&mut self, run: &Run<'_, B>, records: &mut Vec<Record>) -> u64 {
        if self.ledger.quarantine().is_some() {
            self.unfiltered += records.len();
            return 0;
        }
        self.filter(run, records).await
    }

    /// Matches the buffered records that are not matched yet. Returns whether
    /// there was one.
    pub(super) async fn filter_buffer<B: Backend>(&mut self, run: &Run<'_, B>) -> bool {
        let unfiltered = std::mem::take(&mut self.unfiltered).min(self.buffered.len());
        if unfiltered == 0 || run.config.filter(&self.partition.topic).is_none() {
            return false;
        }
        let mut records: Vec<Record> = self.buffered.drain(self.buffered.len() - unfiltered..).collect();
        let filtered = self.filter(run, &mut records).await;
        self.buffered.extend(records);
        self.ledger.grant(filtered);
        true
    }

    /// Notes which of `records` match no pattern, and returns their number. Of
    /// these, only the offset and the time are kept.
    async fn filter<B: Backend>(&mut self, run: &Run<'_, B>, records: &mut Vec<Record>) -> u64 {
        let Some(filter) = run.config.filter(&self.partition.topic).cloned() else {
            return 0;
        };
        let window = run.window();
        let mut unread = std::mem::take(records);
        let is_long = is_long_work(&unread);
        let matching = move || {
            let mut filtered = Vec::new();
            for record in &mut unread {
                let selected = window.is_none_or(|window| window.selects(record));
                if selected && !filter.matches(record) {
                    filtered.push(record.offset);
                    *record = Record {
                        timestamp: record.timestamp,
                        ..Record::new(record.partition.clone(), record.offset)
                    };
                }
            }
            (unread, filtered)
        };
        let (kept, filtered) = if is_long {
            run_blocking(matching).await
        } else {
            matching()
        };
        *records = kept;
        let count = filtered.len() as u64;
        self.filtered.extend(filtered);
        count
    }

    /// Settles the first buffered records if they are filtered. Returns whether
    /// there was one.
    pub(super) fn settle_filtered(&mut self) -> bool {
        let mut passed = Vec::new();
        while let Some(offset) = self.filtered.front().copied()
            && let Some(record) = self.buffered.pop_front_if(|first| first.offset == offset)
        {
            self.filtered.pop_front();
            passed.push(record);
        }
        let Some(last) = passed.last() else { return false };
        self.ledger.settled_without_handler(passed.len(), last);
        self.outcome.filtered += passed.len() as u64;
        self.advance();
        true
    }

    /// How many of the first buffered records are taken for a chunk of `count`:
    /// of the `selected` first ones, these and the filtered ones between and
    /// behind them.
    pub(super) fn batch_len(&self, count: usize, selected: impl Fn(&Record) -> bool) -> usize {
        let mut filtered = self.filtered.iter().peekable();
        let mut matching = 0;
        let taken = self.buffered.iter().take_while(|record| {
            if !selected(record) {
                return false;
            }
            if filtered.next_if_eq(&&record.offset).is_some() {
                return true;
            }
            matching += 1;
            matching <= count
        });
        taken.count()
    }

    /// Takes the first `taken` buffered records. The filtered ones are set aside,
    /// until they are settled or buffered again with the others.
    pub(super) fn take_batch(&mut self, taken: usize) -> Vec<Record> {
        let records: Vec<Record> = self.buffered.drain(..taken).collect();
        if self.filtered.is_empty() {
            return records;
        }
        let filtered = &self.filtered;
        let (filtered_in_flight, matching) = records
            .into_iter()
            .partition(|record| filtered.binary_search(&record.offset).is_ok());
        self.filtered_in_flight = filtered_in_flight;
        matching
    }

    /// Those set aside before the offset `next` of the first record that is not
    /// settled; `None`: all.
    pub(super) fn filtered_before(&mut self, next: Option<i64>) -> Vec<Record> {
        let before = self
            .filtered_in_flight
            .partition_point(|record| next.is_none_or(|next| record.offset < next));
        let passed: Vec<Record> = self.filtered_in_flight.drain(..before).collect();
        self.filtered.drain(..passed.len());
        self.outcome.filtered += passed.len() as u64;
        passed
    }

    /// Buffers records again that were taken and are not settled, with those set
    /// aside behind the first of them.
    pub(super) fn return_to_buffer(&mut self, mut records: Vec<Record>) {
        let Some(first) = records.first() else { return };
        let behind = self
            .filtered_in_flight
            .partition_point(|record| record.offset < first.offset);
        records.extend(self.filtered_in_flight.drain(behind..));
        records.sort_by_key(|record| record.offset);
        for record in records.into_iter().rev() {
            self.buffered.push_front(record);
        }
    }
}

/// The result of `work`, which may take milliseconds, while this thread goes on
/// with other partitions.
pub(super) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process is about to end: nothing more will be settled.
            Err(_) => std::future::pending().await,
        },
    }
}

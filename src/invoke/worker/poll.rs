//! Polls a partition, and finds out why no more records come.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures::FutureExt;

use super::{EndReason, PartitionWorker, ReadFailure};
use crate::error::{Error, ErrorType};
use crate::invoke::run::Run;
use crate::invoke::{Backend, Interrupt, next_step};
use crate::ledger::MAX_CHUNK;
use crate::ledger::Step;
use crate::record::Record;
use crate::source::{Limit, OffsetSpec, Polled, Source};

/// How long buffered records wait for others of their batch. Those that are known to
/// be there arrive within milliseconds, unless the brokers or the network limit the speed.
const MAX_FILL_MS: u64 = 1_000;

impl PartitionWorker {
    pub(super) async fn poll<B: Backend>(&mut self, run: &Run<'_, B>, records: usize) {
        if let Some(polled) = self.put_off.take() {
            return self.handle_poll(run, polled).await;
        }
        if !self.is_fetching {
            let here = (self.partition.clone(), self.ledger.settled_at());
            if let Err(error) = run.source.assign(&[here]) {
                return self.end(EndReason::Failed(error));
            }
            self.is_fetching = true;
        }
        let wake = run.wake_at(self.ledger.due_at_ms());
        if let Some(polled) = self.next_poll(run, limit(run, records), wake).await {
            self.handle_poll(run, polled).await;
        }
    }

    /// The next poll's result; `None`: it is `wake`, or the run is to end.
    async fn next_poll<B: Backend>(&self, run: &Run<'_, B>, limit: Limit, wake: Instant) -> Option<Polled> {
        tokio::select! {
            biased;
            polled = run.source.poll(&self.partition, limit) => Some(polled),
            () = tokio::time::sleep_until(wake.into()) => None,
            () = run.halted(Interrupt::Finish) => None,
        }
    }

    /// Whether the handler takes more records in one call than are buffered, more can
    /// be fetched, and there is memory for them.
    pub(super) fn awaits_full_batch<B: Backend>(&self, run: &Run<'_, B>) -> bool {
        let matching = self.buffered.len() - self.filtered.len().min(self.buffered.len());
        self.is_fetching
            && self.put_off.is_none()
            && self.fill_until_ms.is_none_or(|until| run.now_ms() < until)
            && self.ledger.awaits_more(matching)
            && self.buffered.len() < self.max_buffered()
            && self.free_bytes(run) > run.sizes.chunk_bytes / 2
    }

    /// How many records are buffered for a batch, with those that match no filter.
    fn max_buffered(&self) -> usize {
        MAX_CHUNK.max(self.ledger.batch().unwrap_or_default())
    }

    fn free_bytes<B: Backend>(&self, run: &Run<'_, B>) -> usize {
        let buffered: usize = self.buffered.iter().map(Record::size_bytes).sum();
        run.sizes.chunk_bytes.saturating_sub(buffered)
    }

    /// Polls for more records of a batch. Anything else than records is acted on once
    /// those buffered are settled.
    pub(super) async fn fill_batch<B: Backend>(&mut self, run: &Run<'_, B>) {
        if self.settle_filtered() {
            return;
        }
        let until_ms = *self.fill_until_ms.get_or_insert(run.now_ms() + MAX_FILL_MS);
        let due_ms = self.ledger.due_at_ms().map_or(until_ms, |due| due.min(until_ms));
        let limit = Limit {
            records: self.ledger.poll_limit().min(self.max_buffered() - self.buffered.len()),
            bytes: self.free_bytes(run),
        };
        match self.next_poll(run, limit, run.wake_at(Some(due_ms))).await {
            Some(Polled::Records(records)) => self.take(run, records).await,
            other => self.put_off = other,
        }
    }

    /// Polls once while the claim is written, and keeps the result unread in
    /// `prefetched`. Never resolves.
    ///
    /// Does not poll where a run crashed: the claim decides how large a chunk may be.
    pub(super) async fn prefetch<B: Backend>(
        &self,
        run: &Run<'_, B>,
        prefetched: &mut Option<std::thread::Result<Polled>>,
    ) -> Infallible {
        if let Step::Poll(records) = self.step(run)
            && self.crash_history.quarantine.is_none()
        {
            let polling = run.source.poll(&self.partition, limit(run, records));
            // A panic must not drop a claim that is in flight.
            let polled = AssertUnwindSafe(polling).catch_unwind().await;
            if let Ok(Polled::Records(records)) = &polled
                && self.ledger.completed_by(records)
                && run.window().is_none()
                && run.config.filter(&self.partition.topic).is_none()
            {
                // Else the client would fetch the end of the log again and again.
                run.source.unassign(std::slice::from_ref(&self.partition));
            }
            *prefetched = Some(polled);
        }
        std::future::pending().await
    }

    /// Acts on the result of a poll.
    pub(super) async fn handle_poll<B: Backend>(&mut self, run: &Run<'_, B>, polled: Polled) {
        match polled {
            Polled::Records(records) => self.take(run, records).await,
            Polled::End => self.check_end(run).await,
            Polled::OutOfRange => self.read_failed(ReadFailure::OutOfRange(self.ledger.settled_at())),
            Polled::OutOfOrder => self.out_of_order(),
            Polled::Unavailable(unavailable) => self.unavailable(unavailable.0),
            Polled::Unreadable(what) => self.unreadable(run, what),
            Polled::Failed(error) => self.end(EndReason::Failed(error)),
        }
    }

    async fn take<B: Backend>(&mut self, run: &Run<'_, B>, mut records: Vec<Record>) {
        self.end_is_known = false;
        let expected = match self.buffered.back() {
            Some(last) => last.offset.saturating_add(1),
            None => self.ledger.settled_at().get(),
        };
        if records.first().is_some_and(|first| first.offset < expected) {
            return self.out_of_order();
        }
        let taken = self.ledger.polled(&records);
        records.truncate(taken);
        self.outcome.polled += taken as u64;
        let filtered = self.filter_polled(run, &mut records).await;
        self.ledger.grant(Self::not_selected(run, &records) + filtered);
        self.buffered.extend(records);
        if self.ledger.has_all() {
            // Records from here on are for a later run; or, where a run crashed here, could
            // crash this one while the handler has another record.
            self.stop_fetching(run);
        }
    }

    fn stop_fetching<B: Backend>(&mut self, run: &Run<'_, B>) {
        run.source.unassign(std::slice::from_ref(&self.partition));
        self.is_fetching = false;
    }

    fn read_failed(&mut self, why: ReadFailure) {
        self.end(EndReason::ReadFailed(why));
    }

    fn out_of_order(&mut self) {
        self.read_failed(ReadFailure::OutOfOrder(self.ledger.settled_at()));
    }

    fn unavailable(&mut self, error: String) {
        self.read_failed(ReadFailure::Unavailable(self.ledger.settled_at(), error));
    }

    /// The fetch reached an end below the end seen at the start: only control
    /// records lie between, or the log was truncated, or the broker lags behind.
    ///
    /// The end of a fetch is that of the log at that moment, not of a request
    /// sent later. So the end is listed, the partition is assigned again from
    /// here, and only an end reached after that counts.
    async fn check_end<B: Backend>(&mut self, run: &Run<'_, B>) {
        if self.end_is_known {
            return self.ledger.reached_end();
        }
        let listed = run
            .source
            .list_offsets(
                std::slice::from_ref(&self.partition),
                OffsetSpec::Latest,
                run.request_until(),
            )
            .await;
        match listed.map(|mut ends| ends.pop()) {
            Ok(Some(Ok(end))) if end >= self.ledger.to() => {
                self.end_is_known = true;
                self.stop_fetching(run);
            }
            Ok(Some(Ok(end))) => {
                let what = format!(
                    "the end of {} moved back from {} to {end} while it was read (an unclean leader election, or a \
                     recreated topic). What was processed is stored; the next run lists the end again",
                    self.partition,
                    self.ledger.to()
                );
                let error = Error::new(ErrorType::Truncated, what);
                self.end(EndReason::Failed(error.next(self.if_recreated(run))));
            }
            Ok(Some(Err(unavailable))) => self.unavailable(unavailable.0),
            Ok(None) => self.unavailable("its end offset was not returned".to_owned()),
            Err(error) => self.end(EndReason::Failed(error)),
        }
    }

    fn if_recreated<B: Backend>(&self, run: &Run<'_, B>) -> String {
        if run.backfill.is_some() {
            return "If the topic was recreated, start a backfill of another name".to_owned();
        }
        let delete = next_step::delete_all(&self.partition);
        format!("If the topic was recreated, delete its cursors: {delete}")
    }
}

fn limit<B: Backend>(run: &Run<'_, B>, records: usize) -> Limit {
    Limit {
        records,
        bytes: run.sizes.chunk_bytes,
    }
}

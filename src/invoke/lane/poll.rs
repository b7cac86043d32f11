//! What is fetched of a partition, and what it means that nothing more comes.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::{End, Lane, Unread};
use crate::error::{Error, ErrorType};
use crate::invoke::{Interrupt, Run, Seams};
use crate::ledger::Step;
use crate::record::Record;
use crate::source::{Limit, OffsetSpec, Polled, Source};

impl Lane {
    pub(super) async fn poll<D: Seams>(&mut self, run: &Run<'_, D>, records: usize) {
        if !self.is_fetching {
            let here = (self.partition.clone(), self.ledger.settled_at());
            if let Err(error) = run.source.assign(&[here]) {
                return self.end(End::Failed(error));
            }
            self.is_fetching = true;
        }
        let wake = run.wake_at(self.ledger.due_at_ms());
        let polled = tokio::select! {
            biased;
            polled = run.source.poll(&self.partition, limit(run, records)) => polled,
            () = tokio::time::sleep_until(wake.into()) => return,
            () = run.halted(Interrupt::Finish) => return,
        };
        self.come(run, polled).await;
    }

    /// Takes what comes first while something else is waited for: it goes to
    /// `came`, and is not looked at. Never ends by itself.
    ///
    /// Where a run has died nothing is taken before it is known how carefully.
    pub(super) async fn fetch_meanwhile<D: Seams>(
        &self,
        run: &Run<'_, D>,
        came: &mut Option<std::thread::Result<Polled>>,
    ) -> Infallible {
        if let Step::Poll(records) = self.step(run)
            && self.legacy.guard.is_none()
        {
            let polling = run.source.poll(&self.partition, limit(run, records));
            // A panic must not drop a claim that is on its way.
            let polled = AssertUnwindSafe(polling).catch_unwind().await;
            if let Ok(Polled::Records(records)) = &polled
                && self.ledger.completed_by(records)
                && run.window().is_none()
            {
                // Else the end of the log would be asked for again and again.
                run.source.unassign(std::slice::from_ref(&self.partition));
            }
            *came = Some(polled);
        }
        std::future::pending().await
    }

    /// What a poll brought.
    pub(super) async fn come<D: Seams>(&mut self, run: &Run<'_, D>, polled: Polled) {
        match polled {
            Polled::Records(records) => self.take(run, records),
            Polled::End => self.check_end(run).await,
            Polled::OutOfRange => self.unread(Unread::Gone(self.ledger.settled_at())),
            Polled::Unavailable(unavailable) => self.unread(Unread::NoAnswer(unavailable.0)),
            Polled::Unreadable(what) => self.unreadable(run, what),
            Polled::Failed(error) => self.end(End::Failed(error)),
        }
    }

    fn take<D: Seams>(&mut self, run: &Run<'_, D>, mut records: Vec<Record>) {
        self.end_is_known = false;
        if records
            .first()
            .is_some_and(|first| first.offset < self.ledger.settled_at().get())
        {
            return self.unread(Unread::OutOfOrder);
        }
        let taken = self.ledger.polled(&records);
        records.truncate(taken);
        self.outcome.polled += taken as u64;
        self.ledger.grant(Self::not_selected(run, &records));
        self.in_hand.extend(records);
        if self.ledger.has_all() {
            // What would be fetched from here on belongs to a later run; or, where a run
            // has died here, could kill this one while the handler has another record.
            self.stop_fetching(run);
        }
    }

    fn stop_fetching<D: Seams>(&mut self, run: &Run<'_, D>) {
        run.source.unassign(std::slice::from_ref(&self.partition));
        self.is_fetching = false;
    }

    fn unread(&mut self, why: Unread) {
        self.end(End::Unread(why));
    }

    /// The end came before the end seen at the start: only control records lie
    /// between, or the log was cut, or the broker that answered lags behind.
    ///
    /// An end that is reached says how far the log went for that fetch, not
    /// for a question asked later. So the end is looked up, the partition is
    /// read again from here, and only an end reached after that counts.
    async fn check_end<D: Seams>(&mut self, run: &Run<'_, D>) {
        if self.end_is_known {
            return self.ledger.reached_end();
        }
        let asked = run
            .source
            .list_offsets(
                std::slice::from_ref(&self.partition),
                OffsetSpec::Latest,
                run.ask_until(),
            )
            .await;
        match asked.map(|mut ends| ends.pop()) {
            Ok(Some(Ok(end))) if end >= self.ledger.to() => {
                self.end_is_known = true;
                self.stop_fetching(run);
            }
            Ok(Some(Ok(end))) => self.end(End::Failed(Error::new(
                ErrorType::Truncated,
                format!(
                    "the end of {} moved back from {} to {end} while it was read (an unclean leader election, or a \
                     recreated topic). What was processed is stored; the next run looks again",
                    self.partition,
                    self.ledger.to()
                ),
            ))),
            Ok(Some(Err(unavailable))) => self.unread(Unread::NoAnswer(unavailable.0)),
            Ok(None) => self.unread(Unread::NoAnswer("its end was not returned".to_owned())),
            Err(error) => self.end(End::Failed(error)),
        }
    }
}

fn limit<D: Seams>(run: &Run<'_, D>, records: usize) -> Limit {
    Limit {
        records,
        bytes: run.sizes.chunk_bytes,
    }
}

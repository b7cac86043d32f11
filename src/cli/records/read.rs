//! Reads a range of one partition's log, record by record.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Deadline, SystemClock};
use crate::error::{Error, ErrorType};
use crate::invoke::Interrupt;
use crate::record::{NextOffset, Record, TopicPartition};
use crate::source::{Limit, OffsetSpec, Polled, Source};

/// What one poll may return.
const POLL_LIMIT: Limit = Limit {
    records: 500,
    bytes: 4 * 1024 * 1024,
};

/// Reads logs until an interrupt.
pub(in crate::cli) struct Reader<'a, S> {
    pub(in crate::cli) source: &'a S,
    pub(in crate::cli) interrupt: watch::Receiver<Interrupt>,
    /// How long one request to the brokers may take.
    pub(in crate::cli) timeout: Duration,
}

impl<S: Source> Reader<'_, S> {
    /// Passes the records of `partition` from `from` up to `to` (exclusive, not
    /// past the end of the log) to `each`, in order, until it breaks or an
    /// interrupt. Offsets without a record are skipped.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(in crate::cli) async fn read(
        &self,
        partition: &TopicPartition,
        (from, to): (NextOffset, NextOffset),
        mut each: impl AsyncFnMut(&Record) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut next = from;
        // An end below `to` is checked and read again: the first may be that of a
        // follower that was behind.
        for is_last in [false, true] {
            self.source.assign(&[(partition.clone(), next)])?;
            let ended = self.read_on(partition, &mut next, to, &mut each).await;
            self.source.unassign(std::slice::from_ref(partition));
            if ended?.is_break() || next >= to {
                return Ok(());
            }
            if !is_last {
                self.check_end(partition, to).await?;
            }
        }
        Ok(())
    }

    async fn check_end(&self, partition: &TopicPartition, to: NextOffset) -> Result<(), Error> {
        let until = Deadline::after(self.timeout, &SystemClock).at;
        let listed = self
            .source
            .list_offsets(std::slice::from_ref(partition), OffsetSpec::Latest, until);
        match listed.await?.pop() {
            Some(Ok(end)) if end >= to => Ok(()),
            Some(Ok(end)) => Err(Error::new(
                ErrorType::Truncated,
                format!("the end of {partition} moved back to {end} while it was read"),
            )
            .next("Check the topic, and try again")),
            Some(Err(why)) => Err(unreadable(ErrorType::BrokerUnreachable, partition, &why.0, to)),
            None => Err(unreadable(ErrorType::BrokerUnreachable, partition, "no response", to)),
        }
    }

    async fn interrupted(&self) {
        let mut interrupt = self.interrupt.clone();
        if interrupt
            .wait_for(|interrupt| *interrupt > Interrupt::No)
            .await
            .is_err()
        {
            // The sender is dropped: there is no interrupt any more.
            std::future::pending::<()>().await;
        }
    }

    async fn read_on(
        &self,
        partition: &TopicPartition,
        next: &mut NextOffset,
        to: NextOffset,
        each: &mut impl AsyncFnMut(&Record) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        loop {
            let polled = tokio::select! {
                biased;
                () = self.interrupted() => return Ok(ControlFlow::Break(())),
                polled = self.source.poll(partition, POLL_LIMIT) => polled,
            };
            let records = match polled {
                Polled::Records(records) => records,
                Polled::End => return Ok(ControlFlow::Continue(())),
                Polled::OutOfRange => {
                    let why = "retention deleted it";
                    return Err(unreadable(ErrorType::RetentionLoss, partition, why, *next));
                }
                Polled::OutOfOrder => {
                    let why = "its records arrived out of order";
                    return Err(unreadable(ErrorType::BrokerUnreachable, partition, why, *next));
                }
                Polled::Unavailable(why) => {
                    return Err(unreadable(ErrorType::BrokerUnreachable, partition, &why.0, *next));
                }
                Polled::Unreadable(why) => {
                    return Err(unreadable(ErrorType::BrokerUnreachable, partition, &why, *next));
                }
                Polled::Failed(error) => return Err(error),
            };
            for record in records {
                if record.offset >= to.get() {
                    *next = to;
                    return Ok(ControlFlow::Continue(()));
                }
                if each(&record).await.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                *next = NextOffset::after(record.offset).unwrap_or(to);
            }
            if *next >= to {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }
}

fn unreadable(error_type: ErrorType, partition: &TopicPartition, why: &str, next: NextOffset) -> Error {
    let what = format!("{partition} cannot be read at offset {next}: {why}");
    Error::new(error_type, what).next("No cursor was moved; try again")
}

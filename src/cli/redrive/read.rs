//! A part of one partition's log, record by record.

use std::ops::ControlFlow;

use crate::error::{Error, ErrorType};
use crate::record::{NextOffset, Record, TopicPartition};
use crate::source::{Limit, Polled, Source};

/// What one poll may bring.
const AT_ONCE: Limit = Limit {
    records: 500,
    bytes: 4 * 1024 * 1024,
};

/// Hands the records of `partition` from `from` up to `to` (exclusive, not
/// past the end of the log) to `each`, in order, until it breaks. Offsets
/// without a record are passed over.
///
/// # Errors
/// When the log cannot be read, and why.
pub(super) async fn read<S: Source>(
    source: &S,
    partition: &TopicPartition,
    (from, to): (NextOffset, NextOffset),
    mut each: impl AsyncFnMut(&Record) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut next = from;
    // An end below `to` is believed the second time: the first may be that of
    // a replica that was behind.
    for _ in 0..2 {
        source.start(&[(partition.clone(), next)])?;
        let ended = read_on(source, partition, &mut next, to, &mut each).await;
        source.finish(std::slice::from_ref(partition));
        if ended?.is_break() || next >= to {
            return Ok(());
        }
    }
    Ok(())
}

async fn read_on<S: Source>(
    source: &S,
    partition: &TopicPartition,
    next: &mut NextOffset,
    to: NextOffset,
    each: &mut impl AsyncFnMut(&Record) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    let unreadable = |error_type, what: &str, next: NextOffset| {
        let words = format!("{partition} cannot be read at offset {next}: {what}. Nothing was moved; try again");
        Err(Error::new(error_type, words))
    };
    loop {
        match source.poll(partition, AT_ONCE).await {
            Polled::Records(records) => {
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
            Polled::End => return Ok(ControlFlow::Continue(())),
            Polled::OutOfRange => {
                return unreadable(ErrorType::RetentionLoss, "retention has just deleted it", *next);
            }
            Polled::Unavailable(why) => return unreadable(ErrorType::BrokerUnreachable, &why.0, *next),
            Polled::Unreadable(why) => return unreadable(ErrorType::BrokerUnreachable, &why, *next),
            Polled::Failed(error) => return Err(error),
        }
    }
}

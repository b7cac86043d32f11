//! `event`: prints the event of selected records, as AWS's event source mapping
//! for Kafka sends it to a function. No cursor is read or moved.

use std::ops::ControlFlow;

use tokio::sync::watch;

use super::exit::Exit;
use super::output;
use super::parts::{CliParts, parts};
use super::records::{Offsets, Reader, only_partition};
use crate::clock::Deadline;
use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::invoke::Interrupt;
use crate::kafka_event::MAX_PAYLOAD_BYTES;
use crate::record::{Chunk, NextOffset, Record, TopicPartition};
use crate::source::{OffsetSpec, Source as _};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct EventArgs {
    /// The partition of the offsets
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,

    /// The records: offsets and ranges, such as `17,20-25`. Offsets of a range that have no record are left out
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    offsets: Offsets,
}

pub(super) async fn event(config: Config, arguments: &EventArgs) -> Result<Exit, Error> {
    let partition = only_partition(&config, arguments.partition)?;
    let parts = parts(config).await?;
    let records = records(parts, &partition, &arguments.offsets).await?;
    let missing = |offset: i64| records.binary_search_by_key(&offset, |record| record.offset).is_err();
    let single = arguments.offsets.ranges().iter().filter(|range| range.count() == 1);
    if let Some(range) = single.into_iter().find(|range| missing(range.first)) {
        return Err(no_record(&partition, &format!("at offset {}", range.first)));
    }
    let chunk = Chunk::new(records).ok_or_else(|| no_record(&partition, "at these offsets"))?;
    let encoded = parts.config.envelope().encode(&chunk).map_err(|error| {
        Error::new(
            ErrorType::DestinationFailed,
            format!("the event cannot be written: {error}"),
        )
    })?;
    let bytes = encoded.size(0..chunk.len());
    if bytes > MAX_PAYLOAD_BYTES {
        let what = format!("the event has {bytes} bytes; Lambda accepts {MAX_PAYLOAD_BYTES}");
        return Err(Error::new(ErrorType::InvalidConfiguration, what).next("Select fewer records"));
    }
    output::write_line(&String::from_utf8_lossy(&encoded.event(0..chunk.len())));
    Ok(Exit::Done)
}

fn no_record(partition: &TopicPartition, where_: &str) -> Error {
    let what = format!("{partition} has no record {where_}");
    Error::new(ErrorType::InvalidConfiguration, what).next("`kafka-consumer lag` shows its first and its end offset")
}

/// The records at these offsets, in ascending order.
async fn records(parts: &CliParts, partition: &TopicPartition, offsets: &Offsets) -> Result<Vec<Record>, Error> {
    let reader = Reader {
        source: &parts.source,
        // An interrupt ends the command: a part of the records is no result.
        interrupt: watch::channel(Interrupt::No).1,
        timeout: parts.config.poll_timeout,
    };
    let until = Deadline::after(parts.config.poll_timeout, &parts.clock).at;
    let partitions = std::slice::from_ref(partition);
    let mut bounds = [NextOffset::ZERO; 2];
    for (bound, spec) in bounds.iter_mut().zip([OffsetSpec::Earliest, OffsetSpec::Latest]) {
        let listed = parts.source.list_offsets(partitions, spec, until).await?.pop();
        let missing = || crate::source::Unavailable("its offsets were not returned".to_owned());
        *bound = listed.unwrap_or_else(|| Err(missing())).map_err(|why| {
            let what = format!("{partition} is unavailable: {why}");
            Error::new(ErrorType::BrokerUnreachable, what).next("Check the partition's number, and try again")
        })?;
    }
    let [earliest, end] = bounds;
    let mut records = Vec::new();
    for stretch in offsets.between(earliest.get(), end.get()).stretches() {
        let add = async |record: &Record| {
            if offsets.contains(record.offset) {
                records.push(record.clone());
            }
            ControlFlow::Continue(())
        };
        reader.read(partition, stretch, add).await?;
    }
    Ok(records)
}

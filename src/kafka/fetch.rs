//! How much librdkafka may fetch ahead: sized to the run and to its memory.

use rdkafka::ClientConfig;

use crate::config::{MessageLimit, Properties};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Partitions that are read at once, at most: enough to keep several brokers
/// busy; more only spreads the memory thinner.
const MAX_PARTITIONS_AT_ONCE: u64 = 16;

/// What one partition should have at least: a fetch, a queue and a chunk of
/// 1 MiB each (the largest record a broker accepts by default), and as much
/// again for what a decompressed batch overshoots.
const PARTITION_BYTES: u64 = 4 * MIB;

/// Fetching further ahead than this brings nothing: measured with 1 KB records.
const MAX_RECORDS_AHEAD: u64 = 20_000;

/// How much larger a fetch may become when it is decompressed; JSON in batches
/// reaches this easily. What grows more overshoots.
const COMPRESSION: u64 = 4;

/// What librdkafka needs for a record beside its bytes, which its own limit
/// does not count: measured with records of one byte.
const BYTES_BESIDE_A_RECORD: u64 = 512;

/// How memory is divided. Each partition that is being read has a quarter of
/// its part for the fetch, for the queue, for the chunk in flight, and for what
/// overshoots.
///
/// | memory | partitions at once | per fetch and partition | queue | chunk |
/// |---|---|---|---|---|
/// | 1 MiB | 1 | 64 KiB | 256 KiB | 256 KiB |
/// | 16 MiB | 4 | 256 KiB | 1 MiB | 1 MiB |
/// | 64 MiB | 16 | 256 KiB | 1 MiB | 1 MiB |
/// | 256 MiB | 16 | 1 MiB | 4 MiB | 4 MiB |
///
/// A single record above these is read all the same: a broker always returns
/// the first record whole (KIP-74).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchSizes {
    /// Partitions that are read at once.
    pub partitions_at_once: usize,
    /// Bytes of one partition in one fetch.
    pub partition_fetch_bytes: u64,
    /// Bytes in one fetch of one broker.
    pub fetch_bytes: u64,
    /// KiB that wait in one partition's queue before fetching pauses.
    pub queue_kib: u64,
    /// Records that wait in one partition's queue before fetching pauses.
    pub queue_records: u64,
    /// Bytes in one chunk.
    pub chunk_bytes: usize,
}

impl FetchSizes {
    /// The sizes for a run with `memory_bytes` for fetched records and at most
    /// `limit` of them.
    #[must_use]
    pub fn new(memory_bytes: u64, limit: MessageLimit) -> Self {
        let at_once = (memory_bytes / PARTITION_BYTES).clamp(1, MAX_PARTITIONS_AT_ONCE);
        let quarter = (memory_bytes / at_once / 4).max(64 * KIB);
        let partition_fetch_bytes = (quarter / COMPRESSION).clamp(64 * KIB, MIB);
        let most_ahead = MAX_RECORDS_AHEAD.min(quarter / BYTES_BESIDE_A_RECORD);
        let queue_records = match limit {
            MessageLimit::At(records) => records.get().min(most_ahead),
            MessageLimit::Unlimited => most_ahead,
        };
        Self {
            partitions_at_once: usize::try_from(at_once).unwrap_or(1),
            partition_fetch_bytes,
            fetch_bytes: (memory_bytes / 4).clamp(partition_fetch_bytes, 50 * MIB),
            queue_kib: quarter / KIB,
            queue_records,
            chunk_bytes: usize::try_from(quarter).unwrap_or(usize::MAX),
        }
    }

    /// Sets librdkafka's properties; the user's own come after and win.
    pub(super) fn apply(&self, client: &mut ClientConfig) {
        client
            .set("queued.min.messages", self.queue_records.to_string())
            .set("queued.max.messages.kbytes", self.queue_kib.to_string())
            .set("fetch.message.max.bytes", self.partition_fetch_bytes.to_string())
            .set("fetch.max.bytes", self.fetch_bytes.to_string())
            // Never above fetch.max.bytes, which librdkafka would raise to it.
            .set("message.max.bytes", self.fetch_bytes.min(MIB).to_string())
            // An empty fetch is a wait at the end of every run: 1 ms was the
            // fastest of 0, 1, 5, 10 and 500.
            .set("fetch.wait.max.ms", "1")
            // The default of a second stalls small queues. 0 keeps the broker's thread busy for as long as a queue is
            // full: with a slow handler it took a third of the program's CPU time. 1 is as fast.
            .set("fetch.queue.backoff.ms", "1");
    }
}

/// Properties of which the first must not be above the second less some bytes: librdkafka creates no
/// client otherwise.
const NOT_ABOVE: [(&str, &str, u64); 3] = [
    ("fetch.max.bytes", "receive.message.max.bytes", 512),
    ("message.max.bytes", "fetch.max.bytes", 0),
    ("reconnect.backoff.ms", "reconnect.backoff.max.ms", 0),
];

/// Lowers the program's own properties to the user's. librdkafka's error would name a property
/// that the user did not set.
pub(super) fn respect_user_limits(client: &mut ClientConfig, user: &Properties) {
    for (lower, upper, less) in NOT_ABOVE {
        let number = |name: &str| client.get(name)?.parse::<u64>().ok();
        let (Some(ours), Some(theirs)) = (number(lower), number(upper)) else {
            continue;
        };
        if user.get(lower).is_none() && ours > theirs.saturating_sub(less) {
            client.set(lower, theirs.saturating_sub(less).to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use rdkafka::consumer::BaseConsumer;

    use super::*;

    #[test]
    fn the_sizes_are_those_of_the_table() {
        let row = |mib: u64| {
            let sizes = FetchSizes::new(mib * MIB, MessageLimit::Unlimited);
            (
                sizes.partitions_at_once,
                sizes.partition_fetch_bytes / KIB,
                sizes.queue_kib,
                sizes.chunk_bytes as u64 / KIB,
            )
        };
        assert_eq!(row(1), (1, 64, 256, 256));
        assert_eq!(row(16), (4, 256, 1024, 1024));
        assert_eq!(row(64), (16, 256, 1024, 1024));
        assert_eq!(row(256), (16, 1024, 4096, 4096));
    }

    #[test]
    fn all_partitions_together_fit_the_memory() {
        for mib in 1..2048 {
            let sizes = FetchSizes::new(mib * MIB, MessageLimit::Unlimited);
            let each = sizes.partition_fetch_bytes + sizes.queue_kib * KIB + sizes.chunk_bytes as u64;
            assert!(
                each * sizes.partitions_at_once as u64 <= mib * MIB,
                "{mib} MiB: {sizes:?}"
            );
            assert!(sizes.fetch_bytes <= mib * MIB);
        }
    }

    #[test]
    fn the_program_s_own_limits_are_lowered_to_the_user_s() {
        for (name, value) in [
            ("fetch.max.bytes", "100000"),
            ("receive.message.max.bytes", "500000"),
            ("reconnect.backoff.max.ms", "10"),
        ] {
            let mut user = Properties::default();
            user.set(name, value);
            let mut client = ClientConfig::new();
            client.set("group.id", "g").set("reconnect.backoff.ms", "20");
            FetchSizes::new(256 * MIB, MessageLimit::Unlimited).apply(&mut client);
            client.set(name, value);
            respect_user_limits(&mut client, &user);
            assert_eq!(client.get(name), Some(value));
            let created = client.create::<BaseConsumer>();
            assert!(created.is_ok(), "{name}: {:?}", created.err());
        }
    }

    #[test]
    fn a_run_of_ten_records_does_not_fetch_thousands() {
        let ten = MessageLimit::At(NonZeroU64::new(10).expect("10 is not 0"));
        assert_eq!(FetchSizes::new(64 * MIB, ten).queue_records, 10);
    }
}

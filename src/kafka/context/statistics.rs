//! librdkafka's statistics: which connections are silent, and how far each partition
//! is fetched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Context, Observed};
use crate::kafka::errors::cause::ConnectionError;
use crate::kafka::now;
use crate::record::TopicPartition;

/// Statistics are read only during waits that take this long. They name every
/// partition in the client's metadata, 0.75 KB each, and come every second:
/// always reading them would cost a run more than its records.
pub(crate) const STATISTICS_AFTER: Duration = Duration::from_millis(100);

/// Two statistics come in this time at least.
const STATISTICS_FOR: Duration = Duration::from_secs(2);

/// How often librdkafka emits statistics: several times within `POLL_TIMEOUT`.
#[must_use]
pub fn statistics_interval_ms(poll_timeout: Duration) -> u128 {
    (poll_timeout.as_millis() / 5).clamp(20, 1000)
}

impl Context {
    /// Reads statistics for the next `STATISTICS_FOR`; called again and again
    /// during a wait.
    pub(in crate::kafka) fn read_statistics(&self) {
        let now = now();
        let mut observed = self.observed();
        if observed.statistics_until.is_none_or(|until| now > until) {
            // Positions of an earlier wait are no evidence of progress in this one.
            observed.fetched.clear();
        }
        observed.statistics_until = Some(now + STATISTICS_FOR);
    }

    /// How long the brokers have sent nothing new of `partition`; never longer
    /// than since `since`.
    ///
    /// By the position of the fetcher: it moves over records that a consumer
    /// never gets (aborted transactions), and it does not move for responses
    /// without records, such as those of a broker that is not the leader.
    #[must_use]
    pub fn silence(&self, partition: &TopicPartition, since: Instant) -> Duration {
        if now().saturating_duration_since(since) >= STATISTICS_AFTER {
            self.read_statistics();
        }
        let moved = self.observed().fetched.get(partition).and_then(|(_, at)| *at);
        now().saturating_duration_since(moved.map_or(since, |at| at.max(since)))
    }
}

impl Observed {
    /// Records which connections are silent, and how far partitions are fetched, at `now`.
    pub(super) fn update(&mut self, statistics: Statistics, now: Instant) {
        let brokers = statistics.brokers.iter();
        self.silent = brokers.filter_map(|(name, broker)| broker.silent(name)).collect();
        self.was_connected |= statistics.brokers.values().any(|broker| broker.state == "UP");
        for (topic, statistics) in statistics.topics {
            let topic: Arc<str> = topic.into();
            for partition in statistics
                .partitions
                .into_values()
                .filter(PartitionStatistics::is_fetched)
            {
                let key = TopicPartition::new(Arc::clone(&topic), partition.partition);
                // The first statistics show no progress yet.
                let entry = self.fetched.entry(key).or_insert((partition.next_offset, None));
                if partition.next_offset != entry.0 {
                    *entry = (partition.next_offset, Some(now));
                }
            }
        }
    }
}

/// The part of librdkafka's statistics (STATISTICS.md) that is used here.
#[derive(Deserialize)]
pub(super) struct Statistics {
    topics: BTreeMap<String, TopicStatistics>,
    brokers: BTreeMap<String, BrokerStatistics>,
}

#[derive(Deserialize)]
struct BrokerStatistics {
    state: String,
    /// Microseconds in this state.
    stateage: i64,
    /// Requests in flight.
    waitresp_cnt: i64,
    /// Microseconds since something was received, or negative.
    rxidle: i64,
}

impl BrokerStatistics {
    /// The connection, if nothing arrives on it, and for how long.
    fn silent(&self, name: &str) -> Option<(ConnectionError, Duration)> {
        let is_up = self.state == "UP";
        if is_up && self.waitresp_cnt == 0 {
            return None;
        }
        let micros = if is_up { self.rxidle } else { self.stateage };
        let since = Duration::from_micros(u64::try_from(micros).ok()?);
        Some((ConnectionError::timed_out(name, &self.state)?, since))
    }
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<String, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    partition: i32,
    next_offset: i64,
    fetch_state: String,
}

impl PartitionStatistics {
    /// Most partitions are in the metadata only.
    fn is_fetched(&self) -> bool {
        self.fetch_state != "none"
    }
}

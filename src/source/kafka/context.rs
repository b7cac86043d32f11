//! What librdkafka says beside its return codes: the errors and logs that hold
//! the cause, and the statistics that tell silence from patience.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::Deserialize;

use crate::error::{Error, ErrorType};
use crate::record::TopicPartition;

/// Listens to one client.
pub struct Context {
    poll_timeout: Duration,
    served: AtomicU64,
    group_refused: AtomicBool,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// The last reason for each code: few codes, that repeat without end.
    errors: Vec<(RDKafkaErrorCode, String)>,
    /// How far each partition is fetched, and when that last moved.
    fetched: BTreeMap<TopicPartition, (i64, Instant)>,
}

/// How often librdkafka states its figures: several times within `POLL_TIMEOUT`.
#[must_use]
pub fn statistics_interval_ms(poll_timeout: Duration) -> u128 {
    (poll_timeout.as_millis() / 5).clamp(20, 1000)
}

impl Context {
    /// A listener for a client whose brokers may be silent for `poll_timeout`.
    #[must_use]
    pub fn new(poll_timeout: Duration) -> Self {
        Self {
            poll_timeout,
            served: AtomicU64::new(0),
            group_refused: AtomicBool::new(false),
            heard: Mutex::default(),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many events were served: a poll that only serves one returns nothing.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether this user has no right on the group. Runs need none.
    #[must_use]
    pub fn group_refused(&self) -> bool {
        self.group_refused.load(Ordering::Relaxed)
    }

    fn count_served(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// A broker answered: earlier errors explain nothing any more.
    pub fn answered(&self) {
        self.heard().errors.clear();
    }

    /// How long the brokers have sent nothing new of `partition`; never longer
    /// than since `since`.
    ///
    /// What counts is the position of the fetcher: it moves over records that a
    /// reader never sees (aborted transactions), and it does not move for
    /// answers that bring nothing, such as a broker that is not the leader.
    #[must_use]
    pub fn silence(&self, partition: &TopicPartition, since: Instant) -> Duration {
        let moved = self.heard().fetched.get(partition).map(|(_, at)| *at);
        now().saturating_duration_since(moved.map_or(since, |at| at.max(since)))
    }

    /// Why nobody answered, in the words of the contract: librdkafka's return
    /// codes only say "timed out", its events hold the cause.
    #[must_use]
    pub fn explain(&self, bootstrap_servers: &str, waited: Duration, error: &KafkaError) -> Error {
        let (error_type, cause) = self.cause().unwrap_or_else(|| {
            let hint = "Check KAFKA_BOOTSTRAP_SERVERS, the security groups, and KAFKA_SECURITY_PROTOCOL";
            (ErrorType::BrokerUnreachable, format!("{error}. {hint}"))
        });
        if error_type == ErrorType::AuthenticationFailed {
            return Error::new(error_type, cause);
        }
        Error::new(
            error_type,
            format!(
                "no broker of {bootstrap_servers} answered within {:.1} s (POLL_TIMEOUT): {cause}",
                waited.as_secs_f64()
            ),
        )
    }

    /// What the client's events since the last answer told of, and what to
    /// check; `None` if they told of nothing.
    #[must_use]
    pub fn cause(&self) -> Option<(ErrorType, String)> {
        const KNOWN: [(RDKafkaErrorCode, &str); 3] = [
            (
                RDKafkaErrorCode::SSL,
                "Check KAFKA_SECURITY_PROTOCOL, the port, and the certificate authority",
            ),
            (
                RDKafkaErrorCode::Resolve,
                "Check the names in KAFKA_BOOTSTRAP_SERVERS, and the DNS of the network",
            ),
            (
                RDKafkaErrorCode::BrokerTransportFailure,
                "Check KAFKA_BOOTSTRAP_SERVERS, the security groups, and that the brokers run",
            ),
        ];
        let heard = self.heard();
        let reason = |wanted: RDKafkaErrorCode| {
            let found = heard.errors.iter().rev().find(|(code, _)| *code == wanted);
            found.map(|(_, reason)| reason)
        };
        if let Some(reason) = reason(RDKafkaErrorCode::Authentication) {
            let cause = format!(
                "the broker refused the credentials: {reason}. Check the user, the password and KAFKA_SASL_MECHANISM"
            );
            return Some((ErrorType::AuthenticationFailed, cause));
        }
        KNOWN.iter().find_map(|(code, hint)| {
            let cause = format!("{}. {hint}", reason(*code)?);
            Some((ErrorType::BrokerUnreachable, cause))
        })
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.count_served();
        match level {
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            // The run says what it means for the run; this is for those who look closer.
            _ => tracing::debug!(target: "librdkafka", facility, severe = true, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.count_served();
        let Some(code) = error.rdkafka_error_code() else { return };
        if code == RDKafkaErrorCode::GroupAuthorizationFailed {
            self.group_refused.store(true, Ordering::Relaxed);
        }
        // No group is joined, so no right on one is needed. The end of a
        // partition is no error at all.
        // That all brokers are down only repeats what each one said.
        if matches!(
            code,
            RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::PartitionEOF
                | RDKafkaErrorCode::AllBrokersDown
        ) {
            return;
        }
        tracing::debug!(target: "librdkafka", %code, reason, "client error");
        let mut heard = self.heard();
        heard.errors.retain(|(known, _)| *known != code);
        heard.errors.push((code, reason.to_owned()));
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.count_served();
        let Ok(figures) = serde_json::from_slice::<Figures>(statistics) else {
            tracing::warn!(target: "librdkafka", "statistics could not be read");
            return;
        };
        let mut heard = self.heard();
        let now = now();
        for (topic, figures) in figures.topics {
            for partition in figures.partitions.into_values() {
                let key = TopicPartition::new(topic.as_str(), partition.partition);
                let entry = heard.fetched.entry(key).or_insert((partition.next_offset, now));
                if partition.next_offset != entry.0 {
                    *entry = (partition.next_offset, now);
                }
            }
        }
    }
}

impl ConsumerContext for Context {
    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        self.poll_timeout.into()
    }
}

/// The part of librdkafka's statistics (STATISTICS.md) that is of use here.
#[derive(Deserialize)]
struct Figures {
    topics: BTreeMap<String, TopicFigures>,
}

#[derive(Deserialize)]
struct TopicFigures {
    partitions: BTreeMap<String, PartitionFigures>,
}

#[derive(Deserialize)]
struct PartitionFigures {
    partition: i32,
    next_offset: i64,
}

#[expect(clippy::disallowed_methods, reason = "silence is measured in real time")]
fn now() -> Instant {
    Instant::now()
}

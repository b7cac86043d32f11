//! What librdkafka says beside its return codes: the errors and logs that hold
//! the cause, and the statistics that tell silence from patience.

mod explain;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::runtime::Handle;

use super::trouble::{Flaw, Hints, Kind, Manner, Trouble, printable};
use crate::config::Properties;
use crate::error::ErrorType;
use crate::record::TopicPartition;
use crate::security::Security;
pub(crate) use explain::is_from_broker;

/// What librdkafka calls its lines about connections that ended.
const FAIL: &str = "FAIL";

/// How often those who wait for a client look at what it has to say.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long all brokers have to refuse the credentials until they are refused.
/// In a cluster one broker may learn of a new user later than another.
pub(super) const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);

/// How long a token that is wanted during a run may take to be made.
const SIGNING_PATIENCE: Duration = Duration::from_secs(30);

/// Listens to one client.
pub struct Context {
    poll_timeout: Duration,
    served: AtomicU64,
    group_refused: AtomicBool,
    heard: Mutex<Heard>,
    security: Arc<Security>,
    manner: Manner,
    /// When the token ends that the client has, in milliseconds since the epoch.
    handed_ms: AtomicI64,
    /// Where tokens are made that are wanted while nobody waits.
    runtime: Option<Handle>,
}

#[derive(Default)]
struct Heard {
    /// What became of connections since a broker last answered, each kind of
    /// trouble once for each broker: they repeat without end.
    troubles: BTreeMap<(Kind, String), Trouble>,
    /// Connections that say nothing, as of the last statistics, and for how long.
    silent: Vec<(Trouble, Duration)>,
    /// What is wrong with the certificate of the broker at this address.
    flaw: Option<(String, Flaw)>,
    /// Our certificate was not shown, because no broker would take it.
    kept_back: bool,
    /// Whether a connection was ever ready for requests: then the settings that
    /// make one are right.
    was_connected: bool,
    /// Whether a broker ever responded to a request of this client.
    responded: bool,
    /// When a broker first refused the credentials, since one last answered.
    refused_since: Option<Instant>,
    /// When other credentials might first have helped, since one last answered.
    doubted_since: Option<Instant>,
    /// How far each partition is fetched, and when that last moved while it was watched.
    fetched: BTreeMap<TopicPartition, (i64, Option<Instant>)>,
    /// Until when statistics are read.
    watched_until: Option<Instant>,
}

/// Statistics are read only for those who wait this long. They name every
/// partition that the client knows, 0.75 KB each, and come every second: read
/// whenever they come, they would cost a run more than its records.
pub(super) const WATCH_AFTER: Duration = Duration::from_millis(100);

/// Two statistics come in this time at least.
const WATCHED_FOR: Duration = Duration::from_secs(2);

/// How often librdkafka states its figures: several times within `POLL_TIMEOUT`.
#[must_use]
pub fn statistics_interval_ms(poll_timeout: Duration) -> u128 {
    (poll_timeout.as_millis() / 5).clamp(20, 1000)
}

/// Makes a client say why its connections end, whatever of it is printed.
pub(crate) fn hear_all(client: &mut ClientConfig) {
    if (client.log_level as i32) < RDKafkaLogLevel::Info as i32 {
        client.set_log_level(RDKafkaLogLevel::Info);
    }
}

impl Context {
    /// A listener for a client with these properties, whose brokers may be
    /// silent for `poll_timeout`, and that has its tokens from `security`.
    #[must_use]
    pub fn new(poll_timeout: Duration, security: Arc<Security>, properties: &Properties) -> Self {
        Self {
            poll_timeout,
            served: AtomicU64::new(0),
            group_refused: AtomicBool::new(false),
            heard: Mutex::default(),
            security,
            manner: Manner::of(properties),
            handed_ms: AtomicI64::new(0),
            runtime: Handle::try_current().ok(),
        }
    }

    /// Makes another token, to be there when the client asks again.
    fn sign(&self) {
        if let Some(runtime) = &self.runtime {
            let security = Arc::clone(&self.security);
            runtime.spawn(async move {
                if let Err(error) = security.sign(SIGNING_PATIENCE).await {
                    tracing::warn!(%error, "the next token could not be signed");
                }
            });
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
        let mut heard = self.heard();
        heard.was_connected = true;
        heard.responded = true;
        heard.troubles.clear();
        heard.silent.clear();
        heard.refused_since = None;
        heard.doubted_since = None;
    }

    /// Since when brokers have refused the credentials while none answered.
    #[must_use]
    pub fn refused_since(&self) -> Option<Instant> {
        self.heard().refused_since
    }

    /// Whether other credentials might help, because they were refused, or what
    /// happened may come of them, and no broker has answered since.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        self.heard().doubted_since.is_some()
    }

    /// Whether other credentials might help what was asked at `asked`.
    ///
    /// | doubted | |
    /// |---|---|
    /// | since it was asked | at once |
    /// | before | once `REFUSAL_PATIENCE` is over: that was one broker, and another may answer. librdkafka does not repeat itself |
    /// | not | no |
    #[must_use]
    pub fn is_curable(&self, asked: Instant, now: Instant) -> bool {
        let since = self.heard().doubted_since;
        since.is_some_and(|since| since >= asked || now.saturating_duration_since(asked) >= REFUSAL_PATIENCE)
    }

    /// Somebody waits: statistics are read from here on, for as long as this
    /// is said again.
    pub(super) fn watch(&self) {
        let now = now();
        let mut heard = self.heard();
        if heard.watched_until.is_none_or(|until| now > until) {
            // What was seen before says nothing of what moves now.
            heard.fetched.clear();
        }
        heard.watched_until = Some(now + WATCHED_FOR);
    }

    /// How long the brokers have sent nothing new of `partition`; never longer
    /// than since `since`.
    ///
    /// What counts is the position of the fetcher: it moves over records that a
    /// reader never sees (aborted transactions), and it does not move for
    /// answers that bring nothing, such as a broker that is not the leader.
    #[must_use]
    pub fn silence(&self, partition: &TopicPartition, since: Instant) -> Duration {
        if now().saturating_duration_since(since) >= WATCH_AFTER {
            self.watch();
        }
        let moved = self.heard().fetched.get(partition).and_then(|(_, at)| *at);
        now().saturating_duration_since(moved.map_or(since, |at| at.max(since)))
    }

    /// What the client's events since the last answer told of, and what to
    /// do next; `None` if they told of nothing.
    #[must_use]
    pub fn cause(&self) -> Option<(ErrorType, String)> {
        let heard = self.heard();
        let trouble = self.trouble(&heard)?;
        let flaw = heard
            .flaw
            .as_ref()
            .filter(|(address, _)| *address == trouble.place.address);
        let hints = Hints {
            flaw: flaw.map(|(_, flaw)| flaw),
            kept_back: heard.kept_back,
        };
        Some((trouble.kind.error_type(), trouble.sentence(&self.manner, hints)))
    }

    /// The broker whose certificate does not pass, if that is the cause, and
    /// whether its host name is checked.
    #[cfg(feature = "broker-certificates")]
    pub(super) fn doubted_certificate(&self) -> Option<(String, bool)> {
        let heard = self.heard();
        let trouble = self.trouble(&heard).filter(|it| it.kind == Kind::Certificate)?;
        Some((trouble.place.address.clone(), self.manner.checks_host))
    }

    /// What was found to be wrong with a broker's certificate.
    #[cfg(feature = "broker-certificates")]
    pub(super) fn learn(&self, address: String, flaw: Flaw) {
        self.heard().flaw = Some((address, flaw));
    }

    /// The cause, of all that was heard. A connection counts as silent when it
    /// was so for half of the time that there was: others are just being made.
    fn trouble<'a>(&self, heard: &'a Heard) -> Option<&'a Trouble> {
        let patience = self.poll_timeout / 2;
        let silent = heard.silent.iter().filter(|(_, since)| *since >= patience);
        let all = heard.troubles.values().chain(silent.map(|(trouble, _)| trouble));
        all.max_by_key(|trouble| trouble.kind)
    }

    fn hear(&self, mut trouble: Trouble) {
        let mut heard = self.heard();
        if heard.responded {
            trouble.kind = trouble.kind.after_a_response();
        }
        if trouble.kind.error_type() == ErrorType::AuthenticationFailed {
            heard.refused_since.get_or_insert_with(now);
        }
        if trouble.kind.doubts_credentials() {
            heard.doubted_since.get_or_insert_with(now);
        }
        heard
            .troubles
            .insert((trouble.kind, trouble.place.address.clone()), trouble);
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    /// librdkafka asks while it is polled, and cannot wait: the token was
    /// signed ahead. It asks again after 80 % of what is left of a token's life.
    /// At the second request for the same token, another one is made meanwhile.
    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.count_served();
        let token = self.security.token().ok_or("there is no token")?;
        if self.handed_ms.swap(token.expires_ms, Ordering::Relaxed) == token.expires_ms {
            self.sign();
        }
        Ok(OAuthToken {
            token: token.text.expose_secret().to_owned(),
            principal_name: String::new(),
            lifetime_ms: token.expires_ms,
        })
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let message = printable(message);
        self.count_served();
        if facility == FAIL
            && let Some(trouble) = Trouble::heard(message)
        {
            self.hear(trouble);
        }
        if message.contains("not sending any client certificates") {
            self.heard().kept_back = true;
        }
        match level {
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice if facility != FAIL => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            // The run says what it means for the run; this is for those who look closer.
            _ => tracing::debug!(target: "librdkafka", facility, severe = true, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = printable(reason);
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
        let login = || (code == RDKafkaErrorCode::Authentication).then(|| Trouble::login(reason));
        if let Some(trouble) = Trouble::heard(reason).or_else(login) {
            self.hear(trouble);
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.count_served();
        let now = now();
        if self.heard().watched_until.is_none_or(|until| now > until) {
            return;
        }
        let Ok(figures) = serde_json::from_slice::<Figures>(statistics) else {
            tracing::warn!(target: "librdkafka", "statistics could not be read");
            return;
        };
        let silent = figures.brokers.iter().filter_map(|(name, broker)| broker.silent(name));
        let mut heard = self.heard();
        heard.silent = silent.collect();
        heard.was_connected |= figures.brokers.values().any(|broker| broker.state == "UP");
        for (topic, figures) in figures.topics {
            let topic: Arc<str> = topic.into();
            for partition in figures.partitions.into_values().filter(PartitionFigures::is_fetched) {
                let key = TopicPartition::new(Arc::clone(&topic), partition.partition);
                // The first look shows no move yet.
                let entry = heard.fetched.entry(key).or_insert((partition.next_offset, None));
                if partition.next_offset != entry.0 {
                    *entry = (partition.next_offset, Some(now));
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
    brokers: BTreeMap<String, BrokerFigures>,
}

#[derive(Deserialize)]
struct BrokerFigures {
    state: String,
    /// How long it is in this state, in microseconds.
    stateage: i64,
    /// Requests that wait for an answer.
    waitresp_cnt: i64,
    /// Microseconds since something was received, or negative.
    rxidle: i64,
}

impl BrokerFigures {
    /// The connection, if it is silent, and for how long.
    fn silent(&self, name: &str) -> Option<(Trouble, Duration)> {
        let is_up = self.state == "UP";
        if is_up && self.waitresp_cnt == 0 {
            return None;
        }
        let micros = if is_up { self.rxidle } else { self.stateage };
        let since = Duration::from_micros(u64::try_from(micros).ok()?);
        Some((Trouble::silent(name, &self.state)?, since))
    }
}

#[derive(Deserialize)]
struct TopicFigures {
    partitions: BTreeMap<String, PartitionFigures>,
}

#[derive(Deserialize)]
struct PartitionFigures {
    partition: i32,
    next_offset: i64,
    fetch_state: String,
}

impl PartitionFigures {
    /// Most partitions are only known.
    fn is_fetched(&self) -> bool {
        self.fetch_state != "none"
    }
}

#[expect(clippy::disallowed_methods, reason = "silence is measured in real time")]
fn now() -> Instant {
    Instant::now()
}

//! The client of the brokers: made when it is needed, kept between runs, and
//! made again when it is of no more use.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::task::JoinHandle;

use super::context::{self, Context, LOOK_EVERY, REFUSAL_PATIENCE, WATCH_AFTER};
use super::fetch::{self, FetchSizes};
use super::{now, trouble};
use crate::config::{Config, Properties};
use crate::error::{Error, ErrorType};
use crate::security::{Access, Security};

pub(super) type KafkaConsumer = BaseConsumer<Context>;

/// What a client is made of, and the client while there is one.
pub(super) struct Connection {
    config: Config,
    /// What is set otherwise than for runs: the group of another program.
    otherwise: Vec<(&'static str, String)>,
    security: Arc<Security>,
    open: Mutex<Option<Open>>,
}

#[derive(Clone)]
struct Open {
    consumer: Arc<KafkaConsumer>,
    access: Arc<Access>,
    /// Whether brokers have answered it for a whole run.
    proven: bool,
    /// Whether a refusal may be cured by what [`Security`] reads anew.
    renewable: bool,
}

/// A blocking call of the client that is on its way.
pub(super) struct PendingRequest<T> {
    context: Arc<Context>,
    at: Instant,
    answer: JoinHandle<Result<T, KafkaError>>,
}

impl<T> PendingRequest<T> {
    pub(super) fn is_answered(&self) -> bool {
        self.answer.is_finished()
    }
}

impl Connection {
    pub(super) fn new(config: &Config, security: Arc<Security>, otherwise: Vec<(&'static str, String)>) -> Self {
        Self {
            config: config.clone(),
            otherwise,
            security,
            open: Mutex::default(),
        }
    }

    /// One like this, to which an end is the high watermark. `None`: it is so
    /// for this one. The isolation level is a property of the whole client.
    pub(super) fn uncommitted(&self) -> Option<Self> {
        let (name, value) = ("isolation.level", "read_uncommitted");
        let mut properties = self.config.kafka_properties.iter();
        if properties.any(|property| property == (name, value)) {
            return None;
        }
        let otherwise = self.otherwise.iter().cloned().chain([(name, value.to_owned())]);
        Some(Self::new(&self.config, Arc::clone(&self.security), otherwise.collect()))
    }

    /// Ends the client, if there is one.
    pub(super) fn close(&self) {
        if let Some(Open { consumer, .. }) = self.current().take() {
            close(consumer);
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client, if there is one.
    pub(super) fn consumer(&self) -> Option<Arc<KafkaConsumer>> {
        self.current().as_ref().map(|open| Arc::clone(&open.consumer))
    }

    /// Makes the client if there is none. It connects in the background; that
    /// it cannot is an error of the first question. Returns whether it served
    /// a run before.
    ///
    /// # Errors
    /// `InvalidConfiguration` when a secret cannot be read in `limit`, or
    /// librdkafka refuses a property.
    pub(super) async fn open(&self, limit: Duration) -> Result<bool, Error> {
        let access = self.security.access(limit).await?;
        if let Some(open) = &*self.current() {
            return Ok(open.proven);
        }
        self.make(access).await?;
        Ok(false)
    }

    /// Whether a refusal may be cured by [`renew`](Self::renew), so that it is
    /// not waited for another broker's answer.
    pub(super) fn set_renewable(&self, renewable: bool) {
        if let Some(open) = &mut *self.current() {
            open.renewable = renewable;
        }
    }

    /// Whether the credentials can change while the settings stay.
    pub(super) fn may_change(&self) -> bool {
        self.security.may_change()
    }

    /// The client served a run.
    pub(super) fn prove(&self) {
        if let Some(open) = &mut *self.current() {
            open.proven = true;
        }
    }

    /// Makes another client: the connections of this one are dead.
    pub(super) async fn reopen(&self, limit: Duration) -> Result<(), Error> {
        let access = self.security.access(limit).await?;
        self.make(access).await
    }

    /// Reads the credentials anew, and makes another client if they changed.
    pub(super) async fn renew(&self, limit: Duration) -> Result<(), Error> {
        let Some(Open { access, .. }) = self.current().clone() else {
            return Ok(());
        };
        if let Some(renewed) = self.security.renewed(&access, limit).await? {
            tracing::info!("the brokers refused the credentials, and others were found: connecting again");
            self.make(renewed).await?;
        }
        Ok(())
    }

    async fn make(&self, access: Arc<Access>) -> Result<(), Error> {
        let made = self.client(&access);
        if made.is_err() {
            self.security.forget(&access).await;
        }
        let open = Open {
            consumer: Arc::new(made?),
            access,
            proven: false,
            renewable: false,
        };
        serve(&open.consumer, |_| {});
        if let Some(Open { consumer, .. }) = self.current().replace(open) {
            close(consumer);
        }
        Ok(())
    }

    fn client(&self, access: &Access) -> Result<KafkaConsumer, Error> {
        let mut client = client_config(&self.config, &access.properties);
        for (name, value) in &self.otherwise {
            client.set(*name, value);
        }
        let context = Context::new(self.config.poll_timeout, Arc::clone(&self.security), &access.properties);
        client.create_with_context(context).map_err(|error| {
            Error::new(
                ErrorType::InvalidConfiguration,
                trouble::cannot_be_made(&error.to_string()),
            )
        })
    }

    /// Runs a blocking call of the client beside the run, and serves the
    /// client's events meanwhile. A call whose answer can no longer come is
    /// left to itself.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&KafkaConsumer) -> Result<T, KafkaError> + Send + 'static,
        serve_events: impl FnMut(),
    ) -> Result<T, KafkaError> {
        let asked = self.ask(call).ok_or(KafkaError::Canceled)?;
        self.answer(asked, serve_events).await
    }

    /// Begins a blocking call of the client; `None` if there is no client.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&KafkaConsumer) -> Result<T, KafkaError> + Send + 'static,
    ) -> Option<PendingRequest<T>> {
        let consumer = self.consumer()?;
        Some(PendingRequest {
            context: Arc::clone(consumer.context()),
            at: now(),
            answer: tokio::task::spawn_blocking(move || call(&consumer)),
        })
    }

    /// Waits for the answer, and serves the client's events meanwhile.
    pub(super) async fn answer<T>(
        &self,
        mut asked: PendingRequest<T>,
        mut serve_events: impl FnMut(),
    ) -> Result<T, KafkaError> {
        let renewable = self.current().as_ref().is_some_and(|open| open.renewable);
        loop {
            let answered = tokio::time::timeout(LOOK_EVERY, &mut asked.answer).await;
            serve_events();
            match answered {
                Ok(answer) => return answer.unwrap_or(Err(KafkaError::Canceled)),
                Err(_) if is_hopeless(&asked.context, asked.at, renewable, now()) => {
                    return Err(KafkaError::Global(RDKafkaErrorCode::Authentication));
                }
                Err(_) if now().saturating_duration_since(asked.at) >= WATCH_AFTER => asked.context.watch(),
                Err(_) => {}
            }
        }
    }
}

/// Ends a client of librdkafka's. That takes 100 ms, and longer with a lost
/// broker, which no run waits for.
pub(crate) fn close<T: Send + 'static>(client: T) {
    let ended = std::thread::Builder::new().spawn(move || drop(client));
    if let Err(error) = ended {
        tracing::warn!(%error, "a Kafka client had to be ended in line");
    }
}

/// Whether a question goes unanswered because of the credentials: all brokers
/// have had the time to refuse them, or there may be others.
fn is_hopeless(context: &Context, asked: Instant, renewable: bool, now: Instant) -> bool {
    let refused = context
        .refused_since()
        .map(|since| now.saturating_duration_since(since.max(asked)));
    refused.is_some_and(|refused| refused >= REFUSAL_PATIENCE) || (renewable && context.is_curable(asked, now))
}

/// Serves the client's own queue: logs, errors, statistics, tokens. What comes
/// beside them goes to `other`.
pub(super) fn serve(consumer: &KafkaConsumer, mut other: impl FnMut(&rdkafka::message::BorrowedMessage<'_>)) {
    loop {
        let served = consumer.context().served();
        match consumer.poll(Duration::ZERO) {
            Some(Ok(stray)) => other(&stray),
            None if consumer.context().served() == served => return,
            // The context has heard it.
            Some(Err(_)) | None => {}
        }
    }
}

fn client_config(config: &Config, properties: &Properties) -> ClientConfig {
    let mut client = ClientConfig::new();
    // Ours first: the user's properties may override what is not owned.
    client
        .set("client.id", &*config.group_id)
        .set("ssl.ca.location", "probe")
        .set("topic.metadata.refresh.interval.ms", "60000")
        // librdkafka leaves its bootstrap broker as soon as it has heard of the others, and waits
        // half of this, 11 ms at least, before it connects to one of them: by default 50 ms.
        .set("reconnect.backoff.ms", "20")
        .set(
            "statistics.interval.ms",
            context::statistics_interval_ms(config.poll_timeout).to_string(),
        );
    FetchSizes::new(config.max_memory_bytes, config.max_messages).apply(&mut client);
    for (name, value) in properties.iter() {
        client.set(name, value);
    }
    fetch::give_way(&mut client, properties);
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("group.id", &*config.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true");
    context::hear_all(&mut client);
    client
}

/// What a first question of a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every partition was answered for.
    Answered,
    /// A broker did not answer, or none did.
    Unanswered,
    /// Some partitions have no leader.
    Leaderless,
    /// The brokers refused the credentials.
    Refused,
    /// A broker did not answer, or none did, and other credentials might help.
    Doubted,
    /// Something that asking again would not change.
    Final,
}

/// What may still be tried in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cures {
    /// The client served a run before: its connections may have died since.
    pub(super) reopen: bool,
    /// The credentials may have changed.
    pub(super) renew: bool,
}

/// What to do after a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cure {
    /// Take the answer as it is.
    None,
    /// Ask once more, with all the time there is.
    AskAgain,
    /// Make another client and ask it.
    Reopen,
    /// Read the credentials anew and ask again.
    Renew,
}

impl Cures {
    /// Chooses the next cure, which is then spent.
    ///
    /// While a client may still be made again it gets little time for its
    /// answer, so that connections that died in silence cost little. Each cure
    /// is tried once in a run.
    ///
    /// | outcome | may reopen | may renew | |
    /// |---|---|---|---|
    /// | answered, final | | | take it |
    /// | refused, doubted | | yes | renew |
    /// | refused | | no | take it |
    /// | doubted | yes | no | reopen |
    /// | unanswered | yes | | reopen |
    /// | doubted, unanswered | no | no | take it |
    /// | leaderless | yes | | ask again: an election may need the time |
    /// | leaderless | no | | take it |
    pub(super) fn next(&mut self, outcome: Outcome) -> Cure {
        match outcome {
            Outcome::Refused | Outcome::Doubted if std::mem::take(&mut self.renew) => {
                // A new client may need more than little time to connect.
                self.reopen = false;
                Cure::Renew
            }
            Outcome::Unanswered | Outcome::Doubted if std::mem::take(&mut self.reopen) => Cure::Reopen,
            Outcome::Leaderless if std::mem::take(&mut self.reopen) => Cure::AskAgain,
            _ => Cure::None,
        }
    }
}

/// How long a kept client has for its first answer, until its connections
/// count as dead: brokers of one region answer in milliseconds, and a
/// needless reconnect costs little more than they.
const STALE_PATIENCE: Duration = Duration::from_millis(500);

/// Until when to wait for an answer while these cures are left.
pub(super) fn patient_until(cures: Cures, poll_timeout: Duration, now: Instant, until: Instant) -> Instant {
    if cures.reopen {
        until.min(now + STALE_PATIENCE.min(poll_timeout / 3))
    } else {
        until
    }
}

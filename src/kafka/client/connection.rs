//! The librdkafka client: created when it is needed, kept between runs, and
//! replaced when its connections are dead or its credentials outdated.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use tokio::task::JoinHandle;

use super::settings;
use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::kafka::context::{Context, EVENT_INTERVAL, REFUSAL_PATIENCE, STATISTICS_AFTER};
use crate::kafka::errors::create::client_not_created;
use crate::kafka::now;
use crate::security::{Access, Security};

/// librdkafka's consumer. It joins no group.
pub(crate) type KafkaConsumer = BaseConsumer<Context>;

/// What a client is created from, and the client while there is one.
pub(crate) struct Connection {
    config: Config,
    /// Properties that differ from those of runs, such as the `group.id` of
    /// another program.
    overrides: Vec<(&'static str, String)>,
    security: Arc<Security>,
    open: Mutex<Option<Open>>,
}

#[derive(Clone)]
struct Open {
    consumer: Arc<KafkaConsumer>,
    access: Arc<Access>,
    /// Whether it has served a whole run.
    healthy: bool,
    /// Whether other credentials may be read after a refusal.
    refreshable: bool,
}

/// A blocking call of librdkafka's, in flight.
pub(crate) struct PendingRequest<T> {
    context: Arc<Context>,
    sent: Instant,
    response: JoinHandle<Result<T, KafkaError>>,
}

impl<T> PendingRequest<T> {
    pub(crate) fn is_finished(&self) -> bool {
        self.response.is_finished()
    }
}

impl Connection {
    pub(crate) fn new(config: &Config, security: Arc<Security>, overrides: Vec<(&'static str, String)>) -> Self {
        Self {
            config: config.clone(),
            overrides,
            security,
            open: Mutex::default(),
        }
    }

    /// A connection whose end offsets are high watermarks; `None`: those of
    /// this one are. The isolation level is a property of the whole client.
    pub(crate) fn read_uncommitted(&self) -> Option<Self> {
        let (name, value) = ("isolation.level", "read_uncommitted");
        let mut properties = self.config.kafka_properties.iter();
        if properties.any(|property| property == (name, value)) {
            return None;
        }
        let overrides = self.overrides.iter().cloned().chain([(name, value.to_owned())]);
        Some(Self::new(&self.config, Arc::clone(&self.security), overrides.collect()))
    }

    /// Closes the client, if there is one.
    pub(crate) fn close(&self) {
        if let Some(Open { consumer, .. }) = self.current().take() {
            close(consumer);
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client, if there is one.
    pub(crate) fn consumer(&self) -> Option<Arc<KafkaConsumer>> {
        self.current().as_ref().map(|open| Arc::clone(&open.consumer))
    }

    /// Creates the client if there is none. It connects in the background: the
    /// first request fails if it cannot. Returns whether it served a run before.
    ///
    /// # Errors
    /// `InvalidConfiguration` when a secret cannot be read in `limit`, or
    /// librdkafka rejects a property.
    pub(crate) async fn open(&self, limit: Duration) -> Result<bool, Error> {
        let access = self.security.access(limit).await?;
        if let Some(open) = &*self.current() {
            return Ok(open.healthy);
        }
        self.create(access).await?;
        Ok(false)
    }

    /// Whether [`refresh_credentials`](Self::refresh_credentials) may help after
    /// a refusal: then no other broker is waited for.
    pub(crate) fn set_refreshable(&self, refreshable: bool) {
        if let Some(open) = &mut *self.current() {
            open.refreshable = refreshable;
        }
    }

    /// Whether the credentials can change while the settings stay.
    pub(crate) fn may_change(&self) -> bool {
        self.security.may_change()
    }

    /// The client has served a run.
    pub(crate) fn mark_healthy(&self) {
        if let Some(open) = &mut *self.current() {
            open.healthy = true;
        }
    }

    /// Replaces the client: its connections are dead.
    pub(crate) async fn reconnect(&self, limit: Duration) -> Result<(), Error> {
        let access = self.security.access(limit).await?;
        self.create(access).await
    }

    /// Reads the credentials again, and replaces the client if they changed.
    pub(crate) async fn refresh_credentials(&self, limit: Duration) -> Result<(), Error> {
        let Some(Open { access, .. }) = self.current().clone() else {
            return Ok(());
        };
        if let Some(renewed) = self.security.renewed(&access, limit).await? {
            tracing::info!("the brokers refused the credentials, and the secret has changed: reconnecting");
            self.create(renewed).await?;
        }
        Ok(())
    }

    async fn create(&self, access: Arc<Access>) -> Result<(), Error> {
        let created = self.client(&access);
        if created.is_err() {
            self.security.forget(&access).await;
        }
        let open = Open {
            consumer: Arc::new(created?),
            access,
            healthy: false,
            refreshable: false,
        };
        serve(&open.consumer, |_| {});
        if let Some(Open { consumer, .. }) = self.current().replace(open) {
            close(consumer);
        }
        Ok(())
    }

    fn client(&self, access: &Access) -> Result<KafkaConsumer, Error> {
        let mut client = settings::consumer(&self.config, &access.properties);
        for (name, value) in &self.overrides {
            client.set(*name, value);
        }
        let context = Context::new(self.config.poll_timeout, Arc::clone(&self.security), &access.properties);
        client.create_with_context(context).map_err(|error| {
            client_not_created(&error.to_string())
                .into_error(ErrorType::InvalidConfiguration)
                .caused_by(error)
        })
    }

    /// Starts a blocking call of librdkafka's; `None` if there is no client.
    pub(crate) fn send<T: Send + 'static>(
        &self,
        call: impl FnOnce(&KafkaConsumer) -> Result<T, KafkaError> + Send + 'static,
    ) -> Option<PendingRequest<T>> {
        let consumer = self.consumer()?;
        Some(PendingRequest {
            context: Arc::clone(consumer.context()),
            sent: now(),
            response: tokio::task::spawn_blocking(move || call(&consumer)),
        })
    }

    /// Waits for the response, and serves the client's events meanwhile. A call
    /// whose response can no longer come is left running.
    pub(crate) async fn response<T>(
        &self,
        mut request: PendingRequest<T>,
        mut serve_events: impl FnMut(),
    ) -> Result<T, KafkaError> {
        let refreshable = self.current().as_ref().is_some_and(|open| open.refreshable);
        loop {
            let response = tokio::time::timeout(EVENT_INTERVAL, &mut request.response).await;
            serve_events();
            match response {
                Ok(response) => return response.unwrap_or(Err(KafkaError::Canceled)),
                Err(_) if is_refused(&request.context, request.sent, refreshable, now()) => {
                    return Err(KafkaError::Global(RDKafkaErrorCode::Authentication));
                }
                Err(_) if now().saturating_duration_since(request.sent) >= STATISTICS_AFTER => {
                    request.context.read_statistics();
                }
                Err(_) => {}
            }
        }
    }
}

/// Closes a librdkafka client in a thread of its own: that takes 100 ms, and
/// longer with a lost broker.
pub(crate) fn close<T: Send + 'static>(client: T) {
    let closing = std::thread::Builder::new().spawn(move || drop(client));
    if let Err(error) = closing {
        tracing::warn!(%error, "no thread to close a Kafka client: it was closed in line");
    }
}

/// Whether a request gets no response because of the credentials: all brokers
/// have had the time to refuse them, or others may be read.
fn is_refused(context: &Context, sent: Instant, refreshable: bool, now: Instant) -> bool {
    let refused = context
        .refused_since()
        .map(|since| now.saturating_duration_since(since.max(sent)));
    refused.is_some_and(|refused| refused >= REFUSAL_PATIENCE)
        || (refreshable && context.needs_other_credentials(sent, now))
}

/// Serves the client's own queue: logs, errors, statistics, tokens. Records in
/// it go to `on_record`.
pub(crate) fn serve(consumer: &KafkaConsumer, mut on_record: impl FnMut(&BorrowedMessage<'_>)) {
    loop {
        let served = consumer.context().served();
        match consumer.poll(Duration::ZERO) {
            Some(Ok(record)) => on_record(&record),
            None if consumer.context().served() == served => return,
            // The context has recorded it.
            Some(Err(_)) | None => {}
        }
    }
}

//! librdkafka's callbacks: the errors and log lines that hold the cause of a
//! failure, its statistics, and its requests for tokens.

use std::sync::atomic::Ordering;

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use secrecy::ExposeSecret as _;

use super::Context;
use super::statistics::Statistics;
use crate::kafka::errors::cause::{ConnectionError, printable};
use crate::kafka::now;

/// The facility of librdkafka's log lines about connections that ended.
pub(super) const FAIL: &str = "FAIL";

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    /// librdkafka requests a token while it is polled, and does not wait: the
    /// token was signed before. It requests the next after 80 % of the rest of the
    /// token's lifetime. A second request for the same token signs another one in
    /// the background.
    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.count_served();
        let token = self.security.token().ok_or("there is no token")?;
        if self.token_expires_ms.swap(token.expires_ms, Ordering::Relaxed) == token.expires_ms {
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
            && let Some(error) = ConnectionError::parse(message)
        {
            self.record_error(error);
        }
        if message.contains("not sending any client certificates") {
            self.observed().certificate_withheld = true;
        }
        match level {
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice if facility != FAIL => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            // The run reports what it means for the run.
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
        // No group is joined, so no permission on it is needed. The end of a
        // partition is no error. AllBrokersDown follows the errors of each broker.
        if matches!(
            code,
            RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::PartitionEOF
                | RDKafkaErrorCode::AllBrokersDown
        ) {
            return;
        }
        tracing::debug!(target: "librdkafka", %code, reason, "client error");
        let sasl_refused = || (code == RDKafkaErrorCode::Authentication).then(|| ConnectionError::sasl_refused(reason));
        if let Some(error) = ConnectionError::parse(reason).or_else(sasl_refused) {
            self.record_error(error);
        }
    }

    fn stats_raw(&self, json: &[u8]) {
        self.count_served();
        let now = now();
        if self.observed().statistics_until.is_none_or(|until| now > until) {
            return;
        }
        let Ok(statistics) = serde_json::from_slice::<Statistics>(json) else {
            tracing::warn!(target: "librdkafka", "statistics could not be read");
            return;
        };
        self.observed().update(statistics, now);
    }
}

impl ConsumerContext for Context {
    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        self.poll_timeout.into()
    }
}

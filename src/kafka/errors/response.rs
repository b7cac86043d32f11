//! Why a request got no response, with the time that was waited and the errors
//! of the connections.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::error::{Error, ErrorType};
use crate::kafka::context::Context;

/// What to do where connections work and a request gets no response.
const WAIT: &str = "A partition's leader is moving or busy; the next run tries again. If it stays so, check the \
                    brokers' logs";

/// What to do where all that is known is that no broker responded.
const CHECK_SETTINGS: &str = "Check KAFKA_BOOTSTRAP_SERVERS, the security groups, and KAFKA_SECURITY_PROTOCOL";

impl Context {
    /// Why a request got no response: librdkafka's return code only is "timed
    /// out", its events hold the cause. `waited` is the time that was really
    /// waited.
    ///
    /// Settings are named only where they may be wrong:
    ///
    /// | known | advice |
    /// |---|---|
    /// | a connection failed | by its cause |
    /// | a broker returned an error | about the leader or the broker |
    /// | a connection was ready for requests before | about the leader |
    /// | nothing | check the settings |
    #[must_use]
    pub fn explain(&self, bootstrap_servers: &str, waited: Duration, error: &KafkaError) -> Error {
        let cause = match self.cause() {
            Some((ErrorType::AuthenticationFailed, cause)) => {
                return cause
                    .into_error(ErrorType::AuthenticationFailed)
                    .caused_by(error.clone());
            }
            cause => cause.map(|(_, cause)| cause),
        };
        let returned = error.rdkafka_error_code().filter(|code| is_from_broker(*code));
        let what = match returned {
            Some(code) => format!("the brokers of {bootstrap_servers} returned {code}"),
            None => format!(
                "no broker of {bootstrap_servers} responded within {}",
                time(waited, self.poll_timeout())
            ),
        };
        let (what, next) = match (cause, returned) {
            (Some(cause), _) => (format!("{what}: {}", cause.what), cause.next),
            (None, Some(code)) if !is_about_leader(code) => (what, "Check the brokers' logs".to_owned()),
            (None, Some(_)) => (what, WAIT.to_owned()),
            (None, None) if self.was_connected() => (format!("{what}: {error}"), WAIT.to_owned()),
            (None, None) => (format!("{what}: {error}"), CHECK_SETTINGS.to_owned()),
        };
        Error::new(ErrorType::BrokerUnreachable, what)
            .next(next)
            .caused_by(error.clone())
    }
}

/// Whether a broker returned this code, and not librdkafka itself, whose own
/// codes are negative.
pub(crate) fn is_from_broker(code: RDKafkaErrorCode) -> bool {
    code as i32 > 0
}

/// Whether a partition has no leader now, or another one than the client's
/// metadata has.
fn is_about_leader(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::ReplicaNotAvailable
            | RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::OffsetNotAvailable
    )
}

/// The time that was waited, and the setting that limited the wait, if it did.
fn time(waited: Duration, poll_timeout: Duration) -> String {
    let seconds = waited.as_secs_f64();
    if waited + poll_timeout / 10 >= poll_timeout {
        format!("{seconds:.1} s (POLL_TIMEOUT)")
    } else if waited >= Duration::from_secs(1) {
        format!("{seconds:.1} s")
    } else {
        format!("{} ms", waited.as_millis())
    }
}

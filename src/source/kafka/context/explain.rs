//! Why a request got no response, with the time that was waited and what is
//! known of the connections.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::Context;
use crate::error::{Error, ErrorType};

/// What helps where connections work and a request does not get its response.
const WAIT: &str = "A partition's leader is moving or busy; the next run tries again. If it stays so, look at the \
                    brokers' logs";

/// What helps where nothing is known but that no broker responded.
const CHECK_SETTINGS: &str = "Check KAFKA_BOOTSTRAP_SERVERS, the security groups, and KAFKA_SECURITY_PROTOCOL";

impl Context {
    /// Why a request got no response, in the words of the contract: librdkafka's
    /// return codes only say "timed out", its events hold the cause. `waited` is
    /// the time that was really waited.
    ///
    /// Settings are named only where they may be wrong:
    ///
    /// | known | advice |
    /// |---|---|
    /// | what became of a connection | that of its cause |
    /// | a broker returned an error | about the leader or the broker |
    /// | a connection was ready for requests before | about the leader |
    /// | nothing | check the settings |
    #[must_use]
    pub fn explain(&self, bootstrap_servers: &str, waited: Duration, error: &KafkaError) -> Error {
        let cause = self.cause();
        if let Some((ErrorType::AuthenticationFailed, cause)) = cause {
            return Error::new(ErrorType::AuthenticationFailed, cause);
        }
        let returned = error.rdkafka_error_code().filter(|code| is_from_broker(*code));
        let cause = match (cause, returned) {
            (Some((_, cause)), _) => cause,
            (None, Some(code)) if !is_about_leader(code) => "Look at the brokers' logs".to_owned(),
            (None, Some(_)) => WAIT.to_owned(),
            (None, None) if self.heard().was_connected => format!("{error}. {WAIT}"),
            (None, None) => format!("{error}. {CHECK_SETTINGS}"),
        };
        let what = match returned {
            Some(code) => format!("the brokers of {bootstrap_servers} returned {code}. {cause}"),
            None => format!(
                "no broker of {bootstrap_servers} answered within {}: {cause}",
                time(waited, self.poll_timeout)
            ),
        };
        Error::new(ErrorType::BrokerUnreachable, what)
    }
}

/// Whether a broker returned this code, and not librdkafka itself, whose own
/// codes are negative.
pub(crate) fn is_from_broker(code: RDKafkaErrorCode) -> bool {
    code as i32 > 0
}

/// Whether a partition has no leader now, or another one than the client knew.
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

/// The time that was waited, and the setting that ended the wait, if it did.
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

//! What to try after the first request of a run has failed.

use std::time::{Duration, Instant};

/// How the first request of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every partition has an end offset.
    Complete,
    /// One broker sent no response, or none did.
    NoResponse,
    /// Some partitions have no leader.
    NoLeader,
    /// The brokers refused the credentials.
    Refused,
    /// One broker sent no response, or none did, and other credentials might help.
    Suspect,
    /// An error that another request would not change.
    Permanent,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Create another client and send the request again.
    Reconnect,
    /// Read the secrets again and send the request again.
    RefreshCredentials,
    /// Send the request again, with all the time that is left.
    Retry,
    /// Return the result as it is.
    GiveUp,
}

/// What may still be tried in this run, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecoverySteps {
    /// The client served a run before: its connections may have died since.
    pub(crate) reconnect: bool,
    /// The credentials may have changed.
    pub(crate) refresh_credentials: bool,
}

impl RecoverySteps {
    /// The next step, which is then spent.
    ///
    /// While a reconnect is left, a request gets little time, so that
    /// connections that died unnoticed cost little.
    ///
    /// | outcome | may reconnect | may refresh | |
    /// |---|---|---|---|
    /// | complete, permanent | | | give up |
    /// | refused, suspect | | yes | refresh the credentials |
    /// | refused | | no | give up |
    /// | suspect | yes | no | reconnect |
    /// | no response | yes | | reconnect |
    /// | suspect, no response | no | no | give up |
    /// | no leader | yes | | retry: an election may need the time |
    /// | no leader | no | | give up |
    pub(crate) fn next(&mut self, outcome: Outcome) -> Recovery {
        match outcome {
            Outcome::Refused | Outcome::Suspect if std::mem::take(&mut self.refresh_credentials) => {
                // A new client may need more than little time to connect.
                self.reconnect = false;
                Recovery::RefreshCredentials
            }
            Outcome::NoResponse | Outcome::Suspect if std::mem::take(&mut self.reconnect) => Recovery::Reconnect,
            Outcome::NoLeader if std::mem::take(&mut self.reconnect) => Recovery::Retry,
            _ => Recovery::GiveUp,
        }
    }
}

/// How long a kept client may take for its first response before its
/// connections count as dead: brokers of one region respond in milliseconds,
/// and a needless reconnect costs little more than that.
const STALE_TIMEOUT: Duration = Duration::from_millis(500);

/// Until when to wait for a response while these steps are left.
pub(crate) fn request_until(steps: RecoverySteps, poll_timeout: Duration, now: Instant, until: Instant) -> Instant {
    if steps.reconnect {
        until.min(now + STALE_TIMEOUT.min(poll_timeout / 3))
    } else {
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::now;

    #[test]
    fn each_step_is_tried_once_and_only_after_what_it_helps() {
        use Outcome::{Complete, NoLeader, NoResponse, Permanent, Refused, Suspect};
        use Recovery::{GiveUp, Reconnect, RefreshCredentials, Retry};
        // With both steps left, without a refresh, without a reconnect, without any.
        let rows = [
            (Complete, [GiveUp; 4]),
            (Permanent, [GiveUp; 4]),
            (Refused, [RefreshCredentials, GiveUp, RefreshCredentials, GiveUp]),
            (Suspect, [RefreshCredentials, Reconnect, RefreshCredentials, GiveUp]),
            (NoResponse, [Reconnect, Reconnect, GiveUp, GiveUp]),
            (NoLeader, [Retry, Retry, GiveUp, GiveUp]),
        ];
        let left = [(true, true), (true, false), (false, true), (false, false)];
        for (outcome, expected) in rows {
            for ((reconnect, refresh_credentials), expected) in left.into_iter().zip(expected) {
                let mut steps = RecoverySteps {
                    reconnect,
                    refresh_credentials,
                };
                assert_eq!(
                    steps.next(outcome),
                    expected,
                    "{outcome:?} {reconnect} {refresh_credentials}"
                );
                if expected != GiveUp {
                    assert_eq!(steps.next(outcome), GiveUp, "{outcome:?} again");
                }
            }
        }
        let mut both = RecoverySteps {
            reconnect: true,
            refresh_credentials: true,
        };
        assert_eq!(
            [both.next(NoResponse), both.next(Refused)],
            [Reconnect, RefreshCredentials]
        );
    }

    #[test]
    fn only_the_first_request_of_a_kept_client_gets_little_time() {
        let (now, poll_timeout) = (now(), Duration::from_secs(5));
        let until = now + poll_timeout;
        let waits = |reconnect, poll_timeout| {
            let steps = RecoverySteps {
                reconnect,
                refresh_credentials: true,
            };
            request_until(steps, poll_timeout, now, until) - now
        };
        assert_eq!(waits(false, poll_timeout), poll_timeout);
        assert_eq!(waits(true, poll_timeout), STALE_TIMEOUT);
        assert_eq!(waits(true, Duration::from_millis(300)), Duration::from_millis(100));
    }
}

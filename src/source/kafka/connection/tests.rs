//! Which cure follows which answer, and how long an answer is waited for.

use super::*;

#[test]
fn each_cure_is_tried_once_and_only_for_what_it_cures() {
    use Outcome::{Answered, Doubted, Final, Leaderless, Refused, Unanswered};
    // With both cures, without a renewal, without another client, without any.
    let rows = [
        (Answered, [Cure::None; 4]),
        (Final, [Cure::None; 4]),
        (Refused, [Cure::Renew, Cure::None, Cure::Renew, Cure::None]),
        (Doubted, [Cure::Renew, Cure::Reopen, Cure::Renew, Cure::None]),
        (Unanswered, [Cure::Reopen, Cure::Reopen, Cure::None, Cure::None]),
        (Leaderless, [Cure::AskAgain, Cure::AskAgain, Cure::None, Cure::None]),
    ];
    let left = [(true, true), (true, false), (false, true), (false, false)];
    for (outcome, expected) in rows {
        for ((reopen, renew), expected) in left.into_iter().zip(expected) {
            let mut cures = Cures { reopen, renew };
            assert_eq!(cures.next(outcome), expected, "{outcome:?} {reopen} {renew}");
            if expected != Cure::None {
                assert_eq!(cures.next(outcome), Cure::None, "{outcome:?} again");
            }
        }
    }
    let mut both = Cures {
        reopen: true,
        renew: true,
    };
    assert_eq!([both.next(Unanswered), both.next(Refused)], [Cure::Reopen, Cure::Renew]);
}

#[test]
fn only_a_kept_client_is_asked_with_little_patience() {
    let (now, poll_timeout) = (now(), Duration::from_secs(5));
    let until = now + poll_timeout;
    let waits = |reopen, poll_timeout| patient_until(Cures { reopen, renew: true }, poll_timeout, now, until) - now;
    assert_eq!(waits(false, poll_timeout), poll_timeout);
    assert_eq!(waits(true, poll_timeout), STALE_PATIENCE);
    assert_eq!(waits(true, Duration::from_millis(300)), Duration::from_millis(100));
}

//! Which cure follows which answer, and how long an answer is waited for.

use super::*;

#[test]
fn each_cure_is_tried_once_and_only_for_what_it_cures() {
    use Outcome::{Answered, Final, Leaderless, Refused, Unanswered};
    let rows = [
        (Answered, Cure::None),
        (Final, Cure::None),
        (Refused, Cure::Renew),
        (Unanswered, Cure::Reopen),
        (Leaderless, Cure::AskAgain),
    ];
    for (outcome, expected) in rows {
        let mut all = Cures {
            reopen: true,
            renew: true,
        };
        assert_eq!(all.next(outcome), expected, "{outcome:?}");
        if expected != Cure::None {
            assert_eq!(all.next(outcome), Cure::None, "{outcome:?} again");
        }
        let mut none = Cures {
            reopen: false,
            renew: false,
        };
        assert_eq!(none.next(outcome), Cure::None, "{outcome:?} without cures");
    }
    let mut both = Cures {
        reopen: true,
        renew: true,
    };
    assert_eq!([both.next(Unanswered), both.next(Refused)], [Cure::Reopen, Cure::Renew]);
}

#[test]
fn a_refusal_from_before_a_question_leaves_other_brokers_the_time_to_answer() {
    let (asked, second) = (now() + Duration::from_mins(1), Duration::from_secs(1));
    let (before, asked, after) = (asked, asked + 30 * second, asked + 31 * second);
    let rows = [
        (after, true, after, true),
        (after, false, after, false),
        (after, false, after + second, true),
        (before, true, asked, false),
        (before, false, asked, false),
        (before, true, asked + second, true),
        (before, false, asked + second, true),
    ];
    for (since, renewable, now, refused) in rows {
        assert_eq!(
            is_refused(since, asked, renewable, now),
            refused,
            "{:?}",
            (since, renewable, now)
        );
    }
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

//! What a failed attempt of a pushed record leads to. Pure.

use crate::config::OnFailure;
use crate::processor::Failure;

/// What happens after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The record is tried again.
    Retry,
    /// `ON_FAILURE` is `skip`: the record is passed.
    Skip,
    /// The record is sent as a dead letter, and then passed.
    DeadLetter,
    /// The record and all later ones of its partition are left to AWS, which
    /// sends them again.
    Leave,
    /// As [`Leave`](Self::Leave), for all partitions.
    Stop,
}

/// What follows the attempt number `attempts` (1 for the first) of this
/// invocation, which ended with `failure`:
///
/// | failure | attempts | `ON_FAILURE` | next |
/// |---|---|---|---|
/// | `Fatal` | any | any | [`Stop`](Next::Stop) |
/// | `Retry` | below `MAX_ATTEMPTS` | any | [`Retry`](Next::Retry) |
/// | `Retry` | `MAX_ATTEMPTS` | `halt` | [`Leave`](Next::Leave) |
/// | `Retry` | `MAX_ATTEMPTS` | `skip` | [`Skip`](Next::Skip) |
/// | `Retry` | `MAX_ATTEMPTS` | a target | [`DeadLetter`](Next::DeadLetter) |
/// | `Poison`, undecodable | any | as for `MAX_ATTEMPTS` | the same |
///
/// Attempts count within the invocation: no table keeps them, and AWS sends
/// the records again without a number.
pub(super) fn next(failure: &Failure, attempts: u32, max_attempts: u32, on_failure: &OnFailure) -> Next {
    match failure {
        Failure::Fatal(_) => Next::Stop,
        // The worker waits for a throttled destination: it makes no attempt.
        Failure::Throttled(_) => Next::Retry,
        Failure::Retry(_) if attempts < max_attempts => Next::Retry,
        Failure::Retry(_) | Failure::Poison(_) | Failure::Undecodable(_) => match on_failure {
            OnFailure::Halt => Next::Leave,
            OnFailure::Skip => Next::Skip,
            OnFailure::DeadLetter(_) => Next::DeadLetter,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_table_holds() {
        let text = || "text".to_owned();
        let target = || "kafka://dead".parse::<OnFailure>().expect("a target");
        let rows = [
            (Failure::Fatal(text()), 1, OnFailure::Skip, Next::Stop),
            (Failure::Retry(text()), 1, OnFailure::Halt, Next::Retry),
            (Failure::Retry(text()), 2, OnFailure::Skip, Next::Retry),
            (Failure::Retry(text()), 3, OnFailure::Halt, Next::Leave),
            (Failure::Retry(text()), 3, OnFailure::Skip, Next::Skip),
            (Failure::Retry(text()), 3, target(), Next::DeadLetter),
            (Failure::Poison(text()), 1, OnFailure::Halt, Next::Leave),
            (Failure::Poison(text()), 1, OnFailure::Skip, Next::Skip),
            (Failure::Poison(text()), 1, target(), Next::DeadLetter),
        ];
        for (failure, attempts, on_failure, expected) in rows {
            assert_eq!(
                next(&failure, attempts, 3, &on_failure),
                expected,
                "{failure:?} {attempts} {on_failure}"
            );
        }
    }
}

//! Until when a claim holds a partition.

use kafka_consumer_lambda::claim::{ClaimStatus, MAX_CLAIM_MS};

use super::{NOW_MS, left};

/// 90 minutes of a run on a managed instance, and two for clocks that differ.
#[test]
fn a_claim_is_valid_for_at_most_92_minutes() {
    let status = |until_ms| left(Some(until_ms)).claim_status(NOW_MS);
    let until_ms = NOW_MS + 5_520_000;
    assert_eq!(status(until_ms), ClaimStatus::Held { until_ms });
    assert_eq!(status(until_ms + 1), ClaimStatus::Free);
}

#[test]
fn a_partition_is_held_until_its_claim_expires_if_that_is_at_most_92_minutes_away() {
    let rows = [
        (None, ClaimStatus::Free),
        (Some(i64::MIN), ClaimStatus::Expired),
        (Some(0), ClaimStatus::Expired),
        (Some(NOW_MS - 1), ClaimStatus::Expired),
        (Some(NOW_MS), ClaimStatus::Expired),
        (Some(NOW_MS + 1), ClaimStatus::Held { until_ms: NOW_MS + 1 }),
        (
            Some(NOW_MS + MAX_CLAIM_MS),
            ClaimStatus::Held {
                until_ms: NOW_MS + MAX_CLAIM_MS,
            },
        ),
        (Some(NOW_MS + MAX_CLAIM_MS + 1), ClaimStatus::Free),
        (Some(i64::MAX), ClaimStatus::Free),
    ];
    for (until, status) in rows {
        assert_eq!(left(until).claim_status(NOW_MS), status, "{until:?}");
    }
}

#[test]
fn the_status_of_a_claim_does_not_overflow_at_the_end_of_the_clocks_range() {
    assert_eq!(
        left(Some(i64::MAX)).claim_status(i64::MAX - 1),
        ClaimStatus::Held { until_ms: i64::MAX }
    );
    assert_eq!(left(Some(i64::MAX)).claim_status(i64::MAX), ClaimStatus::Expired);
}

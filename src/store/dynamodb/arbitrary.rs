//! Strategies for cursors, with each attribute of an item.

use std::sync::Arc;

use proptest::option;
use proptest::prelude::*;

use crate::claim::{Bounds, ChunkLimit, CommandId, Cursor, Failures, PassedOver, RunId, Unreported};
use crate::record::{NextOffset, OffsetRange};

/// Any offset, often the first or the last of the number range.
pub(super) fn any_next() -> impl Strategy<Value = NextOffset> {
    prop_oneof![Just(0), Just(i64::MAX), 0..=i64::MAX].prop_map(|offset| NextOffset::new(offset).expect("not negative"))
}

pub(super) fn any_failures() -> impl Strategy<Value = Failures> {
    (
        any_next(),
        any::<u32>(),
        any::<u32>(),
        option::of(0..=i64::MAX),
        option::of(".*"),
    )
        .prop_map(|(offset, attempts, crashes, next_try_at_ms, error)| Failures {
            offset,
            attempts,
            crashes,
            next_try_at_ms,
            error,
        })
}

fn any_unreported() -> impl Strategy<Value = Unreported> {
    let ranges = || proptest::collection::vec((0..i64::MAX / 2, 0..9_i64, ".{0,20}"), 0..3);
    (ranges(), any::<u64>(), ranges()).prop_map(|(skipped, skipped_records, lost)| {
        let passed = |ranges: Vec<(i64, i64, String)>| {
            let passed = |(first, more, reason)| PassedOver {
                range: OffsetRange {
                    first,
                    last: first + more,
                },
                reason,
            };
            ranges.into_iter().map(passed).collect()
        };
        Unreported {
            skipped: passed(skipped),
            skipped_records,
            lost: passed(lost),
        }
    })
}

fn any_bounds() -> impl Strategy<Value = Arc<Bounds>> {
    (any_next(), any_next(), ".*").prop_map(|(from, to, requested)| Arc::new(Bounds { from, to, requested }))
}

pub(super) fn any_limit() -> impl Strategy<Value = ChunkLimit> {
    prop_oneof![Just(ChunkLimit::Small), Just(ChunkLimit::Single)]
}

/// Claims end before and after 100, the time of the expressions' tests. Boxed,
/// because a strategy of so many fields is too large for the stack of a test.
pub(super) fn any_cursor() -> BoxedStrategy<Cursor> {
    cursor().boxed()
}

prop_compose! {
    fn cursor()(
        next in any_next(),
        run in option::of("[a-z0-9-]{1,40}"),
        claim_until_ms in option::of(prop_oneof![0..200_i64, 0..=i64::MAX]),
        claim_to in option::of(any_next()),
        claim_chunk in option::of(any_limit()),
        failure in option::of(any_failures()),
        updated_at_ms in option::of(any::<i64>()),
        handed_over in option::of(any_next()),
        unreported in option::of(any_unreported()),
        (paused, previous, backfill) in (any::<bool>(), option::of(any_next()), option::of(any_bounds())),
        command in option::of("[a-z0-9-]{1,40}"),
    ) -> Cursor {
        let (run, command) = (run.map(RunId::new), command.map(CommandId::new));
        Cursor {
            next, run, claim_until_ms, claim_to, claim_chunk, handed_over, failure, paused, updated_at_ms, previous, command,
            backfill, unreported: unreported.map(Arc::new),
        }
    }
}

//! Claims: which run holds a partition, what a takeover stores, and what a refused write means.

mod crash_history;
mod exploration;
mod operator;
mod status;
mod verdict;
mod writes;

use futures::FutureExt;
use kafka_consumer_lambda::claim::{
    ChunkLimit, Claim, Cursor, CursorWrite, Ending, Failures, Flush, LastWrite, ObservedItem, Quarantine, RunId, claim,
};
use kafka_consumer_lambda::store::memory::MemoryStore;
use kafka_consumer_lambda::store::{Store, WriteResult};

use crate::support::states::{consumer, next};

const NOW_MS: i64 = 1_800_000_000_000;
const EXPIRED: Option<i64> = Some(NOW_MS);
const LIVE: Option<i64> = Some(NOW_MS + 1);

/// Applies a write to an item. Returns the result and the item after it.
fn write(item: Option<Cursor>, write: &CursorWrite) -> (WriteResult, Option<Cursor>) {
    let consumer = consumer();
    let store = MemoryStore::new();
    if let Some(item) = item {
        store.put(&consumer, 0, item);
    }
    let written = store.write(&consumer, 0, write).now_or_never();
    let written = written
        .expect("a store in memory does not wait")
        .expect("a store in memory does not fail");
    (written, store.get(&consumer, 0))
}

/// The item after a write that must be applied.
fn written(item: Cursor, the_write: &CursorWrite) -> Cursor {
    let (written, item) = write(Some(item), the_write);
    assert_eq!(written, WriteResult::Applied);
    item.expect("it was written")
}

/// An item at 5 with this claim of a run that planned to reach 9.
fn left(claim_until_ms: Option<i64>) -> Cursor {
    Cursor {
        run: Some(RunId::new("crashed")),
        claim_until_ms,
        claim_to: Some(next(9)),
        ..Cursor::at(next(5))
    }
}

fn crashed(at: i64, crashes: u32) -> Failures {
    Failures {
        offset: next(at),
        crashes,
        ..Failures::default()
    }
}

/// A run's first flush of an item that it has claimed.
fn flushed(item: &Cursor, to: i64, quarantine: Option<Quarantine>, ending: Ending) -> Flush {
    Flush {
        hands_over: false,
        unreported: None,
        unknown: None,
        run: RunId::new("me"),
        last_write: LastWrite {
            next: item.next,
            updated_at_ms: item.updated_at_ms.expect("it was claimed"),
        },
        next: next(to),
        quarantine,
        ending,
        now_ms: NOW_MS + 5,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is used where `None` is possible")]
fn quarantine(until: i64, limit: ChunkLimit) -> Option<Quarantine> {
    Some(Quarantine {
        until: next(until),
        limit,
    })
}

/// With this limit of a chunk, and a mark for the hand-over of the next record.
fn with_chunk(cursor: Cursor, claim_chunk: Option<ChunkLimit>) -> Cursor {
    Cursor {
        claim_chunk,
        handed_over: claim_chunk.map(|_| cursor.next),
        ..cursor
    }
}

fn with_failure(cursor: Cursor, failure: Failures) -> Cursor {
    Cursor {
        failure: Some(failure),
        ..cursor
    }
}

/// The item after a run that plans to reach `to` has claimed it.
fn taken_over(item: &Cursor, to: i64) -> Cursor {
    let ours = Claim {
        run: RunId::new("me"),
        until_ms: NOW_MS + 70_000,
        to: next(to),
        now_ms: NOW_MS,
    };
    written(item.clone(), &claim(&ObservedItem::Present(item.clone()), &ours))
}

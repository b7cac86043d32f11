//! The histories that an item may have before a write, and the trait through which every store is
//! tested; see [`store_conformance`](super::store_conformance).

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use kafka_consumer_lambda::claim::{
    Attribute, Claim, Cursor, CursorWrite, Ending, Failures, Flush, LastWrite, RunId, Set, flush, release,
};
use kafka_consumer_lambda::record::NextOffset;
use kafka_consumer_lambda::store::memory::MemoryStore;
use kafka_consumer_lambda::store::{Consumer, Store, WriteResult};

pub(crate) use super::states::next;

/// A store, and an operator's changes of the same items.
pub(crate) trait Bench {
    type Store: Store;

    fn store(&self) -> &Self::Store;

    /// Replaces the item by one with only the five public attributes.
    async fn put(&self, consumer: &Consumer, partition: i32, next: NextOffset);

    /// Changes the offset of an item and nothing else.
    async fn move_to(&self, consumer: &Consumer, partition: i32, next: NextOffset);

    /// Sets `paused`.
    async fn pause(&self, consumer: &Consumer, partition: i32);

    /// Deletes the item.
    async fn delete(&self, consumer: &Consumer, partition: i32);
}

impl Bench for MemoryStore {
    type Store = Self;

    fn store(&self) -> &Self {
        self
    }

    async fn put(&self, consumer: &Consumer, partition: i32, next: NextOffset) {
        MemoryStore::put(self, consumer, partition, Cursor::at(next));
    }

    async fn move_to(&self, consumer: &Consumer, partition: i32, next: NextOffset) {
        let item = self.get(consumer, partition).expect("there is an item");
        MemoryStore::put(self, consumer, partition, Cursor { next, ..item });
    }

    async fn pause(&self, consumer: &Consumer, partition: i32) {
        let item = self.get(consumer, partition).expect("there is an item");
        MemoryStore::put(self, consumer, partition, Cursor { paused: true, ..item });
    }

    async fn delete(&self, consumer: &Consumer, partition: i32) {
        MemoryStore::delete(self, consumer, partition);
    }
}

pub(super) const NOW_MS: i64 = 1_800_000_000_000;
pub(super) const OUR_UNTIL_MS: i64 = NOW_MS + 70_000;
pub(super) const OTHERS_UNTIL_MS: i64 = NOW_MS + 50_000;
pub(super) const EXPIRED_MS: i64 = NOW_MS - 1;

/// What happened to an item before a write. Its first offset is 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    NoItem,
    FiveAttributes,
    Ours,
    OursThenFlushed,
    OursThenFinished,
    OursThenBlocked,
    OursThenReleased,
    OursThenPut,
    OursThenMoved,
    OursThenDeleted,
    OursThenTakenOver,
    Others,
    OthersExpired,
}

impl History {
    pub(super) const ALL: [Self; 13] = [
        Self::NoItem,
        Self::FiveAttributes,
        Self::Ours,
        Self::OursThenFlushed,
        Self::OursThenFinished,
        Self::OursThenBlocked,
        Self::OursThenReleased,
        Self::OursThenPut,
        Self::OursThenMoved,
        Self::OursThenDeleted,
        Self::OursThenTakenOver,
        Self::Others,
        Self::OthersExpired,
    ];

    pub(super) async fn make<B: Bench>(self, bench: &B, consumer: &Consumer, partition: i32) {
        use History::{
            FiveAttributes, NoItem, Others, OthersExpired, OursThenBlocked, OursThenDeleted, OursThenFinished,
            OursThenFlushed, OursThenMoved, OursThenPut, OursThenReleased, OursThenTakenOver,
        };
        let apply = async |write: &CursorWrite| {
            let written = bench.store().write(consumer, partition, write).await;
            assert_eq!(written, Ok(WriteResult::Applied), "{self:?}");
        };
        match self {
            NoItem => return,
            FiveAttributes => return bench.put(consumer, partition, next(5)).await,
            Others => return apply(&raw(&claimed("other", OTHERS_UNTIL_MS))).await,
            OthersExpired => return apply(&raw(&claimed("other", EXPIRED_MS))).await,
            _ => apply(&raw(&claimed("me", OUR_UNTIL_MS))).await,
        }
        match self {
            OursThenFlushed => apply(&flush(&flushed(Ending::Interim))).await,
            OursThenFinished => apply(&flush(&flushed(Ending::Final(None)))).await,
            OursThenBlocked => apply(&flush(&blocked_at_5())).await,
            OursThenReleased => apply(&release(&me(), None)).await,
            OursThenPut => bench.put(consumer, partition, next(5)).await,
            OursThenMoved => bench.move_to(consumer, partition, next(2)).await,
            OursThenDeleted => bench.delete(consumer, partition).await,
            OursThenTakenOver => apply(&raw(&claimed("other", OTHERS_UNTIL_MS))).await,
            _ => {}
        }
    }
}

/// Writes to an item of each history. The write must be applied to those of `applied_to`, which turns
/// the item into `after` of the previous one, and refused for all others.
pub(super) async fn check<B: Bench>(
    bench: &B,
    write: &CursorWrite,
    applied_to: &[History],
    after: impl Fn(Option<Cursor>) -> Cursor,
) {
    let (consumer, store) = (consumer(), bench.store());
    for (partition, history) in (0..).zip(History::ALL) {
        history.make(bench, &consumer, partition).await;
        let before = store.load_one(&consumer, partition).await.unwrap();
        let written = store.write(&consumer, partition, write).await.unwrap();
        let now = store.load_one(&consumer, partition).await.unwrap();
        if applied_to.contains(&history) {
            assert_eq!(
                (written, now),
                (WriteResult::Applied, Some(after(before))),
                "{history:?}"
            );
        } else {
            assert_eq!(
                (written, &now),
                (WriteResult::Refused(before.clone().map(Ok)), &before),
                "{history:?}"
            );
        }
    }
}

/// A consumer for a single test.
pub(crate) fn consumer() -> Consumer {
    Consumer {
        group_id: format!("group-{}", uuid::Uuid::new_v4()).into(),
        topic: "orders".into(),
        backfill: None,
    }
}

/// Everything of `cursor`, without a condition.
pub(crate) fn raw(cursor: &Cursor) -> CursorWrite {
    let mut sets = vec![Set::Next(cursor.next), Set::Identity];
    sets.extend(cursor.run.clone().map(Set::Run));
    sets.extend(cursor.claim_until_ms.map(Set::ClaimUntil));
    sets.extend(cursor.claim_to.map(Set::ClaimTo));
    sets.extend(cursor.claim_chunk.map(Set::ClaimChunk));
    sets.extend(cursor.handed_over.map(Set::HandedOver));
    sets.extend(cursor.unreported.clone().map(Set::Unreported));
    sets.extend(cursor.failure.clone().map(Set::Failures));
    sets.extend(cursor.updated_at_ms.map(Set::UpdatedAt));
    sets.extend(cursor.paused.then_some(Set::Paused));
    sets.extend(cursor.previous.map(Set::Previous));
    sets.extend(cursor.backfill.clone().map(Set::Backfill));
    let removes = vec![
        Attribute::ClaimUntil,
        Attribute::ClaimTo,
        Attribute::ClaimChunk,
        Attribute::Failures,
    ];
    CursorWrite {
        conditions: vec![],
        sets,
        removes,
    }
}

pub(super) fn me() -> RunId {
    RunId::new("me")
}

pub(super) fn our_claim() -> Claim {
    Claim {
        run: me(),
        until_ms: OUR_UNTIL_MS,
        to: next(9),
        now_ms: NOW_MS,
    }
}

/// An item at 5 under a claim.
pub(super) fn claimed(run: &str, until_ms: i64) -> Cursor {
    Cursor {
        run: Some(RunId::new(run)),
        claim_until_ms: Some(until_ms),
        claim_to: Some(next(9)),
        updated_at_ms: Some(NOW_MS),
        ..Cursor::at(next(5))
    }
}

/// The time of the write after the claim.
pub(super) const LATER_MS: i64 = NOW_MS + 1;

/// Our item after the claim was removed.
pub(super) fn ended(offset: i64) -> Cursor {
    Cursor {
        run: Some(me()),
        updated_at_ms: Some(LATER_MS),
        ..Cursor::at(next(offset))
    }
}

/// Our flush from 5 to 8.
pub(super) fn flushed(ending: Ending) -> Flush {
    Flush {
        hands_over: false,
        unreported: None,
        unknown: None,
        run: me(),
        last_write: LastWrite {
            next: next(5),
            updated_at_ms: NOW_MS,
        },
        next: next(8),
        quarantine: None,
        ending,
        now_ms: LATER_MS,
    }
}

/// Our last write, with a failed record at the cursor, 5.
pub(super) fn blocked_at_5() -> Flush {
    Flush {
        hands_over: false,
        unreported: None,
        unknown: None,
        next: next(5),
        ..flushed(Ending::Final(Some(failures(5))))
    }
}

pub(super) fn failures(offset: i64) -> Failures {
    Failures {
        offset: next(offset),
        attempts: 2,
        crashes: 1,
        next_try_at_ms: Some(NOW_MS + 60_000),
        error: Some("no JSON".to_owned()),
    }
}

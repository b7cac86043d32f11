//! How many records are handed over at once.

use std::num::NonZeroUsize;

use kafka_consumer_lambda::claim::{ChunkLimit, Quarantine};
use kafka_consumer_lambda::ledger::{CHUNK_TARGET_MS, FIRST_CHUNK, Ledger};

use super::{busy, chunk, ledger, records, with_quarantine};
use crate::support::states::next;

#[test]
fn the_first_chunk_is_small() {
    assert_eq!(FIRST_CHUNK, 16);
    assert_eq!(chunk(&busy()), FIRST_CHUNK);
}

#[test]
fn a_chunk_grows_at_most_fourfold_and_never_above_the_largest() {
    let mut ledger = busy();
    let mut sizes = vec![];
    for _ in 0..6 {
        ledger.measured(chunk(&ledger), 0);
        sizes.push(chunk(&ledger));
    }
    assert_eq!(sizes, [64, 256, 1_024, 4_096, 4_096, 4_096]);
}

#[test]
fn a_chunk_is_sized_for_a_quarter_of_a_second() {
    let after = |count, took_ms| {
        let mut ledger = busy();
        ledger.measured(count, took_ms);
        chunk(&ledger)
    };
    assert_eq!(after(16, CHUNK_TARGET_MS), 16);
    assert_eq!(after(16, CHUNK_TARGET_MS / 2), 32);
    assert_eq!(after(16, CHUNK_TARGET_MS * 2), 8);
    // The speed is that of settled records, not of attempted ones.
    assert_eq!(after(4, 100), 10);
}

#[test]
fn the_slowest_handler_gets_one_record() {
    let mut ledger = busy();
    for took_ms in [CHUNK_TARGET_MS * 100, u64::MAX] {
        ledger.measured(16, took_ms);
        assert_eq!(chunk(&ledger), 1);
    }
    ledger.measured(1, 10);
    assert_eq!(chunk(&ledger), 4);
}

#[test]
fn a_batch_keeps_its_size_however_long_a_call_takes() {
    let mut ledger = busy().in_batches(Some(100));
    assert_eq!(chunk(&ledger), 100);
    for took_ms in [0, CHUNK_TARGET_MS * 100] {
        ledger.measured(100, took_ms);
        assert_eq!(chunk(&ledger), 100);
    }
}

#[test]
fn after_a_single_record_a_batch_grows_fourfold_up_to_its_size() {
    let mut ledger = busy().in_batches(Some(100));
    ledger.hand_over_one();
    let mut sizes = vec![];
    for _ in 0..5 {
        sizes.push(chunk(&ledger));
        ledger.measured(chunk(&ledger), 1_000);
    }
    assert_eq!(sizes, [1, 4, 16, 64, 100]);
}

#[test]
fn more_is_fetched_for_a_batch_while_it_is_not_full_and_there_is_more() {
    let batched = |to, polled| {
        let mut partial = ledger(to, 20_000).in_batches(Some(100));
        partial.polled(&records(0..polled));
        partial
    };
    let partial = batched(1_000, 40);
    assert!(partial.awaits_more(40));
    assert!(!partial.awaits_more(100), "the batch is full");
    assert!(!batched(40, 40).awaits_more(40), "there is no more");
    assert!(!busy().awaits_more(1), "chunks that are no batches take what there is");
    let mut limited = ledger(1_000, 50).in_batches(Some(100));
    limited.polled(&records(0..50));
    assert!(!limited.awaits_more(50), "the share is used");
    let careful = with_quarantine(Some(Quarantine {
        until: next(1_000),
        limit: ChunkLimit::Small,
    }))
    .in_batches(Some(100));
    assert!(!careful.awaits_more(1), "one after the other where a run crashed");
}

fn parallel(batch: Option<usize>, at_once: usize) -> Ledger {
    busy().in_parallel(batch, NonZeroUsize::new(at_once).expect("not zero"))
}

#[test]
fn for_calls_at_once_a_chunk_grows_to_several_records_for_each_however_long_they_take() {
    for (batch, at_once, expected) in [
        (None, 4, [16, 16, 16]),
        (None, 16, [16, 64, 64]),
        (None, 50, [50, 200, 200]),
        (Some(400), 4, [400, 1_600, 1_600]),
    ] {
        let mut ledger = parallel(batch, at_once);
        let mut sizes = vec![];
        for _ in 0..3 {
            sizes.push(chunk(&ledger));
            ledger.measured(chunk(&ledger), 60_000);
        }
        assert_eq!(sizes, expected, "{at_once}");
    }
}

#[test]
fn for_calls_at_once_a_chunk_grows_with_the_speed() {
    let mut ledger = parallel(None, 16);
    let mut sizes = vec![];
    for _ in 0..6 {
        sizes.push(chunk(&ledger));
        // 20 ms for each call.
        let rounds = chunk(&ledger).div_ceil(16) as u64;
        ledger.measured(chunk(&ledger), rounds * 20);
    }
    assert_eq!(sizes, [16, 64, 200, 192, 200, 192]);
    ledger.hand_over_one();
    assert_eq!(chunk(&ledger), 1);
    ledger.measured(1, 20);
    assert_eq!(chunk(&ledger), 4);
}

/// By it the run decides whether a further call would be finished in time.
#[test]
fn a_call_takes_its_part_of_the_chunk_s_time() {
    assert_eq!(busy().call_ms(16, 320), 20);
    assert_eq!(busy().in_batches(Some(100)).call_ms(40, 320), 320);
    assert_eq!(parallel(None, 16).call_ms(64, 320), 80);
    assert_eq!(parallel(None, 16).call_ms(1, 320), 320);
    assert_eq!(parallel(Some(400), 4).call_ms(1_600, 320), 80);
}

#[test]
fn batches_at_once_wait_for_several_each_and_not_for_a_large_chunk() {
    let filled = |batch| {
        let mut partial = ledger(1_000, 20_000).in_parallel(batch, NonZeroUsize::new(4).expect("not zero"));
        partial.polled(&records(0..300));
        partial.measured(40, 1);
        partial.measured(160, 1);
        assert!(chunk(&partial) >= 256, "a large chunk");
        partial
    };
    assert!(filled(Some(40)).awaits_more(159));
    assert!(!filled(Some(40)).awaits_more(160));
    assert!(
        !filled(None).awaits_more(1),
        "calls that take one record take what there is"
    );
}

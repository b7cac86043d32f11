//! How many records are handed over at once.

use kafka_consumer_lambda::ledger::{CHUNK_TARGET_MS, FIRST_CHUNK};

use super::{busy, chunk};

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

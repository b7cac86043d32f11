//! The contract of every store: one suite, run for each of them by [`conformance_tests`].
//!
//! Each write of `claim` is applied to an item with each of the histories in
//! [`store_histories`](super::store_histories). A test lists the histories for which the write is
//! applied, and the item after it. For all others the write must be refused, return the item, and not
//! change it.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

pub(crate) mod claims;
pub(crate) mod flushes;
pub(crate) mod loads;
pub(crate) mod operator;

use kafka_consumer_lambda::claim::{Cursor, CursorWrite, Verdict};
use kafka_consumer_lambda::store::{Consumer, Store, WriteResult, write_and_judge};

use super::store_histories::Bench;

/// Defines a test for each function `module::name` of a suite, on what `$argument` resolves to.
macro_rules! suite {
    ($suite:ident, $argument:expr; $($module:ident::$name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                crate::support::$suite::$module::$name(&$argument.await).await;
            }
        )*
    };
}
pub(crate) use suite;

/// Defines a test of each behaviour, for the store that `$bench` creates.
macro_rules! conformance_tests {
    ($bench:expr) => {
        crate::support::store_conformance::suite! {
            store_conformance, $bench;
            claims::a_start_is_pinned_only_where_there_is_no_item
            claims::a_partition_without_an_item_is_claimed_only_while_there_is_none
            claims::a_free_partition_is_claimed_only_if_its_item_is_unchanged
            claims::an_expired_claim_is_taken_over_only_if_its_item_is_unchanged
            claims::a_claim_that_was_applied_before_is_recognised
            claims::a_claim_that_another_run_won_is_refused_with_its_end
            claims::a_pause_refuses_a_claim_and_survives_every_other_write
            claims::two_runs_claim_every_partition_once
            flushes::an_interim_flush_needs_the_runs_claim_and_the_cursor_as_it_left_it
            flushes::a_final_flush_needs_the_runs_claim_and_the_cursor_as_it_left_it
            flushes::a_blocked_flush_needs_the_runs_claim_and_the_cursor_as_it_left_it
            flushes::a_release_needs_an_item_that_the_run_wrote_last
            flushes::a_flush_that_was_applied_before_is_recognised
            flushes::new_failures_replace_all_of_the_old_ones
            operator::an_operators_move_needs_the_unchanged_cursor_and_removes_the_attributes_of_runs
            operator::an_operators_move_creates_an_item_only_where_there_is_none
            operator::an_operator_pauses_and_resumes_a_partition_in_every_state
            operator::a_deleted_item_is_never_brought_back
            loads::items_of_more_than_one_page_are_loaded_in_order
            loads::only_the_consumers_own_items_are_loaded
            loads::loading_missing_items_returns_none
        }
    };
}
pub(crate) use conformance_tests;

/// Repeats a write, as a client does that got no response to the first attempt.
async fn write_twice<B: Bench>(
    bench: &B,
    consumer: &Consumer,
    partition: i32,
    write: &CursorWrite,
    judge: impl Fn(Option<&Cursor>) -> Verdict,
) {
    let store = bench.store();
    assert_eq!(store.write(consumer, partition, write).await, Ok(WriteResult::Applied));
    let item = store.load_one(consumer, partition).await.unwrap();
    assert_eq!(
        store.write(consumer, partition, write).await,
        Ok(WriteResult::Refused(item.map(Ok)))
    );
    let verdict = write_and_judge(store, consumer, partition, write, judge).await;
    assert_eq!(verdict, Ok(Verdict::Applied), "{write:?}");
}

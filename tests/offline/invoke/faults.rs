//! Brokers that fail, tables that are slow, and operators who edit cursors during a run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kafka_consumer_lambda::claim::{Cursor, RunId};
use kafka_consumer_lambda::source::Polled;
use kafka_consumer_lambda::{Record, each};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::json;

use super::source::Brokers;
use super::{HandledOffsets, World, consumer, cursor_at, settle_all};

/// P5: nothing is passed over silently.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_partition_that_is_reported_too_early_skips_no_records() {
    let world = World::new(1, 1, 10).await;
    let handled = HandledOffsets::default();
    let config = world.config(&[]);
    // A replica that lags behind.
    let source = Brokers::new(&config).with_first_poll(Polled::End);
    let (report, _) = world.run_with(config, &source, handled.handler(), 20).await;
    assert_eq!(report["last_offsets"], json!({"0": 9}));
    assert_eq!(handled.offsets(), (0..10).collect::<Vec<_>>());
}

/// P5: nothing is passed over silently.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_retention_overtakes_names_the_deleted_offset_and_does_not_move_its_cursor() {
    let world = World::new(1, 1, 10).await;
    world.put(0, cursor_at(3));
    let config = world.config(&[]);
    let source = Brokers::new(&config).with_first_poll(Polled::OutOfRange);
    let (report, _) = world.run_with(config, &source, settle_all(), 20).await;
    let message = report["error"]["message"].as_str().expect("an error");
    assert!(
        message.starts_with("the log of t-0 no longer has offset 3:"),
        "{message}"
    );
    assert!(
        message.ends_with("the next run decides by ON_RETENTION_LOSS or ON_TRUNCATION"),
        "{message}"
    );
    assert_eq!(report["unavailable"][0]["error"], "the log no longer has offset 3");
    let cursor = world.cursor(0);
    assert_eq!((cursor.next, cursor.claim_until_ms), (cursor_at(3).next, None));
}

/// P2: a cursor moves back only by an operator, or by `ON_TRUNCATION`.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_another_run_moved_meanwhile_is_no_truncation() {
    let world = World::new(1, 1, 10).await;
    world.put(0, cursor_at(8));
    let handled = HandledOffsets::default();
    let config = world.config(&[("ON_TRUNCATION", "earliest")]);
    // The table is read after another run has moved the cursor.
    let source = Brokers::new(&config).with_old_end(4);
    let (report, _) = world.run_with(config, &source, handled.handler(), 20).await;
    assert_eq!(report["last_offsets"], json!({"0": 9}), "{report}");
    assert_eq!(handled.offsets(), [8, 9]);
}

/// P9: one partition's failure is its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaderless_partition_is_named_and_the_others_are_read() {
    let world = World::new(3, 3, 3).await;
    let cluster = world.kafka.cluster().expect("a cluster");
    cluster.partition_leader("t", 1, None).expect("no leader");
    let (report, took) = world.run(&[], settle_all(), 20).await;
    assert_eq!(report["error"]["type"], "BrokerUnreachable");
    assert_eq!(report["last_offsets"], json!({"0": 2, "2": 2}), "{report}");
    assert_eq!(report["unavailable"][0]["partition"], 1);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// P8: a run that could not read the state fails, and reports it.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_responds_without_records_is_unreachable_after_poll_timeout() {
    let world = World::new(1, 1, 10).await;
    let refusals = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 100_000];
    world
        .kafka
        .cluster()
        .expect("a cluster")
        .request_errors(RDKafkaApiKey::Fetch, &refusals);
    let (report, took) = world.run(&[], settle_all(), 30).await;
    assert_eq!(report["error"]["type"], "BrokerUnreachable", "{report}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

/// P4: an edit costs the run that partition and no other.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_while_the_partition_waits_for_a_share_takes_precedence_at_the_cost_of_a_few_writes() {
    let world = Arc::new(World::new(1, 2, 10).await);
    let operator = world.clone();
    let handler = each(move |record: Record| {
        let operator = operator.clone();
        async move {
            if record.partition.partition == 1 && record.offset == 0 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                operator.table.inner.put(&consumer(), 0, cursor_at(7));
                tokio::time::sleep(Duration::from_secs(6)).await;
            }
            Ok(())
        }
    });
    let (report, _) = world.run(&[("MAX_MESSAGES", "4")], handler, 30).await;
    let writes = world.table.writes.load(Ordering::SeqCst);
    assert!(writes < 12, "{writes} writes");
    assert_eq!(world.cursor(0), cursor_at(7), "as the operator wrote it");
    // The run had released its claim there, since its share was used.
    assert_eq!(
        (&report["held"], &report["last_offsets"]),
        (&json!([]), &json!({"0": 1, "1": 1}))
    );
}

/// P3: a run that lost its claim stores nothing more on that partition.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_claim_was_taken_over_names_the_other_run_and_leaves_the_item_to_it() {
    let mut world = World::new(1, 1, 3).await;
    let theirs = Cursor {
        run: Some(RunId::new("the-other-run")),
        claim_until_ms: Some(i64::MAX),
        ..cursor_at(1)
    };
    let item = theirs.clone();
    // The item exists once this run has claimed it.
    world.table.before_write = Some(Box::new(move |table, partition| {
        if table.get(&consumer(), partition).is_some() {
            table.put(&consumer(), partition, item.clone());
        }
    }));
    let (report, _) = world.run(&[], settle_all(), 20).await;
    assert_eq!(report["error"]["type"], "ClaimLost", "{report}");
    let message = report["error"]["message"].as_str().expect("an error");
    assert!(message.contains("was taken over by run the-other-run:"), "{message}");
    assert_eq!(world.cursor(0), theirs);
}

/// P1: what was settled is stored, also by a worker that waits for a share.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_a_leftover_at_the_deadline_gets_its_last_write() {
    let mut world = World::new(1, 3, 10).await;
    world.table.before_write = Some(Box::new(|table, partition| {
        if partition == 2 {
            table.put(&consumer(), 2, cursor_at(5));
        }
    }));
    let handler = each(|record: Record| async move {
        if record.partition.partition == 0 && record.offset == 2 {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let settings = [("MAX_MESSAGES", "6"), ("MAX_MEMORY_BYTES", "4194304")];
    let (report, _) = world.run(&settings, handler, 4).await;
    let cursor = world.cursor(1);
    assert!(cursor.next.get() >= 2, "{report}");
    assert_eq!(cursor.claim_until_ms, None, "the claim is released");
}

/// P7: a run ends before its deadline, also with a slow table.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_slower_than_the_deadline_fails_the_run_in_time() {
    let mut reads = World::new(1, 1, 3).await;
    reads.table.load_takes = Duration::from_secs(7);
    let (report, took) = reads.run(&[], settle_all(), 3).await;
    assert_eq!(
        (&report["error"]["type"], &report["messages_processed"]),
        (&json!("TableUnreachable"), &json!(0))
    );
    assert!(took < Duration::from_secs(3), "{took:?}");

    let mut writes = World::new(1, 1, 3).await;
    writes.table.write_takes = Duration::from_secs(7);
    let (report, took) = writes.run(&[], settle_all(), 3).await;
    assert_eq!(report["error"]["type"], "TableUnreachable");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// P9: a panic outside the handler costs its partition alone, and counts
/// against no record.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_outside_the_handler_blocks_only_its_partition_and_counts_against_no_record() {
    let world = World::new(1, 3, 3).await;
    let settings = [("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "1")];
    for _ in 0..3 {
        let config = world.config(&settings);
        let source = Brokers::new(&config).panicking_at(1);
        let (report, _) = world.run_with(config, &source, settle_all(), 20).await;
        assert_eq!(report["error"]["type"], "PartitionBlocked", "{report}");
        let message = report["error"]["message"].as_str().expect("a message");
        assert!(
            message.contains("t-1 from offset 0") && message.contains("a defect of the client"),
            "{message}"
        );
        assert_eq!(
            (&report["skipped"], &report["unavailable"][0]["partition"]),
            (&json!([]), &json!(1))
        );
    }
    assert_eq!((world.cursor(0).next.get(), world.cursor(2).next.get()), (3, 3));
    let cursor = world.cursor(1);
    assert_eq!(
        (cursor.next.get(), cursor.claim_until_ms, cursor.failure),
        (0, None, None)
    );
    let (report, _) = world.run(&settings, settle_all(), 20).await;
    assert_eq!(
        (&report["messages_processed"], &report["error"]),
        (&json!(3), &json!(null)),
        "{report}"
    );
}

/// P9, in one process: the client does not keep the partition assigned.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_of_the_same_process_reads_where_a_panic_ended_the_last_one() {
    let world = World::new(1, 2, 3).await;
    let config = world.config(&[]);
    let panics = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (armed, source) = (Arc::clone(&panics), Brokers::new(&config));
    let source = source.with_listener(move |what| {
        assert!(!(what == "records came" && armed.swap(false, Ordering::SeqCst)), "once");
    });
    let (first, _) = world.run_with(config.clone(), &source, settle_all(), 20).await;
    assert_eq!(first["error"]["type"], "PartitionBlocked", "{first}");
    let (second, _) = world.run_with(config, &source, settle_all(), 20).await;
    assert_eq!(
        (&second["lag"], &second["error"]),
        (&json!(0), &json!(null)),
        "{second}"
    );
}

/// P9: also before any partition is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_outside_of_any_partition_is_an_error_of_the_invocation() {
    let world = World::new(1, 1, 1).await;
    let config = world.config(&[]);
    let source = Brokers::new(&config).panicking_at_the_first_request();
    let result = world.invocation(config, &source, settle_all()).result().await;
    let error = result.expect_err("it is not a report");
    assert!(
        error
            .to_string()
            .starts_with("PartitionBlocked: this program panicked outside"),
        "{error}"
    );
}

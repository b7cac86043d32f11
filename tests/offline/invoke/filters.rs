//! Filter patterns in whole runs: what fits none is settled in its place.

use std::collections::BTreeSet;

use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::Chunk;
use kafka_consumer_lambda::{Failure, Record, each};
use serde_json::{Value, json};

use super::{HandledOffsets, World};

/// The filter that these offsets fit.
fn offsets(offsets: &[i64]) -> String {
    json!([{"offset": offsets}]).to_string()
}

/// Settles each chunk, and notes its size.
struct Sizes(HandledOffsets);
impl Processor for Sizes {
    async fn process(&self, chunk: &Chunk, _: &RunContext) -> Progress {
        self.0.note(i64::try_from(chunk.len()).expect("few"));
        Progress::all(chunk)
    }
}

fn sums(report: &Value) -> (&Value, &Value, &Value) {
    (
        &report["messages_processed"],
        &report["filtered"],
        &report["last_offsets"],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fits_no_pattern_is_settled_without_the_handler() {
    let world = World::new(1, 1, 40).await;
    let handled = HandledOffsets::default();
    let filter = offsets(&[3, 17, 18, 39]);
    let (report, _) = world.run(&[("FILTER_PATTERNS", &filter)], handled.handler(), 20).await;
    assert_eq!(handled.offsets(), [3, 17, 18, 39]);
    assert_eq!(sums(&report), (&json!(4), &json!(36), &json!({"0": 39})), "{report}");
    assert_eq!(
        (&report["lag"], &report["stop_reason"]),
        (&json!(0), &json!("caught_up"))
    );
    assert_eq!(report["partitions"][0]["first_offset"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_records_all_fit_no_pattern_is_passed() {
    let world = World::new(1, 1, 30).await;
    let handled = HandledOffsets::default();
    let (report, _) = world
        .run(&[("FILTER_PATTERNS", &offsets(&[99]))], handled.handler(), 20)
        .await;
    assert_eq!(handled.offsets(), [0_i64; 0]);
    assert_eq!(sums(&report), (&json!(0), &json!(30), &json!({"0": 29})), "{report}");
    assert_eq!((&report["status"], &report["lag"]), (&json!("success"), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn filtered_records_do_not_count_for_the_limit() {
    let world = World::new(1, 1, 40).await;
    let handled = HandledOffsets::default();
    let filter = offsets(&[30, 31, 32]);
    let settings = [("FILTER_PATTERNS", filter.as_str()), ("MAX_MESSAGES", "2")];
    let (report, _) = world.run(&settings, handled.handler(), 20).await;
    assert_eq!(handled.offsets(), [30, 31]);
    assert_eq!(report["stop_reason"], "max_messages", "{report}");
    assert_eq!(world.cursor(0).next.get(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_a_call_are_those_that_fit_from_the_whole_chunk() {
    let world = World::new(1, 1, 40).await;
    let sizes = HandledOffsets::default();
    let noted = sizes.clone();
    let even: Vec<i64> = (0..40).filter(|offset| offset % 2 == 0).collect();
    let (report, _) = world
        .run(&[("FILTER_PATTERNS", &offsets(&even))], Sizes(noted), 20)
        .await;
    assert_eq!(report["messages_processed"], 20, "{report}");
    assert!(
        sizes.offsets().iter().any(|size| *size > 2),
        "filtered records end no call: {:?}",
        sizes.offsets()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fails_blocks_the_partition_in_front_of_the_filtered_ones_behind_it() {
    let world = World::new(1, 1, 20).await;
    let handler = each(|record: Record| async move {
        if record.offset == 12 {
            return Err(Failure::Poison("never".into()));
        }
        Ok(())
    });
    let filter = offsets(&[10, 12, 14]);
    let (report, _) = world.run(&[("FILTER_PATTERNS", &filter)], handler, 20).await;
    assert_eq!(report["blocked"][0]["offset"], 12, "{report}");
    assert_eq!(sums(&report), (&json!(1), &json!(11), &json!({"0": 11})));
    assert_eq!(world.cursor(0).next.get(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_record_is_never_an_error() {
    let world = World::new(1, 1, 2).await;
    for value in ["{", "{\"type\":\"a\"}"] {
        world.kafka.produce("t", 0, [value.to_owned()]).await.expect("a record");
    }
    let handled = HandledOffsets::default();
    let filter = r#"[{"value":{"type":["a"]},"offset":[{"numeric":[">",2]}]}]"#;
    let (report, _) = world.run(&[("FILTER_PATTERNS", filter)], handled.handler(), 20).await;
    assert_eq!(report["status"], "success", "{report}");
    assert_eq!((handled.offsets(), &report["filtered"]), (vec![3], &json!(3)));
}

/// Any part of the records may fit, and any part of those may fail.
#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_handled_filtered_or_skipped_and_none_twice() {
    let world = World::new(1, 8, 60).await;
    let fits = |partition: i32, offset: i64| (offset * 7 + i64::from(partition) * 3) % (2 + i64::from(partition)) == 0;
    let fails = |offset: i64| offset % 11 == 3;
    let pattern = |partition: i32| {
        let fitting: Vec<i64> = (0..60).filter(|offset| fits(partition, *offset)).collect();
        // A list of no offsets is refused: nothing of that partition fits.
        (!fitting.is_empty()).then(|| json!({"partition": [partition], "offset": fitting}))
    };
    let filter = json!((0..8).filter_map(pattern).collect::<Vec<_>>()).to_string();
    let processed = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = processed.clone();
    let handler = each(move |record: Record| {
        let key = (record.partition.partition, record.offset);
        if !fails(record.offset) {
            noted.lock().expect("no panic").push(key);
        }
        async move {
            if fails(key.1) {
                Err(Failure::Retry("now and then".into()))
            } else {
                Ok(())
            }
        }
    });
    let settings = [
        ("FILTER_PATTERNS", filter.as_str()),
        ("ON_FAILURE", "skip"),
        ("MAX_ATTEMPTS", "1"),
    ];
    let (report, _) = world.run(&settings, handler, 30).await;
    let all = || (0..8).flat_map(|partition| (0..60).map(move |offset| (partition, offset)));
    let expected: BTreeSet<_> = all().filter(|(p, o)| fits(*p, *o) && !fails(*o)).collect();
    let processed = processed.lock().expect("no panic").clone();
    assert_eq!(processed.iter().copied().collect::<BTreeSet<_>>(), expected);
    assert_eq!(processed.len(), expected.len(), "none twice");
    let filtered = all().filter(|(p, o)| !fits(*p, *o)).count();
    assert_eq!(
        (&report["filtered"], &report["lag"]),
        (&json!(filtered), &json!(0)),
        "{report}"
    );
    let skipped: i64 = report["skipped"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|range| {
            range["last_offset"].as_i64().expect("a number") - range["first_offset"].as_i64().expect("a number") + 1
        })
        .sum();
    assert_eq!(
        usize::try_from(skipped).expect("a count"),
        480 - filtered - expected.len()
    );
}

/// Records are set aside while the handler has the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_or_is_cut_off_loses_no_filtered_record() {
    let world = World::new(1, 1, 40).await;
    let even: Vec<i64> = (0..40).filter(|offset| offset % 2 == 0).collect();
    let filter = offsets(&even);
    let settings = [("FILTER_PATTERNS", filter.as_str()), ("MAX_ATTEMPTS", "1")];
    let panics = each(|record: Record| async move {
        assert!(record.offset != 20, "a bug");
        Ok(())
    });
    let (report, _) = world.run(&settings, panics, 20).await;
    assert_eq!(
        (world.cursor(0).next.get(), &report["filtered"]),
        (20, &json!(10)),
        "{report}"
    );
    let mut item = world.cursor(0);
    item.failure.as_mut().expect("it failed").next_try_at_ms = Some(0);
    world.put(0, item);
    let never_returns = each(|record: Record| async move {
        if record.offset == 30 {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let (report, _) = world.run(&settings, never_returns, 3).await;
    assert_eq!(report["error"]["type"], "Timeout", "{report}");
    let handled = HandledOffsets::default();
    let (report, _) = world.run(&settings, handled.handler(), 20).await;
    assert_eq!(
        (&report["status"], world.cursor(0).next.get()),
        (&json!("success"), 40),
        "{report}"
    );
    assert!(
        handled.offsets().ends_with(&[30, 32, 34, 36, 38]),
        "{:?}",
        handled.offsets()
    );
}

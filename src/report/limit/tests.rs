use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::record::{OffsetRange, TopicPartition};

fn place(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition,
    }
}

fn range(partition: i32, reason: &str) -> UnprocessedRange {
    UnprocessedRange {
        place: place("orders", partition),
        range: OffsetRange {
            first: 1_000_000,
            last: 2_000_000,
        },
        reason: reason.into(),
    }
}

fn blocked(partition: i32, error: &str) -> Blocked {
    Blocked {
        place: place("orders", partition),
        offset: 1_000_000,
        error: error.into(),
        attempts: 3,
        next_try_at: Some(1_800_000_000_000),
    }
}

fn read(partition: i32) -> PartitionReport {
    PartitionReport {
        place: place("orders", partition),
        first_offset: Some(1_000_000),
        last_offset: Some(2_000_000),
        messages: 1_000_001,
        end_offset: Some(2_000_001),
        lag: Some(0),
        quarantine: None,
    }
}

fn offsets(partitions: i32, topic: &str, with_topic: bool) -> LastOffsets {
    let stored = |partition| (TopicPartition::new(topic, partition), 2_000_000);
    LastOffsets {
        entries: (0..partitions).map(stored).collect(),
        with_topic,
    }
}

/// The report as it is written, once it is found to fit into a line of the log.
fn written(report: &impl Serialize, limit: usize) -> Value {
    let json = serde_json::to_string(report).expect("a report is JSON");
    let in_a_line = serde_json::to_string(&json).expect("text");
    assert!(in_a_line.len() - 2 <= limit, "{} of {limit} bytes", in_a_line.len());
    serde_json::from_str(&json).expect("valid JSON")
}

/// How many entries a list names, and how many it says it leaves out.
fn named(list: &Value) -> (usize, usize) {
    let list = list.as_array().expect("a list");
    match list.last().and_then(|last| last.get("omitted")) {
        Some(omitted) => (
            list.len() - 1,
            usize::try_from(omitted.as_u64().expect("a number")).expect("few"),
        ),
        None => (list.len(), 0),
    }
}

#[test]
fn a_report_that_fits_is_written_whole() {
    let report = RunReport {
        last_offsets: offsets(900, "orders", false),
        partitions: (0..900).map(read).collect(),
        ..RunReport::default()
    };
    let json = written(&report, LIMIT_BYTES);
    assert_eq!(named(&json["partitions"]), (900, 0));
    assert_eq!(json["last_offsets"].as_object().map(serde_json::Map::len), Some(900));
}

/// The rows of the table.
#[test]
fn what_is_lost_and_blocked_is_named_before_what_was_read() {
    // How long each list is, and which of them must leave something out.
    for (stored, lost, held, partitions, omitted) in [
        // All but the partitions fit.
        (1_000, 100, 100, 2_000, (false, false, false, true)),
        // What is held goes before the partitions too.
        (1_000, 100, 5_000, 10, (false, false, true, true)),
        // What is lost goes before both.
        (1_000, 5_000, 10, 10, (false, true, true, true)),
        // The cursors take half at most.
        (20_000, 100, 100, 10, (true, false, false, false)),
        (20_000, 5_000, 10, 10, (true, true, true, true)),
    ] {
        let report = RunReport {
            last_offsets: offsets(stored, "orders", false),
            lost: (0..lost)
                .map(|partition| range(partition, "deleted by retention"))
                .collect(),
            held: (0..held)
                .map(|partition| Held {
                    place: place("orders", partition),
                    until: Some(1_800_000_000_000),
                })
                .collect(),
            partitions: (0..partitions).map(read).collect(),
            ..RunReport::default()
        };
        let json = written(&report, LIMIT_BYTES);
        let some = |list: &str| named(&json[list]).1 > 0;
        let cursors = json["last_offsets"].get("omitted").is_some();
        assert_eq!(
            (cursors, some("lost"), some("held"), some("partitions")),
            omitted,
            "{stored} {lost} {held} {partitions}"
        );
        for (list, all) in [("lost", lost), ("held", held), ("partitions", partitions)] {
            let (shown, omitted) = named(&json[list]);
            assert_eq!(shown + omitted, usize::try_from(all).expect("few"), "{list}");
        }
    }
}

#[test]
fn a_short_list_is_whole_and_the_long_ones_share_the_rest() {
    let report = RunReport {
        lost: vec![range(7, "deleted by retention")],
        blocked: (0..1_000)
            .map(|partition| blocked(partition, &"e".repeat(400)))
            .collect(),
        skipped: (0..100_000).map(|n| range(n / 100, "not valid JSON")).collect(),
        ..RunReport::default()
    };
    let json = written(&report, LIMIT_BYTES);
    assert_eq!(named(&json["lost"]), (1, 0));
    let (shown_blocked, _) = named(&json["blocked"]);
    let (shown_skipped, omitted) = named(&json["skipped"]);
    assert!(
        shown_blocked > 150 && shown_skipped > 500,
        "{shown_blocked} {shown_skipped}"
    );
    assert_eq!(shown_skipped + omitted, 100_000);
}

#[test]
fn a_thousand_blocked_partitions_fit_with_every_count() {
    let report = RunReport {
        messages_processed: 12_345,
        filtered: 66,
        dead_lettered: 67,
        lag: Some(u64::MAX),
        error: Some(Error::new(ErrorType::PartitionBlocked, "x".repeat(50_000))),
        last_offsets: offsets(1_000, "orders", false),
        blocked: (0..1_000)
            .map(|partition| blocked(partition, &"\"".repeat(1_000)))
            .collect(),
        partitions: (0..1_000).map(read).collect(),
        ..RunReport::default()
    };
    let json = written(&report, LIMIT_BYTES);
    let (shown, omitted) = named(&json["blocked"]);
    assert!(shown > 50, "{shown}");
    assert_eq!(shown + omitted, 1_000);
    assert_eq!(json["messages_processed"], 12_345);
    assert_eq!((&json["filtered"], &json["dead_lettered"]), (&json!(66), &json!(67)));
    assert_eq!(json["lag"], u64::MAX);
    assert_eq!(
        json["last_offsets"].as_object().map(serde_json::Map::len),
        Some(1_000),
        "whole"
    );
    let longest = json["blocked"][0]["error"].as_str().map(str::len);
    assert_eq!(longest, Some(MAX_TEXT_BYTES));
    assert_eq!(json["error"]["message"].as_str().map(str::len), Some(MAX_MESSAGE_BYTES));
}

#[test]
fn cursors_that_are_left_out_are_counted_in_the_same_object() {
    let report = RunReport {
        last_offsets: offsets(2_000, &"t".repeat(249), true),
        ..RunReport::default()
    };
    let json = written(&report, LIMIT_BYTES);
    let cursors = json["last_offsets"].as_object().expect("an object");
    let omitted = cursors["omitted"].as_u64().expect("a number");
    assert_eq!(cursors.len() as u64 - 1 + omitted, 2_000);
    assert_eq!(cursors[&format!("{}-0", "t".repeat(249))], 2_000_000);
}

#[test]
fn a_plan_of_ten_thousand_partitions_is_whole_and_a_larger_one_fits_an_answer() {
    let planned = |partition, detail: &str| PlannedPartition {
        place: place("orders", partition),
        from: Some(1_000_000),
        to: Some(2_000_000),
        messages: 0,
        lag: 1_000_000,
        why: crate::plan::PlanReason::BackingOff,
        detail: Some(detail.to_owned()),
    };
    let plan = |partitions, detail: &str| PlanReport {
        partitions: (0..partitions).map(|partition| planned(partition, detail)).collect(),
        runs_to_catch_up: 99,
        error: None,
    };
    let json = written(&plan(10_000, "offset 7 failed 3 times"), PLAN_LIMIT_BYTES);
    assert_eq!(named(&json["partitions"]), (10_000, 0));
    let json = written(&plan(10_000, &"d".repeat(1_000)), PLAN_LIMIT_BYTES);
    let (shown, omitted) = named(&json["partitions"]);
    assert_eq!(shown + omitted, 10_000);
    assert!(shown > 5_000, "{shown}");
    assert_eq!(json["runs_to_catch_up"], 99);
    let field = plan(10_000, "offset 7 failed 3 times").to_log_field();
    let escaped = serde_json::to_string(&field).expect("JSON");
    assert!(escaped.len() <= LIMIT_BYTES + 2, "{}", escaped.len());
}

#[test]
fn an_empty_plan_has_both_of_its_fields() {
    assert_eq!(
        serde_json::to_value(PlanReport::default()).expect("JSON"),
        json!({"partitions": [], "runs_to_catch_up": 0})
    );
}

fn some_text() -> impl Strategy<Value = String> {
    // What takes most in JSON, and what has no boundary at every byte.
    let repeated = |part: &'static str| (0_usize..700).prop_map(move |times| part.repeat(times));
    prop_oneof![
        ".{0,40}",
        repeated("\""),
        repeated("\\"),
        repeated("\u{1}"),
        repeated("😀é")
    ]
}

fn some_report() -> impl Strategy<Value = RunReport> {
    let lengths = (0_usize..3_000, 0_usize..500, 0_usize..500, 0_usize..500);
    let topics = prop_oneof![Just(1_usize), Just(249)];
    (vec(some_text(), 1..6), lengths, topics, any::<bool>()).prop_map(
        |(texts, (stored, lost, blocked_ones, others), topic, with_topic)| {
            let topic = "t".repeat(topic);
            let at = |n: usize| place(&topic, i32::try_from(n).expect("few"));
            let text = |n: usize| texts[n % texts.len()].clone();
            let ranges = |count: usize| {
                let range = |n| UnprocessedRange {
                    place: at(n),
                    range: OffsetRange {
                        first: 0,
                        last: i64::MAX,
                    },
                    reason: text(n),
                };
                (0..count).map(range).collect::<Vec<_>>()
            };
            RunReport {
                messages_processed: u64::MAX,
                filtered: stored as u64 + 1,
                dead_lettered: stored as u64,
                error: Some(Error::new(ErrorType::PartitionBlocked, text(0))),
                last_offsets: offsets(i32::try_from(stored).expect("few"), &topic, with_topic),
                lost: ranges(lost),
                skipped: ranges(others),
                blocked: (0..blocked_ones)
                    .map(|n| Blocked {
                        place: at(n),
                        ..blocked(0, &text(n))
                    })
                    .collect(),
                unavailable: (0..others)
                    .map(|n| UnavailablePartition {
                        place: at(n),
                        error: text(n),
                    })
                    .collect(),
                paused: (0..others).map(at).collect(),
                held: (0..lost)
                    .map(|n| Held {
                        place: at(n),
                        until: None,
                    })
                    .collect(),
                partitions: (0..stored)
                    .map(|n| PartitionReport {
                        place: at(n),
                        ..read(0)
                    })
                    .collect(),
                ..RunReport::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a run has to say: it is valid JSON, it fits, its counts are
    /// exact, and each list says how long it would be.
    #[test]
    fn every_report_fits_and_counts_what_it_leaves_out(report in some_report()) {
        let json = written(&report, LIMIT_BYTES);
        prop_assert_eq!(&json["messages_processed"], &json!(report.messages_processed));
        prop_assert_eq!(&json["filtered"], &json!(report.filtered));
        prop_assert_eq!(&json["dead_lettered"], &json!(report.dead_lettered));
        for (list, length) in [
            ("lost", report.lost.len()),
            ("skipped", report.skipped.len()),
            ("blocked", report.blocked.len()),
            ("unavailable", report.unavailable.len()),
            ("held", report.held.len()),
            ("paused", report.paused.len()),
            ("partitions", report.partitions.len()),
        ] {
            let (shown, omitted) = named(&json[list]);
            prop_assert_eq!(shown + omitted, length, "{}", list);
        }
    }
}

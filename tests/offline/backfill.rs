//! Backfills without I/O: which are started, which are refused, and the decision for each partition.

use std::sync::Arc;

use kafka_consumer_lambda::backfill::{bounds, check, decide, difference, to_start, topic, within};
use kafka_consumer_lambda::claim::{Bounds, Cursor, ObservedItem};
use kafka_consumer_lambda::config::{Config, OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::event::{BackfillRequest, Bound};
use kafka_consumer_lambda::plan::{Decision, PartitionState, Policy, Reading, Why};
use kafka_consumer_lambda::record::{OffsetRange, TopicPartition};
use kafka_consumer_lambda::source::{ListedOffset, Unavailable};
use kafka_consumer_lambda::store::{Consumer, InvalidCursor};

use crate::support::states::{log, next};

const NOW_MS: i64 = 1_800_000_000_000;

const POLICY: Policy = Policy {
    // A backfill ignores both settings.
    start_position: StartPosition::Latest,
    on_truncation: OnTruncation::Latest,
    on_retention_loss: OnRetentionLoss::Continue,
    now_ms: NOW_MS,
};

fn request(from: Bound, to: Bound, partitions: Option<Vec<i32>>) -> BackfillRequest {
    BackfillRequest::new("b".parse().expect("a name"), from, to, partitions).expect("the bounds fit")
}

fn all() -> BackfillRequest {
    request(Bound::Earliest, Bound::Latest, None)
}

/// A cursor at `at` of a backfill from 10 to 20.
fn cursor(at: i64) -> Cursor {
    Cursor {
        backfill: Some(Arc::new(Bounds {
            from: next(10),
            to: next(20),
            requested: all().requested(),
        })),
        ..Cursor::at(next(at))
    }
}

fn state(partition: i32, (earliest, end): (i64, i64), cursor: Option<Cursor>) -> PartitionState {
    PartitionState {
        partition: TopicPartition::new("t", partition),
        cursor: cursor.map(Ok),
        ..log(earliest, end)
    }
}

fn decided(at: i64, log: (i64, i64)) -> Decision {
    decide(&state(0, log, Some(cursor(at))), &POLICY)
}

fn read(from: i64, why: Why, at: i64) -> Decision {
    Decision::Read(Reading {
        from: next(from),
        to: next(20),
        why,
        observed: ObservedItem::Present(cursor(at)),
    })
}

#[test]
fn within_its_bounds_a_backfill_is_a_run_on_a_log_that_ends_there() {
    let lost = |first, last| Why::Lost(OffsetRange { first, last });
    for (at, log, expected) in [
        (10, (0, 90), read(10, Why::Resumed, 10)),
        (19, (0, 20), read(19, Why::Resumed, 19)),
        // Deleted by retention: up to the first remaining record, but not past the end.
        (10, (15, 90), read(15, lost(10, 14), 10)),
        (10, (50, 90), read(20, lost(10, 19), 10)),
        // Done, in every state of the log.
        (20, (0, 90), Decision::Idle),
        (20, (50, 90), Decision::Idle),
        (20, (0, 5), Decision::Idle),
        (25, (0, 90), Decision::Idle),
    ] {
        assert_eq!(decided(at, log), expected, "{at} in {log:?}");
    }
}

#[test]
fn a_log_that_ends_before_the_backfill_is_truncated_with_every_on_truncation() {
    for (at, log) in [(10, (0, 19)), (19, (0, 19)), (19, (0, 0)), (10, (15, 19))] {
        let decision = decided(at, log);
        assert!(
            matches!(&decision, Decision::Truncated(what) if what.contains("the backfill at 20")),
            "{at} in {log:?}: {decision:?}"
        );
    }
}

#[test]
fn a_loss_to_retention_halts_with_on_retention_loss_halt() {
    let policy = Policy {
        on_retention_loss: OnRetentionLoss::Halt,
        ..POLICY
    };
    let decision = decide(&state(0, (50, 90), Some(cursor(10))), &policy);
    assert_eq!(decision, Decision::RetentionLoss(OffsetRange { first: 10, last: 19 }));
}

#[test]
fn a_partition_that_cannot_be_read_is_treated_as_in_any_run() {
    let with = |change: fn(&mut PartitionState)| {
        let mut states = state(0, (0, 90), Some(cursor(12)));
        change(&mut states);
        decide(&states, &POLICY)
    };
    let missing = with(|states| states.end = None);
    assert!(matches!(missing, Decision::Truncated(_)), "{missing:?}");
    let silent = with(|states| states.end = Some(ListedOffset::Err(Unavailable("no leader".into()))));
    assert_eq!(silent, Decision::Unavailable("no leader".into()));
    let unreadable = with(|states| states.cursor = Some(Err(InvalidCursor::new("offset is text"))));
    assert_eq!(unreadable, Decision::Invalid(InvalidCursor::new("offset is text")));
    let paused = with(|states| {
        states.cursor = Some(Ok(Cursor {
            paused: true,
            ..cursor(12)
        }));
    });
    assert_eq!(paused, Decision::Paused);
    let held = with(|states| {
        states.cursor = Some(Ok(Cursor {
            claim_until_ms: Some(NOW_MS + 1),
            ..cursor(12)
        }));
    });
    assert_eq!(held, Decision::Held(NOW_MS + 1));
    let unbounded = with(|states| states.cursor = Some(Ok(Cursor::at(next(12)))));
    assert!(
        matches!(&unbounded, Decision::Invalid(invalid) if invalid.what.contains("backfill_to")),
        "{unbounded:?}"
    );
}

#[test]
fn lag_counts_to_the_end_of_the_backfill() {
    for (log, cursor_at) in [((0, 90), 12), ((0, 20), 12), ((50, 90), 12), ((0, 5), 20)] {
        let states = within(state(0, log, Some(cursor(cursor_at))));
        assert_eq!(states.end, Some(Ok(next(20))), "{log:?}");
        assert!(states.earliest.is_some_and(|it| it.is_ok_and(|it| it <= next(20))));
    }
}

#[test]
fn bounds_are_cut_at_the_end_and_never_reversed() {
    for ((from, to, end), expected) in [
        ((0, 100, 100), (0, 100)),
        ((10, 20, 100), (10, 20)),
        ((10, 200, 100), (10, 100)),
        ((150, 200, 100), (100, 100)),
        ((50, 20, 100), (20, 20)),
        ((0, 0, 0), (0, 0)),
        ((i64::MAX, i64::MAX, 7), (7, 7)),
    ] {
        let bounds = bounds(next(from), next(to), next(end), "x");
        assert_eq!(
            (bounds.from, bounds.to),
            (next(expected.0), next(expected.1)),
            "{from}..{to} of {end}"
        );
    }
}

#[test]
fn every_partition_is_started_once_and_those_that_are_added_later_are_left_out() {
    type Row = (&'static [i32], Option<Vec<i32>>, &'static [usize]);
    let rows: [Row; 7] = [
        (&[], None, &[0, 1, 2, 3]),
        (&[], Some(vec![1, 3]), &[1, 3]),
        // The start was interrupted after the highest.
        (&[3], None, &[0, 1, 2]),
        (&[3], Some(vec![1, 3]), &[1]),
        (&[0, 1, 2, 3], None, &[]),
        // 2 and 3 were added later.
        (&[0, 1], None, &[]),
        // A named one was not added later: its item was deleted.
        (&[0, 1], Some(vec![0, 1, 3]), &[3]),
    ];
    for (items, partitions, expected) in rows {
        let states: Vec<PartitionState> = (0..4)
            .map(|partition| state(partition, (0, 9), items.contains(&partition).then(|| cursor(0))))
            .collect();
        let started = to_start(&request(Bound::Earliest, Bound::Latest, partitions.clone()), &states);
        assert_eq!(started.as_deref(), Ok(expected), "{items:?}, {partitions:?}");
    }
}

#[test]
fn a_partition_that_the_topic_does_not_have_is_named() {
    let states = [state(0, (0, 9), None)];
    let map = Bound::Offsets([(0, next(1)), (7, next(1))].into());
    for (requested, field) in [
        (request(Bound::Earliest, Bound::Latest, Some(vec![0, 7])), "partitions"),
        (request(map.clone(), Bound::Latest, None), "from"),
        (request(Bound::Earliest, map, None), "to"),
    ] {
        let error = to_start(&requested, &states)
            .expect_err("the partition does not exist")
            .to_string();
        assert!(
            error.starts_with("InvalidEvent: partition 7 ") && error.ends_with(&format!("Correct `{field}`")),
            "{error}"
        );
    }
}

#[test]
fn other_bounds_under_the_same_name_are_refused_with_what_differs() {
    let consumer = Consumer {
        group_id: "g".into(),
        topic: "t".into(),
        backfill: Some("b".into()),
    };
    assert_eq!(check(&consumer, &all(), &cursor(12)), Ok(()));
    let other = request(Bound::Earliest, Bound::At(0), Some(vec![2]));
    let error = check(&consumer, &other, &cursor(12)).expect_err("they differ");
    assert_eq!(
        error.to_string(),
        "InvalidEvent: there is a backfill b of t already, and it differs: `to` was \"latest\" and is \
         \"1970-01-01T00:00:00Z\" now, `partitions` was not given and is [2] now (it was started with \
         {\"from\":\"earliest\",\"to\":\"latest\"}). Request the same bounds to continue it, or choose another name"
    );
}

#[test]
fn the_order_of_requested_partitions_does_not_matter() {
    let (one, other) = (
        r#"{"to":{"10":1,"2":5},"from":"latest"}"#,
        r#"{"from":"latest","to":{"2":5,"10":1}}"#,
    );
    assert_eq!(difference(one, other), None);
    assert!(difference("written by hand", other).is_some());
}

#[test]
fn the_topic_is_required_where_there_are_several() {
    let config = |topics: &str| {
        let pairs = [("KAFKA_TOPIC", topics), ("KAFKA_GROUP_ID", "g")];
        Config::from_lookup(pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))).expect("settings")
    };
    let requested = |topic: Option<&str>| BackfillRequest {
        topic: topic.map(Into::into),
        ..all()
    };
    assert_eq!(topic(&config("a"), &requested(None)), Ok(0));
    assert_eq!(topic(&config("a,b"), &requested(Some("b"))), Ok(1));
    let without_topic = topic(&config("a,b"), &requested(None))
        .expect_err("the topic is ambiguous")
        .to_string();
    assert!(without_topic.contains("there are 2: a, b"), "{without_topic}");
    let other = topic(&config("a,b"), &requested(Some("c")))
        .expect_err("none of them")
        .to_string();
    assert!(other.contains("`topic` is \"c\"") && other.ends_with("a, b"), "{other}");
}

#[test]
fn a_key_that_would_be_too_long_is_refused() {
    let group = "g".repeat(2040);
    let pairs = [("KAFKA_TOPIC", "t"), ("KAFKA_GROUP_ID", group.as_str())];
    let config = Config::from_lookup(pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))).expect("settings");
    let named = |name: &str| BackfillRequest {
        name: name.parse().expect("a name"),
        ..all()
    };
    assert_eq!(topic(&config, &named("12345")), Ok(0), "2048 bytes");
    let error = topic(&config, &named("123456")).expect_err("2049 bytes").to_string();
    assert!(error.contains("2049 bytes"), "{error}");
}

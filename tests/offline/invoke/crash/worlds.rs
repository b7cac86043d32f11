//! The worlds in which processes crash.

use std::time::Duration;

use kafka_consumer_lambda::Failure;
use kafka_consumer_lambda::claim::{Cursor, Failures, RunId};
use kafka_consumer_lambda::event::{BackfillRequest, Bound};
use kafka_consumer_lambda::record::NextOffset;

use super::brokers::Log;
use super::world::{BACK_OFF, BEGIN_MS, Call, Spec, cursor_at};

/// Two partitions of a few records: small enough for two faults in a row.
pub(super) fn small() -> Spec {
    Spec {
        call_ms: 2_000,
        ..Spec::new("small", vec![Log::of([0, 1, 2]), Log::of([0, 2]).ending_at(5)])
    }
}

/// The same with cursors.
pub(super) fn small_resumed() -> Spec {
    Spec {
        name: "small, resumed",
        cursors: vec![(0, cursor_at(1)), (1, cursor_at(0))],
        ..small()
    }
}

/// The same with a limit: 2 records a run.
pub(super) fn small_limited() -> Spec {
    Spec {
        name: "small, limited",
        settings: &[("MAX_MESSAGES", "2")],
        most_runs: 6,
        ..small()
    }
}

/// Starts that are stored first, and records that come later.
pub(super) fn small_latest() -> Spec {
    Spec {
        name: "small, latest",
        settings: &[("START_POSITION", "latest")],
        grows: true,
        most_runs: 3,
        ..small()
    }
}

/// Gaps, control records at the end, and handlers slow enough for writes in between.
pub(super) fn gaps() -> Spec {
    let logs = vec![
        Log::of(0..7),
        Log::of([1, 2, 5, 9, 10]).ending_at(12),
        Log::of([0, 3]).ending_at(8),
    ];
    Spec {
        call_ms: 1_500,
        ..Spec::new("gaps", logs)
    }
}

/// Cursors before what retention deleted, before nothing but
/// control records, in a partition that retention emptied, and at the end.
pub(super) fn jumps() -> Spec {
    let logs = vec![
        Log::of(0..9).kept_from(5),
        Log::of([0, 1]).ending_at(4),
        Log::of(0..6).kept_from(6),
        Log::of(0..3),
    ];
    Spec {
        cursors: vec![
            (0, cursor_at(2)),
            (1, cursor_at(2)),
            (2, cursor_at(3)),
            (3, cursor_at(3)),
        ],
        call_ms: 4_000,
        ..Spec::new("jumps", logs)
    }
}

/// After crashes: one, and two at the same record.
fn crashed_before() -> Spec {
    let crashed = |next: i64, to: i64, crashes: u32| Cursor {
        run: Some(RunId::new("dead")),
        claim_until_ms: Some(BEGIN_MS - 1),
        claim_to: NextOffset::new(to),
        failure: (crashes > 0).then(|| Failures {
            offset: cursor_at(next).next,
            crashes,
            ..Failures::default()
        }),
        ..cursor_at(next)
    };
    let logs = vec![Log::of(0..6), Log::of([0, 2, 3, 6, 7]).ending_at(9), Log::of([0])];
    Spec {
        cursors: vec![(0, crashed(2, 5, 0)), (1, crashed(2, 7, 2))],
        most_runs: 3,
        ..Spec::new("crashed before", logs)
    }
}

/// A failure that passes at the third try, one that never does, a record that
/// is poison, and one that is no JSON: the last three are skipped.
fn skips() -> Spec {
    let handler = |call: Call| match (call.partition, call.offset) {
        (0, 1) if call.failed_before < 2 => Err(Failure::Retry("busy".into())),
        (1, 0) => Err(Failure::Retry("never".into())),
        (2, 3) => Err(Failure::Poison("odd".into())),
        _ => Ok(()),
    };
    let logs = vec![
        Log::of(0..3),
        Log::of(0..2),
        Log::of([1, 3, 4]).with_broken(4).ending_at(6),
    ];
    Spec {
        settings: &[("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "4")],
        handler,
        pause: BACK_OFF,
        most_runs: 4,
        ..Spec::new("skips", logs)
    }
}

/// A record that holds up its partition until the third run, as if a new
/// handler was deployed.
pub(super) fn halts() -> Spec {
    let handler = |call: Call| match (call.partition, call.offset) {
        (0, 1) if call.runs_before < 2 => Err(Failure::Retry("down".into())),
        (1, 0) if call.runs_before < 2 => Err(Failure::Poison("old".into())),
        _ => Ok(()),
    };
    Spec {
        handler,
        pause: BACK_OFF,
        most_runs: 4,
        ..Spec::new("halts", vec![Log::of(0..3), Log::of(0..2), Log::of(0..2)])
    }
}

/// Starts that are stored before anything is read, and records that come later.
pub(super) fn latest() -> Spec {
    Spec {
        settings: &[("START_POSITION", "latest")],
        grows: true,
        most_runs: 3,
        ..Spec::new("latest", vec![Log::of(0..3), Log::of([]), Log::of([0, 2]).ending_at(5)])
    }
}

/// The same from a time: that of each third record.
fn from_a_time() -> Spec {
    Spec {
        settings: &[("START_POSITION", "1970-01-01T00:00:00.003Z")],
        grows: true,
        most_runs: 3,
        ..Spec::new("from a time", vec![Log::of(0..6), Log::of([0, 5, 6]), Log::of(0..2)])
    }
}

/// A limit of 4 records a run, and what one cannot use goes to another.
pub(super) fn shares() -> Spec {
    let logs = vec![Log::of([0, 5]), Log::of(0..6), Log::of([4]), Log::of(0..2).ending_at(6)];
    Spec {
        settings: &[("MAX_MESSAGES", "4"), ("MAX_MEMORY_BYTES", "8388608")],
        call_ms: 3_000,
        most_runs: 8,
        ..Spec::new("shares", logs)
    }
}

/// One record a run, one partition at a time.
fn one_by_one() -> Spec {
    Spec {
        settings: &[("MAX_MESSAGES", "1"), ("MAX_MEMORY_BYTES", "1048576")],
        most_runs: 9,
        ..Spec::new(
            "one by one",
            vec![Log::of([0, 1]), Log::of([0, 1]), Log::of([3]).ending_at(5)],
        )
    }
}

/// More work than time.
pub(super) fn short_of_time() -> Spec {
    Spec {
        call_ms: 2_500,
        limit: Duration::from_secs(12),
        most_runs: 8,
        ..Spec::new("short of time", vec![Log::of(0..8), Log::of([0, 2, 4, 5])])
    }
}

/// The same with a limit, one partition at a time: two have part of what the
/// third could not use, and one of them still waits when the time is over.
fn short_of_time_and_shares() -> Spec {
    let logs = vec![Log::of(0..9), Log::of(0..8), Log::of([0, 30])];
    Spec {
        settings: &[("MAX_MESSAGES", "12"), ("MAX_MEMORY_BYTES", "1048576")],
        call_ms: 1_000,
        limit: Duration::from_secs(9),
        most_runs: 9,
        ..Spec::new("short of time and shares", logs)
    }
}

/// Cursors past the end of a recreated topic.
pub(super) fn truncated() -> Spec {
    Spec {
        settings: &[("ON_TRUNCATION", "earliest")],
        cursors: vec![(0, cursor_at(90)), (1, cursor_at(1))],
        call_ms: 4_000,
        ..Spec::new(
            "truncated",
            vec![Log::of(0..5), Log::of(0..3), Log::of(1..3).kept_from(1)],
        )
    }
}

/// A part of the log again: of one partition all that is left, of another the
/// middle, of the third nothing.
pub(super) fn backfill() -> Spec {
    let request = || {
        let bound = |offsets: [i64; 3]| {
            let next = |(i, offset)| (i, NextOffset::new(offset).expect("an offset"));
            Bound::Offsets((0..).zip(offsets).map(next).collect())
        };
        let name = "again".parse().expect("a name");
        BackfillRequest::new(name, bound([2, 2, 1]), bound([99, 6, 1]), None).expect("the bounds fit")
    };
    let logs = vec![
        Log::of(0..9).kept_from(4),
        Log::of([1, 2, 4, 9, 10]).ending_at(12),
        Log::of([0, 1, 2]),
    ];
    Spec {
        backfill: Some(request),
        call_ms: 1_500,
        ..Spec::new("backfill", logs)
    }
}

/// Everything up to an end that is fixed, while more records come, with a limit.
pub(super) fn backfill_to_latest() -> Spec {
    let request = || {
        let name = "again".parse().expect("a name");
        BackfillRequest::new(name, Bound::Earliest, Bound::Latest, None).expect("the bounds fit")
    };
    Spec {
        name: "backfill to latest",
        settings: &[("MAX_MESSAGES", "3")],
        backfill: Some(request),
        grows: true,
        most_runs: 6,
        ..small()
    }
}

/// Several calls of each partition at once, and writes in between.
fn parallel() -> Spec {
    Spec {
        at_once: 3,
        call_ms: 1_500,
        ..Spec::new("parallel", vec![Log::of(0..9), Log::of([0, 2, 3, 7, 8]).ending_at(10)])
    }
}

/// The same, with failures of several records at once: one that passes at the third try, two that
/// never do, and one that is poison.
fn parallel_skips() -> Spec {
    let handler = |call: Call| match (call.partition, call.offset) {
        (0, 1) if call.failed_before < 2 => Err(Failure::Retry("busy".into())),
        (0, 3) | (1, 2) => Err(Failure::Retry("never".into())),
        (0, 5) => Err(Failure::Poison("odd".into())),
        _ => Ok(()),
    };
    Spec {
        settings: &[("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "4")],
        handler,
        at_once: 3,
        pause: BACK_OFF,
        most_runs: 6,
        ..Spec::new("parallel, skips", vec![Log::of(0..9), Log::of(0..5)])
    }
}

pub(super) fn all() -> Vec<Spec> {
    vec![
        small(),
        gaps(),
        jumps(),
        crashed_before(),
        skips(),
        halts(),
        latest(),
        from_a_time(),
        shares(),
        one_by_one(),
        short_of_time(),
        short_of_time_and_shares(),
        truncated(),
        backfill(),
        backfill_to_latest(),
        parallel(),
        parallel_skips(),
    ]
}

use proptest::prelude::*;

use super::*;

fn next(offset: i64) -> NextOffset {
    NextOffset::new(offset).expect("0 or more")
}

fn log(standing: i64, earliest: i64, end: i64) -> Log {
    Log {
        standing: next(standing),
        earliest: next(earliest),
        end: next(end),
    }
}

#[test]
fn the_table_of_targets_is_true() {
    let log = log(50, 10, 100);
    let to_earliest = |requested| {
        Some(Clamped::ToEarliest {
            requested,
            earliest: next(10),
        })
    };
    let to_end = |requested| {
        Some(Clamped::ToEnd {
            requested,
            end: next(100),
        })
    };
    for (target, expected, clamped) in [
        (Target::Offset(70), 70, None),
        (Target::Offset(10), 10, None),
        (Target::Offset(9), 10, to_earliest(9)),
        (Target::Offset(100), 100, None),
        (Target::Offset(101), 100, to_end(101)),
        (Target::Earliest, 10, None),
        (Target::Latest, 100, None),
        (Target::Shift(0), 50, None),
        (Target::Shift(-40), 10, None),
        (Target::Shift(-41), 10, to_earliest(9)),
        (Target::Shift(-100), 10, to_earliest(-50)),
        (Target::Shift(50), 100, None),
        (Target::Shift(51), 100, to_end(101)),
        (Target::Found(Some(next(42))), 42, None),
        (Target::Found(Some(next(101))), 100, None),
        (Target::Found(None), 100, Some(Clamped::NoneSince)),
    ] {
        assert_eq!(resolve(target, log), (next(expected), clamped), "{target:?}");
    }
}

#[test]
fn in_an_empty_log_every_target_is_its_one_position() {
    for target in [
        Target::Offset(3),
        Target::Earliest,
        Target::Latest,
        Target::Shift(-1),
        Target::Found(None),
    ] {
        assert_eq!(resolve(target, log(7, 7, 7)).0, next(7), "{target:?}");
    }
}

fn any_offset() -> impl Strategy<Value = i64> {
    prop_oneof![0..=200_i64, (i64::MAX - 200)..=i64::MAX, 0..=i64::MAX]
}

fn any_log() -> impl Strategy<Value = Log> {
    (any_offset(), any_offset(), any_offset()).prop_map(|(standing, a, b)| log(standing, a.min(b), a.max(b)))
}

fn any_number() -> impl Strategy<Value = i64> {
    prop_oneof![-300..=300_i64, any::<i64>()]
}

fn any_target() -> impl Strategy<Value = Target> {
    prop_oneof![
        any_number().prop_map(Target::Offset),
        Just(Target::Earliest),
        Just(Target::Latest),
        any_number().prop_map(Target::Shift),
        proptest::option::of(any_offset().prop_map(next)).prop_map(Target::Found),
    ]
}

proptest! {
    #[test]
    fn a_new_position_always_lies_in_the_log(target in any_target(), log in any_log()) {
        let (new, _) = resolve(target, log);
        prop_assert!(log.earliest <= new && new <= log.end, "{new}");
    }

    #[test]
    fn a_target_that_lies_in_the_log_is_met_and_any_other_is_said_to_be_clamped(requested in any_number(), log in any_log()) {
        let (new, clamped) = resolve(Target::Offset(requested), log);
        prop_assert_eq!(clamped.is_none(), new.get() == requested);
    }

    #[test]
    fn a_larger_number_never_means_a_lower_position(a in any_number(), b in any_number(), log in any_log()) {
        let (less, more) = (a.min(b), a.max(b));
        prop_assert!(resolve(Target::Offset(less), log).0 <= resolve(Target::Offset(more), log).0);
        prop_assert!(resolve(Target::Shift(less), log).0 <= resolve(Target::Shift(more), log).0);
    }

    #[test]
    fn a_shift_is_the_offset_that_it_leads_to(by in any_number(), log in any_log()) {
        let there = log.standing.get().saturating_add(by);
        prop_assert_eq!(resolve(Target::Shift(by), log), resolve(Target::Offset(there), log));
    }
}

#[test]
fn times_are_read_as_rfc_3339_and_as_kafkas_own_tool_writes_them() {
    for (text, unix_ms) in [
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01T01:00:00.5+01:00", 500),
        ("1970-01-01T00:00:01.234", 1_234),
        ("1970-01-01T00:00:01", 1_000),
        ("1970-01-02", 86_400_000),
        // A record of millisecond 1 lies before this time.
        ("1970-01-01T00:00:00.0015Z", 2),
    ] {
        assert_eq!(datetime(text), Ok(unix_ms), "{text}");
    }
    for text in ["yesterday", "", "12:00", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"] {
        assert!(
            datetime(text).is_err_and(|error| error.starts_with("allowed: ")),
            "{text}"
        );
    }
}

#[test]
fn lengths_of_time_are_read_in_words_and_as_iso_8601() {
    const HOUR: i64 = 60 * 60 * 1000;
    for (text, ms) in [
        ("2h", 2 * HOUR),
        ("1h 30m", HOUR + HOUR / 2),
        ("PT2H", 2 * HOUR),
        ("P1DT12H", 36 * HOUR),
        ("PT0.5S", 500),
        ("0s", 0),
        // Minutes and months.
        ("2m", HOUR / 30),
        ("2M", 2 * 2_630_016_000),
    ] {
        assert_eq!(duration(text), Ok(ms), "{text}");
    }
    for text in ["", "2", "soon", "-2h", "-PT2H", "PT-2H", "P1Y"] {
        assert!(
            duration(text).is_err_and(|error| error.starts_with("allowed: ")),
            "{text}: {:?}",
            duration(text)
        );
    }
}

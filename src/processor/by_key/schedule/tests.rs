//! The rows of the tables, and random endings.

use proptest::prelude::*;

use super::*;

/// A record for each character, which is its key; `-` has none.
fn schedule(keys: &str, batch_size: usize) -> Schedule {
    after(keys, &[], batch_size)
}

/// The same, with what is known of some of the records.
fn after(keys: &str, known: &[(usize, Known)], batch_size: usize) -> Schedule {
    let records = keys.as_bytes().chunks(1).enumerate().map(|(index, key)| {
        let known = known.iter().find(|(of, _)| *of == index);
        let known = known.map_or(Known::Open, |(_, known)| known.clone());
        (Some(key).filter(|key| *key != b"-"), known)
    });
    Schedule::new(records, batch_size)
}

/// The batches that may begin now.
fn begun(schedule: &mut Schedule) -> Vec<Vec<usize>> {
    std::iter::from_fn(|| schedule.next()).collect()
}

fn settled(settled: usize) -> Progress {
    Progress { settled, stop: None }
}

fn stopped(settled: usize, failure: &Failure) -> Progress {
    Progress {
        settled,
        stop: Some(failure.clone()),
    }
}

fn retry() -> Failure {
    Failure::Retry("busy".into())
}

#[test]
fn different_keys_and_records_without_a_key_begin_at_once_and_one_key_in_order() {
    let mut all = schedule("ab-a-b", 1);
    assert_eq!(begun(&mut all), [[0], [1], [2], [4]]);
    all.ended(&[1], settled(1));
    assert_eq!(begun(&mut all), [[5]]);
    assert_eq!(all.outcome().settled, 0);
    all.ended(&[0], settled(1));
    assert_eq!(begun(&mut all), [[3]]);
    assert_eq!(all.outcome().settled, 2, "the record without a key at 2 is in flight");
}

#[test]
fn a_key_of_no_bytes_is_a_key() {
    let records = [Some(&b""[..]), Some(&b""[..]), None, None];
    let mut all = Schedule::new(records.map(|key| (key, Known::Open)), 1);
    assert_eq!(begun(&mut all), [[0], [2], [3]]);
}

#[test]
fn a_batch_takes_the_first_records_that_may_begin_and_several_of_one_key() {
    let mut all = schedule("aabab-", 3);
    assert_eq!(begun(&mut all), [vec![0, 1, 2], vec![5]]);
    all.ended(&[0, 1, 2], settled(3));
    assert_eq!(begun(&mut all), [[3, 4]]);
    all.ended(&[5], settled(1));
    all.ended(&[3, 4], settled(2));
    assert_eq!(all.outcome(), settled(6));
}

#[test]
fn what_a_batch_left_without_a_failure_begins_again_with_what_comes_next() {
    let mut all = schedule("abcd", 3);
    assert_eq!(begun(&mut all), [vec![0, 1, 2], vec![3]]);
    all.ended(&[0, 1, 2], settled(1));
    assert_eq!(begun(&mut all), [[1, 2]]);
}

#[test]
fn a_record_that_failed_holds_back_its_key_alone() {
    for failure in [retry(), Failure::Poison("bad".into())] {
        let mut all = schedule("abacb", 3);
        assert_eq!(begun(&mut all), [vec![0, 1, 2], vec![3]]);
        all.ended(&[0, 1, 2], stopped(0, &failure));
        assert_eq!(begun(&mut all), [[1, 4]], "2 is of the key of 0");
        all.ended(&[3], settled(1));
        all.ended(&[1, 4], settled(2));
        assert_eq!(begun(&mut all), [[0; 0]; 0]);
        assert_eq!(all.outcome(), stopped(0, &failure));
    }
}

#[test]
fn the_failure_is_that_of_the_first_record_that_is_not_done() {
    let mut all = schedule("abc", 1);
    begun(&mut all);
    all.ended(&[2], stopped(0, &retry()));
    assert!(all.has_no_outcome(), "0 is in flight");
    all.ended(&[0], settled(1));
    all.ended(&[1], stopped(0, &Failure::Poison("bad".into())));
    assert_eq!(all.outcome(), stopped(1, &Failure::Poison("bad".into())));
    assert_eq!(all.failures_behind().collect::<Vec<_>>(), [(2, &retry())]);
}

#[test]
fn after_a_throttled_batch_none_begins_and_its_failure_is_that_of_records_without_one() {
    let throttled = Failure::Throttled("429".into());
    let mut all = schedule("abcd", 1);
    assert_eq!(
        (all.next(), all.next(), all.next()),
        (Some(vec![0]), Some(vec![1]), Some(vec![2]))
    );
    all.ended(&[1], stopped(0, &throttled));
    assert_eq!(begun(&mut all), [[0; 0]; 0]);
    all.ended(&[2], settled(1));
    let mut failed = schedule("abcd", 1);
    assert_eq!((failed.next(), failed.next()), (Some(vec![0]), Some(vec![1])));
    failed.ended(&[1], stopped(0, &throttled));
    failed.ended(&[0], stopped(0, &retry()));
    assert_eq!(failed.outcome(), stopped(0, &retry()), "its own failure comes first");
    all.ended(&[0], settled(1));
    assert_eq!(all.outcome(), stopped(1, &throttled));
}

#[test]
fn a_fatal_failure_of_any_batch_is_the_failure_of_the_chunk() {
    let fatal = Failure::Fatal("no credentials".into());
    for others in [
        settled(1),
        stopped(0, &retry()),
        stopped(0, &Failure::Throttled("429".into())),
    ] {
        let mut all = schedule("abcd", 1);
        assert_eq!(
            (all.next(), all.next(), all.next()),
            (Some(vec![0]), Some(vec![1]), Some(vec![2]))
        );
        all.ended(&[2], stopped(0, &fatal));
        assert_eq!(begun(&mut all), [[0; 0]; 0]);
        all.ended(&[0], settled(1));
        all.ended(&[1], others);
        assert_eq!(all.outcome().stop, Some(fatal.clone()));
        assert!((1..=2).contains(&all.outcome().settled));
    }
}

#[test]
fn several_records_that_failed_without_a_cause_are_handled_one_at_a_time() {
    let mut all = schedule("aabcd", 4);
    assert_eq!(begun(&mut all), [vec![0, 1, 2, 3], vec![4]]);
    all.failed_without_a_record(&[0, 1, 2, 3], "a panic".into());
    assert_eq!(begun(&mut all), [[0], [2], [3]]);
    all.failed_without_a_record(&[0], "a panic".into());
    assert_eq!(begun(&mut all), [[0; 0]; 0], "1 is of the key of 0");
    for index in 2..5 {
        all.ended(&[index], settled(1));
    }
    assert_eq!(all.outcome(), stopped(0, &Failure::Retry("a panic".into())));
}

#[test]
fn a_record_that_did_not_begin_because_the_time_ended_has_no_failure() {
    let mut all = schedule("abc", 1);
    let first = all.next().expect("a batch");
    all.ended(&first, settled(1));
    assert_eq!(all.outcome(), settled(1));
}

#[test]
fn what_is_done_is_not_begun_and_what_failed_waits_to_be_the_first() {
    let known = [(0, Known::Done), (2, Known::Done), (3, Known::Failed(retry()))];
    let mut all = after("abbaa-", &known, 1);
    assert_eq!(all.outcome().settled, 1);
    assert_eq!(begun(&mut all), [[1], [5]], "4 is of the key of 3");
    all.ended(&[1], settled(1));
    all.ended(&[5], settled(1));
    assert_eq!(all.outcome(), stopped(3, &retry()));
    let all = after("ab", &[(0, Known::Done), (1, Known::Done)], 1);
    assert_eq!(all.outcome(), settled(2));
}

/// How a batch ends: the kind, and how many of its records are settled before.
fn ending() -> impl Strategy<Value = (u8, usize)> {
    (0..10_u8, 0..4_usize)
}

proptest! {
    /// Batches that end in any order and way, several at once.
    #[test]
    fn one_key_is_in_order_and_never_at_once_and_the_outcome_is_the_first_that_is_not_done(
        keys in "[abc-]{1,24}",
        batch_size in 1..5_usize,
        at_once in 1..5_usize,
        endings in prop::collection::vec((ending(), any::<usize>()), 0..80),
    ) {
        let key_of = |index: usize| Some(keys.as_bytes()[index]).filter(|key| *key != b'-');
        let mut all = schedule(&keys, batch_size);
        let mut endings = endings.into_iter();
        let mut in_flight: Vec<Vec<usize>> = vec![];
        let (mut done, mut failed) = (vec![false; keys.len()], vec![None; keys.len()]);
        let (mut fatal, mut throttled) = (false, false);
        loop {
            while in_flight.len() < at_once && let Some(batch) = all.next() {
                prop_assert!(!fatal && !throttled);
                prop_assert!(!batch.is_empty() && batch.len() <= batch_size);
                prop_assert!(batch.is_sorted_by(|a, b| a < b));
                for index in &batch {
                    prop_assert!(!done[*index] && failed[*index].is_none());
                    let Some(key) = key_of(*index) else { continue };
                    let is_same = |other: &usize| key_of(*other) == Some(key);
                    prop_assert!(!in_flight.iter().flatten().any(is_same), "never at once");
                    let earlier = (0..*index).filter(is_same).all(|other| done[other] || batch.contains(&other));
                    prop_assert!(earlier, "in order");
                }
                in_flight.push(batch);
            }
            if in_flight.is_empty() {
                break;
            }
            let ((kind, part), at) = endings.next().unwrap_or(((9, 4), 0));
            let batch = in_flight.swap_remove(at % in_flight.len());
            let part = part.min(batch.len());
            for index in &batch[..if kind == 4 { 0 } else { part }] {
                done[*index] = true;
            }
            let first_failed = batch.get(part).copied();
            match (kind, first_failed) {
                (0 | 1, Some(index)) => {
                    let failure = Failure::Retry(index.to_string());
                    failed[index] = Some(failure.clone());
                    all.ended(&batch, stopped(part, &failure));
                }
                (2, Some(_)) => {
                    throttled = true;
                    all.ended(&batch, stopped(part, &Failure::Throttled("429".into())));
                }
                (3, _) => {
                    fatal = true;
                    all.ended(&batch, stopped(part, &Failure::Fatal("wrong".into())));
                }
                (4, _) => {
                    if let [index] = batch[..] {
                        failed[index] = Some(Failure::Retry("a panic".into()));
                    }
                    all.failed_without_a_record(&batch, "a panic".into());
                }
                _ => all.ended(&batch, settled(part)),
            }
        }
        let expected = done.iter().take_while(|done| **done).count();
        let Progress { settled, stop } = all.outcome();
        prop_assert_eq!(settled, expected);
        match stop {
            Some(Failure::Fatal(_)) => prop_assert!(fatal),
            Some(Failure::Throttled(_)) => prop_assert!(throttled && !fatal && failed[settled].is_none()),
            Some(failure) => prop_assert_eq!(Some(failure), failed[settled].clone()),
            None => prop_assert_eq!(settled, keys.len(), "no time limit here"),
        }
        if !fatal && !throttled {
            let held_back = |index: usize| {
                let is_same = |other: &usize| key_of(index).is_some() && key_of(*other) == key_of(index);
                failed[index].is_some() || (0..index).filter(is_same).any(|other| failed[other].is_some())
            };
            prop_assert!((0..keys.len()).all(|index| done[index] != held_back(index)), "to the end of the chunk");
        }
    }
}

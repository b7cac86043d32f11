//! An operator's writes: what they leave on an item, and what a refused one means.

use kafka_consumer_lambda::claim::{
    BatchLimit, CommandId, Cursor, Failures, ObservedItem, RunId, Verdict, judge_move, judge_pause, judge_resume,
    move_to, pause, resume,
};
use kafka_consumer_lambda::store::WriteResult;

use super::{EXPIRED, LIVE, next, write};

const SEEN_AT: i64 = 5;
const TARGET: i64 = 8;

/// The command whose move is looked at.
fn ours() -> CommandId {
    CommandId::new("ours")
}

/// No item, and every item that differs in what a move looks at, or what a pause does.
fn items() -> Vec<Option<Cursor>> {
    let mut items = vec![None];
    for at in [SEEN_AT, TARGET, 2] {
        for (run, claim_until_ms) in [(None, None), (Some("a"), None), (Some("a"), EXPIRED), (Some("b"), LIVE)] {
            for previous in [None, Some(SEEN_AT), Some(TARGET)] {
                for (tries, paused, command) in [
                    (None, false, None),
                    (Some(2), false, Some("before")),
                    (None, true, Some("ours")),
                ] {
                    items.push(Some(Cursor {
                        run: run.map(RunId::new),
                        claim_until_ms,
                        claim_chunk: tries.map(|_| BatchLimit::Single),
                        previous: previous.map(next),
                        command: command.map(CommandId::new),
                        failure: tries.map(|attempts| Failures {
                            offset: next(at),
                            attempts,
                            ..Failures::default()
                        }),
                        paused,
                        ..Cursor::at(next(at))
                    }));
                }
            }
        }
    }
    items
}

/// What an operator may have seen: nothing, or one of these items at `SEEN_AT`.
fn all_seen() -> Vec<ObservedItem> {
    let others = |item: &Cursor| item.next == next(SEEN_AT) && item.command != Some(ours());
    let items = items().into_iter().flatten().filter(others);
    let mut observed: Vec<ObservedItem> = items.map(ObservedItem::Present).collect();
    observed.push(ObservedItem::Missing { start: next(SEEN_AT) });
    observed
}

/// What is done is applied, whoever did it; what is not done was written or not.
#[track_caller]
fn assert_judged(
    judge: impl Fn(Option<&Cursor>) -> Verdict,
    item: Option<&Cursor>,
    done: bool,
    written: &WriteResult,
    after: Option<&Cursor>,
    context: &str,
) {
    let verdict = judge(item);
    if done {
        assert_eq!(verdict, Verdict::Applied, "{context}");
    } else if *written == WriteResult::Applied {
        assert_eq!(verdict, Verdict::NotApplied, "before the write, {context}");
        assert_eq!(judge(after), Verdict::Applied, "after the write, {context}");
    } else {
        let until_ms = item.and_then(|item| item.claim_until_ms);
        assert_eq!(verdict, Verdict::Edited { until_ms }, "{context}");
    }
}

#[test]
fn a_move_is_judged_by_what_the_store_did_with_it() {
    for (observed, target) in all_seen()
        .into_iter()
        .flat_map(|observed| [(observed.clone(), TARGET), (observed, SEEN_AT)])
    {
        for item in items() {
            let judge = |item: Option<&Cursor>| judge_move(&observed, &ours(), item);
            let (written, after) = write(item.clone(), &move_to(&observed, next(target), &ours()));
            let context = format!("{observed:?} to {target}: {item:?}");
            // Wherever it stands: a run may have gone on from there.
            let done = item.as_ref().is_some_and(|item| item.command == Some(ours()));
            assert_judged(judge, item.as_ref(), done, &written, after.as_ref(), &context);
        }
    }
}

#[test]
fn a_move_leaves_nothing_of_runs_and_all_that_an_operator_has_set() {
    for observed in all_seen() {
        let ObservedItem::Present(item) = &observed else {
            continue;
        };
        let (written, after) = write(Some(item.clone()), &move_to(&observed, next(TARGET), &ours()));
        let expected = Cursor {
            paused: item.paused,
            previous: Some(item.next),
            command: Some(ours()),
            ..Cursor::at(next(TARGET))
        };
        assert_eq!((written, after), (WriteResult::Applied, Some(expected)), "{item:?}");
    }
}

#[test]
fn a_move_back_to_the_previous_offset_swaps_the_two_and_a_second_one_swaps_them_again() {
    let start = Cursor::at(next(SEEN_AT));
    let swap = |item: Cursor| {
        let previous = item.previous.expect("it was moved");
        write(
            Some(item.clone()),
            &move_to(&ObservedItem::Present(item), previous, &ours()),
        )
        .1
        .expect("an item")
    };
    let moved = write(
        Some(start.clone()),
        &move_to(&ObservedItem::Present(start), next(TARGET), &ours()),
    )
    .1
    .expect("an item");
    let undone = swap(moved.clone());
    assert_eq!((undone.next, undone.previous), (next(SEEN_AT), Some(next(TARGET))));
    assert_eq!(swap(undone), moved);
}

#[test]
fn a_pause_is_judged_by_what_the_store_did_with_it() {
    for observed in all_seen() {
        for item in items() {
            let judge = |item: Option<&Cursor>| judge_pause(&observed, item);
            let (written, after) = write(item.clone(), &pause(&observed));
            let context = format!("{observed:?}: {item:?}");
            let done = item.as_ref().is_some_and(|item| item.paused);
            assert_judged(judge, item.as_ref(), done, &written, after.as_ref(), &context);
        }
    }
}

#[test]
fn after_a_resume_or_without_an_item_nothing_is_paused() {
    for item in items() {
        let is_paused = item.as_ref().is_some_and(|item| item.paused);
        assert_eq!(
            judge_resume(item.as_ref()) == Verdict::NotApplied,
            is_paused,
            "{item:?}"
        );
        let (_, after) = write(item, &resume());
        assert_eq!(judge_resume(after.as_ref()), Verdict::Applied);
    }
}

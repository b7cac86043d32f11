//! An operator's writes: the items after them, and what a refused one means.

use kafka_consumer_lambda::claim::{
    ChunkLimit, CommandId, Cursor, Failures, ObservedItem, RunId, Verdict, judge_move, judge_pause, judge_resume,
    move_to, pause, resume,
};
use kafka_consumer_lambda::store::WriteResult;

use super::{EXPIRED, LIVE, next, write};

const READ_AT: i64 = 5;
const TARGET: i64 = 8;

/// The command whose move is judged.
fn ours() -> CommandId {
    CommandId::new("ours")
}

/// No item, and items that cover every condition of a move and of a pause.
fn items() -> Vec<Option<Cursor>> {
    let mut items = vec![None];
    for at in [READ_AT, TARGET, 2] {
        for (run, claim_until_ms) in [(None, None), (Some("a"), None), (Some("a"), EXPIRED), (Some("b"), LIVE)] {
            for previous in [None, Some(READ_AT), Some(TARGET)] {
                for (tries, paused, command) in [
                    (None, false, None),
                    (Some(2), false, Some("before")),
                    (None, true, Some("ours")),
                ] {
                    items.push(Some(Cursor {
                        run: run.map(RunId::new),
                        claim_until_ms,
                        claim_chunk: tries.map(|_| ChunkLimit::Single),
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

/// What an operator may have read: no item, or one of these items at `READ_AT`.
fn all_observed() -> Vec<ObservedItem> {
    let others = |item: &Cursor| item.next == next(READ_AT) && item.command != Some(ours());
    let items = items().into_iter().flatten().filter(others);
    let mut observed: Vec<ObservedItem> = items.map(ObservedItem::Present).collect();
    observed.push(ObservedItem::Missing { start: next(READ_AT) });
    observed
}

/// A state that was reached counts as applied, whichever command reached it.
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
    for (observed, target) in all_observed()
        .into_iter()
        .flat_map(|observed| [(observed.clone(), TARGET), (observed, READ_AT)])
    {
        for item in items() {
            let judge = |item: Option<&Cursor>| judge_move(&observed, &ours(), item);
            let (written, after) = write(item.clone(), &move_to(&observed, next(target), &ours()));
            let context = format!("{observed:?} to {target}: {item:?}");
            // At any offset: a run may have continued from there.
            let done = item.as_ref().is_some_and(|item| item.command == Some(ours()));
            assert_judged(judge, item.as_ref(), done, &written, after.as_ref(), &context);
        }
    }
}

#[test]
fn a_move_removes_the_attributes_of_runs_and_keeps_those_of_operators() {
    for observed in all_observed() {
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
    let start = Cursor::at(next(READ_AT));
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
    assert_eq!((undone.next, undone.previous), (next(READ_AT), Some(next(TARGET))));
    assert_eq!(swap(undone), moved);
}

#[test]
fn a_pause_is_judged_by_what_the_store_did_with_it() {
    for observed in all_observed() {
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

//! Every small item against every write: the verdict matches what the store did.

use kafka_consumer_lambda::claim::{
    Claim, Cursor, Ending, Failures, Flush, LastWrite, ObservedItem, RunId, Verdict, claim, flush, judge_claim,
    judge_flush,
};
use kafka_consumer_lambda::store::WriteResult;

use super::{NOW_MS, next, write};

const EXPECTED: i64 = 5;
const NEW: i64 = 8;
const OTHER: i64 = 2;
/// The timestamp of our previous write.
const LEFT_MS: i64 = NOW_MS - 5;
const OUR_UNTIL: Option<i64> = Some(NOW_MS + 70_000);
const OTHER_UNTIL: Option<i64> = Some(NOW_MS + 50_000);

fn us() -> RunId {
    RunId::new("us")
}

fn other() -> RunId {
    RunId::new("other")
}

/// No item, and items that cover every condition.
fn items() -> Vec<Option<Cursor>> {
    let mut items = vec![None];
    for at in [EXPECTED, NEW, OTHER] {
        for run in [None, Some(us()), Some(other())] {
            for claim_until_ms in [None, OUR_UNTIL, OTHER_UNTIL] {
                for updated_at_ms in [None, Some(LEFT_MS), Some(NOW_MS)] {
                    items.push(Some(Cursor {
                        run: run.clone(),
                        claim_until_ms,
                        updated_at_ms,
                        ..Cursor::at(next(at))
                    }));
                }
            }
        }
    }
    items
}

fn blocked() -> Ending {
    Ending::Final(Some(Failures {
        offset: next(NEW),
        attempts: 1,
        ..Failures::default()
    }))
}

/// Each ending with a cursor that moves, and those that can leave it unchanged.
fn flushes() -> Vec<Flush> {
    let endings = [
        (NEW, Ending::Interim),
        (NEW, Ending::Final(None)),
        (NEW, blocked()),
        (EXPECTED, Ending::Final(None)),
        (EXPECTED, blocked()),
    ];
    let flush = |(to, ending)| Flush {
        hands_over: false,
        unreported: None,
        unknown: None,
        run: us(),
        last_write: LastWrite {
            next: next(EXPECTED),
            updated_at_ms: LEFT_MS,
        },
        next: next(to),
        quarantine: None,
        ending,
        now_ms: NOW_MS,
    };
    endings.map(flush).into()
}

#[test]
fn a_flush_is_judged_by_what_the_store_did_with_it() {
    for item in items() {
        for ours in flushes() {
            let judge = |item: Option<&Cursor>| judge_flush(&ours, item);
            let (written, after) = write(item.clone(), &flush(&ours));
            let verdict = judge(item.as_ref());
            let context = format!("{ours:?}: {item:?}");
            if written == WriteResult::Applied {
                assert_eq!(verdict, Verdict::NotApplied, "before the write, {context}");
                assert_eq!(judge(after.as_ref()), Verdict::Applied, "after the write, {context}");
                continue;
            }
            let expected = match &item {
                None | Some(Cursor { run: None, .. }) => Verdict::Edited {
                    until_ms: item.as_ref().and_then(|item| item.claim_until_ms),
                },
                Some(Cursor { run: Some(run), .. }) if *run != us() => Verdict::TakenOver { by: run.clone() },
                // The item after the write: only an interim flush keeps a claim.
                Some(item)
                    if item.next == ours.next
                        && item.updated_at_ms == Some(NOW_MS)
                        && item.claim_until_ms.is_some() == matches!(ours.ending, Ending::Interim) =>
                {
                    Verdict::Applied
                }
                Some(_) => Verdict::Edited { until_ms: None },
            };
            assert_eq!(verdict, expected, "{context}");
        }
    }
}

#[test]
fn a_claim_is_judged_by_what_the_store_did_with_it() {
    let ours = Claim {
        run: us(),
        until_ms: OUR_UNTIL.expect("it is a time"),
        to: next(NEW),
        now_ms: NOW_MS,
    };
    let seen_items = [None, Some(other())].into_iter().flat_map(|run| {
        [None, Some(NOW_MS), Some(i64::MAX)].map(|claim_until_ms| {
            ObservedItem::Present(Cursor {
                run: run.clone(),
                claim_until_ms,
                ..Cursor::at(next(EXPECTED))
            })
        })
    });
    for observed in seen_items.chain([ObservedItem::Missing { start: next(EXPECTED) }]) {
        let as_seen = match &observed {
            ObservedItem::Present(item) => Some(item.clone()),
            ObservedItem::Missing { .. } => None,
        };
        for item in items().into_iter().chain([as_seen]) {
            let judge = |item: Option<&Cursor>| judge_claim(&observed, &ours, item);
            let (written, after) = write(item.clone(), &claim(&observed, &ours));
            let verdict = judge(item.as_ref());
            let context = format!("{observed:?}: {item:?}");
            let until_ms = item.as_ref().and_then(|item| item.claim_until_ms);
            let is_ours = item.is_some_and(|item| item.run == Some(us())) && until_ms == OUR_UNTIL;
            if written == WriteResult::Applied {
                assert_eq!(verdict, Verdict::NotApplied, "before the write, {context}");
                assert_eq!(judge(after.as_ref()), Verdict::Applied, "after the write, {context}");
            } else if is_ours {
                assert_eq!(verdict, Verdict::Applied, "{context}");
            } else {
                assert_eq!(verdict, Verdict::Edited { until_ms }, "{context}");
            }
        }
    }
}

#[test]
fn a_write_that_was_applied_is_never_applied_again() {
    for item in items() {
        for ours in flushes() {
            let (_, once) = write(item.clone(), &flush(&ours));
            let (again, twice) = write(once.clone(), &flush(&ours));
            assert!(matches!(again, WriteResult::Refused(_)), "{ours:?}: {item:?}");
            assert_eq!(once, twice);
        }
    }
}

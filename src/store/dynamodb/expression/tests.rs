//! The expressions, letter by letter, and the rules of `DynamoDB` that all of them keep.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use proptest::prelude::*;

use super::super::arbitrary::{any_cursor, any_failures, any_limit, any_next};
use super::{Expression, of};
use crate::claim::{
    self, Claim, Clause, CommandId, CursorWrite, Ending, Failures, Flush, LastWrite, ObservedItem, Quarantine, RunId,
    Set,
};
use crate::record::NextOffset;
use crate::store::Consumer;

fn consumer() -> Consumer {
    Consumer {
        group_id: "g".into(),
        topic: "t".into(),
        backfill: None,
    }
}

fn next(offset: i64) -> NextOffset {
    NextOffset::new(offset).unwrap()
}

fn n(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}

#[test]
fn a_flush_compares_and_sets_the_last_processed_offset() {
    let write = claim::flush(&Flush {
        hands_over: false,
        unreported: None,
        unknown: None,
        run: RunId::new("me"),
        last_write: LastWrite {
            next: next(5),
            updated_at_ms: 98,
        },
        next: next(8),
        quarantine: None,
        ending: Ending::Final(None),
        now_ms: 99,
    });
    let Expression {
        update,
        condition,
        names,
        values,
    } = of(&write, &consumer());
    assert_eq!(
        update.unwrap(),
        "SET #offset = :offset, #updated_at = :updated_at REMOVE #attempts, #claim_chunk, #claim_to, \
         #claim_until, #crashes, #error, #fail_offset, #handed_over, #next_try_at"
    );
    assert_eq!(
        condition.unwrap(),
        "#run = :if_2 AND #offset = :if_3 AND #updated_at = :if_4 AND attribute_exists(#claim_until)"
    );
    assert_eq!(names["#offset"], "offset");
    assert_eq!(values[":offset"], n("7"));
    assert_eq!(values[":if_3"], n("4"));
    assert_eq!(values[":if_2"], AttributeValue::S("me".to_owned()));
    assert_eq!(values[":if_4"], n("98"));
}

#[test]
fn a_claim_without_an_item_names_topic_and_group() {
    let claim = Claim {
        run: RunId::new("me"),
        until_ms: 100,
        to: next(9),
        now_ms: 50,
    };
    let write = claim::claim(&ObservedItem::Missing { start: next(0) }, &claim);
    let expression = of(&write, &consumer());
    assert_eq!(expression.condition.unwrap(), "attribute_not_exists(#consumer_id)");
    assert_eq!(
        expression.values,
        HashMap::from([
            (":offset".to_owned(), n("-1")),
            (":topic".to_owned(), AttributeValue::S("t".to_owned())),
            (":group_id".to_owned(), AttributeValue::S("g".to_owned())),
            (":run".to_owned(), AttributeValue::S("me".to_owned())),
            (":claim_until".to_owned(), n("100")),
            (":claim_to".to_owned(), n("9")),
            (":updated_at".to_owned(), n("50")),
        ])
    );
}

#[test]
fn a_claim_that_was_not_there_must_still_not_be_there() {
    let write = CursorWrite {
        conditions: vec![Clause::ClaimUntilIs(None)],
        sets: vec![],
        removes: vec![],
    };
    let expression = of(&write, &consumer());
    assert_eq!(expression.condition.unwrap(), "attribute_not_exists(#claim_until)");
    assert_eq!(expression.update, None);
    assert!(expression.values.is_empty());
}

#[test]
fn new_failures_remove_what_an_earlier_one_left() {
    let write = CursorWrite {
        conditions: vec![],
        sets: vec![Set::Failures(Failures::default())],
        removes: vec![],
    };
    assert_eq!(
        of(&write, &consumer()).update.unwrap(),
        "SET #attempts = :attempts, #crashes = :crashes, #fail_offset = :fail_offset REMOVE #error, #next_try_at"
    );
}

fn any_run() -> impl Strategy<Value = RunId> {
    prop_oneof![Just("me"), Just("other")].prop_map(RunId::new)
}

fn any_quarantine() -> impl Strategy<Value = Option<Quarantine>> {
    proptest::option::of((any_next(), any_limit()).prop_map(|(until, limit)| Quarantine { until, limit }))
}

fn any_item() -> impl Strategy<Value = ObservedItem> {
    (proptest::option::of(any_cursor()), any_next())
        .prop_map(|(item, start)| item.map_or(ObservedItem::Missing { start }, ObservedItem::Present))
}

fn any_write() -> impl Strategy<Value = CursorWrite> {
    let claims = (any_item(), any_run(), any_next()).prop_map(|(observed, run, to)| {
        claim::claim(
            &observed,
            &Claim {
                run,
                until_ms: 200,
                to,
                now_ms: 100,
            },
        )
    });
    let ending = prop_oneof![
        Just(Ending::Interim),
        proptest::option::of(any_failures()).prop_map(Ending::Final)
    ];
    let flushes = (any_run(), any_next(), any_next(), any_quarantine(), ending).prop_map(
        |(run, left, next, quarantine, ending)| {
            claim::flush(&Flush {
                hands_over: false,
                unreported: None,
                unknown: None,
                run,
                last_write: LastWrite {
                    next: left,
                    updated_at_ms: 99,
                },
                next,
                quarantine,
                ending,
                now_ms: 100,
            })
        },
    );
    prop_oneof![
        claims,
        flushes,
        (any_run(), any_quarantine()).prop_map(|(run, quarantine)| claim::release(&run, quarantine)),
        any_next().prop_map(|start| claim::pin(start, 100)),
        (any_item(), any_next()).prop_map(|(observed, next)| claim::move_to(&observed, next, &CommandId::new("c"))),
        any_item().prop_map(|observed| claim::pause(&observed)),
        Just(claim::resume()),
    ]
}

/// The placeholders in `text` that begin with `mark`.
fn placeholders(text: &str, mark: char) -> Vec<String> {
    text.split(|c: char| !(c.is_alphanumeric() || "_:#".contains(c)))
        .filter(|word| word.starts_with(mark))
        .map(str::to_owned)
        .collect()
}

proptest! {
    #[test]
    fn every_placeholder_is_defined_and_used(write in any_write()) {
        let Expression { update, condition, names, values } = of(&write, &consumer());
        let text = format!("{} {}", update.clone().unwrap_or_default(), condition.unwrap_or_default());
        let used = |mark| placeholders(&text, mark).into_iter().collect::<BTreeSet<_>>();
        prop_assert_eq!(used('#'), names.keys().cloned().collect());
        prop_assert_eq!(used(':'), values.keys().cloned().collect());
        for (placeholder, name) in &names {
            prop_assert_eq!(&placeholder[1..], name);
        }
        // Each attribute is changed once.
        let changed = placeholders(&update.unwrap(), '#');
        prop_assert_eq!(changed.iter().collect::<BTreeSet<_>>().len(), changed.len());
    }
}

//! Which records of a call are written. Pure.
//!
//! Records of one item in a call are in the order of their offsets, so the newest replaces the
//! others: it is written first. If it is accepted, the others are: the guard would refuse them.
//! If it can never be accepted, the one before it is written.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::item::Put;
use super::key::ItemKey;
use crate::destination::batched::EntryOutcome;

/// The records of each item: indexes, ascending, in the order of the first of each. A record
/// without an item is alone.
pub(super) fn by_item(puts: &[Result<Put, String>]) -> Vec<Vec<usize>> {
    let mut items: Vec<Vec<usize>> = vec![];
    let mut places: HashMap<&ItemKey, usize> = HashMap::new();
    for (index, put) in puts.iter().enumerate() {
        let place = match put {
            Ok(put) => *places.entry(&put.key).or_insert(items.len()),
            Err(_) => items.len(),
        };
        match items.get_mut(place) {
            Some(records) => records.push(index),
            None => items.push(vec![index]),
        }
    }
    items
}

/// The outcome of the older records of an item, by that of a newer one; `None`: they are written.
pub(super) fn of_older(newer: &EntryOutcome) -> Option<EntryOutcome> {
    match newer {
        EntryOutcome::TooLarge | EntryOutcome::Invalid(_) => None,
        EntryOutcome::Accepted | EntryOutcome::Throttled(_) | EntryOutcome::Fatal(_) => Some(newer.clone()),
    }
}

/// The first outcome of a call after which no further request begins: what refuses one record for
/// now refuses the next ones too, and each has three attempts.
#[derive(Debug, Default)]
pub(super) struct Stopped(Mutex<Option<EntryOutcome>>);

impl Stopped {
    pub(super) fn observe(&self, outcome: &EntryOutcome) {
        if matches!(outcome, EntryOutcome::Throttled(_) | EntryOutcome::Fatal(_)) {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| outcome.clone());
        }
    }

    /// The outcome of a record whose request does not begin.
    pub(super) fn outcome(&self) -> Option<EntryOutcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::super::item::Item;
    use super::*;

    fn put(id: &str) -> Put {
        let attributes = [("id".to_owned(), AttributeValue::S(id.to_owned()))];
        Put {
            key: ItemKey::new(&attributes),
            item: Item::from(attributes),
        }
    }

    #[test]
    fn the_records_of_an_item_are_together_in_the_order_of_offsets() {
        let (one, other, third) = (|| Ok(put("a")), || Ok(put("b")), Ok(put("c")));
        let invalid = || Err("x".to_owned());
        let puts = [one(), other(), invalid(), one(), invalid(), other(), third];
        assert_eq!(by_item(&puts), [vec![0, 3], vec![1, 5], vec![2], vec![4], vec![6]]);
        assert_eq!(by_item(&[]), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn an_older_record_shares_the_outcome_of_a_newer_one_unless_that_can_never_be_accepted() {
        let throttled = EntryOutcome::Throttled("x".into());
        let fatal = EntryOutcome::Fatal("x".into());
        for shared in [EntryOutcome::Accepted, throttled, fatal] {
            assert_eq!(of_older(&shared), Some(shared));
        }
        for never in [EntryOutcome::TooLarge, EntryOutcome::Invalid("x".into())] {
            assert_eq!(of_older(&never), None);
        }
    }

    #[test]
    fn no_request_begins_after_one_was_refused_for_now() {
        let stopped = Stopped::default();
        stopped.observe(&EntryOutcome::Accepted);
        stopped.observe(&EntryOutcome::Invalid("x".into()));
        assert_eq!(stopped.outcome(), None);
        let first = EntryOutcome::Throttled("first".into());
        stopped.observe(&first);
        stopped.observe(&EntryOutcome::Fatal("second".into()));
        assert_eq!(stopped.outcome(), Some(first));
    }
}

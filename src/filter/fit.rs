//! Whether a record's fields meet all conditions of a conjunction.
//!
//! Within arrays, one element must meet them together: of
//! `[{"k":"Anna","l":"Smith"},{"k":"Peter","l":"Jones"}]`, no element is
//! `Anna Jones`. This is the rule of AWS's matcher. Conditions are met in the
//! order of their paths, which decides for `exists: false` within arrays: it
//! considers the elements that the conditions before it have left.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::comparison::{Comparison, Leaf};
use super::fields::{Fields, Found, Membership};

/// A condition with its path as an index into the paths of the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub path: usize,
    pub comparisons: Vec<Comparison>,
}

impl Condition {
    fn passes(&self, leaf: &Leaf) -> bool {
        self.comparisons.iter().any(|comparison| comparison.passes(leaf))
    }

    fn passes_if_absent(&self) -> bool {
        self.comparisons.contains(&Comparison::Absent)
    }
}

/// Whether `fields` meet all `conditions`, which are in ascending order of
/// their paths.
///
/// The elements that are still possible are kept as a set, and of each only
/// what later conditions depend on. So the work grows with the number of values
/// found and not with their combinations.
pub(super) fn fits(conditions: &[Condition], fields: &Fields<'_>) -> bool {
    if fields.without_arrays() {
        return conditions.iter().all(|condition| match fields.found(condition.path) {
            Found::Values(values) => meets(condition, values),
            Found::OtherFormat => true,
        });
    }
    let mut possible = BTreeSet::from([Membership::new()]);
    for (index, condition) in conditions.iter().enumerate() {
        let Found::Values(values) = fields.found(condition.path) else {
            continue;
        };
        let later = arrays_of(&conditions[index + 1..], fields);
        possible = meet(condition, values, &possible)
            .into_iter()
            .map(|membership| {
                membership
                    .into_iter()
                    .filter(|(array, _)| later.contains(array))
                    .collect()
            })
            .collect();
        if possible.is_empty() {
            return false;
        }
    }
    true
}

/// Whether one of `values` passes, or there is none and that is a condition.
fn meets(condition: &Condition, values: &[(Leaf, Membership)]) -> bool {
    values.iter().any(|(leaf, _)| condition.passes(leaf)) || (values.is_empty() && condition.passes_if_absent())
}

/// The arrays in which values of `conditions` lie.
fn arrays_of(conditions: &[Condition], fields: &Fields<'_>) -> HashSet<u32> {
    let values = conditions
        .iter()
        .filter_map(|condition| match fields.found(condition.path) {
            Found::Values(values) => Some(values),
            Found::OtherFormat => None,
        });
    values
        .flatten()
        .flat_map(|(_, membership)| membership)
        .map(|(array, _)| *array)
        .collect()
}

/// What is possible once `condition` is met too.
fn meet(condition: &Condition, values: &[(Leaf, Membership)], possible: &BTreeSet<Membership>) -> BTreeSet<Membership> {
    let fitting = ByElement::new(values.iter().filter(|(leaf, _)| condition.passes(leaf)));
    let mut met: BTreeSet<Membership> = possible
        .iter()
        .flat_map(|so_far| {
            fitting
                .consistent_with(so_far)
                .map(|membership| union(so_far, membership))
        })
        .collect();
    if condition.passes_if_absent() {
        let there = ByElement::new(values.iter());
        let absent = |so_far: &&Membership| there.consistent_with(so_far).next().is_none();
        met.extend(possible.iter().filter(absent).cloned());
    }
    met
}

/// The memberships of values, found by an element they lie in.
struct ByElement<'v> {
    all: Vec<&'v Membership>,
    arrays: HashSet<u32>,
    elements: HashMap<(u32, u32), Vec<&'v Membership>>,
}

impl<'v> ByElement<'v> {
    fn new(values: impl Iterator<Item = &'v (Leaf, Membership)>) -> Self {
        let mut index = Self {
            all: Vec::new(),
            arrays: HashSet::new(),
            elements: HashMap::new(),
        };
        for (_, membership) in values {
            index.all.push(membership);
            for element in membership {
                index.arrays.insert(element.0);
                index.elements.entry(*element).or_default().push(membership);
            }
        }
        index
    }

    /// The memberships that name no other element of an array of `so_far`.
    fn consistent_with(&self, so_far: &Membership) -> impl Iterator<Item = &'v Membership> {
        // Arrays are numbered from the outside in, so the highest is innermost.
        let innermost = so_far.iter().filter(|(array, _)| self.arrays.contains(array)).max();
        let candidates = match innermost {
            None => &*self.all,
            Some(element) => self.elements.get(element).map_or(&[][..], Vec::as_slice),
        };
        candidates
            .iter()
            .copied()
            .filter(move |membership| consistent(so_far, membership))
    }
}

fn consistent(left: &Membership, right: &Membership) -> bool {
    left.iter()
        .all(|(array, index)| right.iter().all(|(other, at)| array != other || index == at))
}

fn union(left: &Membership, right: &Membership) -> Membership {
    let all: BTreeSet<(u32, u32)> = left.iter().chain(right).copied().collect();
    all.into_iter().collect()
}

//! Whether a record's fields meet all conditions of a conjunction.
//!
//! Within arrays, one element must meet them together: of
//! `[{"k":"Anna","l":"Smith"},{"k":"Peter","l":"Jones"}]`, no element is
//! `Anna Jones`. This is the rule of AWS's matcher. Conditions are met in the
//! order of their paths, which decides for `exists: false` within arrays: it
//! considers the elements that the conditions before it have left.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::fields::{Fields, Found, Membership};

/// Whether `fields` meet all `conditions`, which are indexes in ascending order
/// of their paths.
///
/// The elements that are still possible are kept as a set, and of each only
/// what later conditions depend on. So the work grows with the number of values
/// found and not with their combinations.
pub(super) fn matches(conditions: &[usize], fields: &Fields<'_>) -> bool {
    if fields.without_arrays() {
        return conditions.iter().all(|condition| meets(*condition, fields));
    }
    let mut possible = BTreeSet::from([Membership::new()]);
    for (index, condition) in conditions.iter().enumerate() {
        let Found::Values { passing, all } = fields.found(*condition) else {
            continue;
        };
        let absent = fields
            .condition(*condition)
            .passes_if_absent()
            .then_some(all.as_slice());
        let later = arrays_of(&conditions[index + 1..], fields);
        possible = meet(passing, absent, &possible)
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

/// Whether a value passes, or there is none and that is a condition.
fn meets(condition: usize, fields: &Fields<'_>) -> bool {
    match fields.found(condition) {
        Found::Values { passing, all } => {
            !passing.is_empty() || (all.is_empty() && fields.condition(condition).passes_if_absent())
        }
        Found::OtherFormat => true,
    }
}

/// The arrays in which values of `conditions` lie.
fn arrays_of(conditions: &[usize], fields: &Fields<'_>) -> HashSet<u32> {
    let memberships = conditions
        .iter()
        .filter_map(|condition| match fields.found(*condition) {
            Found::Values { passing, all } => Some(passing.iter().chain(all)),
            Found::OtherFormat => None,
        });
    memberships.flatten().flatten().map(|(array, _)| *array).collect()
}

/// What is possible once a condition is met too: by one of `passing`, or with
/// `exists: false` where none of `absent` lies.
fn meet(
    passing: &[Membership],
    absent: Option<&[Membership]>,
    possible: &BTreeSet<Membership>,
) -> BTreeSet<Membership> {
    let passing = ByElement::new(passing);
    let mut met: BTreeSet<Membership> = possible
        .iter()
        .flat_map(|so_far| {
            passing
                .consistent_with(so_far)
                .map(|membership| union(so_far, membership))
        })
        .collect();
    if let Some(all) = absent {
        let all = ByElement::new(all);
        let is_absent = |so_far: &&Membership| all.consistent_with(so_far).next().is_none();
        met.extend(possible.iter().filter(is_absent).cloned());
    }
    met
}

/// The memberships of values, found by an element they lie in.
struct ByElement<'v> {
    all: &'v [Membership],
    arrays: HashSet<u32>,
    elements: HashMap<(u32, u32), Vec<&'v Membership>>,
}

impl<'v> ByElement<'v> {
    fn new(all: &'v [Membership]) -> Self {
        let mut index = Self {
            all,
            arrays: HashSet::new(),
            elements: HashMap::new(),
        };
        for membership in all {
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
        let (every, of_element) = match innermost {
            None => (self.all, [].as_slice()),
            Some(element) => ([].as_slice(), self.elements.get(element).map_or(&[][..], Vec::as_slice)),
        };
        let candidates = every.iter().chain(of_element.iter().copied());
        candidates.filter(move |membership| consistent(so_far, membership))
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

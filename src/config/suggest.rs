//! Similar names for a misspelt one: those one edit away, and the same words in another order, as
//! Java's `fetch.max.wait.ms` is `fetch.wait.max.ms` in librdkafka.
//!
//! The candidates are generated and then checked with librdkafka, so no list of properties has to
//! be maintained.

use std::collections::BTreeSet;

/// The longest name that is varied, in characters. librdkafka's longest property has 49; the work
/// grows with the length.
const MAX_CHARS: usize = 64;

/// The most words whose order is varied: 120 orders.
const MAX_WORDS: usize = 5;

/// The characters of properties.
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789.";

/// All names similar to `name`, without itself, sorted. Empty for a text that cannot be a property.
pub(super) fn similar_names(name: &str) -> impl Iterator<Item = String> {
    let mut names = BTreeSet::new();
    if name.is_ascii() && name.len() <= MAX_CHARS {
        edits(name.as_bytes(), &mut names);
        let words: Vec<&str> = name.split('.').collect();
        if words.len() <= MAX_WORDS {
            orders(&words, &mut Vec::new(), &mut names);
        }
        names.remove(name.as_bytes());
    }
    names.into_iter().filter_map(|name| String::from_utf8(name).ok())
}

/// One character left out, added, replaced, or swapped with its neighbour.
fn edits(name: &[u8], names: &mut BTreeSet<Vec<u8>>) {
    for at in 0..=name.len() {
        let (before, after) = name.split_at(at);
        for letter in ALPHABET {
            names.insert([before, &[*letter], after].concat());
        }
        if let [first, rest @ ..] = after {
            names.insert([before, rest].concat());
            for letter in ALPHABET {
                names.insert([before, &[*letter], rest].concat());
            }
            if let [second, rest @ ..] = rest {
                names.insert([before, &[*second, *first], rest].concat());
            }
        }
    }
}

fn orders(words: &[&str], chosen: &mut Vec<usize>, names: &mut BTreeSet<Vec<u8>>) {
    if chosen.len() == words.len() {
        let order: Vec<&str> = chosen.iter().map(|index| words[*index]).collect();
        names.insert(order.join(".").into_bytes());
        return;
    }
    for index in 0..words.len() {
        if !chosen.contains(&index) {
            chosen.push(index);
            orders(words, chosen, names);
            chosen.pop();
        }
    }
}

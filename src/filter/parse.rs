//! Reads a pattern. What AWS's matcher refuses is refused, and so is what can
//! only be a mistake: a mistake in a filter drops records silently.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::comparison::{Cidr, Comparison, Leaf, Range, TextComparison};
use super::json::Level;
use super::number::Decimal;
use super::text::{CaseInsensitive, Wildcard};

/// How many combinations the alternatives of `$or` may make in one pattern.
const MAX_CONJUNCTIONS: usize = 1_024;

/// What is wrong with a pattern, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {place}: {problem}")]
pub struct PatternError {
    /// The path in the pattern, as `value.price[0].numeric`.
    pub place: String,
    /// What is wrong there, and what is expected.
    pub problem: String,
}

/// One field's condition: one of the comparisons passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// Names joined by dots.
    pub path: String,
    pub comparisons: Vec<Comparison>,
}

impl Condition {
    /// Whether a value that is there passes.
    pub(super) fn passes(&self, leaf: &Leaf) -> bool {
        self.comparisons.iter().any(|comparison| comparison.passes(leaf))
    }

    /// Whether it passes if there is no value.
    pub(super) fn passes_if_absent(&self) -> bool {
        self.comparisons.contains(&Comparison::Absent)
    }
}

/// Conditions that all hold, in ascending order of their paths.
pub(super) type Conjunction = Vec<Condition>;

type Parsed<T> = Result<T, PatternError>;

fn problem<T>(place: &str, problem: impl Into<String>) -> Parsed<T> {
    let place = if place.is_empty() { "the pattern itself" } else { place }.to_owned();
    Err(PatternError {
        place,
        problem: problem.into(),
    })
}

fn level<'j>(place: &str, raw: &'j RawValue) -> Parsed<Level<'j>> {
    let level = Level::of(raw).or_else(|error| problem(place, error.to_string()))?;
    match level {
        Level::Leaf(Leaf::Unreadable) => problem(place, "the text holds an unpaired surrogate"),
        level => Ok(level),
    }
}

/// The conjunctions of `pattern`: a value fits it that fits one of them. The
/// caller has bounded how deep it is nested.
pub(super) fn pattern(pattern: &RawValue) -> Parsed<Vec<Conjunction>> {
    let Level::Object(members) = level("", pattern)? else {
        return problem("", "a pattern is a JSON object");
    };
    let mut conjunctions = object(members, "", At::Field)?;
    for conjunction in &mut conjunctions {
        conjunction.sort_by(|a, b| a.path.cmp(&b.path));
    }
    Ok(conjunctions)
}

/// Where an object of a pattern stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Field,
    /// In a list of `$or`, where names of operators are no names of fields.
    Or,
}

fn object(members: Vec<(String, &RawValue)>, path: &str, at: At) -> Parsed<Vec<Conjunction>> {
    if members.is_empty() {
        return problem(path, "an empty object matches nothing: name a field");
    }
    let mut names = BTreeSet::new();
    let mut conjunctions = vec![Vec::new()];
    for (name, value) in members {
        let field = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let more = member(&name, value, path, &field, at)?;
        if !names.insert(name) {
            return problem(&field, "duplicate name: merge the two lists");
        }
        conjunctions = all_of(&conjunctions, &more, &field)?;
    }
    Ok(conjunctions)
}

fn member(name: &str, value: &RawValue, path: &str, field: &str, at: At) -> Parsed<Vec<Conjunction>> {
    match level(field, value)? {
        Level::Array(alternatives) if name == "$or" => any_of(alternatives, path, field),
        _ if name == "$or" => problem(field, "$or takes a list of two or more objects"),
        _ if at == At::Or && OPERATORS.contains(&name) => problem(
            field,
            format!("{name} is an operator: write \"<field>\": [{{\"{name}\": ...}}]"),
        ),
        Level::Object(members) => object(members, field, at),
        Level::Array(elements) => {
            misplaced_operator(name, &elements, field)?;
            let condition = Condition {
                path: field.to_owned(),
                comparisons: comparisons(elements, field)?,
            };
            Ok(vec![vec![condition]])
        }
        Level::Leaf(_) => problem(
            field,
            "a field takes a list of values and operators, or an object of fields",
        ),
    }
}

/// `$or`: the conjunctions of each alternative.
fn any_of(alternatives: Vec<&RawValue>, path: &str, field: &str) -> Parsed<Vec<Conjunction>> {
    if alternatives.len() < 2 {
        return problem(field, "$or takes a list of two or more objects");
    }
    let mut conjunctions = Vec::new();
    for (index, alternative) in alternatives.into_iter().enumerate() {
        let place = format!("{field}[{index}]");
        match level(&place, alternative)? {
            Level::Object(members) if members.is_empty() => {
                return problem(&place, "an empty object matches nothing: name a field");
            }
            Level::Object(members) => conjunctions.extend(object(members, path, At::Or)?),
            _ => return problem(&place, "$or takes a list of two or more objects"),
        }
    }
    Ok(conjunctions)
}

/// Each of `left` together with each of `right`.
fn all_of(left: &[Conjunction], right: &[Conjunction], field: &str) -> Parsed<Vec<Conjunction>> {
    if left.len().saturating_mul(right.len()) > MAX_CONJUNCTIONS {
        return problem(field, format!("$or makes more than {MAX_CONJUNCTIONS} combinations"));
    }
    let mut both = Vec::new();
    for first in left {
        for second in right {
            if let Some(twice) = second
                .iter()
                .find(|new| first.iter().any(|known| known.path == new.path))
            {
                return problem(&twice.path, "this path has two lists that both apply: give it one list");
            }
            both.push([&**first, &**second].concat());
        }
    }
    Ok(both)
}

const OPERATORS: [&str; 9] = [
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exactly",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
];

/// `"price": {"numeric": [">", 1]}` is a valid pattern of a field named
/// `numeric`; most likely the list around the operator is missing.
fn misplaced_operator(name: &str, elements: &[&RawValue], field: &str) -> Parsed<()> {
    let comparison = elements
        .first()
        .is_some_and(|first| ["\"=\"", "\"<\"", "\"<=\"", "\">\"", "\">=\""].contains(&first.get()));
    if name == "anything-but" || (name == "numeric" && comparison) {
        return problem(field, format!("{name} is an operator: write [{{\"{name}\": [...]}}]"));
    }
    Ok(())
}

fn comparisons(elements: Vec<&RawValue>, field: &str) -> Parsed<Vec<Comparison>> {
    if elements.is_empty() {
        return problem(field, "an empty list matches nothing: name a value");
    }
    let mut comparisons = Vec::new();
    for (index, element) in elements.into_iter().enumerate() {
        let place = format!("{field}[{index}]");
        comparisons.push(match level(&place, element)? {
            Level::Leaf(Leaf::Text(text)) => match text.parse() {
                Ok(address) => Comparison::Address(address),
                Err(_) => Comparison::Equals(Leaf::Text(text)),
            },
            Level::Leaf(leaf) => Comparison::Equals(leaf),
            Level::Object(members) => operator(&members, &place)?,
            Level::Array(_) => {
                return problem(&place, "a list holds values and operators, not lists");
            }
        });
    }
    Ok(comparisons)
}

/// The one member of an operator's object.
fn only_member<'j>(members: &[(String, &'j RawValue)], place: &str) -> Parsed<(String, &'j RawValue)> {
    match members {
        [only] => Ok(only.clone()),
        [] => problem(place, format!("an empty object: write one of {}", OPERATORS.join(", "))),
        _ => problem(place, "one operator an object: write a list of objects for several"),
    }
}

fn operator(members: &[(String, &RawValue)], place: &str) -> Parsed<Comparison> {
    let (name, operand) = only_member(members, place)?;
    let place = format!("{place}.{name}");
    let value = level(&place, operand)?;
    Ok(match (&*name, value) {
        ("exactly", Level::Leaf(Leaf::Text(text))) => Comparison::Equals(Leaf::Text(text)),
        ("equals-ignore-case", Level::Leaf(Leaf::Text(text))) => {
            Comparison::Text(TextComparison::IgnoreCase(CaseInsensitive::new(&text)))
        }
        ("prefix", Level::Leaf(Leaf::Text(text))) => Comparison::Text(TextComparison::Prefix(text)),
        ("suffix", Level::Leaf(Leaf::Text(text))) => Comparison::Text(TextComparison::Suffix(text)),
        ("prefix", Level::Object(members)) => {
            Comparison::Text(TextComparison::PrefixIgnoreCase(ignoring_case(&members, &place)?))
        }
        ("suffix", Level::Object(members)) => {
            Comparison::Text(TextComparison::SuffixIgnoreCase(ignoring_case(&members, &place)?))
        }
        ("wildcard", Level::Leaf(Leaf::Text(text))) => Comparison::Text(wildcard(&text, &place)?),
        ("cidr", Level::Leaf(Leaf::Text(text))) => {
            Comparison::Cidr(Cidr::parse(&text).or_else(|reason| problem(&place, reason))?)
        }
        ("numeric", Level::Array(terms)) => Comparison::Numeric(numeric(terms, &place)?),
        ("anything-but", value) => Comparison::AnythingBut(excluded(value, &place)?),
        ("exists", Level::Leaf(Leaf::Bool(true))) => Comparison::Exists,
        ("exists", Level::Leaf(Leaf::Bool(false))) => Comparison::Absent,
        (known, _) if OPERATORS.contains(&known) => {
            return problem(&place, format!("{known} takes {}", operand_of(known)));
        }
        (unknown, _) => {
            let known = OPERATORS.join(", ");
            return problem(
                &place,
                format!("there is no operator {unknown:?}: write one of {known}"),
            );
        }
    })
}

/// What an operator takes, for the message about another operand.
fn operand_of(operator: &str) -> &'static str {
    match operator {
        "numeric" => "a list, such as [\">\", 10, \"<=\", 20]",
        "exists" => "true or false",
        "prefix" | "suffix" => "a text, or {\"equals-ignore-case\": text}",
        _ => "a text",
    }
}

fn ignoring_case(members: &[(String, &RawValue)], place: &str) -> Parsed<CaseInsensitive> {
    let (name, operand) = only_member(members, place)?;
    match (&*name, level(place, operand)?) {
        ("equals-ignore-case", Level::Leaf(Leaf::Text(text))) => Ok(CaseInsensitive::new(&text)),
        _ => problem(place, "takes a text, or {\"equals-ignore-case\": text}"),
    }
}

fn wildcard(text: &str, place: &str) -> Parsed<TextComparison> {
    let wildcard = Wildcard::parse(text).or_else(|reason| problem(place, reason))?;
    Ok(TextComparison::Wildcard(wildcard))
}

/// What `anything-but` excludes: texts, numbers, or texts of one operator.
fn excluded(value: Level<'_>, place: &str) -> Parsed<Vec<Comparison>> {
    match value {
        Level::Object(members) => {
            let (name, operand) = only_member(&members, place)?;
            let place = format!("{place}.{name}");
            let values = leaves(level(&place, operand)?, &place)?;
            values
                .into_iter()
                .map(|leaf| excluded_by(&name, leaf, &place))
                .collect()
        }
        value => {
            let values = leaves(value, place)?;
            let texts = values.iter().filter(|leaf| matches!(leaf, Leaf::Text(_))).count();
            let numbers = values.iter().filter(|leaf| matches!(leaf, Leaf::Number(_))).count();
            if texts != values.len() && numbers != values.len() {
                return problem(place, "anything-but takes texts only or numbers only");
            }
            Ok(values.into_iter().map(Comparison::Equals).collect())
        }
    }
}

fn excluded_by(operator: &str, leaf: Leaf, place: &str) -> Parsed<Comparison> {
    let Leaf::Text(text) = leaf else {
        return problem(place, "takes a text or a list of texts");
    };
    Ok(Comparison::Text(match operator {
        "prefix" | "suffix" if text.is_empty() => {
            return problem(place, "an empty text excludes every text");
        }
        "prefix" => TextComparison::Prefix(text),
        "suffix" => TextComparison::Suffix(text),
        "equals-ignore-case" => TextComparison::IgnoreCase(CaseInsensitive::new(&text)),
        "wildcard" => wildcard(&text, place)?,
        _ => {
            let problem_text = "anything-but takes prefix, suffix, equals-ignore-case or wildcard";
            return problem(place, problem_text);
        }
    }))
}

/// One value or a list of one or more, none of them an object or a list.
fn leaves(value: Level<'_>, place: &str) -> Parsed<Vec<Leaf>> {
    let elements = match value {
        Level::Leaf(leaf) => return Ok(vec![leaf]),
        Level::Array(elements) if !elements.is_empty() => elements,
        _ => return problem(place, "takes a value or a list of one or more"),
    };
    let leaf = |element| match level(place, element)? {
        Level::Leaf(leaf) => Ok(leaf),
        _ => problem(place, "a list of values holds no objects and no lists"),
    };
    elements.into_iter().map(leaf).collect()
}

/// `[operator, number]`, or a range: `[">", number, "<=", number]`.
fn numeric(terms: Vec<&RawValue>, place: &str) -> Parsed<Range> {
    const EXPECTED: &str =
        "takes [\"=\", number], [\"<\", number] (also <=, >, >=), or a range: [\">\", number, \"<=\", number]";
    let terms = leaves(Level::Array(terms), place)?;
    let range = match &*terms {
        [Leaf::Text(operator), Leaf::Number(number)] => half_range(operator, number),
        [
            Leaf::Text(low),
            Leaf::Number(lowest),
            Leaf::Text(high),
            Leaf::Number(highest),
        ] if low.starts_with('>') && high.starts_with('<') => half_range(low, lowest)
            .zip(half_range(high, highest))
            .map(|(low, high)| Range {
                lowest: low.lowest,
                highest: high.highest,
            }),
        _ => None,
    };
    match range {
        None => problem(place, EXPECTED),
        Some(range) if terms.len() == 4 && range.is_empty() => {
            problem(place, "the lower limit is not below the upper one")
        }
        Some(range) => Ok(range),
    }
}

fn half_range(operator: &str, number: &Decimal) -> Option<Range> {
    let limit = |inclusive| Some((number.clone(), inclusive));
    let (lowest, highest) = match operator {
        "=" => (limit(true), limit(true)),
        ">" => (limit(false), None),
        ">=" => (limit(true), None),
        "<" => (None, limit(false)),
        "<=" => (None, limit(true)),
        _ => return None,
    };
    Some(Range { lowest, highest })
}

//! One comparison of a pattern with one value.

use std::net::IpAddr;

use super::number::Decimal;
use super::text::{CaseInsensitive, Wildcard};

/// A value that a pattern can compare: everything of JSON but objects and arrays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leaf {
    Text(String),
    Number(Decimal),
    Bool(bool),
    Null,
    /// A tombstone's value or the key of a record without one: `null`, but
    /// not there.
    Missing,
    /// A value that is there but is no text: bytes that are not UTF-8. It
    /// passes each comparison, as AWS ignores patterns for values of another format.
    Unreadable,
}

/// One element of a pattern's list.
///
/// A field passes if one comparison of its list does:
///
/// | comparison | passes |
/// |---|---|
/// | `"x"`, `{"exactly":"x"}` | the text `x`; for an IP address, every spelling of it |
/// | `300` | the number, in every spelling |
/// | `true`, `false`, `null` | the same |
/// | `{"prefix":"x"}`, `{"suffix":"x"}` | a text that starts or ends with it |
/// | `{"equals-ignore-case":"x"}`, also in `prefix` and `suffix` | a text, in upper or lower case |
/// | `{"wildcard":"a*b"}` | a text |
/// | `{"cidr":"10.0.0.0/8"}` | a text that is an address of the network |
/// | `{"numeric":[">",1,"<=",5]}` | a number in the range |
/// | `{"anything-but":...}` | a value that is there and is none of these |
/// | `{"exists":true}` | a value that is there, `null` too |
/// | `{"exists":false}` | a field that is not there |
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Comparison {
    Equals(Leaf),
    Address(IpAddr),
    Text(TextComparison),
    Cidr(Cidr),
    Numeric(Range),
    AnythingBut(Vec<Comparison>),
    Exists,
    Absent,
}

/// A comparison with a text. Values of other types do not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextComparison {
    Prefix(String),
    Suffix(String),
    IgnoreCase(CaseInsensitive),
    PrefixIgnoreCase(CaseInsensitive),
    SuffixIgnoreCase(CaseInsensitive),
    Wildcard(Wildcard),
}

impl TextComparison {
    fn passes(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::IgnoreCase(pattern) => pattern.matches(text),
            Self::PrefixIgnoreCase(pattern) => pattern.starts(text),
            Self::SuffixIgnoreCase(pattern) => pattern.ends(text),
            Self::Wildcard(pattern) => pattern.matches(text),
        }
    }
}

impl Comparison {
    /// Whether a value that is there passes.
    pub(super) fn passes(&self, leaf: &Leaf) -> bool {
        match (self, leaf) {
            (Self::Absent, leaf) => *leaf == Leaf::Missing,
            (Self::Exists, leaf) => *leaf != Leaf::Missing,
            (_, Leaf::Unreadable) | (Self::Equals(Leaf::Null), Leaf::Missing) => true,
            (Self::Equals(expected), leaf) => expected == leaf,
            (Self::AnythingBut(excluded), leaf) => !excluded.iter().any(|one| one.passes(leaf)),
            (Self::Text(comparison), Leaf::Text(text)) => comparison.passes(text),
            (Self::Address(expected), Leaf::Text(text)) => text.parse() == Ok(*expected),
            (Self::Cidr(network), Leaf::Text(text)) => text.parse().is_ok_and(|address| network.contains(address)),
            (Self::Numeric(range), Leaf::Number(number)) => range.contains(number),
            (Self::Text(_) | Self::Address(_) | Self::Cidr(_) | Self::Numeric(_), _) => false,
        }
    }
}

/// A range of numbers: a limit and whether it belongs to the range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Range {
    pub lowest: Option<(Decimal, bool)>,
    pub highest: Option<(Decimal, bool)>,
}

impl Range {
    fn contains(&self, number: &Decimal) -> bool {
        let above = |(limit, inclusive): &(Decimal, bool)| number > limit || (*inclusive && number == limit);
        let below = |(limit, inclusive): &(Decimal, bool)| number < limit || (*inclusive && number == limit);
        self.lowest.as_ref().is_none_or(above) && self.highest.as_ref().is_none_or(below)
    }

    /// Whether no number lies in it. AWS refuses such a range, and one of a
    /// single number that is not written with `=`.
    pub(super) fn is_empty(&self) -> bool {
        matches!((&self.lowest, &self.highest), (Some((lowest, _)), Some((highest, _))) if lowest >= highest)
    }
}

/// A network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cidr {
    address: IpAddr,
    bits: u32,
}

impl Cidr {
    /// The network that `text` writes, or what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "not a network: write an address, a slash and the bits, such as 10.0.0.0/8";
        let (address, bits) = text.split_once('/').ok_or(EXPECTED)?;
        let address: IpAddr = address.parse().map_err(|_| EXPECTED)?;
        let bits: u32 = bits.parse().map_err(|_| EXPECTED)?;
        match (address, bits) {
            (IpAddr::V4(_), 0..=31) | (IpAddr::V6(_), 0..=127) => Ok(Self { address, bits }),
            (IpAddr::V4(_), _) => Err("more than 31 bits: write a single address as text"),
            (IpAddr::V6(_), _) => Err("more than 127 bits: write a single address as text"),
        }
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = !(u32::MAX.checked_shr(self.bits).unwrap_or(0));
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = !(u128::MAX.checked_shr(self.bits).unwrap_or(0));
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

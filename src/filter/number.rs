//! Numbers of JSON compared exactly, whatever their length.
//!
//! A double has 53 bits: as doubles, 9007199254740992 and 9007199254740993 are
//! the same number. Identifiers of that size are common, so numbers are
//! compared as decimals.

use std::cmp::Ordering;

/// A number of a JSON text, normalised: `0.<digits> * 10^point`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// Significant digits, without zeros at either end; empty is zero.
    digits: String,
    point: i64,
}

impl Decimal {
    /// The number that `text` writes. `text` is a number as JSON spells it.
    ///
    /// An exponent that does not fit 64 bits counts as the nearest that does.
    pub(crate) fn parse(text: &str) -> Self {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let significant = all.trim_start_matches('0');
        if significant.is_empty() {
            return Self {
                negative: false,
                digits: String::new(),
                point: 0,
            };
        }
        let leading_zeros = all.len() - significant.len();
        let point = to_i64(whole.len()) - to_i64(leading_zeros);
        Self {
            negative,
            digits: significant.trim_end_matches('0').to_owned(),
            point: point.saturating_add(exponent),
        }
    }

    /// Whether it is below zero.
    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    /// The significant digits, without zeros at either end; none for zero.
    pub(crate) fn digits(&self) -> &str {
        &self.digits
    }

    /// The power of ten behind `0.<digits>`.
    pub(crate) fn point(&self) -> i64 {
        self.point
    }

    /// Sign as -1, 0 or 1.
    fn signum(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.signum().cmp(&other.signum()).then_with(|| {
            let magnitude = self
                .point
                .cmp(&other.point)
                .then_with(|| self.digits.cmp(&other.digits));
            if self.negative { magnitude.reverse() } else { magnitude }
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The exponent that `text` (`7`, `+7`, `-7`) writes, at the limit if it is too large.
fn exponent_of(text: &str) -> i64 {
    match text.parse() {
        Ok(exponent) => exponent,
        Err(_) if text.starts_with('-') => i64::MIN,
        Err(_) => i64::MAX,
    }
}

fn to_i64(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(left: &str, right: &str) -> Ordering {
        Decimal::parse(left).cmp(&Decimal::parse(right))
    }

    #[test]
    fn one_number_is_equal_in_every_spelling() {
        for spelling in ["300", "300.0", "3e2", "3.0E+2", "30000e-2", "0.3e3"] {
            assert_eq!(order(spelling, "300"), Ordering::Equal, "{spelling}");
        }
        for zero in ["0", "-0", "0.0", "0e9", "-0.0e-99999999999999999999"] {
            assert_eq!(order(zero, "0"), Ordering::Equal, "{zero}");
        }
    }

    #[test]
    fn numbers_that_a_double_confuses_differ() {
        assert_eq!(order("9007199254740993", "9007199254740992"), Ordering::Greater);
        assert_eq!(order("18446744073709551617", "18446744073709551616"), Ordering::Greater);
        assert_eq!(order("0.1", "0.1000000000000000055511151231257827"), Ordering::Less);
    }

    #[test]
    fn an_exponent_of_any_size_is_compared() {
        assert_eq!(order("1e99999999999999999999", "1e5"), Ordering::Greater);
        assert_eq!(order("-1e99999999999999999999", "0"), Ordering::Less);
        assert_eq!(order("1e-99999999999999999999", "0"), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn integers_are_ordered_as_integers(left: i64, right: i64) {
            prop_assert_eq!(order(&left.to_string(), &right.to_string()), left.cmp(&right));
        }

        #[test]
        fn doubles_are_ordered_as_doubles(left in -1e300..1e300f64, right in -1e300..1e300f64) {
            let expected = left.partial_cmp(&right);
            prop_assert_eq!(Some(order(&format!("{left:e}"), &format!("{right:e}"))), expected);
        }
    }
}

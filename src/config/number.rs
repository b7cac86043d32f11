//! Whole numbers as people and templates write them.

/// The digits of the largest number that is read: more than an `i128` never needs to hold.
const MAX_DIGITS: usize = 38;

/// A whole number in any of JSON's spellings, parsed exactly; `None` for anything else, and for a
/// number that does not fit.
///
/// | text | |
/// |---|---|
/// | `5`, `5.0`, `0.5e1`, `50E-1`, `-0` | a number without a fraction, however written |
/// | `5.5`, `1e-3` | none: it has a fraction |
/// | `1e39`, `99999999999999999999` for a `u64` | none: it does not fit |
/// | `05`, `+5`, `5.`, `.5`, `5_000`, ` 5`, `NaN` | none: no number of JSON's; YAML reads `010` as 8 |
pub(crate) fn whole_number<T: TryFrom<i128>>(text: &str) -> Option<T> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let magnitude = shifted(digits, i64::from(exponent) - i64::try_from(fraction.len()).ok()?)?;
    T::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// `digits` times ten to the power of `exponent`.
fn shifted(digits: &str, exponent: i64) -> Option<i128> {
    if digits.is_empty() {
        return Some(0);
    }
    let zeros = usize::try_from(exponent.unsigned_abs()).ok()?;
    let digits = if exponent >= 0 {
        (digits.len() + zeros <= MAX_DIGITS).then(|| digits.to_owned() + &"0".repeat(zeros))?
    } else {
        let (kept, cut) = digits.split_at_checked(digits.len().checked_sub(zeros)?)?;
        cut.bytes().all(|byte| byte == b'0').then(|| kept.to_owned())?
    };
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_without_a_fraction_is_whole_however_it_is_written() {
        for text in ["5", "5.0", "5.000", "0.5e1", "50E-1", "5e0", "5e+0", "0.05e2"] {
            assert_eq!(whole_number(text), Some(5_i32), "{text}");
        }
        assert_eq!(whole_number("1e3"), Some(1000_u64));
        assert_eq!(whole_number("-0.0"), Some(0_u64));
        assert_eq!(whole_number("0e999999"), Some(0_u64));
        assert_eq!(whole_number("9007199254740993.0"), Some(9_007_199_254_740_993_i64));
        assert_eq!(whole_number("18446744073709551615"), Some(u64::MAX));
        assert_eq!(whole_number("-9223372036854775808"), Some(i64::MIN));
    }

    #[test]
    fn what_has_a_fraction_does_not_fit_or_is_no_number_is_refused() {
        for text in [
            "5.5",
            "1e-3",
            "50.11e1",
            "-1",
            "18446744073709551616",
            "1e20",
            "1e39",
            "1e999999999",
            "1e99999999999999",
            "",
            "-",
            "05",
            "00",
            "+5",
            "5.",
            ".5",
            "e5",
            "5e",
            "5e1.0",
            "5_000",
            " 5",
            "5 ",
            "0x5",
            "NaN",
            "inf",
            "٥",
            "5,0",
            "--5",
        ] {
            assert_eq!(whole_number::<u64>(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_spelling_of_a_number_is_that_number(number: i64, zeros in 0..9_usize) {
            let zeros_behind = "0".repeat(zeros + 1);
            for text in [
                number.to_string(),
                format!("{number}.{zeros_behind}"),
                format!("{number}{zeros_behind}e-{}", zeros + 1),
            ] {
                prop_assert_eq!(whole_number(&text), Some(number), "{}", text);
            }
        }

        #[test]
        fn any_text_is_a_whole_number_or_none(text in prop_oneof![any::<String>(), "[-+0-9.eE]{0,60}"]) {
            if let Some(number) = whole_number::<i128>(&text) {
                prop_assert!(text.parse::<f64>().is_ok(), "{} as {}", text, number);
            }
        }
    }
}

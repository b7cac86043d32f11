//! Names as `CloudWatch` takes them for the value of a dimension.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `CloudWatch`'s limit, in characters.
const MAX_CHARS: usize = 1024;

/// The characters of the mark behind a name that was cut: a tilde and 16 hexadecimal digits.
const MARK_CHARS: usize = 17;

/// The value of the dimension that stands for `name`: the name itself where `CloudWatch` takes it
/// (API reference of `Dimension`), else escaped. `CloudWatch` drops a metric whose dimension it
/// does not take, in silence.
///
/// | name | value |
/// |---|---|
/// | ASCII without control characters, at most 1,024, one of them no white space | itself |
/// | a colon in front | itself: only names of dimensions must not begin with one |
/// | anything but printable ASCII in it | percent-encoded, as in URLs: `caf%C3%A9`; `%` too |
/// | empty, or white space alone | percent-encoded: `%20`; empty: `%` |
/// | longer, escaped or not | its first 1,007 characters, `~`, and a hash of the name |
#[must_use]
pub fn dimension(name: &str) -> Cow<'_, str> {
    let is_plain = name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !name.trim().is_empty();
    let value = if is_plain {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(escaped(name))
    };
    if value.len() <= MAX_CHARS {
        return value;
    }
    let start = &value[..MAX_CHARS - MARK_CHARS];
    Cow::Owned(format!("{start}~{:016x}", hash(name.as_bytes())))
}

fn escaped(name: &str) -> String {
    if name.is_empty() {
        return "%".to_owned();
    }
    let mut value = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            value.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(value, "%{byte:02X}");
        }
    }
    value
}

/// FNV-1a: the same in each version of each compiler, as alarms hang on it.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_cloudwatch_takes_is_written_as_it_is_and_any_other_escaped() {
        let longest = "g".repeat(1024);
        for (name, value) in [
            ("orders", "orders"),
            ("my group, 100 %", "my group, 100 %"),
            (":g", ":g"),
            (&*longest, &*longest),
            ("café", "caf%C3%A9"),
            ("100 % café", "100%20%25%20caf%C3%A9"),
            ("a\tb\u{7f}", "a%09b%7F"),
            (" ", "%20"),
            ("", "%"),
        ] {
            assert_eq!(dimension(name), value, "{name:?}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_and_stays_one_of_its_own() {
        let (one, other) = ("g".repeat(1025), format!("{}h", "g".repeat(1024)));
        assert_eq!(dimension(&one).len(), 1024);
        assert!(dimension(&one).starts_with(&"g".repeat(1007)));
        assert_ne!(dimension(&one), dimension(&other));
        assert_eq!(dimension(&"é".repeat(1000)).len(), 1024);
    }

    proptest! {
        #[test]
        fn any_name_becomes_a_value_that_cloudwatch_takes(name in prop_oneof![any::<String>(), "[ -~]{0,1100}"]) {
            let value = dimension(&name);
            prop_assert!((1..=1024).contains(&value.len()));
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !value.trim().is_empty());
        }
    }
}

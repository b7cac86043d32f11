//! How a pattern matches a text: whole, by its start or end, with wildcards,
//! with or without regard to case.

/// A text of a pattern that matches in upper and lower case.
///
/// As AWS's matcher: each character of the pattern matches its lower-case and
/// its upper-case form, which may have several characters (`ß` matches `SS`;
/// `SS` does not match `ß`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CaseInsensitive(Vec<[String; 3]>);

impl CaseInsensitive {
    pub(super) fn new(text: &str) -> Self {
        let forms = |c: char| [c.to_string(), c.to_lowercase().collect(), c.to_uppercase().collect()];
        Self(text.chars().map(forms).collect())
    }

    /// Whether it is all of `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.strip_prefix(text).is_some_and(str::is_empty)
    }

    /// Whether `text` starts with it.
    pub(super) fn starts(&self, text: &str) -> bool {
        self.strip_prefix(text).is_some()
    }

    /// Whether `text` ends with it.
    pub(super) fn ends(&self, text: &str) -> bool {
        let strip =
            |rest: &str, forms: &[String; 3]| forms.iter().find_map(|form| Some(rest.strip_suffix(&**form)?.len()));
        let mut rest = text;
        self.0.iter().rev().all(|forms| match strip(rest, forms) {
            Some(length) => {
                rest = &rest[..length];
                true
            }
            None => false,
        })
    }

    fn strip_prefix<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.0.iter().try_fold(text, |rest, forms| {
            forms.iter().find_map(|form| rest.strip_prefix(&**form))
        })
    }
}

/// A text in which `*` matches any characters, also none. `\*` is an asterisk
/// and `\\` a backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wildcard {
    /// The texts between the asterisks, in order: at least one.
    pieces: Vec<String>,
}

impl Wildcard {
    /// The wildcard that `text` writes, or what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut pieces = vec![String::new()];
        let mut after_asterisk = false;
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let asterisk = character == '*';
            let literal = match character {
                '*' if after_asterisk => return Err("two asterisks in a row: write one"),
                '*' => None,
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '\\')) => Some(escaped),
                    _ => return Err("a backslash that escapes neither * nor \\: write \\\\ for a backslash"),
                },
                other => Some(other),
            };
            after_asterisk = asterisk;
            match (literal, pieces.last_mut()) {
                (Some(literal), Some(piece)) => piece.push(literal),
                _ => pieces.push(String::new()),
            }
        }
        Ok(Self { pieces })
    }

    /// Whether it is all of `text`. Time is linear in the text for each piece.
    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &*self.pieces else {
            return self.pieces.iter().all(|only| only == text);
        };
        let Some(mut rest) = text.strip_prefix(&**first) else {
            return false;
        };
        for piece in middle {
            // The first place leaves the most text for the pieces after it.
            match rest.find(&**piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(&**last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_is_ignored_as_aws_does() {
        let rows = [
            ("AB", "ab", true),
            ("ab", "AB", true),
            ("STRASSE", "straße", false),
            ("STRAßE", "Strasse", false),
            ("STRAßE", "STRASSE", true),
            ("STRAßE", "straße", true),
            ("", "", true),
            ("a", "ab", false),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(
                CaseInsensitive::new(pattern).matches(text),
                expected,
                "{pattern} on {text}"
            );
        }
        assert!(CaseInsensitive::new("äB").starts("ÄBc"));
        assert!(CaseInsensitive::new("Bß").ends("xbSS"));
        assert!(!CaseInsensitive::new("xy").ends("y"));
    }

    #[test]
    fn a_wildcard_matches_any_characters_between_its_pieces() {
        let rows = [
            ("A*4", "AB1234", true),
            ("A*4", "A4", true),
            ("A*4", "A", false),
            ("*", "", true),
            ("a*b*c", "axbxbc", true),
            ("a*b*c", "axc", false),
            ("ab*ba", "aba", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            (r"a\\*", r"a\b", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
        ];
        for (pattern, text, expected) in rows {
            let wildcard = Wildcard::parse(pattern).unwrap();
            assert_eq!(wildcard.matches(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_wildcard_that_aws_refuses_is_refused() {
        for pattern in ["A**4", r"AB\x", r"a\", "***"] {
            assert!(Wildcard::parse(pattern).is_err(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_wildcard_matches_as_its_definition_character_by_character(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            prop_assume!(!pattern.contains("**"));
            let mut table = vec![vec![false; text.len() + 1]; pattern.len() + 1];
            table[0][0] = true;
            for (p, c) in pattern.bytes().enumerate() {
                for t in 0..=text.len() {
                    table[p + 1][t] = if c == b'*' {
                        table[p][t] || (t > 0 && table[p + 1][t - 1])
                    } else {
                        t > 0 && table[p][t - 1] && text.as_bytes()[t - 1] == c
                    };
                }
            }
            let expected = table[pattern.len()][text.len()];
            prop_assert_eq!(Wildcard::parse(&pattern).unwrap().matches(&text), expected);
        }
    }
}

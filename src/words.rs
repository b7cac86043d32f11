//! Enums whose values are words of the JSON output.

/// Defines an enum with its words, which are part of the interface: `as_str`, the
/// JSON form, and in tests `WORDS`.
macro_rules! words {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$documentation:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        $visibility enum $name {
            $($(#[$documentation])* $variant,)+
        }

        impl $name {
            /// Every word, in order.
            #[cfg(test)]
            const WORDS: &[&str] = &[$($word,)+];

            /// The word as in the JSON form.
            #[must_use]
            $visibility const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use words;

/// The words in the first column of the table under `heading` in docs/CLI.md.
#[cfg(test)]
pub(crate) fn documented(heading: &str) -> Vec<&'static str> {
    let page = include_str!("../docs/CLI.md").lines();
    let table = page
        .skip_while(|line| *line != heading)
        .skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    rows.filter_map(|row| row.split('`').nth(1)).collect()
}

//! Cuts texts of unlimited length.

use std::borrow::Cow;

const ELLIPSIS: char = '…';

/// `text` in at most `longest_bytes` (3 or more), cut between characters. A
/// text that was cut ends with an ellipsis.
pub(crate) fn cut<'a>(text: impl Into<Cow<'a, str>>, longest_bytes: usize) -> Cow<'a, str> {
    let text = text.into();
    if text.len() <= longest_bytes {
        return text;
    }
    let end = text.floor_char_boundary(longest_bytes.saturating_sub(ELLIPSIS.len_utf8()));
    Cow::Owned(format!("{}{ELLIPSIS}", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_unchanged() {
        assert!(matches!(cut("twelve bytes", 12), Cow::Borrowed("twelve bytes")));
    }

    #[test]
    fn a_longer_text_is_cut_between_characters_and_ends_with_an_ellipsis() {
        assert_eq!(cut("0123456789", 9), "012345…");
        for longest in 3..80 {
            let text = cut("é€😀".repeat(20), longest);
            assert!(
                text.len() <= longest && text.ends_with(ELLIPSIS),
                "{text:?} in {longest}"
            );
        }
    }
}

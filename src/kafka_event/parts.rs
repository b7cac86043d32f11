//! Bytes in JSON, as AWS writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::record::Header;

/// `bytes` as base64 with padding, in the alphabet with `+` and `/`.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Appends `bytes` as [`base64`].
pub(super) fn append_base64(to: &mut Vec<u8>, bytes: &[u8]) {
    let start = to.len();
    to.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut to[start..]);
    debug_assert_eq!(written, Ok(to.len() - start));
}

/// A header: an object of one name, the value as a list of Java's signed bytes,
/// or `null`. JSON has no bytes for names: in one that is not UTF-8, U+FFFD
/// stands for them.
pub(crate) struct OneHeader<'a>(pub &'a Header);

impl Serialize for OneHeader<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.0.name(), &self.0.value.as_deref().map(SignedBytes))?;
        map.end()
    }
}

struct SignedBytes<'a>(&'a [u8]);

impl Serialize for SignedBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|byte| byte.cast_signed()))
    }
}

//! Headers whose names are bytes.
//!
//! rdkafka takes and returns names as `str`, and panics at one that is not
//! UTF-8. These two functions call librdkafka itself, which has bytes, up to
//! the first zero byte: a C string ends there. see docs/adr/0015.
#![expect(unsafe_code, reason = "rdkafka has no safe way to a name that is not UTF-8")]

use std::ffi::CStr;
use std::{ptr, slice};

use bytes::Bytes;
use rdkafka::bindings::{
    rd_kafka_header_add, rd_kafka_header_cnt, rd_kafka_header_get_all, rd_kafka_headers_t, rd_kafka_message_headers,
};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{self, BorrowedMessage, OwnedHeaders};

use crate::record::Header;

/// More headers of one record are an error of librdkafka's.
pub const MAX_HEADERS: usize = 100_000;

/// The headers of `message`, in the producer's order.
///
/// # Errors
/// When they are damaged, or more than [`MAX_HEADERS`].
pub fn read(message: &mut BorrowedMessage<'_>) -> Result<Vec<Header>, RDKafkaErrorCode> {
    let mut headers = ptr::null_mut();
    // SAFETY: `message` is a message of librdkafka's that lives as long as the borrow, and has no other user
    // meanwhile: its headers are parsed with the first call.
    let found = unsafe { rd_kafka_message_headers(message.ptr(), &raw mut headers) };
    match found.into() {
        RDKafkaErrorCode::NoError => {}
        RDKafkaErrorCode::NoEnt => return Ok(vec![]),
        code => return Err(code),
    }
    // SAFETY: without an error `headers` is the message's own list, which lives as long as the message.
    let count = unsafe { rd_kafka_header_cnt(headers) };
    // SAFETY: as above.
    (0..count).map(|index| unsafe { one(headers, index) }).collect()
}

/// The header at `index`.
///
/// # Safety
/// `headers` is a list of librdkafka's that nothing changes meanwhile.
unsafe fn one(headers: *const rd_kafka_headers_t, index: usize) -> Result<Header, RDKafkaErrorCode> {
    let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
    // SAFETY: `headers` by the caller's contract; the others are places for one result each.
    let found = unsafe { rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut size) };
    match found.into() {
        RDKafkaErrorCode::NoError => {}
        code => return Err(code),
    }
    // SAFETY: without an error the name is a C string, which the list owns.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    let value = (!value.is_null()).then(|| {
        // SAFETY: a value that is not null has `size` bytes, which the list owns.
        Bytes::copy_from_slice(unsafe { slice::from_raw_parts(value.cast::<u8>(), size) })
    });
    Ok(Header::new(Bytes::copy_from_slice(name), value))
}

/// `headers` with one more behind them.
#[must_use]
pub fn add(headers: OwnedHeaders, name: &[u8], value: Option<&[u8]>) -> OwnedHeaders {
    if let Ok(key) = std::str::from_utf8(name) {
        return headers.insert(message::Header { key, value });
    }
    // What rdkafka calls borrowed headers is librdkafka's list itself, behind a reference.
    let list = ptr::from_ref(headers.as_borrowed())
        .cast_mut()
        .cast::<rd_kafka_headers_t>();
    let (bytes, size) = value.map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len()));
    // SAFETY: `list` is alive and ours alone, as `headers` is. Name and value are read within the call, and have
    // these lengths: a slice never has more than `isize::MAX` bytes.
    let added = unsafe {
        rd_kafka_header_add(
            list,
            name.as_ptr().cast(),
            name.len().cast_signed(),
            bytes.cast(),
            size.cast_signed(),
        )
    };
    debug_assert_eq!(
        RDKafkaErrorCode::from(added),
        RDKafkaErrorCode::NoError,
        "a list of one's own takes any header"
    );
    headers
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;

    use super::*;

    fn listed(headers: &OwnedHeaders) -> Vec<Header> {
        let list = ptr::from_ref(headers.as_borrowed()).cast::<rd_kafka_headers_t>();
        // SAFETY: `headers` lives, and nothing changes it.
        let one = |index| unsafe { one(list, index) }.expect("it is there");
        (0..headers.count()).map(one).collect()
    }

    #[test]
    fn names_and_values_of_any_bytes_come_back_as_they_were_in_their_order() {
        let all: [(&[u8], Option<&[u8]>); 6] = [
            (b"caf\xE9", Some(b"1")),
            ("café".as_bytes(), Some(b"\x00\xFF")),
            (b"\xFF\xFE", None),
            (b"", Some(b"")),
            (b"caf\xE9", Some(b"")),
            (b"plain", None),
        ];
        let headers = all
            .iter()
            .fold(OwnedHeaders::new(), |headers, (name, value)| add(headers, name, *value));
        let expected = all.map(|(name, value)| Header::new(name, value.map(Bytes::from_static)));
        assert_eq!(listed(&headers), expected);
        // What rdkafka itself sees.
        assert_eq!(headers.get(1).key, "café");
        assert_eq!(listed(&headers.clone()), expected);
    }

    /// Once it does not, this module is no longer needed.
    #[test]
    fn rdkafka_itself_still_panics_at_a_name_that_is_not_text() {
        let headers = add(OwnedHeaders::new(), b"caf\xE9", None);
        let read = std::panic::catch_unwind(|| headers.try_get(0).is_some());
        assert!(read.is_err(), "read names with rdkafka, and remove this module");
    }

    #[test]
    fn a_name_ends_at_a_zero_byte() {
        let headers = add(OwnedHeaders::new(), b"a\x00\xFF", Some(b"1"));
        assert_eq!(listed(&headers), [Header::new("a", Some(Bytes::from_static(b"1")))]);
    }
}

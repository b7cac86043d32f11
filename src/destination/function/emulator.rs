//! Lambda's emulators on a developer's machine, where they differ from Lambda. Pure.
//!
//! `cargo lambda watch` and the Runtime Interface Emulator have functions by their
//! name only. The emulator also returns a function's error, and its time-out, without
//! `X-Amz-Function-Error`.

use serde_json::Value;

/// Whether an emulator has no function by this ARN. Lambda's own 404 has an error code.
pub(super) fn has_names_only(status: Option<u16>, code: Option<&str>) -> bool {
    status == Some(404) && code.is_none()
}

/// Whether a response that is not marked as an error is one: a runtime reports errors
/// with these two fields, and the emulator a time-out as text.
pub(super) fn is_unmarked_error(payload: &[u8]) -> bool {
    match serde_json::from_slice(payload) {
        Ok(Value::Object(fields)) => fields.contains_key("errorType") && fields.contains_key("errorMessage"),
        Ok(_) => false,
        Err(_) => payload.starts_with(b"Task timed out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_404_without_a_code_is_an_emulator_s() {
        assert!(has_names_only(Some(404), None));
        assert!(!has_names_only(Some(404), Some("ResourceNotFoundException")));
        assert!(!has_names_only(Some(403), None));
        assert!(!has_names_only(None, None));
    }

    #[test]
    fn an_error_that_is_not_marked_is_recognised() {
        assert!(is_unmarked_error(
            br#"{"errorType":"Error","errorMessage":"x","trace":[]}"#
        ));
        assert!(is_unmarked_error(b"Task timed out after 1.00 seconds"));
        for success in [
            "null",
            "",
            "\"ok\"",
            "{}",
            r#"{"errorType":"x"}"#,
            r#"{"batchItemFailures":[]}"#,
        ] {
            assert!(!is_unmarked_error(success.as_bytes()), "{success}");
        }
    }
}

//! Lambda's emulators on a developer's machine, where they differ from Lambda. Pure.
//!
//! `cargo lambda watch` and the Runtime Interface Emulator have functions by their
//! name only. The emulator also returns a function's error, and its time-out, without
//! `X-Amz-Function-Error`.

use serde_json::Value;

/// Whether the endpoint is an emulator that has no function by this ARN: its URL is
/// without TLS, and Lambda's own 404 has an error code. Elsewhere the name alone could
/// be that of another function.
pub(super) fn has_names_only(endpoint: Option<&str>, status: Option<u16>, code: Option<&str>) -> bool {
    endpoint.is_some_and(|url| url.starts_with("http://")) && status == Some(404) && code.is_none()
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
    fn a_404_without_a_code_from_a_url_without_tls_is_an_emulator_s() {
        let local = Some("http://127.0.0.1:9000");
        assert!(has_names_only(local, Some(404), None));
        assert!(!has_names_only(local, Some(404), Some("ResourceNotFoundException")));
        assert!(!has_names_only(local, Some(403), None));
        assert!(!has_names_only(local, None, None));
        assert!(!has_names_only(
            Some("https://lambda.eu-west-1.amazonaws.com"),
            Some(404),
            None
        ));
        assert!(!has_names_only(None, Some(404), None));
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

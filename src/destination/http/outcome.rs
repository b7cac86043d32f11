//! What the status of a response means for the events of the request. Pure.

use http::StatusCode;
use reqwest::Url;

use crate::destination::batched::CallFailure;

/// The parts of a response that decide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) status: StatusCode,
    /// The header `Location`.
    pub(super) location: Option<&'a str>,
    /// The secret of the request's headers, if there is one.
    pub(super) secret: Option<&'a str>,
}

/// What a response means.
///
/// | status | |
/// |---|---|
/// | 2xx | accepted: every event of the request |
/// | 408, 425, 429, any 5xx | [`Throttled`](CallFailure::Throttled): sent again |
/// | 413 | [`TooLarge`](CallFailure::TooLarge) |
/// | 401, 403, 404, 405, 407, 410 | [`Fatal`](CallFailure::Fatal): URL or credentials are wrong, whatever the event |
/// | 3xx that is not followed | [`Fatal`](CallFailure::Fatal), with the host that it names |
/// | any other 4xx | [`Invalid`](CallFailure::Invalid): never sent again |
/// | anything else | [`Fatal`](CallFailure::Fatal): it is no response to a request |
///
/// No text has the body, a header's value other than the host in `Location`, or a query.
pub(super) fn of_response(head: Head<'_>) -> Result<(), CallFailure> {
    let status = head.status;
    let text = |next: &str| format!("HTTP {}: {next}", named(status));
    Err(match status.as_u16() {
        200..=299 => return Ok(()),
        413 => CallFailure::TooLarge,
        408 | 425 | 429 => CallFailure::Throttled(text(
            "the endpoint takes no more requests now. If it lasts, reduce what is sent: a larger BATCH_SIZE, or fewer \
             partitions at once",
        )),
        500..=599 => CallFailure::Throttled(text("the endpoint failed. See the endpoint's own log")),
        300..=399 => CallFailure::Fatal(text(&redirect(head.location))),
        401 | 403 => CallFailure::Fatal(text(&denied(head.secret))),
        404 | 410 => CallFailure::Fatal(text("the endpoint does not exist. Correct the URL of DESTINATION")),
        405 => CallFailure::Fatal(text("the endpoint takes no POST. Correct the URL of DESTINATION")),
        407 => CallFailure::Fatal(text(
            "the proxy refuses the request. Correct HTTPS_PROXY, with the credentials of the proxy, or name the host in \
             NO_PROXY",
        )),
        431 => CallFailure::Invalid(text(
            "the endpoint takes no headers as large as those of this event. Raise its limit; with a BATCH_SIZE above 1 \
             key and headers are in the body",
        )),
        400..=499 => CallFailure::Invalid(text(
            "the endpoint refuses the event. Correct the endpoint if it should accept it: its own log has the reason",
        )),
        _ => CallFailure::Fatal(text("this is no response to a POST. Correct the URL of DESTINATION")),
    })
}

/// `404 Not Found`.
fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn denied(secret: Option<&str>) -> String {
    match secret {
        Some(arn) => format!(
            "the endpoint refuses the credentials of the secret {arn}, which was read again. Correct the secret, or the \
             permissions at the endpoint"
        ),
        None => "the endpoint refuses a request without credentials. Set HTTP_HEADERS_SECRET_ARN to a secret with the \
                 headers, such as {\"Authorization\": ...}"
            .to_owned(),
    }
}

/// A redirect may lead to a server that must get neither the events nor the credentials.
fn redirect(location: Option<&str>) -> String {
    // Without a scheme: a host of the same scheme.
    let absolute = location.map(|it| {
        if it.starts_with("//") {
            format!("https:{it}")
        } else {
            it.to_owned()
        }
    });
    let to = match absolute.as_deref().map(Url::parse) {
        None => "no other URL".to_owned(),
        Some(Ok(url)) => url.host_str().unwrap_or("another scheme").to_owned(),
        Some(Err(_)) => "another path of the same host".to_owned(),
    };
    format!(
        "the endpoint redirects to {to}. Only 307 and 308 to the same scheme, host and port are followed; set DESTINATION \
         to the URL that takes the events"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16) -> Result<(), CallFailure> {
        of_response(Head {
            status: StatusCode::from_u16(status).expect("a status"),
            location: None,
            secret: None,
        })
    }

    #[test]
    fn each_status_is_accepted_sent_again_or_refused_as_in_the_table() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(of(status), Ok(()), "{status}");
        }
        for status in [408, 425, 429, 500, 501, 502, 503, 504, 599] {
            assert!(matches!(of(status), Err(CallFailure::Throttled(_))), "{status}");
        }
        for status in [401, 403, 404, 405, 407, 410, 300, 301, 302, 304, 307, 101, 600, 999] {
            assert!(matches!(of(status), Err(CallFailure::Fatal(_))), "{status}");
        }
        for status in [400, 402, 406, 409, 415, 422, 431, 451, 499] {
            assert!(matches!(of(status), Err(CallFailure::Invalid(_))), "{status}");
        }
        assert_eq!(of(413), Err(CallFailure::TooLarge));
    }

    fn fatal(status: u16, location: Option<&str>, secret: Option<&str>) -> String {
        let status = StatusCode::from_u16(status).expect("a status");
        match of_response(Head {
            status,
            location,
            secret,
        }) {
            Err(CallFailure::Fatal(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_redirect_names_the_host_and_nothing_else_of_the_location() {
        let rows = [
            (
                Some("https://u:planted@evil.example/planted?planted"),
                "redirects to evil.example.",
            ),
            (Some("//evil.example/planted"), "redirects to evil.example."),
            (Some("/planted?planted"), "redirects to another path of the same host."),
            (Some("mailto:planted"), "redirects to another scheme."),
            (None, "redirects to no other URL."),
        ];
        for (location, expected) in rows {
            let text = fatal(302, location, None);
            assert!(
                text.starts_with("HTTP 302 Found: ") && text.contains(expected),
                "{text}"
            );
            assert!(!text.contains("planted"), "{text}");
        }
    }

    #[test]
    fn refused_credentials_name_their_secret_or_the_setting_for_one() {
        let text = fatal(401, None, Some("arn:x"));
        assert!(
            text.starts_with("HTTP 401 Unauthorized: ") && text.contains("the secret arn:x"),
            "{text}"
        );
        assert!(fatal(403, None, None).contains("Set HTTP_HEADERS_SECRET_ARN"));
    }
}

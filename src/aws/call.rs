//! The failed call of an AWS service: the state of its attempts, and its error.

use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};

use super::profile;

/// The error code of a failed call, if `service` returned one, and the message:
/// that of the service, or the error of the connection.
pub(crate) fn code_and_message<'a, E>(error: &'a SdkError<E>, service: &str) -> (Option<&'a str>, String)
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let service_error = error.as_service_error();
    let code = service_error.and_then(ProvideErrorMetadata::code);
    let message = match (service_error, error.raw_response()) {
        (Some(service_error), _) if code.is_some() => service_error.message().unwrap_or_default().to_owned(),
        // A proxy's page, or another service on this port.
        (Some(_), Some(response)) => {
            format!(
                "a response that is not from {service}, with HTTP status {}",
                response.status().as_u16()
            )
        }
        _ => chain(error),
    };
    (code, message)
}

/// The HTTP status of a failed call, if there was a response.
pub(crate) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether the error code refuses the credentials themselves, whatever their permissions.
pub(crate) fn is_about_credentials(code: &str) -> bool {
    matches!(
        code,
        "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidClientTokenId"
    )
}

/// Why a request was not sent, in two parts as in [`Error`](crate::error::Error).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsent {
    /// What happened.
    pub(crate) what: String,
    /// What to do next.
    pub(crate) next: &'static str,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.what, self.next)
    }
}

/// Explains why a request was not sent. `message` is the SDK's error: credentials are resolved before
/// the request is sent, so most often there are none.
pub(crate) fn unsent(message: &str) -> Unsent {
    profile::missing()
        .or_else(|| invalid_endpoint(message))
        .unwrap_or_else(|| Unsent {
            what: message.to_owned(),
            next: "Check the AWS credentials: environment, profile (AWS_PROFILE) or role",
        })
}

/// An endpoint that no request can be sent to. The variables are validated with the settings; a
/// profile can set one too. The SDK's message contains the whole request.
fn invalid_endpoint(message: &str) -> Option<Unsent> {
    let (_, rest) = message.split_once("failed to apply endpoint `")?;
    let (endpoint, _) = rest.split_once('`')?;
    Some(Unsent {
        what: format!("the endpoint \"{}\" is not a URL", without_password(endpoint)),
        next: "Correct endpoint_url in the profile of ~/.aws/config, or AWS_ENDPOINT_URL: it begins with its scheme, as \
               http://127.0.0.1:8000 does",
    })
}

/// An error with its causes on one line, each once, without the SDK's wrappers,
/// which add no information.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    const WRAPPERS: [&str; 4] = ["dispatch failure", "other", "io error", "service error"];
    let mut messages: Vec<String> = vec![];
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.to_string().lines().map(str::trim).collect::<Vec<_>>().join("; ");
        if !WRAPPERS.contains(&message.as_str()) && messages.last().is_none_or(|last| !last.contains(&message)) {
            messages.push(message);
        }
        next = error.source();
    }
    messages.join(": ").trim_end_matches('.').to_owned()
}

/// Observes the attempts that the SDK makes for one call.
///
/// The SDK reports only the last attempt. For a conditional write the others
/// matter as much:
///
/// | an attempt that was sent | may have been applied |
/// |---|---|
/// | and succeeded, or got a 4xx response | no: the result of the call is certain |
/// | and got a 5xx response, or none | yes, even if the next attempt is throttled |
/// | and failed to connect | yes: the SDK does not distinguish it reliably |
#[derive(Debug, Clone, Default)]
pub(crate) struct AttemptObserver(Arc<Attempts>);

impl AttemptObserver {
    /// Whether an attempt was sent at all. Credentials are resolved before that.
    pub(crate) fn sent(&self) -> bool {
        self.0.any_sent.load(Ordering::SeqCst)
    }

    /// Whether an attempt may have been applied although the call failed. The
    /// call's own time-out cancels the attempt in flight: that one counts too.
    pub(crate) fn may_have_been_applied(&self) -> bool {
        self.0.may_have_been_applied.load(Ordering::SeqCst) || self.0.in_flight.load(Ordering::SeqCst)
    }

    /// The URL that the attempts were sent to, without path, user and password.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.get().map(String::as_str)
    }
}

/// An address without the `user:password@` in front of its host.
fn without_password(uri: &str) -> String {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("", uri));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}{}{host}{path}", if scheme.is_empty() { "" } else { "://" })
}

#[derive(Debug, Default)]
struct Attempts {
    in_flight: AtomicBool,
    any_sent: AtomicBool,
    may_have_been_applied: AtomicBool,
    endpoint: OnceLock<String>,
}

impl Intercept for AttemptObserver {
    fn name(&self) -> &'static str {
        "AttemptObserver"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.in_flight.store(true, Ordering::SeqCst);
        self.0.any_sent.store(true, Ordering::SeqCst);
        self.0
            .endpoint
            .get_or_init(|| without_password(context.request().uri().trim_end_matches('/')));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let sent = self.0.in_flight.swap(false, Ordering::SeqCst);
        let refused = context
            .response()
            .is_some_and(|response| response.status().is_client_error());
        let succeeded = context.output_or_error().is_some_and(|result| result.is_ok());
        if sent && !refused && !succeeded {
            self.0.may_have_been_applied.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        let rows = [
            ("http://u:p@gateway:8000/x", "http://gateway:8000/x"),
            (
                "https://dynamodb.eu-west-1.amazonaws.com",
                "https://dynamodb.eu-west-1.amazonaws.com",
            ),
            ("http://u@p:q@h", "http://h"),
            ("h/a@b", "h/a@b"),
        ];
        for (uri, expected) in rows {
            assert_eq!(without_password(uri), expected);
        }
    }

    #[test]
    fn an_endpoint_that_is_not_a_url_is_reported_without_the_request() {
        let message = "failed to apply endpoint `u:planted@127.0.0.1:8000` to request `Request { body: planted }`: endpoint \
                    must contain scheme";
        let explained = invalid_endpoint(message).expect("it is about the endpoint").to_string();
        assert!(
            explained.starts_with("the endpoint \"127.0.0.1:8000\" is not a URL. Correct endpoint_url"),
            "{explained}"
        );
        assert!(!explained.contains("planted"), "{explained}");
        assert_eq!(invalid_endpoint("no providers in chain provided credentials"), None);
    }

    #[test]
    fn every_cause_is_in_the_message_once_and_on_one_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Layer(&'static str, #[source] std::io::Error);
        assert_eq!(chain(&Layer("outer", std::io::Error::other("inner"))), "outer: inner");
        assert_eq!(
            chain(&Layer("dispatch failure", std::io::Error::other("inner"))),
            "inner"
        );
        assert_eq!(
            chain(&Layer("tried:\n  this\n  that", std::io::Error::other("this"))),
            "tried:; this; that"
        );
    }
}

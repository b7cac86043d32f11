//! One call of an AWS service: what its attempts came to, and what was said.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};

use super::profile;

/// The code of a failed call, if `service` answered with one, and its words:
/// those of the service, or of what went wrong on the way to it.
pub(crate) fn said<'a, E>(error: &'a SdkError<E>, service: &str) -> (Option<&'a str>, String)
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let answer = error.as_service_error();
    let code = answer.and_then(ProvideErrorMetadata::code);
    let said = match (answer, error.raw_response()) {
        (Some(answer), _) if code.is_some() => answer.message().unwrap_or_default().to_owned(),
        // A proxy's page, or another service on this port.
        (Some(_), Some(response)) => {
            format!(
                "an answer that is not {service}'s came instead, with HTTP status {}",
                response.status().as_u16()
            )
        }
        _ => chain(error),
    };
    (code, said)
}

/// Whether a service refused the credentials themselves, whatever they may do.
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

/// Why a request was never sent, and what to do next. Before that credentials are looked for.
pub(crate) fn unsent(said: &str) -> String {
    let known = profile::missing().or_else(|| no_endpoint(said));
    known.unwrap_or_else(|| format!("{said}. Check the AWS credentials: environment, profile (AWS_PROFILE) or role"))
}

/// An endpoint that no request can be sent to. The variables are checked before; a profile can have
/// one too. The SDK's words hold the whole request.
fn no_endpoint(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("failed to apply endpoint `")?;
    let (endpoint, _) = rest.split_once('`')?;
    Some(format!(
        "the endpoint \"{}\" is no URL. Correct endpoint_url in the profile of ~/.aws/config, or AWS_ENDPOINT_URL: it \
         begins with its scheme, as http://127.0.0.1:8000 does",
        without_password(endpoint)
    ))
}

/// An error with its causes on one line, each said once, without the SDK's
/// wrappers, which say nothing.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    const WRAPPERS: [&str; 4] = ["dispatch failure", "other", "io error", "service error"];
    let mut said: Vec<String> = vec![];
    let mut next = Some(error);
    while let Some(error) = next {
        let words = error.to_string().lines().map(str::trim).collect::<Vec<_>>().join("; ");
        if !WRAPPERS.contains(&words.as_str()) && said.last().is_none_or(|last| !last.contains(&words)) {
            said.push(words);
        }
        next = error.source();
    }
    said.join(": ").trim_end_matches('.').to_owned()
}

/// Watches the attempts that the SDK makes for one call.
///
/// The SDK tells only of the last attempt. For a conditional write the others
/// matter as much: one that was sent and got no answer may have been applied,
/// even if the next was throttled. An attempt that the service answered with a
/// 4xx was certainly not applied. A connection that could not be made counts
/// as doubt too: the SDK does not tell it apart reliably, and the read that
/// follows says what is wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttemptObserver(Arc<Seen>);

impl AttemptObserver {
    /// Whether an attempt was sent at all. Before that credentials are looked for.
    pub(crate) fn sent(&self) -> bool {
        self.0.sent_ever.load(Ordering::SeqCst)
    }

    /// Whether one of the attempts may have done its work without our knowing.
    /// The call's own time-out drops an attempt that is open: that one counts.
    pub(crate) fn may_have_been_applied(&self) -> bool {
        self.0.may_have_been_applied.load(Ordering::SeqCst) || self.0.sent.load(Ordering::SeqCst)
    }

    /// Where the attempts were sent to.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.get().map(String::as_str)
    }
}

/// An address without the `user:password@` that may stand before its host.
fn without_password(uri: &str) -> String {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("", uri));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}{}{host}{path}", if scheme.is_empty() { "" } else { "://" })
}

#[derive(Debug, Default)]
struct Seen {
    /// An attempt is open.
    sent: AtomicBool,
    sent_ever: AtomicBool,
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
        self.0.sent.store(true, Ordering::SeqCst);
        self.0.sent_ever.store(true, Ordering::SeqCst);
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
        let sent = self.0.sent.swap(false, Ordering::SeqCst);
        let refused = context
            .response()
            .is_some_and(|response| response.status().is_client_error());
        let done = context.output_or_error().is_some_and(|result| result.is_ok());
        if sent && !refused && !done {
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
    fn an_endpoint_that_is_no_url_is_said_without_the_request() {
        let said = "failed to apply endpoint `u:planted@127.0.0.1:8000` to request `Request { body: planted }`: endpoint \
                    must contain scheme";
        let explained = no_endpoint(said).expect("it is about the endpoint");
        assert!(
            explained.starts_with("the endpoint \"127.0.0.1:8000\" is no URL. Correct endpoint_url"),
            "{explained}"
        );
        assert!(!explained.contains("planted"), "{explained}");
        assert_eq!(no_endpoint("no providers in chain provided credentials"), None);
    }

    #[test]
    fn every_cause_is_said_once_and_on_one_line() {
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

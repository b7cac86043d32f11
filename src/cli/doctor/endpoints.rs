//! The HTTP endpoints of `DESTINATION`: whether they can be connected to, and whether the secret of
//! their headers can be read. No request is sent to them.

use tokio::time::timeout;

use super::DoctorContext;
use super::check::Check;
use crate::config::{Config, Destination, EndpointUrl};
use crate::destination::batched::CallFailure;
use crate::destination::http;
use crate::error::ErrorType::DestinationFailed;
use crate::security::SecretHeaders;

const NAME: &str = "endpoint";

pub(super) async fn checks(context: &DoctorContext) -> Vec<Check> {
    let endpoints = endpoints(context.config());
    let connections = endpoints.into_iter().map(async |url| {
        let connected = timeout(context.limit(), http::connect(url)).await;
        let connected = connected.unwrap_or_else(|_| {
            let text = format!(
                "no connection within {:?} (POLL_TIMEOUT). Check the network",
                context.limit()
            );
            Err(CallFailure::Throttled(text))
        });
        of_connection(url, connected).on(url)
    });
    let (secret, connections) = futures::join!(secret(context), futures::future::join_all(connections));
    secret.into_iter().chain(connections).collect()
}

/// Each endpoint once, in the order of the routes.
fn endpoints(config: &Config) -> Vec<&EndpointUrl> {
    let mut endpoints = vec![];
    for (_, route) in config.routes.iter() {
        if let Destination::Http(url) = &route.to
            && !endpoints.contains(&url)
        {
            endpoints.push(url);
        }
    }
    endpoints
}

/// The check of the secret, if there is one.
async fn secret(context: &DoctorContext) -> Option<Check> {
    let arn = context.config().http_headers_secret.clone()?;
    let secret = SecretHeaders::new(arn.clone());
    let check = match secret.current(context.call_limits.call).await {
        Ok(headers) => {
            let names: Vec<&str> = headers.keys().map(AsRef::as_ref).collect();
            Check::ok("secret", format!("headers for HTTP endpoints: {}", names.join(", ")))
        }
        Err(error) => Check::error("secret", &error),
    };
    Some(check.on(arn))
}

/// The check of one endpoint.
///
/// | | |
/// |---|---|
/// | a connection, with TLS if the URL is of https | ok; only a record verifies path and credentials |
/// | none | failed |
fn of_connection(url: &EndpointUrl, connected: Result<(), CallFailure>) -> Check {
    let text = match connected {
        Ok(()) => {
            let with_tls = if url.is_encrypted() { " with TLS" } else { "" };
            let what = format!("connected to {}{with_tls}; no request was sent", url.address());
            return Check::ok(NAME, what)
                .with(["only the first record verifies the path and the credentials".to_owned()]);
        }
        Err(CallFailure::Throttled(text) | CallFailure::Invalid(text) | CallFailure::Fatal(text)) => text,
        Err(CallFailure::TooLarge) => "the endpoint refuses the size of the request. Correct DESTINATION".to_owned(),
    };
    let (what, next) = text.split_once(". ").unwrap_or((&text, "Correct DESTINATION"));
    Check::failed(NAME, DestinationFailed, what, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    #[test]
    fn each_endpoint_is_checked_once() {
        let routes = r#"{"a":"https://h/1?t=x","b":"log","c":"https://h/2","d":{"to":"https://h/1?t=x"}}"#;
        let settings = [("DESTINATION", routes), ("KAFKA_TOPIC", "a,b,c,d")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::from_lookup(settings).expect("settings");
        let shown: Vec<String> = endpoints(&config).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["https://h/1?***", "https://h/2"]);
    }

    #[test]
    fn a_connection_is_ok_and_none_is_a_failure_with_its_next_step() {
        let url: EndpointUrl = "https://h/a".parse().expect("a URL");
        let check = of_connection(&url, Ok(()));
        assert_eq!(
            (check.status, &*check.what),
            (Status::Ok, "connected to h:443 with TLS; no request was sent")
        );
        let check = of_connection(&url, Err(CallFailure::Throttled("no route. Check it".into())));
        assert_eq!((check.status, &*check.what), (Status::Failed, "no route"));
        assert_eq!(check.next.as_deref(), Some("Check it"));
    }
}

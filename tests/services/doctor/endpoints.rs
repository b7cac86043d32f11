//! The HTTP endpoints of `DESTINATION`.

use std::fs;

use serde_json::json;

use super::{fails, reports};
use crate::support::certificates::CertificateAuthority;
use crate::support::endpoints;
use crate::support::http_endpoint::HttpEndpoint;
use crate::support::secrets::{Secrets, arn};
use crate::support::world::World;

#[tokio::test]
async fn an_endpoint_is_connected_to_with_tls_and_gets_no_request() {
    let mut world = World::new("endpoint", 1).await;
    world.produce(0, 2);
    let endpoint = HttpEndpoint::start_tls(&CertificateAuthority::trusted().server("localhost", 24));
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, CertificateAuthority::trusted().pem()).expect("it is written");
    world
        .set("DESTINATION", endpoint.url("/in?planted"))
        .set("SSL_CERT_FILE", ca.display());
    let (checks, ran) = world.doctor(0);
    let check = checks.on("endpoint", &endpoint.url("/in?***"));
    assert_eq!(check["status"], "ok", "{check:#}");
    reports(check, "with TLS; no request was sent", "");
    assert_eq!((endpoint.received().len(), endpoint.connections()), (0, 1));
    assert!(!format!("{ran:?}").contains("planted"), "{ran:?}");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_connected_to_is_a_failure_with_the_next_step() {
    let mut world = World::new("endpoint", 1).await;
    let endpoint = HttpEndpoint::start_tls(&CertificateAuthority::trusted().server("localhost", 24));
    let closed = format!("http://127.0.0.1:{}/", endpoints::closed());
    let routes = json!({"a": endpoint.url("/"), "b": closed, "*": "log"});
    world.set("DESTINATION", routes);
    let (checks, _) = world.doctor(1);
    let check = checks.on("endpoint", &endpoint.url("/"));
    fails(
        check,
        "DestinationFailed",
        "is of a CA that is not trusted here",
        "set SSL_CERT_FILE",
    );
    let check = checks.on("endpoint", &closed);
    fails(
        check,
        "DestinationFailed",
        "no connection to 127.0.0.1:1",
        "Check the URL of DESTINATION",
    );
}

#[tokio::test]
async fn the_secret_of_headers_is_read_and_shown_by_the_names_of_its_headers() {
    let mut world = World::new("endpoint", 1).await;
    let (endpoint, secrets) = (HttpEndpoint::start(), Secrets::start());
    secrets.put(&arn("good"), json!({"Authorization": "planted"}));
    secrets.put(&arn("bad"), json!({"X-Key": "planted\n"}));
    world
        .set("DESTINATION", endpoint.url("/"))
        .set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.endpoint)
        .set("HTTP_HEADERS_SECRET_ARN", arn("good"));
    let (checks, ran) = world.doctor(0);
    reports(
        checks.on("secret", &arn("good")),
        "headers for HTTP endpoints: authorization",
        "",
    );
    assert!(!format!("{ran:?}").contains("planted"), "{ran:?}");
    world.set("HTTP_HEADERS_SECRET_ARN", arn("bad"));
    let (checks, ran) = world.doctor(1);
    let check = checks.on("secret", &arn("bad"));
    fails(
        check,
        "InvalidConfiguration",
        "the value of the header x-key",
        "Correct them in the secret",
    );
    assert!(!format!("{ran:?}").contains("planted"), "{ran:?}");
}

//! TLS, and credentials in a secret.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::{Destination, message};
use crate::support::certificates::CertificateAuthority;
use crate::support::endpoints;
use crate::support::http_endpoint::{HttpEndpoint, Received, Reply};
use crate::support::kafka::values;
use crate::support::secrets::{Secrets, arn};

fn ca_file(ca: &CertificateAuthority) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    fs::write(&file, ca.pem()).expect("it is written");
    let path = file.to_str().expect("a path").to_owned();
    (folder, path)
}

async fn with_tls(host: &str, hours: i64) -> Destination {
    let server = CertificateAuthority::trusted().server(host, hours);
    let to = Destination::to(HttpEndpoint::start_tls(&server), 1).await;
    to.world.produce_these(0, &values(["0", "1"]));
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_a_private_ca_is_trusted_by_ssl_cert_file() {
    let mut to = with_tls("localhost", 24).await;
    let (_folder, path) = ca_file(CertificateAuthority::trusted());
    to.world.set("SSL_CERT_FILE", path);
    assert_eq!(to.world.run().success()["messages_processed"], 2);
    assert_eq!(to.endpoint.offsets(), [[0], [1]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_verified_stops_the_run_and_names_the_reason() {
    let (_trusted, trusted) = ca_file(CertificateAuthority::trusted());
    let (_other, other) = ca_file(CertificateAuthority::untrusted());
    let rows = [
        (
            "localhost",
            24,
            &other,
            "is of a CA that is not trusted here. For a private CA, set SSL_CERT_FILE",
        ),
        ("localhost", -1, &trusted, "has expired"),
        ("example.com", 24, &trusted, "is for another host name"),
    ];
    for (host, hours, ca, expected) in rows {
        let mut to = with_tls(host, hours).await;
        to.skip_at_once().world.set("SSL_CERT_FILE", ca);
        let report = to.world.run().failure("DestinationFailed", 1);
        assert!(message(&report).contains(expected), "{report}");
        assert!(to.endpoint.received().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_stops_the_run() {
    let mut to = Destination::with(["0"]).await;
    let url = format!("https://localhost:{}/", endpoints::http());
    to.world.set("DESTINATION", url);
    let report = to.world.run().failure("DestinationFailed", 1);
    assert!(message(&report).contains("does not use TLS"), "{report}");
}

/// A destination whose secret holds this authorization.
async fn with_secret(authorization: &str) -> (Destination, Secrets) {
    let mut to = Destination::with(["0", "1", "2"]).await;
    let secrets = Secrets::start();
    secrets.put(
        &arn("headers"),
        json!({"Authorization": authorization, "X-Tenant": "7"}),
    );
    to.world
        .set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.endpoint)
        .set("HTTP_HEADERS_SECRET_ARN", arn("headers"))
        .set("RUST_LOG", "trace");
    (to, secrets)
}

fn authorization(request: &Received) -> &str {
    request.header("authorization").unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_headers_of_the_secret_are_read_once_and_never_logged() {
    let (to, secrets) = with_secret("Bearer planted").await;
    let ran = to.world.run();
    ran.success();
    for request in to.endpoint.received() {
        assert_eq!(
            (authorization(&request), request.header("x-tenant")),
            ("Bearer planted", Some("7"))
        );
    }
    assert_eq!(secrets.requests(), 1);
    assert!(ran.stderr.contains("TRACE"));
    assert!(!ran.stderr.contains("planted"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_rotated_is_read_again_within_the_run() {
    let (to, secrets) = with_secret("old").await;
    let rotated = secrets.clone();
    to.endpoint
        .on(move |request| match (&*request.offsets(), authorization(request)) {
            ([0], "old") | (_, "new") => Reply::status(200),
            _ => {
                rotated.put(&arn("headers"), json!({"Authorization": "new"}));
                Reply::status(401)
            }
        });
    assert_eq!(to.world.run().success()["messages_processed"], 3);
    let seen: Vec<(i64, String)> = to
        .endpoint
        .received()
        .iter()
        .map(|it| (it.offsets()[0], authorization(it).to_owned()))
        .collect();
    let expected = [(0, "old"), (1, "old"), (1, "new"), (2, "new")].map(|(offset, text)| (offset, text.to_owned()));
    assert_eq!(seen, expected);
    assert_eq!(secrets.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_refused_and_unchanged_stops_the_run_and_is_named() {
    let (to, secrets) = with_secret("planted").await;
    to.endpoint.on(|_| Reply::status(403));
    let ran = to.world.run();
    let report = ran.failure("DestinationFailed", 1);
    assert!(
        message(&report).contains(&format!(
            "HTTP 403 Forbidden: the endpoint refuses the credentials of the secret {}",
            arn("headers")
        )),
        "{report}"
    );
    assert_eq!((to.endpoint.received().len(), secrets.requests()), (1, 2));
    assert!(!format!("{ran:?}").contains("planted"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_used_stops_the_run_and_nothing_is_sent() {
    let (to, secrets) = with_secret("x").await;
    secrets.put(&arn("headers"), json!({"Host": "planted"}));
    let ran = to.world.run();
    let report = ran.failure("DestinationFailed", 1);
    assert!(
        message(&report).contains("of HTTP_HEADERS_SECRET_ARN cannot be used: the header host is set by this program"),
        "{report}"
    );
    assert!(to.endpoint.received().is_empty());
    assert!(!format!("{ran:?}").contains("planted"), "{ran:?}");
}

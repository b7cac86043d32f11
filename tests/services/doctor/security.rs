//! Listeners with TLS and SASL, and the permissions of users.

use super::{Checks, fails, reports, skipped};
use crate::support::certificates::CertificateAuthority;
use crate::support::endpoints;
use crate::support::listeners::{ALICE, BOB, CAROL, Listener, User, secured};
use crate::support::world::{Ran, World};

/// A world whose commands connect to this listener.
async fn connected(name: &str, listener: Listener) -> World {
    let mut world = World::secured(name, 2).await;
    world.connect(listener).set("POLL_TIMEOUT", "3");
    world
}

/// No password and no key is shown.
fn keeps_secrets(ran: &Ran) {
    for planted in ["-secret", "PRIVATE KEY", "BEGIN CERTIFICATE"] {
        assert!(
            !ran.stdout.contains(planted) && !ran.stderr.contains(planted),
            "{planted}: {ran:?}"
        );
    }
}

async fn as_user(mechanism: &str, user: User, code: i32) -> (World, Checks, Ran) {
    let mut world = connected("user", Listener::ScramSsl).await;
    world.log_in(mechanism, user);
    let (checks, ran) = world.doctor(code);
    keeps_secrets(&ran);
    (world, checks, ran)
}

#[tokio::test]
async fn a_user_with_the_permissions_of_a_run_passes_without_a_permission_on_the_group() {
    let (world, checks, _) = as_user("SCRAM-SHA-512", ALICE, 0).await;
    // The tests' certificates are valid for a day.
    assert_eq!(checks.wrong(), [("tls", "warning")]);
    reports(
        checks.one("tls"),
        "TLSv1.3, verified, the certificate ends on ",
        "Renew it",
    );
    reports(checks.one("authentication"), "SCRAM-SHA-512: the user was accepted", "");
    reports(
        checks.on("topic", &world.topic),
        "2 partitions; this user may describe and read it",
        "",
    );
    reports(
        checks.one("group"),
        "runs need no permission on it, and this user has none",
        "",
    );
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let (_, checks, _) = as_user("SCRAM-SHA-512", (ALICE.0, "wrong-secret"), 1).await;
    assert_eq!(checks.one("authentication")["error"], "AuthenticationFailed");
    assert!(checks.one("authentication")["next"].is_string());
    skipped(checks.one("topic"), "no user is authenticated");
    skipped(checks.one("brokers"), "no metadata of the brokers");
}

#[tokio::test]
async fn a_user_without_a_permission_on_the_topic_is_reported() {
    let (world, checks, _) = as_user("PLAIN", BOB, 1).await;
    assert_eq!(checks.one("authentication")["status"], "ok");
    let topic = checks.on("topic", &world.topic);
    fails(topic, "NotAuthorized", "this user may not", "Allow");
    assert_eq!(
        topic["details"][0],
        "whether the topic exists is shown only to users with Describe on it"
    );
}

#[tokio::test]
async fn a_user_who_may_describe_and_not_read_is_detected_by_a_fetch() {
    let (world, checks, _) = as_user("SCRAM-SHA-256", CAROL, 1).await;
    let topic = checks.on("topic", &world.topic);
    fails(topic, "NotAuthorized", "this user may not read", "Allow Read");
    assert_eq!(topic["details"][0], "this user may describe the topic, and not read it");
}

#[tokio::test]
async fn an_unknown_ca_is_named() {
    let mut world = connected("authority", Listener::Tls).await;
    world.set("KAFKA_SSL_CA_PEM", CertificateAuthority::untrusted().pem());
    let (checks, ran) = world.doctor(1);
    let what = "signed by an unknown CA: CN=Test CA";
    fails(checks.one("tls"), "BrokerUnreachable", what, "KAFKA_SSL_CA_PEM");
    skipped(checks.one("authentication"), "no bootstrap server can be used");
    keeps_secrets(&ran);
}

/// The checks of a port with a certificate for `host` that expires in `hours`.
async fn with_certificate(host: &str, hours: i64) -> (Checks, Ran) {
    let mut world = World::secured("certificate", 1).await;
    let port = endpoints::tls(&CertificateAuthority::trusted().server(host, hours));
    world
        .set("KAFKA_BOOTSTRAP_SERVERS", format!("localhost:{port}"))
        .set("KAFKA_SECURITY_PROTOCOL", "SSL")
        .set("KAFKA_SSL_CA_PEM", CertificateAuthority::trusted().pem())
        .set("POLL_TIMEOUT", "2");
    world.doctor(1)
}

#[tokio::test]
async fn an_expired_certificate_is_reported() {
    let (checks, _) = with_certificate("localhost", -1).await;
    fails(
        checks.one("tls"),
        "BrokerUnreachable",
        "has expired: that of CN=localhost ended on ",
        "Renew it at the broker",
    );
}

#[tokio::test]
async fn a_certificate_for_another_host_is_reported_with_its_hosts() {
    let (checks, _) = with_certificate("b-1.example", 24).await;
    let tls = checks.one("tls");
    fails(
        tls,
        "BrokerUnreachable",
        "is for another host: b-1.example",
        "KAFKA_BOOTSTRAP_SERVERS",
    );
    assert_eq!(tls["details"][1], "for b-1.example", "{tls}");
}

#[tokio::test]
async fn a_port_with_tls_that_is_not_kafka_is_reported() {
    let (checks, _) = with_certificate("localhost", 24).await;
    let tls = checks.one("tls");
    fails(
        tls,
        "BrokerUnreachable",
        "accepts the connection and sends no response",
        "is a Kafka listener",
    );
    assert_eq!(tls["details"][0], "TLSv1.3 was negotiated", "{tls}");
}

#[tokio::test]
async fn a_listener_with_tls_is_reported_where_the_settings_have_none() {
    let mut world = connected("without", Listener::Tls).await;
    world
        .set("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
        .set("KAFKA_SSL_CA_PEM", "");
    let (checks, _) = world.doctor(1);
    let what = "requires TLS, and the client connected without TLS";
    let tls = checks.one("tls");
    fails(tls, "BrokerUnreachable", what, "KAFKA_SECURITY_PROTOCOL=SSL,");
    assert_eq!(tls["details"][0], "TLSv1.3 was negotiated", "{tls}");
}

#[tokio::test]
async fn a_listener_without_tls_is_reported_where_the_settings_have_it() {
    let mut world = connected("with", Listener::Plaintext).await;
    world
        .set("KAFKA_SECURITY_PROTOCOL", "SSL")
        .set("KAFKA_SSL_CA_PEM", CertificateAuthority::trusted().pem());
    let (checks, _) = world.doctor(1);
    let what = "it is a listener without TLS";
    fails(
        checks.one("tls"),
        "BrokerUnreachable",
        what,
        "KAFKA_SECURITY_PROTOCOL=PLAINTEXT,",
    );
}

#[tokio::test]
async fn a_client_certificate_is_checked_and_accepted() {
    let mut world = connected("mtls", Listener::Mtls).await;
    let own = CertificateAuthority::trusted().client("alice");
    world.set_certificate(&own);
    let (checks, ran) = world.doctor(0);
    assert_eq!(checks.wrong(), [("client_certificate", "warning"), ("tls", "warning")]);
    reports(checks.one("client_certificate"), "it ends on ", "Renew it in time");
    assert_eq!(
        checks.one("client_certificate")["details"][0],
        "subject CN=alice, issuer CN=Test CA"
    );
    world
        .set("KAFKA_SSL_KEY_PEM", own.encrypted_key_pem("key-secret"))
        .set("KAFKA_SSL_KEY_PASSWORD", "key-secret");
    assert_eq!(world.doctor(0).0.wrong().len(), 2);
    keeps_secrets(&ran);
}

#[tokio::test]
async fn a_client_certificate_that_is_missing_or_refused_is_reported() {
    let mut world = connected("mtls", Listener::Mtls).await;
    let (checks, _) = world.doctor(1);
    let what = "requires a client certificate, and none is set";
    fails(checks.one("tls"), "AuthenticationFailed", what, "KAFKA_SECRET_ARN");
    world.set_certificate(&CertificateAuthority::untrusted().client("alice"));
    let (checks, ran) = world.doctor(1);
    let what = "refused the client certificate";
    fails(
        checks.one("tls"),
        "AuthenticationFailed",
        what,
        "It must be signed by a CA that the broker accepts",
    );
    keeps_secrets(&ran);
}

#[tokio::test]
async fn a_client_certificate_that_cannot_be_used_is_reported_before_a_broker_requires_it() {
    let mut world = connected("mtls", Listener::Mtls).await;
    let (own, other) = (
        CertificateAuthority::trusted().client("alice"),
        CertificateAuthority::trusted().client("alice"),
    );
    world.set_certificate(&own).set("KAFKA_SSL_KEY_PEM", other.key_pem());
    let name = "client_certificate";
    let (checks, _) = world.doctor(1);
    fails(
        checks.one(name),
        "InvalidConfiguration",
        "the private key does not belong to the certificate",
        "Use a pair",
    );
    world.set("KAFKA_SSL_KEY_PEM", own.encrypted_key_pem("key-secret"));
    let (checks, _) = world.doctor(1);
    fails(
        checks.one(name),
        "InvalidConfiguration",
        "the private key is encrypted, and its password is missing",
        "KAFKA_SSL_KEY_PASSWORD",
    );
    world.set("KAFKA_SSL_KEY_PASSWORD", "wrong-secret");
    let (checks, ran) = world.doctor(1);
    fails(
        checks.one(name),
        "InvalidConfiguration",
        "the private key is encrypted, and its password is wrong",
        "KAFKA_SSL_KEY_PASSWORD",
    );
    keeps_secrets(&ran);
}

#[tokio::test]
async fn certificates_that_are_not_verified_are_a_warning() {
    let mut world = connected("unverified", Listener::Tls).await;
    world
        .set("KAFKA_SSL_CA_PEM", CertificateAuthority::untrusted().pem())
        .set("KAFKA_ENABLE_SSL_CERTIFICATE_VERIFICATION", "false");
    let (checks, _) = world.doctor(0);
    assert_eq!(checks.wrong(), [("tls", "warning")]);
    reports(checks.one("tls"), "and it is not verified", "");
}

#[tokio::test]
async fn the_ca_may_be_a_file() {
    let mut world = connected("file", Listener::Tls).await;
    world
        .set("KAFKA_SSL_CA_PEM", "")
        .set("KAFKA_SSL_CA_LOCATION", secured().ca_file().display());
    reports(world.doctor(0).0.one("tls"), "verified", "");
    world.set("KAFKA_SSL_CA_LOCATION", "/nowhere/ca.pem");
    let (checks, _) = world.doctor(1);
    let tls = checks.one("tls");
    let what = "KAFKA_SSL_CA_LOCATION names no file that can be read and holds a certificate in PEM: /nowhere/ca.pem";
    fails(tls, "InvalidConfiguration", what, "Correct the path");
}

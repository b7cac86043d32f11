//! What the doctor finds on listeners with TLS, users and rights.

use super::{Checks, fails, says, skipped};
use crate::support::certificates::CertificateAuthority;
use crate::support::endpoints;
use crate::support::listeners::{ALICE, BOB, CAROL, Listener, User, secured};
use crate::support::world::{Ran, World};

/// A world whose commands connect so.
async fn connected(name: &str, listener: Listener) -> World {
    let mut world = World::secured(name, 2).await;
    world.connect(listener).set("POLL_TIMEOUT", "3");
    world
}

/// Nothing that was planted is shown.
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
async fn a_user_with_the_rights_of_a_run_is_well_without_a_right_on_the_group() {
    let (world, checks, _) = as_user("SCRAM-SHA-512", ALICE, 0).await;
    // The tests' certificates hold for a day.
    assert_eq!(checks.wrong(), [("tls", "warning")]);
    says(
        checks.one("tls"),
        "TLSv1.3, verified, the certificate ends on ",
        "Renew it",
    );
    says(checks.one("authentication"), "SCRAM-SHA-512: the user was accepted", "");
    says(
        checks.on("topic", &world.topic),
        "2 partitions; this user may describe and read it",
        "",
    );
    says(
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
async fn a_user_without_a_right_on_the_topic_is_told_so() {
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
async fn a_user_who_may_describe_and_not_read_is_found_out_by_a_fetch() {
    let (world, checks, _) = as_user("SCRAM-SHA-256", CAROL, 1).await;
    let topic = checks.on("topic", &world.topic);
    fails(topic, "NotAuthorized", "this user may not read", "Allow Read");
    assert_eq!(topic["details"][0], "this user may describe the topic, and not read it");
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_named() {
    let mut world = connected("authority", Listener::Tls).await;
    world.set("KAFKA_SSL_CA_PEM", CertificateAuthority::untrusted().pem());
    let (checks, ran) = world.doctor(1);
    let what = "signed by an unknown CA: CN=Test CA";
    fails(checks.one("tls"), "BrokerUnreachable", what, "KAFKA_SSL_CA_PEM");
    skipped(checks.one("authentication"), "no bootstrap server can be used");
    keeps_secrets(&ran);
}

/// A port with a certificate for `host` that ends so many hours from now.
async fn shown(host: &str, hours: i64) -> (Checks, Ran) {
    let mut world = World::secured("shown", 1).await;
    let port = endpoints::tls(&CertificateAuthority::trusted().server(host, hours));
    world
        .set("KAFKA_BOOTSTRAP_SERVERS", format!("localhost:{port}"))
        .set("KAFKA_SECURITY_PROTOCOL", "SSL")
        .set("KAFKA_SSL_CA_PEM", CertificateAuthority::trusted().pem())
        .set("POLL_TIMEOUT", "2");
    world.doctor(1)
}

#[tokio::test]
async fn a_certificate_that_is_over_is_told() {
    let (checks, _) = shown("localhost", -1).await;
    fails(
        checks.one("tls"),
        "BrokerUnreachable",
        "the certificate of CN=localhost has expired",
        "Renew it on the broker",
    );
}

#[tokio::test]
async fn a_certificate_for_another_host_is_told_with_the_hosts_it_is_for() {
    let (checks, _) = shown("b-1.example", 24).await;
    let tls = checks.one("tls");
    fails(
        tls,
        "BrokerUnreachable",
        "the certificate is not for localhost",
        "KAFKA_BOOTSTRAP_SERVERS",
    );
    assert_eq!(tls["details"][1], "for b-1.example", "{tls}");
}

#[tokio::test]
async fn a_port_with_tls_that_is_no_kafka_is_told() {
    let (checks, _) = shown("localhost", 24).await;
    let tls = checks.one("tls");
    fails(
        tls,
        "BrokerUnreachable",
        "TLSv1.3 was negotiated, and then the port accepts the connection",
        "Kafka's own protocol",
    );
}

#[tokio::test]
async fn a_port_with_tls_is_told_to_a_client_without() {
    let mut world = connected("without", Listener::Tls).await;
    world
        .set("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
        .set("KAFKA_SSL_CA_PEM", "");
    let (checks, _) = world.doctor(1);
    let what = "the listener uses TLS (TLSv1.3), but KAFKA_SECURITY_PROTOCOL sets none";
    fails(checks.one("tls"), "BrokerUnreachable", what, "SSL or SASL_SSL");
}

#[tokio::test]
async fn a_port_without_tls_is_told_to_a_client_with() {
    let mut world = connected("with", Listener::Plaintext).await;
    world
        .set("KAFKA_SECURITY_PROTOCOL", "SSL")
        .set("KAFKA_SSL_CA_PEM", CertificateAuthority::trusted().pem());
    let (checks, _) = world.doctor(1);
    let what = "the listener uses no TLS, but KAFKA_SECURITY_PROTOCOL sets it";
    fails(
        checks.one("tls"),
        "BrokerUnreachable",
        what,
        "PLAINTEXT or SASL_PLAINTEXT",
    );
}

#[tokio::test]
async fn a_client_certificate_is_looked_at_and_accepted() {
    let mut world = connected("mtls", Listener::Mtls).await;
    let own = CertificateAuthority::trusted().client("alice");
    world.set_certificate(&own);
    let (checks, ran) = world.doctor(0);
    assert_eq!(checks.wrong(), [("client_certificate", "warning"), ("tls", "warning")]);
    says(checks.one("client_certificate"), "it ends on ", "Renew it in time");
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
async fn a_client_certificate_that_is_missing_or_refused_is_told() {
    let mut world = connected("mtls", Listener::Mtls).await;
    let (checks, _) = world.doctor(1);
    let what = "the broker requires a client certificate, and none is set";
    fails(checks.one("tls"), "AuthenticationFailed", what, "KAFKA_SECRET_ARN");
    world.set_certificate(&CertificateAuthority::untrusted().client("alice"));
    let (checks, ran) = world.doctor(1);
    let what = "the broker refuses the client certificate";
    fails(
        checks.one("tls"),
        "AuthenticationFailed",
        what,
        "signed by a CA in the broker",
    );
    keeps_secrets(&ran);
}

#[tokio::test]
async fn a_client_certificate_that_cannot_be_used_is_told_before_anybody_asks_for_it() {
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
        "the private key is not that of the client certificate",
        "Set",
    );
    world.set("KAFKA_SSL_KEY_PEM", own.encrypted_key_pem("key-secret"));
    let (checks, _) = world.doctor(1);
    fails(
        checks.one(name),
        "InvalidConfiguration",
        "is encrypted, and there is no password",
        "KAFKA_SSL_KEY_PASSWORD",
    );
    world.set("KAFKA_SSL_KEY_PASSWORD", "wrong-secret");
    let (checks, ran) = world.doctor(1);
    fails(
        checks.one(name),
        "InvalidConfiguration",
        "the password does not open the private key",
        "Correct",
    );
    keeps_secrets(&ran);
}

#[tokio::test]
async fn certificates_that_nobody_verifies_are_a_warning() {
    let mut world = connected("unverified", Listener::Tls).await;
    world
        .set("KAFKA_SSL_CA_PEM", CertificateAuthority::untrusted().pem())
        .set("KAFKA_ENABLE_SSL_CERTIFICATE_VERIFICATION", "false");
    let (checks, _) = world.doctor(0);
    assert_eq!(checks.wrong(), [("tls", "warning")]);
    says(checks.one("tls"), "and it is not verified", "");
}

#[tokio::test]
async fn the_authority_may_be_a_file() {
    let mut world = connected("file", Listener::Tls).await;
    world
        .set("KAFKA_SSL_CA_PEM", "")
        .set("KAFKA_SSL_CA_LOCATION", secured().ca_file().display());
    says(world.doctor(0).0.one("tls"), "verified", "");
    world.set("KAFKA_SSL_CA_LOCATION", "/nowhere/ca.pem");
    let (checks, _) = world.doctor(1);
    let what = "no CA can be read from KAFKA_SSL_CA_LOCATION, /nowhere/ca.pem";
    fails(checks.one("tls"), "InvalidConfiguration", what, "PEM");
}

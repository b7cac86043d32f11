//! Credentials and CAs from Secrets Manager.

use std::time::Duration;

use serde_json::json;

use crate::bootstrap;
use crate::support::certificates::CertificateAuthority;
use crate::support::kafka::{Message, create_topic, unique, watermarks};
use crate::support::listeners::{ALICE, Listener, secured};
use crate::support::secrets::{Secrets, arn};
use crate::support::world::{Ran, World};

/// A world whose commands use a separate Secrets Manager, with three records to read.
async fn world(listener: Listener) -> (World, Secrets) {
    let mut world = World::secured("secret", 1).await;
    world.produce(0, 3);
    world.connect(listener);
    let secrets = Secrets::start();
    world.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.endpoint);
    (world, secrets)
}

fn password((username, password): (&str, &str)) -> serde_json::Value {
    json!({"username": username, "password": password, "engine": "kafka"})
}

#[tokio::test]
async fn a_user_and_the_ca_are_read_from_secrets_once() {
    let (mut world, secrets) = world(Listener::ScramSsl).await;
    secrets.put(&arn("AmazonMSK_user"), password(ALICE));
    secrets.put(&arn("ca"), CertificateAuthority::trusted().pem());
    world.log_in_with_secret("AmazonMSK_user").set_ca_secret("ca");
    assert_eq!(world.run().success()["messages_processed"], 3);
    assert_eq!(secrets.requests(), 2);
}

#[tokio::test]
async fn a_client_certificate_with_an_encrypted_key_and_the_ca_as_json_are_read_from_secrets() {
    let (mut world, secrets) = world(Listener::Mtls).await;
    let pair = CertificateAuthority::trusted().client("alice");
    let certificate = json!({
        "certificate": pair.certificate_pem(),
        "privateKey": pair.encrypted_key_pem("key-secret"),
        "privateKeyPassword": "key-secret",
    });
    secrets.put(&arn("client"), certificate);
    secrets.put(
        &arn("ca"),
        json!({"certificate": CertificateAuthority::trusted().pem()}),
    );
    world.set_ca_secret("ca").set("KAFKA_SECRET_ARN", arn("client"));
    assert_eq!(world.run().success()["messages_processed"], 3);
}

#[tokio::test]
async fn pem_without_its_line_breaks_and_with_its_chain_in_any_order_connects() {
    let (mut world, secrets) = world(Listener::Mtls).await;
    let pair = CertificateAuthority::trusted().client("alice");
    let ca_first = CertificateAuthority::trusted().pem() + &pair.certificate_pem();
    let certificate = json!({
        "certificate": ca_first.replace('\n', " "),
        "privateKey": pair.key_pem().replace('\n', "\\n"),
    });
    secrets.put(&arn("client"), certificate);
    secrets.put(
        &arn("ca"),
        CertificateAuthority::trusted().pem().replace('\n', "\r\n    "),
    );
    world.set_ca_secret("ca").set("KAFKA_SECRET_ARN", arn("client"));
    assert_eq!(world.run().success()["messages_processed"], 3);
}

#[tokio::test]
async fn a_refused_password_that_ends_with_a_line_break_is_named_in_the_error() {
    let (mut world, secrets) = world(Listener::Scram).await;
    let (user, right) = ALICE;
    secrets.put(&arn("user"), password((user, &format!("{right}\n"))));
    world.log_in_with_secret("user");
    let ran = world.run();
    let report = ran.failure("AuthenticationFailed", 1);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains("the password ends with a line break"), "{message}");
}

#[tokio::test]
async fn a_password_that_begins_with_white_space_is_refused_because_librdkafka_removes_it() {
    let spaced = |secrets: &Secrets, arn: &str| secrets.put(arn, password(("alice", "\nplanted")));
    refused(
        spaced,
        &["its field `password` begins with white space, which the Kafka client library cuts off"],
    )
    .await;
}

/// Asserts that a run with this secret fails with this error, and that no output contains the secret.
async fn refused(prepare: impl FnOnce(&Secrets, &str), expected: &[&str]) -> Ran {
    let (mut world, secrets) = world(Listener::Scram).await;
    let secret = arn("user");
    prepare(&secrets, &secret);
    world
        .set("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
        .set("KAFKA_SECRET_ARN", &secret);
    let ran = world.run();
    let report = ran.failure("InvalidConfiguration", 2);
    let message = report["error"]["message"].as_str().expect("a message");
    let start = format!("the secret {secret} of KAFKA_SECRET_ARN cannot be used: ");
    assert!(message.starts_with(&start), "{message}");
    for part in expected {
        assert!(message.contains(part), "{part:?} in {message}");
    }
    assert!(
        !ran.stderr.contains("planted") && !ran.stdout.contains("planted"),
        "{ran:?}"
    );
    assert_eq!(world.offset(0).await, None);
    ran
}

#[tokio::test]
async fn a_secret_without_a_required_field_is_an_error_with_the_field_and_without_the_content() {
    let planted = |secrets: &Secrets, arn: &str| secrets.put(arn, r#"{"username":"planted"}"#);
    refused(planted, &["it has no field `password`. Store {\"username\""]).await;
    let planted = |secrets: &Secrets, arn: &str| secrets.put(arn, "planted");
    refused(planted, &["it is not JSON from line 1 column 1 on"]).await;
}

#[tokio::test]
async fn a_missing_secret_and_a_denied_one_have_different_errors() {
    refused(|_, _| (), &["it does not exist in eu-central-1", "create the secret"]).await;
    let denied = |secrets: &Secrets, arn: &str| secrets.refuse(arn, "AccessDeniedException", "not authorized");
    refused(
        denied,
        &[
            "access denied: not authorized",
            "secretsmanager:GetSecretValue",
            "kms:Decrypt",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_secrets_manager_that_cannot_be_reached_is_an_error_before_the_timeout() {
    for (what, endpoint) in [("closed", "http://127.0.0.1:1"), ("silent", "http://10.255.255.1:9")] {
        let (mut world, _) = world(Listener::Scram).await;
        world
            .log_in_with_secret("user")
            .set("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint)
            .set("POLL_TIMEOUT", "3");
        let ran = world.run();
        let report = ran.failure("InvalidConfiguration", 2);
        let message = report["error"]["message"].as_str().expect("a message");
        let start = format!("no response from {endpoint}: ");
        assert!(message.contains(&start), "{what}: {message}");
        assert!(
            message.contains("a function in a VPC needs a Secrets Manager interface endpoint"),
            "{message}"
        );
        assert!(ran.took < Duration::from_secs(5), "{what}: {:?}", ran.took);
    }
}

#[tokio::test]
async fn a_corrected_secret_is_used_by_the_next_run_of_the_same_process() {
    let (mut world, secrets) = world(Listener::Scram).await;
    world.log_in_with_secret("user");
    let mut function = bootstrap::start(&world);
    let message = function.invoke(&json!({})).failure("InvalidConfiguration").to_owned();
    assert!(message.contains("does not exist"), "{message}");
    secrets.put(&arn("user"), password(ALICE));
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], 3);
}

/// P13: also when a password was rotated.
#[tokio::test]
async fn a_password_that_is_changed_between_two_invocations_needs_no_cold_start() {
    let (mut world, secrets) = world(Listener::ScramSsl).await;
    let user = unique("rotated");
    let change = |password: &str| {
        secured().scram_user(&user, password);
        secrets.put(&arn("user"), json!({"username": user, "password": password}));
    };
    change("first-password");
    secured().allow(&user, &["Read", "Describe"], &world.topic);
    world.log_in_with_secret("user");
    let mut function = bootstrap::start(&world);
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], 3);
    let (pid, requests) = (function.pid(), secrets.requests());

    change("second-password");
    world.produce(0, 2);
    // Longer than the broker's `connections.max.reauth.ms` for the first password.
    std::thread::sleep(Duration::from_secs(3));
    let invocation = function.invoke(&json!({}));
    assert_eq!(invocation.success()["messages_processed"], 2);
    assert_eq!((function.pid(), secrets.requests()), (pid, requests + 1));
    assert!(
        invocation.duration < Duration::from_secs(2),
        "{:?}",
        invocation.duration
    );
    assert_eq!(world.offset(0).await, Some(4));

    // The next run reads no secret.
    let again = function.invoke(&json!({}));
    assert_eq!(again.success()["messages_processed"], 0);
    assert_eq!(secrets.requests(), requests + 1);
}

#[tokio::test]
async fn a_refused_password_that_has_not_changed_is_an_error_before_the_timeout() {
    let (mut world, secrets) = world(Listener::Scram).await;
    secrets.put(&arn("user"), password(("alice", "wrong-password")));
    world.log_in_with_secret("user");
    let ran = world.run();
    ran.failure("AuthenticationFailed", 1);
    assert_eq!(secrets.requests(), 2, "it was read again once");
    assert!(ran.took < Duration::from_secs(4), "{:?}", ran.took);
}

#[tokio::test]
async fn a_secret_from_which_no_client_can_be_created_is_read_again_by_the_next_run() {
    let (mut world, secrets) = world(Listener::Mtls).await;
    let (ours, other) = (
        CertificateAuthority::trusted().client("alice"),
        CertificateAuthority::trusted().client("alice"),
    );
    let certificate = |key: String| json!({"certificate": ours.certificate_pem(), "privateKey": key});
    secrets.put(&arn("client"), certificate(other.key_pem()));
    world.set("KAFKA_SECRET_ARN", arn("client"));
    let mut function = bootstrap::start(&world);
    let message = function.invoke(&json!({})).failure("InvalidConfiguration").to_owned();
    assert!(message.contains("does not belong to the certificate"), "{message}");
    secrets.put(&arn("client"), certificate(ours.key_pem()));
    assert_eq!(function.invoke(&json!({})).success()["messages_processed"], 3);
}

/// P13: or the CA that signs the brokers' certificates.
#[tokio::test]
async fn a_ca_that_is_changed_between_two_invocations_needs_no_cold_start() {
    let (mut world, secrets) = world(Listener::Tls).await;
    secrets.put(&arn("ca"), CertificateAuthority::untrusted().pem());
    world.set_ca_secret("ca");
    let mut function = bootstrap::start(&world);
    let message = function.invoke(&json!({})).failure("BrokerUnreachable").to_owned();
    assert!(message.contains("signed by an unknown CA"), "{message}");
    secrets.put(&arn("ca"), CertificateAuthority::trusted().pem());
    let invocation = function.invoke(&json!({}));
    assert_eq!(invocation.success()["messages_processed"], 3);
    assert!(
        invocation.duration < Duration::from_secs(3),
        "{:?}",
        invocation.duration
    );
}

#[tokio::test]
async fn a_changed_ca_is_read_again_also_with_tokens() {
    let (mut world, secrets) = world(Listener::ScramSsl).await;
    secrets.put(&arn("ca"), CertificateAuthority::untrusted().pem());
    world.set_ca_secret("ca").set("KAFKA_SASL_MECHANISM", "AWS_MSK_IAM");
    let mut function = bootstrap::start(&world);
    let message = function.invoke(&json!({})).failure("BrokerUnreachable").to_owned();
    assert!(message.contains("signed by an unknown CA"), "{message}");
    secrets.put(&arn("ca"), CertificateAuthority::trusted().pem());
    // Its certificate is verified now. It does not offer OAUTHBEARER, which fails next.
    let message = function.invoke(&json!({})).failure("AuthenticationFailed").to_owned();
    assert!(message.contains("does not support OAUTHBEARER"), "{message}");
}

#[tokio::test]
async fn an_authentication_error_also_names_the_secret_that_cannot_be_read_again() {
    let (mut world, secrets) = world(Listener::Scram).await;
    secrets.put(&arn("user"), password(("alice", "wrong-password")));
    world.log_in_with_secret("user");
    let mut function = bootstrap::start(&world);
    secrets.refuse(&arn("user"), "AccessDeniedException", "not authorized");
    let invocation = function.invoke(&json!({}));
    let message = invocation.failure("AuthenticationFailed");
    assert!(message.contains("refused the user or the password"), "{message}");
    assert!(
        message.contains("Besides, the secret") && message.contains("access denied"),
        "{message}"
    );
}

#[tokio::test]
async fn dead_letters_are_sent_with_a_changed_password_too() {
    let (mut world, secrets) = world(Listener::ScramSsl).await;
    let (user, dead) = (unique("rotated"), unique("dead"));
    create_topic(&world.bootstrap, &dead, 1, &[]);
    let change = |password: &str| {
        secured().scram_user(&user, password);
        secrets.put(&arn("user"), json!({"username": user, "password": password}));
    };
    change("first-password");
    secured().allow(&user, &["Read", "Describe"], &world.topic);
    secured().allow(&user, &["Write", "Describe"], &dead);
    world
        .log_in_with_secret("user")
        .set("ON_FAILURE", format!("kafka://{dead}"));
    let no_json = [Message::value("{")];
    world.produce_these(0, &no_json);
    let mut function = bootstrap::start(&world);
    assert_eq!(function.invoke(&json!({})).success()["dead_lettered"], 1);

    change("second-password");
    world.produce_these(0, &no_json);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(function.invoke(&json!({})).success()["dead_lettered"], 1);
    assert_eq!(watermarks(&world.bootstrap, &dead, 0), (0, 2));
}

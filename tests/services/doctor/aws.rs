//! AWS beside the table: secrets, tokens and the identity.

use serde_json::{Value, json};

use super::{Checks, fails, reports, skipped};
use crate::support::certificates::CertificateAuthority;
use crate::support::listeners::{ALICE, Listener};
use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::secrets::{Secrets, arn};
use crate::support::world::World;

/// A world with the user of the secret `user` and the CA of the secret `ca`.
async fn world() -> (World, Secrets) {
    let mut world = World::secured("secrets", 1).await;
    let secrets = Secrets::start();
    world
        .connect(Listener::ScramSsl)
        .log_in_with_secret("user")
        .set_ca_secret("ca")
        .set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.endpoint)
        .set("POLL_TIMEOUT", "3");
    secrets.put(&arn("user"), json!({"username": ALICE.0, "password": ALICE.1}));
    secrets.put(&arn("ca"), CertificateAuthority::trusted().pem());
    (world, secrets)
}

fn secret<'a>(checks: &'a Checks, name: &str) -> &'a Value {
    checks.on("secret", &arn(name))
}

#[tokio::test]
async fn each_secret_is_read_and_its_content_is_not_shown() {
    let (world, _secrets) = world().await;
    let (checks, ran) = world.doctor(0);
    assert_eq!(checks.wrong(), [("tls", "warning")]);
    reports(secret(&checks, "user"), "a user name and a password", "");
    reports(secret(&checks, "ca"), "the CA of the brokers' certificates", "");
    assert!(
        !ran.stdout.contains(ALICE.0) && !ran.stdout.contains(ALICE.1),
        "{ran:?}"
    );
}

#[tokio::test]
async fn two_invalid_secrets_are_both_reported() {
    let (world, secrets) = world().await;
    secrets.put(&arn("user"), json!({"username": "planted"}));
    secrets.refuse(&arn("ca"), "AccessDeniedException", "User: arn:x is not authorized");
    let (checks, ran) = world.doctor(1);
    fails(
        secret(&checks, "user"),
        "InvalidConfiguration",
        "it has no field `password`",
        "Store {\"username\"",
    );
    fails(
        secret(&checks, "ca"),
        "InvalidConfiguration",
        "access denied",
        "Allow secretsmanager:GetSecretValue",
    );
    skipped(checks.one("tls"), &format!("the secret {} cannot be used", arn("ca")));
    skipped(checks.one("authentication"), "a secret cannot be used");
    assert_eq!(checks.one("table")["status"], "ok");
    assert!(
        !ran.stdout.contains("planted") && !ran.stderr.contains("planted"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn without_the_password_tls_is_still_checked() {
    let (world, secrets) = world().await;
    secrets.put(&arn("user"), "no JSON");
    let (checks, _) = world.doctor(1);
    reports(checks.one("tls"), "TLSv1.3, verified", "");
    skipped(checks.one("authentication"), "a secret cannot be used");
}

#[tokio::test]
async fn a_token_for_msk_is_signed_and_not_shown() {
    let (mut world, _secrets) = world().await;
    world
        .set("KAFKA_SECRET_ARN", "")
        .set("KAFKA_SASL_MECHANISM", "AWS_MSK_IAM")
        // For the broker's refusal, which comes after a handshake and two requests.
        .set("POLL_TIMEOUT", "5");
    let (checks, ran) = world.doctor(1);
    reports(secret(&checks, "ca"), "the CA of the brokers' certificates", "");
    reports(checks.one("tls"), "TLSv1.3, verified", "");
    reports(checks.one("token"), "signed with this AWS role, valid until 20", "");
    // The tests' broker accepts no such tokens.
    let authentication = checks.one("authentication");
    assert_eq!(authentication["error"], "AuthenticationFailed", "{authentication}");
    assert!(!ran.stdout.contains("aHR0cHM6Ly9rYWZrY"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn account_and_role_are_shown_and_are_not_needed_where_sts_does_not_respond() {
    let mut world = World::new("identity", 1).await;
    let sts = Scripted::start("127.0.0.1:1").await;
    let role = "arn:aws:sts::123456789012:assumed-role/orders/i-0";
    let response = format!(
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{role}</Arn><UserId>x</UserId>\
         <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    );
    world
        .set("AWS_ENDPOINT_URL_STS", &sts.endpoint)
        .set("POLL_TIMEOUT", "2");
    let doctor = |act: Act, code| {
        sts.next([act]);
        tokio::task::block_in_place(|| world.doctor(code).0)
    };
    let checks = doctor(Act::Respond(200, response), 0);
    reports(checks.one("identity"), &format!("AWS account 123456789012, {role}"), "");
    let checks = doctor(Act::Silence, 0);
    skipped(checks.one("identity"), "STS did not respond, and nothing else needs it");
    let refusal = "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>planted</Message></Error></ErrorResponse>";
    let checks = doctor(Act::Respond(403, refusal.into()), 1);
    fails(
        checks.one("identity"),
        "TableUnreachable",
        "the AWS credentials were refused: ExpiredToken",
        "Renew",
    );
}

//! No secret and no record's value is printed, at any log level and with any error.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use crate::bootstrap;
use crate::support::certificates::CertificateAuthority;
use crate::support::kafka::Message;
use crate::support::listeners::{Listener, secured};
use crate::support::secrets::{Secrets, arn};
use crate::support::sqs::{self, Queue};
use crate::support::world::World;

const PASSWORD: &str = "planted-password-3f9c";
const KEY_PASSWORD: &str = "planted-key-password-77aa";
const AWS_SECRET_KEY: &str = "planted-aws-secret-key-b1d2";
const AWS_SESSION: &str = "planted-aws-session-token-0e4b";
const RECORD_KEY: &str = "planted-record-key-5c21";
const RECORD_VALUE: &str = "planted-record-value-9d8e";
const HEADER_VALUE: &str = "planted-header-value-41fa";

/// Every secret and record value of these tests, which no output may contain.
const PLANTED: [&str; 7] = [
    PASSWORD,
    KEY_PASSWORD,
    AWS_SECRET_KEY,
    AWS_SESSION,
    RECORD_KEY,
    RECORD_VALUE,
    HEADER_VALUE,
];

/// Asserts that `output` contains none of the planted texts, nor one of their encodings.
#[track_caller]
fn assert_clean(what: &str, output: &str, more: &[String]) {
    assert!(
        output.contains("TRACE"),
        "{what}: this is not all that is logged: {output}"
    );
    for planted in PLANTED.iter().map(|it| (*it).to_owned()).chain(more.iter().cloned()) {
        let bytes = planted.as_bytes();
        let numbers = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let hex = hex(bytes);
        let forms = [
            planted.clone(),
            BASE64_STANDARD.encode(bytes),
            BASE64_STANDARD_NO_PAD.encode(bytes),
            BASE64_URL_SAFE_NO_PAD.encode(bytes),
            numbers,
            hex,
        ];
        for form in forms {
            if let Some(at) = output.find(&form) {
                let line = output[..at].lines().count();
                let shown = output.lines().nth(line.saturating_sub(1)).unwrap_or_default();
                panic!(
                    "{what}: {form} is in line {line}: {}",
                    shown.chars().take(600).collect::<String>()
                );
            }
        }
    }
}

/// A world at the most verbose log level, with planted credentials and records, one of which fails.
async fn world(listener: Listener) -> World {
    let mut world = World::secured("leak", 1).await;
    let record = |value: &str| Message {
        key: Some(RECORD_KEY.as_bytes().to_vec()),
        value: Some(value.as_bytes().to_vec()),
        headers: vec![("trace".into(), Some(HEADER_VALUE.as_bytes().to_vec()))],
        ..Message::default()
    };
    let good = format!("{{\"n\":\"{RECORD_VALUE}\"}}");
    world.produce_these(0, &[record(&good), record(RECORD_VALUE), record(&good)]);
    world
        .connect(listener)
        .set("RUST_LOG", "trace")
        .set("AWS_LAMBDA_LOG_LEVEL", "trace")
        .set("KAFKA_DEBUG", "all")
        .set("AWS_SECRET_ACCESS_KEY", AWS_SECRET_KEY)
        .set("AWS_SESSION_TOKEN", AWS_SESSION)
        .set("POLL_TIMEOUT", "2");
    world
}

/// A run and a check of the command line and an invocation of the function, all clean.
fn is_clean(what: &str, world: &World, more: &[String]) {
    let ran = world.run();
    assert_clean(&format!("{what} (run)"), &[ran.stdout, ran.stderr].concat(), more);
    let ran = world.ran(&["doctor"]);
    assert_clean(&format!("{what} (doctor)"), &[ran.stdout, ran.stderr].concat(), more);
    let mut function = bootstrap::start(world);
    for _ in 0..2 {
        let invocation = function.invoke(&json!({}));
        let result = format!("{:?}", invocation.result);
        let lines = [invocation.stdout, invocation.stderr].concat().join("\n");
        assert_clean(&format!("{what} (function)"), &(lines + &result), more);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn lines_of(pem: &str) -> Vec<String> {
    pem.lines().filter(|line| line.len() > 40).map(str::to_owned).collect()
}

/// P12: no password.
#[tokio::test]
async fn a_password_is_printed_neither_when_it_is_accepted_nor_when_it_is_refused() {
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let mut world = world(Listener::Scram).await;
        world.log_in(mechanism, ("alice", PASSWORD));
        is_clean(&format!("{mechanism}, refused"), &world, &[]);
    }
    let user = crate::support::kafka::unique("leak");
    let mut world = world(Listener::ScramSsl).await;
    secured().scram_user(&user, PASSWORD);
    secured().allow(&user, &["Read", "Describe"], &world.topic);
    world
        .log_in("SCRAM-SHA-512", (&user, PASSWORD))
        .set("ON_FAILURE", "skip");
    is_clean("taken", &world, &[]);
    assert_eq!(world.offset(0).await, Some(2), "the records were read");
}

#[tokio::test]
async fn the_content_of_a_secret_of_any_shape_is_not_printed() {
    let secrets = Secrets::start();
    let texts = [
        json!({"username": "alice", "password": PASSWORD}).to_string(),
        json!({"username": PASSWORD}).to_string(),
        format!("{{\"username\": {PASSWORD}"),
        format!("[\"{PASSWORD}\"]"),
    ];
    for text in texts {
        let mut world = world(Listener::Scram).await;
        secrets.put(&arn("user"), &text);
        world
            .set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.endpoint)
            .log_in_with_secret("user");
        is_clean("a secret", &world, &[]);
    }
}

#[tokio::test]
async fn a_private_key_is_printed_neither_from_a_secret_nor_from_the_settings() {
    let secrets = Secrets::start();
    for pair in [
        CertificateAuthority::trusted().client("alice"),
        CertificateAuthority::untrusted().client("alice"),
    ] {
        let key = pair.encrypted_key_pem(KEY_PASSWORD);
        let certificate =
            json!({"certificate": pair.certificate_pem(), "privateKey": key, "privateKeyPassword": KEY_PASSWORD});
        secrets.put(&arn("client"), certificate);
        let mut by_secret = world(Listener::Mtls).await;
        by_secret
            .set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.endpoint)
            .set("KAFKA_SECRET_ARN", arn("client"));
        is_clean("a key in a secret", &by_secret, &lines_of(&key));
        let mut by_settings = world(Listener::Mtls).await;
        by_settings
            .set_certificate(&pair)
            .set("KAFKA_SSL_KEY_PEM", &key)
            .set("KAFKA_SSL_KEY_PASSWORD", KEY_PASSWORD);
        is_clean("a key in a setting", &by_settings, &lines_of(&key));
        by_settings.set("KAFKA_SSL_KEY_PASSWORD", "planted-key-password-77aa-wrong");
        is_clean("a key with another password", &by_settings, &lines_of(&key));
    }
}

/// P12: no record.
#[tokio::test]
async fn records_and_dead_letters_are_not_printed() {
    let dead = crate::support::kafka::unique("dead");
    let mut to_kafka = world(Listener::Plaintext).await;
    crate::support::kafka::create_topic(&to_kafka.bootstrap, &dead, 1, &[]);
    to_kafka.set("ON_FAILURE", format!("kafka://{dead}"));
    is_clean("dead letters to Kafka", &to_kafka, &[]);
    let queue = Queue::create("leak").await;
    let mut to_sqs = world(Listener::Plaintext).await;
    to_sqs
        .set("ON_FAILURE", &queue.arn)
        .set("AWS_ENDPOINT_URL_SQS", sqs::endpoint());
    is_clean("dead letters to SQS", &to_sqs, &[]);
    assert_eq!(queue.len().await, 1);
    let mut skipped = world(Listener::Plaintext).await;
    skipped.set("ON_FAILURE", "skip");
    is_clean("skipped", &skipped, &[]);
    let mut halted = world(Listener::Plaintext).await;
    halted.set("MESSAGE_FORMAT", "json");
    is_clean("halted", &halted, &[]);
}

#[tokio::test]
async fn a_token_that_is_accepted_is_not_printed() {
    let mut world = world(Listener::Oauth).await;
    world.set_token("principal=alice").set("ON_FAILURE", "skip");
    // Every unsigned token begins with this.
    let start = BASE64_URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}");
    is_clean("a token", &world, &[start]);
    assert_eq!(world.offset(0).await, Some(2), "the records were read");
}

#[tokio::test]
async fn a_signed_token_is_not_printed() {
    let mut world = world(Listener::Oauth).await;
    world
        .set("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
        .set("KAFKA_SASL_MECHANISM", "AWS_MSK_IAM");
    // Every token of every time begins with this.
    let start = BASE64_URL_SAFE_NO_PAD.encode("https://kafka.");
    is_clean("a token", &world, &[start]);
}

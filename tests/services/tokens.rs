//! OAUTHBEARER with tokens that are signed here, as with Amazon MSK.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::error::ErrorType;
use kafka_consumer_lambda::record::{NextOffset, TopicPartition};
use kafka_consumer_lambda::security::{Security, Token};
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::source::{Limit, Source};
use serde_json::json;

use crate::support::listeners::{Listener, secured};
use crate::support::world::World;

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_millis()).expect("a date")
}

/// An unsigned token, which the broker's validator for tests accepts.
fn token(user: &str, expires_ms: i64) -> Token {
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"sub": user, "iat": now_ms() / 1000, "exp": expires_ms / 1000});
    Token {
        text: format!("{}.{}.", part(json!({"alg": "none"})), part(claims)).into(),
        expires_ms,
    }
}

fn config(world: &World) -> Config {
    let settings = [
        ("KAFKA_BOOTSTRAP_SERVERS", secured().address(Listener::Oauth)),
        ("KAFKA_TOPIC", world.topic.clone()),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT".to_owned()),
        ("KAFKA_SASL_MECHANISM", "OAUTHBEARER".to_owned()),
    ];
    Config::from_lookup(settings.map(|(name, value)| (name.to_owned(), value))).expect("these are settings")
}

/// A source with tokens of this lifetime, and how many were signed.
fn source(world: &World, lifetime_ms: &Arc<AtomicI64>) -> (KafkaSource, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let (count, lifetime_ms) = (Arc::clone(&made), Arc::clone(lifetime_ms));
    let config = config(world);
    let security = Security::with_signer(
        &config,
        Box::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            let expires_ms = now_ms() + lifetime_ms.load(Ordering::SeqCst);
            Box::pin(async move { Ok(token("alice", expires_ms)) })
        }),
    );
    (KafkaSource::new(&config, Arc::new(security)), made)
}

async fn end(source: &KafkaSource, world: &World) -> Result<i64, kafka_consumer_lambda::error::Error> {
    let until = Instant::now() + Duration::from_secs(5);
    let ends = source.end_offsets(&[world.topic.as_str().into()], until).await?;
    let listed = ends.partitions[0].1.as_ref().expect("it has a leader");
    Ok(listed.get())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_set_before_the_first_request_to_the_brokers() {
    let world = World::secured("token", 1).await;
    world.produce(0, 3);
    let (source, made) = source(&world, &Arc::new(AtomicI64::new(900_000)));
    let started = Instant::now();
    assert_eq!(end(&source, &world).await, Ok(3));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    for _ in 0..3 {
        assert_eq!(end(&source, &world).await, Ok(3));
    }
    assert_eq!(
        made.load(Ordering::SeqCst),
        1,
        "a token that is valid long enough is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_could_expire_during_a_run_is_signed_again_before_it() {
    let world = World::secured("token", 1).await;
    world.produce(0, 3);
    let lifetime_ms = Arc::new(AtomicI64::new(60_000));
    let (source, made) = source(&world, &lifetime_ms);
    for runs in 1..=3 {
        assert_eq!(end(&source, &world).await, Ok(3));
        assert_eq!(made.load(Ordering::SeqCst), runs);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_brokers_refuse_is_signed_again_once() {
    let world = World::secured("token", 1).await;
    world.produce(0, 3);
    // Expired for the broker, whose validator allows for 30 s of skew.
    let lifetime_ms = Arc::new(AtomicI64::new(900_000));
    let (source, made) = source(&world, &lifetime_ms);
    lifetime_ms.store(-120_000, Ordering::SeqCst);
    let started = Instant::now();
    let refused = end(&source, &world).await.expect_err("it is refused");
    assert_eq!(refused.kind, ErrorType::AuthenticationFailed, "{refused}");
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
    assert!(made.load(Ordering::SeqCst) <= 3, "{made:?}");
    lifetime_ms.store(900_000, Ordering::SeqCst);
    assert_eq!(end(&source, &world).await, Ok(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_during_a_run_is_replaced() {
    let world = World::secured("token", 1).await;
    world.produce(0, 3);
    // librdkafka checks every second whether 80 % of the lifetime have passed.
    let (source, made) = source(&world, &Arc::new(AtomicI64::new(8_000)));
    assert_eq!(end(&source, &world).await, Ok(3));
    let partition = TopicPartition::new(world.topic.as_str(), 0);
    let next = NextOffset::new(0).expect("an offset");
    source.assign(&[(partition.clone(), next)]).expect("it starts");
    let started = Instant::now();
    let limit = Limit {
        records: 10,
        bytes: 1_000_000,
    };
    while made.load(Ordering::SeqCst) < 2 && started.elapsed() < Duration::from_secs(12) {
        // At the end of the log, the client's events are served too.
        let _ = tokio::time::timeout(Duration::from_millis(200), source.poll(&partition, limit)).await;
    }
    assert_eq!(made.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_be_signed_is_an_error_at_once() {
    let world = World::secured("token", 1).await;
    let config = config(&world);
    let signer = Box::new(|| Box::pin(async { Err("the seal is lost. Find it".to_owned()) }) as _);
    let source = KafkaSource::new(&config, Arc::new(Security::with_signer(&config, signer)));
    let started = Instant::now();
    let error = end(&source, &world).await.expect_err("there is no token");
    let expected = "AuthenticationFailed: no token can be signed for the brokers: the seal is lost. Find it";
    assert_eq!(error.to_string(), expected);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn oauthbearer_without_a_source_of_tokens_is_an_error_before_any_connection() {
    let mut world = World::secured("token", 1).await;
    world
        .connect(Listener::Oauth)
        .set("KAFKA_SASL_MECHANISM", "OAUTHBEARER");
    let ran = world.run();
    let report = ran.failure("InvalidConfiguration", 2);
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains("AWS_MSK_IAM"), "{message}");
    assert!(ran.took < Duration::from_secs(2), "{:?}", ran.took);
}

#[tokio::test]
async fn msk_iam_without_credentials_is_an_error_with_the_next_step() {
    let mut world = World::secured("token", 1).await;
    world
        .set(
            "KAFKA_BOOTSTRAP_SERVERS",
            "b-1.x.abc.c2.kafka.eu-west-1.amazonaws.com:9098",
        )
        .set("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
        .set("KAFKA_SASL_MECHANISM", "AWS_MSK_IAM")
        .set("AWS_ACCESS_KEY_ID", "")
        .set("AWS_SECRET_ACCESS_KEY", "")
        .set("AWS_EC2_METADATA_DISABLED", "true");
    let ran = world.run();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("Check the AWS credentials"), "{ran:?}");
    assert!(ran.took < Duration::from_secs(7), "{:?}", ran.took);
}

//! Dead letters into a topic of the embedded Kafka.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_consumer_lambda::Record;
use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::dead_letter::header;
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::embedded::EmbeddedKafka;
use kafka_consumer_lambda::processor::Progress;
use kafka_consumer_lambda::security::Security;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::dead_letters::{LONG_AGO_MS, give, is_pointer, last, letter, read, retry, target};

const PLENTY: Duration = Duration::from_secs(20);

async fn dead(partitions: u16) -> EmbeddedKafka {
    let kafka = EmbeddedKafka::start(1).expect("it starts");
    kafka.create_topic("dead", partitions).await.expect("a topic");
    kafka
}

fn target_at(bootstrap: &str) -> DeadLetters {
    target(&[
        ("KAFKA_BOOTSTRAP_SERVERS", bootstrap),
        ("ON_FAILURE", "kafka://dead"),
        ("POLL_TIMEOUT", "1.5"),
    ])
}

fn all(count: usize) -> Progress {
    Progress {
        settled: count,
        stop: None,
    }
}

async fn in_dead(kafka: &EmbeddedKafka, partition: i32, count: usize) -> Vec<Record> {
    let bootstrap = kafka.bootstrap_servers().to_owned();
    let reading = tokio::task::spawn_blocking(move || read(&bootstrap, "dead", partition, count));
    reading.await.expect("they are there")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_values_and_headers_arrive_unchanged_and_in_order() {
    let kafka = dead(1).await;
    let letters = [
        letter(1, Some("k"), Some(b"v")),
        letter(2, Some("k"), None),
        letter(5, None, Some(b"")),
        letter(6, Some(""), Some(b"\x00\xFF")),
    ];
    let target = target_at(kafka.bootstrap_servers());
    assert_eq!(give(&target, &letters, PLENTY).await, all(4));
    let arrived = in_dead(&kafka, 0, 4).await;
    for (arrived, sent) in arrived.iter().zip(&letters) {
        assert_eq!(
            (&arrived.key, &arrived.value, &arrived.headers),
            (&sent.key, &sent.value, &sent.headers)
        );
    }
    assert_eq!(last(&arrived[3], header::OFFSET), Some("6"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_has_its_own_timestamp() {
    let kafka = dead(1).await;
    let target = target_at(kafka.bootstrap_servers());
    let now_ms = || {
        i64::try_from(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .expect("after 1970")
                .as_millis(),
        )
    };
    let before_ms = now_ms().expect("a time");
    assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
    let arrived = in_dead(&kafka, 0, 1).await;
    let written_ms = arrived[0].timestamp_ms().expect("a time");
    assert!(written_ms >= before_ms && written_ms <= now_ms().expect("a time"));
    let original = LONG_AGO_MS.to_string();
    assert_eq!(last(&arrived[0], header::TIMESTAMP), Some(original.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_partitioned_as_by_javas_producer() {
    let kafka = dead(4).await;
    let target = target_at(kafka.bootstrap_servers());
    // The hashes are those of the tests of Kafka's own Java client.
    for (key, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("abc", 479_470_107_i32),
    ] {
        assert_eq!(give(&target, &[letter(1, Some(key), Some(b"v"))], PLENTY).await, all(1));
        let partition = (hash & i32::MAX) % 4;
        let arrived = in_dead(&kafka, partition, 1).await;
        assert!(arrived.iter().all(|it| it.partition.partition == partition), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_broker_finds_too_large_becomes_a_pointer_and_no_other_does() {
    let kafka = dead(1).await;
    let target = target_at(kafka.bootstrap_servers());
    assert_eq!(give(&target, &[letter(1, Some("k"), Some(b"v"))], PLENTY).await, all(1));
    kafka.cluster().expect("it runs").request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
    );
    let letters = [letter(2, Some("k"), Some(b"large")), letter(3, Some("k"), Some(b"v"))];
    assert_eq!(give(&target, &letters, PLENTY).await, all(2));
    let arrived = in_dead(&kafka, 0, 3).await;
    let mut seen: Vec<_> = arrived
        .iter()
        .map(|it| (last(it, header::OFFSET), is_pointer(it)))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [(Some("1"), false), (Some("2"), true), (Some("3"), false)]);
    let pointer = arrived.iter().find(|it| is_pointer(it)).expect("it is there");
    assert_eq!(
        (pointer.key.as_deref(), pointer.value.as_deref()),
        (Some(&b"k"[..]), Some(&b""[..]))
    );
    // Key 1, value 5, `trace` and one digit twice, `null`.
    assert_eq!(last(pointer, header::OMITTED_BYTES), Some("22"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_above_the_limit_of_every_broker_becomes_a_pointer_without_being_sent() {
    let kafka = dead(1).await;
    let target = target_at(kafka.bootstrap_servers());
    let huge = Record {
        value: Some(Bytes::from(vec![0; 101 * 1024 * 1024])),
        ..letter(1, Some("k"), None)
    };
    assert_eq!(give(&target, &[huge, letter(2, None, None)], PLENTY).await, all(2));
    let arrived = in_dead(&kafka, 0, 2).await;
    assert_eq!(arrived.iter().filter(|it| is_pointer(it)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_dead_letters_are_sent_in_batches() {
    let kafka = dead(1).await;
    let target = target_at(kafka.bootstrap_servers());
    let letters: Vec<_> = (0..1_000).map(|n| letter(n, Some("k"), Some(b"v"))).collect();
    assert_eq!(give(&target, &letters[..1], PLENTY).await, all(1));
    let started = Instant::now();
    assert_eq!(give(&target, &letters, PLENTY).await, all(1_000));
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let arrived = in_dead(&kafka, 0, 1_001).await;
    let offsets: Vec<_> = arrived[1..].iter().map(|it| last(it, header::OFFSET)).collect();
    let expected: Vec<_> = (0..1_000).map(|n| n.to_string()).collect();
    assert!(offsets.iter().zip(&expected).all(|(a, b)| *a == Some(b)), "in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_down_are_an_error_within_seconds_and_no_loss() {
    let kafka = dead(1).await;
    let target = target_at(kafka.bootstrap_servers());
    kafka.cluster().expect("it runs").broker_down(1).expect("it stops");
    let letters = [letter(1, Some("planted-key"), Some(b"planted-value"))];
    let started = Instant::now();
    let progress = give(&target, &letters, PLENTY).await;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(progress.settled, 0);
    let text = retry(progress);
    let start = format!(
        "dead letters cannot be written to kafka://dead: no broker of {} responded within 1.5 s (POLL_TIMEOUT): ",
        kafka.bootstrap_servers()
    );
    assert!(text.starts_with(&start), "{text}");
    assert!(
        text.contains("Check that the broker runs, and the port in KAFKA_BOOTSTRAP_SERVERS"),
        "{text}"
    );
    assert!(!text.contains("planted"), "{text}");

    kafka.cluster().expect("it runs").broker_up(1).expect("it starts");
    assert_eq!(give(&target, &letters, PLENTY).await, all(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_go_down_between_two_dead_letters_are_an_error_too() {
    let kafka = dead(1).await;
    let target = target_at(kafka.bootstrap_servers());
    assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
    kafka.cluster().expect("it runs").broker_down(1).expect("it stops");
    let started = Instant::now();
    let text = retry(give(&target, &[letter(2, None, None)], PLENTY).await);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(text.contains("no acknowledgement within 1.5 s"), "{text}");
    assert!(
        !text.contains("KAFKA_SECURITY_PROTOCOL"),
        "the protocol is right: {text}"
    );
    kafka.cluster().expect("it runs").broker_up(1).expect("it starts");
    assert_eq!(give(&target, &[letter(2, None, None)], PLENTY).await, all(1));
}

/// A dead letter without an acknowledgement is not written during a later run: neither if the target
/// detected the end of the run, nor if the run dropped it first.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_was_given_up_is_not_written_later() {
    let short = Duration::from_millis(600);
    for (left, dropped_after) in [(short, PLENTY), (PLENTY, short)] {
        let kafka = dead(1).await;
        // With a timeout so long that it would still be in flight when the broker is back.
        let target = target(&[
            ("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers()),
            ("ON_FAILURE", "kafka://dead"),
            ("POLL_TIMEOUT", "10"),
        ]);
        assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
        kafka.cluster().expect("it runs").broker_down(1).expect("it stops");
        let letters = [letter(2, None, None)];
        let given = tokio::time::timeout(dropped_after, give(&target, &letters, left)).await;
        assert_eq!(given.ok(), (left == short).then(|| all(0)));
        // The producer that had it is closed in the background.
        tokio::time::sleep(Duration::from_millis(200)).await;
        kafka.cluster().expect("it runs").broker_up(1).expect("it starts");
        assert_eq!(give(&target, &[letter(3, None, None)], PLENTY).await, all(1));
        let arrived = in_dead(&kafka, 0, 2).await;
        assert_eq!(last(&arrived[1], header::OFFSET), Some("3"));
    }
}

/// A partition is blocked if the target refuses, or does not respond within its timeout, not if the
/// run ends before that.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_run_is_no_failure_of_the_target() {
    for warm in [false, true] {
        let kafka = dead(1).await;
        let target = target_at(kafka.bootstrap_servers());
        if warm {
            assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
        }
        kafka.cluster().expect("it runs").broker_down(1).expect("it stops");
        let letters = [letter(2, None, None)];
        assert_eq!(give(&target, &letters, Duration::from_millis(800)).await, all(0));
        let text = retry(give(&target, &letters, PLENTY).await);
        assert!(text.contains("within 1.5 s"), "{text}");
    }
}

/// The wait for a token has its own timeout, which the error names.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_take_too_long_are_a_failure_unless_the_run_ends_first() {
    let config = Config::from_lookup(
        [
            ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
            ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
            ("KAFKA_SASL_MECHANISM", "OAUTHBEARER"),
            ("ON_FAILURE", "kafka://dead"),
            ("POLL_TIMEOUT", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    )
    .expect("these are settings");
    let never = Security::with_signer(&config, Box::new(|| Box::pin(std::future::pending())));
    let target = DeadLetters::new(&config, &Arc::new(never));
    let letters = [letter(1, None, None)];
    let text = retry(give(&target, &letters, PLENTY).await);
    assert_eq!(
        text,
        "dead letters cannot be written to kafka://dead: no token can be signed for the brokers: signing it timed out. Check \
         the source of the tokens and of its credentials"
    );
    assert_eq!(give(&target, &letters, Duration::from_millis(600)).await, all(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_or_forbidden_is_an_error_with_the_cause() {
    let rows = [
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
            "the topic does not exist. Create it, or correct ON_FAILURE",
        ),
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            "not authorized. Allow Write on the topic to the user of this function",
        ),
    ];
    for (error, expected) in rows {
        let kafka = dead(1).await;
        let cluster = kafka.cluster().expect("it runs");
        cluster.topic_error("dead", error).expect("the topic is there");
        drop(cluster);
        let target = target_at(kafka.bootstrap_servers());
        let progress = give(&target, &[letter(1, None, None)], PLENTY).await;
        assert_eq!(
            retry(progress),
            format!("dead letters cannot be written to kafka://dead: {expected}")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_is_an_error_with_the_cause_and_earlier_dead_letters_are_settled() {
    let rows = [
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            "not authorized. Allow Write",
        ),
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD,
            "set its cleanup.policy to delete",
        ),
    ];
    for (error, expected) in rows {
        let kafka = dead(1).await;
        let target = target_at(kafka.bootstrap_servers());
        assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
        let cluster = kafka.cluster().expect("it runs");
        cluster.request_errors(
            RDKafkaApiKey::Produce,
            &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR, error],
        );
        drop(cluster);
        let letters = [letter(2, None, None), letter(3, None, None)];
        let progress = give(&target, &letters, PLENTY).await;
        assert_eq!(progress.settled, 1, "{progress:?}");
        let text = retry(progress);
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pointer_that_is_too_large_as_well_is_an_error() {
    let kafka = dead(1).await;
    let target = target_at(kafka.bootstrap_servers());
    assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
    kafka.cluster().expect("it runs").request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 2],
    );
    let text = retry(give(&target, &[letter(2, None, None)], PLENTY).await);
    assert!(text.ends_with("Raise the topic's max.message.bytes"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_dead_letter_is_sent_or_awaited_after_the_deadline() {
    let kafka = dead(1).await;
    let target = target_at(kafka.bootstrap_servers());
    let late = give(&target, &[letter(1, None, None)], Duration::from_millis(100)).await;
    assert_eq!(late, all(0));

    let cluster = kafka.cluster().expect("it runs");
    cluster
        .broker_round_trip_time(1, Duration::from_secs(3))
        .expect("it is slow");
    drop(cluster);
    let started = Instant::now();
    let progress = give(&target, &[letter(1, None, None)], Duration::from_millis(700)).await;
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(progress, all(0));
}

/// librdkafka requests its producer id half a second after its start if no broker is connected
/// when it first could.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_dead_letter_waits_for_no_timer() {
    let kafka = dead(1).await;
    let mut took = vec![];
    for _ in 0..20 {
        let target = target_at(kafka.bootstrap_servers());
        let started = Instant::now();
        assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
        took.push(started.elapsed());
    }
    took.sort();
    assert!(took[17] < Duration::from_millis(450), "{took:?}");
}

#[tokio::test]
async fn without_a_target_a_dead_letter_is_refused() {
    for setting in ["halt", "skip"] {
        let none = target(&[("ON_FAILURE", setting)]);
        assert!(!none.is_some());
        let text = retry(give(&none, &[letter(1, None, None)], PLENTY).await);
        assert!(text.contains("Set ON_FAILURE"), "{text}");
    }
    assert!(target_at("127.0.0.1:1").is_some());
}

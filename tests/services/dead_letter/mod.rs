//! Dead letters into a real topic and a real queue.

mod run;
mod stale;

use std::process::Command;
use std::time::{Duration, Instant};

use kafka_consumer_lambda::Record;
use kafka_consumer_lambda::dead_letter::header;
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::processor::Progress;
use serde_json::{Value, json};

use crate::support::dead_letters::{LONG_AGO_MS, give, is_pointer, last, letter, read, retry, target};
use crate::support::kafka::{self, unique};
use crate::support::services::{services, start_private_broker};
use crate::support::sqs::{self, Queue};

const PLENTY: Duration = Duration::from_secs(30);

fn all(count: usize) -> Progress {
    Progress {
        settled: count,
        stop: None,
    }
}

fn topic_target(bootstrap: &str, topic: &str) -> DeadLetters {
    target(&[
        ("KAFKA_BOOTSTRAP_SERVERS", bootstrap),
        ("ON_FAILURE", &format!("kafka://{topic}")),
        ("POLL_TIMEOUT", "3"),
    ])
}

/// A topic of one partition, and the target that writes to it.
fn topic(configs: &[(&str, &str)]) -> (String, DeadLetters) {
    let bootstrap = &services().kafka_bootstrap;
    let topic = unique("dead");
    kafka::create_topic(bootstrap, &topic, 1, configs);
    let target = topic_target(bootstrap, &topic);
    (topic, target)
}

async fn in_topic(topic: &str, count: usize) -> Vec<Record> {
    let (bootstrap, topic) = (services().kafka_bootstrap.clone(), topic.to_owned());
    let reading = tokio::task::spawn_blocking(move || read(&bootstrap, &topic, 0, count));
    reading.await.expect("they are there")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_gets_dead_letters_unchanged_and_in_order() {
    let (topic, target) = topic(&[]);
    let letters = [
        letter(1, Some("k"), Some(b"{\"n\":1}")),
        letter(2, Some("k"), None),
        letter(4, None, Some(b"\x00\xFF")),
    ];
    assert_eq!(give(&target, &letters, PLENTY).await, all(3));
    assert_eq!(give(&target, &letters, PLENTY).await, all(3));
    let arrived = in_topic(&topic, 6).await;
    for (arrived, sent) in arrived.iter().zip(letters.iter().cycle()) {
        assert_eq!(
            (&arrived.key, &arrived.value, &arrived.headers),
            (&sent.key, &sent.value, &sent.headers)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_a_low_limit_gets_pointers_to_larger_records() {
    let (topic, target) = topic(&[("max.message.bytes", "3000")]);
    let large = vec![b'x'; 5_000];
    let letters = [
        letter(1, Some("k"), Some(b"small")),
        letter(2, Some("k"), Some(&large)),
        letter(3, Some("k"), Some(b"small")),
        letter(4, None, Some(&large)),
    ];
    assert_eq!(give(&target, &letters, PLENTY).await, all(4));
    // The client works after a refusal.
    assert_eq!(give(&target, &letters, PLENTY).await, all(4));
    let arrived = in_topic(&topic, 8).await;
    let mut letters: Vec<_> = arrived
        .iter()
        .map(|it| (last(it, header::OFFSET).expect("an offset"), is_pointer(it)))
        .collect();
    letters.sort_unstable();
    letters.dedup();
    assert_eq!(letters, [("1", false), ("2", true), ("3", false), ("4", true)]);
    let pointer = arrived.iter().find(|it| is_pointer(it)).expect("it is there");
    assert_eq!(last(pointer, header::TOPIC), Some("orders"));
    assert_eq!(last(pointer, header::PARTITION), Some("3"));
    assert_eq!(pointer.value.as_deref(), Some(&b""[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_record_is_sent_whole_where_the_topic_accepts_it() {
    let (topic, target) = topic(&[("max.message.bytes", "8000000")]);
    let large = vec![b'x'; 6_000_000];
    assert_eq!(give(&target, &[letter(1, None, Some(&large))], PLENTY).await, all(1));
    let arrived = in_topic(&topic, 1).await;
    assert_eq!(arrived[0].value.as_ref().map(bytes::Bytes::len), Some(6_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_counts_from_the_dead_letter_and_not_from_its_record() {
    let (topic, target) = topic(&[("retention.ms", "3600000")]);
    assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
    let arrived = in_topic(&topic, 1).await;
    assert!(arrived[0].timestamp_ms().expect("a time") > LONG_AGO_MS);
    let original = LONG_AGO_MS.to_string();
    assert_eq!(last(&arrived[0], header::TIMESTAMP), Some(original.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_is_named_and_works_once_it_exists() {
    let bootstrap = &services().kafka_bootstrap;
    let topic = unique("missing");
    let target = topic_target(bootstrap, &topic);
    let started = Instant::now();
    let text = retry(give(&target, &[letter(1, None, None)], PLENTY).await);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(
        text,
        format!(
            "dead letters cannot be written to kafka://{topic}: the topic does not exist. Create it, or correct \
             ON_FAILURE"
        )
    );
    kafka::create_topic(bootstrap, &topic, 1, &[]);
    assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_refuses_a_record_without_a_key_with_the_cause() {
    let (_, target) = topic(&[("cleanup.policy", "compact")]);
    let progress = give(
        &target,
        &[letter(1, Some("k"), Some(b"v")), letter(2, None, None)],
        PLENTY,
    )
    .await;
    assert_eq!(progress.settled, 1, "{progress:?}");
    let text = retry(progress);
    assert!(text.contains("set its cleanup.policy to delete"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_is_an_error_within_seconds_and_works_again_afterwards() {
    let broker = start_private_broker();
    kafka::create_topic(&broker.bootstrap, "dead", 1, &[]);
    let target = topic_target(&broker.bootstrap, "dead");
    assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
    broker.stop();
    let started = Instant::now();
    let text = retry(give(&target, &[letter(2, None, None)], PLENTY).await);
    let took = started.elapsed();
    broker.cont();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(text.contains("no acknowledgement within 3.0 s"), "{text}");
    assert_eq!(give(&target, &[letter(2, None, None)], PLENTY).await, all(1));
    // It may be a duplicate; it is never missing.
    let arrived = tokio::task::spawn_blocking(move || read(&broker.bootstrap, "dead", 0, 2)).await;
    assert_eq!(last(&arrived.expect("it is there")[1], header::OFFSET), Some("2"));
}

fn body(message: &aws_sdk_sqs::types::Message) -> Value {
    serde_json::from_str(message.body().expect("a body")).expect("JSON")
}

#[tokio::test]
async fn a_queue_gets_each_dead_letter_as_one_message() {
    let queue = Queue::create("dead").await;
    let letters = [
        letter(17, Some("k"), Some("{\"ä\":\u{1}}".as_bytes())),
        letter(18, Some("k"), None),
    ];
    assert_eq!(give(&queue.target(), &letters, PLENTY).await, all(2));
    let messages = queue.take(2).await;
    let first = messages
        .iter()
        .find(|it| body(it)["offset"] == 17)
        .expect("it is there");
    assert_eq!(
        body(first),
        json!({
            "topic": "orders", "partition": 3, "offset": 17, "timestamp": LONG_AGO_MS,
            "key": "aw==", "value": "eyLDpCI6AX0=", "headers": [{"trace": [50]}, {"trace": [49]}, {"null": null}],
            "error": {
                "message": "no room", "type": "HandlerError", "stage": "TASK_PUT", "attempts": 3, "group": "billing",
            },
        })
    );
    let attributes = first.message_attributes().expect("attributes");
    assert_eq!(attributes["offset"].string_value(), Some("17"));
    assert_eq!(attributes["topic"].string_value(), Some("orders"));
}

#[tokio::test]
async fn a_fifo_queue_keeps_the_order_and_accepts_a_record_once() {
    let queue = Queue::create("dead.fifo").await;
    let letters: Vec<_> = (0..5).map(|n| letter(n, Some("k"), Some(b"v"))).collect();
    assert_eq!(give(&queue.target(), &letters, PLENTY).await, all(5));
    assert_eq!(give(&queue.target(), &letters[3..], PLENTY).await, all(2));
    assert_eq!(queue.len().await, 5);
    let offsets: Vec<_> = queue
        .take(5)
        .await
        .iter()
        .map(|it| body(it)["offset"].clone())
        .collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_queue_gets_a_pointer_to_a_record_above_the_limit_of_sqs() {
    let queue = Queue::create("dead").await;
    let letters = [
        letter(1, Some("k"), Some(&vec![7; 785_000])),
        letter(2, Some("k"), Some(&vec![7; 790_000])),
    ];
    assert_eq!(give(&queue.target(), &letters, PLENTY).await, all(2));
    for message in queue.take(2).await.iter().map(body) {
        let omitted = message["error"].get("omitted_bytes");
        assert_eq!(omitted, (message["offset"] == 2).then_some(&json!(790_017)));
    }
}

#[tokio::test]
async fn a_missing_queue_is_named() {
    let arn = "arn:aws:sqs:elasticmq:000000000000:missing";
    let text = retry(give(&sqs::target(arn), &[letter(1, None, None)], PLENTY).await);
    assert_eq!(
        text,
        format!(
            "dead letters cannot be sent to {arn}: the queue does not exist in elasticmq. Create it, or correct \
             ON_FAILURE"
        )
    );
}

/// Environment variables belong to a process: this test is run again in another one.
#[tokio::test]
async fn the_endpoint_and_the_credentials_of_sqs_are_those_of_the_environment() {
    const NAME: &str = "dead_letter::the_endpoint_and_the_credentials_of_sqs_are_those_of_the_environment";
    const QUEUE: &str = "TEST_DEAD_LETTER_QUEUE";
    if let Ok(arn) = std::env::var(QUEUE) {
        let target = target(&[("ON_FAILURE", &arn)]);
        assert_eq!(give(&target, &[letter(1, None, None)], PLENTY).await, all(1));
        return;
    }
    let queue = Queue::create("dead").await;
    let again = |key: &str| {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command
            .args([NAME, "--exact", "--nocapture"])
            .env_clear()
            .env(QUEUE, &queue.arn)
            .env("AWS_ENDPOINT_URL_SQS", sqs::endpoint())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", "planted-secret");
        command.output().expect("it runs")
    };
    let output = again("test");
    let output_text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && output_text.contains("1 passed"),
        "{output_text}"
    );
    assert_eq!(queue.len().await, 1);

    let output = again("");
    let output_text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && !output_text.contains("planted"),
        "{output_text}"
    );
    assert!(output_text.contains("Check the AWS credentials"), "{output_text}");
}

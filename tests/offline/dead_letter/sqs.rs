//! Dead letters to a server that responds as SQS does, or not at all.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kafka_consumer_lambda::Record;
use kafka_consumer_lambda::dead_letter::sqs::SqsQueue;
use kafka_consumer_lambda::processor::Progress;
use kafka_consumer_lambda::record::TopicPartition;
use serde_json::{Value, json};

use crate::support::dead_letters::{give, letter, retry};
use crate::support::scripted_dynamodb::{Act, Scripted};

const PLENTY: Duration = Duration::from_secs(20);
const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:dead";
const NOWHERE: &str = "127.0.0.1:9";

fn queue(arn: &str, endpoint: &str) -> SqsQueue {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(300))
        .read_timeout(Duration::from_millis(300))
        .build();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(endpoint)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(10)))
        .credentials_provider(Credentials::new(
            "test",
            "planted-secret",
            Some("planted-token".into()),
            None,
            "test",
        ));
    SqsQueue::with_client(arn.parse().expect("an ARN"), Client::from_conf(config.build()))
}

/// SQS's response to a call with this number of messages, which it accepted.
fn accepted(messages: usize) -> Act {
    let accepted = |id: usize| json!({"Id": id.to_string(), "MessageId": "1", "MD5OfMessageBody": "x"});
    let accepted: Vec<_> = (0..messages).map(accepted).collect();
    Act::Respond(200, json!({"Successful": accepted, "Failed": []}).to_string())
}

fn error(code: &str, message: &str) -> Act {
    let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message});
    Act::Respond(400, body.to_string())
}

async fn scripted(acts: impl IntoIterator<Item = Act>) -> Scripted {
    let server = Scripted::start(NOWHERE).await;
    server.next(acts);
    server
}

/// The entries of the requests, and the message in each. Every request names the queue.
fn messages(server: &Scripted) -> Vec<(Value, Value)> {
    let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let both = |entry: &Value| {
        let message = read(entry["MessageBody"].as_str().expect("a body"));
        (entry.clone(), message)
    };
    let entries = |body: &String| -> Vec<_> {
        let request = read(body);
        let url = request["QueueUrl"].as_str().expect("a URL");
        assert!(
            url.starts_with("https://sqs.eu-central-1.amazonaws.com/123456789012/dead"),
            "{url}"
        );
        request["Entries"]
            .as_array()
            .expect("entries")
            .iter()
            .map(both)
            .collect()
    };
    server.take_bodies().iter().flat_map(entries).collect()
}

fn all(count: usize) -> Progress {
    Progress {
        settled: count,
        stop: None,
    }
}

#[tokio::test]
async fn each_dead_letter_is_one_message_and_they_are_sent_in_order() {
    let server = scripted([accepted(2)]).await;
    let letters = [letter(17, Some("k"), Some(b"{}")), letter(18, None, None)];
    assert_eq!(give(&queue(QUEUE, &server.endpoint), &letters, PLENTY).await, all(2));
    assert_eq!(server.take_operations(), ["SendMessageBatch"]);
    let sent = messages(&server);
    let (request, message) = &sent[0];
    assert_eq!(
        request["MessageAttributes"],
        json!({
            "topic": {"DataType": "String", "StringValue": "orders"},
            "partition": {"DataType": "Number", "StringValue": "3"},
            "offset": {"DataType": "Number", "StringValue": "17"},
        })
    );
    assert!(request.get("MessageGroupId").is_none());
    assert_eq!(
        *message,
        json!({
            "topic": "orders", "partition": 3, "offset": 17, "timestamp": 1_000_000_000_000_i64,
            "key": "aw==", "value": "e30=", "headers": [{"trace": [50]}, {"trace": [49]}, {"null": null}],
            "error": {
                "message": "no room", "type": "HandlerError", "stage": "TASK_PUT", "attempts": 3, "group": "billing",
            },
        })
    );
    let tombstone = &sent[1].1;
    assert_eq!((&tombstone["key"], &tombstone["value"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_fifo_queue_gets_the_partition_as_group_and_the_record_as_deduplication_id() {
    let server = scripted([accepted(1)]).await;
    let fifo = queue(&format!("{QUEUE}.fifo"), &server.endpoint);
    assert_eq!(give(&fifo, &[letter(17, None, None)], PLENTY).await, all(1));
    let (request, _) = &messages(&server)[0];
    assert_eq!(request["MessageGroupId"], "orders-3");
    assert_eq!(request["MessageDeduplicationId"], "orders-3-17");
}

#[tokio::test]
async fn a_queue_with_a_lower_limit_gets_a_pointer() {
    let message = "One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes.";
    let server = scripted([error("InvalidParameterValueException", message), accepted(1)]).await;
    let value = vec![7; 300_000];
    let letters = [letter(17, Some("k"), Some(&value))];
    assert_eq!(give(&queue(QUEUE, &server.endpoint), &letters, PLENTY).await, all(1));
    let sent = messages(&server);
    assert_eq!(sent[0].1["value"], STANDARD.encode(&value));
    assert_eq!((&sent[1].1["value"], &sent[1].1["key"]), (&json!(""), &json!("aw==")));
    assert_eq!(sent[1].1["error"]["omitted_bytes"], 300_000 + 1 + 16);
    assert_eq!(sent[1].1["offset"], 17);
}

#[tokio::test]
async fn a_record_above_the_limit_of_every_queue_is_sent_as_a_pointer_at_once() {
    let server = scripted([accepted(3)]).await;
    // As base64 three quarters of the limit, less the rest of the body, fit.
    let letters = [
        letter(17, None, Some(&vec![7; 785_000])),
        letter(18, None, Some(&vec![7; 787_000])),
        letter(19, None, Some(&vec![7; 2_000_000])),
    ];
    assert_eq!(give(&queue(QUEUE, &server.endpoint), &letters, PLENTY).await, all(3));
    let sent = messages(&server);
    let omitted: Vec<_> = sent
        .iter()
        .map(|(_, message)| message["error"].get("omitted_bytes").is_some())
        .collect();
    assert_eq!(omitted, [false, true, true]);
}

#[tokio::test]
async fn a_pointer_that_is_refused_too_is_an_error() {
    let message = "Reason: Message must be shorter than 1024 bytes.";
    let server = scripted([
        error("InvalidParameterValue", message),
        error("InvalidParameterValue", message),
    ])
    .await;
    let text = retry(give(&queue(QUEUE, &server.endpoint), &[letter(1, None, None)], PLENTY).await);
    assert!(text.ends_with("Raise the queue's MaximumMessageSize"), "{text}");
}

#[tokio::test]
async fn a_failure_names_the_queue_and_what_to_do_and_keeps_what_was_sent() {
    let rows = [
        (
            error("QueueDoesNotExist", "The specified queue does not exist."),
            "the queue does not exist in eu-central-1. Create it, or correct ON_FAILURE",
        ),
        (
            error(
                "AccessDeniedException",
                "User: x is not authorized to perform: sqs:sendmessage",
            ),
            "Allow sqs:SendMessage on the queue",
        ),
        (
            error("InvalidClientTokenId", "planted-token"),
            "the AWS credentials were refused: InvalidClientTokenId",
        ),
        (
            Act::Respond(404, "<html>planted".into()),
            "a response that is not from SQS, with HTTP status 404",
        ),
    ];
    for (act, message) in rows {
        let server = scripted([accepted(1), act]).await;
        // Too large for one call.
        let large = vec![7; 600_000];
        let letters = [letter(1, Some("planted"), Some(&large)), letter(2, None, Some(&large))];
        let progress = give(&queue(QUEUE, &server.endpoint), &letters, PLENTY).await;
        assert_eq!(progress.settled, 1);
        let text = retry(progress);
        assert!(
            text.starts_with(&format!("dead letters cannot be sent to {QUEUE}: ")),
            "{text}"
        );
        assert!(text.contains(message) && !text.contains("planted"), "{text}");
    }
}

#[tokio::test]
async fn a_temporary_failure_is_retried() {
    let unavailable = Act::Respond(503, "{}".into());
    let server = scripted([unavailable, Act::HangUp, accepted(1)]).await;
    let sent = give(&queue(QUEUE, &server.endpoint), &[letter(1, None, None)], PLENTY).await;
    assert_eq!(sent, all(1));
}

#[tokio::test]
async fn a_queue_that_does_not_respond_is_an_error_within_seconds() {
    let server = scripted([Act::Silence, Act::Silence, Act::Silence]).await;
    let started = Instant::now();
    let text = retry(give(&queue(QUEUE, &server.endpoint), &[letter(1, None, None)], PLENTY).await);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(
        text.contains(&format!("no response from {}", server.endpoint)),
        "{text}"
    );
    assert!(text.contains("interface endpoint"), "{text}");
}

#[tokio::test]
async fn no_dead_letter_is_sent_or_awaited_after_the_deadline() {
    let server = scripted([]).await;
    let queue = queue(QUEUE, &server.endpoint);
    let late = give(&queue, &[letter(1, None, None)], Duration::from_millis(100)).await;
    assert_eq!((late, server.take_operations().len()), (all(0), 0));

    server.next([Act::Silence, Act::Silence, Act::Silence]);
    let started = Instant::now();
    let progress = give(&queue, &[letter(1, None, None)], Duration::from_millis(600)).await;
    assert!(
        started.elapsed() < Duration::from_millis(800),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(progress, all(0), "the end of the run is no failure of the queue");
}

#[tokio::test]
async fn ids_of_a_long_topic_fit_into_a_fifo_queue() {
    let server = scripted([accepted(1)]).await;
    let long = Record {
        partition: TopicPartition::new("t".repeat(249), 3),
        key: Some(Bytes::new()),
        ..letter(17, None, None)
    };
    let fifo = queue(&format!("{QUEUE}.fifo"), &server.endpoint);
    assert_eq!(give(&fifo, &[long], PLENTY).await, all(1));
    let (request, _) = &messages(&server)[0];
    for id in ["MessageGroupId", "MessageDeduplicationId"] {
        assert_eq!(request[id].as_str().map(str::len), Some(128));
    }
}

//! Pushed batches: in order, settled or named, without a table and a broker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_consumer_lambda::clock::{Deadline, SystemClock};
use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::dead_letter::target::DeadLetters;
use kafka_consumer_lambda::destination::Configured;
use kafka_consumer_lambda::invoke::Parts;
use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::push::{Pushed, push};
use kafka_consumer_lambda::record::{Chunk, Header, Record, TopicPartition};
use kafka_consumer_lambda::security::Security;
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::store::memory::MemoryStore;
use kafka_consumer_lambda::{Failure, each, routes};
use serde_json::{Value, json};

/// The record keys that a handler was called with, in that order.
#[derive(Clone, Default)]
struct Handled(Arc<Mutex<Vec<(String, i64)>>>);

impl Handled {
    fn note(&self, record: &Record) {
        let key = (record.partition.to_string(), record.offset);
        self.0.lock().expect("no panic").push(key);
    }

    fn of(&self, partition: &str) -> Vec<i64> {
        let all = self.0.lock().expect("no panic");
        all.iter()
            .filter(|(name, _)| name == partition)
            .map(|(_, offset)| *offset)
            .collect()
    }
}

/// JSON values `{"n": <offset>}` of `topic`, partition 0.
fn chunk(topic: &str, offsets: impl IntoIterator<Item = i64>) -> Chunk {
    let record = |offset: i64| Record {
        value: Some(format!("{{\"n\":{offset}}}").into()),
        ..Record::new(TopicPartition::new(topic, 0), offset)
    };
    Chunk::new(offsets.into_iter().map(record).collect()).expect("records")
}

/// Pushes to a processor whose brokers and table do not exist.
async fn pushed_with<P: Processor>(
    settings: &[(&str, &str)],
    processor: P,
    chunks: Vec<Chunk>,
    limit: Duration,
) -> Pushed {
    let own = [("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), ("KAFKA_GROUP_ID", "g")];
    let pairs = own
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = Config::from_lookup(pairs).expect("these are settings");
    let security = Arc::new(Security::new(&config));
    let parts: Parts<(MemoryStore, KafkaSource, P, DeadLetters, SystemClock)> = Parts {
        dead_letters: DeadLetters::new(&config, &security),
        source: KafkaSource::new(&config, security),
        config: Arc::new(config),
        store: MemoryStore::new(),
        processor,
        clock: SystemClock,
    };
    push(&parts, chunks, Deadline::after(limit, &SystemClock)).await
}

async fn pushed<P: Processor>(settings: &[(&str, &str)], processor: P, chunks: Vec<Chunk>) -> Pushed {
    pushed_with(settings, processor, chunks, Duration::from_secs(20)).await
}

fn report(pushed: &Pushed) -> Value {
    serde_json::to_value(&pushed.invoked.response).expect("JSON")
}

fn response(pushed: &Pushed) -> Value {
    serde_json::to_value(&pushed.response).expect("JSON")
}

fn failures(partition: &str, offsets: &[i64]) -> Value {
    let failure = |offset: &i64| json!({"itemIdentifier": {"partition": partition, "offset": offset}});
    json!({"batchItemFailures": offsets.iter().map(failure).collect::<Vec<_>>()})
}

/// Settles each record but `failing`, which fails so.
fn failing_at(handled: &Handled, failing: i64, failure: Failure) -> impl Processor + use<> {
    let handled = handled.clone();
    each(move |record: Record| {
        handled.note(&record);
        let result = if record.offset == failing && &*record.partition.topic == "orders" {
            Err(failure.clone())
        } else {
            Ok(())
        };
        async { result }
    })
}

#[tokio::test]
async fn records_are_handled_in_the_order_of_each_partition() {
    let handled = Handled::default();
    let processor = failing_at(&handled, -1, Failure::Poison(String::new()));
    let pushed = pushed(&[], processor, vec![chunk("orders", 6..9), chunk("users", [3, 9])]).await;
    assert_eq!(
        (handled.of("orders-0"), handled.of("users-0")),
        (vec![6, 7, 8], vec![3, 9])
    );
    assert_eq!(pushed.returned(false), Ok(&pushed.response));
    assert_eq!(response(&pushed), json!({"batchItemFailures": []}));
    let report = report(&pushed);
    assert_eq!(
        (&report["status"], &report["messages_processed"]),
        (&json!("success"), &json!(5))
    );
    assert_eq!(pushed.invoked.metrics.len(), 2);
}

#[tokio::test]
async fn a_failed_record_and_all_behind_it_are_named_and_other_partitions_are_settled() {
    let handled = Handled::default();
    let processor = failing_at(&handled, 7, Failure::Poison("no price".into()));
    let pushed = pushed(&[], processor, vec![chunk("orders", 6..9), chunk("users", [3])]).await;
    assert_eq!((handled.of("orders-0"), handled.of("users-0")), (vec![6, 7], vec![3]));
    assert_eq!(response(&pushed), failures("orders-0", &[7, 8]));
    assert_eq!(pushed.returned(true), Ok(&pushed.response));
    let error = pushed.returned(false).expect_err("it failed").to_string();
    assert!(
        error.starts_with("PartitionBlocked: offset 7 of orders-0 failed: no price"),
        "{error}"
    );
    let report = report(&pushed);
    assert_eq!(
        (&report["blocked"][0]["offset"], &report["blocked"][0]["attempts"]),
        (&json!(7), &json!(1))
    );
    assert_eq!(report["messages_processed"], 2);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_up_to_the_limit() {
    let handled = Handled::default();
    let processor = failing_at(&handled, 7, Failure::Retry("busy".into()));
    let pushed = pushed(&[("MAX_ATTEMPTS", "2")], processor, vec![chunk("orders", 6..9)]).await;
    assert_eq!(handled.of("orders-0"), [6, 7, 7]);
    assert_eq!(response(&pushed), failures("orders-0", &[7, 8]));
}

#[tokio::test]
async fn skip_passes_a_record_that_failed_and_reports_it() {
    let handled = Handled::default();
    let processor = failing_at(&handled, 7, Failure::Poison("no price".into()));
    let pushed = pushed(&[("ON_FAILURE", "skip")], processor, vec![chunk("orders", 6..9)]).await;
    assert_eq!(handled.of("orders-0"), [6, 7, 8]);
    assert_eq!(response(&pushed), failures("orders-0", &[]));
    let report = report(&pushed);
    assert_eq!(
        (&report["skipped"][0]["first_offset"], &report["status"]),
        (&json!(7), &json!("success"))
    );
}

#[tokio::test]
async fn a_value_that_cannot_be_decoded_fails_at_its_place() {
    let mut records = chunk("orders", 6..9).records().to_vec();
    records[1].value = Some("{".into());
    let handled = Handled::default();
    let processor = failing_at(&handled, -1, Failure::Poison(String::new()));
    let pushed = pushed(&[], processor, vec![Chunk::new(records).expect("records")]).await;
    assert_eq!(handled.of("orders-0"), [6]);
    assert_eq!(response(&pushed), failures("orders-0", &[7, 8]));
}

#[tokio::test]
async fn a_filtered_record_is_settled_without_the_handler() {
    let handled = Handled::default();
    let processor = failing_at(&handled, -1, Failure::Poison(String::new()));
    let filter = [("FILTER_PATTERNS", r#"[{"value":{"n":[7]}}]"#)];
    let pushed = pushed(&filter, processor, vec![chunk("orders", 6..9)]).await;
    assert_eq!(handled.of("orders-0"), [7]);
    let report = report(&pushed);
    assert_eq!(
        (&report["filtered"], &report["messages_processed"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn a_panic_is_blamed_on_the_record_that_was_handed_over_alone() {
    let handled = Handled::default();
    let noted = handled.clone();
    let processor = each(move |record: Record| {
        noted.note(&record);
        async move {
            assert!(record.offset != 7, "a bug");
            Ok(())
        }
    });
    let pushed = pushed(&[("MAX_ATTEMPTS", "2")], processor, vec![chunk("orders", 6..9)]).await;
    assert_eq!(response(&pushed), failures("orders-0", &[7, 8]));
    let error = pushed.returned(false).expect_err("it failed").to_string();
    assert!(
        error.contains("offset 7 of orders-0 failed: the handler panicked: a bug"),
        "{error}"
    );
}

#[tokio::test]
async fn a_fatal_failure_fails_the_invocation_even_where_failures_are_reported() {
    let handled = Handled::default();
    let processor = failing_at(&handled, 6, Failure::Fatal("the key is revoked".into()));
    let pushed = pushed(&[], processor, vec![chunk("orders", 6..9)]).await;
    let error = pushed.returned(true).expect_err("it failed").to_string();
    assert!(
        error.starts_with("DestinationFailed: ") && error.contains("the key is revoked"),
        "{error}"
    );
    assert_eq!(handled.of("orders-0"), [6]);
}

#[tokio::test]
async fn a_fatal_failure_stops_the_other_partitions_and_is_the_one_that_is_returned() {
    let processor = each(|record: Record| async move {
        if &*record.partition.topic == "orders" {
            return Err(Failure::Fatal("the key is revoked".into()));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(())
    });
    let pushed = pushed(&[], processor, vec![chunk("a", 0..300), chunk("orders", 6..8)]).await;
    let error = pushed.returned(true).expect_err("it failed").to_string();
    assert!(error.contains("offset 6 of orders-0: the key is revoked"), "{error}");
    let left: Vec<i64> = (100..300).collect();
    let mut expected = failures("a-0", &left);
    let orders = failures("orders-0", &[6, 7]);
    let list = expected["batchItemFailures"].as_array_mut().expect("a list");
    list.extend(orders["batchItemFailures"].as_array().expect("a list").clone());
    assert_eq!(response(&pushed), expected);
}

#[tokio::test]
async fn records_that_are_unfinished_at_the_end_of_the_time_are_named() {
    let processor = each(|record: Record| async move {
        if record.offset == 207 {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let limit = Duration::from_millis(600);
    let pushed = pushed_with(&[], processor, vec![chunk("orders", 0..250)], limit).await;
    // Of the call that was cut off it is not known which records it finished.
    let left: Vec<i64> = (200..250).collect();
    assert_eq!(response(&pushed), failures("orders-0", &left));
    let error = pushed.returned(false).expect_err("it failed").to_string();
    assert!(
        error.starts_with("Timeout: the time ended with offset 200 of orders-0 unfinished"),
        "{error}"
    );
}

/// `ON_FAILURE` must not apply to a record that was not tried.
#[tokio::test]
async fn a_processor_that_declines_to_start_for_lack_of_time_fails_no_record() {
    struct Declines;
    impl Processor for Declines {
        async fn process(&self, _: &Chunk, _: &RunContext) -> Progress {
            Progress { settled: 0, stop: None }
        }
    }
    let settings = [("ON_FAILURE", "skip"), ("MAX_ATTEMPTS", "1")];
    let pushed = pushed_with(&settings, Declines, vec![chunk("orders", 6..7)], Duration::from_secs(1)).await;
    assert_eq!(response(&pushed), failures("orders-0", &[6]));
    let error = pushed.returned(false).expect_err("it failed").to_string();
    assert!(error.starts_with("Timeout: "), "{error}");
}

#[tokio::test]
async fn no_records_are_a_success_without_a_call() {
    struct Never;
    impl Processor for Never {
        async fn process(&self, _: &Chunk, _: &RunContext) -> Progress {
            panic!("it was called");
        }
    }
    let pushed = pushed(&[], Never, vec![]).await;
    assert_eq!(pushed.returned(false), Ok(&pushed.response));
    assert_eq!(report(&pushed)["messages_processed"], 0);
}

#[tokio::test]
async fn each_topic_is_handled_by_its_route() {
    let (orders, users) = (Handled::default(), Handled::default());
    let settles = |handled: &Handled| failing_at(handled, -1, Failure::Poison(String::new()));
    let router = routes().topic("orders", settles(&orders)).otherwise(settles(&users));
    let pushed = pushed(&[], router, vec![chunk("orders", 6..9), chunk("users", [3])]).await;
    assert_eq!((orders.of("orders-0"), users.of("users-0")), (vec![6, 7, 8], vec![3]));
    assert_eq!(response(&pushed), failures("orders-0", &[]));
}

#[tokio::test]
async fn of_a_batch_with_a_topic_that_has_no_handler_no_record_is_handed_over() {
    let handled = Handled::default();
    let orders = failing_at(&handled, -1, Failure::Poison(String::new()));
    let chunks = vec![chunk("orders", 6..8), chunk("users", [3]), chunk("payments", [9])];
    let pushed = pushed(&[("ON_FAILURE", "skip")], routes().topic("orders", orders), chunks).await;
    assert!(handled.of("orders-0").is_empty());
    // Where AWS ignores the response, only an error keeps the records.
    for report in [false, true] {
        let error = pushed.returned(report).expect_err("it failed").to_string();
        assert_eq!(
            error,
            "InvalidEvent: No handler for topic payments, users. No record of the batch was handed over, and AWS sends \
             all of them again. Add a route for it to DESTINATION, or `topic` or `otherwise` to the routes of the handler"
        );
    }
    let report = report(&pushed);
    assert_eq!(
        (&report["status"], &report["messages_processed"], &report["skipped"]),
        (&json!("failed"), &json!(0), &json!([]))
    );
    let left = response(&pushed)["batchItemFailures"].as_array().map(Vec::len);
    assert_eq!(left, Some(4));
}

#[tokio::test]
async fn a_topic_without_a_route_of_destination_is_refused_as_one_without_a_handler() {
    let settings = [("DESTINATION", r#"{"orders": "discard"}"#)];
    let configured = |topic: &'static str| async move {
        let config = Config::from_lookup(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let configured = Configured::new(&config.expect("these are settings"));
        pushed(&settings, configured, vec![chunk(topic, [1])]).await
    };
    let accepted = configured("orders").await;
    assert_eq!(accepted.returned(false), Ok(&accepted.response));
    let refused = configured("users").await;
    let error = refused.returned(true).expect_err("it failed").to_string();
    assert!(
        error.starts_with("InvalidEvent: No handler for topic users."),
        "{error}"
    );
}

/// The two handlers share a partition, so the failure of one keeps the records of the other in order.
#[tokio::test]
async fn a_failure_of_one_header_s_handler_leaves_the_records_of_the_others_behind_it() {
    let mut records = chunk("orders", 6..10).records().to_vec();
    for offset in [1, 2] {
        records[offset].headers = vec![Header::new("type", Some("priority".into()))];
    }
    let (priority, other) = (Handled::default(), Handled::default());
    let router = routes()
        .header(
            "type",
            "priority",
            failing_at(&priority, 8, Failure::Poison("no price".into())),
        )
        .otherwise(failing_at(&other, -1, Failure::Poison(String::new())));
    let pushed = pushed(&[], router, vec![Chunk::new(records).expect("records")]).await;
    assert_eq!((priority.of("orders-0"), other.of("orders-0")), (vec![7, 8], vec![6]));
    assert_eq!(response(&pushed), failures("orders-0", &[8, 9]));
}

/// An outage downstream cannot drain a topic into the dead letters.
#[cfg(feature = "embedded")]
#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_sends_a_hundred_dead_letters_and_leaves_the_rest_to_aws() {
    let kafka = kafka_consumer_lambda::embedded::EmbeddedKafka::start(1).expect("the embedded Kafka starts");
    kafka.create_topic("dead", 1).await.expect("a topic");
    let settings = [
        ("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers()),
        ("ON_FAILURE", "kafka://dead"),
    ];
    let outage = each(|_: Record| async { Err(Failure::Poison("no response".into())) });
    let pushed = pushed(&settings, outage, vec![chunk("orders", 0..120)]).await;
    assert_eq!(report(&pushed)["dead_lettered"], 100);
    let left: Vec<i64> = (100..120).collect();
    assert_eq!(response(&pushed), failures("orders-0", &left));
    let error = pushed.returned(false).expect_err("it failed").to_string();
    assert!(error.contains("100 dead letters"), "{error}");
}

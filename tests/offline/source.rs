//! Responses of brokers that a real broker does not send on demand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_consumer_lambda::config::Config;
use kafka_consumer_lambda::embedded::EmbeddedKafka;
use kafka_consumer_lambda::error::{Error, ErrorType};
use kafka_consumer_lambda::kafka::group_offsets::KafkaGroup;
use kafka_consumer_lambda::record::{NextOffset, TopicPartition};
use kafka_consumer_lambda::security::Security;
use kafka_consumer_lambda::source::kafka::KafkaSource;
use kafka_consumer_lambda::source::{Limit, Polled, Source as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

/// A topic `t` of one partition, and the group `theirs`.
async fn group() -> (EmbeddedKafka, KafkaGroup) {
    let kafka = EmbeddedKafka::start(1).expect("the embedded Kafka starts");
    kafka.create_topic("t", 1).await.expect("a topic");
    kafka.produce("t", 0, ["1", "2", "3"]).await.expect("records");
    let settings = [
        ("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers()),
        ("KAFKA_TOPIC", "t"),
        ("POLL_TIMEOUT", "3"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::from_lookup(settings).expect("these are settings");
    let group = KafkaGroup::new(&config, Arc::new(Security::new(&config)), "theirs");
    (kafka, group)
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn refuse(kafka: &EmbeddedKafka, request: RDKafkaApiKey, error: RDKafkaRespErr) {
    kafka.cluster().expect("it runs").request_errors(request, &[error; 20]);
}

#[track_caller]
fn assert_refused(error: &Error, error_type: ErrorType, expected: &[&str]) {
    assert_eq!(error.kind, error_type, "{error}");
    for part in expected {
        assert!(error.message().contains(part), "{part:?} is not in: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_offsets_are_read_back_and_a_group_without_commits_has_none() {
    let (_kafka, group) = group().await;
    assert_eq!(group.committed(&[partition()]).await, Ok(vec![None]));
    let two = NextOffset::new(2).expect("an offset");
    group.commit(vec![(partition(), two)]).await.expect("it is taken");
    assert_eq!(group.committed(&[partition()]).await, Ok(vec![Some(two)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_this_user_may_not_describe_is_named_at_once_with_the_missing_permission() {
    let (kafka, group) = group().await;
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    refuse(&kafka, RDKafkaApiKey::FindCoordinator, refused);
    let started = Instant::now();
    let error = group.committed(&[partition()]).await.expect_err("it is refused");
    assert_refused(&error, ErrorType::NotAuthorized, &["theirs", "Describe on the group"]);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_commit_is_an_error_with_the_cause() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED as NOT_ALLOWED,
        RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION as GENERATION, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS as REBALANCE,
        RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID as MEMBER,
    };
    for (refused, error_type, expected) in [
        (NOT_ALLOWED, ErrorType::NotAuthorized, "Read on it"),
        (MEMBER, ErrorType::Held, "active members"),
        (GENERATION, ErrorType::Held, "active members"),
        (REBALANCE, ErrorType::Held, "active members"),
    ] {
        let (kafka, group) = group().await;
        group.committed(&[partition()]).await.expect("it may be read");
        refuse(&kafka, RDKafkaApiKey::OffsetCommit, refused);
        let error = group
            .commit(vec![(partition(), NextOffset::ZERO)])
            .await
            .expect_err("it is refused");
        assert_refused(&error, error_type, &["theirs", expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_a_coordinator_that_is_moving_is_repeated() {
    let (kafka, group) = group().await;
    let moving = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
    ];
    for request in [RDKafkaApiKey::OffsetFetch, RDKafkaApiKey::OffsetCommit] {
        kafka.cluster().expect("it runs").request_errors(request, &moving);
    }
    assert_eq!(group.committed(&[partition()]).await, Ok(vec![None]));
    group
        .commit(vec![(partition(), NextOffset::ZERO)])
        .await
        .expect("it is taken");
    assert_eq!(group.committed(&[partition()]).await, Ok(vec![Some(NextOffset::ZERO)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_down_are_an_error_within_seconds() {
    let (kafka, group) = group().await;
    drop(kafka);
    let started = Instant::now();
    let error = group.committed(&[partition()]).await.expect_err("no broker responds");
    assert_refused(&error, ErrorType::BrokerUnreachable, &["KAFKA_BOOTSTRAP_SERVERS"]);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

fn source(kafka: &EmbeddedKafka, topics: &str) -> (Config, KafkaSource) {
    let settings = [
        ("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers()),
        ("KAFKA_TOPIC", topics),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::from_lookup(settings).expect("these are settings");
    let source = KafkaSource::new(&config, Arc::new(Security::new(&config)));
    (config, source)
}

/// The order of [`Source::end_offsets`], independent of the order in `KAFKA_TOPIC`: a run looks up partitions by it.
#[tokio::test(flavor = "multi_thread")]
async fn end_offsets_are_returned_in_the_order_of_topics_and_partitions() {
    let kafka = EmbeddedKafka::start(1).expect("the embedded Kafka starts");
    for topic in ["b", "a"] {
        kafka.create_topic(topic, 2).await.expect("a topic");
    }
    let (config, source) = source(&kafka, "b,a");
    for _ in 0..3 {
        let until = Instant::now() + Duration::from_secs(10);
        let ends = source
            .end_offsets(&config.topics, until)
            .await
            .expect("the brokers respond");
        let names: Vec<String> = ends
            .partitions
            .iter()
            .map(|(partition, _)| partition.to_string())
            .collect();
        assert_eq!(names, ["a-0", "a-1", "b-0", "b-1"]);
    }
}

/// A process may be started long before its first invocation.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_missing_in_the_prefetched_metadata_is_found_by_the_run() {
    let kafka = EmbeddedKafka::start(1).expect("the embedded Kafka starts");
    let (config, source) = source(&kafka, "t");
    let refused = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 20];
    let cluster = kafka.cluster().expect("it runs");
    kafka.create_topic("t", 1).await.expect("a topic");
    cluster.request_errors(RDKafkaApiKey::Metadata, &refused);
    source
        .client()
        .prefetch_metadata(&config.topics)
        .await
        .expect("it is sent");
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.clear_request_errors(RDKafkaApiKey::Metadata);
    let until = Instant::now() + Duration::from_secs(10);
    let ends = source
        .end_offsets(&config.topics, until)
        .await
        .expect("the brokers respond");
    assert_eq!(ends.partitions.len(), 1);
}

const ALL: Limit = Limit {
    records: 100,
    bytes: 1_000_000,
};

/// Polls until this number of records, which may be in several batches. Returns how many there were.
async fn read(source: &KafkaSource, partition: &TopicPartition, at_least: usize) -> usize {
    let mut records = 0;
    while records < at_least {
        match source.poll(partition, ALL).await {
            Polled::Records(more) => records += more.len(),
            other => panic!("no records: {other:?}"),
        }
    }
    records
}

/// P9: a run that was aborted, as by a panic, does not affect a later one.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_an_aborted_run_can_be_read_by_the_next_run_of_the_process() {
    let kafka = EmbeddedKafka::start(1).expect("the embedded Kafka starts");
    kafka.create_topic("t", 2).await.expect("a topic");
    for partition in [0, 1] {
        kafka.produce("t", partition, ["1", "2"]).await.expect("records");
    }
    let (config, source) = source(&kafka, "t");
    let positions = [0, 1].map(|number| (TopicPartition::new("t", number), NextOffset::ZERO));
    for _run in 0..3 {
        let until = Instant::now() + Duration::from_secs(10);
        source
            .end_offsets(&config.topics, until)
            .await
            .expect("the brokers respond");
        source.assign(&positions).expect("nothing is being read");
        for (partition, _) in &positions {
            assert_eq!(read(&source, partition, 2).await, 2, "{partition}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_that_fails_leaves_no_partition_assigned() {
    let (kafka, _) = group().await;
    let (config, source) = source(&kafka, "t");
    let until = Instant::now() + Duration::from_secs(10);
    source
        .end_offsets(&config.topics, until)
        .await
        .expect("the brokers respond");
    let twice = [(partition(), NextOffset::ZERO), (partition(), NextOffset::ZERO)];
    source.assign(&twice).expect_err("one partition cannot be read twice");
    let polled = source.poll(&partition(), ALL).await;
    assert!(
        matches!(polled, Polled::Unavailable(_)),
        "it is not assigned: {polled:?}"
    );
    source.assign(&twice[..1]).expect("nothing is being read");
    assert_eq!(read(&source, &partition(), 3).await, 3);
}

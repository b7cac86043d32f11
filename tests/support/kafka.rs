//! Topics and records in the services' Kafka. Everything here blocks until it is done.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use super::process::eventually;

pub(crate) use super::jvm::kafka_tool;
pub(crate) use super::producer::{
    Message, Transaction, begin_transaction, begin_transaction_on, produce, produce_to_each, values,
};

/// Responses over loopback take milliseconds; on a machine that compiles meanwhile they take longer.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// A name that no other test has, for topics, tables and groups.
pub(crate) fn unique(name: &str) -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    format!("{name}-{}", &id[..8])
}

/// Creates a topic and waits until every partition has a leader.
pub(crate) fn create_topic(bootstrap: &str, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (name, value) in configs {
        new = new.set(name, value);
    }
    let results = wait(admin(bootstrap).create_topics([&new], &options()));
    for result in results.expect("the broker responds") {
        result.unwrap_or_else(|(_, code)| panic!("topic {topic} cannot be made: {code}"));
    }
    wait_for_leaders(bootstrap, topic, partitions);
}

/// Raises the number of partitions to `total`.
pub(crate) fn add_partitions(bootstrap: &str, topic: &str, total: i32) {
    let count = usize::try_from(total).expect("a number of partitions is not negative");
    let new = NewPartitions::new(topic, count);
    let results = wait(admin(bootstrap).create_partitions([&new], &options()));
    for result in results.expect("the broker responds") {
        result.unwrap_or_else(|(_, code)| panic!("{topic} cannot have {total} partitions: {code}"));
    }
    wait_for_leaders(bootstrap, topic, total);
}

/// Deletes a topic, and waits until the broker no longer lists it.
pub(crate) fn delete_topic(bootstrap: &str, topic: &str) {
    let results = wait(admin(bootstrap).delete_topics(&[topic], &options()));
    for result in results.expect("the broker responds") {
        result.unwrap_or_else(|(_, code)| panic!("topic {topic} cannot be removed: {code}"));
    }
    let deleted = eventually(LIMIT, || {
        admin(bootstrap)
            .inner()
            .fetch_metadata(Some(topic), LIMIT)
            .is_ok_and(|metadata| {
                metadata
                    .topics()
                    .iter()
                    .all(|it| it.error().is_some() || it.partitions().is_empty())
            })
    });
    assert!(deleted, "topic {topic} is still there");
}

/// Deletes the records below offset `before`, as retention would.
pub(crate) fn delete_records(bootstrap: &str, topic: &str, partition: i32, before: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(topic, partition, Offset::Offset(before))
        .expect("an offset in range");
    let results = wait(admin(bootstrap).delete_records(&offsets, &options()));
    for element in results.expect("the broker responds").elements() {
        element
            .error()
            .unwrap_or_else(|error| panic!("{topic}-{partition}: {error}"));
    }
}

/// The log start offset and the end offset, including open transactions.
pub(crate) fn watermarks(bootstrap: &str, topic: &str, partition: i32) -> (i64, i64) {
    let query = || {
        let client = admin(bootstrap);
        // A client that requested the topic too early caches that a partition does not exist.
        client.inner().fetch_metadata(Some(topic), LIMIT)?;
        client.inner().fetch_watermarks(topic, partition, LIMIT)
    };
    let mut result = query();
    eventually(LIMIT, || {
        if result.is_err() {
            result = query();
        }
        result.is_ok()
    });
    result.unwrap_or_else(|error| panic!("{topic}-{partition} has no watermarks: {error}"))
}

/// The offsets of the committed records of a partition.
pub(crate) fn readable_offsets(bootstrap: &str, topic: &str, partition: i32) -> Vec<i64> {
    let properties = [
        ("group.id", "test"),
        ("enable.partition.eof", "true"),
        ("fetch.wait.max.ms", "10"),
    ];
    let consumer: BaseConsumer = config(bootstrap, &properties).create().expect("a consumer");
    // Without it the first fetch waits half a second for a timer inside librdkafka.
    consumer.fetch_metadata(Some(topic), LIMIT).expect("the topic is there");
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, partition, Offset::Offset(0))
        .expect("an offset in range");
    consumer.assign(&assignment).expect("a new consumer");
    let mut offsets = vec![];
    loop {
        match consumer.poll(LIMIT) {
            Some(Ok(record)) => offsets.push(record.offset()),
            Some(Err(KafkaError::PartitionEOF(_))) => return offsets,
            other => panic!("{topic}-{partition} cannot be read: {other:?}"),
        }
    }
}

/// Right after a topic is made, some partitions refuse requests for some milliseconds.
fn wait_for_leaders(bootstrap: &str, topic: &str, partitions: i32) {
    let consumer = end_offsets_client(bootstrap);
    let mut ends = TopicPartitionList::new();
    for partition in 0..partitions {
        ends.add_partition_offset(topic, partition, Offset::End)
            .expect("an offset in range");
    }
    let limit = Duration::from_secs(1);
    let ready = eventually(LIMIT, || {
        // A kept client caches for minutes that a partition does not exist, unless metadata is requested again.
        let _ = consumer.fetch_metadata(Some(topic), limit);
        let _ = admin(bootstrap).inner().fetch_metadata(Some(topic), limit);
        consumer.offsets_for_times(ends.clone(), limit).is_ok_and(|found| {
            let known =
                |it: &TopicPartitionListElem<'_>| it.error().is_ok() && matches!(it.offset(), Offset::Offset(_));
            found.elements().iter().all(known)
        })
    });
    assert!(ready, "{topic} has partitions without a leader");
}

/// The client that requests the end offsets of many partitions at once; kept like [`admin`]'s.
fn end_offsets_client(bootstrap: &str) -> Arc<BaseConsumer> {
    type Clients = HashMap<String, Arc<BaseConsumer>>;
    static CLIENTS: LazyLock<Mutex<Clients>> = LazyLock::new(Mutex::default);

    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || {
        let config = config(bootstrap, &[("group.id", "test")]);
        Arc::new(config.create().expect("a bootstrap address"))
    };
    Arc::clone(clients.entry(bootstrap.to_owned()).or_insert_with(new))
}

/// The client for everything but records. One for each broker, kept: ending one takes 100 ms.
fn admin(bootstrap: &str) -> Arc<AdminClient<DefaultClientContext>> {
    client(bootstrap, "read_uncommitted")
}

pub(super) fn client(bootstrap: &str, isolation: &'static str) -> Arc<AdminClient<DefaultClientContext>> {
    type Clients = HashMap<(String, &'static str), Arc<AdminClient<DefaultClientContext>>>;
    static CLIENTS: LazyLock<Mutex<Clients>> = LazyLock::new(Mutex::default);

    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || {
        let config = config(bootstrap, &[("isolation.level", isolation)]);
        Arc::new(config.create().expect("a bootstrap address"))
    };
    Arc::clone(clients.entry((bootstrap.to_owned(), isolation)).or_insert_with(new))
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(LIMIT))
        .operation_timeout(Some(LIMIT))
}

pub(super) fn config(bootstrap: &str, properties: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    for (name, value) in properties {
        config.set(*name, *value);
    }
    config
}

/// Blocks on a future of the admin client, which a thread of its own completes; works inside
/// and outside of a runtime.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

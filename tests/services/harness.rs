//! Tests of the test support itself.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::support::kafka::{self, Message, unique, values};
use crate::support::listeners::{Listener, secured};
use crate::support::services::{
    COMPOSE_CLUSTER_ID, COMPOSE_TABLE, is_dynamodb_of_compose, is_kafka_of_compose, services, start_private_broker,
    start_private_dynamodb, start_private_kafka_of,
};
use crate::support::table::{Table, number};

#[test]
fn docker_compose_sets_the_ids_that_its_services_are_recognised_by() {
    let compose = include_str!("../../docker-compose.yml");
    assert!(compose.contains(&format!("CLUSTER_ID: {COMPOSE_CLUSTER_ID}\n")));
    assert!(compose.contains(COMPOSE_TABLE));
}

#[test]
fn the_kafka_of_docker_compose_is_recognised_by_its_cluster_id() {
    let other = MockCluster::<DefaultProducerContext>::new(1).expect("another Kafka");
    let port = other
        .bootstrap_servers()
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    assert!(!is_kafka_of_compose(port.expect("a port")));
    let (_process, port) = start_private_kafka_of(COMPOSE_CLUSTER_ID);
    assert!(is_kafka_of_compose(port));
}

#[tokio::test]
async fn the_dynamodb_of_docker_compose_is_recognised_by_its_second_table() {
    let start = tokio::task::spawn_blocking(start_private_dynamodb);
    let (_process, port) = start.await.expect("it starts");
    let endpoint = format!("http://127.0.0.1:{port}");
    Table::create(&endpoint, "kafka-consumer-offsets").await;
    assert!(!is_dynamodb_of_compose(port));
    Table::create(&endpoint, COMPOSE_TABLE).await;
    assert!(is_dynamodb_of_compose(port));
}

#[test]
fn produced_records_are_in_the_log() {
    let bootstrap = &services().kafka_bootstrap;
    let topic = unique("support");
    kafka::create_topic(bootstrap, &topic, 2, &[("cleanup.policy", "delete")]);
    let offsets = kafka::produce(bootstrap, &topic, 1, &values(["a", "b", "c"]), &[]);
    assert_eq!(offsets, [0, 1, 2]);

    let special = [
        Message::value("d").key("k").header("h", "1").timestamp(1_000),
        Message::tombstone("k"),
        Message::default(),
    ];
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        kafka::produce(bootstrap, &topic, 1, &special, &[("compression.type", codec)]);
    }
    assert_eq!(kafka::watermarks(bootstrap, &topic, 0), (0, 0));
    assert_eq!(kafka::watermarks(bootstrap, &topic, 1), (0, 15));

    kafka::delete_records(bootstrap, &topic, 1, 2);
    assert_eq!(kafka::watermarks(bootstrap, &topic, 1), (2, 15));
    kafka::add_partitions(bootstrap, &topic, 3);
    assert_eq!(kafka::watermarks(bootstrap, &topic, 2), (0, 0));

    kafka::delete_topic(bootstrap, &topic);
    kafka::create_topic(bootstrap, &topic, 1, &[]);
    assert_eq!(kafka::watermarks(bootstrap, &topic, 0), (0, 0));
}

#[test]
fn transactions_end_with_a_control_record() {
    let bootstrap = &services().kafka_bootstrap;
    let topic = unique("support");
    kafka::create_topic(bootstrap, &topic, 1, &[]);
    let open = kafka::begin_transaction(bootstrap, &topic, 0, &values(["a", "b"]));
    assert_eq!(open.offsets, [0, 1]);
    open.commit();
    assert_eq!(kafka::watermarks(bootstrap, &topic, 0), (0, 3));
    kafka::begin_transaction(bootstrap, &topic, 0, &values(["c"])).abort();
    assert_eq!(kafka::watermarks(bootstrap, &topic, 0), (0, 5));
}

#[tokio::test]
async fn items_are_written_and_read() {
    let table = Table::create(&services().dynamodb_endpoint, &unique("support")).await;
    for partition in [1, 0] {
        table.put_cursor("g", "t", partition, 41).await;
    }
    table.update_offset("g_t", 1, 42).await;
    assert_eq!(table.offset("g_t", 0).await, Some(41));
    assert_eq!(table.offset("g_t", 1).await, Some(42));
    assert_eq!(table.offset("g_t", 2).await, None);
    let partitions: Vec<i64> = table
        .items()
        .await
        .iter()
        .map(|item| number(item, "partition"))
        .collect();
    assert_eq!(partitions, [0, 1]);

    table.delete_item("g_t", 0).await;
    assert_eq!(table.items().await.len(), 1);
    table.delete().await;
}

#[test]
fn a_private_broker_can_be_frozen_and_killed() {
    let broker = start_private_broker();
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &broker.bootstrap)
        .set("group.id", "g")
        .create()
        .expect("a consumer");
    let responds = || client.fetch_metadata(None, Duration::from_millis(500)).is_ok();
    kafka::create_topic(&broker.bootstrap, "t", 1, &[]);
    assert!(responds());
    broker.stop();
    // A request in flight may still get a response: a signal takes a moment to reach every thread.
    assert!((0..5).any(|_| !responds()));
    broker.cont();
    assert!(responds());
    broker.stop();
    broker.kill();
    assert!(!responds());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_forwards_delays_closes_and_silences_connections() {
    let secured = tokio::task::block_in_place(secured);
    let proxy = secured.proxy().await;
    let connect = || TcpStream::connect(("127.0.0.1", proxy.port)).expect("the proxy listens");
    let (mut one, timeout) = (connect(), Duration::from_millis(300));
    let quick = round_trip(&mut one, timeout).expect("it forwards");
    proxy.delay(Duration::from_millis(50));
    let slow = round_trip(&mut one, timeout).expect("it forwards");
    assert!(slow >= Duration::from_millis(100) && slow > quick, "{quick:?} {slow:?}");
    proxy.delay(Duration::ZERO);

    proxy.silence();
    assert_eq!(
        round_trip(&mut one, timeout).map_err(|it| it.kind()),
        Err(ErrorKind::WouldBlock)
    );
    let mut two = connect();
    round_trip(&mut two, timeout).expect("a new connection works");
    assert!(proxy.open() >= 2 && proxy.accepted() >= 2);

    proxy.cut();
    assert!(round_trip(&mut two, timeout).is_err_and(|it| it.kind() != ErrorKind::WouldBlock));
    round_trip(&mut connect(), timeout).expect("a new connection works");
}

/// The time of the smallest request to a broker, `ApiVersions`.
fn round_trip(connection: &mut TcpStream, timeout: Duration) -> std::io::Result<Duration> {
    let started = Instant::now();
    connection.set_read_timeout(Some(timeout))?;
    // Length, API key 18 in version 0, correlation id, no client id.
    connection.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])?;
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let mut response = vec![0; usize::try_from(u32::from_be_bytes(length)).expect("a length")];
    connection.read_exact(&mut response)?;
    Ok(started.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scram_user_is_created_and_its_password_changed() {
    let secured = tokio::task::block_in_place(secured);
    let name = unique("user");
    let accepts = |password: &str| {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", secured.address(Listener::Scram))
            .set("security.protocol", Listener::Scram.protocol())
            .set("sasl.mechanism", "SCRAM-SHA-512")
            .set("sasl.username", &name)
            .set("sasl.password", password)
            .set("group.id", "g")
            .create()
            .expect("a consumer");
        client.fetch_metadata(None, Duration::from_secs(2)).is_ok()
    };
    tokio::task::block_in_place(|| {
        secured.scram_user(&name, "one");
        assert!(accepts("one") && !accepts("two"));
        secured.scram_user(&name, "two");
        assert!(accepts("two") && !accepts("one"));
    });
}

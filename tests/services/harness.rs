//! Tests of the test support itself.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::support::function_api::{self, FunctionApi, REQUEST_LIMIT, Reply};
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

fn lambda(functions: &FunctionApi) -> aws_sdk_lambda::Client {
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(functions.url())
        .retry_config(RetryConfig::disabled());
    aws_sdk_lambda::Client::from_conf(config.build())
}

/// An event of this many bytes.
fn event(bytes: usize) -> Blob {
    Blob::new(format!("\"{}\"", "x".repeat(bytes - 2)))
}

#[tokio::test]
async fn the_api_of_functions_returns_what_the_test_decides() {
    let functions = FunctionApi::start();
    functions.script(
        "f",
        vec![
            Reply::ok("\"a\""),
            Reply::function_error("KeyError", "'id'"),
            Reply::throttled(Some(2)),
            Reply::DropConnection,
            Reply::DropBeforeRead,
            Reply::ok("null"),
        ],
    );
    let client = lambda(&functions);
    let invoke = || {
        let arn = format!("{}:live", function_api::arn("f"));
        client
            .invoke()
            .function_name(arn)
            .client_context("eyJhIjoxfQ==")
            .payload(Blob::new("{}"))
            .send()
    };
    let returned = invoke().await.expect("a result");
    assert_eq!(returned.payload(), Some(&Blob::new("\"a\"")));
    assert_eq!((returned.function_error(), returned.status_code()), (None, 200));
    let failed = invoke().await.expect("a result");
    assert_eq!(failed.function_error(), Some("Unhandled"));
    assert_eq!(
        failed.payload(),
        Some(&Blob::new(r#"{"errorMessage":"'id'","errorType":"KeyError"}"#))
    );
    let throttled = invoke().await.expect_err("an error").into_service_error();
    let InvokeError::TooManyRequestsException(throttled) = throttled else {
        panic!("{throttled}")
    };
    assert_eq!(throttled.retry_after_seconds(), Some("2"));
    for _ in 0..2 {
        assert!(invoke().await.expect_err("an error").as_service_error().is_none());
    }
    invoke().await.expect("a result");

    let calls = functions.calls("f");
    // The function did not run where the connection was closed before the request was read.
    assert_eq!(calls.len(), 5);
    assert_eq!(
        (calls[0].qualifier.as_deref(), calls[0].payload.as_slice()),
        (Some("live"), &b"{}"[..])
    );
    assert_eq!(calls[0].client_context, serde_json::json!({"a": 1}));
    assert_eq!(functions.connections(), 3);
}

#[tokio::test]
async fn the_api_of_functions_has_the_limits_and_permissions_of_aws() {
    let functions = FunctionApi::start();
    functions.on("f", |call| Reply::ok(call.payload.len().to_string()));
    functions.on("large", |_| Reply::ok("x".repeat(6_291_557)));
    functions.forbid("forbidden", "lambda:InvokeFunction");
    let client = lambda(&functions);
    let invoke = |name: &str| client.invoke().function_name(function_api::arn(name));

    let largest = invoke("f").payload(event(REQUEST_LIMIT)).send().await.expect("it fits");
    assert_eq!(largest.payload(), Some(&Blob::new("6291456")));
    let larger = invoke("f").payload(event(REQUEST_LIMIT + 1)).send().await;
    let larger = larger.expect_err("too large");
    assert_eq!(larger.raw_response().map(|it| it.status().as_u16()), Some(413));
    assert_eq!(larger.code(), Some("RequestEntityTooLargeException"));
    let response = invoke("large").send().await.expect("a result");
    assert!(response.function_error().is_some());

    assert_eq!(
        invoke("g").send().await.expect_err("unknown").code(),
        Some("ResourceNotFoundException")
    );
    assert_eq!(
        invoke("forbidden").send().await.expect_err("denied").code(),
        Some("AccessDeniedException")
    );
    let dry = invoke("f")
        .invocation_type(InvocationType::DryRun)
        .send()
        .await
        .expect("permitted");
    assert_eq!(
        (dry.status_code(), functions.dry_runs("f"), functions.calls("f").len()),
        (204, 1, 1)
    );
    let configuration = client
        .get_function_configuration()
        .function_name(function_api::arn("f"));
    assert_eq!(configuration.send().await.expect("it exists").timeout(), Some(30));
    let unknown = client
        .get_function_configuration()
        .function_name(function_api::arn("g"));
    assert_eq!(
        unknown.send().await.expect_err("unknown").code(),
        Some("ResourceNotFoundException")
    );
}

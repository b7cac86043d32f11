//! What the doctor finds on services that let anybody in.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{fails, says, skipped};
use crate::support::endpoints;
use crate::support::kafka::{self, unique};
use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::sqs::{self, Queue};
use crate::support::table;
use crate::support::world::World;

/// A name that no DNS knows.
const NOBODY: &str = "nobody.invalid";

#[tokio::test]
async fn where_all_is_well_everything_is_ok_and_nothing_is_written() {
    let world = World::new("healthy", 3).await;
    world.produce(0, 5);
    world.put_offset(0, 1).await;
    let before = world.table.items().await;
    let (checks, ran) = world.doctor(0);
    assert_eq!(checks.wrong(), [], "{ran:?}");
    assert_eq!(ran.stderr, "");
    says(
        checks.one("settings"),
        &format!("topic {}, group {}", world.topic, world.group),
        "",
    );
    says(checks.on("tcp", &world.bootstrap), "connected to 127.0.0.1 in ", "");
    says(checks.one("authentication"), "no authentication", "");
    says(
        checks.on("topic", &world.topic),
        "3 partitions; this user may describe and read it",
        "",
    );
    says(checks.one("brokers"), "1 broker, reached as advertised: ", "");
    says(checks.on("group", &world.group), "it has no committed offsets", "");
    says(
        checks.one("table"),
        "with the keys consumer_id (S) and partition (N)",
        "",
    );
    says(
        checks.one("table_rights"),
        "may Query, GetItem and UpdateItem; nothing was written",
        "",
    );
    says(
        checks.on("cursors", &world.topic),
        "1 cursor; 3 partitions: 1 ok, 2 new; lag 3",
        "",
    );
    says(checks.on("clock", "AWS"), "within a second of AWS's", "");
    assert_eq!(world.table.items().await, before, "nothing was written");
}

#[tokio::test]
async fn people_read_a_line_for_each_check_and_a_sum() {
    let world = World::new("lines", 1).await;
    let ran = world.ran(&["doctor"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let topic = format!(
        "ok       topic {}: 1 partition; this user may describe and read it",
        world.topic
    );
    assert!(lines.contains(&topic.as_str()), "{ran:?}");
    assert!(lines[0].starts_with("ok       settings: topic "), "{ran:?}");
    assert!(lines[1].starts_with("           brokers "), "{ran:?}");
    let last = lines.last().expect("a sum");
    assert!(last.ends_with(" ok, 1 skipped"), "{last}");
}

#[tokio::test]
async fn a_document_has_a_status_and_checks_and_nothing_else() {
    let mut world = World::new("document", 1).await;
    world.set("KAFKA_TOPIC", unique("gone"));
    let document = world.ran(&["doctor", "--output", "json"]).json();
    let keys = |value: &serde_json::Value| {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&document), ["checks", "status"]);
    let known = ["details", "error", "name", "next", "status", "target", "what"];
    for check in document["checks"].as_array().expect("checks") {
        assert!(keys(check).iter().all(|key| known.contains(&key.as_str())), "{check}");
        assert!(check["what"].is_string() && check["name"].is_string(), "{check}");
        let failed = check["status"] == "failed";
        assert_eq!(check["error"].is_string(), failed, "{check}");
        assert!(!failed || check["next"].is_string(), "{check}");
    }
}

#[tokio::test]
async fn wrong_settings_end_it_as_any_command() {
    let mut world = World::new("settings", 1).await;
    world.set("MAX_MESSAGES", "many").set("POLL_TIMEOUT", "never");
    let ran = world.ran(&["doctor", "--output", "json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(
        ran.stderr.starts_with("InvalidConfiguration: MAX_MESSAGES=\"many\""),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("\nPOLL_TIMEOUT=\"never\""), "{ran:?}");
}

#[tokio::test]
async fn a_closed_port_is_told_and_the_table_is_checked_all_the_same() {
    let mut world = World::new("closed", 1).await;
    let closed = format!("127.0.0.1:{}", endpoints::closed());
    world.put_offset(0, 4).await;
    world.set("KAFKA_BOOTSTRAP_SERVERS", &closed).set("POLL_TIMEOUT", "2");
    let (checks, ran) = world.doctor(1);
    assert!(ran.took < Duration::from_secs(6), "{:?}", ran.took);
    fails(
        checks.on("tcp", &closed),
        "BrokerUnreachable",
        "127.0.0.1 refuses the connection",
        "Nothing listens there",
    );
    skipped(checks.one("tls"), "no port of it is open");
    skipped(checks.one("authentication"), "no bootstrap server is reached");
    skipped(checks.one("topic"), "no broker responds");
    skipped(checks.one("brokers"), "no metadata of the brokers");
    assert_eq!(checks.one("table")["status"], "ok");
    says(
        checks.one("cursors"),
        "1 cursor; 1 partition: 1 unknown; lag unknown",
        "",
    );
    let last = ran.stderr.lines().last().expect("a failure");
    assert!(
        last.starts_with(&format!("BrokerUnreachable: {closed}: 127.0.0.1 refuses")),
        "{last}"
    );
}

#[tokio::test]
async fn an_unknown_host_is_told_and_one_that_is_reached_makes_it_a_warning() {
    let mut world = World::new("unknown", 1).await;
    let unknown = format!("{NOBODY}:9092");
    world.set("KAFKA_BOOTSTRAP_SERVERS", &unknown).set("POLL_TIMEOUT", "2");
    let (checks, _) = world.doctor(1);
    let next = "Correct KAFKA_BOOTSTRAP_SERVERS";
    fails(
        checks.on("dns", NOBODY),
        "BrokerUnreachable",
        "the name has no address",
        next,
    );
    skipped(checks.on("tcp", &unknown), "its name has no address");
    let both = format!("{unknown},{}", world.bootstrap);
    world.set("KAFKA_BOOTSTRAP_SERVERS", both);
    let (checks, _) = world.doctor(0);
    assert_eq!(checks.wrong(), [("dns", "warning")]);
}

#[tokio::test]
async fn a_port_that_says_nothing_ends_within_two_timeouts() {
    let mut world = World::new("silent", 1).await;
    let silent = endpoints::silent();
    let address = format!("127.0.0.1:{}", silent.port());
    world.set("KAFKA_BOOTSTRAP_SERVERS", &address).set("POLL_TIMEOUT", "2");
    let (checks, ran) = world.doctor(1);
    assert!(ran.took < Duration::from_secs(6), "{:?}", ran.took);
    assert_eq!(checks.on("tcp", &address)["status"], "ok");
    fails(
        checks.one("tls"),
        "BrokerUnreachable",
        "the port accepts the connection and does not respond",
        "KAFKA_BOOT",
    );
    skipped(checks.one("authentication"), "no bootstrap server can be used");
}

#[tokio::test]
async fn a_network_that_drops_everything_is_told_within_two_timeouts() {
    let mut world = World::new("dropped", 1).await;
    let (kafka, dynamodb) = (endpoints::silent(), endpoints::silent());
    world
        .set("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{}", kafka.port()))
        .set(
            "AWS_ENDPOINT_URL_DYNAMODB",
            format!("http://127.0.0.1:{}", dynamodb.port()),
        )
        .set("POLL_TIMEOUT", "2");
    let (checks, ran) = world.doctor(1);
    assert!(ran.took < Duration::from_secs(6), "{:?}", ran.took);
    fails(
        checks.one("table"),
        "TableUnreachable",
        "no response to Query from",
        "VPC needs a DynamoDB gateway endpoint",
    );
    skipped(checks.one("table_rights"), "the table did not respond");
    skipped(checks.one("cursors"), "the table cannot be read");
    skipped(checks.on("clock", "AWS"), "no response from AWS had a Date header");
}

/// A door to the broker at `port` that changes the port that it advertises into `instead`.
async fn misled(port: u16, instead: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let door = listener.local_addr().expect("it is bound").port();
    let address = |port: u16| [b"127.0.0.1".as_slice(), &u32::from(port).to_be_bytes()].concat();
    let (said, told) = (address(port), address(instead));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.expect("a broker");
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let (said, told) = (said.clone(), told.clone());
            tokio::spawn(async move {
                // Answer by answer: each has its length in front.
                while let Ok(length) = from_server.read_u32().await {
                    let mut answer = vec![0; length.try_into().expect("it fits")];
                    if from_server.read_exact(&mut answer).await.is_err() {
                        return;
                    }
                    while let Some(at) = answer.windows(said.len()).position(|bytes| bytes == said) {
                        answer[at..at + told.len()].copy_from_slice(&told);
                    }
                    let sent = [&length.to_be_bytes(), &answer[..]].concat();
                    if to_client.write_all(&sent).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    door
}

/// The trap of `advertised.listeners`: whom clients begin with answers, and where they are sent to
/// nobody is.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_where_it_says_it_is_is_named() {
    let mut world = World::new("advertised", 2).await;
    let port = world.bootstrap.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let door = misled(port.expect("a port"), endpoints::closed()).await;
    world
        .set("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{door}"))
        .set("POLL_TIMEOUT", "3");
    let (checks, ran) = tokio::task::block_in_place(|| world.doctor(1));
    assert!(ran.took < Duration::from_secs(8), "{:?}", ran.took);
    says(checks.one("authentication"), "no authentication", "");
    let nowhere = format!("127.0.0.1:{}", endpoints::closed());
    let brokers = checks.on("brokers", &nowhere);
    fails(
        brokers,
        "BrokerUnreachable",
        "127.0.0.1 refuses the connection",
        "advertised.listeners",
    );
    fails(checks.one("topic"), "BrokerUnreachable", &nowhere, "");
}

#[tokio::test]
async fn a_missing_topic_hides_no_other() {
    let mut world = World::new("there", 2).await;
    let gone = unique("gone");
    world.set("KAFKA_TOPIC", format!("{gone},{}", world.topic));
    let (checks, _) = world.doctor(1);
    assert_eq!(checks.wrong(), [("topic", "UnknownTopic")]);
    let missing = checks.on("topic", &gone);
    fails(
        missing,
        "UnknownTopic",
        &format!("the topic {gone} does not exist"),
        "create the topic",
    );
    assert_eq!(
        missing["details"],
        json!(["the brokers say that there is none; if this user might not see it, they would say that instead"])
    );
    says(
        checks.on("topic", &world.topic),
        "2 partitions; this user may describe and read it",
        "",
    );
}

#[tokio::test]
async fn a_missing_table_is_told_once_and_kafka_is_checked_all_the_same() {
    let mut world = World::new("notable", 1).await;
    world.set("DYNAMODB_TABLE", unique("nosuchtable"));
    let (checks, _) = world.doctor(1);
    assert_eq!(checks.wrong(), [("table", "TableNotFound")]);
    fails(
        checks.one("table"),
        "TableNotFound",
        "there is no table",
        "kafka-consumer table create",
    );
    skipped(checks.one("table_rights"), "the table did not respond");
    assert_eq!(checks.one("topic")["status"], "ok");
    says(checks.on("clock", "AWS"), "within a second", "");
}

#[tokio::test]
async fn a_table_with_other_keys_is_told() {
    let mut world = World::new("keys", 1).await;
    let name = unique("otherkeys");
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let defined = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S);
    table::client(&world.endpoint)
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key.build().expect("a key"))
        .attribute_definitions(defined.build().expect("an attribute"))
        .send()
        .await
        .expect("a table");
    world.set("DYNAMODB_TABLE", name);
    let (checks, _) = world.doctor(1);
    assert_eq!(checks.wrong(), [("table", "TableNotFound")]);
    fails(
        checks.one("table"),
        "TableNotFound",
        "are not consumer_id (S) and partition (N)",
        "table create",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named_and_each_is_proved_without_a_write() {
    let mut world = World::new("rights", 1).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    let denied = || Act::error(400, "AccessDeniedException", "User: arn:x is not authorized");
    proxy.always("UpdateItem", denied());
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let (checks, _) = tokio::task::block_in_place(|| world.doctor(1));
    assert_eq!(checks.wrong(), [("table_rights", "TableUnreachable")]);
    let next = "Allow dynamodb:UpdateItem on the table";
    fails(
        checks.one("table_rights"),
        "TableUnreachable",
        "this role may not dynamodb:UpdateItem",
        next,
    );
    let mut seen = proxy.take_operations();
    seen.sort();
    assert_eq!(seen, ["GetItem", "Query", "Query", "UpdateItem"]);
    proxy.always("Query", denied());
    let (checks, _) = tokio::task::block_in_place(|| world.doctor(1));
    assert_eq!(checks.one("table")["status"], "ok", "GetItem was answered");
    says(
        checks.one("table_rights"),
        "may not dynamodb:Query, dynamodb:UpdateItem",
        "",
    );
    skipped(checks.one("cursors"), "the table cannot be read");
    assert_eq!(world.table.items().await, []);
}

#[tokio::test]
async fn cursors_are_counted_and_what_holds_them_up_is_told() {
    let mut world = World::new("cursors", 4).await;
    for partition in 0..4 {
        world.produce(partition, 10);
        world.put_offset(partition, 3).await;
    }
    let set = async |partition, name: &str, value| {
        world
            .table
            .set_attribute(&world.consumer_id(), partition, name, value)
            .await;
    };
    set(1, "paused", AttributeValue::Bool(true)).await;
    let (checks, _) = world.doctor(0);
    let cursors = checks.one("cursors");
    says(cursors, "4 cursors; 4 partitions: 3 ok, 1 paused; lag 24", "");
    world.put_offset(2, 99).await;
    let (checks, _) = world.doctor(1);
    fails(
        checks.one("cursors"),
        "Truncated",
        "2 ok, 1 paused, 1 truncated",
        "ON_TRUNCATION",
    );
    world.set("ON_TRUNCATION", "earliest");
    let (checks, _) = world.doctor(0);
    assert_eq!(checks.wrong(), [("cursors", "warning")]);
    let set = async |partition, name: &str, value| {
        world
            .table
            .set_attribute(&world.consumer_id(), partition, name, value)
            .await;
    };
    set(3, "offset", AttributeValue::S("ten".into())).await;
    let (checks, _) = world.doctor(1);
    fails(checks.one("cursors"), "InvalidCursor", "1 unknown", "Correct the item");
}

#[tokio::test]
async fn a_record_that_is_blocked_fails_the_check_and_shows_no_value() {
    let world = World::new("blocked", 1).await;
    world.produce_these(0, &[kafka::Message::value("planted-value")]);
    world.run().failure("PartitionBlocked", 3);
    let (checks, ran) = world.doctor(1);
    fails(
        checks.one("cursors"),
        "PartitionBlocked",
        "1 blocked; lag 1",
        "the next run tries again",
    );
    assert!(
        !ran.stdout.contains("planted-value") && !ran.stderr.contains("planted-value"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_topic_for_dead_letters_must_be_there() {
    let mut world = World::new("letters", 1).await;
    let dead = unique("dead");
    world.set("ON_FAILURE", format!("kafka://{dead}"));
    let (checks, _) = world.doctor(1);
    fails(
        checks.one("dead_letters"),
        "DestinationFailed",
        "the topic does not exist",
        "Create it",
    );
    kafka::create_topic(&world.bootstrap, &dead, 2, &[]);
    let (checks, _) = world.doctor(0);
    says(
        checks.one("dead_letters"),
        "the topic exists, with 2 partitions, and this user may describe it",
        "",
    );
    assert_eq!(
        kafka::watermarks(&world.bootstrap, &dead, 0),
        (0, 0),
        "nothing was written"
    );
}

#[tokio::test]
async fn a_queue_for_dead_letters_must_be_there() {
    let mut world = World::new("queue", 1).await;
    let queue = Queue::create("letters").await;
    world
        .set("AWS_ENDPOINT_URL_SQS", sqs::endpoint())
        .set("ON_FAILURE", &queue.arn);
    let (checks, _) = world.doctor(0);
    says(checks.one("dead_letters"), "the queue exists", "");
    assert_eq!(queue.len().await, 0, "nothing was sent");
    world.set("ON_FAILURE", format!("{}x", queue.arn));
    let (checks, _) = world.doctor(1);
    fails(
        checks.one("dead_letters"),
        "DestinationFailed",
        "the queue does not exist",
        "correct ON_FAILURE",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told() {
    let mut world = World::new("clock", 1).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    proxy.always("GetItem", Act::Respond(200, "{}".into()));
    proxy.always(
        "UpdateItem",
        Act::error(400, "ConditionalCheckFailedException", "The conditional request failed"),
    );
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let dated = |seconds: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        proxy.date(&at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        tokio::task::block_in_place(|| world.doctor(i32::from(seconds.abs() > 300)))
    };
    let (checks, _) = dated(60);
    assert_eq!(checks.wrong(), [("clock", "warning")]);
    says(checks.on("clock", "AWS"), "s behind AWS's", "NTP");
    let (checks, _) = dated(-600);
    fails(checks.on("clock", "AWS"), "TableUnreachable", "s ahead of AWS's", "NTP");
}

//! Names, ports, and the addresses that brokers advertise.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{fails, reports, skipped};
use crate::support::endpoints;
use crate::support::world::World;

/// A name that does not resolve.
const UNKNOWN_HOST: &str = "nobody.invalid";

#[tokio::test]
async fn a_closed_port_is_reported_and_the_table_is_still_checked() {
    let mut world = World::new("closed", 1).await;
    let closed = format!("127.0.0.1:{}", endpoints::closed());
    world.put_offset(0, 4).await;
    world.set("KAFKA_BOOTSTRAP_SERVERS", &closed).set("POLL_TIMEOUT", "2");
    let (checks, ran) = world.doctor(1);
    assert!(ran.took < Duration::from_secs(6), "{:?}", ran.took);
    fails(
        checks.on("tcp", &closed),
        "BrokerUnreachable",
        &format!("nothing listens at {closed}: connection refused"),
        "Check that the broker runs, and the port in KAFKA_BOOTSTRAP_SERVERS",
    );
    skipped(checks.one("tls"), "no port of it is open");
    skipped(checks.one("authentication"), "no bootstrap server is reached");
    skipped(checks.one("topic"), "no broker responds");
    skipped(checks.one("brokers"), "no metadata of the brokers");
    assert_eq!(checks.one("table")["status"], "ok");
    reports(
        checks.one("cursors"),
        "1 cursor; 1 partition: 1 unknown; lag unknown",
        "",
    );
    let last = ran.stderr.lines().last().expect("a failure");
    assert!(
        last.starts_with(&format!("BrokerUnreachable: nothing listens at {closed}: ")),
        "{last}"
    );
}

#[tokio::test]
async fn an_unknown_host_is_a_failure_and_only_a_warning_beside_a_server_that_is_reached() {
    let mut world = World::new("unknown", 1).await;
    let unknown = format!("{UNKNOWN_HOST}:9092");
    world.set("KAFKA_BOOTSTRAP_SERVERS", &unknown).set("POLL_TIMEOUT", "2");
    let (checks, _) = world.doctor(1);
    let next = "Correct it in KAFKA_BOOTSTRAP_SERVERS";
    fails(
        checks.on("dns", UNKNOWN_HOST),
        "BrokerUnreachable",
        &format!("the host name of {unknown} does not resolve"),
        next,
    );
    skipped(checks.on("tcp", &unknown), "its name has no address");
    let both = format!("{unknown},{}", world.bootstrap);
    world.set("KAFKA_BOOTSTRAP_SERVERS", both);
    let (checks, _) = world.doctor(0);
    assert_eq!(checks.wrong(), [("dns", "warning")]);
}

#[tokio::test]
async fn with_a_port_that_never_responds_doctor_ends_within_two_timeouts() {
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
        &format!("{address} accepts the connection and sends no response"),
        "KAFKA_BOOTSTRAP_SERVERS is a Kafka listener",
    );
    skipped(checks.one("authentication"), "no bootstrap server can be used");
}

#[tokio::test]
async fn a_network_that_drops_all_packets_is_reported_within_two_timeouts() {
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

/// A proxy of the broker at `port`; in its responses the advertised port is `instead`.
async fn advertises_another_port(port: u16, instead: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let proxy = listener.local_addr().expect("it is bound").port();
    let address = |port: u16| [b"127.0.0.1".as_slice(), &u32::from(port).to_be_bytes()].concat();
    let (advertised, replacement) = (address(port), address(instead));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.expect("a broker");
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let (advertised, replacement) = (advertised.clone(), replacement.clone());
            tokio::spawn(async move {
                // One response at a time: each begins with its length.
                while let Ok(length) = from_server.read_u32().await {
                    let mut response = vec![0; length.try_into().expect("it fits")];
                    if from_server.read_exact(&mut response).await.is_err() {
                        return;
                    }
                    while let Some(at) = response.windows(advertised.len()).position(|bytes| bytes == advertised) {
                        response[at..at + replacement.len()].copy_from_slice(&replacement);
                    }
                    let sent = [&length.to_be_bytes(), &response[..]].concat();
                    if to_client.write_all(&sent).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    proxy
}

/// The bootstrap server responds, and no broker listens at the address in `advertised.listeners`.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cannot_be_reached_at_its_advertised_address_is_named() {
    let mut world = World::new("advertised", 2).await;
    let port = world.bootstrap.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let proxy = advertises_another_port(port.expect("a port"), endpoints::closed()).await;
    world
        .set("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{proxy}"))
        .set("POLL_TIMEOUT", "3");
    let (checks, ran) = tokio::task::block_in_place(|| world.doctor(1));
    assert!(ran.took < Duration::from_secs(8), "{:?}", ran.took);
    reports(checks.one("authentication"), "no authentication", "");
    let nowhere = format!("127.0.0.1:{}", endpoints::closed());
    let brokers = checks.on("brokers", &nowhere);
    fails(
        brokers,
        "BrokerUnreachable",
        &format!("nothing listens at {nowhere}: connection refused"),
        "advertised.listeners",
    );
    fails(checks.one("topic"), "BrokerUnreachable", &nowhere, "");
}

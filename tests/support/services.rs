//! A real Kafka and a real DynamoDB for the tests: given, in containers, or as JVMs.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::containers::{self, Project};
use super::jvm;
use super::listeners::{Listener, Secured};
use super::process::{self, Guarded};

const BOOTSTRAP_VARIABLE: &str = "TEST_KAFKA_BOOTSTRAP_SERVERS";
const DYNAMODB_VARIABLE: &str = "TEST_DYNAMODB_ENDPOINT";

/// The ports that docker-compose.yml publishes. Any other service may listen
/// there: only services with the ids that it sets are used.
const KAFKA_PORT: u16 = 9092;
const DYNAMODB_PORT: u16 = 8000;
pub(crate) const COMPOSE_CLUSTER_ID: &str = "0r0EPa9Jh5h0Ege0raYtXA";
pub(crate) const COMPOSE_TABLE: &str = "kafka-consumer.docker-compose";

/// A service on this machine responds in milliseconds, or another program has its port.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// The services that the tests of this process share.
#[derive(Debug)]
pub(crate) struct Services {
    /// A value for `KAFKA_BOOTSTRAP_SERVERS`.
    pub(crate) kafka_bootstrap: String,
    /// A value for `AWS_ENDPOINT_URL_DYNAMODB`.
    pub(crate) dynamodb_endpoint: String,
    /// The services in use, as a sentence.
    pub(crate) which: String,
    /// The Kafka, where this process started it with all its listeners.
    pub(super) secured: Option<Secured>,
    // They end when these are dropped, or the process ends.
    _processes: Vec<Guarded>,
}

/// The services, started on the first call.
///
/// # Panics
/// If none is available. The message names what to install.
pub(crate) fn services() -> &'static Services {
    static SERVICES: OnceLock<Result<Services, String>> = OnceLock::new();
    let result = SERVICES.get_or_init(|| {
        let services = find();
        if let Ok(services) = &services {
            print(&services.which);
        }
        services
    });
    match result {
        Ok(services) => services,
        Err(message) => panic!("{message}"),
    }
}

fn find() -> Result<Services, String> {
    if let Some(given) = given() {
        return Ok(given);
    }
    if is_kafka_of_compose(KAFKA_PORT) && is_dynamodb_of_compose(DYNAMODB_PORT) {
        let origin = "of docker-compose.yml that are already up";
        return Ok(local(KAFKA_PORT, DYNAMODB_PORT, origin, Vec::new()));
    }
    if containers::engine_is_available() {
        let Project {
            process,
            kafka_port,
            dynamodb_port,
        } = containers::all()?;
        return Ok(local(kafka_port, dynamodb_port, "of docker-compose.yml", vec![process]));
    }
    if let Some(missing) = jvm::missing() {
        return Err(not_available(&missing));
    }
    let dynamodb = thread::spawn(jvm::dynamodb);
    let kafka = jvm::kafka();
    let dynamodb = dynamodb.join().map_err(|_| "the start of DynamoDB Local panicked")?;
    let (kafka, dynamodb) = (kafka?, dynamodb?);
    let (port, origin) = (kafka.ports.of(Listener::Plaintext), "from Maven Central, as JVMs");
    let mut services = local(port, dynamodb.port, origin, vec![dynamodb.process]);
    services.secured = Some(Secured::new(kafka));
    Ok(services)
}

#[expect(clippy::disallowed_methods, reason = "the way to point the tests at other services")]
fn given() -> Option<Services> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (kafka, dynamodb) = (variable(BOOTSTRAP_VARIABLE)?, variable(DYNAMODB_VARIABLE)?);
    Some(Services {
        which: format!("tests use the services of {BOOTSTRAP_VARIABLE} ({kafka}) and {DYNAMODB_VARIABLE} ({dynamodb})"),
        kafka_bootstrap: kafka,
        dynamodb_endpoint: dynamodb,
        secured: None,
        _processes: Vec::new(),
    })
}

fn local(kafka: u16, dynamodb: u16, origin: &str, processes: Vec<Guarded>) -> Services {
    Services {
        kafka_bootstrap: format!("127.0.0.1:{kafka}"),
        dynamodb_endpoint: format!("http://127.0.0.1:{dynamodb}"),
        which: format!("tests use the Apache Kafka (port {kafka}) and DynamoDB Local (port {dynamodb}) {origin}"),
        secured: None,
        _processes: processes,
    }
}

pub(super) fn not_available(missing: &str) -> String {
    format!(
        "These tests need a real Apache Kafka and a real DynamoDB Local. One of these is enough:\n\
         - Docker with its compose plugin, running (`docker info` and `docker compose version` succeed);\n\
         - Java {}+ and Maven (Debian: `apt-get install default-jdk-headless maven`): the services \
         then come from Maven Central. Now: {missing};\n\
         - services of your own, in {BOOTSTRAP_VARIABLE}=host:port and {DYNAMODB_VARIABLE}=http://host:port.",
        jvm::OLDEST_JAVA
    )
}

/// A broker for a single test, which may stop and kill it.
#[derive(Debug)]
pub(crate) struct PrivateBroker {
    /// A value for `KAFKA_BOOTSTRAP_SERVERS`.
    pub(crate) bootstrap: String,
    process: Guarded,
    control: Control,
}

#[derive(Debug)]
enum Control {
    Signals,
    Containers(String),
}

/// Starts a broker for the caller only; about three seconds.
///
/// # Panics
/// If it cannot be started. The message contains the cause.
pub(crate) fn start_private_broker() -> PrivateBroker {
    let missing = jvm::missing();
    let started = match missing {
        None => jvm::kafka().map(private),
        Some(_) if containers::engine_is_available() => containers::kafka().map(|it| {
            let control = Control::Containers(containers::name(it.kafka_port));
            (it.process, it.kafka_port, control)
        }),
        Some(missing) => Err(not_available(&missing)),
    };
    let (process, port, control) = started.unwrap_or_else(|message| panic!("{message}"));
    PrivateBroker {
        bootstrap: format!("127.0.0.1:{port}"),
        process,
        control,
    }
}

fn private(broker: jvm::Broker) -> (Guarded, u16, Control) {
    (broker.process, broker.ports.of(Listener::Plaintext), Control::Signals)
}

/// A Kafka with this cluster id for the caller only, and its port.
///
/// # Panics
/// If it cannot be started. The message contains the cause.
pub(crate) fn start_private_kafka_of(cluster_id: &str) -> (Guarded, u16) {
    let broker = jvm::kafka_of(cluster_id).unwrap_or_else(|message| panic!("{message}"));
    let (process, port, _) = private(broker);
    (process, port)
}

/// A DynamoDB Local for the caller only, and its port. See [`start_private_kafka_of`].
pub(crate) fn start_private_dynamodb() -> (Guarded, u16) {
    let started = jvm::dynamodb().unwrap_or_else(|message| panic!("{message}"));
    (started.process, started.port)
}

impl PrivateBroker {
    /// The broker's process id; in a container, that of the guard process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The file that the first records of a partition are in; `None` where it is in a container.
    pub(crate) fn segment(&self, topic: &str, partition: i32) -> Option<PathBuf> {
        let file = format!("data/{topic}-{partition}/00000000000000000000.log");
        matches!(self.control, Control::Signals).then(|| self.process.directory().join(file))
    }

    /// Freezes it: connections stay open, and no response is sent.
    pub(crate) fn stop(&self) {
        self.act("STOP", "pause");
    }

    /// Ends a [`stop`](Self::stop).
    pub(crate) fn cont(&self) {
        self.act("CONT", "unpause");
    }

    /// Kills it, frozen or not, and waits until it has ended: connections are refused.
    pub(crate) fn kill(&self) {
        self.act("KILL", "kill");
        let ended = process::eventually(Duration::from_secs(20), || self.process.has_ended());
        assert!(ended, "the broker was killed and has not ended");
    }

    fn act(&self, signal: &str, verb: &str) {
        match &self.control {
            Control::Signals => process::signal(self.process.pid(), signal),
            Control::Containers(project) => containers::act(project, verb),
        }
    }
}

/// A broker on this machine returns its metadata.
pub(super) fn kafka_is_ready(port: u16) -> bool {
    let metadata = || probe(port)?.fetch_metadata(None, PROBE_LIMIT).ok();
    metadata().is_some_and(|metadata| !metadata.brokers().is_empty())
}

/// The Kafka at this port is the one of docker-compose.yml.
pub(crate) fn is_kafka_of_compose(port: u16) -> bool {
    let cluster_id = || probe(port)?.client().fetch_cluster_id(PROBE_LIMIT);
    cluster_id().is_some_and(|id| id == COMPOSE_CLUSTER_ID)
}

fn probe(port: u16) -> Option<BaseConsumer> {
    // Fails at once where no program listens.
    connect(port)?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", format!("127.0.0.1:{port}"))
        .set("group.id", "probe")
        .set("log_level", "0");
    config.create().ok()
}

/// The program that listens on this port responds as DynamoDB does, even to a bare request.
pub(super) fn looks_like_dynamodb(port: u16) -> bool {
    let response = http(port, "GET / HTTP/1.0\r\n\r\n");
    response.is_some_and(|response| response.to_lowercase().contains("x-amzn-requestid"))
}

/// The DynamoDB at this port is the one of docker-compose.yml.
pub(crate) fn is_dynamodb_of_compose(port: u16) -> bool {
    let body = format!("{{\"TableName\":\"{COMPOSE_TABLE}\"}}");
    // DynamoDB Local does not verify the signature, but requires one.
    let request = format!(
        "POST / HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/x-amz-json-1.0\r\n\
         X-Amz-Target: DynamoDB_20120810.DescribeTable\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let response = http(port, &request);
    response.is_some_and(|response| response.contains(" 200 ") && response.contains(COMPOSE_TABLE))
}

/// The beginning of the response to a whole request.
fn http(port: u16, request: &str) -> Option<String> {
    let mut connection = connect(port)?;
    connection.set_read_timeout(Some(PROBE_LIMIT)).ok()?;
    connection.write_all(request.as_bytes()).ok()?;
    let mut response = Vec::new();
    connection.take(4096).read_to_end(&mut response).ok()?;
    Some(String::from_utf8_lossy(&response).into_owned())
}

fn connect(port: u16) -> Option<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()
}

/// Prints a line to the terminal, which the test runner does not capture, unlike `eprintln!`.
pub(crate) fn print(text: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{text}");
}

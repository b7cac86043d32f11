//! Apache Kafka, DynamoDB Local and `ElasticMQ` from Maven Central, as plain JVMs on free ports.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::listeners::{self, Listener, Ports};
use super::prepared::{self, fetch, prepared, write};
use super::process::{self, Guarded};
use super::proxy::Proxy;
use super::services::looks_like_dynamodb;

const KAFKA_POM: &str = include_str!("kafka-pom.xml");
const DYNAMODB_POM: &str = include_str!("dynamodb-pom.xml");
const SQS_POM: &str = include_str!("sqs-pom.xml");
const SQS_CONFIG: &str = include_str!("sqs.conf");
const KAFKA_PROPERTIES: &str = include_str!("kafka.properties");
const KAFKA_LOGGING: &str = include_str!("kafka.log4j2.properties");

/// The oldest Java that Kafka 4 and DynamoDB Local 3 start on.
pub(super) const OLDEST_JAVA: u32 = 17;
/// Three seconds on two idle cores; a machine that compiles takes several times that.
const START_LIMIT: Duration = Duration::from_mins(1);
/// A free port is sometimes taken a moment later; rarely more than once.
const TRIES: usize = 3;

/// Small heaps, and no time spent on optimising a process that runs for seconds.
const JAVA: &str = "java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.io.tmpdir=.";
/// Kills the child, unless it has ended: then another process may have its id.
const END: &str = r#"[ -e "$directory/ended" ] || kill -s KILL "$child""#;

/// A service and its port.
#[derive(Debug)]
pub(super) struct Jvm {
    pub(super) process: Guarded,
    pub(super) port: u16,
}

/// A Kafka, and the ports of its listeners.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) process: Guarded,
    pub(super) ports: Ports,
    /// In front of [`Listener::Proxied`].
    pub(super) proxy: Proxy,
}

/// The program that these services need and this machine does not have.
pub(super) fn missing() -> Option<String> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING.get_or_init(find_missing).clone()
}

fn find_missing() -> Option<String> {
    let limit = Duration::from_secs(20);
    let Some(java) = process::output(Command::new("java").arg("-version"), limit) else {
        return Some("`java -version` fails".to_owned());
    };
    let version = String::from_utf8_lossy(&java.stderr);
    if java_major(&version).is_some_and(|major| major < OLDEST_JAVA) {
        return Some(format!(
            "`java` is too old: {}",
            version.lines().next().unwrap_or_default()
        ));
    }
    if process::output(Command::new("mvn").arg("-version"), limit).is_none() {
        return Some("`mvn -version` fails".to_owned());
    }
    None
}

/// The 17 of `openjdk version "17.0.15" 2025-04-15`.
fn java_major(version: &str) -> Option<u32> {
    let number = version.split('"').nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The default cluster id.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// Starts a broker with users and without topics.
pub(super) fn kafka() -> Result<Broker, String> {
    kafka_of(CLUSTER_ID)
}

/// The same, of a cluster with this id.
pub(super) fn kafka_of(cluster_id: &str) -> Result<Broker, String> {
    let jars = jars("kafka", KAFKA_POM)?;
    // Another program formats the data folder first.
    let script = format!(
        "{JAVA} -Xmx128m kafka.tools.StorageTool format --standalone \
         -t {cluster_id} -c server.properties {} && \
         exec {JAVA} -Xms128m -Xmx256m -Dlog4j2.configurationFile=log4j2.properties \
         kafka.Kafka server.properties",
        listeners::scram_users()
    );
    start(|directory| {
        let ports = Ports::free();
        let proxy = Proxy::start(ports.of(Listener::Proxied));
        let properties = ports.fill(KAFKA_PROPERTIES, proxy.port);
        write(&directory.join("server.properties"), &properties)?;
        write(&directory.join("log4j2.properties"), KAFKA_LOGGING)?;
        listeners::write_certificates(directory)?;
        let process = launch(directory, &jars, &script)?;
        process.wait_until("Kafka", START_LIMIT, |it| it.log().contains("Kafka Server started"))?;
        Ok(Broker { process, ports, proxy })
    })
}

/// Starts a DynamoDB that keeps its tables in memory.
pub(super) fn dynamodb() -> Result<Jvm, String> {
    let jars = jars("dynamodb", DYNAMODB_POM)?;
    start(|directory| {
        let [port] = free_ports();
        let script = format!(
            "exec {JAVA} -Xmx256m software.amazon.dynamodb.services.local.main.ServerRunner \
             -inMemory -sharedDb -disableTelemetry -port {port}"
        );
        let process = launch(directory, &jars, &script)?;
        process.wait_until("DynamoDB Local", START_LIMIT, |_| looks_like_dynamodb(port))?;
        Ok(Jvm { process, port })
    })
}

/// Starts an SQS without queues.
pub(super) fn sqs() -> Result<Jvm, String> {
    let jars = jars("sqs", SQS_POM)?;
    start(|directory| {
        let [port] = free_ports();
        write(
            &directory.join("sqs.conf"),
            &SQS_CONFIG.replace("{port}", &port.to_string()),
        )?;
        let script = format!("exec {JAVA} -Xmx256m -Dconfig.file=sqs.conf org.elasticmq.server.Main");
        let process = launch(directory, &jars, &script)?;
        process.wait_until("ElasticMQ", START_LIMIT, |it| {
            it.log().contains("Started SQS rest server")
        })?;
        Ok(Jvm { process, port })
    })
}

/// The output of one of Kafka's own command-line tools.
///
/// # Panics
/// If it fails, or cannot be run on this machine.
pub(crate) fn kafka_tool(class: &str, arguments: &[&str]) -> String {
    if let Some(missing) = missing() {
        panic!("Kafka's own tools come from Maven Central and need Java {OLDEST_JAVA}+ and Maven: {missing}");
    }
    let jars = jars("kafka", KAFKA_POM).unwrap_or_else(|message| panic!("{message}"));
    let output = Command::new("java")
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp"])
        .arg(jars.join("*"))
        .arg(class)
        .args(arguments)
        .output()
        .expect("`java` was found");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{class} {arguments:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn launch(directory: &Path, jars: &Path, script: &str) -> Result<Guarded, String> {
    let classpath = jars.join("*");
    let env = [("CLASSPATH", classpath.as_os_str())];
    Guarded::start(directory, END, &["sh", "-c", script], &env)
}

/// Retries with other ports where the first ones were taken.
fn start<T>(one: impl Fn(&Path) -> Result<T, String>) -> Result<T, String> {
    let mut tries = 1..=TRIES;
    loop {
        let _ = tries.next();
        let directory = process::directory()?;
        match one(&directory) {
            Err(error) if error.contains("already in use") && !tries.is_empty() => {}
            result => return result,
        }
    }
}

/// Ports that are free right now, all different.
pub(super) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("no free port left"));
    listeners.map(|it| it.local_addr().expect("a bound socket has an address").port())
}

/// The folder with a pom's jars; fetched once for each content of the pom.
fn jars(name: &str, pom: &str) -> Result<PathBuf, String> {
    // One lock for all jars: two Mavens at once damage their common repository.
    prepared(name, pom, "jars.lock", |jars| {
        let source = prepared::home()?.join(format!("{name}-pom.xml"));
        write(&source, pom)?;
        let mut output_directory = std::ffi::OsString::from("-DoutputDirectory=");
        output_directory.push(jars);
        fetch(
            &format!("Maven cannot fetch the jars of {name}. Check that Maven Central can be reached"),
            Command::new("mvn")
                .args(["-q", "-B", "-Dstyle.color=never", "dependency:copy-dependencies"])
                .args([OsStr::new("-DincludeScope=runtime"), &output_directory])
                .arg("-f")
                .arg(&source),
        )
    })
}

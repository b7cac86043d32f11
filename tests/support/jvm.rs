//! Apache Kafka, DynamoDB Local and `ElasticMQ` from Maven Central, as plain JVMs on free ports.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::listeners::{self, Listener, Ports};
use super::process::{self, Guarded};
use super::proxy::Proxy;
use super::services::looks_like_dynamodb;

const KAFKA_POM: &str = include_str!("kafka-pom.xml");
const DYNAMODB_POM: &str = include_str!("dynamodb-pom.xml");
const SQS_POM: &str = include_str!("sqs-pom.xml");
const SQS_CONFIG: &str = include_str!("sqs.conf");
const KAFKA_PROPERTIES: &str = include_str!("kafka.properties");
const KAFKA_LOGGING: &str = include_str!("kafka.log4j2.properties");

/// Kafka 4 and DynamoDB Local 3 do not start on an older one.
pub(super) const OLDEST_JAVA: u32 = 17;
/// Three seconds on two idle cores; a machine that compiles meanwhile takes several times that.
const START_LIMIT: Duration = Duration::from_mins(1);
/// A port that was free is sometimes taken a moment later; more than once is another problem.
const TRIES: usize = 3;

/// Small heaps, and no time spent on optimising a process that lives for seconds.
const JAVA: &str = "java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.io.tmpdir=.";
/// Once it has ended, its process id may be another's.
const END: &str = r#"[ -e "$directory/ended" ] || kill -s KILL "$child""#;

/// A service and the address it answers at.
#[derive(Debug)]
pub(super) struct Jvm {
    pub(super) process: Guarded,
    pub(super) port: u16,
}

/// A Kafka, and the addresses it answers at.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) process: Guarded,
    pub(super) ports: Ports,
    /// Before the listener that is called so.
    pub(super) proxy: Proxy,
}

/// What is missing on this machine for these services.
pub(super) fn missing() -> Option<String> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING.get_or_init(look_for_missing).clone()
}

fn look_for_missing() -> Option<String> {
    let limit = Duration::from_secs(20);
    let Some(java) = process::answer(Command::new("java").arg("-version"), limit) else {
        return Some("`java -version` does not answer".to_owned());
    };
    let version = String::from_utf8_lossy(&java.stderr);
    if java_major(&version).is_some_and(|major| major < OLDEST_JAVA) {
        return Some(format!(
            "`java` is too old: {}",
            version.lines().next().unwrap_or_default()
        ));
    }
    if process::answer(Command::new("mvn").arg("-version"), limit).is_none() {
        return Some("`mvn -version` does not answer".to_owned());
    }
    None
}

/// The 17 of `openjdk version "17.0.15" 2025-04-15`.
fn java_major(version: &str) -> Option<u32> {
    let number = version.split('"').nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The id of a Kafka that is not said to be another's.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// Starts a broker that knows its users and nothing else yet.
pub(super) fn kafka() -> Result<Broker, String> {
    kafka_of(CLUSTER_ID)
}

/// The same, of a cluster with this id.
pub(super) fn kafka_of(cluster_id: &str) -> Result<Broker, String> {
    let jars = jars("kafka", KAFKA_POM)?;
    // The data folder is formatted by a program of its own first.
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

/// What one of Kafka's own command-line tools answers.
///
/// # Panics
/// If it fails, or cannot run here.
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
        .expect("`java` answered before");
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

/// Tries again with other ports where the first ones were taken meanwhile.
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
    let home = folder()?;
    let jars = home.join(name);
    // Its presence says that the folder is complete, its content for which pom.
    let stamp = jars.join("pom.xml");
    // One for all jars: two Mavens at once damage their common repository.
    let lock = home.join("jars.lock");
    let _held = File::create(&lock)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| format!("cannot lock {}: {error}", lock.display()))?;
    if fs::read_to_string(&stamp).is_ok_and(|content| content == pom) {
        return Ok(jars);
    }
    // Jars of an older pom would stay on the class path.
    if jars.exists() {
        fs::remove_dir_all(&jars).map_err(|error| format!("cannot remove {}: {error}", jars.display()))?;
    }
    super::services::say(&format!("fetching the jars of {name} into {}", jars.display()));
    let source = home.join(format!("{name}-pom.xml"));
    write(&source, pom)?;
    let mut output_directory = std::ffi::OsString::from("-DoutputDirectory=");
    output_directory.push(&jars);
    let output = Command::new("mvn")
        .args(["-q", "-B", "-Dstyle.color=never", "dependency:copy-dependencies"])
        .args([OsStr::new("-DincludeScope=runtime"), &output_directory])
        .arg("-f")
        .arg(&source)
        .output()
        .map_err(|error| format!("cannot run `mvn`: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        return Err(format!(
            "Maven cannot fetch the jars of {name}; is Maven Central within reach?\n{}",
            process::tail(&said, 15)
        ));
    }
    write(&stamp, pom)?;
    Ok(jars)
}

/// Where the jars and locks are: below the target folder, whichever that is.
pub(super) fn folder() -> Result<PathBuf, String> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = scratch.parent().unwrap_or(scratch).join("test-services");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    Ok(folder)
}

fn write(path: &Path, content: &str) -> Result<(), String> {
    fs::write(path, content).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

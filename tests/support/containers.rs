//! The services of docker-compose.yml, in a compose project and on ports of this process only.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use super::jvm;
use super::process::{self, Guarded};
use super::services::{kafka_is_ready, looks_like_dynamodb, print};

const COMPOSE_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docker-compose.yml");

/// A running engine responds at once; one that hangs is not used.
const ENGINE_LIMIT: Duration = Duration::from_secs(3);
/// The first start fetches the images.
const START_LIMIT: Duration = Duration::from_mins(5);

/// Containers that are up.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) process: Guarded,
    pub(super) kafka_port: u16,
    pub(super) dynamodb_port: u16,
}

/// A container engine is running, and supports compose files.
pub(super) fn engine_is_available() -> bool {
    let succeeds = |arguments: &[&str]| process::output(Command::new("docker").args(arguments), ENGINE_LIMIT).is_some();
    succeeds(&["info"]) && succeeds(&["compose", "version"])
}

/// Kafka and DynamoDB Local.
pub(super) fn all() -> Result<Project, String> {
    start(&["kafka", "dynamodb"], |project| {
        looks_like_dynamodb(project.dynamodb_port) && kafka_is_ready(project.kafka_port)
    })
}

/// Kafka only.
pub(super) fn kafka() -> Result<Project, String> {
    start(&["kafka"], |project| kafka_is_ready(project.kafka_port))
}

/// The name of the project whose Kafka has this port.
pub(super) fn name(kafka_port: u16) -> String {
    format!("kafka-consumer-test-{kafka_port}")
}

/// Runs a compose command, such as `pause`, on a project's Kafka.
pub(super) fn act(project: &str, verb: &str) {
    process::run(Command::new("docker").args(["compose", "-p", project, "-f", COMPOSE_FILE, verb, "kafka"]));
}

fn start(services: &[&str], ready: impl Fn(&Project) -> bool) -> Result<Project, String> {
    print("starting containers for the tests; the first time this fetches their images");
    let [kafka_port, dynamodb_port] = jvm::free_ports();
    let (kafka, dynamodb) = (kafka_port.to_string(), dynamodb_port.to_string());
    let project = name(kafka_port);
    let compose = ["docker", "compose", "-p", &project, "-f", COMPOSE_FILE];
    let cleanup = format!("docker compose -p {project} -f '{COMPOSE_FILE}' down --volumes");
    let command = [&compose, &["up", "--no-color"][..], services].concat();
    let env = [
        ("HOST_PORT_KAFKA", OsStr::new(&kafka)),
        ("HOST_PORT_DYNAMODB", OsStr::new(&dynamodb)),
    ];
    let directory = process::directory()?;
    let process = Guarded::start(&directory, &cleanup, &command, &env)?;
    let project = Project {
        process,
        kafka_port,
        dynamodb_port,
    };
    project
        .process
        .wait_until("docker compose", START_LIMIT, |_| ready(&project))?;
    Ok(project)
}

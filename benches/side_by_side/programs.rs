//! The programs that are compared: the product, the bare program, and a conventional poller.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bare::{self, Event};
use crate::support::runtime_api::Function;
use crate::support::world::World;

/// Enough for everything that is measured.
const TIMEOUT: Duration = Duration::from_mins(5);

/// The product as Lambda runs it.
pub(crate) fn product(world: &World) -> Function {
    Function::start(env!("CARGO_BIN_EXE_bootstrap"), settings(world), TIMEOUT).expect("the product starts")
}

/// The milliseconds of a run that must process this number of records.
pub(crate) fn run(product: &mut Function, records: u64) -> f64 {
    let invocation = product.invoke(&json!({}));
    assert_eq!(invocation.success()["messages_processed"], records, "{invocation:?}");
    millis(invocation.duration)
}

/// The bare program as a function, with separate cursors.
pub(crate) struct Bare {
    /// The group whose cursors its query returns.
    pub(crate) group: String,
    function: Function,
}

/// The milliseconds of a call: by the program's own clock, and as measured by Lambda.
pub(crate) struct Took {
    pub(crate) inside: f64,
    pub(crate) outside: f64,
}

impl Bare {
    pub(crate) fn start(world: &World) -> Self {
        let own = world.of_another_group("bare");
        let settings = settings(&own)
            .into_iter()
            .chain([(bare::VARIABLE.into(), bare::FUNCTION.into())]);
        let function = Function::start(exe(), settings, TIMEOUT).expect("the bare program starts");
        Self {
            group: own.group,
            function,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.function.pid()
    }

    pub(crate) fn invoke(&mut self, event: &Event) -> Took {
        let event = serde_json::to_value(event).expect("an event is JSON");
        let invocation = self.function.invoke(&event);
        let micros = invocation.success().as_u64().expect("microseconds");
        Took {
            inside: Duration::from_micros(micros).as_secs_f64() * 1000.0,
            outside: millis(invocation.duration),
        }
    }
}

/// The conventional poller, kept running like a warm function.
pub(crate) struct Poller {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Poller {
    pub(crate) fn start(python: &Path, world: &World) -> Self {
        let mut child = poller_command(python, world)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            panic!("python was started without its pipes")
        };
        Self {
            child,
            input,
            output: BufReader::new(output),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The milliseconds of a run that must process this number of records.
    pub(crate) fn run(&mut self, records: u64) -> f64 {
        writeln!(self.input, "run").expect("python reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("python responds");
        let response: Value = serde_json::from_str(&line).expect("python responds in JSON");
        assert_eq!(response["messages"], records, "the poller");
        response["ms"].as_f64().expect("milliseconds")
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One cold run of the command line, from the start of the process to its end.
pub(crate) fn cold_product(world: &World, records: u64) -> f64 {
    let own = world.of_another_group("cold");
    let ran = own.run();
    assert_eq!(ran.success()["messages_processed"], records, "{ran:?}");
    millis(ran.took)
}

/// How many million instructions a cold run takes; `None` where there is no valgrind.
pub(crate) fn instructions(world: &World) -> Option<f64> {
    let product = world.command(&["run", "--output", "json"]);
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(product.get_program())
        .args(product.get_args())
        .envs(product.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.stdin(Stdio::null()).output().ok()?;
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    let collected = message.lines().find_map(|line| line.split_once("Collected : "))?.1;
    let instructions: f64 = collected.trim().parse().expect("a number of instructions");
    Some(instructions / 1e6)
}

/// The same of the bare program.
pub(crate) fn cold_bare(world: &World, records: u64) -> f64 {
    let own = world.of_another_group("bare");
    let mut command = Command::new(exe());
    command
        .env_clear()
        .envs(settings(&own))
        .env(bare::VARIABLE, bare::ONCE)
        .env(bare::RECORDS, records.to_string());
    to_the_end(command)
}

/// The same of the conventional poller.
pub(crate) fn cold_poller(python: &Path, world: &World) -> f64 {
    let mut command = poller_command(python, world);
    command.arg("once");
    to_the_end(command)
}

fn to_the_end(mut command: Command) -> f64 {
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let took = started.elapsed();
    assert!(output.status.success(), "{output:?}");
    millis(took)
}

fn poller_command(python: &Path, world: &World) -> Command {
    let own = world.of_another_group("poller");
    let mut command = Command::new(python);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/poller.py"))
        .env_clear()
        .envs(settings(&own));
    command
}

/// Python with the poller's dependencies, in an environment below `folder`; `None`, with the cause on
/// stderr, if they cannot be installed.
pub(crate) fn python(folder: &Path) -> Option<PathBuf> {
    let python = folder.join("venv/bin/python");
    if imports(&python) {
        return Some(python);
    }
    let made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")))
        && succeeds(Command::new(&python).args(["-m", "pip", "install", "--quiet", "confluent-kafka", "boto3"]))
        && imports(&python);
    if !made {
        let _ = fs::remove_dir_all(folder.join("venv"));
        eprintln!(
            "The usual poller is left out: it needs Python 3 with venv, and confluent-kafka and boto3 from PyPI."
        );
    }
    made.then_some(python)
}

fn imports(python: &Path) -> bool {
    python.exists() && succeeds(Command::new(python).args(["-c", "import confluent_kafka, boto3"]))
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

fn settings(world: &World) -> Vec<(OsString, OsString)> {
    let command = world.command(&[]);
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    // The conventional poller and the bare program read the variables of the SDKs.
    set.chain([("AWS_DEFAULT_REGION".into(), "us-east-1".into())]).collect()
}

fn exe() -> PathBuf {
    std::env::current_exe().expect("this program has a path")
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

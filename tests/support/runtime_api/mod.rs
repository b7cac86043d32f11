//! Lambda's Runtime API for tests: starts a function's program, invokes it with events, and enforces its time-out
//! as Lambda does.

mod server;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::server::{Call, Response};

/// Lambda's own limit of the init phase.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// The interval at which a program without requests is checked.
const CHECK_EVERY: Duration = Duration::from_millis(20);
/// How long a program may take to exit after it has reported an init error.
const EXIT_LIMIT: Duration = Duration::from_secs(5);

/// A program that is initialised and waits for events. Dropping this kills the program.
#[derive(Debug)]
pub(crate) struct Function {
    /// The time from the program's start to its request for the first event.
    pub(crate) init: Duration,
    program: Program,
    timeout: Duration,
}

/// The result of one invocation.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) request_id: String,
    pub(crate) result: Result<Value, FunctionError>,
    pub(crate) duration: Duration,
    /// The lines that the program wrote to stdout during the invocation.
    pub(crate) stdout: Vec<String>,
    /// The lines that the program wrote to stderr during the invocation.
    pub(crate) stderr: Vec<String>,
}

/// An error as the caller of a function gets it, with its header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FunctionError {
    pub(crate) error_type: String,
    pub(crate) message: String,
    /// `Lambda-Runtime-Function-Error-Type`.
    pub(crate) header: Option<String>,
}

/// Why a program never requested an event.
#[derive(Debug)]
pub(crate) struct InitError {
    pub(crate) error: FunctionError,
    /// `None`: it was killed.
    pub(crate) exit_code: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Function {
    /// Starts `binary` with these settings and without this process's environment, and waits until it requests
    /// an event.
    pub(crate) fn start(
        binary: impl AsRef<Path>,
        settings: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
        timeout: Duration,
    ) -> Result<Self, Box<InitError>> {
        Self::start_command(Command::new(binary.as_ref()), settings, timeout)
    }

    /// As [`start`](Self::start), for a program with arguments and a working folder.
    pub(crate) fn start_command(
        command: Command,
        settings: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
        timeout: Duration,
    ) -> Result<Self, Box<InitError>> {
        let started = now();
        let mut program = Program::start(command, settings);
        match program.until_next(INIT_LIMIT, |_| None) {
            Ok(()) => Ok(Self {
                init: started.elapsed(),
                program,
                timeout,
            }),
            Err(error) => Err(Box::new(InitError {
                error,
                exit_code: program.end(),
                stdout: program.lines("stdout"),
                stderr: program.lines("stderr"),
            })),
        }
    }

    /// Invokes the function with an event and waits for the response, until the function's time-out.
    ///
    /// As in Lambda, an invocation ends when the program has responded and requests the next event.
    pub(crate) fn invoke(&mut self, event: &Value) -> Invocation {
        self.invoke_text(&event.to_string())
    }

    /// The same with an event that is any text.
    pub(crate) fn invoke_text(&mut self, event: &str) -> Invocation {
        self.invoke_with(event, None)
    }

    /// The same with a client context, as JSON.
    pub(crate) fn invoke_with(&mut self, event: &str, client_context: Option<&Value>) -> Invocation {
        let request_id = uuid::Uuid::new_v4().to_string();
        let deadline = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970") + self.timeout;
        let before = ["stdout", "stderr"].map(|stream| self.program.lines(stream).len());
        let started = now();
        let next = self
            .program
            .next
            .take()
            .expect("the program has ended, or was killed after its time-out");
        let headers = format!(
            "Lambda-Runtime-Aws-Request-Id: {request_id}\r\nLambda-Runtime-Deadline-Ms: {}\r\n\
             Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:test\r\n\
             Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0\r\n{}",
            deadline.as_millis(),
            client_context.map_or_else(String::new, |it| format!("Lambda-Runtime-Client-Context: {it}\r\n")),
        );
        // A program that has ended is detected below.
        let _ = next.send(server::event(&headers, event));

        let mut response = None;
        let ended = self.program.until_next(self.timeout, |(id, result)| {
            assert_eq!(id, request_id, "a response to another request");
            let first = response.replace((result, started.elapsed())).is_none();
            (!first).then(|| FunctionError::lambdas_own("Runtime.InvalidResponse", "there were two responses"))
        });
        let (result, duration) = match (ended, response) {
            (Ok(()), Some(response)) => response,
            (Ok(()), None) => panic!("the program requested the next event without a response to this one"),
            (Err(error), _) => {
                self.program.kill();
                (Err(error), started.elapsed())
            }
        };
        let [stdout, stderr] = ["stdout", "stderr"].map(|stream| self.program.lines(stream));
        let [stdout, stderr] = [stdout[before[0]..].to_vec(), stderr[before[1]..].to_vec()];
        Invocation {
            request_id,
            result,
            duration,
            stdout,
            stderr,
        }
    }

    /// All lines that the program has written to stdout, also between events.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.program.lines("stdout")
    }

    /// All lines that the program has written to stderr, also between events.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.program.lines("stderr")
    }

    /// Stops the program, as Lambda does between invocations.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Continues the program.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {name}");
    }

    /// The program's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.program.child.id()
    }
}

impl Invocation {
    /// The response of an invocation that did not fail.
    #[track_caller]
    pub(crate) fn success(&self) -> &Value {
        self.result
            .as_ref()
            .unwrap_or_else(|error| panic!("it failed: {error:?}\n{self:#?}"))
    }

    /// The message of an invocation that failed with this type.
    #[track_caller]
    pub(crate) fn failure(&self, error_type: &str) -> &str {
        let Err(error) = &self.result else {
            panic!("it did not fail: {self:#?}")
        };
        assert_eq!(error.error_type, error_type, "{self:#?}");
        &error.message
    }
}

impl FunctionError {
    fn lambdas_own(error_type: &str, message: impl Into<String>) -> Self {
        Self {
            error_type: error_type.to_owned(),
            message: message.into(),
            header: None,
        }
    }
}

/// The event of an `EventBridge` rule, or of its Scheduler with another source.
pub(crate) fn envelope(source: &str, detail: &Value) -> Value {
    json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
        "source": source, "account": "123456789012", "time": "2026-11-01T06:00:00Z", "region": "eu-central-1",
        "resources": ["arn:aws:events:eu-central-1:123456789012:rule/every-minute"], "detail": detail,
    })
}

/// A child process, its output, and its requests to the API.
#[derive(Debug)]
struct Program {
    child: Child,
    calls: Receiver<Call>,
    /// Sends the response to its pending request for an event.
    next: Option<Sender<Vec<u8>>>,
    /// Files, not pipes: all output before a response can be read after it.
    output: TempDir,
}

impl Program {
    fn start(mut command: Command, settings: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> Self {
        let (address, calls) = server::start();
        let output = tempfile::tempdir().expect("a temporary folder");
        let file = |name| File::create(output.path().join(name)).expect("a file for the output");
        let child = command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            // Not the developer's, which may contain AWS settings.
            .env("HOME", output.path())
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "test")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/test")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]test")
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .envs(settings)
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        Self {
            child,
            calls,
            next: None,
            output,
        }
    }

    /// Waits until the program requests an event. `responded` gets the responses before that.
    fn until_next(
        &mut self,
        limit: Duration,
        mut responded: impl FnMut(Response) -> Option<FunctionError>,
    ) -> Result<(), FunctionError> {
        let started = now();
        loop {
            let left = limit.saturating_sub(started.elapsed());
            match self.calls.recv_timeout(left.min(CHECK_EVERY)) {
                Ok(Call::Next(next)) => {
                    self.next = Some(next);
                    return Ok(());
                }
                Ok(Call::InitError(error)) => return Err(error),
                Ok(Call::Response(response)) => responded(response).map_or(Ok(()), Err)?,
                Err(RecvTimeoutError::Disconnected) => panic!("the server of the Runtime API has ended"),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    let message = format!("Task timed out after {:.2} seconds", limit.as_secs_f64());
                    return Err(FunctionError::lambdas_own("Sandbox.Timedout", message));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Ok(Some(status)) = self.child.try_wait() {
                        let message = format!("Runtime exited: {status}");
                        return Err(FunctionError::lambdas_own("Runtime.ExitError", message));
                    }
                }
            }
        }
    }

    /// Waits for the program's end and returns its code; kills it if it does not end.
    fn end(&mut self) -> Option<i32> {
        let started = now();
        while started.elapsed() < EXIT_LIMIT {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.code();
            }
            thread::sleep(CHECK_EVERY);
        }
        self.kill();
        None
    }

    fn kill(&mut self) {
        // Fails only for a program that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// All that the program has written so far.
    fn lines(&self, stream: &str) -> Vec<String> {
        let text = fs::read(self.output.path().join(stream)).expect("the output can be read");
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

#[expect(clippy::disallowed_methods, reason = "measures another process")]
fn now() -> Instant {
    Instant::now()
}

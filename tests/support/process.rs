//! Processes that end with the test process, however it ends.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The interval at which a condition is checked.
pub(super) const CHECK_EVERY: Duration = Duration::from_millis(20);

const GUARD: &str = include_str!("guard.sh");

/// A child process under `guard.sh`. Dropping it ends the child too.
#[derive(Debug)]
pub(crate) struct Guarded {
    directory: PathBuf,
    pid: u32,
    // The guard ends the child when this pipe is closed.
    _lifeline: ChildStdin,
}

impl Guarded {
    /// Starts `command` in a directory of its own, which is removed at the end.
    ///
    /// `cleanup` is a shell command that ends the child; `$child` is its process id.
    pub(super) fn start(
        directory: &Path,
        cleanup: &str,
        command: &[&str],
        env: &[(&str, &OsStr)],
    ) -> Result<Self, String> {
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard.sh"])
            .arg(directory)
            .arg(cleanup)
            .args(command)
            .envs(env.iter().copied())
            .current_dir(directory)
            // A ctrl-c at the terminal must not end the guard before it has cleaned up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot run `sh`: {error}"))?;
        let (Some(lifeline), Some(stdout)) = (guard.stdin.take(), guard.stdout.take()) else {
            return Err("`sh` was started without its pipes".to_owned());
        };
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(|error| format!("cannot read from the guard: {error}"))?;
        let pid = line
            .trim()
            .parse()
            .map_err(|error| format!("the guard printed {line:?} for a process id: {error}"))?;
        // Collects the guard when it ends before this process does.
        thread::spawn(move || guard.wait());
        Ok(Self {
            directory: directory.to_owned(),
            pid,
            _lifeline: lifeline,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn log(&self) -> String {
        fs::read(self.directory.join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The child has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.directory.join("ended").exists()
    }

    /// Waits until `ready` holds.
    ///
    /// # Errors
    /// The child ended or `limit` expired. The message contains the end of its log.
    pub(super) fn wait_until(&self, what: &str, limit: Duration, ready: impl Fn(&Self) -> bool) -> Result<(), String> {
        let succeeded = eventually(limit, || ready(self) || self.has_ended());
        let problem = if self.has_ended() {
            "ended before it was ready".to_owned()
        } else if succeeded {
            return Ok(());
        } else {
            format!("was not ready after {} s", limit.as_secs())
        };
        Err(format!(
            "{what} {problem}. The end of its log:\n{}",
            tail(&self.log(), 30)
        ))
    }
}

/// A new folder for a guarded process. The guard removes it, as the test process may be killed before.
pub(super) fn directory() -> Result<PathBuf, String> {
    tempfile::Builder::new()
        .prefix("kafka-consumer-test-")
        .tempdir()
        .map(tempfile::TempDir::keep)
        .map_err(|error| format!("cannot make a temporary folder: {error}"))
}

/// The lines that a process writes, as it writes them.
pub(crate) fn lines(from: impl Read) -> impl Iterator<Item = String> {
    BufReader::new(from).lines().map(|line| line.expect("text"))
}

/// Sends a signal by name, such as `STOP`, with the system's own tool.
pub(crate) fn signal(pid: u32, name: &str) {
    run(Command::new("kill").args(["-s", name]).arg(pid.to_string()));
}

/// Runs a command that must succeed.
pub(super) fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The output of a command if it succeeds within `limit`.
pub(super) fn output(command: &mut Command, limit: Duration) -> Option<Output> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let ended = eventually(limit, || !matches!(child.try_wait(), Ok(None)));
    if !ended {
        // Fails if it has ended by now.
        let _ = child.kill();
    }
    let output = child.wait_with_output().ok()?;
    (ended && output.status.success()).then_some(output)
}

/// Checks a condition until it holds (true) or `limit` expires (false).
pub(super) fn eventually(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    #[expect(clippy::disallowed_methods, reason = "waits for other processes")]
    let start = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(CHECK_EVERY);
    }
}

/// The last lines of a text.
pub(super) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

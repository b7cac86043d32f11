//! A run that is paused in the middle of its work, for as long as a test needs.
//!
//! It logs each record, the log is not read, and so it blocks when the pipe is full. This does not
//! depend on the machine's speed.

use std::io::Read;
use std::process::{Child, ChildStderr};
use std::time::Instant;

use super::process;
use super::world::{Ran, World};

/// More records than can be logged into a pipe that is not read: their lines have some 100 bytes
/// each, and a pipe holds 64 KiB.
pub(crate) const MORE_THAN_A_PIPE_HOLDS: usize = 2_000;

/// The same number, as the end offset of a partition with these records.
pub(crate) const WAITING: i64 = 2_000;

/// The bytes of the log that are read at once: few, so that the run does not continue too far.
const READ_BYTES: usize = 4_096;

/// A paused run. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Midway {
    child: Option<Child>,
    log: Vec<u8>,
    started: Instant,
}

impl World {
    /// Starts a run, with further arguments; it blocks as soon as its log fills the pipe.
    pub(crate) fn unread(&self, arguments: &[&str]) -> Midway {
        self.unread_command(&[&["run", "--output", "json"], arguments].concat())
    }

    /// The same of any command.
    pub(crate) fn unread_command(&self, arguments: &[&str]) -> Midway {
        Midway {
            #[expect(clippy::disallowed_methods, reason = "measures another process")]
            started: Instant::now(),
            child: Some(self.start(arguments)),
            log: vec![],
        }
    }

    /// Starts a run, with further arguments, and lets it continue until it has handled some records
    /// and `reached` holds. There must be at least [`MORE_THAN_A_PIPE_HOLDS`] records to read.
    pub(crate) async fn midway(&self, arguments: &[&str], reached: impl AsyncFn() -> bool) -> Midway {
        let mut run = self.unread(arguments);
        loop {
            // Its first lines are its first records: from then on it is working.
            run.read_some().await;
            if reached().await {
                return run;
            }
        }
    }

    /// A run that has claimed this partition only, and settled some of its records.
    pub(crate) async fn midway_on(&self, partition: i32) -> Midway {
        let number = partition.to_string();
        self.midway(&["--partition", &number], async || self.is_claimed(partition).await)
            .await
    }
}

impl Midway {
    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it has not ended")
    }

    /// Reads the log until it contains this text.
    pub(crate) async fn read_until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.log).contains(text) {
            self.read_some().await;
        }
    }

    /// Reads some of the log, so that the run can continue.
    async fn read_some(&mut self) {
        let mut stderr: ChildStderr = self.child().stderr.take().expect("a pipe");
        let read = move || {
            let mut buffer = vec![0; READ_BYTES];
            let count = stderr.read(&mut buffer).expect("the log can be read");
            buffer.truncate(count);
            (stderr, buffer)
        };
        // On another thread: a proxy of the test may have to serve the run meanwhile.
        let (stderr, buffer) = tokio::task::spawn_blocking(read).await.expect("it reads");
        self.child().stderr = Some(stderr);
        self.log.extend_from_slice(&buffer);
        let log = String::from_utf8_lossy(&self.log);
        assert!(!buffer.is_empty(), "the run ended too early: {log}");
    }

    /// Sends a signal by name, such as `STOP`.
    pub(crate) fn signal(&mut self, name: &str) {
        process::signal(self.child().id(), name);
    }

    /// Waits until it ends by itself, although its log is not read, and returns its exit code.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        self.child().wait().expect("it ends").code()
    }

    /// Kills it, as the kernel does when memory runs out.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Reads the rest of the log, and waits until the run ends.
    pub(crate) async fn finish(mut self) -> Ran {
        let child = self.child.take().expect("it has not ended");
        let (mut stderr, started) = (std::mem::take(&mut self.log), self.started);
        let wait = move || child.wait_with_output().expect("it ends");
        let mut output = tokio::task::spawn_blocking(wait).await.expect("it waits");
        stderr.append(&mut output.stderr);
        output.stderr = stderr;
        Ran::new(output, started)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails if it has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Midway {
    fn drop(&mut self) {
        self.end();
    }
}

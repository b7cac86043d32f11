//! A run that is held in the middle of its work, for as long as a test needs.
//!
//! It logs each record, nobody reads its log, and so it stops where the pipe is full. No pause has
//! to be long enough for that, and none can be too long.

use std::io::Read;
use std::process::{Child, ChildStderr};
use std::time::Instant;

use super::process;
use super::world::{Ran, World};

/// So many records cannot be logged into a pipe that nobody reads: their lines are some 100 bytes
/// each, and a pipe holds 64 KiB.
pub(crate) const MORE_THAN_A_PIPE_HOLDS: usize = 2_000;

/// The same number, as the end of a log that holds them.
pub(crate) const WAITING: i64 = 2_000;

/// What is read of the log at once: little, so that the run is not let go too far.
const SIP: usize = 4_096;

/// A run in the middle. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Midway {
    child: Option<Child>,
    heard: Vec<u8>,
    started: Instant,
}

impl World {
    /// Starts a run, with further arguments; it waits as soon as its log fills the pipe.
    pub(crate) fn unread(&self, arguments: &[&str]) -> Midway {
        self.unread_command(&[&["run", "--output", "json"], arguments].concat())
    }

    /// The same of any command.
    pub(crate) fn unread_command(&self, arguments: &[&str]) -> Midway {
        Midway {
            #[expect(clippy::disallowed_methods, reason = "measures another process")]
            started: Instant::now(),
            child: Some(self.start(arguments)),
            heard: vec![],
        }
    }

    /// Starts a run, with further arguments, and lets it go on until it has handled some records
    /// and `reached` holds. At least [`MORE_THAN_A_PIPE_HOLDS`] records must be waiting.
    pub(crate) async fn midway(&self, arguments: &[&str], reached: impl AsyncFn() -> bool) -> Midway {
        let mut run = self.unread(arguments);
        loop {
            // Its first lines are its first records: from then on it is in the middle.
            run.sip().await;
            if reached().await {
                return run;
            }
        }
    }

    /// A run that has claimed this partition alone, and settled some of its records.
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

    /// Reads the log until it holds these words.
    pub(crate) async fn hear(&mut self, words: &str) {
        while !String::from_utf8_lossy(&self.heard).contains(words) {
            self.sip().await;
        }
    }

    /// Reads a little of the log, so that the run can go on a little.
    async fn sip(&mut self) {
        let mut stderr: ChildStderr = self.child().stderr.take().expect("a pipe");
        let read = move || {
            let mut buffer = vec![0; SIP];
            let count = stderr.read(&mut buffer).expect("the log can be read");
            buffer.truncate(count);
            (stderr, buffer)
        };
        // Aside: a proxy of the test may have to serve the run meanwhile.
        let (stderr, buffer) = tokio::task::spawn_blocking(read).await.expect("it reads");
        self.child().stderr = Some(stderr);
        self.heard.extend_from_slice(&buffer);
        let heard = String::from_utf8_lossy(&self.heard);
        assert!(!buffer.is_empty(), "the run ended too early: {heard}");
    }

    /// Sends a signal by name, such as `STOP`.
    pub(crate) fn signal(&mut self, name: &str) {
        process::signal(self.child().id(), name);
    }

    /// Waits until it ends by itself, although nobody reads its log; its exit code.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        self.child().wait().expect("it ends").code()
    }

    /// Kills it, as a lack of memory would.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Reads the log again, and waits until the run is over.
    pub(crate) async fn finish(mut self) -> Ran {
        let child = self.child.take().expect("it has not ended");
        let (mut stderr, started) = (std::mem::take(&mut self.heard), self.started);
        let wait = move || child.wait_with_output().expect("it ends");
        let mut output = tokio::task::spawn_blocking(wait).await.expect("it waits");
        stderr.append(&mut output.stderr);
        output.stderr = stderr;
        Ran::new(output, started)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; either way it is gone then.
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

//! Progress on stderr: a bar on a terminal, and log lines above it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::{LazyLock, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::output;
use crate::plan::PartitionState;
use crate::processor::{Processor, Progress, RunContext};
use crate::record::Chunk;

/// The bars on the terminal; nothing is drawn where stderr is not a terminal.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A writer for log lines: to stderr, above the bar if there is one.
pub(super) struct StderrAboveBar;

impl Write for StderrAboveBar {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        BARS.suspend(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Prints a line to stderr, above the bar if there is one.
pub(super) fn print_above_bar(line: &str) {
    BARS.suspend(|| output::print_error(line));
}

/// A processor that shows its progress through the offsets.
pub(super) struct WithProgress<P> {
    inner: P,
    bar: ProgressBar,
    next: Mutex<BTreeMap<i32, i64>>,
}

impl<P> WithProgress<P> {
    pub(super) fn new(inner: P) -> Self {
        Self {
            inner,
            bar: ProgressBar::hidden(),
            next: Mutex::new(BTreeMap::new()),
        }
    }

    /// Starts the bar for these partitions of one topic. `length`: offsets or records to read.
    pub(super) fn begin(&self, states: &[PartitionState], length: u64) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let cursors = states.iter().filter_map(|state| {
            Some((
                state.partition.partition,
                state.cursor.as_ref()?.as_ref().ok()?.next.get(),
            ))
        });
        next.extend(cursors);
        self.bar.set_length(length);
        self.bar.set_style(style());
        BARS.add(self.bar.clone());
        self.bar.reset();
        self.bar.tick();
    }

    /// Whether the bar is shown.
    pub(super) fn is_drawn(&self) -> bool {
        !self.bar.is_hidden()
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn moved(&self, chunk: &Chunk, settled: usize) {
        let Some(last) = settled.checked_sub(1).and_then(|last| chunk.records().get(last)) else {
            return;
        };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let next = next.entry(chunk.partition().partition).or_insert(last.offset);
        // Records processed again are no progress.
        let moved = (last.offset + 1).saturating_sub(*next).max(0);
        *next += moved;
        self.bar.inc(moved.unsigned_abs());
    }
}

fn style() -> ProgressStyle {
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // Writing to memory cannot fail.
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} · {rate} · {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", rate)
}

impl<P: Processor> Processor for WithProgress<P> {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let progress = self.inner.process(chunk, run).await;
        self.moved(chunk, progress.settled);
        progress
    }

    fn decodes(&self, topic: &str) -> bool {
        self.inner.decodes(topic)
    }

    fn batch_size(&self, topic: &str) -> Option<NonZeroUsize> {
        self.inner.batch_size(topic)
    }

    fn parallelization_factor(&self, topic: &str) -> NonZeroUsize {
        self.inner.parallelization_factor(topic)
    }

    fn takes(&self, topic: &str) -> bool {
        self.inner.takes(topic)
    }
}

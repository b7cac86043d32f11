//! What a command says of each partition, and how it ends.

use serde::{Serialize, Serializer};

use super::at;
use crate::claim::Verdict;
use crate::cli::Exit;
use crate::cli::output::{Out, or_dash, table};
use crate::error::{Error, ErrorType};
use crate::record::{NextOffset, TopicPartition};
use crate::store::WriteError;

/// How many partitions a failure names; the rows name all.
const NAMED: usize = 5;

/// What becomes of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// `--execute` would move it.
    WouldMove,
    /// It is moved.
    Moved,
    /// It stands there already.
    Unchanged,
    /// `--execute` would delete its cursor.
    WouldDelete,
    /// Its cursor is deleted.
    Deleted,
    /// `--execute` would bring its deleted cursor back.
    WouldRestore,
    /// Its deleted cursor is back.
    Restored,
    /// Runs leave it alone from now on.
    Paused,
    /// Runs left it alone before.
    WasPaused,
    /// Runs read it again.
    Resumed,
    /// Runs did not leave it alone.
    WasNotPaused,
    /// No move is remembered.
    NothingToUndo,
    /// The group has no committed offset for it.
    NoCommit,
    /// No cursor is stored for it.
    NoCursor,
    /// A live run has claimed it.
    Held,
    /// Somebody was faster.
    Changed,
    /// The group's commit lies past the end of the log.
    PastEnd,
    /// No broker answers for it.
    Unavailable,
    /// Its item cannot be read.
    Invalid,
    /// The topic has no such partition any more.
    Gone,
    /// It was not written.
    Failed,
    /// It is not known whether it was written.
    Unknown,
}

impl Outcome {
    /// The type of failure that it is, if it is one.
    fn failure(self) -> Option<ErrorType> {
        match self {
            Self::Invalid => Some(ErrorType::InvalidCursor),
            Self::Unavailable => Some(ErrorType::BrokerUnreachable),
            Self::Failed | Self::Unknown => Some(ErrorType::TableUnreachable),
            Self::Held | Self::Changed => Some(ErrorType::Held),
            Self::Gone | Self::PastEnd => Some(ErrorType::Truncated),
            _ => None,
        }
    }

    fn is_a_change(self) -> bool {
        matches!(
            self,
            Self::Moved | Self::Deleted | Self::Restored | Self::Paused | Self::Resumed
        )
    }

    /// Whether `--execute` would change it.
    pub(super) fn is_planned(self) -> bool {
        matches!(self, Self::WouldMove | Self::WouldDelete | Self::WouldRestore)
    }

    /// Whether its new position is one that it gets, or has.
    fn arrives(self) -> bool {
        let is_done = matches!(self, Self::Moved | Self::Deleted | Self::Restored | Self::Unchanged);
        is_done || self.is_planned()
    }
}

/// One partition, as it is shown. Offsets are the next to read.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) place: TopicPartition,
    #[serde(serialize_with = "number")]
    pub(super) current_offset: Option<NextOffset>,
    #[serde(serialize_with = "number")]
    pub(super) new_offset: Option<NextOffset>,
    /// End minus new.
    pub(super) lag: Option<u64>,
    #[serde(serialize_with = "number")]
    pub(super) earliest_offset: Option<NextOffset>,
    #[serde(serialize_with = "number")]
    pub(super) end_offset: Option<NextOffset>,
    pub(super) outcome: Outcome,
    /// For a claimed one: until when, in milliseconds since the epoch.
    pub(super) until: Option<i64>,
    pub(super) note: String,
}

impl Row {
    /// What its change came to, which is `done` if it was made.
    pub(super) fn settle(&mut self, done: Outcome, written: Result<Verdict, WriteError>) {
        match written {
            Ok(Verdict::Applied) => self.outcome = done,
            Ok(verdict) => {
                self.until = match verdict {
                    Verdict::Edited { until_ms } => until_ms,
                    _ => None,
                };
                self.outcome = Outcome::Changed;
                self.note = match self.until {
                    Some(until) => format!(
                        "changed meanwhile: a run has claimed it until {}; look again",
                        at(until)
                    ),
                    None => "changed meanwhile: look again".into(),
                };
            }
            Err(unwritten) => (self.outcome, self.note) = Self::unwritten(unwritten),
        }
    }

    /// What a write came to that failed.
    pub(super) fn unwritten(unwritten: WriteError) -> (Outcome, String) {
        match unwritten {
            WriteError::NotApplied(error) if error.kind == ErrorType::InvalidCursor => {
                (Outcome::Invalid, error.message())
            }
            WriteError::NotApplied(error) => (Outcome::Failed, error.message()),
            WriteError::Unknown(error) => (
                Outcome::Unknown,
                format!("it is unknown whether it was changed: {}", error.message()),
            ),
        }
    }

    /// The row of a partition of which little can be said.
    pub(super) fn stuck(
        partition: &TopicPartition,
        current_offset: Option<NextOffset>,
        outcome: Outcome,
        note: String,
    ) -> Self {
        Self {
            place: partition.clone(),
            current_offset,
            new_offset: None,
            lag: None,
            earliest_offset: None,
            end_offset: None,
            outcome,
            until: None,
            note,
        }
    }
}

/// The answer of a command that moves.
#[derive(Debug, Serialize)]
pub(super) struct Moves {
    pub(super) executed: bool,
    pub(super) partitions: Vec<Row>,
}

impl Moves {
    /// Says what was, or would be, done; those that stay behind are a failure,
    /// also of a dry run, which says before what would come.
    pub(super) fn tell(mut self, out: Out) -> Result<Exit, Error> {
        if self.executed {
            for row in self.partitions.iter_mut().filter(|row| !row.outcome.arrives()) {
                (row.new_offset, row.lag) = (None, None);
            }
        }
        out.say(&format!("{}\n{}", self.table(), self.last_line()), &self);
        self.failure().map_or(Ok(Exit::Done), Err)
    }

    fn table(&self) -> String {
        // A pause moves nothing.
        let moves = self.partitions.iter().any(|row| row.new_offset.is_some());
        let mut rows = if moves {
            table(&["partition", "current", "new", "lag", "note"], 1..=3)
        } else {
            table(&["partition", "current", "note"], 1..=1)
        };
        for row in &self.partitions {
            let mut cells = vec![
                format!("{}-{}", row.place.topic, row.place.partition),
                or_dash(row.current_offset),
            ];
            if moves {
                cells.extend([or_dash(row.new_offset), or_dash(row.lag)]);
            }
            cells.push(row.note.clone());
            rows.add_row(cells);
        }
        rows.to_string()
    }

    fn last_line(&self) -> String {
        let outcomes = || self.partitions.iter().map(|row| row.outcome);
        if self.executed {
            let changed = outcomes().filter(|it| it.is_a_change()).count();
            format!("changed: {changed} of {}", self.partitions.len())
        } else if outcomes().any(Outcome::is_planned) {
            "nothing was changed; repeat with --execute".into()
        } else {
            "there is nothing to change".into()
        }
    }

    /// The most serious of the failures, with the partitions that have one.
    fn failure(&self) -> Option<Error> {
        const SERIOUS_FIRST: [ErrorType; 5] = [
            ErrorType::TableUnreachable,
            ErrorType::InvalidCursor,
            ErrorType::BrokerUnreachable,
            ErrorType::Held,
            ErrorType::Truncated,
        ];
        let failed: Vec<_> = self
            .partitions
            .iter()
            .filter_map(|row| Some((row, row.outcome.failure()?)))
            .collect();
        let worst = SERIOUS_FIRST
            .into_iter()
            .find(|kind| failed.iter().any(|(_, it)| it == kind))?;
        let named = failed.iter().take(NAMED);
        let named: Vec<String> = named
            .map(|(row, _)| format!("{}-{}: {}", row.place.topic, row.place.partition, row.note))
            .collect();
        let more = if failed.len() > NAMED { "; and more" } else { "" };
        let advice = if failed.iter().any(|(row, _)| row.outcome == Outcome::Held) {
            ". `offsets pause` what is claimed, wait for the end of the run, and look again"
        } else {
            ""
        };
        // A second undo of those that are moved would redo it, and a second shift shift them again.
        let any_unknown = failed.iter().any(|(row, _)| row.outcome == Outcome::Unknown);
        let rest = if any_unknown {
            ". Look with `kafka-consumer offsets list` before anything is repeated"
        } else if self.executed && self.partitions.iter().any(|row| row.outcome.is_a_change()) {
            ". Repeat the command for these alone, with --partition: the others are changed already"
        } else {
            ""
        };
        let changed = match self.executed {
            true if any_unknown => "are not known to be",
            true => "were not",
            false => "would not be",
        };
        Some(Error::new(
            worst,
            format!(
                "{} of {} partitions {changed} changed. {}{more}{advice}{rest}",
                failed.len(),
                self.partitions.len(),
                named.join("; "),
            ),
        ))
    }
}

#[expect(clippy::ref_option, reason = "serde's way to call it")]
fn number<S: Serializer>(offset: &Option<NextOffset>, serializer: S) -> Result<S::Ok, S::Error> {
    offset.map(NextOffset::get).serialize(serializer)
}

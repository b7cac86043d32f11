//! The result of a command for each partition, and its exit.

use serde::{Serialize, Serializer};

use super::at;
use crate::claim::Verdict;
use crate::cli::exit::Exit;
use crate::cli::output::{Out, or_dash, table};
use crate::error::{Error, ErrorType};
use crate::record::{NextOffset, TopicPartition};
use crate::store::WriteError;
use crate::words::words;

/// How many partitions a failure names; the result names all.
const NAMED: usize = 5;

words! {
    /// The outcome for one partition.
    pub(super) enum ChangeOutcome {
        /// `--execute` would move its cursor.
        WouldMove = "would_move",
        /// Its cursor is moved.
        Moved = "moved",
        /// Its cursor is at the target already.
        Unchanged = "unchanged",
        /// `--execute` would delete its cursor.
        WouldDelete = "would_delete",
        /// Its cursor is deleted.
        Deleted = "deleted",
        /// `--execute` would restore its deleted cursor.
        WouldRestore = "would_restore",
        /// Its deleted cursor is restored.
        Restored = "restored",
        /// Runs skip it from now on.
        Paused = "paused",
        /// It was paused already.
        WasPaused = "was_paused",
        /// It is no longer paused.
        Resumed = "resumed",
        /// It was not paused.
        WasNotPaused = "was_not_paused",
        /// Its item has no previous offset.
        NothingToUndo = "nothing_to_undo",
        /// The group has no committed offset for it.
        NoCommit = "no_commit",
        /// No cursor is stored for it.
        NoCursor = "no_cursor",
        /// A live run has claimed it.
        Held = "held",
        /// Its item was changed concurrently.
        Changed = "changed",
        /// The group's committed offset lies past the end of the log.
        PastEnd = "past_end",
        /// No broker is available for it.
        Unavailable = "unavailable",
        /// Its item is not a valid cursor.
        Invalid = "invalid",
        /// The topic no longer has this partition.
        Gone = "gone",
        /// The write failed.
        Failed = "failed",
        /// The write may or may not have been applied.
        Unknown = "unknown",
    }
}

impl ChangeOutcome {
    /// The type of error of a failure.
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

    /// Whether the cursor is, or would be, at its new offset.
    fn reaches_new_offset(self) -> bool {
        let is_done = matches!(self, Self::Moved | Self::Deleted | Self::Restored | Self::Unchanged);
        is_done || self.is_planned()
    }
}

/// One partition of the result. Offsets are the next to read.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CursorChange {
    #[serde(flatten)]
    pub(super) partition: TopicPartition,
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
    pub(super) outcome: ChangeOutcome,
    /// When the claim on it expires, in milliseconds since the epoch.
    pub(super) until: Option<i64>,
    pub(super) note: String,
}

impl CursorChange {
    /// Sets the outcome of a write: `done` if it was applied.
    pub(super) fn settle(&mut self, done: ChangeOutcome, written: Result<Verdict, WriteError>) {
        match written {
            Ok(Verdict::Applied) => self.outcome = done,
            Ok(verdict) => {
                self.until = match verdict {
                    Verdict::Edited { until_ms } => until_ms,
                    _ => None,
                };
                self.outcome = ChangeOutcome::Changed;
                self.note = match self.until {
                    Some(until) => format!(
                        "changed concurrently: a run has claimed it until {}; run the command again",
                        at(until)
                    ),
                    None => "changed concurrently: run the command again".into(),
                };
            }
            Err(unwritten) => (self.outcome, self.note) = Self::unwritten(unwritten),
        }
    }

    fn is_held(&self) -> bool {
        self.outcome == ChangeOutcome::Held
    }

    /// The outcome of a failed write.
    pub(super) fn unwritten(unwritten: WriteError) -> (ChangeOutcome, String) {
        match unwritten {
            WriteError::NotApplied(error) if error.kind == ErrorType::InvalidCursor => {
                (ChangeOutcome::Invalid, error.message())
            }
            WriteError::NotApplied(error) => (ChangeOutcome::Failed, error.message()),
            WriteError::Unknown(error) => (
                ChangeOutcome::Unknown,
                format!("it is unknown whether it was changed: {}", error.message()),
            ),
        }
    }

    /// A partition without a new offset.
    pub(super) fn without_move(
        partition: &TopicPartition,
        current_offset: Option<NextOffset>,
        outcome: ChangeOutcome,
        note: String,
    ) -> Self {
        Self {
            partition: partition.clone(),
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

/// The result of a command that changes cursors.
#[derive(Debug, Serialize)]
pub(super) struct CursorChanges {
    pub(super) executed: bool,
    pub(super) partitions: Vec<CursorChange>,
}

impl CursorChanges {
    /// Prints the result. Partitions that were not, or would not be, changed are a
    /// failure, also of a dry run.
    pub(super) fn print(mut self, out: Out) -> Result<Exit, Error> {
        if self.executed {
            for row in self
                .partitions
                .iter_mut()
                .filter(|row| !row.outcome.reaches_new_offset())
            {
                (row.new_offset, row.lag) = (None, None);
            }
        }
        out.print(&format!("{}\n{}", self.table(), self.last_line()), &self);
        self.failure().map_or(Ok(Exit::Done), Err)
    }

    fn table(&self) -> String {
        // A pause moves no cursor.
        let moves = self.partitions.iter().any(|row| row.new_offset.is_some());
        let mut rows = if moves {
            table(&["partition", "current", "new", "lag", "note"], 1..=3)
        } else {
            table(&["partition", "current", "note"], 1..=1)
        };
        for row in &self.partitions {
            let mut cells = vec![row.partition.to_string(), or_dash(row.current_offset)];
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
        } else if outcomes().any(ChangeOutcome::is_planned) {
            "nothing was changed; repeat with --execute".into()
        } else {
            "there is nothing to change".into()
        }
    }

    /// The failure with the highest severity, with the partitions that failed.
    fn failure(&self) -> Option<Error> {
        let failed: Vec<_> = self
            .partitions
            .iter()
            .filter_map(|row| Some((row, row.outcome.failure()?)))
            .collect();
        let worst = failed
            .iter()
            .map(|(_, kind)| *kind)
            .max_by_key(|kind| kind.severity())?;
        let named = failed.iter().take(NAMED);
        let named: Vec<String> = named
            .map(|(row, _)| format!("{}: {}", row.partition, row.note))
            .collect();
        let more = if failed.len() > NAMED { "; and more" } else { "" };
        let any = |outcome| failed.iter().any(|(row, _)| row.outcome == outcome);
        let any_unknown = any(ChangeOutcome::Unknown);
        // To repeat an undo or a shift would change the others a second time.
        let repeat = if any_unknown {
            Some("Check with `kafka-consumer offsets list` before you repeat the command")
        } else if self.executed && self.partitions.iter().any(|row| row.outcome.is_a_change()) {
            Some("Repeat the command for these partitions only, with --partition: the others are changed already")
        } else {
            None
        };
        let held: Vec<&CursorChange> = failed.iter().map(|(row, _)| *row).filter(|row| row.is_held()).collect();
        let next: Vec<String> = after_the_claims(&held)
            .into_iter()
            .chain(repeat.map(str::to_owned))
            .collect();
        let changed = match self.executed {
            true if any_unknown => "are not known to be",
            true => "were not",
            false => "would not be",
        };
        let what = format!(
            "{} of {} partitions {changed} changed: {}{more}",
            failed.len(),
            self.partitions.len(),
            named.join("; "),
        );
        Some(Error::new(worst, what).next(next.join(". ")))
    }
}

/// How to change partitions that a run has claimed. Without a pause the next run
/// would claim them again; paused partitions are no failure of a run, so the last
/// step is to resume them.
fn after_the_claims(held: &[&CursorChange]) -> Option<String> {
    let topic = &held.first()?.partition.topic;
    let flags = if held.len() <= NAMED && held.iter().all(|row| row.partition.topic == *topic) {
        let numbers = held
            .iter()
            .map(|row| format!(" --partition {}", row.partition.partition));
        format!("--topic {topic}{}`", numbers.collect::<String>())
    } else {
        "--topic <topic> --partition <partition>` for each".to_owned()
    };
    let until = held.iter().filter_map(|row| row.until).max();
    let until = until.map_or_else(String::new, |until| format!(", at the latest {}", at(until)));
    Some(format!(
        "Pause the claimed partitions: `kafka-consumer offsets pause {flags}. When their run has ended{until}, repeat the \
         command. Then resume them, or no run reads them: `kafka-consumer offsets resume {flags}"
    ))
}

#[expect(clippy::ref_option, reason = "serde's way to call it")]
fn number<S: Serializer>(offset: &Option<NextOffset>, serializer: S) -> Result<S::Ok, S::Error> {
    offset.map(NextOffset::get).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::documented;

    fn held(partition: i32, until: i64) -> CursorChange {
        CursorChange {
            until: Some(until),
            ..CursorChange::without_move(
                &TopicPartition::new("orders", partition),
                None,
                ChangeOutcome::Held,
                "claimed by a run".into(),
            )
        }
    }

    fn next_step(partitions: Vec<CursorChange>) -> String {
        let changes = CursorChanges {
            executed: true,
            partitions,
        };
        changes.failure().expect("they are not changed").next
    }

    #[test]
    fn every_outcome_of_a_change_is_documented() {
        assert_eq!(
            documented("### `outcome` of `offsets reset`, `undo`, `delete`, `pause`, `resume`, `import` and `export`"),
            ChangeOutcome::WORDS
        );
    }

    #[test]
    fn the_next_step_for_claimed_partitions_ends_with_resuming_them() {
        assert_eq!(
            next_step(vec![held(1, 1_000), held(3, 61_000)]),
            "Pause the claimed partitions: `kafka-consumer offsets pause --topic orders --partition 1 --partition 3`. When their run has \
             ended, at the latest 1970-01-01T00:01:01Z, repeat the command. Then resume them, or no run reads them: \
             `kafka-consumer offsets resume --topic orders --partition 1 --partition 3`"
        );
    }

    #[test]
    fn the_next_step_for_many_claimed_partitions_stays_short() {
        let next = next_step((0..300).map(|partition| held(partition, 1_000)).collect());
        assert!(next.contains("offsets resume") && next.len() < 400, "{next}");
    }
}

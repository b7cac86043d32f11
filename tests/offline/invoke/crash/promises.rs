//! The promises that hold after the last run, and which records a cursor may pass.

use kafka_consumer_lambda::config::{OnFailure, StartPosition};

use super::super::consumer as live;
use super::fate::Edit;
use super::world::World;

impl World {
    /// Whether a cursor may stand behind this record.
    pub(super) fn may_be_passed(&self, partition: i32, offset: i64) -> bool {
        self.is_handled(partition, offset) || self.may_be_skipped(partition, offset)
    }

    pub(super) fn is_handled(&self, partition: i32, offset: i64) -> bool {
        self.books().handled.contains(&(partition, offset))
    }

    pub(super) fn may_be_skipped(&self, partition: i32, offset: i64) -> bool {
        let key = (partition, offset);
        let failed = self.books().failed.get(&key).copied().unwrap_or(0);
        self.config.on_failure == OnFailure::Skip
            && (self.log(partition).broken.contains(&offset)
                || self.books().poison.contains(&key)
                || failed >= self.config.max_attempts.get())
    }

    /// Where reading goes on from a stored offset: past what is gone, or, by
    /// `ON_TRUNCATION=earliest`, from the first record.
    pub(super) fn readable_from(&self, partition: i32, stored: i64) -> i64 {
        let log = self.log(partition);
        if stored > log.end {
            log.earliest
        } else {
            stored.max(log.earliest)
        }
    }

    /// Where a partition that is there from the beginning has to begin.
    fn start_of(&self, partition: i32) -> i64 {
        let Some(log) = self.spec.logs.get(usize::try_from(partition).expect("a partition")) else {
            return 0;
        };
        if let Some((from, _)) = self.bounds(partition) {
            return from;
        }
        match self.config.start_position {
            StartPosition::Earliest => log.earliest,
            StartPosition::Latest => log.end,
            StartPosition::At { unix_ms } => log.between(unix_ms, i64::MAX).next().unwrap_or(log.end),
        }
    }

    /// Checks that every log is read to its end, and every promise kept.
    pub(super) fn check_all_is_done(&self) {
        for partition in 0..self.partitions() {
            let log = self.log(partition);
            let Some(cursor) = self.cursor(partition) else {
                assert!(
                    log.offsets.is_empty() || self.spec.backfill.is_some(),
                    "partition {partition} has no cursor"
                );
                continue;
            };
            let end = self.bounds(partition).map_or(log.end, |(_, to)| to);
            assert_eq!(cursor.next.get(), end, "partition {partition} is not read to its end");
            assert_eq!(cursor.claim_until_ms, None, "partition {partition} is still claimed");
            let start = self.readable_from(partition, self.books().starts[&partition]);
            for offset in log.between(start, end) {
                assert!(
                    self.may_be_passed(partition, offset) || self.books().edit.is_some() && partition == 0,
                    "{partition}-{offset} was never handled"
                );
            }
        }
        self.check_all_is_named();
        self.check_starts();
        self.check_backfill();
        self.check_edit_is_obeyed();
    }

    /// P5: whatever was passed over was named by the report of some run, also
    /// where the run died that passed it over.
    fn check_all_is_named(&self) {
        let books = self.books();
        let is_edited = |partition: i32| partition == 0 && books.edit.is_some();
        for range in books.stored_lost.iter().filter(|range| !is_edited(range.0)) {
            assert!(books.named_lost.contains(range), "{range:?} was lost, and never named");
        }
        for (partition, offset) in books
            .stored_skipped
            .iter()
            .filter(|(partition, _)| !is_edited(*partition))
        {
            let names = |range: &&(i32, i64, i64)| range.0 == *partition && (range.1..=range.2).contains(offset);
            let is_named = books.named_skipped.iter().any(|range| names(&range));
            assert!(is_named, "{partition}-{offset} was skipped, and never named");
        }
    }

    /// Nothing behind the end of a backfill is read, and nothing is known of it elsewhere.
    fn check_backfill(&self) {
        if self.spec.backfill.is_none() {
            return;
        }
        for (partition, offset) in &self.books().handled {
            let (_, to) = self.bounds(*partition).expect("it was started");
            assert!(*offset < to, "{partition}-{offset} lies behind {to}");
        }
        for partition in 0..self.partitions() {
            assert_eq!(self.table.get(&live(), partition), None, "a live cursor");
        }
    }

    /// No record before the start is ever handled; one after it always is.
    fn check_starts(&self) {
        let books = self.books();
        for (partition, start) in &books.starts {
            if !self
                .spec
                .cursors
                .iter()
                .any(|(with_cursor, _)| with_cursor == partition)
            {
                let first = self.start_of(*partition);
                assert!(
                    *start >= first,
                    "partition {partition} began at {start}, before {first}"
                );
                let before = books.handled.iter().find(|(of, at)| of == partition && *at < first);
                assert_eq!(before, None, "handled although it lies before the start");
                let is_new = usize::try_from(*partition).is_ok_and(|i| i >= self.spec.logs.len());
                if is_new && books.grew_after_items {
                    assert_eq!(*start, 0, "a partition that appears later starts at the earliest");
                }
            }
        }
    }

    /// P4: the next run obeys.
    fn check_edit_is_obeyed(&self) {
        let books = self.books();
        let Some((edit, before)) = books.edit else { return };
        let from = match edit {
            Edit::Put(next) | Edit::Update(next) => next,
            Edit::Delete => self.start_of(0),
        };
        for offset in self.log(0).between(from, i64::MAX) {
            assert!(
                books.handled[before..].contains(&(0, offset)),
                "0-{offset} was not read after {edit:?}: {:?}",
                books.handled
            );
        }
    }
}

//! Checks of a world whose work is complete: every record was handled or named, and every edit took
//! precedence.

use super::super::consumer as live;
use super::fault::Edit;
use super::world::World;

impl World {
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
            let start = self.readable_from(partition, self.history().starts[&partition]);
            for offset in log.between(start, end) {
                assert!(
                    self.may_be_passed(partition, offset) || self.history().edit.is_some() && partition == 0,
                    "{partition}-{offset} was never handled"
                );
            }
        }
        self.check_all_is_named();
        self.check_starts();
        self.check_backfill();
        self.check_edit_is_applied();
    }

    /// P5: whatever was passed over was named by the report of some run, also if the run that passed
    /// it over crashed.
    fn check_all_is_named(&self) {
        let history = self.history();
        let is_edited = |partition: i32| partition == 0 && history.edit.is_some();
        for range in history.stored_lost.iter().filter(|range| !is_edited(range.0)) {
            assert!(
                history.named_lost.contains(range),
                "{range:?} was lost, and never named"
            );
        }
        for (partition, offset) in history
            .stored_skipped
            .iter()
            .filter(|(partition, _)| !is_edited(*partition))
        {
            let names = |range: &&(i32, i64, i64)| range.0 == *partition && (range.1..=range.2).contains(offset);
            let is_named = history.named_skipped.iter().any(|range| names(&range));
            assert!(is_named, "{partition}-{offset} was skipped, and never named");
        }
    }

    /// Nothing past the end of a backfill is read, and it creates no live cursor.
    fn check_backfill(&self) {
        if self.spec.backfill.is_none() {
            return;
        }
        for (partition, offset) in &self.history().handled {
            let (_, to) = self.bounds(*partition).expect("it was started");
            assert!(*offset < to, "{partition}-{offset} is past {to}");
        }
        for partition in 0..self.partitions() {
            assert_eq!(self.table.get(&live(), partition), None, "a live cursor");
        }
    }

    /// No record before the start is ever handled; one after it always is.
    fn check_starts(&self) {
        let history = self.history();
        for (partition, start) in &history.starts {
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
                let before = history.handled.iter().find(|(of, at)| of == partition && *at < first);
                assert_eq!(before, None, "handled although it is before the start");
                let is_new = usize::try_from(*partition).is_ok_and(|i| i >= self.spec.logs.len());
                if is_new && history.grew_after_items {
                    assert_eq!(*start, 0, "a partition that appears later starts at the earliest");
                }
            }
        }
    }

    /// P4: the next run starts at the edited offset.
    fn check_edit_is_applied(&self) {
        let history = self.history();
        let Some((edit, before)) = history.edit else { return };
        let from = match edit {
            Edit::Put(next) | Edit::Update(next) => next,
            Edit::Delete => self.start_of(0),
        };
        for offset in self.log(0).between(from, i64::MAX) {
            assert!(
                history.handled[before..].contains(&(0, offset)),
                "0-{offset} was not read after {edit:?}: {:?}",
                history.handled
            );
        }
    }
}

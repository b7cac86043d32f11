//! The ledger against a model that keeps every record and no sums.

use kafka_consumer_lambda::claim::{ChunkLimit, Quarantine};
use kafka_consumer_lambda::ledger::{FLUSH_EVERY_MS, Ledger, MAX_CHUNK, Step, Stop};
use kafka_consumer_lambda::record::{NextOffset, Record};
use proptest::prelude::*;

use super::{next, record};

/// An event between two checks of a ledger.
#[derive(Debug, Clone)]
enum Event {
    /// The step is made with at most this number of records polled or settled.
    Step(usize),
    /// Time passes, in milliseconds.
    Wait(u64),
    /// The duration of the previous chunk, in milliseconds.
    Measured(u64),
    /// The share grows.
    Grant(u64),
    /// The cursor is written although the ledger does not require it.
    Flush,
    Fail,
}

/// A partition, and what a run has done with it.
#[derive(Debug)]
struct World {
    ledger: Ledger,
    /// All records from the start on, also those after the end offset at the start of the run.
    log: Vec<Record>,
    from: NextOffset,
    to: NextOffset,
    quarantine: Option<Quarantine>,
    /// Whether the stored item contains a quarantine.
    stored_quarantine: bool,
    singles: usize,
    /// Small chunks that were settled.
    smalls: usize,
    /// The stored mark of a hand-over.
    marked: Option<NextOffset>,
    delivered: usize,
    settled: usize,
    /// Nothing more will be delivered.
    all_delivered: bool,
    share: u64,
    stored: NextOffset,
    flushed_at_ms: u64,
    now_ms: u64,
    failed: bool,
    last_settled: NextOffset,
}

impl World {
    fn buffered(&self) -> usize {
        self.delivered - self.settled
    }

    /// The expected offset of the cursor: the first buffered record, past the settled ones, or the end
    /// once no record is left before it.
    fn expected_cursor(&self) -> NextOffset {
        if self.buffered() > 0 {
            next(self.log[self.settled].offset)
        } else if self.all_delivered {
            self.to.max(self.from)
        } else {
            self.log[..self.settled]
                .last()
                .map_or(self.from, |last| next(last.offset + 1))
        }
    }

    fn quarantine(&self) -> Option<ChunkLimit> {
        let quarantine = self
            .quarantine
            .filter(|quarantine| self.expected_cursor() < quarantine.until && self.smalls < 32)?;
        let is_single = quarantine.limit == ChunkLimit::Single && self.singles < 128;
        Some(if is_single {
            ChunkLimit::Single
        } else {
            ChunkLimit::Small
        })
    }

    fn check(&mut self) {
        let settled_at = self.ledger.settled_at();
        assert_eq!(settled_at, self.expected_cursor());
        assert_eq!(self.ledger.stored_at(), self.stored);
        // No hole: the first record that is not settled is not before the cursor.
        let unsettled = self.log.get(self.settled);
        assert!(unsettled.is_none_or(|record| record.offset >= settled_at.get()));
        assert!(settled_at >= self.last_settled, "moved back");
        self.last_settled = settled_at;
        for stop in [false, true] {
            self.check_step(stop, settled_at);
        }
        // A failed write is not repeated immediately.
        let due = (settled_at != self.stored && !self.failed).then_some(self.flushed_at_ms + FLUSH_EVERY_MS);
        assert_eq!(self.ledger.due_at_ms(), due);
        let has_all = self.all_delivered || self.share == 0 || self.quarantine().is_some();
        assert_eq!(self.ledger.has_all(), has_all);
        assert_eq!(self.ledger.hands_over(), self.hands_over());
    }

    fn hands_over(&self) -> bool {
        self.quarantine().is_some() && self.buffered() > 0
    }

    fn check_step(&self, stop: bool, settled_at: NextOffset) {
        let unwritten = settled_at != self.stored;
        let flush_due = unwritten && (self.stored_quarantine || self.now_ms - self.flushed_at_ms >= FLUSH_EVERY_MS);
        let mark_due = self.hands_over() && self.marked != Some(settled_at);
        let next = self.ledger.step(stop, self.now_ms);
        let fits = match next {
            Step::Stop(Stop::Failed) => self.failed,
            _ if self.failed => false,
            Step::Stop(Stop::CaughtUp) => settled_at >= self.to,
            _ if settled_at >= self.to => false,
            Step::Stop(Stop::OutOfTime) => stop,
            _ if stop => false,
            Step::Flush => flush_due || mark_due,
            _ if flush_due || mark_due => false,
            Step::Process(count) => (1..=self.buffered().min(self.largest_chunk())).contains(&count),
            _ if self.buffered() > 0 => false,
            Step::Stop(Stop::ShareUsed) => self.share == 0,
            Step::Poll(count) => (1..=self.share).contains(&(count as u64)) && count <= self.largest_chunk(),
        };
        assert!(fits, "{next:?}, stop: {stop}");
    }

    fn largest_chunk(&self) -> usize {
        match self.quarantine() {
            None => MAX_CHUNK,
            Some(ChunkLimit::Small) => 128,
            Some(ChunkLimit::Single) => 1,
        }
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Step(count) => self.make(self.ledger.step(false, self.now_ms), count),
            Event::Wait(ms) => self.now_ms += ms,
            Event::Measured(ms) => self.ledger.measured(7, ms),
            Event::Grant(share) => {
                self.ledger.grant(share);
                self.share += share;
            }
            Event::Flush => self.flush(),
            Event::Fail => {
                self.ledger.fail();
                self.failed = true;
            }
        }
        self.check();
    }

    fn make(&mut self, step: Step, count: usize) {
        match step {
            Step::Poll(most) => self.poll(count.clamp(1, most)),
            Step::Process(most) => {
                let limit = self.quarantine();
                self.settled += count.clamp(1, most);
                let last = &self.log[self.settled - 1];
                self.ledger.settled(count.clamp(1, most), last);
                self.singles += count.clamp(1, most);
                self.smalls += usize::from(limit == Some(ChunkLimit::Small));
                if self.buffered() > 0 {
                    self.ledger.stand_at(&self.log[self.settled]);
                }
            }
            Step::Flush => self.flush(),
            Step::Stop(_) => {}
        }
    }

    /// Hands over `count` records, as long as there are any.
    fn poll(&mut self, count: usize) {
        let coming = &self.log[self.delivered..];
        let coming = &coming[..coming.len().min(count)];
        if coming.is_empty() {
            self.ledger.reached_end();
            self.all_delivered = true;
            return;
        }
        let accepted = coming.iter().filter(|record| record.offset < self.to.get()).count();
        let last = coming[coming.len() - 1].offset;
        let completed = self.ledger.completed_by(coming);
        let quarantine = self.quarantine().is_some();
        assert_eq!(self.ledger.polled(coming), accepted);
        assert!(quarantine || self.ledger.has_all() == completed);
        self.delivered += accepted;
        self.share -= accepted as u64;
        self.all_delivered |= last + 1 >= self.to.get();
    }

    fn flush(&mut self) {
        self.ledger.flushed(self.now_ms);
        self.stored = self.expected_cursor();
        self.marked = self.hands_over().then_some(self.stored);
        self.stored_quarantine = self.quarantine().is_some();
        self.flushed_at_ms = self.now_ms;
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        40 => prop_oneof![1..6_usize, 1..300_usize].prop_map(Event::Step),
        4 => (0..3_000_u64).prop_map(Event::Wait),
        4 => prop_oneof![0..9_u64, 0..9_000_u64].prop_map(Event::Measured),
        4 => (0..40_u64).prop_map(Event::Grant),
        2 => Just(Event::Flush),
        1 => Just(Event::Fail),
    ]
}

prop_compose! {
    /// A log with gaps, a cursor before, at or past the first offset to be read, and an end before,
    /// between or past its records.
    fn any_world()(
        from in 0..20_i64,
        stored in 0..200_i64,
        is_jump in any::<bool>(),
        steps in proptest::collection::vec(prop_oneof![9 => Just(1), 1 => 1..6_i64], 0..300),
        length in 0..400_i64,
        share in prop_oneof![0..50_u64, Just(1_000_000)],
        quarantine in proptest::option::of((0..400_i64, any::<bool>())),
    ) -> World {
        let offsets = steps.iter().scan(from - 1, |last, step| { *last += step; Some(*last) });
        let stored = next(if is_jump { stored } else { from });
        let (from, to) = (next(from), next(from + length));
        let quarantine = quarantine.map(|(until, is_single)| Quarantine {
            until: next(until),
            limit: if is_single { ChunkLimit::Single } else { ChunkLimit::Small },
        });
        World {
            ledger: Ledger::new(stored, (from, to), share, quarantine, 0),
            log: offsets.map(record).collect(),
            from, to, quarantine, share, stored, stored_quarantine: quarantine.is_some(), singles: 0, smalls: 0, marked: None,
            delivered: 0, settled: 0, all_delivered: from >= to,
            flushed_at_ms: 0, now_ms: 0, failed: false, last_settled: from,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// P1: in order, without a hole, and never more than the share.
    #[test]
    fn the_ledger_matches_the_model_after_any_events(
        mut world in any_world(), events in proptest::collection::vec(any_event(), 0..120),
    ) {
        world.check();
        for event in &events {
            world.happens(event);
        }
    }

    #[test]
    fn a_partition_with_enough_share_and_time_is_read_to_its_end(mut world in any_world(), limit in 1..60_usize) {
        let before_end = world.log.iter().filter(|record| record.offset < world.to.get()).count();
        for _ in 0..5_000 {
            match world.ledger.step(false, world.now_ms) {
                Step::Stop(Stop::ShareUsed) => world.happens(&Event::Grant(40)),
                Step::Stop(Stop::CaughtUp) => break,
                _ => world.happens(&Event::Step(limit)),
            }
            world.happens(&Event::Wait(100));
        }
        prop_assert_eq!(world.ledger.step(false, world.now_ms), Step::Stop(Stop::CaughtUp));
        prop_assert_eq!(world.settled, before_end);
        prop_assert_eq!(world.ledger.remaining(), 0);
    }

    #[test]
    fn the_used_and_the_returned_part_add_up_to_the_share(
        mut world in any_world(), events in proptest::collection::vec(any_event(), 0..60),
    ) {
        for event in &events {
            world.happens(event);
        }
        prop_assert_eq!(world.ledger.give_back(), world.share);
    }
}

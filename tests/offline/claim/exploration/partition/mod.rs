//! One partition: its item, the runs that process it, and the writes in flight.

mod invariants;
mod operator;
mod steps;

use std::rc::Rc;

use kafka_consumer_lambda::claim::{ChunkLimit, Cursor};

use super::super::{next, write};
use super::run::{Attempt, Doing, Kind, Offsets, Run, What, below};
use super::{Size, Start};

#[derive(Debug, Clone)]
pub(super) struct Partition {
    end: i64,
    without: Option<(Kind, usize)>,
    keeps_marks: bool,
    item: Option<Cursor>,
    runs: [Run; 2],
    in_flight: Vec<(usize, Rc<Attempt>)>,
    edits: usize,
    /// The last edit has had no effect yet. It has when a run claims the item as it is now.
    edit_is_pending: bool,
    /// The offsets that are settled, or passed over by the operator.
    done: Offsets,
    /// For each record, how often a mark was written to hand it over alone.
    handed_over_alone: Vec<u32>,
}

impl Partition {
    pub(super) fn new(item: Option<Cursor>, size: Size) -> Self {
        Self {
            end: size.end,
            without: size.without,
            keeps_marks: size.start == Start::CrashedAndMarksStay,
            done: below(item.as_ref().map_or(0, |item| item.next.get())),
            handed_over_alone: (0..size.end).map(|offset| marks_at(item.as_ref(), offset)).collect(),
            item,
            runs: [Run::new("a"), Run::new("b")],
            in_flight: vec![],
            edits: 0,
            edit_is_pending: false,
        }
    }

    pub(super) fn first_has_begun(&self) -> bool {
        !matches!(self.runs[0].doing, Doing::Begin)
    }

    fn after(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut partition = self.clone();
        change(&mut partition);
        for r in 0..partition.runs.len() {
            let is_in_flight = partition.in_flight.iter().any(|(run, _)| *run == r);
            if matches!(partition.runs[r].doing, Doing::Ended) {
                partition.runs[r].discard_history(is_in_flight);
            }
        }
        partition
    }

    /// Every state of the partition that one step leads to.
    pub(super) fn successors(&self, size: Size, now_ms: i64, second_may_begin: bool) -> Vec<Self> {
        let mut found: Vec<Self> = (0..self.in_flight.len())
            .map(|i| {
                self.after(|here| {
                    let (run, attempt) = here.in_flight.remove(i);
                    here.apply(run, &attempt, now_ms);
                })
            })
            .collect();
        if self.edits < size.edits {
            found.extend(self.edited(size));
        }
        for r in 0..self.runs.len() {
            match &self.runs[r].doing {
                Doing::Begin if r > 0 && !second_may_begin => {}
                Doing::Begin => found.push(self.after(|here| here.begin(r, now_ms))),
                Doing::Write(attempt) => {
                    found.push(self.after(|here| here.receive_response(r, attempt, now_ms)));
                    if self.in_flight.len() < size.in_flight {
                        found.push(self.after(|here| here.lose_response(r, attempt)));
                    }
                }
                Doing::Verify(attempt) => {
                    found.push(self.after(|here| here.judged(r, attempt, now_ms)));
                    found.extend(self.read_fails(size, r, attempt, now_ms));
                }
                Doing::Work => found.extend(self.worked(r, now_ms)),
                Doing::Ended => {}
            }
        }
        found
    }
}

/// How often the run that left this item had handed over the record at `offset` alone.
fn marks_at(item: Option<&Cursor>, offset: i64) -> u32 {
    let marked =
        item.filter(|item| item.claim_chunk == Some(ChunkLimit::Single) && item.handed_over == Some(next(offset)));
    u32::from(marked.is_some())
}

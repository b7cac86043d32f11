//! Runs of the programs in turns, and their times.

use super::{RECORDS, produce};
use crate::bare::Event;
use crate::figures::{Row, Sample};
use crate::programs::{self, Bare, Poller, run};
use crate::support::runtime_api::Function;
use crate::support::world::World;

/// An idle run, and the same requests of the bare program.
#[derive(Default)]
pub(super) struct Idle {
    product: Sample,
    query: Sample,
    ends: Sample,
    both: Sample,
    inside: Sample,
}

impl Idle {
    /// In turns: a program that runs twice in a row has its code in the processor's caches.
    pub(super) fn round(&mut self, product: &mut Function, bare: &mut Bare) {
        self.product.add(run(product, 0));
        let query = bare.invoke(&Event::Query);
        self.query.add(query.outside);
        self.inside.add(query.inside);
        self.product.add(run(product, 0));
        self.ends.add(bare.invoke(&Event::Ends).outside);
        self.product.add(run(product, 0));
        self.both.add(bare.invoke(&Event::Idle).outside);
    }

    /// The slower of the two requests comes first.
    pub(super) fn row(self, what: String) -> Row {
        let (query, ends) = (("bare: one Query", self.query), ("bare: the end offsets", self.ends));
        let (slower, other) = if query.1.median() > ends.1.median() {
            (query, ends)
        } else {
            (ends, query)
        };
        Row::new(what, "ms", self.product)
            .beside(slower.0, slower.1)
            .beside(other.0, other.1)
            .beside("bare: both side by side", self.both)
            .beside("bare: one Query, by its own clock", self.inside)
    }
}

/// The programs that read the same records.
pub(super) struct Programs {
    pub(super) product: Function,
    pub(super) bare: Bare,
    pub(super) claiming: Bare,
}

impl Programs {
    /// After their first runs, all caught up.
    pub(super) fn warmed_up(world: &World, python: Option<&mut Poller>) -> Self {
        let mut programs = Self {
            product: programs::product(world),
            bare: Bare::start(world),
            claiming: Bare::start(world),
        };
        let rounds = 5;
        produce(world, rounds * RECORDS);
        for _ in 0..rounds {
            run(&mut programs.product, RECORDS);
            programs.bare.invoke(&read(RECORDS));
            programs.claiming.invoke(&read(RECORDS));
        }
        if let Some(python) = python {
            for _ in 0..rounds {
                python.run(RECORDS);
            }
        }
        programs
    }
}

/// The times of the programs for the same records.
#[derive(Default)]
pub(super) struct Reads {
    product: Sample,
    bare: Sample,
    inside: Sample,
    claiming: Sample,
}

impl Reads {
    /// In rotating order: the first one reads before the broker has cached the records.
    pub(super) fn round(&mut self, programs: &mut Programs, round: u32) {
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => self.product.add(run(&mut programs.product, RECORDS)),
                1 => {
                    let took = programs.bare.invoke(&read(RECORDS));
                    self.bare.add(took.outside);
                    self.inside.add(took.inside);
                }
                _ => {
                    let claim = Event::Claim { records: RECORDS };
                    self.claiming.add(programs.claiming.invoke(&claim).outside);
                }
            }
        }
    }

    pub(super) fn row(self, what: &str) -> Row {
        Row::new(what, "ms", self.product)
            .beside("bare", self.bare)
            .beside("bare with claims", self.claiming)
            .beside("bare, by its own clock", self.inside)
    }
}

fn read(records: u64) -> Event {
    Event::Read { records, again: false }
}

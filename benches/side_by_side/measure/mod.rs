//! The measurements, in turns, so that a slow moment of the machine affects all alike.

mod functions;
mod growth;
mod parallel;
mod requests;
mod resources;
mod times;
mod turns;

use std::path::PathBuf;

use tokio::runtime::Handle;

use crate::Section;
use crate::figures::Row;
use crate::order::order;
use crate::support::kafka::{self, Message, values};
use crate::support::listeners::{Listener, secured};
use crate::support::table::number;
use crate::support::world::World;

pub(crate) use growth::GROWTH;

const PARTITIONS: i32 = 4;
const RECORDS: u64 = 1_000;

/// The state of all measurements.
pub(crate) struct Bench {
    pub(crate) runtime: Handle,
    pub(crate) effort: f64,
    /// Additional settings of the product.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) python: Option<PathBuf>,
}

impl Bench {
    pub(crate) fn measure(&self, section: Section) -> Vec<Row> {
        match section {
            Section::Warm => self.warm(),
            Section::Cold => self.cold(),
            Section::Delays => self.delays(),
            Section::Requests => self.requests(),
            Section::Growth => self.growth(),
            Section::Memory => self.memory(),
            Section::Throughput => self.throughput(),
            Section::Functions => self.functions(),
            Section::Parallel => self.parallel(),
            Section::Instructions => self.instructions(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small number of rounds"
    )]
    fn rounds(&self, usual: u32) -> u32 {
        ((f64::from(usual) * self.effort) as u32).max(2)
    }

    fn world(&self, name: &str, partitions: i32) -> World {
        // The topic is created on the Kafka that the records are produced to.
        let bootstrap = secured().address(Listener::Plaintext);
        let mut world = self.runtime.block_on(World::on(&bootstrap, name, partitions, &[]));
        world.set("DESTINATION", "discard").set("MAX_MESSAGES", RECORDS);
        for (name, value) in &self.settings {
            world.set(name, value);
        }
        world
    }

    /// The next run reads from the beginning.
    fn forget_cursors(&self, world: &World) {
        self.runtime.block_on(async {
            for item in world.table.items().await {
                let partition = i32::try_from(number(&item, "partition")).expect("a partition");
                world.table.delete_item(&world.consumer_id(), partition).await;
            }
        });
    }
}

/// Produces this number of records of 1 KB, evenly to all partitions.
fn produce(world: &World, records: u64) {
    let (each, most) = (records / u64::from(PARTITIONS.unsigned_abs()), 25_000);
    let bootstrap = secured().address(Listener::Plaintext);
    let mut done = 0;
    while done < each {
        let now = (each - done).min(most);
        let records: Vec<Message> = values((done..done + now).map(order));
        kafka::produce_to_each(&bootstrap, &world.topic, 0..PARTITIONS, &records);
        done += now;
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn count(count: usize) -> f64 {
    count as f64
}

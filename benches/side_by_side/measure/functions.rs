//! A function as destination, which responds at once.

use std::num::NonZeroUsize;

use super::resources::{mebibytes, per_second};
use super::{Bench, PARTITIONS, produce};
use crate::bare::Event;
use crate::figures::{Bar, Row, Sample};
use crate::programs::{self, Bare, run};
use crate::support::function_api::{arn, start_of_instant_functions};
use crate::support::kafka::{self, Message};
use crate::support::world::World;

/// `BATCH_SIZE` where none is set.
const BATCH: NonZeroUsize = NonZeroUsize::new(100).expect("not zero");

/// The memory of the function that sends large events, in MiB.
const MEMORY: f64 = 512.0;

impl Bench {
    pub(super) fn functions(&self) -> Vec<Row> {
        vec![self.calls(), self.large_events()]
    }

    fn calls(&self) -> Row {
        let records = 40_000;
        let mut world = self.to_a_function("functions");
        world.set("MAX_MESSAGES", "unlimited");
        produce(&world, records);
        let mut product = programs::product(&world);
        let mut bare = Bare::start(&world);
        let (mut speed, mut bare_speed) = (Sample::default(), Sample::default());
        for _ in 0..self.rounds(10) {
            self.forget_cursors(&world);
            speed.add(per_second(records, run(&mut product, records)));
            let batch = BATCH.get();
            bare_speed.add(per_second(
                records,
                bare.invoke(&Event::Invoke { records, batch }).inside,
            ));
        }
        let what = format!("{records} records of 1 KB to a function, {BATCH} in a call");
        let row = Row::new(what, "records/s", speed);
        row.beside("bare", bare_speed).at_least_times(0.8)
    }

    /// Events of 6 MB from as many partitions as are read at once.
    fn large_events(&self) -> Row {
        let (partitions, each) = (16, 12_usize);
        let mut world = self.to_a_function("large-events");
        kafka::add_partitions(&world.bootstrap, &world.topic, partitions);
        let value = Message::value("x".repeat(900_000));
        kafka::produce_to_each(&world.bootstrap, &world.topic, 0..partitions, &vec![value; each]);
        world
            .set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY)
            .set("MAX_MESSAGES", "unlimited");
        let mut peak = Sample::default();
        for _ in 0..self.rounds(3) {
            self.forget_cursors(&world);
            let mut product = programs::product(&world);
            run(&mut product, u64::from(partitions.unsigned_abs()) * each as u64);
            peak.add(mebibytes(product.pid(), "VmHWM"));
        }
        let most = peak.max();
        Row::new(
            format!("peak memory, {partitions} partitions of 0.9 MB records to a function of {MEMORY} MB"),
            "MiB",
            peak,
        )
        .bar(Bar::at_most(most, MEMORY, "MiB"))
    }

    fn to_a_function(&self, name: &str) -> World {
        let mut world = self.world(name, PARTITIONS);
        world
            .set("DESTINATION", arn("orders"))
            .set("AWS_ENDPOINT_URL_LAMBDA", start_of_instant_functions());
        world
    }
}

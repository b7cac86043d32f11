//! A function that waits, with several calls of each partition in flight at once.

use std::time::Duration;

use super::Bench;
use super::resources::per_second;
use crate::figures::{Bar, Row, Sample};
use crate::order::order;
use crate::programs::{self, run};
use crate::support::function_api::{arn, start_of_functions};
use crate::support::kafka::{self, Message};

const PARTITIONS: i32 = 2;

/// How long the function takes for each record.
const CALL: Duration = Duration::from_millis(20);

/// The time of a run in which all calls are in flight all the time, in calls one after the other.
const CALLS_IN_A_ROW: u64 = 100;

impl Bench {
    pub(super) fn parallel(&self) -> Vec<Row> {
        [1, 4, 16].map(|factor| self.at_once(factor)).into()
    }

    /// One record in a call, each with a key of its own.
    fn at_once(&self, factor: u32) -> Row {
        let each = u64::from(factor) * CALLS_IN_A_ROW;
        let records = each * u64::from(PARTITIONS.unsigned_abs());
        let mut world = self.world("parallel", PARTITIONS);
        world
            .set("DESTINATION", arn("orders"))
            .set("AWS_ENDPOINT_URL_LAMBDA", start_of_functions(CALL))
            .set("BATCH_SIZE", 1)
            .set("PARALLELIZATION_FACTOR", factor)
            .set("MAX_MESSAGES", "unlimited");
        let orders: Vec<Message> = (0..each).map(|n| Message::value(order(n)).key(n.to_string())).collect();
        kafka::produce_to_each(&world.bootstrap, &world.topic, 0..PARTITIONS, &orders);
        let mut product = programs::product(&world);
        let mut speed = Sample::default();
        for _ in 0..self.rounds(3) {
            self.forget_cursors(&world);
            speed.add(per_second(records, run(&mut product, records)));
        }
        let ideal = f64::from(factor * PARTITIONS.unsigned_abs()) / CALL.as_secs_f64();
        let bar = Bar::at_least(speed.median() / ideal, 0.8, "of ideal");
        let what = format!("a function of 20 ms, {PARTITIONS} partitions, PARALLELIZATION_FACTOR={factor}");
        Row::new(what, "records/s", speed).bar(bar)
    }
}

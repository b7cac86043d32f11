//! The times of warm and cold runs, and with delays of the network.

use std::time::Duration;

use super::turns::{Idle, Programs, Reads};
use super::{Bench, PARTITIONS, RECORDS, produce};
use crate::figures::{Bar, Row, Sample};
use crate::programs::{self, Poller, run};
use crate::support::listeners::{Listener, secured};
use crate::support::proxy::Proxy;

impl Bench {
    pub(super) fn warm(&self) -> Vec<Row> {
        let world = self.world("warm", PARTITIONS);
        let mut python = self.python.as_deref().map(|python| Poller::start(python, &world));
        let mut programs = Programs::warmed_up(&world, python.as_mut());

        let mut idle = Idle::default();
        for _ in 0..self.rounds(300) {
            idle.round(&mut programs.product, &mut programs.bare);
        }
        let mut poller_idle = Sample::default();
        if let Some(python) = &mut python {
            (0..self.rounds(3)).for_each(|_| poller_idle.add(python.run(0)));
        }
        let idle = idle
            .row("warm idle run".to_owned())
            .at_most_times(1.3)
            .beside("the usual poller", poller_idle);

        let (mut reads, mut poller) = (Reads::default(), Sample::default());
        for round in 0..self.rounds(300) {
            produce(&world, RECORDS);
            reads.round(&mut programs, round);
            // It takes a second.
            if let Some(python) = &mut python
                && round < self.rounds(20)
            {
                poller.add(python.run(RECORDS));
            }
        }
        let reads = reads
            .row("warm run, 1,000 records")
            .at_most_times(1.5)
            .beside("the usual poller", poller);
        vec![idle, reads]
    }

    pub(super) fn cold(&self) -> Vec<Row> {
        let world = self.world("cold", PARTITIONS);
        produce(&world, RECORDS);
        let [mut product, mut bare, mut poller, mut init, mut first] = [const { Sample(vec![]) }; 5];
        for _ in 0..self.rounds(20) {
            product.add(programs::cold_product(&world, RECORDS));
            bare.add(programs::cold_bare(&world, RECORDS));
            if let Some(python) = &self.python {
                poller.add(programs::cold_poller(python, &world));
            }
            let own = world.of_another_group("init");
            let mut function = programs::product(&own);
            init.add(function.init.as_secs_f64() * 1000.0);
            first.add(run(&mut function, RECORDS));
        }
        let mut rows = vec![
            Row::new("cold run, 1,000 records, start to exit", "ms", product.clone())
                .beside("bare", bare)
                .at_most_times(1.5),
        ];
        if !poller.0.is_empty() {
            let faster = Bar::at_least(poller.median() / product.median(), 10.0, "x faster than the poller");
            let row = Row::new("the same, beside the usual poller", "ms", product);
            rows.push(row.beside("the usual poller", poller).bar(faster));
        }
        rows.push(Row::new(
            "the function's start, to its first request for an event",
            "ms",
            init,
        ));
        rows.push(Row::new("its first run, 1,000 records", "ms", first));
        rows
    }

    pub(super) fn delays(&self) -> Vec<Row> {
        let mut world = self.world("delays", PARTITIONS);
        // The topic is made without the delay.
        world.bootstrap = secured().address(Listener::Proxied);
        let kafka = self.runtime.block_on(secured().proxy());
        let dynamodb = Proxy::start(port(&world.endpoint));
        world.endpoint = format!("http://127.0.0.1:{}", dynamodb.port);
        let mut programs = Programs::warmed_up(&world, None);
        let mut rows = vec![];
        for round_trip_ms in [1, 5] {
            let one_way = Duration::from_millis(round_trip_ms) / 2;
            let delay = |delay| [&*kafka, &dynamodb].map(|proxy| proxy.delay(delay));
            delay(one_way);
            let mut idle = Idle::default();
            for _ in 0..self.rounds(40) {
                idle.round(&mut programs.product, &mut programs.bare);
            }
            rows.push(idle.row(format!("warm idle run, {round_trip_ms} ms round trip")));
            let mut reads = Reads::default();
            for round in 0..self.rounds(40) {
                delay(Duration::ZERO);
                produce(&world, RECORDS);
                delay(one_way);
                reads.round(&mut programs, round);
            }
            rows.push(reads.row(&format!("warm run, 1,000 records, {round_trip_ms} ms round trip")));
        }
        rows
    }
}

fn port(endpoint: &str) -> u16 {
    let port = endpoint.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or_else(|| panic!("{endpoint} has no port"))
}

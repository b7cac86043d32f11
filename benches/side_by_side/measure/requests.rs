//! The requests of warm runs to Kafka and to the table.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Bench, PARTITIONS, RECORDS, count, produce};
use crate::figures::{Bar, Row, Sample};
use crate::programs::{self, run};
use crate::support::listeners::{Listener, secured};
use crate::support::scripted_dynamodb::Scripted;

impl Bench {
    /// Requests of warm runs, a second apart, so that a client's background requests are counted too.
    pub(super) fn requests(&self) -> Vec<Row> {
        let mut world = self.world("requests", PARTITIONS);
        let upstream = world.endpoint.trim_start_matches("http://").to_owned();
        let table = self.runtime.block_on(Scripted::start(&upstream));
        world.bootstrap = secured().address(Listener::Proxied);
        world.endpoint.clone_from(&table.endpoint);
        // librdkafka then logs each request.
        world
            .set("KAFKA_DEBUG", "protocol")
            .set("AWS_LAMBDA_LOG_LEVEL", "debug");
        let kafka = self.runtime.block_on(secured().proxy());
        let mut product = programs::product(&world);
        produce(&world, RECORDS);
        run(&mut product, RECORDS);
        run(&mut product, 0);
        let cold = product.stdout().len();
        let mut rows = vec![];
        for (what, records, writes) in [
            ("idle", 0, 0.0),
            ("1,000 records", RECORDS, 2.0 * f64::from(PARTITIONS)),
        ] {
            let before = kafka.accepted();
            let mut counts: BTreeMap<String, Sample> = BTreeMap::new();
            let (mut reads, mut written) = (Sample::default(), Sample::default());
            for _ in 0..self.rounds(5) {
                std::thread::sleep(Duration::from_secs(1));
                produce(&world, records);
                let logged = product.stdout().len();
                table.take_operations();
                run(&mut product, records);
                let operations = table.take_operations();
                let queries = operations.iter().filter(|it| *it == "Query").count();
                reads.add(count(queries));
                written.add(count(operations.len() - queries));
                for (name, sent) in sent_to_kafka(&product.stdout()[logged..]) {
                    counts.entry(name).or_default().add(count(sent));
                }
            }
            let (most_reads, most_writes) = (reads.max(), written.max());
            rows.push(
                Row::new(format!("{what}: queries of the table"), "requests", reads)
                    .bar(Bar::at_most(most_reads, 1.0, "")),
            );
            let bar = Bar::at_most(most_writes, writes, "");
            rows.push(Row::new(format!("{what}: writes"), "requests", written).bar(bar));
            for (name, sample) in counts {
                rows.push(Row::new(
                    format!("{what}: Kafka {name}, where there was one"),
                    "requests",
                    sample,
                ));
            }
            let made = count(kafka.accepted() - before);
            let row = Row::new(
                format!("{what}: new connections to Kafka"),
                "connections",
                Sample(vec![made]),
            );
            rows.push(row.bar(Bar::at_most(made, 0.0, "")));
        }
        let lookups = sent_to_kafka(&product.stdout()[cold..])
            .remove("FindCoordinator")
            .unwrap_or_default();
        let lookups = count(lookups);
        let row = Row::new(
            "FindCoordinator in all of these runs and between them",
            "requests",
            Sample(vec![lookups]),
        );
        rows.push(row.bar(Bar::at_most(lookups, 2.0, "")));
        rows
    }
}

/// How often each kind of request was sent, according to librdkafka's log.
fn sent_to_kafka(lines: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let sent = line.split("Sent ").nth(1).and_then(|rest| rest.split_once("Request"));
        if let Some((name, _)) = sent {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts
}

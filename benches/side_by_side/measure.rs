//! The measurements, in turns, so that a slow moment of the machine affects all alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::Section;
use crate::bare::Event;
use crate::figures::{Bar, Row, Sample};
use crate::order::order;
use crate::players::{self, Bare, Poller, run};
use crate::support::kafka::{self, Message, values};
use crate::support::listeners::{Listener, secured};
use crate::support::proxy::Proxy;
use crate::support::runtime_api::Function;
use crate::support::scripted_dynamodb::Scripted;
use crate::support::world::World;

const PARTITIONS: i32 = 4;
const RECORDS: u64 = 1_000;

/// What all measurements share.
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
        // The topic is made by name on the Kafka that the records are produced to: no Kafka may have to make it.
        let bootstrap = secured().address(Listener::Plaintext);
        let mut world = self.runtime.block_on(World::on(&bootstrap, name, partitions, &[]));
        world.set("DESTINATION", "discard").set("MAX_MESSAGES", RECORDS);
        for (name, value) in &self.settings {
            world.set(name, value);
        }
        world
    }

    fn warm(&self) -> Vec<Row> {
        let world = self.world("warm", PARTITIONS);
        let mut python = self.python.as_deref().map(|python| Poller::start(python, &world));
        let mut players = Players::warmed_up(&world, python.as_mut());

        let mut idle = Idle::default();
        for _ in 0..self.rounds(300) {
            idle.round(&mut players.product, &mut players.bare);
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
            reads.round(&mut players, round);
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

    fn cold(&self) -> Vec<Row> {
        let world = self.world("cold", PARTITIONS);
        produce(&world, RECORDS);
        let [mut product, mut bare, mut poller, mut init, mut first] = [const { Sample(vec![]) }; 5];
        for _ in 0..self.rounds(20) {
            product.add(players::cold_product(&world, RECORDS));
            bare.add(players::cold_bare(&world, RECORDS));
            if let Some(python) = &self.python {
                poller.add(players::cold_poller(python, &world));
            }
            let own = world.of_another_group("init");
            let mut function = players::product(&own);
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
        rows.push(Row::new("the function's start, to its first question", "ms", init));
        rows.push(Row::new("its first run, 1,000 records", "ms", first));
        rows
    }

    fn delays(&self) -> Vec<Row> {
        let mut world = self.world("delays", PARTITIONS);
        // The topic is made without the delay.
        world.bootstrap = secured().address(Listener::Proxied);
        let kafka = self.runtime.block_on(secured().proxy());
        let dynamodb = Proxy::start(port(&world.endpoint));
        world.endpoint = format!("http://127.0.0.1:{}", dynamodb.port);
        let mut players = Players::warmed_up(&world, None);
        let mut rows = vec![];
        for round_trip_ms in [1, 5] {
            let one_way = Duration::from_millis(round_trip_ms) / 2;
            let delay = |delay| [&*kafka, &dynamodb].map(|proxy| proxy.delay(delay));
            delay(one_way);
            let mut idle = Idle::default();
            for _ in 0..self.rounds(40) {
                idle.round(&mut players.product, &mut players.bare);
            }
            rows.push(idle.row(format!("warm idle run, {round_trip_ms} ms round trip")));
            let mut reads = Reads::default();
            for round in 0..self.rounds(40) {
                delay(Duration::ZERO);
                produce(&world, RECORDS);
                delay(one_way);
                reads.round(&mut players, round);
            }
            rows.push(reads.row(&format!("warm run, 1,000 records, {round_trip_ms} ms round trip")));
        }
        rows
    }

    /// Requests of warm runs: a second apart, so that what a client does on its own shows too.
    fn requests(&self) -> Vec<Row> {
        let mut world = self.world("requests", PARTITIONS);
        let upstream = world.endpoint.trim_start_matches("http://").to_owned();
        let table = self.runtime.block_on(Scripted::start(&upstream));
        world.bootstrap = secured().address(Listener::Proxied);
        world.endpoint.clone_from(&table.endpoint);
        // librdkafka then says what it sends.
        world
            .set("KAFKA_DEBUG", "protocol")
            .set("AWS_LAMBDA_LOG_LEVEL", "debug");
        let kafka = self.runtime.block_on(secured().proxy());
        let mut product = players::product(&world);
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
                let seen = product.stdout().len();
                table.take_seen();
                run(&mut product, records);
                let asked = table.take_seen();
                let queries = asked.iter().filter(|it| *it == "Query").count();
                reads.add(count(queries));
                written.add(count(asked.len() - queries));
                for (name, sent) in sent_to_kafka(&product.stdout()[seen..]) {
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
        let asked = sent_to_kafka(&product.stdout()[cold..])
            .remove("FindCoordinator")
            .unwrap_or_default();
        let asked = count(asked);
        let row = Row::new(
            "FindCoordinator in all of these runs and between them",
            "requests",
            Sample(vec![asked]),
        );
        rows.push(row.bar(Bar::at_most(asked, 2.0, "")));
        rows
    }

    fn growth(&self) -> Vec<Row> {
        let mut rows = vec![];
        for partitions in [1, 10, 100, 1_000] {
            rows.push(self.idle_run(GROWTH[0], partitions, partitions));
        }
        for cursors in [1, 10, 100, 1_000] {
            rows.push(self.idle_run(GROWTH[1], 1_000, cursors));
        }
        rows
    }

    fn idle_run(&self, of: &str, partitions: i32, cursors: i32) -> Row {
        let world = self.world("growth", partitions);
        let mut own = world.clone();
        // What the bare program's query finds.
        let mut bare = Bare::start(&own);
        let group = bare.group.clone();
        for group in [&world.group, &group] {
            own.group.clone_from(group);
            let puts = (0..cursors).map(|partition| own.put_offset(partition, -1));
            self.runtime.block_on(async {
                for put in puts {
                    put.await;
                }
            });
        }
        let mut product = players::product(&world);
        let mut idle = Idle::default();
        run(&mut product, 0);
        for _ in 0..self.rounds(40) {
            idle.round(&mut product, &mut bare);
        }
        let count = if of == GROWTH[0] { partitions } else { cursors };
        idle.row(format!("{of}: {count}"))
    }

    fn memory(&self) -> Vec<Row> {
        let mut world = self.world("memory", PARTITIONS);
        let [mut peak, mut poller] = [const { Sample(vec![]) }; 2];
        produce(&world, RECORDS);
        for _ in 0..self.rounds(3) {
            let own = world.of_another_group("memory");
            let mut product = players::product(&own);
            run(&mut product, RECORDS);
            peak.add(mebibytes(product.pid(), "VmHWM"));
            if let Some(python) = &self.python {
                let mut python = Poller::start(python, &world);
                python.run(RECORDS);
                poller.add(mebibytes(python.pid(), "VmHWM"));
            }
        }
        let most = peak.max();
        let peak = Row::new("peak memory, 1,000 records", "MiB", peak)
            .beside("the usual poller", poller)
            .bar(Bar::at_most(most, 40.0, "MiB"));
        let runs = self.rounds(1_000);
        let records_each = 100;
        world.set("MAX_MESSAGES", records_each);
        produce(&world, u64::from(runs) * records_each);
        let mut product = players::product(&world);
        let mut resident = Sample::default();
        for i in 0..runs {
            run(&mut product, records_each);
            if i >= runs / 10 {
                resident.add(mebibytes(product.pid(), "VmRSS"));
            }
        }
        let (earlier, later) = resident.0.split_at(resident.0.len() / 2);
        let grown = Sample(later.to_vec()).median() - Sample(earlier.to_vec()).median();
        let flat = Row::new(
            format!("memory over {runs} warm runs, from a tenth of them on"),
            "MiB",
            resident,
        )
        .bar(Bar::at_most(grown, 1.0, "MiB more in the later half"));
        vec![peak, flat]
    }

    /// What can be compared on any machine, whatever else it does.
    fn instructions(&self) -> Vec<Row> {
        let mut world = self.world("instructions", PARTITIONS);
        world.set("MAX_MESSAGES", "unlimited");
        let mut rows = vec![];
        for (more, records) in [(0, 0), (RECORDS, RECORDS), (9 * RECORDS, 10 * RECORDS)] {
            produce(&world, more);
            let mut taken = Sample::default();
            for _ in 0..self.rounds(3) {
                world.group = kafka::unique("instructions");
                if records == 0 {
                    // The first run may have to store where it begins; what is idle comes after.
                    world.run();
                }
                let Some(instructions) = players::instructions(&world) else {
                    return rows;
                };
                taken.add(instructions);
            }
            let what = if records == 0 {
                "idle".to_owned()
            } else {
                format!("{records} records")
            };
            rows.push(Row::new(
                format!("instructions of a cold run, {what}"),
                "million",
                taken,
            ));
        }
        rows
    }

    fn throughput(&self) -> Vec<Row> {
        let mut rows = vec![];
        for (records, rounds) in [(100_000, self.rounds(10)), (1_000_000, self.rounds(4))] {
            let mut world = self.world("throughput", PARTITIONS);
            world.set("MAX_MESSAGES", "unlimited");
            produce(&world, records);
            let mut product = players::product(&world);
            let mut bare = Bare::start(&world);
            let (mut speed, mut bare_speed) = (Sample::default(), Sample::default());
            for _ in 0..rounds {
                self.runtime.block_on(async {
                    for partition in 0..PARTITIONS {
                        world.table.delete_item(&world.consumer_id(), partition).await;
                    }
                });
                speed.add(per_second(records, run(&mut product, records)));
                let event = Event::Read { records, again: true };
                bare_speed.add(per_second(records, bare.ask(&event).inside));
            }
            let peak = mebibytes(product.pid(), "VmHWM");
            let bare_peak = mebibytes(bare.pid(), "VmHWM");
            let row = Row::new(
                format!("{records} records, unlimited, JSON checked"),
                "records/s",
                speed,
            );
            rows.push(row.beside("bare", bare_speed).at_least_times(0.8));
            let row = Row::new(format!("peak memory, {records} records"), "MiB", Sample(vec![peak]));
            let budget = mebibytes_of(function_budget());
            rows.push(
                row.beside("bare", Sample(vec![bare_peak]))
                    .bar(Bar::at_most(peak, 40.0 + budget, "MiB")),
            );
        }
        rows
    }
}

/// What grows, and what with.
pub(crate) const GROWTH: [&str; 2] = [
    "idle run, partitions with a cursor each",
    "idle run, 1,000 partitions, stored cursors",
];

/// An idle run, and the same requests of the bare program.
#[derive(Default)]
struct Idle {
    product: Sample,
    query: Sample,
    ends: Sample,
    both: Sample,
    inside: Sample,
}

impl Idle {
    /// By turns: who runs twice in a row finds its code in the processor's caches.
    fn round(&mut self, product: &mut Function, bare: &mut Bare) {
        self.product.add(run(product, 0));
        let query = bare.ask(&Event::Query);
        self.query.add(query.outside);
        self.inside.add(query.inside);
        self.product.add(run(product, 0));
        self.ends.add(bare.ask(&Event::Ends).outside);
        self.product.add(run(product, 0));
        self.both.add(bare.ask(&Event::Idle).outside);
    }

    /// The slower of the two requests comes first.
    fn row(self, what: String) -> Row {
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

/// Those that read the same records.
struct Players {
    product: Function,
    bare: Bare,
    claiming: Bare,
}

impl Players {
    /// After their first runs, all caught up.
    fn warmed_up(world: &World, python: Option<&mut Poller>) -> Self {
        let mut players = Self {
            product: players::product(world),
            bare: Bare::start(world),
            claiming: Bare::start(world),
        };
        let rounds = 5;
        produce(world, rounds * RECORDS);
        for _ in 0..rounds {
            run(&mut players.product, RECORDS);
            players.bare.ask(&read(RECORDS));
            players.claiming.ask(&read(RECORDS));
        }
        if let Some(python) = python {
            for _ in 0..rounds {
                python.run(RECORDS);
            }
        }
        players
    }
}

/// What they took for the same records.
#[derive(Default)]
struct Reads {
    product: Sample,
    bare: Sample,
    inside: Sample,
    claiming: Sample,
}

impl Reads {
    /// Who begins finds the brokers' memory cold: each in its turn.
    fn round(&mut self, players: &mut Players, round: u32) {
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => self.product.add(run(&mut players.product, RECORDS)),
                1 => {
                    let took = players.bare.ask(&read(RECORDS));
                    self.bare.add(took.outside);
                    self.inside.add(took.inside);
                }
                _ => {
                    let claim = Event::Claim { records: RECORDS };
                    self.claiming.add(players.claiming.ask(&claim).outside);
                }
            }
        }
    }

    fn row(self, what: &str) -> Row {
        Row::new(what, "ms", self.product)
            .beside("bare", self.bare)
            .beside("bare, with the questions, claims and conditions", self.claiming)
            .beside("bare, by its own clock", self.inside)
    }
}

fn read(records: u64) -> Event {
    Event::Read { records, again: false }
}

/// Produces so many records of 1 KB, as many to each partition.
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

/// How often each kind of request was sent, by what librdkafka said.
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

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn count(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(records: u64, millis: f64) -> f64 {
    records as f64 / millis * 1000.0
}

/// A line of `/proc/PID/status`.
fn mebibytes(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there, on Linux");
    let of_line = status
        .lines()
        .find_map(|it| it.strip_prefix(line)?.split_whitespace().nth(1)?.parse().ok());
    let kibibytes: f64 = of_line.unwrap_or_else(|| panic!("no {line} in {status}"));
    kibibytes / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mebibytes_of(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// What the product may use for records, in a function of the test support's memory.
fn function_budget() -> u64 {
    let lookup = [("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".to_owned(), "256".to_owned())];
    let config = kafka_consumer_lambda::config::Config::from_lookup(lookup);
    config.expect("settings that are right").max_memory_bytes
}

fn port(endpoint: &str) -> u16 {
    let port = endpoint.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or_else(|| panic!("{endpoint} has no port"))
}

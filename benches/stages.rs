//! The stages of a run without I/O: plan, ledger, decode, filter, report.

#[path = "order.rs"]
mod order;

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kafka_consumer_lambda::claim::Cursor;
use kafka_consumer_lambda::config::{MessageFormat, OnRetentionLoss, OnTruncation, StartPosition};
use kafka_consumer_lambda::decode::decode;
use kafka_consumer_lambda::filter::Filter;
use kafka_consumer_lambda::ledger::{Ledger, Step};
use kafka_consumer_lambda::plan::{PartitionPlan, PartitionState, Policy, decide_all, fair_shares};
use kafka_consumer_lambda::record::{NextOffset, Record, TopicPartition};
use kafka_consumer_lambda::report::{PartitionReport, RunReport, TopicCounts, metrics_line};

const PARTITIONS: i32 = 1_000;
const RECORDS: u32 = 1_000;

fn next(offset: u32) -> NextOffset {
    NextOffset::new(offset.into()).expect("not negative")
}

/// Each partition with a cursor, and this number of records after it.
fn states(behind: u32) -> Vec<PartitionState> {
    let topic: Arc<str> = "orders".into();
    (0..PARTITIONS)
        .map(|partition| PartitionState {
            earliest: Some(Ok(next(0))),
            ..PartitionState::new(
                TopicPartition::new(topic.clone(), partition),
                Some(Ok(next(500 + behind))),
                Some(Ok(Cursor::at(next(500)))),
            )
        })
        .collect()
}

fn plan(criterion: &mut Criterion) {
    let policy = Policy {
        start_position: StartPosition::Earliest,
        on_retention_loss: OnRetentionLoss::Continue,
        on_truncation: OnTruncation::Halt,
        now_ms: 1_800_000_000_000,
    };
    for (what, behind) in [("idle", 0), ("all with work", 100)] {
        let states = states(behind);
        criterion.bench_function(&format!("plan of 1,000 partitions, {what}"), |bencher| {
            bencher.iter_batched(
                || states.clone(),
                |states| {
                    let plans = decide_all(black_box(states), &policy);
                    let demands: Vec<_> = plans.iter().map(PartitionPlan::demand).collect();
                    fair_shares(&demands, Some(RECORDS.into()))
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn records() -> Vec<Record> {
    let partition = TopicPartition::new("orders", 0);
    (0..RECORDS)
        .map(|n| Record {
            value: Some(Bytes::from(order::order(n.into()))),
            ..Record::new(partition.clone(), n.into())
        })
        .collect()
}

fn ledger(criterion: &mut Criterion) {
    let records = records();
    criterion.bench_function("ledger of 1,000 records, polled and settled", |bencher| {
        let new = || Ledger::new(next(0), (next(0), next(RECORDS)), RECORDS.into(), None, 0);
        bencher.iter_batched(
            new,
            |mut ledger| {
                let mut left = records.as_slice();
                ledger.polled(left);
                while let Step::Process(count) = ledger.step(false, 0) {
                    ledger.settled(count, &left[count - 1]);
                    ledger.measured(count, 1);
                    left = &left[count..];
                }
                ledger
            },
            BatchSize::SmallInput,
        );
    });
}

fn decoding(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("decode of 1,000 records of 1 KB");
    group.throughput(Throughput::Elements(RECORDS.into()));
    for (name, format) in [
        ("json", MessageFormat::Json),
        ("text", MessageFormat::Text),
        ("bytes", MessageFormat::Bytes),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| records.iter().filter(|record| decode(format, record).is_ok()).count());
        });
    }
    group.finish();
}

/// Beside reading over the same values, which is the least that a filter can cost.
fn filtering(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("filter of 1,000 records of 1 KB");
    group.throughput(Throughput::Elements(RECORDS.into()));
    let filter = Filter::parse(r#"[{"value":{"status":["none"],"total":[{"numeric":[">",1]}]}}]"#).expect("a filter");
    group.bench_function("two fields of the value", |bencher| {
        bencher.iter(|| records.iter().filter(|record| filter.matches(record)).count());
    });
    let key = Filter::parse(r#"[{"key":[{"prefix":"a"}]}]"#).expect("a filter");
    group.bench_function("the key", |bencher| {
        bencher.iter(|| records.iter().filter(|record| key.matches(record)).count());
    });
    group.bench_function("reading over the value", |bencher| {
        let is_json = |record: &&Record| {
            let value = record.value.as_deref().unwrap_or_default();
            serde_json::from_slice::<serde::de::IgnoredAny>(value).is_ok()
        };
        bencher.iter(|| records.iter().filter(is_json).count());
    });
    group.finish();
}

fn report(criterion: &mut Criterion) {
    let partitions = (0..PARTITIONS).map(|partition| PartitionReport {
        place: TopicPartition {
            topic: "orders".into(),
            partition,
        },
        first_offset: Some(500),
        last_offset: Some(599),
        messages: 100,
        end_offset: Some(600),
        lag: Some(0),
        quarantine: None,
    });
    let report = RunReport {
        partitions: partitions.collect(),
        ..RunReport::default()
    };
    criterion.bench_function("report of 1,000 partitions, as JSON with its metrics", |bencher| {
        bencher.iter(|| {
            let json = serde_json::to_string(black_box(&report));
            (
                json,
                metrics_line("group", "orders", &TopicCounts::default(), 7, 1_800_000_000_000),
            )
        });
    });
}

criterion_group!(stages, plan, ledger, decoding, filtering, report);
criterion_main!(stages);

//! Random handlers against a simple model of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use kafka_consumer_lambda::processor::by_key::ByKey;
use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::{Chunk, Record, TopicPartition};
use kafka_consumer_lambda::{Failure, by_key};
use proptest::prelude::*;

/// A record is skipped after so many failed attempts.
const MAX_ATTEMPTS: u32 = 3;

/// How the handler treats a record.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    Succeeds,
    /// Fails so often in each run.
    Retry(u32),
    Poison,
    /// Panics so often in each run.
    Panics(u32),
    /// Is throttled so often.
    Throttled(u32),
    /// A call with it and others ends before it, without a failure.
    Last,
    Fatal,
}

#[derive(Debug, Clone)]
struct Spec {
    /// The key and the behaviour of each record.
    records: Vec<(Option<u8>, Behaviour)>,
    /// How long a call takes that begins with the record, in turns of the executor.
    turns: Vec<u8>,
    batch_size: Option<usize>,
    at_once: usize,
    chunk: usize,
    /// For each run: after so many turns it is cut off, and its time in microseconds ends.
    runs: Vec<(Option<u8>, Option<u16>)>,
}

/// What happened to the records in the current run, and what is settled.
#[derive(Debug, Default)]
struct History {
    /// The calls that were not finished and not dropped: their records.
    in_flight: Vec<Vec<usize>>,
    most_in_flight: usize,
    done: BTreeSet<usize>,
    /// The failed attempts of each record that the handler made, and those that the run was given.
    failed: BTreeMap<usize, u32>,
    counted: BTreeMap<usize, u32>,
    throttled: BTreeMap<usize, u32>,
    settled: usize,
    skipped: BTreeSet<usize>,
    violations: Vec<String>,
}

struct Handler<'a> {
    spec: &'a Spec,
    history: &'a Mutex<History>,
}

impl Handler<'_> {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no panic with the lock held")
    }

    fn key(&self, index: usize) -> Option<u8> {
        self.spec.records[index].0
    }

    fn check(&self, call: &[usize], run: &RunContext) {
        let mut history = self.history();
        let mut violations = vec![];
        if call.len() > self.spec.batch_size.unwrap_or(1) && self.spec.at_once > 1 {
            violations.push(format!("{call:?} is larger than a batch"));
        }
        let counted = history.counted.get(&call[0]).copied().unwrap_or(0);
        if run.attempt != counted + 1 {
            violations.push(format!(
                "{call:?} is attempt {}, after {counted} failed ones",
                run.attempt
            ));
        }
        for index in call {
            if history.done.contains(index) {
                violations.push(format!("{index} is handled again"));
            }
            if history.failed.get(index) != history.counted.get(index) {
                violations.push(format!("{index} is tried again before its failure was returned"));
            }
            let same = |other: &usize| self.key(*index).is_some() && self.key(*other) == self.key(*index);
            if history.in_flight.iter().flatten().any(same) {
                violations.push(format!("{index} is handled at once with another of its key"));
            }
            let is_done =
                |other: &usize| *other < history.settled || history.done.contains(other) || call.contains(other);
            if !(0..*index).filter(same).all(|other| is_done(&other)) {
                violations.push(format!("{index} is handled before an earlier one of its key"));
            }
        }
        history.in_flight.push(call.to_vec());
        history.most_in_flight = history.most_in_flight.max(history.in_flight.len());
        history.violations.extend(violations);
    }

    /// The end of a call. `None`: a panic.
    fn end(&self, call: &[usize]) -> Option<Progress> {
        let mut history = self.history();
        let mut settled = 0;
        let mut stop = None;
        for (position, index) in call.iter().enumerate() {
            let failed = history.failed.get(index).copied().unwrap_or(0);
            let throttled = history.throttled.get(index).copied().unwrap_or(0);
            match self.spec.records[*index].1 {
                Behaviour::Retry(times) if failed < times => stop = Some(Failure::Retry(format!("busy at {index}"))),
                Behaviour::Poison => stop = Some(Failure::Poison(format!("bad at {index}"))),
                Behaviour::Panics(times) if failed < times => {
                    if call.len() == 1 {
                        *history.failed.entry(*index).or_default() += 1;
                    }
                    return None;
                }
                Behaviour::Throttled(times) if throttled < times => {
                    *history.throttled.entry(*index).or_default() += 1;
                    stop = Some(Failure::Throttled("429".into()));
                }
                Behaviour::Last if position > 0 => break,
                Behaviour::Fatal => stop = Some(Failure::Fatal("wrong".into())),
                _ => {
                    settled += 1;
                    continue;
                }
            }
            if matches!(stop, Some(Failure::Retry(_) | Failure::Poison(_))) {
                *history.failed.entry(*index).or_default() += 1;
            }
            break;
        }
        history.done.extend(&call[..settled]);
        Some(Progress { settled, stop })
    }
}

/// Ends a call in the history, also where it is dropped.
struct InFlight<'a>(&'a Mutex<History>, Vec<usize>);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut history = self.0.lock().expect("no panic with the lock held");
        history.in_flight.retain(|call| *call != self.1);
    }
}

impl Processor for Handler<'_> {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let offsets = chunk.records().iter().map(|record| record.offset);
        let call: Vec<usize> = offsets
            .map(|offset| usize::try_from(offset).expect("an index"))
            .collect();
        self.check(&call, run);
        let in_flight = InFlight(self.history, call.clone());
        turns(self.spec.turns[call[0]]).await;
        let ended = self.end(&call);
        drop(in_flight);
        ended.unwrap_or_else(|| std::panic::resume_unwind(Box::new(format!("at {}", call[0]))))
    }

    fn batch_size(&self, _: &str) -> Option<NonZeroUsize> {
        self.spec.batch_size.and_then(NonZeroUsize::new)
    }
}

async fn turns(turns: u8) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Works as a run does, with `ON_FAILURE=skip`, until its time ends, a fatal failure, or the last record.
async fn work(
    spec: &Spec,
    handler: &ByKey<Handler<'_>>,
    history: &Mutex<History>,
    (id, cut_after, time): (usize, Option<u8>, Option<u16>),
) -> Result<(), TestCaseError> {
    let lock = || history.lock().expect("no panic with the lock held");
    let stop_at = Instant::now() + time.map_or(Duration::from_mins(1), |micros| Duration::from_micros(micros.into()));
    let mut chunk_size = spec.chunk;
    // Waits of throttled records are not counted as steps: each is throttled a few times alone.
    for _ in 0..1_000 {
        let first = lock().settled;
        let Some(chunk) = chunk(spec, first, chunk_size) else {
            return Ok(());
        };
        let attempt = lock().counted.get(&first).copied().unwrap_or(0) + 1;
        let context = RunContext {
            stop_at,
            attempt,
            run_id: id.to_string().into(),
            group_id: "g".into(),
            lag: None,
        };
        let cut = async {
            match cut_after {
                Some(after) => turns(after).await,
                None => tokio::time::sleep_until(stop_at.into()).await,
            }
        };
        let progress = tokio::select! {
            biased;
            progress = handler.process(&chunk, &context) => progress,
            // It is cut off, and nothing of the chunk is settled.
            () = cut => return Ok(()),
        };
        let mut history = lock();
        prop_assert_eq!(&history.violations, &Vec::<String>::new());
        prop_assert!(history.in_flight.is_empty() && history.most_in_flight <= spec.at_once);
        let done = (first..first + chunk.len()).take_while(|index| history.done.contains(index));
        prop_assert_eq!(progress.settled, done.count(), "the settled prefix");
        history.settled += progress.settled;
        let stands_at = history.settled;
        match progress.stop {
            Some(failure @ (Failure::Retry(_) | Failure::Poison(_))) => {
                let text = failure.to_string();
                prop_assert!(text.ends_with(&format!("at {stands_at}")), "{} at {}", text, stands_at);
                let counted = history.counted.entry(stands_at).or_default();
                *counted += 1;
                let counted = *counted;
                prop_assert_eq!(
                    history.failed.get(&stands_at),
                    Some(&counted),
                    "each attempt counts once"
                );
                if counted == MAX_ATTEMPTS || matches!(failure, Failure::Poison(_)) {
                    history.skipped.insert(stands_at);
                    history.settled += 1;
                }
            }
            Some(Failure::Throttled(_)) => {}
            Some(failure) => {
                prop_assert_eq!(failure, Failure::Fatal("wrong".into()));
                return Ok(());
            }
            None if progress.settled == chunk.len() => {}
            None => {
                prop_assert!(time.is_some(), "only the time ends a chunk without a failure");
                if Instant::now() >= stop_at {
                    return Ok(());
                }
                if progress.settled == 0 {
                    chunk_size = 1;
                }
            }
        }
    }
    Err(TestCaseError::fail("a run without an end"))
}

fn chunk(spec: &Spec, first: usize, size: usize) -> Option<Chunk> {
    let records = (first..spec.records.len()).take(size).map(|index| Record {
        key: spec.records[index].0.map(|key| vec![key].into()),
        ..Record::new(
            TopicPartition::new("t", 0),
            i64::try_from(index).expect("a small number"),
        )
    });
    Chunk::new(records.collect())
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        12 => Just(Behaviour::Succeeds),
        2 => (1..5_u32).prop_map(Behaviour::Retry),
        1 => Just(Behaviour::Poison),
        2 => (1..5_u32).prop_map(Behaviour::Panics),
        1 => (1..4_u32).prop_map(Behaviour::Throttled),
        2 => Just(Behaviour::Last),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    (1..40_usize).prop_flat_map(|records| {
        let key = prop_oneof![1 => Just(None), 4 => (0..5_u8).prop_map(Some)];
        let behaviour = prop_oneof![100 => behaviour(), 1 => Just(Behaviour::Fatal)];
        let run = (
            prop::option::weighted(0.3, 0..60_u8),
            prop::option::weighted(0.2, 0..800_u16),
        );
        (
            prop::collection::vec((key, behaviour), records),
            prop::collection::vec(0..12_u8, records),
            prop::option::of(1..6_usize),
            2..6_usize,
            1..24_usize,
            prop::collection::vec(run, 0..3),
        )
            .prop_map(|(records, turns, batch_size, at_once, chunk, runs)| Spec {
                records,
                turns,
                batch_size,
                at_once,
                chunk,
                runs,
            })
    })
}

proptest! {
    /// P1, P3: whatever fails, panics, is throttled or cut off, in any run.
    #[test]
    fn each_key_is_in_order_and_never_at_once_and_nothing_is_lost_or_handled_twice_in_a_run(spec in spec()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let history = Mutex::new(History::default());
        let handler = by_key(spec.at_once, Handler { spec: &spec, history: &history });
        // The last run has all the time it needs.
        let runs = spec.runs.iter().copied().chain([(None, None)]);
        for (id, (cut_after, time)) in runs.enumerate() {
            runtime.block_on(work(&spec, &handler, &history, (id, cut_after, time)))?;
            let mut history = history.lock().expect("no panic with the lock held");
            prop_assert_eq!(&history.violations, &Vec::<String>::new());
            prop_assert!(history.in_flight.is_empty(), "what is cut off is dropped");
            // What is not settled is handled again by the next run.
            let settled = history.settled;
            history.done.retain(|index| *index < settled);
            let counted = history.counted.clone();
            history.failed = counted;
        }
        let history = history.into_inner().expect("no panic with the lock held");
        let fatal = spec.records.iter().position(|(_, behaviour)| matches!(behaviour, Behaviour::Fatal));
        prop_assert!(history.settled <= fatal.unwrap_or(spec.records.len()));
        prop_assert!(fatal.is_some() || history.settled == spec.records.len(), "all of them in the end");
        for index in 0..history.settled {
            prop_assert!(history.done.contains(&index) != history.skipped.contains(&index), "{}", index);
        }
    }
}

//! Several calls at once within a partition, by key.

mod model;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_consumer_lambda::processor::{Processor, Progress, RunContext};
use kafka_consumer_lambda::record::{Chunk, Record, TopicPartition};
use kafka_consumer_lambda::{Failure, by_key, each, routes};

/// A record for each character, which is its key; `-` has none. From offset `first` on.
fn chunk(first: i64, keys: &str) -> Chunk {
    let record = |(offset, key): (i64, char)| Record {
        key: Some(key.to_string().into()).filter(|_| key != '-'),
        ..Record::new(TopicPartition::new("t", 0), offset)
    };
    Chunk::new((first..).zip(keys.chars()).map(record).collect()).expect("records")
}

fn run(id: &str) -> RunContext {
    RunContext {
        stop_at: Instant::now() + Duration::from_mins(1),
        attempt: 1,
        run_id: id.into(),
        group_id: "g".into(),
        lag: Some(10),
    }
}

/// What calls got: offsets, attempt and lag.
type Calls = Arc<Mutex<Vec<(Vec<i64>, u32, Option<u64>)>>>;

/// Takes batches of a size, and settles all of a batch unless it holds the offset that fails.
struct Batches {
    size: Option<usize>,
    calls: Calls,
    fails_at: Mutex<Option<i64>>,
}

impl Batches {
    fn of(size: Option<usize>, fails_at: Option<i64>) -> (Arc<Self>, Calls) {
        let calls = Calls::default();
        let fails_at = Mutex::new(fails_at);
        let handler = Self {
            size,
            calls: calls.clone(),
            fails_at,
        };
        (Arc::new(handler), calls)
    }
}

struct Shared(Arc<Batches>);

impl Processor for Shared {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let offsets: Vec<i64> = chunk.records().iter().map(|record| record.offset).collect();
        let fails_at = *self.0.fails_at.lock().expect("no panic");
        let failed = offsets.iter().position(|offset| Some(*offset) == fails_at);
        self.0
            .calls
            .lock()
            .expect("no panic")
            .push((offsets, run.attempt, run.lag));
        match failed {
            Some(settled) => Progress {
                settled,
                stop: Some(Failure::Retry("busy".into())),
            },
            None => Progress::all(chunk),
        }
    }

    fn batch_size(&self, _: &str) -> Option<NonZeroUsize> {
        self.0.size.and_then(NonZeroUsize::new)
    }
}

fn offsets(calls: &Calls) -> Vec<Vec<i64>> {
    let calls = std::mem::take(&mut *calls.lock().expect("no panic"));
    calls.into_iter().map(|(offsets, ..)| offsets).collect()
}

#[tokio::test]
async fn with_a_factor_of_1_chunks_are_passed_on_as_they_are() {
    let (handler, calls) = Batches::of(Some(2), None);
    let handler = by_key(1, Shared(handler));
    let records = chunk(5, "aab--");
    assert_eq!(handler.process(&records, &run("r")).await, Progress::all(&records));
    assert_eq!(offsets(&calls), [[5, 6, 7, 8, 9]]);
    assert_eq!(handler.batch_size("t").map(usize::from), Some(2));
    assert_eq!(handler.parallelization_factor("t").get(), 1);
}

#[test]
#[should_panic(expected = "by_key(0, ...) would handle no record; the least is 1")]
fn a_factor_of_0_is_refused() {
    by_key(0, each(|_| async { Ok(()) }));
}

#[test]
fn the_run_fills_chunks_for_all_calls() {
    let batches = |size| by_key(4, Shared(Batches::of(size, None).0));
    assert_eq!(batches(Some(10)).batch_size("t").map(usize::from), Some(40));
    assert_eq!(batches(None).batch_size("t"), None);
    let routed = routes()
        .topic("t", batches(None))
        .topic("u", each(|_| async { Ok(()) }));
    assert_eq!(routed.parallelization_factor("t").get(), 4);
    assert_eq!(routed.parallelization_factor("u").get(), 1);
    assert!(by_key(2, routed).takes("t"));
}

#[tokio::test]
async fn the_attempt_is_that_of_the_first_record_and_the_lag_that_behind_each_call() {
    let (handler, calls) = Batches::of(Some(2), None);
    let context = RunContext { attempt: 3, ..run("r") };
    let records = chunk(5, "abcd");
    assert_eq!(
        by_key(2, Shared(handler)).process(&records, &context).await,
        Progress::all(&records)
    );
    let calls = calls.lock().expect("no panic").clone();
    assert_eq!(calls, [(vec![5, 6], 3, Some(12)), (vec![7, 8], 1, Some(10))]);
}

#[tokio::test]
async fn what_was_handled_behind_a_failure_is_not_handled_again_in_the_run_and_is_in_the_next() {
    let (inner, calls) = Batches::of(None, Some(6));
    let handler = by_key(4, Shared(inner.clone()));
    let records = chunk(5, "abcb");
    let busy = Progress {
        settled: 1,
        stop: Some(Failure::Retry("busy".into())),
    };
    assert_eq!(handler.process(&records, &run("r")).await, busy);
    assert_eq!(offsets(&calls), [[5], [6], [7]], "8 is of the key of 6");
    let rest = chunk(6, "bcb");
    assert_eq!(handler.process(&rest, &run("r")).await.settled, 0);
    assert_eq!(offsets(&calls), [[6]]);
    assert_eq!(handler.process(&rest, &run("next")).await.settled, 0);
    assert_eq!(offsets(&calls), [[6], [7]], "it may be a replay");
    *inner.fails_at.lock().expect("no panic") = None;
    assert_eq!(handler.process(&rest, &run("next")).await, Progress::all(&rest));
    assert_eq!(offsets(&calls), [[6], [8]]);
    let replayed = chunk(5, "abcb");
    assert_eq!(handler.process(&replayed, &run("next")).await, Progress::all(&replayed));
    assert_eq!(
        offsets(&calls),
        [[5], [6], [7], [8]],
        "nothing is kept of what is settled"
    );
}

#[tokio::test]
async fn each_attempt_of_a_record_that_fails_further_behind_is_returned_once() {
    let tries = Arc::new(Mutex::new(Vec::new()));
    let noted = tries.clone();
    let handler = by_key(
        4,
        each(move |record: Record| {
            noted.lock().expect("no panic").push(record.offset);
            async move { Err(Failure::Retry(format!("busy at {}", record.offset))) }
        }),
    );
    let busy = |offset| Some(Failure::Retry(format!("busy at {offset}")));
    let stop = async |first, keys| handler.process(&chunk(first, keys), &run("r")).await.stop;
    assert_eq!(stop(5, "ab").await, busy(5));
    assert_eq!(stop(5, "ab").await, busy(5));
    // The first was skipped: the failure of the second is that of its first attempt.
    assert_eq!(stop(6, "b").await, busy(6));
    assert_eq!(*tries.lock().expect("no panic"), [5, 6, 5]);
    assert_eq!(stop(6, "b").await, busy(6));
    assert_eq!(*tries.lock().expect("no panic"), [5, 6, 5, 6]);
}

#[tokio::test]
async fn a_panic_of_one_call_leaves_what_the_others_did() {
    let handler = by_key(
        3,
        each(|record: Record| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(record.offset != 7, "at 7");
            Ok(())
        }),
    );
    let progress = handler.process(&chunk(5, "abcd"), &run("r")).await;
    let stop = Some(Failure::Retry("the handler panicked: at 7".into()));
    assert_eq!(progress, Progress { settled: 2, stop });
}

#[tokio::test]
async fn a_failure_behind_all_records_of_a_call_stops_everything() {
    struct Odd;
    impl Processor for Odd {
        async fn process(&self, chunk: &Chunk, _: &RunContext) -> Progress {
            let odd = chunk.records()[0].offset == 5;
            Progress {
                stop: odd.then(|| Failure::Poison("odd".into())),
                ..Progress::all(chunk)
            }
        }
    }
    let Some(Failure::Fatal(text)) = by_key(2, Odd).process(&chunk(5, "ab"), &run("r")).await.stop else {
        panic!("it is fatal");
    };
    assert!(
        text.contains("t-0") && text.contains("offset 5") && text.contains("odd"),
        "{text}"
    );
}

/// The time in which the records of `keys` are handled, in records one after the other.
async fn rounds(n: usize, keys: &str) -> u128 {
    let takes = Duration::from_millis(50);
    let handler = by_key(
        n,
        each(move |_| async move {
            tokio::time::sleep(takes).await;
            Ok(())
        }),
    );
    let records = chunk(0, keys);
    let started = Instant::now();
    assert_eq!(handler.process(&records, &run("r")).await, Progress::all(&records));
    started.elapsed().as_millis() / takes.as_millis()
}

#[tokio::test]
async fn the_time_is_that_of_the_longest_key_or_of_all_records_over_the_calls_at_once() {
    assert_eq!(rounds(4, "abcdefgh").await, 2);
    assert_eq!(rounds(4, "--------").await, 2);
    assert_eq!(rounds(4, "aaab").await, 3);
    assert_eq!(rounds(8, "aabbccdd").await, 2);
}

#[tokio::test]
async fn when_the_time_ends_what_is_settled_is_returned_without_the_calls_in_flight() {
    let handler = by_key(
        3,
        each(|record: Record| async move {
            if record.offset == 6 {
                std::future::pending::<()>().await;
            }
            Ok(())
        }),
    );
    let in_time = |ms| RunContext {
        stop_at: Instant::now() + Duration::from_millis(ms),
        ..run("r")
    };
    let progress = handler.process(&chunk(5, "abc"), &in_time(30)).await;
    assert_eq!(progress, Progress { settled: 1, stop: None });
    // With nothing settled, the run ends the wait: it notes what was unfinished.
    let context = in_time(30);
    let rest = chunk(6, "bc");
    let work = handler.process(&rest, &context);
    assert!(tokio::time::timeout(Duration::from_millis(100), work).await.is_err());
    let progress = handler.process(&chunk(7, "c"), &in_time(0)).await;
    assert_eq!(progress.stop, None, "nothing begins once the time has ended");
}

#[tokio::test]
async fn a_call_that_would_not_be_finished_in_time_is_not_begun() {
    let begun = Arc::new(Mutex::new(0));
    let counted = begun.clone();
    let handler = by_key(
        2,
        each(move |_| {
            *counted.lock().expect("no panic") += 1;
            async {
                tokio::time::sleep(Duration::from_millis(60)).await;
                Ok(())
            }
        }),
    );
    let context = RunContext {
        stop_at: Instant::now() + Duration::from_millis(100),
        ..run("r")
    };
    let progress = handler.process(&chunk(0, "abcdef"), &context).await;
    assert_eq!(progress, Progress { settled: 2, stop: None });
    assert_eq!(*begun.lock().expect("no panic"), 2);
}

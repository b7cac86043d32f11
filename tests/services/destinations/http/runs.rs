//! Many records, and runs that end in the middle.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Destination;
use crate::support::http_endpoint::{Received, Reply};

const PARTITIONS: i32 = 4;
const IN_EACH: i64 = 2_500;

#[tokio::test(flavor = "multi_thread")]
async fn of_10_000_records_with_a_run_killed_in_the_middle_each_arrives_at_least_once_and_in_order() {
    let mut to = Destination::new(PARTITIONS).await;
    for partition in 0..PARTITIONS {
        to.world.produce(partition, usize::try_from(IN_EACH).expect("small"));
    }
    to.world
        .set("BATCH_SIZE", "50")
        .set("MAX_MESSAGES", "unlimited")
        .set("TIME_LIMIT", "60");
    to.endpoint.on(|_| Reply::status(200).after(Duration::from_millis(20)));
    let mut run = to.world.start(&["run"]);
    while to.endpoint.received().len() < 60 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    run.kill().expect("it has not ended");
    run.wait().expect("it ends");
    to.endpoint.on(|_| Reply::status(200));
    for partition in 0..PARTITIONS {
        to.world.end_the_claim(partition).await;
    }
    let mut runs = 0;
    while to.world.run().success()["lag"] != 0 {
        runs += 1;
        assert!(runs < 10, "no progress");
    }
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut events = 0;
    for (partition, offset) in to.endpoint.received().iter().flat_map(Received::events) {
        let next = next.entry(partition).or_default();
        assert!(offset <= *next, "{partition}: {offset} before {next}");
        *next = (*next).max(offset + 1);
        events += 1;
    }
    assert_eq!(next, (0..PARTITIONS).map(|partition| (partition, IN_EACH)).collect());
    let most = i64::from(PARTITIONS) * IN_EACH;
    assert!(events >= most && events < 2 * most, "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_in_the_middle_stores_what_was_accepted_and_the_next_one_continues() {
    let mut to = Destination::new(1).await;
    to.world.produce(0, 30);
    to.endpoint.on(|_| Reply::status(200).after(Duration::from_millis(200)));
    to.world.set("TIME_LIMIT", "3");
    let report = to.world.run().success();
    let first = report["messages_processed"].as_i64().expect("a number");
    assert!((1..30).contains(&first), "{report}");
    assert_eq!(to.world.offset(0).await, Some(first - 1));
    to.endpoint.on(|_| Reply::status(200));
    to.world.set("TIME_LIMIT", "20").run().success();
    let mut offsets: Vec<i64> = to.endpoint.offsets().concat();
    offsets.dedup();
    assert_eq!(
        offsets,
        (0..30).collect::<Vec<_>>(),
        "in order, and at most the last of the first run twice"
    );
}

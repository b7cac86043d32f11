//! The contract of a sender, the same for every service. A new service adds one line at the end.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::{Destination, message_of};
use crate::support::entry_api::{Refusal, Reply, Service};
use crate::support::kafka::{self, Message};

async fn accepted_entries_settle_their_records(service: Service) {
    let to = Destination::with(service, 25).await;
    let report = to.world.run().success();
    assert_eq!(report["messages_processed"], 25);
    assert_eq!(to.accepted(), (0..25).collect::<Vec<_>>());
    assert_eq!(to.calls().iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(to.world.offset(0).await, Some(24));
}

async fn entries_refused_for_now_are_sent_again_in_order_before_later_ones(service: Service) {
    for refusal in [Refusal::Throttled, Refusal::Internal] {
        let mut to = Destination::with(service, 12).await;
        to.api
            .next([Reply::Refuse(vec![3, 7], refusal), Reply::Refuse(vec![1], refusal)]);
        let report = to.skip_at_once().world.run().success();
        assert_eq!(
            (&report["messages_processed"], &report["skipped"]),
            (&json!(12), &json!([]))
        );
        let first: Vec<i64> = (0..10).collect();
        assert_eq!(to.calls(), [first, vec![3, 7], vec![7], vec![10, 11]]);
        assert_eq!(to.accepted(), [0, 1, 2, 4, 5, 6, 8, 9, 3, 7, 10, 11]);
    }
}

async fn an_entry_that_can_never_be_accepted_fails_alone(service: Service) {
    for refusal in [Refusal::Invalid, Refusal::TooLarge] {
        let mut to = Destination::with(service, 12).await;
        to.api.always(Reply::RefuseOffsets(vec![4], refusal));
        let report = to.skip_at_once().world.run().success();
        assert_eq!(report["messages_processed"], 11, "{refusal:?}");
        assert_eq!(report["skipped"][0]["first_offset"], 4);
        assert_eq!(report["skipped"][0]["last_offset"], 4);
        assert!(!report.to_string().contains("planted"), "{report}");
        assert_eq!(to.accepted(), [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11], "each once");
    }
}

async fn without_a_policy_an_entry_that_can_never_be_accepted_blocks_its_partition(service: Service) {
    let to = Destination::with(service, 3).await;
    to.api.always(Reply::RefuseOffsets(vec![1], Refusal::Invalid));
    let report = to.world.run().failure("PartitionBlocked", 3);
    assert_eq!(report["blocked"][0]["offset"], 1);
    assert_eq!(to.world.offset(0).await, Some(0));
}

async fn a_call_that_is_throttled_counts_no_attempt(service: Service) {
    let mut to = Destination::with(service, 3).await;
    // The SDK itself makes three attempts of a call.
    to.api.next(vec![Reply::Fail(Refusal::Throttled); 7]);
    let report = to.skip_at_once().world.run().success();
    assert_eq!(
        (&report["messages_processed"], &report["skipped"]),
        (&json!(3), &json!([]))
    );
    assert_eq!(to.accepted(), [0, 1, 2]);
}

async fn a_service_that_throttles_for_the_whole_run_fails_it_and_skips_nothing(service: Service) {
    let mut to = Destination::with(service, 3).await;
    to.api.always(Reply::Fail(Refusal::Throttled));
    to.skip_at_once().world.set("TIME_LIMIT", "3");
    let report = to.world.run().failure("Timeout", 1);
    assert_eq!(report["skipped"], json!([]));
    assert!(message_of(&report).contains("No attempt is counted"), "{report}");
    assert_eq!(to.world.offset(0).await, Some(-1));
}

async fn a_service_that_refuses_every_call_stops_the_topic_and_skips_nothing(service: Service) {
    for (refusal, what) in [(Refusal::Denied, "access denied"), (Refusal::Missing, "does not exist")] {
        let mut to = Destination::with(service, 3).await;
        to.api.always(Reply::Fail(refusal));
        let report = to.skip_at_once().world.run().failure("DestinationFailed", 1);
        let message = message_of(&report);
        assert!(message.contains(what) && message.contains(&to.api.arn()), "{message}");
        assert_eq!(report["skipped"], json!([]));
        assert_eq!(to.world.offset(0).await, Some(-1));
    }
}

async fn a_lost_response_sends_the_entries_again(service: Service) {
    let mut to = Destination::with(service, 3).await;
    to.api.next([Reply::Lose]);
    let report = to.skip_at_once().world.run().success();
    assert_eq!(report["messages_processed"], 3);
    assert_eq!(to.accepted(), [0, 1, 2, 0, 1, 2]);
}

async fn a_run_that_ends_in_the_middle_stores_what_was_accepted(service: Service) {
    let mut to = Destination::with(service, 25).await;
    to.api.next([Reply::Accept, Reply::After(Duration::from_secs(30))]);
    to.world.set("TIME_LIMIT", "3").run();
    assert_eq!(to.world.offset(0).await, Some(9));
    to.api.next([Reply::Accept]);
    to.world.set("TIME_LIMIT", "20").run().success();
    assert_eq!(to.world.offset(0).await, Some(24));
    let accepted: BTreeSet<i64> = to.accepted().into_iter().collect();
    assert_eq!(accepted, (0..25).collect());
}

async fn after_a_kill_every_record_was_accepted_at_least_once_and_in_order(service: Service) {
    let (partitions, each) = (4, 2_500_i64);
    let mut to = Destination::new(service, partitions).await;
    let records: Vec<Message> = (0..each).map(|n| Message::value(n.to_string())).collect();
    kafka::produce_to_each(&to.world.bootstrap, &to.world.topic, 0..partitions, &records);
    to.world.set("MAX_MESSAGES", "unlimited");
    let mut killed = to.world.start(&["run"]);
    while to.api.places().len() < 3_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    killed.kill().expect("it runs");
    killed.wait().expect("it ended");
    for partition in 0..partitions {
        to.world.end_the_claim(partition).await;
    }
    // After a crash the chunks are small: on a busy machine that takes more than one run.
    while to.world.run().success()["lag"] != 0 {}
    let places = to.api.places();
    for partition in 0..partitions {
        let offsets: Vec<i64> = places.iter().filter(|it| it.0 == partition).map(|it| it.1).collect();
        let distinct: BTreeSet<i64> = offsets.iter().copied().collect();
        assert!(distinct.into_iter().eq(0..each), "partition {partition} has a hole");
        // In order, but for the one point from which the second run sends again.
        let back = offsets.windows(2).filter(|pair| pair[0] >= pair[1]).count();
        assert!(back <= 1, "partition {partition}: {back}");
    }
}

macro_rules! conformance {
    ($name:ident, $service:expr, $($test:ident),+ $(,)?) => {
        mod $name {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test($service).await;
            })+
        }
    };
    ($($name:ident: $service:expr;)+) => {
        $(conformance!($name, $service,
            accepted_entries_settle_their_records,
            entries_refused_for_now_are_sent_again_in_order_before_later_ones,
            an_entry_that_can_never_be_accepted_fails_alone,
            without_a_policy_an_entry_that_can_never_be_accepted_blocks_its_partition,
            a_call_that_is_throttled_counts_no_attempt,
            a_service_that_throttles_for_the_whole_run_fails_it_and_skips_nothing,
            a_service_that_refuses_every_call_stops_the_topic_and_skips_nothing,
            a_lost_response_sends_the_entries_again,
            a_run_that_ends_in_the_middle_stores_what_was_accepted,
            after_a_kill_every_record_was_accepted_at_least_once_and_in_order,
        );)+
    };
}

conformance! {
    sqs: Service::Sqs;
    sns: Service::Sns;
    eventbridge: Service::EventBridge;
}

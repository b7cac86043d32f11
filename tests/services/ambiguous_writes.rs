//! Writes whose response is lost, and a table that throttles every request.
//!
//! The requests to the table go through a proxy. With one partition their order is fixed: one query,
//! a write for the claim, and one at the end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::world::{Ran, World};

/// The attempts of the SDK client per request.
const ATTEMPTS: usize = 3;

/// The number of records in each partition.
const WAITING: i64 = 40;

/// A world of one partition behind a proxy.
async fn behind_a_proxy(partitions: i32) -> (World, Scripted) {
    let mut world = World::new("ambiguous", partitions).await;
    for partition in 0..partitions {
        world.produce(partition, 40);
    }
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    (world, proxy)
}

/// Runs a command on a separate thread, while the proxy serves it.
fn run(world: &World) -> Ran {
    tokio::task::block_in_place(|| world.run())
}

/// The requests of a run on one partition, in order.
#[derive(Debug, Clone, Copy)]
enum Request {
    Claim = 1,
    /// Only after a crash: then progress is stored after each chunk.
    Interim = 2,
    Final = 3,
}

/// A run whose proxy forwards all requests before `request`, and then does `acts` with its attempts.
async fn disturbed(request: Request, acts: &[Act]) -> (World, Ran) {
    let (world, proxy) = behind_a_proxy(1).await;
    world.leave_a_crash_behind(0, WAITING).await;
    proxy.next(vec![Act::Forward; request as usize]);
    proxy.next(acts.iter().cloned());
    let ran = run(&world);
    assert_eq!(proxy.left(), 0, "{request:?}, {acts:?}: {ran:?}");
    (world, ran)
}

/// The run succeeds although `acts` happened to `request`.
async fn succeeds_despite(request: Request, acts: &[Act]) {
    let (world, ran) = disturbed(request, acts).await;
    let report = ran.success();
    assert_eq!(report["last_offsets"], json!({"0": WAITING - 1}), "{acts:?}");
    assert_eq!(ran.logged_ranges(), [(0, WAITING - 1)], "{acts:?}");
    let item = world.item(0).await;
    for removed in ["claim_until", "crashes", "fail_offset"] {
        assert!(!item.contains_key(removed), "{item:?}");
    }
    let next = run(&world);
    assert_eq!(next.success()["messages_processed"], 0, "{acts:?}");
    assert_eq!(world.item(0).await, item, "{acts:?}");
}

/// The write is applied: the client's second attempt shows that; if every response is lost, one read does.
async fn may_lose_its_response(request: Request) {
    succeeds_despite(request, &[Act::ForwardAndHangUp]).await;
    succeeds_despite(request, &vec![Act::ForwardAndHangUp; ATTEMPTS]).await;
}

/// The write is not applied: the client repeats it, and after the client's last attempt the run does.
async fn may_get_lost(request: Request) {
    succeeds_despite(request, &[Act::HangUp]).await;
    succeeds_despite(request, &vec![Act::HangUp; ATTEMPTS]).await;
}

/// P3: a run works on a partition only with a claim on its cursor.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_was_applied_without_a_response_is_used() {
    may_lose_its_response(Request::Claim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_was_lost_is_written_again() {
    may_get_lost(Request::Claim).await;
}

/// P1: a cursor moves only past records that were settled, in order, without a hole.
#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_was_applied_without_a_response_is_continued_from() {
    may_lose_its_response(Request::Interim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_was_lost_before_the_table_is_written_again() {
    may_get_lost(Request::Interim).await;
}

/// P2: a cursor moves back only by an operator, or by `ON_TRUNCATION`.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_write_that_was_applied_without_a_response_counts_and_nothing_is_repeated() {
    may_lose_its_response(Request::Final).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_write_that_was_lost_is_written_again() {
    may_get_lost(Request::Final).await;
}

/// A run that is interrupted before the response to its claim: it only has to release the claim.
/// The proxy does `acts` with the attempts of the release.
async fn releases_its_claim(acts: &[Act]) -> (World, Ran) {
    let (world, proxy) = behind_a_proxy(1).await;
    let release = Arc::new(Notify::new());
    proxy.next([Act::Forward, Act::ForwardAndHold(Arc::clone(&release))]);
    proxy.next(acts.iter().cloned());
    let mut run = world.unread(&[]);
    world.wait_for_the_claim(0).await;
    run.signal("TERM");
    run.read_until("stopping").await;
    release.notify_one();
    let ran = run.finish().await;
    assert_eq!(proxy.left(), 0, "{acts:?}: {ran:?}");
    let report = ran.success();
    assert_eq!(
        (&report["stop_reason"], &report["messages_processed"]),
        (&json!("interrupted"), &json!(0))
    );
    (world, ran)
}

/// P7: a run ends before its deadline, with what is settled stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_progress_is_released_even_if_the_first_response_is_lost() {
    let all_lost = vec![Act::ForwardAndHangUp; ATTEMPTS];
    for acts in [&[][..], &[Act::ForwardAndHangUp], &[Act::HangUp], &all_lost] {
        let (world, _) = releases_its_claim(acts).await;
        assert!(!world.item(0).await.contains_key("claim_until"), "{acts:?}");
        assert_eq!(run(&world).success()["messages_processed"], WAITING);
    }
}

/// P1: a cursor moves only past records that were settled.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_cannot_be_released_expires_and_the_run_logs_it() {
    let (world, ran) = releases_its_claim(&vec![Act::HangUp; 2 * ATTEMPTS]).await;
    assert!(ran.stderr.contains("could not be released"), "{}", ran.stderr);
    assert_eq!(run(&world).success()["held"][0]["partition"], 0);
    world.end_the_claim(0).await;
    assert_eq!(run(&world).success()["messages_processed"], WAITING);
}

fn throttled() -> Act {
    let code = "ProvisionedThroughputExceededException";
    Act::error(
        400,
        code,
        "The level of configured provisioned throughput for the table was exceeded.",
    )
}

/// P7: a run ends before its deadline, with what is settled stored.
#[tokio::test(flavor = "multi_thread")]
async fn temporary_throttling_and_server_errors_fail_no_run() {
    let (world, proxy) = behind_a_proxy(1).await;
    let busy = [
        throttled(),
        Act::error(400, "ThrottlingException", "slow down"),
        Act::error(500, "InternalServerError", "oops"),
        Act::Respond(503, "<html>Service Unavailable</html>".to_owned()),
        Act::error(400, "RequestLimitExceeded", "slow down"),
        throttled(),
    ];
    // Each of query, claim and last write meets two of them.
    for pair in busy.chunks(2) {
        proxy.next(pair.iter().cloned().chain([Act::Forward]));
    }
    let ran = run(&world);
    assert_eq!(ran.success()["last_offsets"], json!({"0": WAITING - 1}), "{ran:?}");
    assert_eq!(proxy.left(), 0);
    assert!(ran.took < Duration::from_secs(10), "{:?}", ran.took);
}

/// More than any run uses up.
const FOR_EVER: usize = 10_000;

/// P6: when the table cannot be read, nothing is read from Kafka.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_throttles_every_request_fails_the_run_within_seconds() {
    let (world, proxy) = behind_a_proxy(1).await;
    proxy.next(vec![throttled(); FOR_EVER]);
    let ran = run(&world);
    let message = ran.failure("TableUnreachable", 1)["error"]["message"].to_string();
    assert!(message.contains("throttled"), "{message}");
    assert!(ran.took < Duration::from_secs(10), "{:?}", ran.took);
    assert!(ran.logged_offsets().is_empty());
}

/// P3: a run works on a partition only with a claim on its cursor.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_throttles_every_write_fails_the_run_within_seconds_before_any_record() {
    let (mut world, proxy) = behind_a_proxy(20).await;
    proxy.next([Act::Forward]);
    proxy.next(vec![throttled(); FOR_EVER]);
    let ran = run(&world);
    let report = ran.failure("TableUnreachable", 1);
    assert_eq!(
        (&report["messages_processed"], &report["lag"]),
        (&json!(0), &json!(20 * WAITING))
    );
    assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
    assert!(ran.logged_offsets().is_empty());
    world.set("AWS_ENDPOINT_URL_DYNAMODB", world.endpoint.clone());
    assert_eq!(run(&world).success()["messages_processed"], 20 * WAITING);
}

/// What was processed cannot be stored: the run fails, and the next one reads it again.
async fn cannot_be_stored(world: &mut World, proxy: &Scripted, act: Act) -> Ran {
    proxy.next([Act::Forward, Act::Forward]);
    proxy.next(vec![act; FOR_EVER]);
    let ran = run(world);
    let report = ran.failure("TableUnreachable", 1);
    assert_eq!(report["last_offsets"], json!({}));
    assert_eq!(ran.logged_ranges(), [(0, WAITING - 1)]);
    assert_eq!(world.offset(0).await, Some(-1));
    world.set("AWS_ENDPOINT_URL_DYNAMODB", world.endpoint.clone());
    assert_eq!(run(world).success()["held"][0]["partition"], 0);
    world.end_the_claim(0).await;
    assert_eq!(run(world).logged_ranges(), [(0, WAITING - 1)]);
    assert_eq!(world.offset(0).await, Some(WAITING - 1));
    ran
}

/// P1: a run that dies repeats what it had not stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_write_that_is_always_throttled_fails_the_run_and_loses_nothing() {
    let (mut world, proxy) = behind_a_proxy(1).await;
    let ran = cannot_be_stored(&mut world, &proxy, throttled()).await;
    assert!(ran.took < Duration::from_secs(10), "{:?}", ran.took);
}

/// P1: a run that dies repeats what it had not stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_write_whose_result_stays_unknown_fails_the_run_and_loses_nothing() {
    let (mut world, proxy) = behind_a_proxy(1).await;
    let ran = cannot_be_stored(&mut world, &proxy, Act::HangUp).await;
    assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
}

/// P7: a run ends before its deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_stops_responding_does_not_keep_a_run_past_its_deadline() {
    let (mut world, proxy) = behind_a_proxy(1).await;
    world.set("TIME_LIMIT", 3);
    let ran = cannot_be_stored(&mut world, &proxy, Act::Silence).await;
    // The time limit, and the start of a process.
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
}

//! Backfills through the function.

use serde_json::json;

use super::start;
use crate::support::runtime_api::envelope;
use crate::support::world::World;

#[tokio::test]
async fn a_backfill_that_does_not_fit_into_one_invocation_is_continued_by_the_next_ones() {
    let mut world = World::new("lambdafill", 2).await;
    world.set("MAX_MESSAGES", 4);
    world.produce(0, 6);
    world.produce(1, 4);
    world.put_offset(0, 5).await;
    world.put_offset(1, 3).await;
    let live = [world.item(0).await, world.item(1).await];
    let mut function = start(&world);
    let event = json!({"action": "backfill", "name": "fix-42", "from": "earliest"});
    let mut reports = vec![];
    for event in [
        event.clone(),
        envelope("aws.scheduler", &json!(event.to_string())),
        event.clone(),
    ] {
        let invocation = function.invoke(&event);
        let report = invocation.success();
        assert_eq!(report["backfill"], "fix-42");
        reports.push((
            report["messages_processed"].as_u64(),
            report["done"].as_bool(),
            report["lag"].as_u64(),
        ));
    }
    assert_eq!(
        reports,
        [
            (Some(4), Some(false), Some(6)),
            (Some(4), Some(false), Some(2)),
            (Some(2), Some(true), Some(0)),
        ]
    );
    // A backfill that is done writes nothing; new records do not belong to it.
    world.produce(0, 3);
    let before = world.table.items().await;
    let again = function.invoke(&event);
    assert_eq!(
        (&again.success()["done"], &again.success()["messages_processed"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(world.table.items().await, before);
    assert_eq!([world.item(0).await, world.item(1).await], live);
    // The next tick reads the new records.
    let tick = function.invoke(&json!({}));
    assert_eq!(tick.success()["messages_processed"], 3);
    assert!(tick.success().get("done").is_none());
}

#[tokio::test]
async fn its_metrics_are_not_those_of_the_group() {
    let world = World::new("lambdametrics", 1).await;
    world.produce(0, 6);
    let event = json!({"action": "backfill", "name": "b", "from": "earliest", "max_messages": 2});
    let invocation = start(&world).invoke(&event);
    assert_eq!(invocation.success()["lag"], 4);
    let metrics: Vec<_> = invocation.stdout.iter().filter(|line| line.contains("_aws")).collect();
    assert_eq!(metrics.len(), 1, "{metrics:?}");
    let line: serde_json::Value = serde_json::from_str(metrics[0]).expect("JSON");
    assert_eq!(
        (&line["Topic"], &line["OffsetLag"]),
        (&json!(format!("{}#b", world.topic)), &json!(4))
    );
}

#[tokio::test]
async fn a_request_that_contradicts_the_stored_one_fails_the_invocation_and_reads_nothing() {
    let world = World::new("lambdaother", 1).await;
    world.produce(0, 6);
    let mut function = start(&world);
    let event = |more: serde_json::Value| {
        let mut event = json!({"action": "backfill", "name": "b", "from": "earliest"});
        let fields = more.as_object().expect("an object").clone();
        event.as_object_mut().expect("an object").extend(fields);
        event
    };
    function.invoke(&event(json!({"to": {"0": 3}}))).success();
    for (more, expected) in [
        (json!({"to": "latest"}), "`to` was {\"0\":3} and is \"latest\" now"),
        (json!({"topic": "nowhere"}), "`topic` is \"nowhere\""),
        (json!({"name": "c", "partitions": [0, 8]}), "partition 8 is requested"),
        (json!({"name": "a b"}), "`name` is \"a b\""),
        (json!({"from": null}), "`from` is missing"),
    ] {
        let invocation = function.invoke(&event(more));
        let message = invocation.failure("InvalidEvent");
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(world.table.items().await.len(), 1);
}

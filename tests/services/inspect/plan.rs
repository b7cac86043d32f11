//! `plan`: the number of runs, and partitions that do not exist.

use serde_json::json;

use super::last_line;
use crate::support::world::World;

#[tokio::test]
async fn the_number_of_runs_in_the_plan_catches_up_and_no_fewer_do() {
    let mut world = World::new("runs", 3).await;
    world.set("MAX_MESSAGES", 10);
    for (partition, count) in [(0, 33), (1, 1), (2, 9)] {
        world.produce(partition, count);
    }
    world.put_offset(0, 2).await;
    let planned = |world: &World| world.ran(&["plan", "--output", "json"]).json()["runs_to_catch_up"].clone();
    let runs = planned(&world).as_u64().expect("a number");
    assert_eq!(runs, 4, "40 records by 10");
    assert!(
        world
            .ran(&["plan"])
            .stdout
            .starts_with("a run would read up to 10 records · 4 runs to catch up\n"),
        "as a table"
    );
    for left in (0..runs).rev() {
        let report = world.run().success();
        assert_eq!(report["lag"] == json!(0), left == 0, "{report}");
        assert_eq!(planned(&world), left);
    }
    assert!(
        world
            .ran(&["plan"])
            .stdout
            .starts_with("a run would read up to 0 records · nothing to read now\n")
    );
}

#[tokio::test]
async fn a_plan_for_an_unknown_partition_is_an_error() {
    let world = World::new("planned", 1).await;
    let ran = world.ran(&["plan", "--partition", "5"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(last_line(&ran).starts_with("InvalidEvent: partition 5 "), "{ran:?}");
}

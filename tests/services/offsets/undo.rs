//! `offsets undo`: swaps the cursor with the one that the last move replaced.

use serde_json::json;

use crate::support::kafka;
use crate::support::table::number;
use crate::support::world::World;

async fn at_five_of_ten() -> World {
    let world = World::new("undo", 2).await;
    world.produce(0, 10);
    world.put_offset(0, 4).await;
    world.put_offset(1, -1).await;
    world
}

/// P11: each move can be undone.
#[tokio::test]
async fn undo_reverts_a_reset_and_a_second_undo_redoes_it() {
    let world = at_five_of_ten().await;
    world
        .offsets(&["reset", "--to-offset", "9", "--partition", "0", "--execute"])
        .row(0);
    let dry = world.offsets(&["undo"]);
    assert_eq!(dry.column("new_offset"), [json!(5), json!(null)]);
    assert_eq!(dry.column("outcome"), ["would_move", "nothing_to_undo"]);
    assert_eq!(world.offset(0).await, Some(8), "a dry run writes nothing");
    let undone = world.offsets(&["undo", "--execute"]);
    assert_eq!(undone.column("outcome"), ["moved", "nothing_to_undo"]);
    assert_eq!(world.offset(0).await, Some(4));
    world.offsets(&["undo", "--execute"]).row(0);
    assert_eq!(world.offset(0).await, Some(8));
    world.offsets(&["undo", "--execute"]).row(0);
    assert_eq!(world.offset(0).await, Some(4));
    let next = world.run();
    next.success();
    assert_eq!(next.logged_ranges(), [(5, 9)]);
}

#[tokio::test]
async fn undo_after_progress_reverts_the_reset_and_a_redo_restores_the_progress() {
    let world = at_five_of_ten().await;
    world
        .offsets(&["reset", "--to-offset", "7", "--partition", "0", "--execute"])
        .row(0);
    assert_eq!(world.run().success()["last_offsets"], json!({"0": 9}));
    world.offsets(&["undo", "--execute"]).row(0);
    assert_eq!(world.offset(0).await, Some(4));
    world.offsets(&["undo", "--execute"]).row(0);
    assert_eq!(world.offset(0).await, Some(9), "the offset that the undo had replaced");
}

#[tokio::test]
async fn undo_of_a_first_cursor_moves_it_to_where_a_run_would_have_started() {
    let world = World::new("undofirst", 1).await;
    world.produce(0, 4);
    world.offsets(&["reset", "--to-latest", "--execute"]).row(0);
    world.offsets(&["undo", "--execute"]).row(0);
    assert_eq!(world.offset(0).await, Some(-1));
    assert_eq!(world.run().success()["messages_processed"], 4);
}

#[tokio::test]
async fn undo_without_a_previous_move_reports_that_and_writes_nothing() {
    let world = at_five_of_ten().await;
    let before = world.table.items().await;
    let ran = world.ran(&["offsets", "undo"]);
    assert_eq!(
        (ran.code, ran.stdout.lines().last()),
        (Some(0), Some("there is nothing to change"))
    );
    let ran = world.ran(&["offsets", "undo", "--execute"]);
    assert_eq!(
        (ran.code, ran.stdout.lines().last()),
        (Some(0), Some("changed: 0 of 2"))
    );
    assert!(ran.stdout.contains("nothing to undo"), "{ran:?}");
    assert_eq!(world.table.items().await, before);
}

#[tokio::test]
async fn undo_restores_a_position_that_the_log_no_longer_has_with_a_note() {
    let world = at_five_of_ten().await;
    world
        .offsets(&["reset", "--to-latest", "--partition", "0", "--execute"])
        .row(0);
    kafka::delete_records(&world.bootstrap, &world.topic, 0, 7);
    let ran = world.offsets(&["undo", "--execute", "--partition", "0"]);
    assert_eq!(ran.row(0)["new_offset"], 5);
    let note = ran.row(0)["note"].to_string();
    assert!(
        note.contains("below the earliest offset (7)") && note.contains("ON_RETENTION_LOSS"),
        "{note}"
    );
    assert_eq!(number(&world.item(0).await, "offset"), 4);
    let report = world.run().success();
    assert_eq!(report["lost"][0]["first_offset"], 5);
}

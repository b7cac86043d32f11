//! `offsets delete`: its dry run, the deleted items, and undo.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::table::number;
use crate::support::world::World;

/// Two partitions of five records, read to the end; an attribute of another program on the first item.
async fn read_to_the_end() -> World {
    let world = World::new("delete", 2).await;
    world.produce(0, 5);
    world.produce(1, 5);
    world.run().success();
    let id = world.consumer_id();
    world
        .table
        .set_attribute(&id, 0, "mine", AttributeValue::S("kept".into()))
        .await;
    world
}

#[tokio::test]
async fn a_dry_run_shows_where_the_next_run_would_start_and_changes_nothing() {
    let mut world = read_to_the_end().await;
    let before = world.table.items().await;
    let ran = world.offsets(&["delete", "--all"]);
    assert_eq!(ran.column("outcome"), ["would_delete", "would_delete"]);
    assert_eq!(
        (ran.column("current_offset"), ran.column("new_offset")),
        (vec![json!(5); 2], vec![json!(0); 2])
    );
    assert_eq!(ran.row(0)["note"], "the next run starts at 0, by START_POSITION");
    let shown = world.ran(&["offsets", "delete", "--all"]);
    assert_eq!(
        shown.stdout.lines().last(),
        Some("nothing was changed; repeat with --execute")
    );
    world.set("START_POSITION", "latest");
    let both = world.offsets(&["delete", "--all"]);
    assert_eq!(both.row(1)["note"], "the next run starts at the end");
    let highest = world.offsets(&["delete", "--partition", "1"]);
    let row = highest.rows()[0].clone();
    assert_eq!(row["new_offset"], 0, "{row}");
    assert!(
        row["note"].to_string().contains("treats it as a new partition"),
        "{row}"
    );
    assert_eq!(world.table.items().await, before);
}

#[tokio::test]
async fn a_delete_requires_a_selection_of_cursors() {
    let world = World::new("deletewhich", 1).await;
    assert_eq!(world.ran(&["offsets", "delete", "--execute"]).code, Some(2));
    assert_eq!(
        world.ran(&["offsets", "delete", "--all", "--partition", "0"]).code,
        Some(2)
    );
    let ran = world.offsets(&["delete", "--partition", "0", "--execute"]);
    assert_eq!(ran.row(0)["outcome"], "no_cursor");
}

/// P11: each move can be undone.
#[tokio::test]
async fn undo_restores_a_deleted_cursor_with_all_its_attributes() {
    let world = read_to_the_end().await;
    let (first, second) = (world.item(0).await, world.item(1).await);
    let ran = world.offsets(&["delete", "--partition", "0", "--execute"]);
    assert_eq!(ran.row(0)["outcome"], "deleted");
    assert_eq!((world.offset(0).await, world.item(1).await), (None, second));
    let dry = world.offsets(&["undo"]);
    assert_eq!(dry.column("outcome"), ["would_restore", "nothing_to_undo"]);
    assert_eq!(world.offset(0).await, None, "a dry run writes nothing");
    assert_eq!(world.offsets(&["undo", "--execute"]).column("outcome")[0], "restored");
    let mut back = world.item(0).await;
    back.remove("command_id").expect("the command's id");
    assert_eq!(back, first);
    assert_eq!(world.run().success()["messages_processed"], 0);
    assert_eq!(
        world.offsets(&["undo"]).column("outcome"),
        ["nothing_to_undo", "nothing_to_undo"]
    );
}

#[tokio::test]
async fn after_a_delete_a_run_starts_over_and_an_undo_restores_the_deleted_offset() {
    let world = read_to_the_end().await;
    world.offsets(&["delete", "--partition", "0", "--execute"]).row(0);
    world.produce(0, 2);
    let next = world.run();
    next.success();
    assert_eq!(next.logged_ranges(), [(0, 6)]);
    let undone = world.offsets(&["undo", "--partition", "0", "--execute"]);
    assert_eq!(
        (&undone.row(0)["outcome"], &undone.row(0)["note"]),
        (&json!("moved"), &json!("the offset of the deleted cursor"))
    );
    assert_eq!(world.offset(0).await, Some(4));
    world.offsets(&["undo", "--partition", "0", "--execute"]).row(0);
    assert_eq!(world.offset(0).await, Some(6), "the offset that the undo had replaced");
}

#[tokio::test]
async fn the_copy_of_a_deleted_cursor_is_no_backfill() {
    let world = read_to_the_end().await;
    world.offsets(&["delete", "--all", "--execute"]).row(0);
    let listed = world.ran(&["backfill", "list", "--output", "json"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(!listed.stdout.contains("deleted"), "{listed:?}");
}

/// A cursor of a partition that the topic does not have.
#[tokio::test]
async fn a_run_advises_to_delete_the_cursor_of_a_removed_partition_and_succeeds_afterwards() {
    let world = World::new("orphan", 1).await;
    world.produce(0, 3);
    world.put_offset(7, 5).await;
    let orphan = world.item(7).await;
    let report = world.run().failure("Truncated", 3);
    let message = report["error"]["message"].to_string();
    assert!(
        message.contains("kafka-consumer offsets delete") && !message.contains("ON_TRUNCATION"),
        "{message}"
    );
    let ran = world.offsets(&["delete", "--partition", "7", "--execute"]);
    assert_eq!(ran.rows()[0]["outcome"], "deleted", "{ran:?}");
    assert!(ran.rows()[0]["note"].to_string().contains("no run reads it"), "{ran:?}");
    world.run().success();
    let undone = world.offsets(&["undo", "--partition", "7", "--execute"]);
    assert_eq!(undone.rows()[0]["outcome"], "restored", "{undone:?}");
    let mut back = world.item(7).await;
    back.remove("command_id");
    assert_eq!(back, orphan);
}

/// P11: a cursor that a live run has claimed is left alone, and named.
#[tokio::test]
async fn a_cursor_under_a_live_claim_is_not_deleted() {
    let world = read_to_the_end().await;
    let until = jiff::Timestamp::now().as_millisecond() + 60_000;
    let id = world.consumer_id();
    let claim = AttributeValue::N(until.to_string());
    world.table.set_attribute(&id, 0, "claim_until", claim).await;
    for execute in [&[][..], &["--execute"]] {
        let ran = world.offsets(&[&["delete", "--partition", "0"], execute].concat());
        ran.refused("Held", 1);
        assert_eq!(ran.column("until"), [json!(until)]);
    }
    assert_eq!(world.offset(0).await, Some(4));
}

/// P11: a cursor that has changed since it was read is left alone, and named.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_changes_before_it_is_deleted_is_kept() {
    let mut world = read_to_the_end().await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let release = std::sync::Arc::new(tokio::sync::Notify::new());
    proxy.next([
        Act::Forward,
        Act::Forward,
        Act::HoldAndForward(std::sync::Arc::clone(&release)),
    ]);
    let deleting = world.clone();
    let deleting = tokio::task::spawn_blocking(move || deleting.offsets(&["delete", "--partition", "0", "--execute"]));
    while proxy.left() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    world.table.update_offset(&world.consumer_id(), 0, 2).await;
    release.notify_one();
    let ran = deleting.await.expect("it ends");
    ran.refused("Held", 1);
    assert_eq!(ran.column("outcome"), ["changed"]);
    assert_eq!(number(&world.item(0).await, "offset"), 2);
    assert_eq!(world.table.items().await.len(), 2, "no copy is left");
}

/// P11: a command recognises its own write.
#[tokio::test(flavor = "multi_thread")]
async fn a_delete_whose_responses_were_lost_is_recognised() {
    for attempts in [1, 3] {
        let mut world = read_to_the_end().await;
        let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
        world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
        proxy.next([Act::Forward, Act::Forward]);
        proxy.next(vec![Act::ForwardAndHangUp; attempts]);
        let ran = tokio::task::block_in_place(|| world.offsets(&["delete", "--partition", "0", "--execute"]));
        assert_eq!(ran.row(0)["outcome"], "deleted", "{ran:?}");
        assert_eq!(world.offset(0).await, None);
    }
}

#[tokio::test]
async fn an_item_of_another_group_with_the_same_key_is_not_deleted() {
    let world = read_to_the_end().await;
    let theirs = AttributeValue::S("theirs".into());
    world
        .table
        .set_attribute(&world.consumer_id(), 0, "topic", theirs)
        .await;
    let ran = world.offsets(&["delete", "--partition", "0", "--execute"]);
    ran.refused("InvalidCursor", 1);
    assert_eq!(world.offset(0).await, Some(4));
}

#[tokio::test]
async fn an_item_that_is_no_cursor_can_be_deleted_and_restored() {
    let world = read_to_the_end().await;
    let id = world.consumer_id();
    let text = AttributeValue::S("5".into());
    world.table.set_attribute(&id, 0, "offset", text.clone()).await;
    world.offsets(&["delete", "--partition", "0", "--execute"]).row(0);
    assert_eq!(world.table.get_item(&id, 0).await, None);
    world.offsets(&["undo", "--partition", "0", "--execute"]).row(0);
    assert_eq!(world.item(0).await.get("offset"), Some(&text));
}

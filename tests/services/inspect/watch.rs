//! `lag --watch`, without a terminal.

use std::time::Instant;

use serde_json::Value;

use crate::support::process;
use crate::support::world::{Ran, World};

#[tokio::test]
async fn a_watch_writes_a_document_per_interval_until_ctrl_c_also_after_the_table_is_deleted() {
    let world = World::new("watch", 1).await;
    world.produce(0, 3);
    let mut child = world.start(&["lag", "--watch", "1", "--output", "json"]);
    let mut lines = process::lines(child.stdout.take().expect("piped"));
    let mut document = || serde_json::from_str::<Value>(&lines.next().expect("another line")).expect("a document");
    assert_eq!(document()["lag"], 3);
    world.run().success();
    while document()["lag"] != 0 {}
    world.table.delete().await;
    while document()["errors"][0]["type"] != "TableNotFound" {}
    process::signal(child.id(), "INT");
    let ran = Ran::new(child.wait_with_output().expect("it ends"), Instant::now());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("TableNotFound: "), "{ran:?}");
}

#[tokio::test]
async fn a_watch_without_a_terminal_appends_tables_with_the_time_and_the_rate() {
    let world = World::new("watched", 1).await;
    world.produce(0, 3);
    let mut child = world.start(&["lag", "--watch", "1"]);
    let mut lines = process::lines(child.stdout.take().expect("piped"));
    let mut sums = || loop {
        let line = lines.next().expect("another line");
        if line.contains(" lag ") && line.contains("partition:") {
            return line;
        }
    };
    assert!(sums().ends_with("  lag 3 · 1 partition: 1 new"));
    world.produce(0, 3_000);
    let mut line = sums();
    while !line.contains("(+") {
        line = sums();
    }
    assert!(
        line.ends_with("/s) · 1 partition: 1 new") && !line.contains('\u{1b}'),
        "{line}"
    );
    process::signal(child.id(), "TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

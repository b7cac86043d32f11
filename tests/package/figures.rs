//! Measures the figures of the documentation. Not a test: run `PACKAGES=target/packages cargo test --all-features
//! --test package -- --ignored --nocapture`, on an idle machine.

use std::time::Duration;

use serde_json::json;

use crate::packages::Package;
use crate::starts::{peak_kb, processor_time};
use crate::support::kafka::values;
use crate::support::services::print;
use crate::support::world::World;

const PARTITIONS: i32 = 8;
const RECORDS_A_PARTITION: usize = 25_000;
const RECORDS: u32 = 200_000;
const RECORD_BYTES: usize = 1_000;

#[tokio::test]
#[ignore = "a measurement of a minute without assertions of its figures"]
async fn the_work_for_each_record_is_printed() {
    let padding = "x".repeat(RECORD_BYTES - 20);
    let records = values((0..RECORDS_A_PARTITION).map(|n| format!(r#"{{"n":{n:>6},"p":"{padding}"}}"#)));
    for destination in ["discard", "log"] {
        let mut world = World::new("figures", PARTITIONS).await;
        world.set("DESTINATION", destination).set("MAX_MESSAGES", "unlimited");
        let mut function = Package::Static.start(&world);
        function.invoke(&json!({})).success();
        (0..PARTITIONS).for_each(|partition| world.produce_these(partition, &records));
        let before = processor_time(function.pid());
        let invocation = function.invoke(&json!({}));
        assert_eq!(invocation.success()["messages_processed"], RECORDS);
        let (wall, processor) = (
            invocation.duration,
            processor_time(function.pid()).saturating_sub(before),
        );
        let rate = |time: Duration| f64::from(RECORDS) / time.as_secs_f64();
        print(&format!(
            "{destination}: {RECORDS} records of {RECORD_BYTES} bytes in {:.2} s ({:.0} a second), {:.2} s of a processor \
             ({:.0} a second of it), {} MB of memory, {} bytes of log",
            wall.as_secs_f64(),
            rate(wall),
            processor.as_secs_f64(),
            rate(processor),
            peak_kb(function.pid()) / 1024,
            invocation.stdout.iter().map(String::len).sum::<usize>(),
        ));
    }
}

//! The function of a crate of one's own, packaged with `HANDLER=examples/handler`.

use serde_json::{Value, json};

use crate::packages::Package;
use crate::support::kafka::values;
use crate::support::world::World;

#[tokio::test]
async fn the_packaged_function_of_another_crate_calls_its_handler() {
    let world = World::new("handler", 1).await;
    world.produce_these(0, &values([r#"{"quantity":2}"#, r#"{"quantity":3}"#]));
    let mut function = Package::Handler.start(&world);
    let invocation = function.invoke(&json!({"action": "run"}));
    assert_eq!(invocation.success()["messages_processed"], 2);
    let lines = invocation
        .stdout
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let received = lines.filter(|line| line["message"] == "order received");
    let quantities: Vec<_> = received.map(|line| line["order.quantity"].clone()).collect();
    assert_eq!(quantities, [json!(2), json!(3)]);
    assert_eq!(world.offset(0).await, Some(1));
}

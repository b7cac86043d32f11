//! The requests of the function to AWS, for a comparison with the permissions of its role: `tests/deploy/test_package.py`.

use std::collections::BTreeSet;
use std::fs;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use serde_json::{Value, json};

use crate::kafka::with_secrets;
use crate::packages::{Package, folder};
use crate::support::entry_api::{EntryApi, Service};
use crate::support::function_api::{FunctionApi, Reply, arn};
use crate::support::kafka::values;
use crate::support::scripted_dynamodb::{Act, Scripted};
use crate::support::sqs::{self, Queue};
use crate::support::world::World;

/// The attempts of the program's client per request.
const ATTEMPTS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_all_kinds_of_runs_are_recorded() {
    let notes = [
        ("dynamodb", table().await),
        ("dynamodb", items().await),
        ("sqs", queue().await),
        ("secretsmanager", secrets().await),
        ("lambda", functions().await),
        ("sns", entries(Service::Sns).await),
        ("eventbridge", entries(Service::EventBridge).await),
    ];
    let notes = notes
        .iter()
        .flat_map(|(service, operations)| operations.iter().map(move |operation| format!("{service}:{operation}")));
    let notes: BTreeSet<_> = notes.collect();
    fs::write(folder().join("requests.json"), json!(notes).to_string()).expect("a file");
}

/// The requests to the table: start positions, claims, progress, and the check of a write without a response.
async fn table() -> BTreeSet<String> {
    let mut world = World::new("requests", 2).await;
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    world
        .set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint)
        .set("START_POSITION", "latest");
    tokio::task::block_in_place(|| {
        let mut function = Package::Static.start(&world);
        function.invoke(&json!({})).success();
        world.produce(0, 3);
        for event in [
            json!({"action": "plan"}),
            json!({"action": "run"}),
            json!({"action": "backfill", "name": "again", "from": "earliest"}),
        ] {
            function.invoke(&event).success();
        }
        world.produce(0, 3);
        proxy.next([vec![Act::Forward], vec![Act::ForwardAndHangUp; ATTEMPTS]].concat());
        function.invoke(&json!({})).success();
    });
    for body in proxy.take_bodies() {
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let key = [
            &body["Key"]["consumer_id"]["S"],
            &body["ExpressionAttributeValues"][":key"]["S"],
        ];
        let key = key.iter().find_map(|key| key.as_str()).expect("the key of the items");
        // The role has no permission on others.
        assert!(key.starts_with(&format!("{}_", world.group)), "{body}");
        assert_eq!(body["TableName"], *world.table.name);
    }
    proxy.take_operations().into_iter().collect()
}

/// The requests to a destination table, beside those to the table of cursors.
async fn items() -> BTreeSet<String> {
    let mut world = World::new("requests", 1).await;
    let table = world.table.name.clone() + "-items";
    let create = world.table.client.create_table().table_name(&table);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let kind = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S);
    let create = create.billing_mode(BillingMode::PayPerRequest);
    let create = create.key_schema(key.build().expect("a key"));
    let create = create.attribute_definitions(kind.build().expect("a type"));
    create.send().await.expect("the table can be made");
    let proxy = Scripted::start(world.endpoint.trim_start_matches("http://")).await;
    let arn = format!("arn:aws:dynamodb:us-east-1:123456789012:table/{table}");
    world
        .set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint)
        .set("DESTINATION", &arn);
    world.produce_these(0, &values([r#"{"id":"a"}"#, r#"{"id":"b"}"#]));
    let invocation = tokio::task::block_in_place(|| Package::Static.start(&world).invoke(&json!({})));
    assert_eq!(invocation.success()["messages_processed"], 2);
    let bodies = proxy.take_bodies().into_iter();
    let tables: BTreeSet<String> = bodies
        .filter_map(|body| {
            serde_json::from_str::<Value>(&body).ok()?["TableName"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(tables, BTreeSet::from([arn, world.table.name.clone()]));
    proxy.take_operations().into_iter().collect()
}

/// The requests to a queue of dead letters.
async fn queue() -> BTreeSet<String> {
    let mut world = World::new("requests", 1).await;
    let queue = Queue::create("requests").await;
    let proxy = Scripted::start(sqs::endpoint().trim_start_matches("http://")).await;
    world
        .set("AWS_ENDPOINT_URL_SQS", &proxy.endpoint)
        .set("ON_FAILURE", &queue.arn);
    world.produce_these(0, &values(["no JSON"]));
    let invocation = tokio::task::block_in_place(|| Package::Static.start(&world).invoke(&json!({})));
    assert_eq!(invocation.success()["dead_lettered"], 1);
    proxy.take_operations().into_iter().collect()
}

/// The requests to Secrets Manager.
async fn secrets() -> BTreeSet<String> {
    let (mut world, secrets) = with_secrets("requests").await;
    let proxy = Scripted::start(secrets.endpoint.trim_start_matches("http://")).await;
    world.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &proxy.endpoint);
    let invocation = tokio::task::block_in_place(|| Package::Static.start(&world).invoke(&json!({})));
    assert_eq!(invocation.success()["messages_processed"], 3);
    proxy.take_operations().into_iter().collect()
}

/// The requests to a destination function. The API has no operation that a run needs beside this one.
async fn functions() -> BTreeSet<String> {
    let mut world = World::new("requests", 1).await;
    let api = FunctionApi::start();
    api.on("orders", |_| Reply::ok("null"));
    world
        .set("AWS_ENDPOINT_URL_LAMBDA", api.url())
        .set("DESTINATION", arn("orders"));
    world.produce(0, 3);
    let invocation = tokio::task::block_in_place(|| Package::Static.start(&world).invoke(&json!({})));
    assert_eq!(invocation.success()["messages_processed"], 3);
    assert_eq!(api.offsets("orders"), [vec![0, 1, 2]]);
    BTreeSet::from(["Invoke".to_owned()])
}

/// The requests to a service that takes entries.
async fn entries(service: Service) -> BTreeSet<String> {
    let mut world = World::new("requests", 1).await;
    let api = EntryApi::start(service);
    world.set("DESTINATION", api.arn()).set(api.variable(), api.endpoint());
    world.produce(0, 3);
    let invocation = tokio::task::block_in_place(|| Package::Static.start(&world).invoke(&json!({})));
    assert_eq!(invocation.success()["messages_processed"], 3);
    api.operations()
}

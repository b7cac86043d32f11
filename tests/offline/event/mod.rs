//! Events: every form that a schedule sends, every field, and the messages for invalid events.

mod arbitrary;
mod backfill;
mod json;
mod refusal;

use kafka_consumer_lambda::config::MessageLimit;
use kafka_consumer_lambda::event::{Request, RunRequest, Shard};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn run() -> RunRequest {
    RunRequest::default()
}

fn limit(number: u64) -> MessageLimit {
    number.to_string().parse().expect("a number is a limit")
}

fn shard(text: &str) -> Shard {
    text.parse().expect("a shard")
}

fn rule(detail: &Value) -> Value {
    json!({
        "version": "0", "id": "53dc4d37", "detail-type": "Scheduled Event", "source": "aws.events",
        "account": "123456789012", "time": "2026-11-01T06:00:00Z", "region": "eu-central-1",
        "resources": ["arn:aws:events:eu-central-1:123456789012:rule/every-minute"], "detail": detail,
    })
}

fn scheduler(detail: &Value) -> Value {
    let mut event = rule(detail);
    event["source"] = json!("aws.scheduler");
    event
}

#[track_caller]
fn refused(event: &Value) -> String {
    Request::from_event(event).expect_err("must be refused").to_string()
}

#[test]
fn each_event_of_a_schedule_is_a_run() {
    let beside_detail = json!({"source": "aws.events"});
    for event in [
        Value::Null,
        json!({}),
        rule(&json!({})),
        rule(&Value::Null),
        scheduler(&json!("{}")),
        scheduler(&json!("")),
        scheduler(&json!("null")),
        scheduler(&json!({})),
        beside_detail,
        json!({"source": "aws.scheduler", "detail-type": "Scheduled Event"}),
        json!({"source": "my.app", "detail-type": "go", "detail": {}}),
        json!({"action": "run"}),
        json!({"action": null, "max_messages": null, "partitions": null, "shard": null}),
    ] {
        assert_eq!(Request::from_event(&event), Ok(Request::Run(run())), "{event}");
    }
}

#[test]
fn fields_are_read_from_the_event_from_its_detail_and_from_a_detail_as_text() {
    for (fields, expected) in [
        (json!({"action": "plan"}), Request::Plan(run())),
        (
            json!({"max_messages": 5}),
            Request::Run(RunRequest {
                max_messages: Some(limit(5)),
                ..run()
            }),
        ),
        (
            json!({"max_messages": "5"}),
            Request::Run(RunRequest {
                max_messages: Some(limit(5)),
                ..run()
            }),
        ),
        (
            json!({"action": "run", "max_messages": "unlimited"}),
            Request::Run(RunRequest {
                max_messages: Some(MessageLimit::Unlimited),
                ..run()
            }),
        ),
        (
            json!({"partitions": [7, 0, 7, 2_147_483_647]}),
            Request::Run(RunRequest {
                partitions: Some(vec![0, 7, 2_147_483_647]),
                ..run()
            }),
        ),
        (
            json!({"partitions": ["7", 0.0, 7.0], "max_messages": 1e3}),
            Request::Run(RunRequest {
                partitions: Some(vec![0, 7]),
                max_messages: Some(limit(1000)),
                ..run()
            }),
        ),
        (
            json!({"shard": "2/4"}),
            Request::Run(RunRequest {
                shard: Some(shard("2/4")),
                ..run()
            }),
        ),
        (
            json!({"action": "plan", "shard": "1/2", "partitions": [1, 2]}),
            Request::Plan(RunRequest {
                shard: Some(shard("1/2")),
                partitions: Some(vec![1, 2]),
                ..run()
            }),
        ),
    ] {
        let mut beside = rule(&json!({}));
        beside
            .as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        for event in [
            fields.clone(),
            rule(&fields),
            scheduler(&json!(fields.to_string())),
            beside,
        ] {
            assert_eq!(Request::from_event(&event).as_ref(), Ok(&expected), "{event}");
        }
    }
}

#[test]
fn an_event_of_aws_s_event_source_mapping_has_its_own_message() {
    let records = json!({"orders-0": [{"topic": "orders", "value": "c2VjcmV0"}]});
    for source in ["aws:kafka", "SelfManagedKafka"] {
        let event = json!({"eventSource": source, "bootstrapServers": "b:9092", "records": records});
        assert_eq!(
            refused(&event),
            format!(
                "the event contains records from an event source mapping (\"{source}\"); this function is started by \
                 a schedule and reads Kafka itself; remove the event source mapping"
            )
        );
    }
}

#[test]
fn long_values_and_names_are_cut() {
    let long = "x\n".repeat(100_000);
    for event in [
        json!({"action": long}),
        json!({"max_messages": long}),
        json!({"shard": long}),
        json!({"partitions": [long]}),
        json!({"partitions": {"x": long}}),
        json!({long.clone(): 1}),
        rule(&json!(long)),
        json!({"eventSource": long, "records": {}}),
    ] {
        let text = refused(&event);
        assert!(text.len() < 500 && text.lines().count() == 1, "{text}");
    }
}

#[test]
fn each_partition_is_in_exactly_one_shard() {
    for text in [
        "",
        "/",
        "1",
        "1/",
        "/1",
        "0/1",
        "2/1",
        "1/0",
        "+1/2",
        "1/+2",
        " 1/2",
        "1/2/3",
        "-1/2",
        "a/b",
        "1/4294967296",
    ] {
        assert!(text.parse::<Shard>().is_err(), "{text:?}");
    }
    assert_eq!((shard("2/4").index(), shard("2/4").of()), (2, 4));
    assert!(
        [1, 5, 9, 13]
            .into_iter()
            .all(|partition| shard("2/4").contains(partition))
    );
    assert!(
        ![-3, 0, 2, 3, 4]
            .into_iter()
            .any(|partition| shard("2/4").contains(partition))
    );
}

#[test]
fn a_partition_must_be_in_both_partitions_and_shard() {
    let request = RunRequest {
        partitions: Some(vec![0, 1, 5]),
        shard: Some(shard("2/4")),
        ..run()
    };
    let included: Vec<i32> = (-1..10).filter(|partition| request.includes(*partition)).collect();
    assert_eq!(included, [1, 5]);
    assert!((0..10).all(|partition| run().includes(partition)));
}

/// JSON with our own names and values among arbitrary ones.
fn any_event() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "action",
            "max_messages",
            "partitions",
            "shard",
            "name",
            "from",
            "to",
            "topic",
            "0",
            "source",
            "detail-type",
            "detail",
            "records",
            "eventSource",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "run",
            "plan",
            "backfill",
            "fix-42",
            "earliest",
            "latest",
            "2026-11-01T06:00:00Z",
            "2/4",
            "aws.events",
            "{}",
            "{\"shard\":\"1/1\"}"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_as_detail_does_not_panic(detail in any::<String>()) {
        let _ = Request::from_event(&scheduler(&json!(detail)));
    }

    #[test]
    fn shards_are_parsed_from_their_own_text_and_split_the_partitions(of in 1..64_u32, partition in 0..i32::MAX) {
        let shards: Vec<Shard> = (1..=of).map(|index| shard(&format!("{index}/{of}"))).collect();
        prop_assert_eq!(shards.iter().filter(|shard| shard.contains(partition)).count(), 1);
        for shard in shards {
            prop_assert_eq!(shard.to_string().parse(), Ok(shard));
        }
    }

    #[test]
    fn any_text_is_parsed_as_a_shard_or_refused(text in prop_oneof![any::<String>(), "[0-9/]{0,8}"]) {
        if let Ok(shard) = text.parse::<Shard>() {
            prop_assert!(shard.index() >= 1 && shard.index() <= shard.of());
        }
    }
}

//! The messages for invalid events.

use serde_json::json;

use super::{refused, rule, scheduler};

#[test]
fn unknown_fields_and_actions_are_named() {
    let fields = "allowed are `action`, `max_messages`, `partitions` and `shard`";
    for (event, expected) in [
        (
            json!([]),
            "the event is an array; it must be a JSON object, such as {}".to_owned(),
        ),
        (
            json!("{}"),
            "the event is text; it must be a JSON object, such as {}".to_owned(),
        ),
        (
            json!(1),
            "the event is a number; it must be a JSON object, such as {}".to_owned(),
        ),
        (
            json!({"maxMessages": 1}),
            format!("unknown field `maxMessages`; {fields}"),
        ),
        (json!({"source": "orders"}), format!("unknown field `source`; {fields}")),
        (json!({"detail": {}}), format!("unknown field `detail`; {fields}")),
        (
            rule(&json!({"bucket": "b"})),
            format!("unknown field `detail.bucket`; {fields}"),
        ),
        (
            scheduler(&json!("{\"x\":1}")),
            format!("unknown field `detail.x`; {fields}"),
        ),
        (
            json!({"source": "aws.events", "x": 1}),
            format!("unknown field `x`; {fields}"),
        ),
        (
            json!({"Records": [{"body": "a record"}]}),
            format!("unknown field `Records`; {fields}"),
        ),
        // Fields of another action.
        (
            json!({"action": "run", "name": "x"}),
            format!("unknown field `name`; {fields}"),
        ),
        (
            json!({"action": "stop"}),
            "unknown action \"stop\"; `action` must be \"run\", \"plan\" or \"backfill\"".to_owned(),
        ),
        (
            json!({"action": "RUN"}),
            "unknown action \"RUN\"; `action` must be \"run\", \"plan\" or \"backfill\"".to_owned(),
        ),
        (
            json!({"action": 1}),
            "unknown action 1; `action` must be \"run\", \"plan\" or \"backfill\"".to_owned(),
        ),
        (
            json!({"source": "aws.events", "action": "run", "detail": {"action": "plan"}}),
            "`action` is given both in the event and in its `detail`; give it once".to_owned(),
        ),
        (
            json!({"partitions": [0, 2], "shard": "2/2"}),
            "none of `partitions` is in shard 2/2; leave one of the two out".to_owned(),
        ),
    ] {
        assert_eq!(refused(&event), expected, "{event}");
    }
}

#[test]
fn values_that_are_not_allowed_are_named_with_their_field() {
    let limit = "it must be a whole number, 1 or more, or `unlimited`";
    let partitions = "it must be an array of partition numbers, at least one; for all partitions leave it out";
    let partition = "it must be a partition number, 0 to 2147483647";
    let shard = "it must be text such as \"2/4\": the second of four shares, counted from 1";
    let detail = "it must be a JSON object, or text that holds one";
    for (event, expected) in [
        (json!({"max_messages": 0}), format!("`max_messages` is 0; {limit}")),
        (json!({"max_messages": -1}), format!("`max_messages` is -1; {limit}")),
        (json!({"max_messages": 1.5}), format!("`max_messages` is 1.5; {limit}")),
        (
            json!({"max_messages": true}),
            format!("`max_messages` is true; {limit}"),
        ),
        (
            rule(&json!({"max_messages": "all"})),
            format!("`detail.max_messages` is \"all\"; {limit}"),
        ),
        (json!({"partitions": []}), format!("`partitions` is []; {partitions}")),
        (json!({"partitions": 1}), format!("`partitions` is 1; {partitions}")),
        (
            json!({"partitions": [0, -1]}),
            format!("`partitions[1]` is -1; {partition}"),
        ),
        (
            json!({"partitions": ["x"]}),
            format!("`partitions[0]` is \"x\"; {partition}"),
        ),
        (
            json!({"partitions": [1.5]}),
            format!("`partitions[0]` is 1.5; {partition}"),
        ),
        (
            json!({"partitions": [2_147_483_648_u64]}),
            format!("`partitions[0]` is 2147483648; {partition}"),
        ),
        (json!({"shard": 2}), format!("`shard` is 2; {shard}")),
        (json!({"shard": "0/4"}), format!("`shard` is \"0/4\"; {shard}")),
        (rule(&json!("[1]")), format!("`detail` is \"[1]\"; {detail}")),
        (
            rule(&json!("{")),
            "the text in `detail` cannot be read as JSON: EOF while parsing an object at line 1 column 1; it must be a \
             JSON object, such as {}"
                .to_owned(),
        ),
        (rule(&json!(1)), format!("`detail` is 1; {detail}")),
    ] {
        assert_eq!(refused(&event), expected, "{event}");
    }
}

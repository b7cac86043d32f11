//! Backfills: valid requests, and the messages for invalid ones.

use kafka_consumer_lambda::event::{BackfillName, BackfillRequest, Bound, Request};
use kafka_consumer_lambda::record::NextOffset;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{limit, refused, rule, scheduler};

fn offsets(pairs: &[(i32, i64)]) -> Bound {
    let next = |(partition, offset): &(i32, i64)| (*partition, NextOffset::new(*offset).expect("an offset"));
    Bound::Offsets(pairs.iter().map(next).collect())
}

fn request(from: Bound, to: Bound) -> BackfillRequest {
    BackfillRequest::new("fix-42".parse().expect("a name"), from, to, None).expect("the bounds fit")
}

/// The fields with an action and a name.
fn event(fields: &Value) -> Value {
    let mut event = json!({"action": "backfill", "name": "fix-42"});
    let fields = fields.as_object().expect("an object").clone();
    event.as_object_mut().expect("an object").extend(fields);
    event
}

#[test]
fn a_backfill_is_read_as_the_whole_event_and_in_each_envelope() {
    let six = Bound::At(1_793_512_800_000);
    for (fields, expected) in [
        (json!({"from": "earliest"}), request(Bound::Earliest, Bound::Latest)),
        (
            json!({"from": "2026-11-01T06:00:00Z", "to": "latest"}),
            request(six.clone(), Bound::Latest),
        ),
        (
            json!({"from": "2026-11-01T08:00:00+02:00", "to": null, "topic": null, "partitions": null}),
            request(six, Bound::Latest),
        ),
        (
            json!({"from": {"0": 100, "1": 200}, "to": {"1": 200, "0": 101}}),
            request(offsets(&[(0, 100), (1, 200)]), offsets(&[(0, 101), (1, 200)])),
        ),
        (
            json!({"from": "earliest", "to": {"0": 0}, "partitions": [0], "max_messages": 7, "topic": "orders"}),
            BackfillRequest {
                partitions: Some(vec![0]),
                max_messages: Some(limit(7)),
                topic: Some("orders".into()),
                ..request(Bound::Earliest, offsets(&[(0, 0)]))
            },
        ),
    ] {
        let event = event(&fields);
        for event in [event.clone(), rule(&event), scheduler(&json!(event.to_string()))] {
            assert_eq!(
                Request::from_event(&event),
                Ok(Request::Backfill(expected.clone())),
                "{event}"
            );
        }
    }
}

#[test]
fn missing_and_unknown_fields_are_named() {
    let needs = "is missing; `action` \"backfill\" needs `name` and `from`";
    let fields = "allowed are `action`, `name`, `from`, `to`, `topic`, `partitions` and `max_messages`";
    for (event, expected) in [
        (json!({"action": "backfill"}), format!("`name` {needs}")),
        (json!({"action": "backfill", "name": "x"}), format!("`from` {needs}")),
        (
            json!({"action": "backfill", "name": null, "from": "earliest"}),
            format!("`name` {needs}"),
        ),
        (
            event(&json!({"from": "earliest", "shard": "1/2"})),
            format!("unknown field `shard`; {fields}"),
        ),
        (
            rule(&event(&json!({"form": "earliest"}))),
            format!("unknown field `detail.form`; {fields}"),
        ),
    ] {
        assert_eq!(refused(&event), expected, "{event}");
    }
}

#[test]
fn values_that_are_not_allowed_are_named_with_their_field() {
    let name = "it must be text of 1 to 64 letters, digits, `.`, `_` and `-`";
    let bound = "it must be \"earliest\", \"latest\", an RFC 3339 time such as 2026-11-01T06:00:00Z, a date, \
                 or an object of partitions and next offsets, such as {\"0\": 100}";
    let next = "it must be the next offset to read, 0 or more";
    let partition = "it must be a partition's number, 0 to 2147483647, as text";
    for (fields, expected) in [
        (json!({"name": "a b"}), format!("`name` is \"a b\"; {name}")),
        (json!({"name": ""}), format!("`name` is \"\"; {name}")),
        (json!({"name": 5}), format!("`name` is 5; {name}")),
        (
            json!({"from": "yesterday"}),
            format!("`from` is \"yesterday\"; {bound}"),
        ),
        (
            json!({"from": "2026-11-01T25:00:00"}),
            format!("`from` is \"2026-11-01T25:00:00\"; {bound}"),
        ),
        (json!({"to": 5}), format!("`to` is 5; {bound}")),
        (json!({"to": "0:100"}), format!("`to` is \"0:100\"; {bound}")),
        (
            json!({"to": {}}),
            "`to` is {}; it must name at least one partition".to_owned(),
        ),
        (json!({"to": {"0": -1}}), format!("`to.0` is -1; {next}")),
        (json!({"to": {"0": "x"}}), format!("`to.0` is \"x\"; {next}")),
        (json!({"to": {"0": 1.5}}), format!("`to.0` is 1.5; {next}")),
        (json!({"to": {"0": 1e16}}), format!("`to.0` is 1e+16; {next}")),
        (
            json!({"to": {"0": 1, "0.0": 1}}),
            "`to.0` is {\"0\":1,\"0.0\":1}; it must name each partition once".to_owned(),
        ),
        (json!({"to": {"00": 1}}), format!("`to` is {{\"00\":1}}; {partition}")),
        (json!({"to": {"-1": 1}}), format!("`to` is {{\"-1\":1}}; {partition}")),
        (json!({"to": {"all": 1}}), format!("`to` is {{\"all\":1}}; {partition}")),
        (
            json!({"topic": ""}),
            "`topic` is \"\"; it must be a topic's name".to_owned(),
        ),
        (
            json!({"max_messages": 0}),
            "`max_messages` is 0; it must be a whole number, 1 or more, or `unlimited`".to_owned(),
        ),
    ] {
        let mut all = json!({"from": "earliest"});
        all.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        assert_eq!(refused(&event(&all)), expected, "{fields}");
    }
}

#[test]
fn bounds_that_contradict_each_other_are_refused() {
    let both = "name the same partitions in both, or none in one of them";
    for (fields, expected) in [
        (
            json!({"from": {"0": 1, "3": 1}, "to": {"0": 2}}),
            format!("partition 3 is named in `from` and not in `to`; {both}"),
        ),
        (
            json!({"from": {"0": 1}, "partitions": [0, 2]}),
            format!("partition 2 is named in `partitions` and not in `from`; {both}"),
        ),
        (
            json!({"from": "earliest", "to": {"0": 1, "2": 1}, "partitions": [0]}),
            format!("partition 2 is named in `to` and not in `partitions`; {both}"),
        ),
        (
            json!({"from": {"0": 1, "7": 9}, "to": {"0": 1, "7": 8}}),
            "`from` lies after `to` in partition 7: 9 and 8; exchange them".to_owned(),
        ),
        (
            json!({"from": "2026-11-01T06:00:01Z", "to": "2026-11-01T06:00:00Z"}),
            "`from` lies after `to`: 2026-11-01T06:00:01Z and 2026-11-01T06:00:00Z; exchange them".to_owned(),
        ),
    ] {
        assert_eq!(refused(&event(&fields)), expected, "{fields}");
    }
}

#[test]
fn bounds_have_a_form_for_the_command_line() {
    for (typed, expected) in [
        ("earliest", Bound::Earliest),
        ("LATEST", Bound::Latest),
        ("1970-01-01T00:00:05Z", Bound::At(5_000)),
        ("0:100,1:200", offsets(&[(0, 100), (1, 200)])),
        (" 7 : 0 ", offsets(&[(7, 0)])),
        ("{\"0\": 100}", offsets(&[(0, 100)])),
        ("{\"0\": 1e2, \"1\": \"200\"}", offsets(&[(0, 100), (1, 200)])),
        ("0:1e2", offsets(&[(0, 100)])),
        ("1970-01-02", Bound::At(86_400_000)),
    ] {
        assert_eq!(typed.parse().as_ref(), Ok(&expected), "{typed}");
    }
    for typed in [
        "",
        ":",
        "0",
        "0:",
        ":1",
        "0:1,",
        "0:1,0:2",
        "-1:5",
        "0:-5",
        "0:1.5",
        "{",
        "{}",
        "[]",
        "tomorrow",
        "00:1",
        "{\"0\":1,\"0\":2}",
        "0:1,0.0:2",
        "{\"0\":1} x",
    ] {
        let error = typed.parse::<Bound>().expect_err(typed).to_string();
        assert!(error.contains("0:100,1:200"), "{error}");
    }
}

#[test]
fn names_are_short_and_fit_into_a_key() {
    for name in ["a", "fix-42", "2026.11.01_again", &"x".repeat(64)] {
        assert_eq!(name.parse::<BackfillName>().expect("a name").to_string(), name);
    }
    for name in ["", "a#b", "a b", "ä", "a/b", "a\n", &"x".repeat(65)] {
        assert!(name.parse::<BackfillName>().is_err(), "{name:?}");
    }
}

#[test]
fn equal_requests_have_the_same_stored_form() {
    let stored = |fields: &Value| match Request::from_event(&event(fields)) {
        Ok(Request::Backfill(request)) => request.requested(),
        other => panic!("{other:?}"),
    };
    for (one, other) in [
        (
            json!({"from": "earliest"}),
            json!({"from": "EARLIEST", "to": "latest", "max_messages": 3}),
        ),
        (
            json!({"from": "2026-11-01T06:00:00Z"}),
            json!({"from": "2026-11-01T07:00:00+01:00"}),
        ),
        (
            json!({"from": {"2": 1, "10": 1}}),
            json!({"from": {"10": 1, "2": 1}, "partitions": [10, 2]}),
        ),
        (
            json!({"from": "earliest", "partitions": [3, 1, 3]}),
            json!({"from": "earliest", "partitions": [1, 3]}),
        ),
    ] {
        assert_eq!(stored(&one), stored(&other));
    }
    assert_ne!(
        stored(&json!({"from": "earliest", "partitions": [0]})),
        stored(&json!({"from": "earliest"}))
    );
}

proptest! {
    #[test]
    fn any_bound_of_the_command_line_is_parsed_from_its_own_text(text in "[0-9:, earlistZT{}\"-]{0,24}") {
        if let Ok(bound) = text.parse::<Bound>() {
            prop_assert_eq!(bound.to_string().parse(), Ok(bound));
        }
    }
}

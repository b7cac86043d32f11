//! Arbitrary events: each is a request or an error that names the problem, without delay and without
//! a panic.

use std::time::{Duration, Instant};

use kafka_consumer_lambda::config::MessageLimit;
use kafka_consumer_lambda::event::{BackfillRequest, Bound, Request, RunRequest};
use kafka_consumer_lambda::record::NextOffset;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use super::{any_event, limit, rule, scheduler, shard};

/// The longest part of an event that a message shows, in bytes.
const MAX_MESSAGE: usize = 600;

/// A change of a text, like a typing error or a fault of a template.
#[derive(Debug, Clone)]
enum Change {
    Replace(Index, u8),
    Insert(Index, u8),
    Delete(Index, Index),
    Repeat(Index, Index),
}

impl Change {
    fn make(&self, text: &mut Vec<u8>) {
        let place = |index: &Index, text: &[u8]| index.index(text.len() + 1);
        match self {
            Self::Replace(at, byte) => {
                let at = place(at, text);
                if let Some(old) = text.get_mut(at) {
                    *old = *byte;
                }
            }
            Self::Insert(at, byte) => text.insert(place(at, text), *byte),
            Self::Delete(from, to) => {
                let (from, to) = (place(from, text), place(to, text));
                text.drain(from.min(to)..from.max(to));
            }
            Self::Repeat(from, to) => {
                let (from, to) = (place(from, text), place(to, text));
                let part = text[from.min(to)..from.max(to)].to_vec();
                text.extend(part);
            }
        }
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    // Mostly characters of JSON's syntax.
    let byte = prop_oneof![
        proptest::sample::select(b"{}[]\",:\\0123456789-.eE \nntfu".to_vec()),
        any::<u8>(),
    ];
    prop_oneof![
        (any::<Index>(), byte.clone()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (any::<Index>(), byte).prop_map(|(at, byte)| Change::Insert(at, byte)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Delete(from, to)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Repeat(from, to)),
    ]
}

fn good_events() -> Vec<Value> {
    let fields = json!({"action": "run", "max_messages": 20, "partitions": [1, 5, 9], "shard": "2/4"});
    vec![
        json!({}),
        fields.clone(),
        rule(&fields),
        scheduler(&json!(fields.to_string())),
        json!({"action": "plan", "max_messages": "unlimited"}),
        json!({"action": "backfill", "name": "fix-42", "from": "earliest", "to": "2026-11-01T06:00:00Z", "topic": "t"}),
        rule(
            &json!({"action": "backfill", "name": "x", "from": {"0": 1, "7": 0}, "to": {"0": 9, "7": 2},
                     "partitions": [0, 7]}),
        ),
    ]
}

fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![any_run(), any_backfill().prop_map(Request::Backfill)]
}

fn any_bound() -> impl Strategy<Value = Bound> {
    let next = (0..i64::MAX).prop_filter_map("an offset", NextOffset::new);
    prop_oneof![
        Just(Bound::Earliest),
        Just(Bound::Latest),
        (0..=4_000_000_000_000_i64).prop_map(Bound::At),
        proptest::collection::btree_map(0..=i32::MAX, next, 1..4).prop_map(Bound::Offsets),
    ]
}

fn any_backfill() -> impl Strategy<Value = BackfillRequest> {
    let partitions = proptest::collection::btree_set(0..=i32::MAX, 1..6);
    let max_messages = prop_oneof![Just(MessageLimit::Unlimited), (1..=u64::MAX).prop_map(limit)];
    let parts = (
        "[a-zA-Z0-9._-]{1,64}",
        any_bound(),
        any_bound(),
        proptest::option::of(partitions),
        proptest::option::of("[a-z]{1,9}"),
        proptest::option::of(max_messages),
    );
    parts.prop_filter_map(
        "the bounds do not fit",
        |(name, from, to, partitions, topic, max_messages)| {
            let name = name.parse().expect("a name");
            let partitions = partitions.map(|some| some.into_iter().collect());
            Some(BackfillRequest {
                topic: topic.map(Into::into),
                max_messages,
                ..BackfillRequest::new(name, from, to, partitions).ok()?
            })
        },
    )
}

fn any_run() -> impl Strategy<Value = Request> {
    let max_messages = prop_oneof![Just(MessageLimit::Unlimited), (1..=u64::MAX).prop_map(limit)];
    let partitions = proptest::collection::btree_set(0..=i32::MAX, 1..6);
    let shard_of = (1..9_u32).prop_flat_map(|of| (1..=of).prop_map(move |index| shard(&format!("{index}/{of}"))));
    let run = (
        proptest::option::of(max_messages),
        proptest::option::of(partitions),
        proptest::option::of(shard_of),
    );
    let run = run.prop_filter_map("nothing is selected", |(max_messages, partitions, shard)| {
        let partitions: Option<Vec<i32>> = partitions.map(|partitions| partitions.into_iter().collect());
        let run = RunRequest {
            max_messages,
            partitions,
            shard,
        };
        let selects = run
            .partitions
            .as_deref()
            .is_none_or(|some| some.iter().any(|i| run.includes(*i)));
        selects.then_some(run)
    });
    (run, any::<bool>()).prop_map(|(run, is_plan)| if is_plan { Request::Plan(run) } else { Request::Run(run) })
}

/// The event of this request.
fn event_of(request: &Request) -> Value {
    let (action, run) = match request {
        Request::Run(run) => ("run", run),
        Request::Plan(run) => ("plan", run),
        Request::Backfill(backfill) => {
            return json!({
                "action": "backfill",
                "name": backfill.name.to_string(),
                "from": backfill.from.to_json(),
                "to": backfill.to.to_json(),
                "topic": backfill.topic,
                "partitions": backfill.partitions,
                "max_messages": backfill.max_messages.as_ref().map(ToString::to_string),
            });
        }
    };
    json!({
        "action": action,
        "max_messages": run.max_messages.as_ref().map(ToString::to_string),
        "partitions": run.partitions,
        "shard": run.shard.map(|shard| shard.to_string()),
    })
}

/// All names of an event's own fields, as messages show them.
fn names(event: &Value) -> Vec<String> {
    let fields = |object: &Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
    let mut names = event.as_object().map(fields).unwrap_or_default();
    match event.get("detail") {
        Some(Value::Object(detail)) => names.extend(fields(detail)),
        Some(Value::String(text)) => {
            if let Ok(Value::Object(detail)) = serde_json::from_str(text) {
                names.extend(fields(&detail));
            }
        }
        _ => {}
    }
    let shown = |name: String| {
        let start = name.chars().take(60);
        start.map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    names.into_iter().map(shown).collect()
}

/// A request with the fields of the event, or an error on one line that names one of them.
fn check(event: &Value) -> Result<(), TestCaseError> {
    match Request::from_event(event) {
        Ok(request) => {
            let partitions = match &request {
                Request::Run(run) | Request::Plan(run) => run.partitions.as_deref(),
                Request::Backfill(backfill) => backfill.partitions.as_deref(),
            };
            let partitions = partitions.unwrap_or(&[0]);
            prop_assert!(!partitions.is_empty() && partitions[0] >= 0 && partitions.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(Request::from_event(&event_of(&request)), Ok(request));
        }
        Err(error) => {
            let text = error.to_string();
            prop_assert!(text.len() < MAX_MESSAGE && text.lines().count() == 1, "{}", text);
            let is_named = names(event).iter().any(|name| text.contains(name.as_str()));
            prop_assert!(is_named || text.starts_with("the event is "), "{}: {}", event, text);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_are_a_request_or_an_error_that_names_the_field(bytes: Vec<u8>) {
        if let Ok(event) = serde_json::from_slice(&bytes) {
            check(&event)?;
        }
    }

    #[test]
    fn any_json_is_a_request_or_an_error_that_names_the_field(event in any_event()) {
        check(&event)?;
    }

    #[test]
    fn a_valid_event_with_any_changes_is_a_request_or_an_error_that_names_the_field(
        event in proptest::sample::select(good_events()),
        changes in proptest::collection::vec(any_change(), 1..4),
    ) {
        let mut text = event.to_string().into_bytes();
        for change in &changes {
            change.make(&mut text);
        }
        if let Ok(event) = serde_json::from_slice(&text) {
            check(&event)?;
        }
    }

    #[test]
    fn the_event_of_a_request_is_that_request_in_each_envelope(request in any_request()) {
        let event = event_of(&request);
        for event in [event.clone(), rule(&event), scheduler(&json!(event.to_string()))] {
            prop_assert_eq!(Request::from_event(&event), Ok(request.clone()));
        }
    }

    #[test]
    fn the_value_of_an_unknown_field_is_never_shown(value in any_event(), name in "[a-z]{9,20}") {
        for event in [json!({&name: ["planted", value]}), rule(&json!({&name: {"planted": value}}))] {
            let error = Request::from_event(&event).expect_err("it is unknown").to_string();
            prop_assert!(error.contains(&name) && !error.contains("planted"), "{}", error);
        }
    }
}

#[test]
fn the_largest_payloads_of_lambda_are_parsed_without_delay() {
    let text = "x".repeat(6_000_000);
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let many: Map<String, Value> = (0..100_000).map(|i| (format!("field{i}"), Value::Null)).collect();
    let partitions: Vec<i32> = (0..500_000).rev().collect();
    for event in [
        json!({"action": text}),
        json!({ text.clone(): 1 }),
        scheduler(&json!(text)),
        scheduler(&json!(deep)),
        scheduler(&json!(format!("{{\"shard\":{deep}}}"))),
        Value::Object(many),
        json!({ "partitions": partitions }),
    ] {
        let began = Instant::now();
        let request = Request::from_event(&event);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(3), "{took:?}");
        if let Err(error) = request {
            assert!(error.to_string().len() < MAX_MESSAGE);
        }
    }
}

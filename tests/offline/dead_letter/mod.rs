//! Dead letters: what is kept, what is added, and the pointer to a large record.

#[cfg(feature = "embedded")]
mod kafka;
mod sqs;

use bytes::Bytes;
use kafka_consumer_lambda::Record;
use kafka_consumer_lambda::dead_letter::{Reason, Stage, dead_letter, header, pointer, split};
use kafka_consumer_lambda::record::{Header, Timestamp, TopicPartition};
use proptest::prelude::*;

fn record() -> Record {
    Record {
        timestamp: Some(Timestamp::create_time(1_762_000_000_123)),
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from_static(b"{")),
        headers: vec![text("trace", "1"), null("empty"), text("trace", "2")],
        ..Record::new(TopicPartition::new("orders", 3), 17)
    }
}

fn text(name: &'static str, value: &str) -> Header {
    Header::new(name, Some(Bytes::copy_from_slice(value.as_bytes())))
}

fn null(name: &'static str) -> Header {
    Header::new(name, None)
}

fn reason(error: &str) -> Reason<'_> {
    Reason {
        stage: Stage::Decode,
        error,
        attempts: 4,
        group_id: "billing",
    }
}

/// What Kafka's own `lastHeader` returns.
fn last<'a>(record: &'a Record, name: &str) -> &'a str {
    let header = record.headers.iter().rfind(|header| header.is_named(name));
    let value = header.and_then(|header| header.value.as_ref());
    std::str::from_utf8(value.unwrap_or_else(|| panic!("{name} is missing"))).expect("text")
}

#[test]
fn a_dead_letter_is_the_record_with_connects_headers_after_its_own() {
    let letter = dead_letter(&record(), &reason("not JSON at byte 1"));
    let expected = Record {
        headers: [
            record().headers,
            vec![
                text("__connect.errors.topic", "orders"),
                text("__connect.errors.partition", "3"),
                text("__connect.errors.offset", "17"),
                text("__connect.errors.connector.name", "billing"),
                text("__connect.errors.stage", "VALUE_CONVERTER"),
                text("__connect.errors.exception.class.name", "DecodeError"),
                text("__connect.errors.exception.message", "not JSON at byte 1"),
                text("__connect.errors.timestamp", "1762000000123"),
                text("__connect.errors.attempts", "4"),
            ],
        ]
        .concat(),
        ..record()
    };
    assert_eq!(letter.headers, expected.headers);
    assert!(letter == expected, "key, value, place and time are kept");
    assert_eq!(letter.id(), "orders-3-17");
}

#[test]
fn a_tombstone_without_key_and_time_stays_one() {
    let bare = Record {
        timestamp: None,
        key: None,
        value: None,
        headers: vec![],
        ..record()
    };
    let letter = dead_letter(&bare, &reason("no"));
    assert_eq!((letter.key.as_ref(), letter.value.as_ref()), (None, None));
    assert!(!letter.headers.iter().any(|header| header.is_named(header::TIMESTAMP)));
    assert_eq!(letter.headers.len(), 8);
}

#[test]
fn each_stage_has_connects_name_and_its_own_type() {
    let names = |stage| {
        let letter = dead_letter(&record(), &Reason { stage, ..reason("no") });
        let (stage, kind) = (last(&letter, header::STAGE), last(&letter, header::ERROR_TYPE));
        (stage.to_owned(), kind.to_owned())
    };
    let pair = |stage: &str, kind: &str| (stage.to_owned(), kind.to_owned());
    assert_eq!(names(Stage::Decode), pair("VALUE_CONVERTER", "DecodeError"));
    assert_eq!(names(Stage::Handle), pair("TASK_PUT", "HandlerError"));
    assert_eq!(names(Stage::Died), pair("TASK_PUT", "ProcessDied"));
}

#[test]
fn a_record_that_fails_again_keeps_its_history_and_the_last_header_counts() {
    let first = dead_letter(&record(), &reason("first"));
    let redriven = Record {
        partition: TopicPartition::new("orders", 0),
        offset: 99,
        ..first.clone()
    };
    let second = dead_letter(&redriven, &reason("second"));
    assert_eq!(second.headers[..first.headers.len()], first.headers);
    assert_eq!(last(&second, header::ERROR_MESSAGE), "second");
    assert_eq!(last(&second, header::OFFSET), "99");
    let (own, ours) = split(&second);
    assert_eq!(own, first.headers);
    assert_eq!(ours.len(), 9);
}

#[test]
fn a_long_error_is_cut_between_characters() {
    for error in ["e".repeat(1_000), "é".repeat(500)] {
        assert_eq!(
            last(&dead_letter(&record(), &reason(&error)), header::ERROR_MESSAGE),
            error
        );
    }
    for error in ["e".repeat(1_001), "é".repeat(501), format!("e{}", "€".repeat(999))] {
        let letter = dead_letter(&record(), &reason(&error));
        let kept = last(&letter, header::ERROR_MESSAGE);
        assert!(kept.len() <= 1_000 && kept.len() > 990, "{} bytes", kept.len());
        assert!(error.starts_with(kept.strip_suffix('…').expect("it ends with an ellipsis")));
    }
}

#[test]
fn a_pointer_contains_the_location_and_the_size_of_the_record() {
    let letter = dead_letter(&record(), &reason("no"));
    let pointer = pointer(&letter);
    // Key 1, value 1, `trace` and its value twice 6, `empty` 5.
    assert_eq!(last(&pointer, header::OMITTED_BYTES), "19");
    assert_eq!(pointer.headers[..9], letter.headers[3..]);
    assert_eq!(pointer.headers.len(), 10);
    assert_eq!(pointer.key, letter.key);
    assert_eq!(pointer.id(), letter.id());
    assert_eq!(pointer.timestamp, letter.timestamp);
}

#[test]
fn a_pointer_is_never_a_tombstone() {
    for value in [None, Some(Bytes::from_static(b"v"))] {
        let letter = dead_letter(&Record { value, ..record() }, &reason("no"));
        assert_eq!(pointer(&letter).value, Some(Bytes::new()));
    }
}

#[test]
fn a_pointer_has_the_key_only_if_that_is_small() {
    let key_of = |bytes: usize| {
        let key = Some(Bytes::from(vec![b'k'; bytes]));
        pointer(&dead_letter(&Record { key, ..record() }, &reason("no"))).key
    };
    assert_eq!(key_of(256).map(|key| key.len()), Some(256));
    assert_eq!(key_of(257), None);
    assert_eq!(key_of(0), Some(Bytes::new()));
}

#[test]
fn a_pointer_to_a_redriven_record_contains_the_last_failure_only() {
    let twice = dead_letter(&dead_letter(&record(), &reason("first")), &reason("second"));
    let pointer = pointer(&twice);
    let messages: Vec<_> = pointer
        .headers
        .iter()
        .filter(|it| it.is_named(header::ERROR_MESSAGE))
        .collect();
    assert_eq!(messages.len(), 1);
    assert_eq!(last(&pointer, header::ERROR_MESSAGE), "second");
}

#[test]
fn any_record_fits_into_a_pointer() {
    let pointer = pointer(&record());
    assert_eq!(pointer.headers, [text(header::OMITTED_BYTES, "19")]);
}

proptest! {
    #[test]
    fn nothing_of_a_record_is_lost_or_reordered(
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        headers in prop::collection::vec(
            (
                prop_oneof![prop::collection::vec(any::<u8>(), 0..4), Just(header::TOPIC.into())],
                prop::option::of(any::<[u8; 2]>()),
            ),
            0..5,
        ),
        error in any::<String>(),
    ) {
        let bytes = |value: [u8; 2]| Bytes::copy_from_slice(&value);
        let headers = headers.into_iter().map(|(name, value)| Header::new(name, value.map(bytes)));
        let record = Record {
            key: key.map(Bytes::from),
            value: value.map(Bytes::from),
            headers: headers.collect(),
            ..record()
        };
        let letter = dead_letter(&record, &reason(&error));
        let (own, ours) = split(&letter);
        prop_assert_eq!(own, &record.headers);
        prop_assert_eq!(ours.len(), 9);
        prop_assert_eq!(&letter.key, &record.key);
        prop_assert_eq!(&letter.value, &record.value);
        // The pointer to any record fits.
        let small = pointer(&letter);
        prop_assert!(small.size_bytes() < 2_000);
        let omitted = record.size_bytes().to_string();
        prop_assert_eq!(last(&small, header::OMITTED_BYTES), omitted);
    }
}

//! Records that are processed again, one by one, without touching a cursor.

use kafka_consumer_lambda::dead_letter::header;
use serde_json::{Value, json};

use crate::support::kafka::{self, Message, unique, values};
use crate::support::midway::{MORE_THAN_A_PIPE_HOLDS, WAITING};
use crate::support::world::{Ran, World};

/// The rows of the result: first and last offset, and outcome.
fn outcomes(ran: &Ran) -> Vec<(i64, i64, String)> {
    let document = ran.json();
    let rows = document["records"].as_array().expect("rows");
    let number = |row: &Value, name: &str| row[name].as_i64().expect("an offset");
    rows.iter()
        .map(|row| {
            let outcome = row["outcome"].as_str().expect("an outcome");
            (
                number(row, "first_offset"),
                number(row, "last_offset"),
                outcome.to_owned(),
            )
        })
        .collect()
}

fn row(first: i64, last: i64, outcome: &str) -> (i64, i64, String) {
    (first, last, outcome.to_owned())
}

fn redrive(world: &World, arguments: &[&str]) -> Ran {
    let all: Vec<&str> = ["redrive", "--output", "json"]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    world.ran(&all)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listed_offsets_are_processed_again_and_no_cursor_moves() {
    let world = World::new("again", 2).await;
    world.produce(1, 40);
    world.run().success();
    let before = world.table.items().await;
    let ran = redrive(&world, &["--partition", "1", "--offsets", "17,20-25"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(outcomes(&ran), [row(17, 17, "processed"), row(20, 25, "processed")]);
    let logged = ran.logged();
    assert_eq!(logged, [17, 20, 21, 22, 23, 24, 25].map(|offset| (1, offset)));
    assert_eq!(world.table.items().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_does_not_need_the_table() {
    let mut world = World::new("no-table", 1).await;
    world.produce(0, 3);
    world.set("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9");
    let ran = redrive(&world, &["--partition", "0", "--offsets", "1"]);
    assert_eq!((ran.code, outcomes(&ran)), (Some(0), vec![row(1, 1, "processed")]));
}

/// P5: no record is passed over silently.
#[tokio::test(flavor = "multi_thread")]
async fn offsets_that_retention_deleted_are_named_and_the_others_are_processed() {
    let world = World::new("deleted", 1).await;
    world.produce(0, 30);
    kafka::delete_records(&world.bootstrap, &world.topic, 0, 10);
    let ran = redrive(&world, &["--partition", "0", "--offsets", "3-5,9-11,40"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(
        outcomes(&ran),
        [
            row(3, 5, "gone"),
            row(9, 9, "gone"),
            row(10, 11, "processed"),
            row(40, 40, "no_record")
        ]
    );
    assert!(
        ran.stderr
            .lines()
            .last()
            .is_some_and(|last| last.starts_with("RetentionLoss: 4 offsets")),
        "{ran:?}"
    );
    assert_eq!(ran.json()["error"]["type"], "RetentionLoss");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fails_again_is_named_and_those_after_it_are_processed() {
    let world = World::new("fails", 1).await;
    world.produce_these(0, &["0", "not json", "2"].map(Message::value));
    let ran = redrive(&world, &["--partition", "0", "--offsets", "0-2"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        outcomes(&ran),
        [row(0, 0, "processed"), row(1, 1, "failed"), row(2, 2, "processed")]
    );
    let last = ran.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("DestinationFailed: 1 of the records failed"), "{last}");
    assert!(
        !ran.stdout.contains("not json") && !ran.stderr.contains("not json"),
        "no value is shown"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_records_and_control_records_have_nothing_to_process() {
    let world = World::new("holes", 1).await;
    world.produce(0, 2);
    kafka::begin_transaction(&world.bootstrap, &world.topic, 0, &values(["1", "2", "3"])).abort();
    world.produce(0, 1);
    let ran = redrive(&world, &["--partition", "0", "--offsets", "0-6"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        outcomes(&ran),
        [row(0, 1, "processed"), row(2, 5, "no_record"), row(6, 6, "processed")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_that_dead_letters_refer_to_are_processed_again() {
    let mut world = World::new("letters", 2).await;
    world.produce_these(0, &["0", "bad", "2", "bad"].map(Message::value));
    world.produce_these(1, &["bad"].map(Message::value));
    let dead = unique("dead");
    kafka::create_topic(&world.bootstrap, &dead, 3, &[]);
    // A record of another producer in the same topic.
    kafka::produce(&world.bootstrap, &dead, 0, &["hello"].map(Message::value), &[]);
    world.set("ON_FAILURE", format!("kafka://{dead}"));
    assert_eq!(world.run().success()["dead_lettered"], 3);
    let before = world.table.items().await;
    // The cause is corrected: these records are read as text.
    world.set("MESSAGE_FORMAT", "text");
    let ran = redrive(&world, &["--dead-letters"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.logged(), [(0, 1), (0, 3), (1, 0)]);
    assert_eq!(
        (&ran.json()["processed"], &ran.json()["no_dead_letters"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(world.table.items().await, before);
    let none = redrive(&world, &["--dead-letters", &dead, "--since", "2100-01-01T00:00:00Z"]);
    assert_eq!((none.code, none.json()["processed"].clone()), (Some(0), json!(0)));
    world.set("KAFKA_GROUP_ID", "another");
    let others = redrive(&world, &["--dead-letters", &dead]);
    assert_eq!(
        (&others.json()["processed"], &others.json()["dead_letters_of_others"]),
        (&json!(0), &json!(3))
    );
}

/// P9: one partition's failure is its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_of_a_removed_partition_is_named_and_the_others_are_processed() {
    let world = World::new("shrunk", 2).await;
    world.produce(1, 2);
    let dead = unique("dead");
    kafka::create_topic(&world.bootstrap, &dead, 1, &[]);
    let letter = |partition: &str, offset: &str| {
        Message::value("{}")
            .header(header::TOPIC, &world.topic)
            .header(header::PARTITION, partition)
            .header(header::OFFSET, offset)
            .header(header::GROUP, &world.group)
    };
    kafka::produce(&world.bootstrap, &dead, 0, &[letter("0", "5"), letter("1", "0")], &[]);
    // Partition 0 has no record at 5; a recreated topic may not even have the partition.
    kafka::produce(&world.bootstrap, &dead, 0, &[letter("7", "3")], &[]);
    let ran = redrive(&world, &["--dead-letters", &dead]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(
        outcomes(&ran),
        [row(5, 5, "no_record"), row(0, 0, "processed"), row(3, 3, "not_tried")]
    );
    assert_eq!(ran.logged(), [(1, 0)]);
    assert!(
        ran.json()["error"]["message"]
            .as_str()
            .is_some_and(|error| error.contains("no partition 7")),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_output_is_a_table() {
    let world = World::new("table", 1).await;
    world.produce(0, 3);
    let ran = world.ran(&["redrive", "--partition", "0", "--offsets", "0-1,7"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let first = ran.stdout.lines().next().unwrap_or_default();
    assert_eq!(first, "2 processed again · 1 no record · no cursor was moved");
    assert!(
        ran.stdout.contains("0-1") && ran.stdout.contains("past the end of the log, 3"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_not_possible_is_an_error_with_the_cause() {
    let mut world = World::new("wrong", 1).await;
    world.produce(0, 1);
    let assert_fails = |ran: &Ran, code: i32, part: &str| {
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    };
    assert_fails(
        &redrive(&world, &["--partition", "7", "--offsets", "0"]),
        2,
        "has no partition 7",
    );
    assert_fails(&redrive(&world, &["--partition", "0"]), 2, "--offsets");
    assert_fails(&redrive(&world, &["--offsets", "0"]), 2, "--partition");
    assert_fails(&redrive(&world, &[]), 2, "--dead-letters");
    assert_fails(
        &redrive(&world, &["--partition", "0", "--offsets", "5-2"]),
        2,
        "17,20-25",
    );
    assert_fails(&redrive(&world, &["--dead-letters"]), 2, "ON_FAILURE is halt");
    assert_fails(&redrive(&world, &["--dead-letters", "not-there"]), 1, "UnknownTopic");
    let two = format!("{},other", world.topic);
    world.set("KAFKA_TOPIC", two);
    assert_fails(&redrive(&world, &["--partition", "0", "--offsets", "0"]), 2, "--topic");
}

/// It stores no position, so success would leave records unprocessed without notice.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_redrive_fails_and_names_the_command_for_the_records_that_are_left() {
    let world = World::new("interrupted", 1).await;
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    let all = format!("0-{}", WAITING - 1);
    let mut running = world.unread_command(&["redrive", "--output", "json", "--partition", "0", "--offsets", &all]);
    running.read_until("record").await;
    running.signal("INT");
    let ran = running.finish().await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let document = ran.json();
    let rows = document["records"].as_array().expect("rows");
    let outcomes: Vec<_> = rows.iter().map(|row| &row["outcome"]).collect();
    assert_eq!(outcomes, ["processed", "not_tried"], "it was stopped midway");
    let (next, last) = (&rows[1]["first_offset"], &rows[1]["last_offset"]);
    assert_eq!(last, WAITING - 1);
    let (topic, error) = (&world.topic, ran.stderr.lines().last().unwrap_or_default());
    let command = format!("`kafka-consumer redrive --topic {topic} --partition 0 --offsets {next}-{last}`");
    assert!(
        error.starts_with("Timeout: interrupted") && error.contains(&command),
        "{error}"
    );
}

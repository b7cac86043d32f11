//! A DynamoDB table as destination.

use kafka_consumer_lambda::config::{Destination, MessageFormat};
use serde_json::json;

use super::{accepted, assert_refused, destination, refused};

const TABLE: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/customers";

#[test]
fn the_arn_of_a_table_is_a_destination_for_json() {
    let config = accepted(&[("DESTINATION", TABLE)]);
    let Destination::DynamoDb(table) = destination(&config) else {
        panic!("a table is the destination");
    };
    assert_eq!(
        (table.as_str(), table.region(), table.name()),
        (TABLE, "eu-central-1", "customers")
    );
    assert_eq!(config.message_format("test-topic"), MessageFormat::Json);
}

#[test]
fn an_arn_of_no_table_is_refused_with_an_example() {
    let wrong = "arn:aws:dynamodb:eu-central-1:123456789012:table/customers/index/by-name";
    let allowed = "must be the ARN of a DynamoDB table, arn:aws:dynamodb:<region>:<account of 12 digits>:table/<name>, \
                   such as arn:aws:dynamodb:eu-central-1:123456789012:table/customers";
    assert_refused("DESTINATION", wrong, &format!("={wrong:?}: {allowed}"));
}

#[test]
fn the_table_of_cursors_is_refused_unless_it_is_in_another_region_or_has_another_arn() {
    let with = |table, region| {
        let region = ("AWS_REGION", region);
        [("DESTINATION", TABLE), ("DYNAMODB_TABLE", table), region]
    };
    let other = "arn:aws:dynamodb:eu-central-1:210987654321:table/customers";
    for (table, region) in [("customers", "eu-central-1"), ("customers", ""), (TABLE, "eu-west-1")] {
        let problem = refused(&with(table, region));
        assert!(
            problem.contains("is the table of cursors (DYNAMODB_TABLE)"),
            "{problem}"
        );
    }
    for (table, region) in [
        ("customers", "eu-west-1"),
        ("cursors", "eu-central-1"),
        (other, "eu-central-1"),
    ] {
        accepted(&with(table, region));
    }
    let default = TABLE.replace("customers", "kafka-consumer-offsets");
    assert!(refused(&[("DESTINATION", &default)]).contains("is the table of cursors"));
}

#[test]
fn a_route_to_the_table_of_cursors_is_refused_too_and_named() {
    let routes = json!({"orders": {"to": TABLE}, "*": "log"}).to_string();
    let settings = [
        ("DESTINATION", &*routes),
        ("DYNAMODB_TABLE", "customers"),
        ("KAFKA_TOPIC", "orders"),
    ];
    let problem = refused(&settings);
    assert!(
        problem.contains(&format!("route \"orders\": {TABLE} is the table of cursors")),
        "{problem}"
    );
}

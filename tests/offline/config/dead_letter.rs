//! `ON_FAILURE` with a target of dead letters.

use kafka_consumer_lambda::config::{OnFailure, QueueArn, Target};

use super::{accepted, assert_refused, refused};

fn queue(arn: &str) -> QueueArn {
    match accepted(&[("ON_FAILURE", arn)]).on_failure {
        OnFailure::DeadLetter(Target::Sqs(queue)) => queue,
        other => panic!("{arn} is {other:?}"),
    }
}

#[test]
fn a_topic_and_a_queue_are_distinguished() {
    let OnFailure::DeadLetter(Target::Kafka(topic)) = accepted(&[("ON_FAILURE", " kafka://dead ")]).on_failure else {
        panic!("it is a topic");
    };
    assert_eq!(topic.as_str(), "dead");
    let queue = queue("arn:aws:sqs:eu-central-1:123456789012:dead");
    assert_eq!(
        (queue.name(), queue.region(), queue.is_fifo()),
        ("dead", "eu-central-1", false)
    );
}

#[test]
fn a_queue_s_url_follows_from_its_arn() {
    let rows = [
        (
            "arn:aws:sqs:eu-central-1:123456789012:dead",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/dead",
        ),
        (
            "arn:aws-cn:sqs:cn-north-1:123456789012:dead.fifo",
            "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/dead.fifo",
        ),
        (
            "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:dead",
            "https://sqs.us-gov-west-1.amazonaws.com/123456789012/dead",
        ),
        (
            "arn:aws-eusc:sqs:eusc-de-east-1:123456789012:dead",
            "https://sqs.eusc-de-east-1.amazonaws.eu/123456789012/dead",
        ),
    ];
    for (arn, url) in rows {
        assert_eq!(queue(arn).url(), url);
        assert_eq!(queue(arn).is_fifo(), arn.contains("fifo"));
    }
}

#[test]
fn a_topic_that_is_read_cannot_take_dead_letters() {
    let problems = refused(&[("KAFKA_TOPIC", "a,dead"), ("ON_FAILURE", "kafka://dead")]);
    assert_eq!(
        problems,
        "ON_FAILURE=\"kafka://dead\": names a topic of KAFKA_TOPIC: dead letters would be read and fail again; name \
         another topic"
    );
    accepted(&[("KAFKA_TOPIC", "a,dead.b"), ("ON_FAILURE", "kafka://dead")]);
}

#[test]
fn a_wrong_target_is_refused_with_the_expected_form() {
    assert_refused(
        "ON_FAILURE",
        "kafka://a/b",
        "=\"kafka://a/b\": must name a topic behind kafka://, with 1 to 249 of a-z, A-Z, 0-9, `.`, `_` and `-`, not \
         `.` or `..`",
    );
    assert_refused(
        "ON_FAILURE",
        "arn:aws:sns:eu-central-1:123456789012:dead",
        "=\"arn:aws:sns:eu-central-1:123456789012:dead\": must be the ARN of an SQS queue, \
         arn:aws:sqs:<region>:<account of 12 digits>:<name>, such as \
         arn:aws:sqs:eu-central-1:123456789012:dead-letters",
    );
}

#[test]
fn names_of_targets_have_a_maximum_length() {
    accepted(&[("ON_FAILURE", &format!("kafka://{}", "t".repeat(249)))]);
    refused(&[("ON_FAILURE", &format!("kafka://{}", "t".repeat(250)))]);
    let arn = |name: &str| format!("arn:aws:sqs:eu-central-1:123456789012:{name}");
    accepted(&[("ON_FAILURE", &arn(&"q".repeat(80)))]);
    refused(&[("ON_FAILURE", &arn(&"q".repeat(81)))]);
    accepted(&[("ON_FAILURE", &arn(&format!("{}.fifo", "q".repeat(75))))]);
    refused(&[("ON_FAILURE", &arn(&format!("{}.fifo", "q".repeat(76))))]);
}

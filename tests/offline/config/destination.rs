//! A single destination.

use kafka_consumer_lambda::config::{Destination, MessageFormat};
use kafka_consumer_lambda::kafka_event::EventSource;

use super::{accepted, assert_refused, destination, refused};

#[test]
fn a_function_is_a_destination_and_what_is_none_is_refused_with_what_is_allowed() {
    let arn = "arn:aws:lambda:eu-central-1:123456789012:function:orders:live";
    let Destination::Function(function) = destination(&accepted(&[("DESTINATION", arn)])) else {
        panic!("a function is the destination");
    };
    assert_eq!((function.as_str(), function.name()), (arn, "orders"));
    let allowed = "must be `log`, `discard`, `kafka://<topic>`, an https:// URL, or the ARN of a Lambda function, an SQS queue, an SNS topic, an EventBridge bus or a DynamoDB table, \
                   or routes: a JSON object from topic to one of these";
    for other in ["arn:aws:s3:::bucket", "ftp://example.com", "lambda"] {
        assert_refused("DESTINATION", other, &format!("={other:?}: {allowed}"));
    }
    assert_refused(
        "DESTINATION",
        "arn:aws:lambda:eu-central-1:1:function:f",
        "=\"arn:aws:lambda:eu-central-1:1:function:f\": must be the ARN of a Lambda function, \
         arn:aws:lambda:<region>:<account of 12 digits>:function:<name>, with :<alias or version> behind it or without, \
         such as arn:aws:lambda:eu-central-1:123456789012:function:orders:live",
    );
}

#[test]
fn queues_topics_and_buses_are_destinations_and_their_values_are_not_decoded() {
    for text in [
        "arn:aws:sqs:eu-central-1:123456789012:orders.fifo",
        "arn:aws:sns:eu-central-1:123456789012:orders",
        "arn:aws:events:eu-central-1:123456789012:event-bus/orders",
        "kafka://orders-copy",
    ] {
        let config = accepted(&[("DESTINATION", text)]);
        assert_eq!(destination(&config).to_string(), text);
        assert_eq!(config.message_format("test-topic"), MessageFormat::Bytes, "{text}");
    }
    for (wrong, expected) in [
        ("arn:aws:sqs:eu-central-1:1:q", "must be the ARN of an SQS queue"),
        (
            "arn:aws:sns:eu-central-1:123456789012:a.b",
            "must be the ARN of an SNS topic",
        ),
        (
            "arn:aws:events:eu-central-1:123456789012:rule/r",
            "must be the ARN of an EventBridge bus",
        ),
        ("kafka://a b", "must name a topic behind kafka://"),
    ] {
        let problem = refused(&[("DESTINATION", wrong)]);
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn a_topic_whose_records_would_be_written_to_itself_is_refused() {
    let topics = ("KAFKA_TOPIC", "orders,refunds");
    for routes in ["kafka://orders", r#"{"orders": "log", "*": "kafka://refunds"}"#] {
        let problem = refused(&[topics, ("DESTINATION", routes)]);
        assert!(problem.contains("to this topic itself"), "{problem}");
    }
    accepted(&[topics, ("DESTINATION", "kafka://copies")]);
    accepted(&[
        topics,
        ("DESTINATION", r#"{"orders": "kafka://refunds", "refunds": "log"}"#),
    ]);
}

#[test]
fn values_for_a_function_are_not_decoded_unless_a_format_is_set() {
    let function = ("DESTINATION", "arn:aws:lambda:eu-central-1:123456789012:function:f");
    let format = |more: &[(&str, &str)]| accepted(&[&[function], more].concat()).message_format("test-topic");
    assert_eq!(format(&[]), MessageFormat::Bytes);
    assert_eq!(format(&[("MESSAGE_FORMAT", "json")]), MessageFormat::Json);
}

#[test]
fn a_function_that_would_invoke_itself_is_refused() {
    let of_lambda = [("AWS_LAMBDA_FUNCTION_NAME", "f"), ("AWS_REGION", "eu-central-1")];
    let with = |arn| [&of_lambda[..], &[("DESTINATION", arn)]].concat();
    for own in [
        "arn:aws:lambda:eu-central-1:123456789012:function:f",
        "arn:aws:lambda:eu-central-1:123456789012:function:f:live",
    ] {
        let problem = refused(&with(own));
        assert!(problem.contains("is this function itself"), "{problem}");
    }
    accepted(&with("arn:aws:lambda:eu-central-1:123456789012:function:g"));
    accepted(&with("arn:aws:lambda:eu-west-1:123456789012:function:f"));
}

#[test]
fn a_cluster_s_arn_is_what_functions_see_as_the_source() {
    let arn = "arn:aws:kafka:eu-central-1:123456789012:cluster/shop/6f8e-22";
    let config = accepted(&[("MSK_CLUSTER_ARN", arn)]);
    assert_eq!(config.event_source, EventSource::Msk { arn: arn.to_owned() });
    assert_eq!(accepted(&[]).event_source, EventSource::SelfManaged);
}

#[test]
fn an_endpoint_is_named_without_its_query_and_a_wrong_one_is_never_shown_with_credentials() {
    let config = accepted(&[("DESTINATION", "https://example.com/orders?token=planted")]);
    assert_eq!(destination(&config).to_string(), "https://example.com/orders?***");
    assert_eq!(config.message_format("test-topic"), MessageFormat::Bytes);
    for wrong in [
        "http://example.com/?token=planted",
        "https://u:planted@example.com/",
        "https://example.com/?token=planted#a",
        r#"{"*":"http://example.com/?token=planted"}"#,
        r#"{"*":"https://example.com/?token=planted""#,
        r#"{"*":{"to":"https://planted@example.com/?token=planted"}}"#,
        r#"{"*":{"to":{"url":"https://example.com/?token=planted"}}}"#,
    ] {
        let problem = refused(&[("DESTINATION", wrong)]);
        assert!(!problem.contains("planted"), "{problem}");
    }
}

#[test]
fn the_secret_of_http_headers_is_an_arn() {
    let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:webhook-AbCdEf";
    let config = accepted(&[("HTTP_HEADERS_SECRET_ARN", arn)]);
    assert_eq!(config.http_headers_secret.expect("a secret").as_str(), arn);
    assert_eq!(accepted(&[]).http_headers_secret, None);
    let problem = refused(&[("HTTP_HEADERS_SECRET_ARN", "planted")]);
    assert!(
        problem.contains("must be the ARN of a Secrets Manager secret") && !problem.contains("planted"),
        "{problem}"
    );
}

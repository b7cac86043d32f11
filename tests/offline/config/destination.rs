//! A single destination: log, discard or a function.

use kafka_consumer_lambda::config::{Destination, MessageFormat};
use kafka_consumer_lambda::kafka_event::EventSource;

use super::{accepted, assert_refused, destination, refused};

#[test]
fn a_function_is_a_destination_and_every_other_arn_or_url_is_refused_with_what_is_allowed() {
    let arn = "arn:aws:lambda:eu-central-1:123456789012:function:orders:live";
    let Destination::Function(function) = destination(&accepted(&[("DESTINATION", arn)])) else {
        panic!("a function is the destination");
    };
    assert_eq!((function.as_str(), function.name()), (arn, "orders"));
    let allowed = "must be `log`, `discard` or the ARN of a Lambda function \
                   (arn:aws:lambda:<region>:<account>:function:<name>), or routes: a JSON object from topic to one of these";
    for other in [
        "arn:aws:sqs:eu-central-1:123456789012:q",
        "arn:aws:sns:eu-central-1:123456789012:t",
        "https://example.com",
        "kafka://t",
    ] {
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

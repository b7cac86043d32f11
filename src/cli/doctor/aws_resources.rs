//! Queues, topics and buses that are sent to, checked without sending anything.

use aws_config::Region;
use aws_sdk_sqs::types::QueueAttributeName;

use super::DoctorContext;
use super::check::Check;
use crate::aws;
use crate::aws::call::{code_and_message, is_about_credentials};
use crate::config::{Config, Destination, EventBusArn, QueueArn, SnsTopicArn};
use crate::error::ErrorType;

/// What a resource is for.
pub(super) struct Use {
    /// The name of the check.
    pub(super) check: &'static str,
    /// The setting that names the resource.
    pub(super) setting: &'static str,
    /// What verifies the permission to send: the first of these.
    pub(super) first: &'static str,
    pub(super) what_needs_it: &'static str,
}

const OF_RECORDS: Use = Use {
    check: "destination",
    setting: "DESTINATION",
    first: "record",
    what_needs_it: "records",
};

/// A kind of resource.
struct Kind {
    name: &'static str,
    service: &'static str,
    /// The service with its article, as an endpoint is called.
    endpoint: &'static str,
    /// The permission to send to it.
    sends: &'static str,
    /// The permission to look it up.
    looks_up: &'static str,
    /// Whether runs look it up too.
    is_looked_up_by_runs: bool,
}

const QUEUE: Kind = Kind {
    name: "queue",
    service: "SQS",
    endpoint: "an SQS",
    sends: "sqs:SendMessage",
    looks_up: "sqs:GetQueueAttributes",
    is_looked_up_by_runs: false,
};

const TOPIC: Kind = Kind {
    name: "topic",
    service: "SNS",
    endpoint: "an SNS",
    sends: "sns:Publish",
    looks_up: "sns:GetTopicAttributes",
    is_looked_up_by_runs: false,
};

const BUS: Kind = Kind {
    name: "bus",
    service: "EventBridge",
    endpoint: "an EventBridge (`events`)",
    sends: "events:PutEvents",
    looks_up: "events:DescribeEventBus",
    is_looked_up_by_runs: true,
};

/// What is known of a resource: its largest message in bytes, if there is such a setting; or
/// the error code and message of the service.
type Described<'a> = Result<Option<String>, (Option<&'a str>, String)>;

/// The queues, topics and buses of `DESTINATION`.
pub(super) async fn checks(context: &DoctorContext) -> Vec<Check> {
    let checks = destinations(context.config()).into_iter().map(async |destination| {
        let check = match destination {
            Destination::Sqs(arn) => queue(context, arn, &OF_RECORDS).await,
            Destination::Sns(arn) => topic(context, arn).await,
            Destination::EventBridge(arn) => bus(context, arn).await,
            Destination::Log { .. }
            | Destination::Discard
            | Destination::Function(_)
            | Destination::Kafka(_)
            | Destination::DynamoDb(_)
            | Destination::Http(_) => return None,
        };
        Some(check.on(destination))
    });
    futures::future::join_all(checks).await.into_iter().flatten().collect()
}

/// Each destination once, in the order of the routes.
fn destinations(config: &Config) -> Vec<&Destination> {
    let mut all = vec![];
    for (_, route) in config.routes.iter() {
        if !all.contains(&&route.to) {
            all.push(&route.to);
        }
    }
    all
}

/// The check of a queue.
pub(super) async fn queue(context: &DoctorContext, arn: &QueueArn, of: &Use) -> Check {
    let config = aws::config(Region::new(arn.region().to_owned()), context.call_limits).await;
    let size = QueueAttributeName::MaximumMessageSize;
    let request = aws_sdk_sqs::Client::new(&config).get_queue_attributes();
    let response = request.queue_url(arn.url()).attribute_names(size.clone()).send().await;
    let described = match &response {
        Ok(response) => Ok(response.attributes().and_then(|all| all.get(&size).cloned())),
        Err(error) => Err(code_and_message(error, QUEUE.service)),
    };
    judge(&QUEUE, of, described)
}

async fn topic(context: &DoctorContext, arn: &SnsTopicArn) -> Check {
    let config = aws::config(Region::new(arn.region().to_owned()), context.call_limits).await;
    let request = aws_sdk_sns::Client::new(&config).get_topic_attributes();
    let response = request.topic_arn(arn.as_str()).send().await;
    let described = match &response {
        Ok(response) => Ok(response
            .attributes()
            .and_then(|all| all.get("MaximumMessageSize").cloned())),
        Err(error) => Err(code_and_message(error, TOPIC.service)),
    };
    judge(&TOPIC, &OF_RECORDS, described)
}

async fn bus(context: &DoctorContext, arn: &EventBusArn) -> Check {
    let config = aws::config(Region::new(arn.region().to_owned()), context.call_limits).await;
    let request = aws_sdk_eventbridge::Client::new(&config).describe_event_bus();
    let response = request.name(arn.as_str()).send().await;
    let described = match &response {
        Ok(_) => Ok(None),
        Err(error) => Err(code_and_message(error, BUS.service)),
    };
    judge(&BUS, &OF_RECORDS, described)
}

/// The check of a resource. The permission to look it up is another than the permission to
/// send to it.
///
/// | | |
/// |---|---|
/// | it exists | ok; only the first record verifies the permission to send |
/// | it does not exist, or this role has no access | failed |
/// | no permission to look it up, and runs need none | not checked |
/// | no permission to look it up, and runs need it | failed |
/// | the credentials are rejected, or no response | failed |
fn judge(kind: &Kind, of: &Use, described: Described<'_>) -> Check {
    let Kind {
        name, service, sends, ..
    } = kind;
    let failed = |what: String, next: String| Check::failed(of.check, ErrorType::DestinationFailed, what, next);
    match described {
        Ok(size) => {
            let size = size.map_or(String::new(), |size| format!(", for messages of up to {size} bytes"));
            Check::ok(of.check, format!("the {name} exists{size}"))
                .with([format!("only the first {} verifies the permission {sends}", of.first)])
        }
        Err((Some(code), _)) if is_missing(code) => failed(
            format!("the {name} does not exist, or this role has no access to it"),
            format!(
                "Create it, correct {}, or allow {sends} on it, in its own policy for another account",
                of.setting
            ),
        ),
        Err((Some(code), _)) if is_denied(code) && kind.is_looked_up_by_runs => failed(
            format!("this role has no permission {}, which runs need too", kind.looks_up),
            format!(
                "Allow {} and {sends} on it, in its own policy for another account",
                kind.looks_up
            ),
        ),
        Err((Some(code), _)) if is_denied(code) => Check::skipped(
            of.check,
            format!(
                "this role has no permission {}, which {} do not need",
                kind.looks_up, of.what_needs_it
            ),
        ),
        // The service's message can quote the signed request.
        Err((Some(code), _)) if is_about_credentials(code) => {
            Check::credentials_refused(of.check, ErrorType::DestinationFailed, code)
        }
        Err((_, message)) => failed(
            format!("{service} did not respond: {message}"),
            format!(
                "Check the network: a function in a VPC needs {} interface endpoint or a NAT gateway",
                kind.endpoint
            ),
        ),
    }
}

fn is_missing(code: &str) -> bool {
    code.ends_with("NonExistentQueue")
        || matches!(
            code,
            "QueueDoesNotExist" | "NotFound" | "NotFoundException" | "ResourceNotFoundException"
        )
}

fn is_denied(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "AuthorizationErrorException"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Skipped};

    #[test]
    fn each_row_of_the_table_holds_and_a_missing_right_that_runs_do_not_need_is_no_failure() {
        let error = |code| Err((Some(code), "planted".to_owned()));
        let rows: [(&Kind, Described<'_>, Status, &str); 10] = [
            (&QUEUE, Ok(Some("1048576".into())), Fine, "up to 1048576 bytes"),
            (&QUEUE, Ok(None), Fine, "the queue exists"),
            (
                &QUEUE,
                error("AccessDenied"),
                Skipped,
                "not checked: this role has no permission",
            ),
            (&TOPIC, error("AuthorizationError"), Skipped, "sns:GetTopicAttributes"),
            (&BUS, error("AccessDeniedException"), Failed, "events:DescribeEventBus"),
            (&QUEUE, error("QueueDoesNotExist"), Failed, "does not exist"),
            (&TOPIC, error("NotFound"), Failed, "the topic does not exist"),
            (
                &BUS,
                error("ResourceNotFoundException"),
                Failed,
                "the bus does not exist",
            ),
            (&QUEUE, error("ExpiredToken"), Failed, "refused: ExpiredToken"),
            (
                &QUEUE,
                Err((None, "timed out".into())),
                Failed,
                "did not respond: timed out",
            ),
        ];
        for (kind, described, status, what) in rows {
            let check = judge(kind, &OF_RECORDS, described);
            assert_eq!(check.status, status, "{check:?}");
            assert!(
                check.what.contains(what) && !check.what.contains("planted"),
                "{check:?}"
            );
        }
    }
}

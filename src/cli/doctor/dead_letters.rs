//! The target of dead letters, checked without sending one.

use std::sync::Arc;

use aws_config::Region;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;

use super::check::Check;
use super::kafka::is_about_topic;
use super::{DoctorContext, Shared, plural};
use crate::aws;
use crate::aws::call::{code_and_message, is_about_credentials};
use crate::config::{OnFailure, QueueArn, Target, TopicName};
use crate::error::{Error, ErrorType};
use crate::invoke::BestEffortSnapshot;
use crate::source::Source as _;
use crate::source::kafka::KafkaSource;

const NAME: &str = "dead_letters";

pub(super) async fn checks(
    context: &DoctorContext,
    snapshot: Shared<'_, Result<BestEffortSnapshot, Error>>,
) -> Vec<Check> {
    match &context.config().on_failure {
        OnFailure::Halt | OnFailure::Skip => vec![],
        OnFailure::DeadLetter(target @ Target::Kafka(topic)) => {
            let is_unreachable = snapshot.await.as_ref().as_ref().map_or(true, is_unreachable);
            let check = if is_unreachable {
                Check::skipped(NAME, "no broker accepts this user")
            } else {
                of_topic(describe_topic(context, topic).await.as_ref().copied())
            };
            vec![check.on(target)]
        }
        OnFailure::DeadLetter(target @ Target::Sqs(queue)) => {
            vec![describe_queue(context, queue).await.on(target)]
        }
    }
}

fn is_unreachable(snapshot: &BestEffortSnapshot) -> bool {
    let is_listed = snapshot
        .partitions
        .iter()
        .any(|plan| matches!(plan.state.end, Some(Ok(_))));
    !is_listed && !snapshot.brokers.values().any(is_about_topic)
}

/// With a client of its own: the source is fetching at the same time.
async fn describe_topic(context: &DoctorContext, topic: &TopicName) -> Result<usize, Error> {
    let source = KafkaSource::new(context.config(), Arc::clone(&context.security));
    let ends = source.end_offsets(&[topic.as_str().into()], context.until()).await;
    // Closing it takes longer than the whole command.
    std::mem::forget(source);
    Ok(ends?.all()?.len())
}

/// The check of the topic. `Write` on a topic implies `Describe`.
///
/// | | |
/// |---|---|
/// | it exists | ok; only a dead letter verifies the permission to write |
/// | it does not exist | failed |
/// | no permission to describe it | failed: then none to write either |
/// | no response | failed |
fn of_topic(partitions: Result<usize, &Error>) -> Check {
    match partitions {
        Ok(partitions) => {
            let partitions = plural(partitions, "partition");
            let what = format!("the topic exists, with {partitions}, and this user may describe it");
            Check::ok(NAME, what).with(["only the first dead letter verifies the permission to Write".to_owned()])
        }
        Err(error) if error.kind == ErrorType::UnknownTopic => Check::failed(
            NAME,
            ErrorType::DestinationFailed,
            "the topic does not exist",
            "Create it, or correct ON_FAILURE; only brokers with auto.create.topics.enable create it",
        ),
        Err(error) if error.kind == ErrorType::NotAuthorized => Check::failed(
            NAME,
            ErrorType::DestinationFailed,
            "this user may not describe the topic, so it may not write to it either",
            "Allow Write on it to this user; brokers hide whether it exists until then",
        ),
        Err(error) => Check::error(NAME, error),
    }
}

/// The queue's largest message in bytes, or the error code and message of SQS.
type Described<'a> = Result<Option<String>, (Option<&'a str>, String)>;

async fn describe_queue(context: &DoctorContext, queue: &QueueArn) -> Check {
    let region = Region::new(queue.region().to_owned());
    let client = Client::new(&aws::config(region, context.call_limits).await);
    let size = QueueAttributeName::MaximumMessageSize;
    let request = client.get_queue_attributes().queue_url(queue.url());
    let response = request.attribute_names(size.clone()).send().await;
    of_queue(match &response {
        Ok(response) => Ok(response.attributes().and_then(|all| all.get(&size).cloned())),
        Err(error) => Err(code_and_message(error, "SQS")),
    })
}

/// The check of the queue. The permission to read its attributes is another than
/// the permission to send to it.
///
/// | | |
/// |---|---|
/// | it exists | ok; only a dead letter verifies the permission to send |
/// | it does not exist, or this role has no access | failed |
/// | no permission to read its attributes | not checked |
/// | the credentials are rejected, or no response | failed |
fn of_queue(described: Described<'_>) -> Check {
    let failed = |what: String, next| Check::failed(NAME, ErrorType::DestinationFailed, what, next);
    match described {
        Ok(size) => {
            let size = size.map_or(String::new(), |size| format!(", for messages of up to {size} bytes"));
            Check::ok(NAME, format!("the queue exists{size}"))
                .with(["only the first dead letter verifies the permission sqs:SendMessage".to_owned()])
        }
        Err((Some(code), _)) if code.ends_with("NonExistentQueue") || code == "QueueDoesNotExist" => failed(
            "the queue does not exist, or this role has no access to it".into(),
            "Create it, correct ON_FAILURE, or allow sqs:SendMessage on it, in its own policy for another account",
        ),
        Err((Some("AccessDenied" | "AccessDeniedException"), _)) => Check::skipped(
            NAME,
            "this role has no permission sqs:GetQueueAttributes, which dead letters do not need",
        ),
        // The service's message can quote the signed request.
        Err((Some(code), _)) if is_about_credentials(code) => {
            Check::credentials_refused(NAME, ErrorType::DestinationFailed, code)
        }
        Err((_, message)) => failed(
            format!("SQS did not respond: {message}"),
            "Check the network: a function in a VPC needs an SQS interface endpoint or a NAT gateway",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Skipped};

    #[test]
    fn a_topic_is_checked_by_its_metadata() {
        let error = |error_type| Error::new(error_type, "down");
        let (missing, hidden, unreachable) = (
            error(ErrorType::UnknownTopic),
            error(ErrorType::NotAuthorized),
            error(ErrorType::BrokerUnreachable),
        );
        let rows = [
            (Ok(3), Fine, "3 partitions"),
            (Ok(1), Fine, "1 partition, "),
            (Err(&missing), Failed, "does not exist"),
            (Err(&hidden), Failed, "may not write"),
            (Err(&unreachable), Failed, "down"),
        ];
        for (described, status, what) in rows {
            let check = of_topic(described);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.what.contains(what), "{check:?}");
        }
    }

    #[test]
    fn a_queue_whose_attributes_may_not_be_read_is_no_failure() {
        let error = |code| Err((Some(code), "planted".to_owned()));
        let rows: [(Described<'_>, Status, &str); 6] = [
            (Ok(Some("1048576".into())), Fine, "up to 1048576 bytes"),
            (Ok(None), Fine, "the queue exists"),
            (
                error("AccessDenied"),
                Skipped,
                "not checked: this role has no permission",
            ),
            (error("QueueDoesNotExist"), Failed, "does not exist"),
            (error("ExpiredToken"), Failed, "refused: ExpiredToken"),
            (Err((None, "timed out".into())), Failed, "did not respond: timed out"),
        ];
        for (described, status, what) in rows {
            let check = of_queue(described);
            assert_eq!(check.status, status, "{check:?}");
            assert!(
                check.what.contains(what) && !check.what.contains("planted"),
                "{check:?}"
            );
        }
    }
}

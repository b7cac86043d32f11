//! The target of dead letters, as far as it can be known without sending one.

use std::sync::Arc;

use aws_config::Region;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;

use super::check::Check;
use super::{Answer, Practice};
use crate::aws;
use crate::aws::call::{code_and_message, is_about_credentials};
use crate::config::{OnFailure, QueueArn, Target, TopicName};
use crate::error::{Error, ErrorType};
use crate::invoke::BestEffortSnapshot;
use crate::source::Source as _;
use crate::source::kafka::KafkaSource;

const NAME: &str = "dead_letters";

pub(super) async fn checks(practice: &Practice, glance: Answer<'_, Result<BestEffortSnapshot, Error>>) -> Vec<Check> {
    match &practice.config().on_failure {
        OnFailure::Halt | OnFailure::Skip => vec![],
        OnFailure::DeadLetter(target @ Target::Kafka(topic)) => {
            let nobody = glance.await.as_ref().as_ref().map_or(true, nobody_answers);
            let check = if nobody {
                Check::skipped(NAME, "no broker answers this user")
            } else {
                of_topic(ask_topic(practice, topic).await.as_ref().copied())
            };
            vec![check.on(target)]
        }
        OnFailure::DeadLetter(target @ Target::Sqs(queue)) => {
            vec![of_queue(&ask_queue(practice, queue).await).on(target)]
        }
    }
}

fn nobody_answers(glance: &BestEffortSnapshot) -> bool {
    let let_in = [ErrorType::UnknownTopic, ErrorType::NotAuthorized];
    let asked = glance.brokers.values();
    !glance.states.iter().any(|fact| matches!(fact.end, Some(Ok(_))))
        && asked.clone().all(|error| !let_in.contains(&error.kind))
}

/// By a client of its own: the source is fetching just now.
async fn ask_topic(practice: &Practice, topic: &TopicName) -> Result<usize, Error> {
    let source = KafkaSource::new(practice.config(), Arc::clone(&practice.security));
    let ends = source.end_offsets(&[topic.as_str().into()], practice.until()).await;
    // Closing it would take longer than all the rest.
    std::mem::forget(source);
    Ok(ends?.all()?.len())
}

/// What the brokers say of the topic. `Write` on a topic comes with `Describe`.
///
/// | | |
/// |---|---|
/// | it is there | ok; whether it may be written is proved by a dead letter alone |
/// | it is not there | failed |
/// | it may not be described | failed: then it may not be written either |
/// | no answer | failed |
fn of_topic(answer: Result<usize, &Error>) -> Check {
    match answer {
        Ok(partitions) => {
            let s = if partitions == 1 { "" } else { "s" };
            let what = format!("the topic is there, with {partitions} partition{s}, and this user sees it");
            Check::ok(NAME, what).with(["whether it may Write is proved by the first dead letter alone".to_owned()])
        }
        Err(error) if error.kind == ErrorType::UnknownTopic => Check::failed(
            NAME,
            ErrorType::DestinationFailed,
            "the topic does not exist",
            "Create it, or correct ON_FAILURE; only brokers with auto.create.topics.enable make it by themselves",
        ),
        Err(error) if error.kind == ErrorType::NotAuthorized => Check::failed(
            NAME,
            ErrorType::DestinationFailed,
            "this user may not see the topic, so it may not write to it either",
            "Allow Write on it to this user; whether it exists is told only then",
        ),
        Err(error) => Check::error(NAME, error),
    }
}

/// What SQS says of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Queue {
    /// Its largest message, in bytes.
    There(Option<String>),
    Missing,
    /// The right to look at it is not needed, and not there.
    Hidden,
    Refused(String),
    Silent(String),
}

async fn ask_queue(practice: &Practice, queue: &QueueArn) -> Queue {
    let region = Region::new(queue.region().to_owned());
    let client = Client::new(&aws::config(region, practice.patience).await);
    let size = QueueAttributeName::MaximumMessageSize;
    let asked = client
        .get_queue_attributes()
        .queue_url(queue.url())
        .attribute_names(size.clone());
    match asked.send().await {
        Ok(answer) => Queue::There(answer.attributes.and_then(|mut all| all.remove(&size))),
        Err(error) => match code_and_message(&error, "SQS") {
            (Some(code), _) if code.ends_with("NonExistentQueue") || code == "QueueDoesNotExist" => Queue::Missing,
            (Some("AccessDenied" | "AccessDeniedException"), _) => Queue::Hidden,
            // The service's own words can quote the signed request.
            (Some(code), _) if is_about_credentials(code) => Queue::Refused(code.to_owned()),
            (_, words) => Queue::Silent(words),
        },
    }
}

/// Whether dead letters can get there. The right to look at a queue is another
/// than the right to send to it.
///
/// | | |
/// |---|---|
/// | it is there | ok; whether messages may be sent is proved by a dead letter alone |
/// | it is not there, or may not be known of | failed |
/// | it may not be looked at | not checked |
/// | the credentials are refused, or there is no answer | failed |
fn of_queue(queue: &Queue) -> Check {
    let failed = |what: String, next| Check::failed(NAME, ErrorType::DestinationFailed, what, next);
    match queue {
        Queue::There(size) => {
            let size = size
                .as_ref()
                .map_or(String::new(), |size| format!(", for messages of up to {size} bytes"));
            Check::ok(NAME, format!("the queue is there{size}"))
                .with(["whether sqs:SendMessage is allowed is proved by the first dead letter alone".to_owned()])
        }
        Queue::Missing => failed(
            "the queue does not exist, or this role may not know of it".into(),
            "Create it, correct ON_FAILURE, or allow sqs:SendMessage on it, in its own policy for another account",
        ),
        Queue::Hidden => Check::skipped(
            NAME,
            "this role may not look at the queue (sqs:GetQueueAttributes), which dead letters do not need",
        ),
        Queue::Refused(code) => failed(
            format!("the AWS credentials were refused: {code}"),
            "Renew them, and check this machine's clock",
        ),
        Queue::Silent(words) => failed(
            format!("SQS does not answer: {words}"),
            "Check the network: a function in a VPC needs an SQS interface endpoint or a NAT gateway",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status::{Failed, Ok as Fine, Skipped};

    #[test]
    fn a_topic_is_judged_by_what_the_brokers_say_of_it() {
        let error = |error_type| Error::new(error_type, "down. Mend it");
        let (missing, hidden, silent) = (
            error(ErrorType::UnknownTopic),
            error(ErrorType::NotAuthorized),
            error(ErrorType::BrokerUnreachable),
        );
        let rows = [
            (Ok(3), Fine, "3 partitions"),
            (Ok(1), Fine, "1 partition, "),
            (Err(&missing), Failed, "does not exist"),
            (Err(&hidden), Failed, "may not write"),
            (Err(&silent), Failed, "down"),
        ];
        for (answer, status, what) in rows {
            let check = of_topic(answer);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.what.contains(what), "{check:?}");
        }
    }

    #[test]
    fn a_queue_that_may_not_be_looked_at_is_no_failure() {
        let rows = [
            (Queue::There(Some("1048576".into())), Fine, "up to 1048576 bytes"),
            (Queue::There(None), Fine, "the queue is there"),
            (Queue::Hidden, Skipped, "not checked: this role may not look"),
            (Queue::Missing, Failed, "does not exist"),
            (Queue::Refused("ExpiredToken".into()), Failed, "ExpiredToken"),
            (Queue::Silent("timed out".into()), Failed, "does not answer: timed out"),
        ];
        for (queue, status, what) in rows {
            let check = of_queue(&queue);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.what.contains(what), "{check:?}");
        }
    }
}

//! The target of dead letters, checked without sending one.

use std::sync::Arc;

use super::aws_resources::{self, Use};
use super::check::Check;
use super::kafka::is_about_topic;
use super::{DoctorContext, Shared, plural};
use crate::config::{OnFailure, Target, TopicName};
use crate::error::{Error, ErrorType};
use crate::invoke::BestEffortSnapshot;
use crate::source::Source as _;
use crate::source::kafka::KafkaSource;

const NAME: &str = "dead_letters";

const OF_DEAD_LETTERS: Use = Use {
    check: NAME,
    setting: "ON_FAILURE",
    first: "dead letter",
    what_needs_it: "dead letters",
};

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
            vec![aws_resources::queue(context, queue, &OF_DEAD_LETTERS).await.on(target)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status::{Failed, Ok as Fine};

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
}

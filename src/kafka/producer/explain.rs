//! Why a record was not acknowledged, and what to do next.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;

use super::KafkaProducer;
use crate::kafka::errors::Explanation;

const NEW_PRODUCER: &str = "The next try uses a new producer";

impl KafkaProducer {
    /// What went wrong, and what to do next. `waited` is the time that was
    /// really waited for the brokers.
    pub(crate) fn explain(
        &self,
        error: &KafkaError,
        bootstrap_servers: &str,
        waited: Duration,
        setting: &str,
    ) -> Explanation {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
                Explanation::new("the topic does not exist", format!("Create it, or correct {setting}"))
            }
            Some(Code::TopicAuthorizationFailed) => Explanation::new(
                "not authorized",
                "Allow Write on the topic to the user of this function",
            ),
            Some(Code::InvalidRecord) => Explanation::new(
                "the topic refuses the record",
                "One that is compacted takes no record without a key: set its cleanup.policy to delete",
            ),
            Some(Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend) => Explanation::new(
                "fewer replicas are in sync than the topic's min.insync.replicas",
                "Check the brokers",
            ),
            Some(Code::ClusterAuthorizationFailed) => lacks_idempotent_write(error.to_string()),
            Some(Code::Fatal) => match self.fatal() {
                Some((Code::ClusterAuthorizationFailed, reason)) => lacks_idempotent_write(reason),
                Some((_, reason)) => Explanation::new(reason, NEW_PRODUCER),
                None => Explanation::new(error.to_string(), NEW_PRODUCER),
            },
            Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => Explanation::new(
                "not even a pointer to the record fits",
                "Raise the topic's max.message.bytes",
            ),
            Some(Code::MessageTimedOut) if self.has_topic() => self.not_acknowledged(waited),
            Some(
                Code::MessageTimedOut
                | Code::OperationTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::SSL
                | Code::Authentication,
            ) => match self.deliveries() {
                Some(deliveries) => {
                    let error = deliveries.context.explain(bootstrap_servers, waited, error);
                    Explanation::new(error.what, error.next)
                }
                None => Explanation::new(error.to_string(), NEW_PRODUCER),
            },
            _ => Explanation::new(error.to_string(), "Check the brokers' logs"),
        }
    }

    /// Why no broker has acknowledged a record in this time.
    pub(crate) fn not_acknowledged(&self, waited: Duration) -> Explanation {
        let what = format!("no acknowledgement within {:.1} s", waited.as_secs_f64());
        match self.deliveries().and_then(|it| it.context.cause()) {
            Some((_, cause)) => Explanation::new(format!("{what}: {}", cause.what), cause.next),
            None => Explanation::new(what, "Check the brokers and the topic's replicas"),
        }
    }

    fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.producer.as_ref()?.client().fatal_error()
    }
}

fn lacks_idempotent_write(reason: String) -> Explanation {
    Explanation::new(
        reason,
        "On brokers before 2.8 the user needs IdempotentWrite on the cluster",
    )
}

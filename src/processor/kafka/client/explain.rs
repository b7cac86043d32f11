//! What an error of the producer means, and what to do next.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;

use super::Client;

impl Client {
    /// What went wrong, and what to do next. `waited` is the time that was
    /// really waited for the brokers.
    pub(in super::super) fn explain(&self, error: &KafkaError, bootstrap_servers: &str, waited: Duration) -> String {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
                "the topic does not exist. Create it, or correct ON_FAILURE".to_owned()
            }
            Some(Code::TopicAuthorizationFailed) => {
                "not authorised. Allow Write on the topic to the user of this function".to_owned()
            }
            Some(Code::InvalidRecord) => {
                "the topic refuses the record. One that is compacted takes no record without a \
                                          key: set its cleanup.policy to delete"
                    .to_owned()
            }
            Some(Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend) => {
                "fewer replicas are in sync than the topic's min.insync.replicas. Look after the brokers".to_owned()
            }
            Some(Code::ClusterAuthorizationFailed) => lacks_idempotent_write(&error.to_string()),
            Some(Code::Fatal) => match self.fatal() {
                Some((Code::ClusterAuthorizationFailed, reason)) => lacks_idempotent_write(&reason),
                Some((_, reason)) => format!("{reason}. The next try uses a new producer"),
                None => format!("{error}. The next try uses a new producer"),
            },
            Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
                "not even a pointer to the record fits. Raise the topic's max.message.bytes".to_owned()
            }
            Some(Code::MessageTimedOut) if self.knows_topic() => self.unacknowledged(waited),
            Some(
                Code::MessageTimedOut
                | Code::OperationTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::SSL
                | Code::Authentication,
            ) => match self.listener() {
                Some(listener) => listener.context.explain(bootstrap_servers, waited, error).message(),
                None => error.to_string(),
            },
            _ => format!("{error}. Look at the brokers' logs"),
        }
    }

    /// What is known of a write that no broker has acknowledged in this time.
    pub(in super::super) fn unacknowledged(&self, waited: Duration) -> String {
        let heard = self.listener().and_then(|it| it.context.cause());
        let cause = heard.map_or_else(
            || "Look after the brokers and the topic's replicas".to_owned(),
            |(_, cause)| cause,
        );
        format!("no acknowledgement within {:.1} s. {cause}", waited.as_secs_f64())
    }

    fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.producer.as_ref()?.client().fatal_error()
    }
}

fn lacks_idempotent_write(reason: &str) -> String {
    format!("{reason}. On brokers before 2.8 the user needs IdempotentWrite on the cluster")
}

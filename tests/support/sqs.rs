//! Queues in `ElasticMQ`, an SQS on this machine, always as a JVM from Maven
//! Central.

use std::sync::OnceLock;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use kafka_consumer_lambda::dead_letter::sqs::SqsQueue;

use super::jvm::{self, Jvm};
use super::kafka::unique;
use super::services::print;

/// The account and the region of `ElasticMQ`'s ARNs.
const ACCOUNT: &str = "000000000000";
const REGION: &str = "elasticmq";

/// A value for `AWS_ENDPOINT_URL_SQS`. `ElasticMQ` is started by the first call.
///
/// # Panics
/// If it cannot be started. The message names what to install.
pub(crate) fn endpoint() -> String {
    static SQS: OnceLock<Result<Jvm, String>> = OnceLock::new();
    let started = SQS.get_or_init(|| {
        if let Some(missing) = jvm::missing() {
            return Err(format!(
                "These tests need a local SQS, ElasticMQ, which comes from Maven Central and needs Java {}+ and Maven, \
                 also where other services come from Docker (Debian: `apt-get install default-jdk-headless maven`). \
                 Now: {missing}",
                jvm::OLDEST_JAVA
            ));
        }
        let started = jvm::sqs()?;
        print(&format!(
            "tests use the ElasticMQ (port {}) from Maven Central, as a JVM",
            started.port
        ));
        Ok(started)
    });
    match started {
        Ok(sqs) => format!("http://127.0.0.1:{}", sqs.port),
        Err(message) => panic!("{message}"),
    }
}

/// A queue for a single test.
pub(crate) struct Queue {
    pub(crate) arn: String,
    client: Client,
    url: String,
}

impl Queue {
    /// Creates a queue; a FIFO queue if the name ends with `.fifo`.
    pub(crate) async fn create(name: &str) -> Self {
        let (name, fifo) = match name.strip_suffix(".fifo") {
            Some(name) => (format!("{}.fifo", unique(name)), true),
            None => (unique(name), false),
        };
        let client = client();
        let mut request = client.create_queue().queue_name(&name);
        if fifo {
            request = request.attributes(QueueAttributeName::FifoQueue, "true");
        }
        let url = request.send().await.expect("a queue").queue_url.expect("its URL");
        let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
        Self { arn, client, url }
    }

    /// The queue as a target of dead letters.
    pub(crate) fn target(&self) -> SqsQueue {
        target(&self.arn)
    }

    /// Receives `count` messages and deletes them.
    pub(crate) async fn take(&self, count: usize) -> Vec<Message> {
        let mut taken = vec![];
        while taken.len() < count {
            let request = self.client.receive_message().queue_url(&self.url);
            let request = request.max_number_of_messages(10).wait_time_seconds(5);
            let request = request
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All);
            let messages = request.send().await.expect("a response").messages.unwrap_or_default();
            assert!(
                !messages.is_empty(),
                "{} of {count} messages were received",
                taken.len()
            );
            for message in &messages {
                let receipt = message.receipt_handle.clone().expect("a receipt");
                let delete = self.client.delete_message().queue_url(&self.url);
                delete.receipt_handle(receipt).send().await.expect("it is deleted");
            }
            taken.extend(messages);
        }
        taken
    }

    /// The number of messages in the queue.
    pub(crate) async fn len(&self) -> usize {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let response = request.attribute_names(name.clone()).send().await.expect("a response");
        let count = response.attributes.as_ref().and_then(|all| all.get(&name));
        count.and_then(|count| count.parse().ok()).expect("a number")
    }
}

/// A queue that may not exist, as a target of dead letters.
pub(crate) fn target(arn: &str) -> SqsQueue {
    SqsQueue::with_client(arn.parse().expect("an ARN"), client())
}

fn client() -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint())
        .credentials_provider(Credentials::new("test", "test", None, None, "the tests"));
    Client::from_conf(config.build())
}

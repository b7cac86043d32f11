//! Dead letters into a Kafka topic: `ON_FAILURE=kafka://topic`.
//!
//! A dead letter is written as the record that it is: [`dead_letter`](super::dead_letter) has the
//! headers. Its time is that of the write; the time of the failed record is in a header.
//!
//! **Size.** The topic's `max.message.bytes` decides. A dead letter that it refuses
//! is written as a [`pointer`](super::pointer()).

use std::sync::Arc;

use super::pointer;
use crate::config::{Config, TopicName};
use crate::destination::batched::{Batched, Encoder, Limits, Unfit};
use crate::destination::kafka::TopicSender;
use crate::processor::{Failure, Processor, Progress, RunContext};
use crate::record::{Chunk, Record};
use crate::security::Security;

/// A topic that takes dead letters.
pub struct KafkaTopic {
    topic: TopicName,
    letters: Batched<TopicSender, Letters>,
}

/// Dead letters as they are.
struct Letters;

impl Encoder<Record> for Letters {
    fn encode(&self, letter: &Record) -> Result<Record, Unfit> {
        Ok(letter.clone())
    }

    fn reduced(&self, letter: &Record) -> Option<Record> {
        Some(pointer(letter))
    }

    fn too_large(&self, _: Limits) -> String {
        "not even a pointer to the record fits. Raise the topic's max.message.bytes".to_owned()
    }
}

impl KafkaTopic {
    /// The topic `topic` of the brokers of `config`. Nothing is connected yet.
    #[must_use]
    pub fn new(config: &Config, security: Arc<Security>, topic: &TopicName) -> Self {
        let sender = TopicSender::new(config, security, topic, "ON_FAILURE");
        Self {
            topic: topic.clone(),
            letters: Batched::new(sender, Letters, None).ending_with_the_run(),
        }
    }
}

impl Processor for KafkaTopic {
    async fn process(&self, chunk: &Chunk, run: &RunContext) -> Progress {
        let Progress { settled, stop } = self.letters.process(chunk, run).await;
        // Whatever it is: the dead letter is written again, and its record is kept.
        let stop = stop.map(|failure| {
            Failure::Retry(format!(
                "dead letters cannot be written to kafka://{}: {failure}",
                self.topic
            ))
        });
        Progress { settled, stop }
    }

    fn decodes(&self, _topic: &str) -> bool {
        true
    }
}

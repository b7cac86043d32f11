//! Arguments that select partitions.

use crate::error::{Error, ErrorType};
use crate::event::{RunRequest, Shard};
use crate::record::TopicPartition;

/// The partitions of a command; none named: all.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Partitions {
    /// Only this partition; may be repeated
    #[arg(long = "partition", value_name = "P", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..))]
    pub(super) numbers: Vec<i32>,
}

impl Partitions {
    pub(super) fn includes(&self, partition: &TopicPartition) -> bool {
        self.numbers.is_empty() || self.numbers.contains(&partition.partition)
    }

    /// Fails if a selected partition is in neither a topic nor the table.
    pub(super) fn check<'a>(&self, known: impl Iterator<Item = &'a TopicPartition>) -> Result<(), Error> {
        let known: Vec<i32> = known.map(|partition| partition.partition).collect();
        match self.numbers.iter().find(|number| !known.contains(number)) {
            None => Ok(()),
            Some(unknown) => Err(Error::new(
                ErrorType::InvalidConfiguration,
                format!("no topic has a partition {unknown}"),
            )
            .next("Correct --partition")),
        }
    }

    /// In ascending order without duplicates; `None`: all.
    pub(super) fn chosen(&self) -> Option<Vec<i32>> {
        let mut chosen = self.numbers.clone();
        chosen.sort_unstable();
        chosen.dedup();
        Some(chosen).filter(|chosen| !chosen.is_empty())
    }
}

/// The partitions of a run, a plan, `lag` or `offsets list`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Selection {
    #[command(flatten)]
    partitions: Partitions,

    /// Only this shard of the partitions: `2/4` is every partition with `partition % 4 == 1`
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
}

impl From<&Selection> for RunRequest {
    fn from(selection: &Selection) -> Self {
        // The limit comes from the settings.
        Self {
            max_messages: None,
            partitions: selection.partitions.chosen(),
            shard: selection.shard,
        }
    }
}

//! The partitions that a command is about.

use crate::event::{RunRequest, Shard};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Selection {
    /// Only this partition; may be repeated
    #[arg(long = "partition", value_name = "P", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,

    /// Only this share of the partitions: `2/4` is every partition with `partition % 4 == 1`
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
}

impl From<&Selection> for RunRequest {
    fn from(selection: &Selection) -> Self {
        let partitions = (!selection.partitions.is_empty()).then(|| {
            let mut partitions = selection.partitions.clone();
            partitions.sort_unstable();
            partitions.dedup();
            partitions
        });
        // The limit is a setting here.
        Self {
            max_messages: None,
            partitions,
            shard: selection.shard,
        }
    }
}

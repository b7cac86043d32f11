//! A shard of the partitions, so that several schedules can split a topic.

use std::fmt;
use std::str::FromStr;

use crate::config::NotAllowed;

/// One of several equal shares of the partitions: `2/4` is the second of four, the partitions
/// with `partition % 4 == 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1 to `of`.
    index: u32,
    /// 1 or more.
    of: u32,
}

impl Shard {
    /// Its number, counted from 1.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// The number of shards, 1 or more.
    #[must_use]
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether the partition is in this shard. A negative number is in none.
    #[must_use]
    pub fn contains(self, partition: i32) -> bool {
        u32::try_from(partition).is_ok_and(|partition| partition % self.of == self.index - 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// The form of a shard, for messages.
pub(super) const SHARD_ALLOWED: &str = "must be text such as \"2/4\": the second of four shares, counted from 1";

impl FromStr for Shard {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        let number = |digits: &str| -> Option<u32> {
            // `parse` alone would take a sign.
            digits
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| digits.parse().ok())?
        };
        text.split_once('/')
            .and_then(|(index, of)| {
                Some(Self {
                    index: number(index)?,
                    of: number(of)?,
                })
            })
            .filter(|shard| (1..=shard.of).contains(&shard.index))
            .ok_or_else(|| NotAllowed::new(SHARD_ALLOWED))
    }
}

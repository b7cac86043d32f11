//! The owner of cursors.

use std::fmt;
use std::sync::Arc;

/// The owner of cursors: a consumer group on one topic, or one of its backfills.
/// Displayed as the table's partition key: `<group_id>_<topic>`, for a backfill
/// `<group_id>_<topic>#<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Consumer {
    /// The group's name.
    pub group_id: Arc<str>,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The backfill's name; `None`: the live cursors.
    pub backfill: Option<Arc<str>>,
}

impl Consumer {
    /// The key without its group: `<topic>`, for a backfill `<topic>#<name>`.
    #[must_use]
    pub fn scope(&self) -> String {
        match &self.backfill {
            Some(name) => format!("{}#{name}", self.topic),
            None => self.topic.to_string(),
        }
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.group_id, self.scope())
    }
}

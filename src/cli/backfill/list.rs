//! `backfill list`.

use serde::Serialize;
use serde_json::Value;

use crate::claim::Cursor;
use crate::cli::exit::Exit;
use crate::cli::output::{Out, table};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::error::Error;
use crate::store::dynamodb::{self, DynamoStore};
use crate::store::{Consumer, StoredCursor};
use crate::words::words;

/// The JSON document.
#[derive(Debug, Serialize)]
struct Backfills {
    backfills: Vec<Backfill>,
}

/// One backfill: its bounds and its progress.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Backfill {
    name: String,
    topic: String,
    /// As in the event; null where no item has it.
    from: Value,
    to: Value,
    state: State,
    /// Share of its offsets that are processed, rounded down.
    percent: u64,
    to_go: u64,
    partitions: Vec<BackfillPartition>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct BackfillPartition {
    partition: i32,
    from: Option<i64>,
    to: Option<i64>,
    next_offset: Option<i64>,
    to_go: Option<u64>,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

words! {
    /// The state of a partition, the least urgent first; that of a backfill is the
    /// most urgent of its partitions.
    enum State {
        /// All offsets are processed.
        Done = "done",
        /// The next pass resumes it.
        Open = "open",
        /// A run has claimed it.
        Claimed = "claimed",
        /// An operator paused it.
        Paused = "paused",
        /// A record failed.
        Blocked = "blocked",
        /// The item is not a valid cursor of a backfill.
        Invalid = "invalid",
    }
}

pub(super) async fn list(config: &Config, out: Out) -> Result<Exit, Error> {
    let client = dynamodb::client(dynamodb::CallLimits::default()).await?;
    let store = DynamoStore::new(client, &config.table);
    let now_ms = SystemClock.wall_ms();
    let mut backfills = vec![];
    for topic in &config.topics {
        let found = store.backfills(&config.group_id, topic).await?;
        backfills.extend(
            found
                .iter()
                .map(|(consumer, cursors)| backfill(consumer, cursors, now_ms)),
        );
    }
    out.print(&text(config, &backfills), &Backfills { backfills });
    Ok(Exit::Done)
}

fn backfill(consumer: &Consumer, cursors: &[StoredCursor], now_ms: i64) -> Backfill {
    let bounds = cursors
        .iter()
        .filter_map(|stored| stored.cursor.as_ref().ok()?.backfill.as_deref());
    let requested: Value = bounds
        .clone()
        .find_map(|bounds| serde_json::from_str(&bounds.requested).ok())
        .unwrap_or_default();
    let total: u64 = bounds.map(|bounds| bounds.from.distance_to(bounds.to)).sum();
    let partitions: Vec<BackfillPartition> = cursors.iter().map(|stored| partition(stored, now_ms)).collect();
    let to_go: u64 = partitions.iter().filter_map(|row| row.to_go).sum();
    Backfill {
        name: consumer.backfill.as_deref().unwrap_or_default().to_owned(),
        topic: consumer.topic.to_string(),
        from: requested["from"].clone(),
        to: requested["to"].clone(),
        state: partitions.iter().map(|row| row.state).max().unwrap_or(State::Done),
        // Rounded down: 100 is all of it.
        percent: (total.saturating_sub(to_go) * 100).checked_div(total).unwrap_or(100),
        to_go,
        partitions,
    }
}

fn partition(stored: &StoredCursor, now_ms: i64) -> BackfillPartition {
    let invalid = |error: &str| BackfillPartition {
        partition: stored.partition,
        from: None,
        to: None,
        next_offset: None,
        to_go: None,
        state: State::Invalid,
        error: Some(error.to_owned()),
    };
    let cursor = match &stored.cursor {
        Ok(cursor) => cursor,
        Err(error) => return invalid(&error.to_string()),
    };
    let Some(bounds) = &cursor.backfill else {
        return invalid("the item has no `backfill_to`");
    };
    BackfillPartition {
        partition: stored.partition,
        from: Some(bounds.from.get()),
        to: Some(bounds.to.get()),
        next_offset: Some(cursor.next.get()),
        to_go: Some(cursor.next.distance_to(bounds.to)),
        state: if cursor.next >= bounds.to {
            State::Done
        } else {
            state(cursor, now_ms)
        },
        error: cursor.failures().and_then(|failures| failures.error.clone()),
    }
}

fn state(cursor: &Cursor, now_ms: i64) -> State {
    if cursor.paused {
        State::Paused
    } else if cursor.held_until_ms(now_ms).is_some() {
        State::Claimed
    } else if cursor.failures().is_some() {
        State::Blocked
    } else {
        State::Open
    }
}

fn text(config: &Config, backfills: &[Backfill]) -> String {
    if backfills.is_empty() {
        return format!(
            "group {} has no backfill of {}",
            config.group_id,
            config.topics.join(", ")
        );
    }
    let headings = ["name", "topic", "from", "to", "partitions", "to go", "read", "state"];
    let mut rows = table(&headings, 4..=6);
    for row in backfills {
        rows.add_row([
            row.name.clone(),
            row.topic.clone(),
            bound(&row.from),
            bound(&row.to),
            row.partitions.len().to_string(),
            row.to_go.to_string(),
            format!("{}%", row.percent),
            row.state.as_str().to_owned(),
        ]);
    }
    rows.to_string()
}

/// A bound as in the arguments; offsets by partition do not fit in a cell.
fn bound(requested: &Value) -> String {
    match requested {
        Value::String(word) => word.clone(),
        Value::Object(_) => "offsets".into(),
        _ => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::documented;

    #[test]
    fn every_state_of_a_backfill_is_documented() {
        assert_eq!(documented("### `state` of `backfill list`"), State::WORDS);
    }
}

//! The items of the table.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use crate::cli::output;
use crate::error::{Error, ErrorType};

/// The attributes that the demo shows.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Item {
    pub(super) consumer_id: String,
    pub(super) partition: i32,
    /// The last processed offset, as stored.
    pub(super) offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) claim_until: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<String>,
}

/// All items, by partition; read without the store, so that they are raw.
pub(super) async fn read(client: &Client, table: &str) -> Result<Vec<Item>, Error> {
    let response = client
        .scan()
        .table_name(table)
        .consistent_read(true)
        .send()
        .await
        .map_err(|error| {
            Error::new(
                ErrorType::TableUnreachable,
                format!("the table {table} cannot be read: {}", DisplayErrorContext(&error)),
            )
        })?;
    let mut items = response
        .items()
        .iter()
        .map(item)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            Error::new(
                ErrorType::InvalidCursor,
                format!("an item of the table {table} lacks one of its attributes"),
            )
        })?;
    items.sort_by_key(|item| item.partition);
    Ok(items)
}

fn item(raw: &HashMap<String, AttributeValue>) -> Option<Item> {
    Some(Item {
        consumer_id: raw.get("consumer_id")?.as_s().ok()?.clone(),
        partition: number(raw, "partition")?,
        offset: number(raw, "offset")?,
        claim_until: number(raw, "claim_until"),
        run: raw.get("run").and_then(|run| run.as_s().ok().cloned()),
    })
}

fn number<T: std::str::FromStr>(raw: &HashMap<String, AttributeValue>, name: &str) -> Option<T> {
    raw.get(name)?.as_n().ok()?.parse().ok()
}

/// The items as a table.
pub(super) fn table(items: &[Item]) -> String {
    let mut rows = output::table(&["consumer_id", "partition", "offset", "claim"], 1..=2);
    for item in items {
        rows.add_row([
            item.consumer_id.clone(),
            item.partition.to_string(),
            item.offset.to_string(),
            claim(item),
        ]);
    }
    rows.to_string()
}

/// The first letters of a run's id identify it.
fn claim(item: &Item) -> String {
    const SHORT: usize = 8;
    let Some(until) = item
        .claim_until
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
    else {
        return "-".into();
    };
    let run = item.run.as_deref().map_or("?", |run| run.get(..SHORT).unwrap_or(run));
    format!("run {run} until {}", until.strftime("%H:%M:%S"))
}

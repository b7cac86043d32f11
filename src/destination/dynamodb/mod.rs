//! A `DynamoDB` table as destination: it holds the newest value of each key, effectively once.
//!
//! **Writes.** One conditional `PutItem` for a record. The item holds the fields of the value and
//! the guard: `kafka_topic`, `kafka_partition`, `kafka_offset`, `kafka_timestamp`. A write that
//! the guard refuses is accepted: the item is as new as the record, or newer. A tombstone writes
//! a marker, which has `kafka_deleted` and no fields.
//!
//! **Calls.** Up to 100 records, 10 items at a time. Of the records of one item in a call the
//! newest is written; the others are replaced by it. A request has 8 seconds, with three
//! attempts in it.
//!
//! **Repetition.** Harmless: the guard refuses what is there already.
//!
//! **The table's keys** are read once, by `DescribeTable`, and again where `DynamoDB` refuses a key.
//!
//! **Permissions.** `dynamodb:DescribeTable` and `dynamodb:PutItem` on the table and nothing else.
//!
//! | file | |
//! |---|---|
//! | `item/` | a record -> its item; pure |
//! | `value.rs` | JSON -> a value; pure |
//! | `key/` | the table's key attributes and the item's key; pure |
//! | `guard/` | which record may replace an item; pure |
//! | `newest.rs` | which records of a call are written; pure |
//! | `outcome.rs` | what a response means; pure |

mod guard;
mod item;
mod key;
mod newest;
mod outcome;
mod value;

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::Region;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{ReturnValuesOnConditionCheckFailure, TableDescription};
use futures::stream::{self, StreamExt as _};
use tokio::sync::OnceCell;

use super::batched::{CallFailure, EntryOutcome, Limits, Sender};
use crate::aws::{self, CallLimits};
use crate::clock::{Clock as _, SystemClock};
use crate::config::TableArn;
use guard::Comparison;
pub(crate) use item::{Items, Write};
use item::{MAX_ITEM_BYTES, Put};
pub(crate) use key::KeySchema;
use newest::Stopped;
pub(crate) use outcome::Problem;
use outcome::{Refusals, Refused};

/// Records of one call: enough that 10 requests at a time are in flight nearly always.
const MAX_ENTRIES: usize = 100;

/// Requests of one call in flight.
const MAX_REQUESTS: usize = 10;

/// What the items of a call may take in memory beside the fetched records.
const MAX_CALL_BYTES: usize = 4 * 1024 * 1024;

/// A table. The client is created for the first call.
pub(crate) struct TableSender {
    arn: TableArn,
    client: OnceCell<Client>,
    schema: Mutex<Option<Arc<KeySchema>>>,
}

impl TableSender {
    /// The table `arn`, in its own region. Nothing is connected, and no credentials are
    /// resolved, before the first call.
    pub(crate) fn new(arn: TableArn) -> Self {
        Self {
            arn,
            client: OnceCell::new(),
            schema: Mutex::default(),
        }
    }

    /// The same, reached by `client`.
    #[cfg(feature = "cli")]
    pub(crate) fn with_client(self, client: Client) -> Self {
        Self {
            client: OnceCell::new_with(Some(client)),
            ..self
        }
    }

    async fn client(&self) -> &Client {
        let make = async || {
            let region = Region::new(self.arn.region().to_owned());
            Client::new(&aws::config(region, CallLimits::default()).await)
        };
        self.client.get_or_init(make).await
    }

    /// The table's key attributes. Requests may be made for several partitions at once; each
    /// gets the same.
    async fn schema(&self) -> Result<Arc<KeySchema>, Problem> {
        let known = self.schema.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(schema) = known {
            return Ok(schema);
        }
        let schema = Arc::new(self.describe().await?);
        *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&schema));
        Ok(schema)
    }

    /// Reads the table's key attributes.
    ///
    /// # Errors
    /// Why the table takes no records.
    pub(crate) async fn describe(&self) -> Result<KeySchema, Problem> {
        let refusals = Refusals::new(&self.arn, "DescribeTable");
        // By its ARN: a table of the same name in this account is another one.
        let request = self.client().await.describe_table().table_name(self.arn.as_str());
        let response = request.customize().interceptor(refusals.observer()).send().await;
        let response = response.map_err(|error| refusals.of_table(&error))?;
        let table = response.table.unwrap_or_else(|| TableDescription::builder().build());
        match outcome::of_status(table.table_status()) {
            Some(problem) => Err(problem),
            None => KeySchema::of(&table).map_err(|why| Problem::new(why, "Use a table with other keys")),
        }
    }

    /// Tests `dynamodb:PutItem` by a write that is never applied: its condition contradicts
    /// itself, and permissions are checked first.
    #[cfg(feature = "cli")]
    pub(crate) async fn may_put(&self, schema: &KeySchema) -> Result<(), Problem> {
        let refusals = Refusals::new(&self.arn, "PutItem");
        let request = self.client().await.put_item().table_name(self.arn.as_str());
        let request = request
            .set_item(Some(schema.unused_key()))
            .condition_expression("attribute_exists(#key) AND attribute_not_exists(#key)")
            .expression_attribute_names("#key", schema.partition_key());
        match request.customize().interceptor(refusals.observer()).send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(refusals.of_table(&error)),
            },
        }
    }

    /// Writes the newest record of an item that `DynamoDB` takes; `records`: their indexes,
    /// ascending. Returns the outcome of each.
    async fn write_newest(
        &self,
        writes: &[Write],
        puts: &[Result<Put, String>],
        records: Vec<usize>,
        stopped: &Stopped,
    ) -> Vec<(usize, EntryOutcome)> {
        let mut outcomes = Vec::with_capacity(records.len());
        let mut of_older = None;
        for index in records.into_iter().rev() {
            let known = of_older.clone().or_else(|| stopped.outcome());
            let outcome = match (known, &puts[index]) {
                (Some(outcome), _) => outcome,
                (None, Ok(put)) => self.write(&writes[index], put).await,
                (None, Err(why)) => EntryOutcome::Invalid(why.clone()),
            };
            stopped.observe(&outcome);
            of_older = newest::of_older(&outcome);
            outcomes.push((index, outcome));
        }
        outcomes
    }

    /// Writes an item, unless the one that is there is as new.
    async fn write(&self, write: &Write, put: &Put) -> EntryOutcome {
        let refusals = Refusals::new(&self.arn, "PutItem");
        let condition = write.origin.condition();
        let request = self.client().await.put_item().table_name(self.arn.as_str());
        let response = request
            .set_item(Some(put.item.clone()))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(Some(condition.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .customize()
            .interceptor(refusals.observer())
            .send()
            .await;
        let Err(error) = response else {
            return EntryOutcome::Accepted;
        };
        if let Some(PutItemError::ConditionalCheckFailedException(refused)) = error.as_service_error() {
            let item = refused.item().cloned().unwrap_or_default();
            return self.refused_by_guard(write, write.origin.compare(&item));
        }
        let Refused { outcome, other_keys } = refusals.of_write(&error);
        if other_keys {
            *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        outcome
    }

    fn refused_by_guard(&self, write: &Write, comparison: Comparison) -> EntryOutcome {
        if comparison == Comparison::LowerOffsetLaterTime {
            let origin = &write.origin;
            tracing::warn!(
                table = %self.arn, topic = &*origin.topic, partition = origin.partition, offset = origin.offset,
                "a record was not written: its item has a higher offset of the same partition and an earlier timestamp. \
                 If the topic was deleted and created again, delete the items of the old one, and process the records \
                 again with a backfill"
            );
        }
        outcome::of_condition(comparison)
    }
}

impl Sender for TableSender {
    type Entry = Write;

    fn limits(&self) -> Limits {
        Limits {
            entries: MAX_ENTRIES,
            call_bytes: MAX_CALL_BYTES,
            entry_bytes: MAX_ITEM_BYTES,
        }
    }

    fn bytes(&self, entry: &Write) -> usize {
        entry.bytes
    }

    /// A request for each item. No further one begins after one was refused for now.
    async fn send(&self, entries: &[Write]) -> Result<Vec<EntryOutcome>, CallFailure> {
        let schema = self.schema().await?;
        let now_s = SystemClock.wall_ms() / 1_000;
        let puts: Vec<Result<Put, String>> = entries.iter().map(|write| write.put(&schema, now_s)).collect();
        let (puts, stopped) = (&puts, &Stopped::default());
        let items = newest::by_item(puts).into_iter();
        let requests = items.map(|records| self.write_newest(entries, puts, records, stopped));
        let mut outcomes: Vec<(usize, EntryOutcome)> = stream::iter(requests)
            .buffer_unordered(MAX_REQUESTS)
            .flat_map(stream::iter)
            .collect()
            .await;
        outcomes.sort_by_key(|(index, _)| *index);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }
}

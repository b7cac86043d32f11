//! Creates the table.

use std::time::Duration;

use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription, TableStatus,
};
use tokio::time::{Instant, sleep};

use super::DynamoStore;
use super::item::name;
use crate::error::{Error, ErrorType};

/// How long a new table may take to become active: about 10 seconds is usual.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// The interval of `DescribeTable` meanwhile.
const DESCRIBE_EVERY: Duration = Duration::from_millis(500);

/// The keys of the table, partition key first.
const KEYS: [(&str, KeyType, ScalarAttributeType); 2] = [
    (name::CONSUMER_ID, KeyType::Hash, ScalarAttributeType::S),
    (name::PARTITION, KeyType::Range, ScalarAttributeType::N),
];

/// The result of [`DynamoStore::create_table`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableCreated {
    /// The table is new.
    Created,
    /// It existed already, with the right keys.
    AlreadyThere,
}

impl DynamoStore {
    /// Creates the table, billed on demand, and waits until it is active: a
    /// minute at most. An existing table with the right keys is not
    /// changed.
    ///
    /// # Errors
    /// `InvalidConfiguration` when there is a table of that name with other
    /// keys; `TableUnreachable` when `DynamoDB` does not respond or refuses
    /// the request, or when the table is not active in time. All may be retried.
    pub async fn create_table(&self) -> Result<TableCreated, Error> {
        let created = match self.describe().await? {
            Some(_) => TableCreated::AlreadyThere,
            None => self.send_create().await?,
        };
        let give_up = Instant::now() + READY_WITHIN;
        loop {
            // `DescribeTable` is eventually consistent: a new table may be missing.
            let table = self.describe().await?;
            if let Some(table) = &table {
                self.check_keys(table)?;
                if table.table_status() == Some(&TableStatus::Active) {
                    return Ok(created);
                }
            }
            if Instant::now() >= give_up {
                return Err(self.never_ready(table.as_ref()));
            }
            sleep(DESCRIBE_EVERY).await;
        }
    }

    async fn describe(&self) -> Result<Option<TableDescription>, Error> {
        let call = self.call("DescribeTable");
        let response = self
            .client
            .describe_table()
            .table_name(&self.table)
            .customize()
            .interceptor(call.observer())
            .send()
            .await;
        match response {
            Ok(response) => Ok(response.table),
            Err(error) => match error.as_service_error() {
                Some(DescribeTableError::ResourceNotFoundException(_)) => Ok(None),
                _ => Err(call.error(&error)),
            },
        }
    }

    /// Adds the table's keys to the error, if the role may describe the table.
    #[cfg(feature = "cli")]
    pub(super) async fn with_keys(&self, error: Error) -> Error {
        match self.describe().await {
            Ok(Some(table)) => Error::new(
                error.kind,
                format!("{}. Its keys are {}", error.message(), keys_of(&table)),
            ),
            _ => error,
        }
    }

    async fn send_create(&self) -> Result<TableCreated, Error> {
        let call = self.call("CreateTable");
        let mut request = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest);
        for (name, key_type, scalar) in KEYS {
            request = request
                .key_schema(
                    KeySchemaElement::builder()
                        .attribute_name(name)
                        .key_type(key_type)
                        .build()
                        .map_err(incomplete)?,
                )
                .attribute_definitions(
                    AttributeDefinition::builder()
                        .attribute_name(name)
                        .attribute_type(scalar)
                        .build()
                        .map_err(incomplete)?,
                );
        }
        match request.customize().interceptor(call.observer()).send().await {
            Ok(_) => Ok(TableCreated::Created),
            Err(error) => match error.as_service_error() {
                // An attempt without a response was applied, or another
                // process created the table.
                Some(CreateTableError::ResourceInUseException(_)) if call.may_have_been_applied() => {
                    Ok(TableCreated::Created)
                }
                Some(CreateTableError::ResourceInUseException(_)) => Ok(TableCreated::AlreadyThere),
                _ => Err(call.error(&error)),
            },
        }
    }

    fn check_keys(&self, table: &TableDescription) -> Result<(), Error> {
        let (found, ours) = (keys_of(table), our_keys());
        if found == ours {
            return Ok(());
        }
        Err(Error::new(
            ErrorType::InvalidConfiguration,
            format!(
                "there is a table \"{}\" already, and its keys are {found}, not {ours}",
                self.table
            ),
        )
        .next("Name another table in DYNAMODB_TABLE"))
    }

    fn never_ready(&self, table: Option<&TableDescription>) -> Error {
        let status = table
            .and_then(TableDescription::table_status)
            .map_or("not there", TableStatus::as_str);
        Error::new(
            ErrorType::TableUnreachable,
            format!(
                "table \"{}\" is {status} after {} seconds, not ACTIVE",
                self.table,
                READY_WITHIN.as_secs()
            ),
        )
        .next("Wait, and create it again")
    }
}

fn incomplete(error: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorType::TableUnreachable,
        format!("the request for a table could not be built: {error}"),
    )
}

/// Keys as text: `consumer_id (S), partition (N)`.
fn keys_of(table: &TableDescription) -> String {
    let mut keys: Vec<_> = table.key_schema().iter().collect();
    keys.sort_by_key(|key| *key.key_type() != KeyType::Hash);
    let keys = keys.into_iter().map(|key| {
        let defined = table
            .attribute_definitions()
            .iter()
            .find(|attribute| attribute.attribute_name() == key.attribute_name());
        format!(
            "{} ({})",
            key.attribute_name(),
            defined.map_or("?", |attribute| attribute.attribute_type().as_str())
        )
    });
    keys.collect::<Vec<_>>().join(", ")
}

fn our_keys() -> String {
    KEYS.map(|(name, _, scalar)| format!("{name} ({})", scalar.as_str()))
        .join(", ")
}

//! `table create`.

use super::exit::Exit;
use super::output::Out;
use crate::config::Config;
use crate::error::Error;
use crate::store::dynamodb::{self, DynamoStore, TableCreated};

pub(super) async fn create(config: &Config, out: Out) -> Result<Exit, Error> {
    let client = dynamodb::client(dynamodb::CallLimits::default()).await?;
    let (created, outcome) = match DynamoStore::new(client, &config.table).create_table().await? {
        TableCreated::Created => (true, "created, billed on demand"),
        TableCreated::AlreadyThere => (false, "exists already, with the right keys"),
    };
    out.print(
        &format!("table {}: {outcome}", config.table),
        &serde_json::json!({ "table": config.table, "created": created }),
    );
    Ok(Exit::Done)
}

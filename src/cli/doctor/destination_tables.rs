//! The DynamoDB tables of `DESTINATION`: whether they exist, take records, and may be written to.
//! Nothing is written: the condition of the only write contradicts itself.

use aws_config::Region;

use super::DoctorContext;
use super::check::Check;
use crate::aws;
use crate::config::{Config, Destination, TableArn};
use crate::destination::dynamodb::{KeySchema, Problem, TableSender};
use crate::error::ErrorType::DestinationFailed;
use crate::store::dynamodb::Client;

const NAME: &str = "destination_table";
const RIGHTS: &str = "destination_table_rights";

pub(super) async fn checks(context: &DoctorContext) -> Vec<Check> {
    let checks = tables(context.config()).into_iter().map(async |arn| {
        let region = Region::new(arn.region().to_owned());
        let client = Client::new(&aws::config(region, context.call_limits).await);
        let table = TableSender::new(arn.clone()).with_client(client);
        let described = table.describe().await;
        let permitted = match &described {
            Ok(schema) => Some(table.may_put(schema).await),
            Err(_) => None,
        };
        judge(&described, permitted.as_ref()).map(|check| check.on(arn))
    });
    futures::future::join_all(checks).await.into_iter().flatten().collect()
}

/// Each table once, in the order of the routes.
fn tables(config: &Config) -> Vec<&TableArn> {
    let mut tables = vec![];
    for (_, route) in config.routes.iter() {
        if let Destination::DynamoDb(arn) = &route.to
            && !tables.contains(&arn)
        {
            tables.push(arn);
        }
    }
    tables
}

/// The checks of a table, and of the permission to write to it.
///
/// | responses | `destination_table` | `destination_table_rights` |
/// |---|---|---|
/// | the description fails for now | warning | not checked |
/// | the description fails, or the table takes no records | failed, as a run would | not checked |
/// | the write fails for now | ok | warning |
/// | the write is refused | ok | failed, as a run would |
/// | else | ok | ok |
fn judge(described: &Result<KeySchema, Problem>, permitted: Option<&Result<(), Problem>>) -> [Check; 2] {
    let table = match described {
        Ok(schema) => Check::ok(NAME, format!("it exists and takes writes; its key is {schema}")).with([
            "each value must be a JSON object; whether it or the record's key has the table's key is checked for each \
             record"
                .to_owned(),
        ]),
        Err(problem) => failed(NAME, problem),
    };
    let rights = match permitted {
        None => Check::skipped(RIGHTS, "its key is not known"),
        Some(Ok(())) => Check::ok(RIGHTS, "this role may DescribeTable and PutItem; nothing was written"),
        Some(Err(problem)) => failed(RIGHTS, problem),
    };
    [table, rights]
}

fn failed(name: &'static str, problem: &Problem) -> Check {
    if problem.is_transient {
        Check::warning(name, &problem.what, &problem.next)
    } else {
        Check::failed(name, DestinationFailed, &problem.what, &problem.next)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription,
    };

    use super::*;
    use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Skipped, Warning};

    fn schema() -> KeySchema {
        let key = KeySchemaElement::builder()
            .attribute_name("id")
            .key_type(KeyType::Hash)
            .build();
        let kind = AttributeDefinition::builder()
            .attribute_name("id")
            .attribute_type(ScalarAttributeType::S)
            .build();
        let table = TableDescription::builder().key_schema(key.expect("a key"));
        KeySchema::of(&table.attribute_definitions(kind.expect("a type")).build()).expect("a schema")
    }

    fn problem(is_transient: bool) -> Problem {
        Problem {
            what: "x".to_owned(),
            next: "y".to_owned(),
            is_transient,
        }
    }

    #[test]
    fn each_combination_of_responses_has_the_checks_of_the_table() {
        type Row = (Result<KeySchema, Problem>, Option<Result<(), Problem>>, [Status; 2]);
        let schema = || Ok(schema());
        let (for_now, refused) = (|| problem(true), || problem(false));
        let rows: [Row; 5] = [
            (schema(), Some(Ok(())), [Fine, Fine]),
            (schema(), Some(Err(refused())), [Fine, Failed]),
            (schema(), Some(Err(for_now())), [Fine, Warning]),
            (Err(for_now()), None, [Warning, Skipped]),
            (Err(refused()), None, [Failed, Skipped]),
        ];
        for (described, permitted, expected) in rows {
            let checks = judge(&described, permitted.as_ref());
            assert_eq!([checks[0].status, checks[1].status], expected, "{checks:?}");
        }
    }
}

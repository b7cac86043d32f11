//! Whether the table exists, with the right keys, and what this role may do.

use super::check::Check;
use super::{DoctorContext, Shared};
use crate::error::{Error, ErrorType};
use crate::store::Consumer;
use crate::store::dynamodb::{Client, DynamoStore, Permission};

/// Each action that runs need on the table.
pub(super) type Permissions = Vec<(&'static str, Permission)>;

/// Verifies each permission without a write.
pub(super) async fn permissions(context: &DoctorContext) -> Permissions {
    let of_topic = context.config().topics.iter().map(async |topic| {
        let config = context.dynamodb.config().to_builder();
        let client = Client::from_conf(config.interceptor(context.aws_clock.interceptor()).build());
        let store = DynamoStore::new(client, &context.config().table);
        let consumer = Consumer {
            group_id: context.config().group_id.clone(),
            topic: topic.clone(),
            backfill: None,
        };
        // In sequence, for the interceptor.
        [
            ("Query", store.may_query(&consumer).await),
            ("GetItem", store.may_get(&consumer).await),
            ("UpdateItem", store.may_write(&consumer).await),
        ]
    });
    futures::future::join_all(of_topic)
        .await
        .into_iter()
        .flatten()
        .collect()
}

pub(super) async fn checks(context: &DoctorContext, permissions: Shared<'_, Permissions>) -> Vec<Check> {
    let table = &context.config().table;
    let [exists, allowed] = judge(&permissions.await);
    vec![exists.on(table), allowed.on(table)]
}

/// The checks of the table and of the role's permissions.
///
/// | responses | `table` | `table_rights` |
/// |---|---|---|
/// | all allowed | ok | ok |
/// | some denied, some allowed | ok: an allowed request succeeded | failed: names what is denied |
/// | all denied | not checked | failed |
/// | some failed otherwise, none allowed | failed, as a run would | failed if some are denied, else not checked |
/// | some failed otherwise, some allowed | ok | failed |
fn judge(permissions: &[(&'static str, Permission)]) -> [Check; 2] {
    let is_allowed = permissions.iter().any(|(_, it)| matches!(it, Permission::Allowed));
    let denied = permissions.iter().filter_map(|(action, permission)| match permission {
        Permission::Denied(error) => Some((*action, error)),
        _ => None,
    });
    let denied: Vec<(&str, &Error)> = denied.collect();
    let failure = permissions.iter().find_map(|(_, permission)| match permission {
        Permission::Unknown(error) => Some(error),
        _ => None,
    });
    let exists = match failure {
        _ if is_allowed => Check::ok("table", "it exists, with the keys consumer_id (S) and partition (N)"),
        Some(error) => Check::error("table", error),
        None => Check::skipped("table", "this role has no permission to read it"),
    };
    let allowed = match failure {
        _ if !denied.is_empty() => denied_check(&denied),
        None => Check::ok(
            "table_rights",
            "this role may Query, GetItem and UpdateItem; nothing was written",
        ),
        Some(error) if is_allowed => Check::error("table_rights", error),
        Some(_) => Check::skipped("table_rights", "the table did not respond"),
    };
    [exists, allowed]
}

fn denied_check(denied: &[(&str, &Error)]) -> Check {
    let mut actions: Vec<String> = denied.iter().map(|(action, _)| format!("dynamodb:{action}")).collect();
    actions.sort();
    actions.dedup();
    let mut messages: Vec<String> = denied.iter().map(|(_, error)| error.what.clone()).collect();
    messages.dedup();
    let actions = actions.join(", ");
    Check::failed(
        "table_rights",
        ErrorType::TableUnreachable,
        format!("this role may not {actions}"),
        format!("Allow {actions} on the table to this role, and in the policy of the VPC endpoint if there is one"),
    )
    .with(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Skipped};

    fn denied() -> Permission {
        Permission::Denied(Error::new(ErrorType::TableUnreachable, "UpdateItem is not allowed").next("Allow it"))
    }

    fn missing() -> Permission {
        Permission::Unknown(Error::new(ErrorType::TableNotFound, "there is none").next("Create it"))
    }

    fn judged(responses: [Permission; 3]) -> [Check; 2] {
        let [query, get, write] = responses;
        judge(&[("Query", query), ("GetItem", get), ("UpdateItem", write)])
    }

    #[test]
    fn each_combination_of_responses_has_the_checks_of_the_table() {
        use Permission::Allowed;
        let rows: [([Permission; 3], [Status; 2]); 6] = [
            ([Allowed, Allowed, Allowed], [Fine, Fine]),
            ([Allowed, Allowed, denied()], [Fine, Failed]),
            ([denied(), denied(), denied()], [Skipped, Failed]),
            ([missing(), missing(), missing()], [Failed, Skipped]),
            ([missing(), denied(), missing()], [Failed, Failed]),
            ([Allowed, Allowed, missing()], [Fine, Failed]),
        ];
        for (responses, expected) in rows {
            let checks = judged(responses);
            assert_eq!([checks[0].status, checks[1].status], expected, "{checks:?}");
        }
    }

    #[test]
    fn each_missing_permission_is_named_once_with_what_to_allow() {
        let [_, check] = judge(&[("UpdateItem", denied()), ("Query", denied()), ("UpdateItem", denied())]);
        assert_eq!(check.what, "this role may not dynamodb:Query, dynamodb:UpdateItem");
        assert_eq!(check.details, ["UpdateItem is not allowed"]);
        assert!(
            check
                .next
                .is_some_and(|next| next.starts_with("Allow dynamodb:Query, dynamodb:UpdateItem on"))
        );
    }

    #[test]
    fn a_table_that_is_missing_fails_as_a_run_would() {
        let [check, _] = judged([missing(), missing(), missing()]);
        assert_eq!(
            (check.error_type, check.what.as_str()),
            (Some(ErrorType::TableNotFound), "there is none")
        );
        assert_eq!(check.next.as_deref(), Some("Create it"));
    }
}

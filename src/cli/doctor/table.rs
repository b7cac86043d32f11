//! The table: is it there, with the right keys, and may this role use it?

use super::check::Check;
use super::dates::{Dates, Told};
use super::{Answer, Practice};
use crate::error::{Error, ErrorType};
use crate::store::Consumer;
use crate::store::dynamodb::{Client, DynamoStore, Permission};

/// What the table said.
pub(super) struct Rights {
    rights: Vec<(&'static str, Permission)>,
    /// What its answers told of AWS's clock.
    pub(super) told: Vec<Told>,
}

/// Asks for each right that runs need, and does nothing.
pub(super) async fn rights(practice: &Practice) -> Rights {
    let of_topic = practice.config().topics.iter().map(async |topic| {
        let dates = Dates::default();
        let client = practice.dynamodb.config().to_builder().interceptor(dates.clone());
        let store = DynamoStore::new(Client::from_conf(client.build()), &practice.config().table);
        let consumer = Consumer {
            group_id: practice.config().group_id.clone(),
            topic: topic.clone(),
            backfill: None,
        };
        // One after the other: of each answer it is known when it was asked for.
        let rights = [
            ("Query", store.may_query(&consumer).await),
            ("GetItem", store.may_get(&consumer).await),
            ("UpdateItem", store.may_write(&consumer).await),
        ];
        (rights, dates.told())
    });
    let (rights, told): (Vec<_>, Vec<_>) = futures::future::join_all(of_topic).await.into_iter().unzip();
    Rights {
        rights: rights.into_iter().flatten().collect(),
        told: told.into_iter().flatten().collect(),
    }
}

pub(super) async fn checks(practice: &Practice, rights: Answer<'_, Rights>) -> Vec<Check> {
    let table = &practice.config().table;
    let [there, allowed] = judge(&rights.await.rights);
    vec![there.on(table), allowed.on(table)]
}

/// Whether the table is there with its keys, and what the role may do.
///
/// | answers | `table` | `table_rights` |
/// |---|---|---|
/// | all allowed | ok | ok |
/// | some denied, some allowed | ok: what is allowed was answered | failed: names what is denied |
/// | all denied | not checked | failed |
/// | some failed otherwise, none allowed | failed, as a run would | failed if some are denied, else not checked |
/// | some failed otherwise, some allowed | ok | failed |
fn judge(rights: &[(&'static str, Permission)]) -> [Check; 2] {
    let is_allowed = rights.iter().any(|(_, right)| matches!(right, Permission::Allowed));
    let denied = rights.iter().filter_map(|(action, right)| match right {
        Permission::Denied(error) => Some((*action, error)),
        _ => None,
    });
    let denied: Vec<(&str, &Error)> = denied.collect();
    let trouble = rights.iter().find_map(|(_, right)| match right {
        Permission::Unknown(error) => Some(error),
        _ => None,
    });
    let there = match trouble {
        _ if is_allowed => Check::ok("table", "it is there, with the keys consumer_id (S) and partition (N)"),
        Some(error) => Check::error("table", error),
        None => Check::skipped("table", "this role may not look"),
    };
    let allowed = match trouble {
        _ if !denied.is_empty() => refused(&denied),
        None => Check::ok(
            "table_rights",
            "this role may Query, GetItem and UpdateItem; nothing was written",
        ),
        Some(error) if is_allowed => Check::error("table_rights", error),
        Some(_) => Check::skipped("table_rights", "the table does not answer"),
    };
    [there, allowed]
}

fn refused(denied: &[(&str, &Error)]) -> Check {
    let mut actions: Vec<String> = denied.iter().map(|(action, _)| format!("dynamodb:{action}")).collect();
    actions.sort();
    actions.dedup();
    let said = denied
        .iter()
        .map(|(_, error)| super::check::sentences(&error.message()).0.to_owned());
    let mut said: Vec<String> = said.collect();
    said.dedup();
    let actions = actions.join(", ");
    Check::failed(
        "table_rights",
        ErrorType::TableUnreachable,
        format!("this role may not {actions}"),
        format!("Allow {actions} on the table to this role, and in the policy of the VPC endpoint if there is one"),
    )
    .with(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Skipped};

    fn denied() -> Permission {
        Permission::Denied(Error::new(
            ErrorType::TableUnreachable,
            "UpdateItem is not allowed. Allow it",
        ))
    }

    fn missing() -> Permission {
        Permission::Unknown(Error::new(ErrorType::TableNotFound, "there is none. Create it"))
    }

    fn judged(answers: [Permission; 3]) -> [Check; 2] {
        let [query, get, write] = answers;
        judge(&[("Query", query), ("GetItem", get), ("UpdateItem", write)])
    }

    #[test]
    fn the_table_of_answers_is_true() {
        use Permission::Allowed;
        let rows: [([Permission; 3], [Status; 2]); 6] = [
            ([Allowed, Allowed, Allowed], [Fine, Fine]),
            ([Allowed, Allowed, denied()], [Fine, Failed]),
            ([denied(), denied(), denied()], [Skipped, Failed]),
            ([missing(), missing(), missing()], [Failed, Skipped]),
            ([missing(), denied(), missing()], [Failed, Failed]),
            ([Allowed, Allowed, missing()], [Fine, Failed]),
        ];
        for (answers, expected) in rows {
            let checks = judged(answers);
            assert_eq!([checks[0].status, checks[1].status], expected, "{checks:?}");
        }
    }

    #[test]
    fn each_right_that_is_missing_is_named_once_with_what_to_allow() {
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

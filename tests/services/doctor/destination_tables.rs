//! The DynamoDB tables of `DESTINATION`.

use aws_sdk_dynamodb::types::ScalarAttributeType;

use super::{fails, reports, skipped};
use crate::destinations::dynamodb::{View, arn};
use crate::support::scripted_dynamodb::{Act, Scripted};

const TABLE: &str = "destination_table";
const RIGHTS: &str = "destination_table_rights";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_takes_records_is_fine_and_nothing_is_written_to_it() {
    let view = View::new(1).await;
    let (checks, _) = tokio::task::block_in_place(|| view.world.doctor(0));
    assert_eq!(checks.wrong(), []);
    let of = arn(&view.table.name);
    reports(
        checks.on(TABLE, &of),
        "it exists and takes writes; its key is `id` (S)",
        "",
    );
    reports(
        checks.on(RIGHTS, &of),
        "this role may DescribeTable and PutItem; nothing was written",
        "",
    );
    assert_eq!(view.raw().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_exist_is_a_failure() {
    let mut view = View::new(1).await;
    let gone = arn("no-such-table");
    view.world.set("DESTINATION", &gone);
    let (checks, _) = tokio::task::block_in_place(|| view.world.doctor(1));
    fails(
        checks.on(TABLE, &gone),
        "DestinationFailed",
        "the table does not exist in us-east-1",
        "correct DESTINATION",
    );
    skipped(checks.on(RIGHTS, &gone), "its key is not known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_key_is_a_failure() {
    let view = View::keyed(1, &[("id", ScalarAttributeType::B)]).await;
    let (checks, _) = tokio::task::block_in_place(|| view.world.doctor(1));
    fails(
        checks.on(TABLE, &arn(&view.table.name)),
        "DestinationFailed",
        "`id` is neither a string (S) nor a number (N)",
        "Use a table with other keys",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_to_write_is_a_failure_and_throttling_a_warning() {
    let mut view = View::new(1).await;
    let proxy = Scripted::start(view.world.endpoint.trim_start_matches("http://")).await;
    view.world.set("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let of = arn(&view.table.name);
    proxy.always("PutItem", Act::error(400, "AccessDeniedException", "not authorized"));
    let (checks, _) = tokio::task::block_in_place(|| view.world.doctor(1));
    assert_eq!(checks.on(TABLE, &of)["status"], "ok");
    let rights = checks.on(RIGHTS, &of);
    fails(
        rights,
        "DestinationFailed",
        "access denied: not authorized",
        "Allow dynamodb:DescribeTable and",
    );
    proxy.always("PutItem", Act::error(400, "ThrottlingException", "too much"));
    let (checks, _) = tokio::task::block_in_place(|| view.world.doctor(0));
    assert_eq!(checks.wrong(), [(RIGHTS, "warning")]);
}

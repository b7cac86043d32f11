//! What `DynamoDB`'s errors have in common, whatever the table is for.

/// What to do where `DynamoDB` does not respond.
pub(crate) const CHECK_THE_NETWORK: &str = "Check the network: a function in a VPC needs a DynamoDB gateway endpoint in the route tables of its subnets; and if \
     they are set, AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL must be right, and NO_PROXY must name what HTTPS_PROXY \
     does not reach";

/// Whether the error code is of the capacity: of the table, or of the account.
pub(crate) fn is_about_capacity(code: &str) -> bool {
    matches!(
        code,
        "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded"
    )
}

/// Whether the text of a `ValidationException` is of keys that are not those of the table. It
/// differs by action and by implementation.
pub(crate) fn is_about_keys(reason: &str) -> bool {
    reason.contains("not match the schema")
        || reason.contains("conditions on the keys")
        || reason.contains("Type mismatch for key")
        || reason.contains("Missing the key")
}

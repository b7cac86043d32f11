//! The parts of an ARN, `arn:<partition>:<service>:<region>:<account>:<resource>`.

/// The digits of an account's number.
const ACCOUNT_DIGITS: usize = 12;

/// An ARN of one service. The resource is not checked: its form is the service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arn<'a> {
    pub(super) partition: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) resource: &'a str,
}

impl<'a> Arn<'a> {
    /// `None`: it is no ARN, or that of another service.
    pub(super) fn parse(text: &'a str, of_service: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let (arn, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        let is_valid = arn == "arn"
            && is_partition(partition)
            && service == of_service
            && is_region(region)
            && is_account(account);
        is_valid.then_some(Self {
            partition,
            region,
            account,
            resource,
        })
    }
}

fn is_partition(text: &str) -> bool {
    let rest = text.strip_prefix("aws");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-') && is_region(&rest[1..]))
}

/// Checks the characters only: there are new regions every year.
fn is_region(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(valid)
}

fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_DIGITS && text.bytes().all(|b| b.is_ascii_digit())
}

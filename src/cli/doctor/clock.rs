//! This machine's clock compared with AWS's.

use super::Shared;
use super::check::Check;
use super::dates::{SECOND_MS, Told};
use super::identity::Identity;
use super::table::Permissions;
use crate::claim::{LONGEST_BELIEVED_MS, MARGIN_MS};
use crate::error::ErrorType;

/// Half of the clock difference that claims tolerate.
const TOLERATED_MS: i64 = MARGIN_MS / 2;

/// Beyond it AWS rejects every signature.
const REJECTED_MS: i64 = 5 * 60 * SECOND_MS;

pub(super) async fn checks(permissions: Shared<'_, Permissions>, identity: Shared<'_, Identity>) -> Vec<Check> {
    let (permissions, identity) = futures::join!(permissions, identity);
    let told = permissions.told.iter().copied().chain(identity.told);
    // Each is a lower bound; slow responses give small ones.
    let ahead = told.map(Told::ahead_ms).max_by_key(|ahead| ahead.unsigned_abs());
    vec![of_aws(ahead).on("AWS")]
}

/// The check of a difference to AWS's clock.
///
/// | difference | |
/// |---|---|
/// | unknown | not checked |
/// | up to 5 s | ok |
/// | up to 5 minutes | warning: claims tolerate a difference of 10 s |
/// | more | failed: AWS rejects signatures |
fn of_aws(ahead_ms: Option<i64>) -> Check {
    let name = "clock";
    let Some(ahead) = ahead_ms else {
        return Check::skipped(name, "no response from AWS had a Date header");
    };
    let off = ahead.saturating_abs();
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let what = format!("this clock is {} s {side} AWS's", (off + 500) / SECOND_MS);
    let next = "Set this machine's clock by NTP, such as chrony with 169.254.169.123 in AWS";
    match () {
        () if off < SECOND_MS => Check::ok(name, "within a second of AWS's"),
        () if off <= TOLERATED_MS => Check::ok(name, what),
        () if off <= REJECTED_MS => Check::warning(name, what, next).with([claims()]),
        () => Check::failed(name, ErrorType::TableUnreachable, what, next).with([
            "AWS rejects signatures that are more than 5 minutes off".to_owned(),
            claims(),
        ]),
    }
}

fn claims() -> String {
    format!(
        "where clocks differ by more than {} s, a run may treat a live claim as expired; a claim that expires more \
         than {} minutes ahead is ignored",
        MARGIN_MS / SECOND_MS,
        LONGEST_BELIEVED_MS / SECOND_MS / 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    #[test]
    fn each_difference_has_the_status_of_the_table() {
        let rows = [
            (None, Status::Skipped, "not checked"),
            (Some(0), Status::Ok, "within a second"),
            (Some(-999), Status::Ok, "within a second"),
            (Some(1_000), Status::Ok, "1 s ahead of AWS's"),
            (Some(-5_000), Status::Ok, "5 s behind AWS's"),
            (Some(5_001), Status::Warning, "5 s ahead"),
            (Some(-300_000), Status::Warning, "300 s behind"),
            (Some(300_001), Status::Failed, "300 s ahead"),
            (Some(-86_400_000), Status::Failed, "behind"),
        ];
        for (ahead, status, what) in rows {
            let check = of_aws(ahead);
            assert_eq!(check.status, status, "{ahead:?}: {check:?}");
            assert!(check.what.contains(what), "{ahead:?}: {check:?}");
        }
    }
}

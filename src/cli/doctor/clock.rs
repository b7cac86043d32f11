//! This machine's clock against those of AWS and of the records.

use super::check::Check;
use super::dates::{SECOND_MS, Told};
use super::identity::Identity;
use super::table::Rights;
use super::{Answer, Practice};
use crate::claim::{LONGEST_BELIEVED_MS, MARGIN_MS};
use crate::clock::Clock as _;
use crate::error::{Error, ErrorType};
use crate::invoke::BestEffortSnapshot;
use crate::record::{NextOffset, TopicPartition};
use crate::source::{OffsetSpec, Source as _};

/// Half of what a claim leaves for two clocks to differ.
const MUCH_MS: i64 = MARGIN_MS / 2;

/// Beyond, AWS refuses every signature.
const TOO_MUCH_MS: i64 = 5 * 60 * SECOND_MS;

pub(super) async fn checks(
    practice: &Practice,
    glance: Answer<'_, Result<BestEffortSnapshot, Error>>,
    rights: Answer<'_, Rights>,
    identity: Answer<'_, Identity>,
) -> Vec<Check> {
    let (records, rights, identity) = futures::join!(records(practice, glance), rights, identity);
    let told = rights.told.iter().copied().chain(identity.told);
    // Each holds. A slow answer bounds it less.
    let ahead = told.map(Told::ahead_ms).max_by_key(|ahead| ahead.unsigned_abs());
    vec![of_aws(ahead).on("AWS"), of_records(records.as_deref()).on("Kafka")]
}

/// What a difference to AWS's clock means.
///
/// | difference | |
/// |---|---|
/// | not known | not checked |
/// | up to 5 s | ok |
/// | up to 5 minutes | warning: claims leave 10 s for clocks to differ |
/// | more | failed: AWS refuses signatures |
fn of_aws(ahead_ms: Option<i64>) -> Check {
    let name = "clock";
    let Some(ahead) = ahead_ms else {
        return Check::skipped(name, "no answer of AWS bore a time");
    };
    let off = ahead.saturating_abs();
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let what = format!("this clock is {} s {side} AWS's", (off + 500) / SECOND_MS);
    let next = "Set this machine's clock by NTP, such as chrony with 169.254.169.123 in AWS";
    match () {
        () if off < SECOND_MS => Check::ok(name, "within a second of AWS's"),
        () if off <= MUCH_MS => Check::ok(name, what),
        () if off <= TOO_MUCH_MS => Check::warning(name, what, next).with([claims()]),
        () => Check::failed(name, ErrorType::TableUnreachable, what, next).with([
            "AWS refuses signatures that are more than 5 minutes off".to_owned(),
            claims(),
        ]),
    }
}

fn claims() -> String {
    format!(
        "runs on machines whose clocks differ by more than {} s may take a claim for ended that is not; one that ends \
         more than {} minutes ahead is not believed",
        MARGIN_MS / SECOND_MS,
        LONGEST_BELIEVED_MS / SECOND_MS / 60
    )
}

/// Partitions with records whose time lies ahead of this clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ahead {
    No,
    Much,
    TooMuch,
}

/// For each partition that answered, whether it has records of the future.
/// Kafka tells no clock of a broker's; a time that lies ahead is a sign.
async fn records(
    practice: &Practice,
    glance: Answer<'_, Result<BestEffortSnapshot, Error>>,
) -> Option<Vec<(String, Ahead)>> {
    let glance = glance.await;
    let known: Vec<(TopicPartition, NextOffset)> = (*glance)
        .as_ref()
        .ok()?
        .states
        .iter()
        .filter_map(|fact| Some((fact.partition.clone(), fact.end.clone()?.ok()?)))
        .collect();
    let partitions: Vec<TopicPartition> = known.iter().map(|(partition, _)| partition.clone()).collect();
    let now = practice.parts.clock.wall_ms();
    let from = async |ms: i64| {
        let asked = OffsetSpec::ForTimestamp(now.saturating_add(ms));
        practice
            .parts
            .source
            .list_offsets(&partitions, asked, practice.until())
            .await
    };
    let (much, too_much) = futures::join!(from(MUCH_MS), from(TOO_MUCH_MS));
    let found = known.into_iter().zip(much.ok()?.into_iter().zip(too_much.ok()?));
    let judged = found.filter_map(|((partition, end), (much, too_much))| {
        let has = |first: NextOffset| first < end;
        let ahead = match (has(much.ok()?), has(too_much.ok()?)) {
            (_, true) => Ahead::TooMuch,
            (true, false) => Ahead::Much,
            (false, false) => Ahead::No,
        };
        Some((partition.to_string(), ahead))
    });
    Some(judged.collect()).filter(|judged: &Vec<_>| !judged.is_empty())
}

/// What records of the future mean. Producers set their times, so it is never
/// more than a sign.
///
/// | | |
/// |---|---|
/// | nobody answered | not checked |
/// | none lies ahead | ok; a clock that is ahead is not seen so |
/// | some lie more than 5 s, or 5 minutes, ahead | warning |
fn of_records(judged: Option<&[(String, Ahead)]>) -> Check {
    let name = "clock";
    let Some(judged) = judged else {
        return Check::skipped(name, "no partition is known");
    };
    let worst = judged.iter().map(|(_, ahead)| *ahead).max().unwrap_or(Ahead::No);
    let limit = match worst {
        Ahead::No => return Check::ok(name, "no record bears a time ahead of this clock"),
        Ahead::Much => "5 s",
        Ahead::TooMuch => "5 minutes",
    };
    let places = judged.iter().filter(|(_, ahead)| *ahead == worst);
    let words = format!("records bear times more than {limit} ahead of this clock");
    let lines = crate::cli::output::grouped(places.map(|(place, _)| (place.clone(), words.clone())));
    Check::warning(
        name,
        lines.join("; "),
        "This clock is behind, or that of a producer or broker is ahead: set it by NTP. Times in START_POSITION and \
         resets go by the records' own",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Status;

    #[test]
    fn the_table_of_differences_is_true() {
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

    #[test]
    fn records_of_the_future_are_a_sign_and_no_failure() {
        let all = [
            ("t-0".to_owned(), Ahead::No),
            ("t-1".to_owned(), Ahead::Much),
            ("t-2".to_owned(), Ahead::TooMuch),
        ];
        let rows = [
            (None, Status::Skipped, "no partition is known"),
            (Some(&all[..1]), Status::Ok, "no record"),
            (
                Some(&all[..2]),
                Status::Warning,
                "t-1: records bear times more than 5 s ahead",
            ),
            (
                Some(&all[..]),
                Status::Warning,
                "t-2: records bear times more than 5 minutes ahead",
            ),
        ];
        for (judged, status, what) in rows {
            let check = of_records(judged);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.what.contains(what), "{check:?}");
        }
    }
}

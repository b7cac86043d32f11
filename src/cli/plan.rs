//! `plan`, and how the filter decides about the next records.

use std::ops::ControlFlow;

use comfy_table::Cell;
use serde::Serialize;
use tokio::sync::watch;

use super::exit::Exit;
use super::output::{self, Out};
use super::parts::{CliParts, invoke_once, parts};
use super::records::Reader;
use super::selection::Selection;
use crate::config::Config;
use crate::error::{Error, ErrorType};
use crate::event::Request;
use crate::invoke::{Interrupt, Response};
use crate::record::{NextOffset, Record, TopicPartition};
use crate::report::PlanReport;

/// How many records of a partition are explained, and of how many partitions.
const EXPLAINED_RECORDS: usize = 5;
const EXPLAINED_PARTITIONS: usize = 20;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    selection: Selection,

    /// Also read the next records, at most 5 of each of 20 partitions, and show which filter patterns of its topic's
    /// route each matches
    #[arg(long)]
    explain_filter: bool,
}

pub(super) async fn plan(config: Config, arguments: &PlanArgs, out: Out) -> Result<Exit, Error> {
    let explains = arguments.explain_filter;
    if explains && !config.topics.iter().any(|topic| config.filter(topic).is_some()) {
        let error = Error::new(ErrorType::InvalidConfiguration, "there is no filter to explain");
        return Err(error.next("Set FILTER_PATTERNS or `filters` of a route, or leave out --explain-filter"));
    }
    let parts = parts(config).await?;
    let (_, interrupt) = watch::channel(Interrupt::No);
    let invoked = invoke_once(parts, &Request::Plan((&arguments.selection).into()), interrupt).await?;
    let (true, Response::Plan(plan)) = (explains, &invoked.response) else {
        return Ok(output::print_invoked(&invoked, out));
    };
    let mut explained = Vec::new();
    let unread = explain(parts, plan, &mut explained).await;
    let topics = parts.config.topics.iter().map(|topic| &**topic);
    let without_filter: Vec<&str> = topics.filter(|topic| parts.config.filter(topic).is_none()).collect();
    let text = format!(
        "{}\n{}",
        output::plan_table(plan),
        filter_table(&explained, &without_filter)
    );
    out.print(
        &text,
        &ExplainedPlan {
            plan,
            filter: &explained,
            topics_without_filter: &without_filter,
        },
    );
    unread.map(|()| output::exit_of(&invoked))
}

#[derive(Serialize)]
struct ExplainedPlan<'a> {
    #[serde(flatten)]
    plan: &'a PlanReport,
    filter: &'a [Explained],
    /// All records of these are passed on; none of them is explained.
    topics_without_filter: &'a [&'a str],
}

/// The filter's decision about one record.
#[derive(Debug, Serialize)]
struct Explained {
    #[serde(flatten)]
    partition: TopicPartition,
    offset: i64,
    /// The numbers, from 1, of the patterns that it matches; none: it is filtered.
    matches: Vec<usize>,
}

/// Adds the decisions to `explained`, up to the first partition that cannot be read.
async fn explain(parts: &CliParts, plan: &PlanReport, explained: &mut Vec<Explained>) -> Result<(), Error> {
    let (_, interrupt) = watch::channel(Interrupt::No);
    let reader = Reader {
        source: &parts.source,
        interrupt,
        timeout: parts.config.poll_timeout,
    };
    let next = |offset: Option<i64>| offset.and_then(NextOffset::new);
    let to_read = plan.partitions.iter().filter(|planned| planned.messages > 0);
    for planned in to_read.take(EXPLAINED_PARTITIONS) {
        let Some(bounds) = next(planned.from).zip(next(planned.to)) else {
            continue;
        };
        let Some(filter) = parts.config.filter(&planned.place.topic) else {
            continue;
        };
        let mut left = EXPLAINED_RECORDS;
        let add = async |record: &Record| {
            explained.push(Explained {
                partition: record.partition.clone(),
                offset: record.offset,
                matches: filter.matching(record),
            });
            left -= 1;
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        reader.read(&planned.place, bounds, add).await?;
    }
    Ok(())
}

fn filter_table(explained: &[Explained], without_filter: &[&str]) -> String {
    let decisions = if explained.is_empty() {
        "filter: there is no record to explain".to_owned()
    } else {
        decision_table(explained)
    };
    if without_filter.is_empty() {
        decisions
    } else {
        format!("{decisions}\ntopics without a filter: {}", without_filter.join(", "))
    }
}

fn decision_table(explained: &[Explained]) -> String {
    let mut table = output::table(&["partition", "offset", "matches pattern"], [1]);
    for Explained {
        partition,
        offset,
        matches,
    } in explained
    {
        let numbers: Vec<String> = matches.iter().map(usize::to_string).collect();
        let matches = if numbers.is_empty() {
            "none: filtered out".to_owned()
        } else {
            numbers.join(", ")
        };
        table.add_row([Cell::new(partition), Cell::new(offset), Cell::new(matches)]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_the_patterns_that_match_and_names_the_topics_without_a_filter() {
        let explained = |offset, matches: &[usize]| Explained {
            partition: TopicPartition::new("orders", 0),
            offset,
            matches: matches.to_vec(),
        };
        let table = filter_table(&[explained(7, &[1, 3]), explained(8, &[])], &["users", "payments"]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(
            lines.iter().any(|line| line.contains('7') && line.contains("1, 3")),
            "{table}"
        );
        assert!(
            lines
                .iter()
                .any(|line| line.contains('8') && line.contains("filtered out")),
            "{table}"
        );
        assert_eq!(lines.last(), Some(&"topics without a filter: users, payments"));
        assert!(!filter_table(&[explained(7, &[1])], &[]).contains("without"));
        assert!(filter_table(&[], &["users"]).starts_with("filter: there is no record to explain\n"));
    }
}

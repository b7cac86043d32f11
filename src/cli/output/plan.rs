//! A plan as text and a table.

use comfy_table::Cell;

use super::{Screen, Tone, grouped, or_dash};
use crate::plan::PlanReason;
use crate::report::{PlanReport, PlannedPartition};

pub(super) fn table(screen: Screen, plan: &PlanReport) -> String {
    let mut partitions = screen.table(&["partition", "from", "to", "records", "lag", "why"], 1..=4);
    for row in &plan.partitions {
        partitions.add_row([
            Cell::new(&row.place),
            Cell::new(or_dash(row.from)),
            Cell::new(or_dash(row.to)),
            Cell::new(row.messages),
            Cell::new(row.lag),
            tone(row.why).cell(row.why.as_str()),
        ]);
    }
    let details = grouped(plan.partitions.iter().filter_map(|row| {
        Some((
            row.place.to_string(),
            format!("{}: {}", row.why.as_str(), row.detail.as_ref()?),
        ))
    }));
    let lines = [sums(plan), partitions.to_string()].into_iter().chain(details);
    lines.collect::<Vec<_>>().join("\n")
}

fn tone(why: PlanReason) -> Tone {
    match why {
        PlanReason::Resumed | PlanReason::StartPosition | PlanReason::NewPartition | PlanReason::UpToDate => {
            Tone::Plain
        }
        PlanReason::Paused | PlanReason::Claimed | PlanReason::NoShare => Tone::Notice,
        PlanReason::LostToRetention
        | PlanReason::Truncated
        | PlanReason::BackingOff
        | PlanReason::Unavailable
        | PlanReason::InvalidCursor => Tone::Alarm,
    }
}

/// Whether it has records that the next run does not read.
fn is_left_alone(row: &PlannedPartition) -> bool {
    let no_share_needed = row.messages == 0 && row.why != PlanReason::NoShare;
    no_share_needed && (row.lag > 0 || tone(row.why) != Tone::Plain)
}

fn sums(plan: &PlanReport) -> String {
    let total: u64 = plan.partitions.iter().map(|row| row.messages).sum();
    let runs = match plan.runs_to_catch_up {
        0 => "nothing to read now".to_owned(),
        1 => "1 run to catch up".to_owned(),
        runs => format!("{runs} runs to catch up"),
    };
    let left = plan.partitions.iter().filter(|row| is_left_alone(row)).count();
    let left = match left {
        0 => String::new(),
        1 => " · 1 partition is not read by the next run".to_owned(),
        left => format!(" · {left} partitions are not read by the next run"),
    };
    format!("a run would read up to {total} records · {runs}{left}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TopicPartition;

    fn planned(partition: i32, (from, to): (i64, i64), messages: u64, why: PlanReason) -> PlannedPartition {
        PlannedPartition {
            place: TopicPartition {
                topic: "orders".into(),
                partition,
            },
            from: Some(from),
            to: Some(to),
            messages,
            lag: to.abs_diff(from),
            why,
            detail: None,
        }
    }

    fn detailed(row: PlannedPartition, detail: &str) -> PlannedPartition {
        PlannedPartition {
            detail: Some(detail.into()),
            ..row
        }
    }

    fn a_plan() -> PlanReport {
        let unavailable = PlannedPartition {
            to: None,
            lag: 0,
            ..planned(6, (7, 7), 0, PlanReason::Unavailable)
        };
        PlanReport {
            partitions: vec![
                planned(0, (1_000, 5_000), 500, PlanReason::Resumed),
                planned(1, (5_000, 5_000), 0, PlanReason::UpToDate),
                detailed(
                    planned(2, (100, 5_000), 500, PlanReason::LostToRetention),
                    "offsets 40 to 99",
                ),
                planned(3, (7, 9), 0, PlanReason::Paused),
                detailed(planned(4, (7, 9), 0, PlanReason::Claimed), "until 2027-01-15T08:01:00Z"),
                detailed(
                    planned(5, (4_017, 5_000), 0, PlanReason::BackingOff),
                    "offset 4017 failed 3 times, tried again after 2027-01-15T08:04:00Z: the payment service returned \
                     503",
                ),
                detailed(unavailable, "it has no leader"),
            ],
            runs_to_catch_up: 9,
            error: None,
        }
    }

    fn shown(width: u16) -> String {
        let screen = Screen {
            width: Some(width),
            ..Screen::default()
        };
        table(screen, &a_plan())
    }

    #[test]
    fn the_table_at_60_columns() {
        insta::assert_snapshot!(shown(60), @r"
        a run would read up to 1000 records · 9 runs to catch up · 4 partitions are not read by the next run
        ┌───────────┬──────┬──────┬─────────┬──────┬───────────────┐
        │ partition ┆ from ┆   to ┆ records ┆  lag ┆ why           │
        ╞═══════════╪══════╪══════╪═════════╪══════╪═══════════════╡
        │ orders-0  ┆ 1000 ┆ 5000 ┆     500 ┆ 4000 ┆ resumed       │
        │ orders-1  ┆ 5000 ┆ 5000 ┆       0 ┆    0 ┆ up to date    │
        │ orders-2  ┆  100 ┆ 5000 ┆     500 ┆ 4900 ┆ lost to       │
        │           ┆      ┆      ┆         ┆      ┆ retention     │
        │ orders-3  ┆    7 ┆    9 ┆       0 ┆    2 ┆ paused        │
        │ orders-4  ┆    7 ┆    9 ┆       0 ┆    2 ┆ claimed       │
        │ orders-5  ┆ 4017 ┆ 5000 ┆       0 ┆  983 ┆ backing off   │
        │ orders-6  ┆    7 ┆    - ┆       0 ┆    0 ┆ unavailable   │
        └───────────┴──────┴──────┴─────────┴──────┴───────────────┘
        orders-2: lost to retention: offsets 40 to 99
        orders-4: claimed: until 2027-01-15T08:01:00Z
        orders-5: backing off: offset 4017 failed 3 times, tried again after 2027-01-15T08:04:00Z: the payment service returned 503
        orders-6: unavailable: it has no leader
        ");
    }

    #[test]
    fn the_table_at_100_columns() {
        insta::assert_snapshot!(shown(100), @r"
        a run would read up to 1000 records · 9 runs to catch up · 4 partitions are not read by the next run
        ┌───────────┬──────┬──────┬─────────┬──────┬───────────────────┐
        │ partition ┆ from ┆   to ┆ records ┆  lag ┆ why               │
        ╞═══════════╪══════╪══════╪═════════╪══════╪═══════════════════╡
        │ orders-0  ┆ 1000 ┆ 5000 ┆     500 ┆ 4000 ┆ resumed           │
        │ orders-1  ┆ 5000 ┆ 5000 ┆       0 ┆    0 ┆ up to date        │
        │ orders-2  ┆  100 ┆ 5000 ┆     500 ┆ 4900 ┆ lost to retention │
        │ orders-3  ┆    7 ┆    9 ┆       0 ┆    2 ┆ paused            │
        │ orders-4  ┆    7 ┆    9 ┆       0 ┆    2 ┆ claimed           │
        │ orders-5  ┆ 4017 ┆ 5000 ┆       0 ┆  983 ┆ backing off       │
        │ orders-6  ┆    7 ┆    - ┆       0 ┆    0 ┆ unavailable       │
        └───────────┴──────┴──────┴─────────┴──────┴───────────────────┘
        orders-2: lost to retention: offsets 40 to 99
        orders-4: claimed: until 2027-01-15T08:01:00Z
        orders-5: backing off: offset 4017 failed 3 times, tried again after 2027-01-15T08:04:00Z: the payment service returned 503
        orders-6: unavailable: it has no leader
        ");
    }

    #[test]
    fn a_plan_counts_the_runs_to_catch_up_and_the_partitions_that_are_not_read() {
        let mut plan = a_plan();
        plan.partitions.truncate(2);
        plan.runs_to_catch_up = 1;
        assert_eq!(sums(&plan), "a run would read up to 500 records · 1 run to catch up");
        plan.runs_to_catch_up = 8;
        assert_eq!(sums(&plan), "a run would read up to 500 records · 8 runs to catch up");
        plan.partitions.remove(0);
        plan.runs_to_catch_up = 0;
        assert_eq!(sums(&plan), "a run would read up to 0 records · nothing to read now");
    }
}

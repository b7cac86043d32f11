//! A plan, as people read it.

use comfy_table::Cell;

use super::{Screen, Tone, grouped, or_dash};
use crate::report::{PlanReport, PlannedPartition};

pub(super) fn table(screen: Screen, plan: &PlanReport) -> String {
    let mut partitions = screen.table(&["partition", "from", "to", "records", "lag", "why"], 1..=4);
    for row in &plan.partitions {
        partitions.add_row([
            Cell::new(format!("{}-{}", row.place.topic, row.place.partition)),
            Cell::new(or_dash(row.from)),
            Cell::new(or_dash(row.to)),
            Cell::new(row.messages),
            Cell::new(row.lag),
            screen.state(row.why, tone(row.why)),
        ]);
    }
    let details = grouped(plan.partitions.iter().filter_map(|row| {
        let place = format!("{}-{}", row.place.topic, row.place.partition);
        Some((place, format!("{}: {}", row.why, row.detail.as_ref()?)))
    }));
    let lines = [sums(plan), partitions.to_string()].into_iter().chain(details);
    lines.collect::<Vec<_>>().join("\n")
}

fn tone(why: &str) -> Tone {
    match why {
        "resumed" | "start position" | "new partition" | "up to date" => Tone::Plain,
        "paused" | "claimed" | "no share of the limit" => Tone::Notice,
        _ => Tone::Alarm,
    }
}

/// Whether it may hold records that no run reads now.
fn is_left_alone(row: &PlannedPartition) -> bool {
    let no_share_needed = row.messages == 0 && row.why != "no share of the limit";
    no_share_needed && (row.lag > 0 || tone(row.why) != Tone::Plain)
}

fn sums(plan: &PlanReport) -> String {
    let total: u64 = plan.partitions.iter().map(|row| row.messages).sum();
    let runs = match plan.runs_to_catch_up {
        0 => "nothing to catch up with".to_owned(),
        1 => "that catches up".to_owned(),
        runs => format!("{runs} runs to catch up"),
    };
    let left = plan.partitions.iter().filter(|row| is_left_alone(row)).count();
    let left = match left {
        0 => String::new(),
        1 => " · 1 partition cannot be read now".to_owned(),
        left => format!(" · {left} partitions cannot be read now"),
    };
    format!("a run would read up to {total} records · {runs}{left}")
}

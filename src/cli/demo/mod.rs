//! `demo`: the scheduled job, run by run, on an embedded Kafka and `DynamoDB`.
//!
//! The runs are real: the same [`invoke`](crate::invoke::invoke) as in Lambda.
//! Only the clock and the handler are the demo's own, so that minutes pass at
//! once and a process can crash. At the end every order is accounted for.
//!
//! Nothing is read from the environment, so that the demo never uses the settings
//! of real services.

mod check;
mod clock;
mod handler;
mod items;
mod job;
mod orders;
mod story;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::exit::Exit;
use super::output::{self, Format, Out};
use crate::error::Error;
use check::Check;
use job::{Job, Tick};
use orders::{AT_FIRST, LATER};
use story::Story;

/// How often the schedule starts the job. Longer than a claim lasts.
const EVERY: Duration = Duration::from_mins(1);

/// More runs than it takes to catch up.
const MAX_TICKS: usize = 10;

/// The JSON document.
#[derive(Serialize)]
struct Document {
    ticks: Vec<Tick>,
    check: Check,
}

pub(super) async fn demo(out: Out) -> Result<Exit, Error> {
    let mut demo = Demo {
        story: Story::new(out.format),
        job: Job::start().await?,
        ticks: vec![],
    };
    demo.orders_arrive().await?;
    demo.first_tick().await?;
    let not_stored = demo.tick_that_crashes().await?;
    demo.next_tick().await?;
    demo.new_orders().await?;
    demo.idle_tick().await?;
    let check = demo.account_for_every_order(&not_stored).await?;
    let passed = check.passed;
    if out.format == Format::Json {
        out.print(
            "",
            &Document {
                ticks: demo.ticks,
                check,
            },
        );
    }
    Ok(if passed { Exit::Done } else { Exit::Failed })
}

struct Demo {
    story: Story,
    job: Job,
    ticks: Vec<Tick>,
}

impl Demo {
    async fn orders_arrive(&mut self) -> Result<(), Error> {
        self.story.print(story::WELCOME);
        self.story.heading("Orders arrive");
        self.story.print(story::ORDERS_ARRIVE);
        self.job.produce(AT_FIRST).await?;
        let [p0, p1, p2, p3] = AT_FIRST;
        self.story.print(&format!(
            "{} orders wait in the topic \"{}\": {p0}, {p1}, {p2} and {p3} in its partitions 0 to 3.",
            self.job.produced().total(),
            orders::TOPIC,
        ));
        Ok(())
    }

    async fn first_tick(&mut self) -> Result<(), Error> {
        self.story.heading("The first run");
        self.story.print(story::FIRST_RUN);
        let tick = self.job.tick().await?;
        self.show_run(&tick);
        self.story.print(story::THE_TABLE);
        self.show_items(tick);
        Ok(())
    }

    /// Returns the orders that the crashed process had handled and not stored.
    async fn tick_that_crashes(&mut self) -> Result<BTreeSet<(i32, i64)>, Error> {
        self.story.heading("A run that crashes");
        self.story.print(story::RUN_THAT_CRASHES);
        self.job.advance(EVERY);
        let before = self.job.handled();
        let tick = self.job.tick_that_crashes().await?;
        let after = self.job.handled();
        let not_stored = check::not_stored(&after, &tick.items);
        let handled = after.len() - before.len();
        self.story.print(&format!(
            "The process has crashed. It had handled {handled} orders: the offsets of {} are stored, those of {} are \
             not. The\nclaims are still in the table.",
            handled - not_stored.len(),
            not_stored.len(),
        ));
        self.show_items(tick);
        Ok(not_stored)
    }

    async fn next_tick(&mut self) -> Result<(), Error> {
        self.story.heading("The next run resumes");
        self.story.print(story::NEXT_RUN);
        self.job.advance(EVERY);
        self.run_and_show().await?;
        Ok(())
    }

    async fn new_orders(&mut self) -> Result<(), Error> {
        self.story.heading("New orders arrive");
        self.story.print(story::NEW_ORDERS);
        self.job.produce(LATER).await?;
        self.story
            .print(&format!("{} more orders are in the topic.", LATER.iter().sum::<u64>()));
        for _ in 0..MAX_TICKS {
            self.story.print("A minute later.");
            self.job.advance(EVERY);
            if self.run_and_show().await? == Some(0) {
                break;
            }
        }
        Ok(())
    }

    async fn idle_tick(&mut self) -> Result<(), Error> {
        self.story.heading("A run without new records");
        self.story.print(story::IDLE_RUN);
        self.job.advance(EVERY);
        let tick = self.job.tick().await?;
        self.show_run(&tick);
        self.ticks.push(tick);
        Ok(())
    }

    async fn account_for_every_order(&mut self, not_stored: &BTreeSet<(i32, i64)>) -> Result<Check, Error> {
        let items = self.job.items().await?;
        let check = check::check(&self.job.produced().counts, &self.job.handled(), not_stored, &items);
        self.story.heading("Every order is accounted for");
        self.story.verdict(check.passed, &summary(&check));
        if check.passed {
            self.story.heading("What to try next");
            self.story.print(&story::next_steps(&program()));
        } else {
            output::print_error("Failed: the orders were not handled as expected. This is a bug: please report it");
        }
        Ok(check)
    }

    /// A run with its report and the items after it; returns the lag.
    async fn run_and_show(&mut self) -> Result<Option<u64>, Error> {
        let tick = self.job.tick().await?;
        let lag = tick.report.as_ref().and_then(|report| report.lag);
        self.show_run(&tick);
        self.show_items(tick);
        Ok(lag)
    }

    fn show_run(&self, tick: &Tick) {
        if let Some(report) = &tick.report {
            self.story.print(&output::run_table(report));
        }
    }

    fn show_items(&mut self, tick: Tick) {
        self.story.print(&items::table(&tick.items));
        self.ticks.push(tick);
    }
}

fn summary(check: &Check) -> String {
    let Check {
        orders,
        handled,
        handled_twice,
        unstored_at_the_crash,
        skipped,
        handled_more_often,
        ..
    } = check;
    if check.passed {
        format!(
            "Every order was handled at least once: all {orders} of them. {handled_twice} were handled twice because \
             of the\ncrash: those of the chunks that were in flight. None was skipped."
        )
    } else {
        format!(
            "Of {orders} orders {handled} were handled, and {skipped} were skipped. {handled_twice} were handled \
             twice and\n{handled_more_often} more often; {unstored_at_the_crash} should have been handled twice."
        )
    }
}

/// The command that starts this program from the current directory.
fn program() -> String {
    let Ok(path) = std::env::current_exe() else {
        return "kafka-consumer".into();
    };
    let here = std::env::current_dir().ok();
    let from_here = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    from_here.unwrap_or(&path).display().to_string()
}

//! `backfill` and `backfill list`.

mod list;
mod passes;
mod total;

use super::exit::Exit;
use super::output::{Out, table};
use super::parts::parts_with;
use super::progress::{self, WithProgress};
use super::selection::Partitions;
use super::signals;
use crate::backfill;
use crate::clock::Deadline;
use crate::config::{Config, MessageLimit};
use crate::error::{Error, ErrorType};
use crate::event::{BackfillName, BackfillRequest, Bound};
use crate::invoke;
use crate::plan::PartitionState;
use crate::processor::Processor;
use passes::Passes;

#[derive(Debug, Clone, clap::Args)]
#[command(subcommand_negates_reqs = true)]
pub(super) struct BackfillArgs {
    #[command(subcommand)]
    command: Option<BackfillCommand>,

    /// Name of the backfill; the same name resumes where it stopped
    #[arg(long, value_name = "NAME", required = true)]
    name: Option<BackfillName>,

    /// Start: `earliest`, `latest`, an RFC 3339 time, or next offsets by partition: `0:100,1:200`
    #[arg(long, value_name = "BOUND", required = true)]
    from: Option<Bound>,

    /// End, exclusive, in the same forms; `latest` is fixed when the backfill is first started [default: latest]
    #[arg(long, value_name = "BOUND")]
    to: Option<Bound>,

    #[command(flatten)]
    partitions: Partitions,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum BackfillCommand {
    /// List the backfills of the group and its topics
    #[command(after_help = "EXAMPLES:
  kafka-consumer backfill list                # all backfills and their progress
  kafka-consumer backfill list --output json  # as JSON")]
    List,
}

impl BackfillArgs {
    /// The requested backfill; `None`: the list.
    fn request(self) -> Result<Option<BackfillRequest>, Error> {
        let usage = |message: String| Error::new(ErrorType::InvalidConfiguration, message);
        let given =
            self.name.is_some() || self.from.is_some() || self.to.is_some() || self.partitions.chosen().is_some();
        match (self.command, self.name, self.from) {
            (Some(BackfillCommand::List), ..) if given => Err(usage(
                "`backfill list` takes no --name, --from, --to or --partition: it shows all backfills".into(),
            )),
            (Some(BackfillCommand::List), ..) => Ok(None),
            (None, Some(name), Some(from)) => {
                let to = self.to.unwrap_or(Bound::Latest);
                let request = BackfillRequest::new(name, from, to, self.partitions.chosen());
                request.map(Some).map_err(|invalid| usage(invalid.to_string()))
            }
            // clap requires both.
            (None, ..) => Err(usage("--name and --from are needed".into())),
        }
    }
}

/// `limited`: `--max-messages` was given as a flag, and limits all passes together.
pub(super) async fn backfill<P: Processor + 'static>(
    config: Config,
    make: impl FnOnce(&Config) -> P,
    arguments: BackfillArgs,
    limited: bool,
    out: Out,
) -> Result<Exit, Error> {
    let Some(request) = arguments.request()? else {
        return list::list(&config, out).await;
    };
    // Wrong arguments fail before any connection is made.
    check(&config, &request)?;
    let left = match config.max_messages {
        MessageLimit::At(records) if limited => Some(records.get()),
        _ => None,
    };
    let interrupt = signals::interrupts()?;
    let parts = parts_with(config, |config| WithProgress::new(make(config))).await?;
    let deadline = Deadline::after(parts.config.time_limit, &parts.clock);
    let inspected = invoke::inspect_backfill(parts, &request, deadline).await?;
    let states: Vec<PartitionState> = inspected.into_iter().map(|plan| plan.state).collect();
    progress::print_above_bar(&announcement(&request, &states));
    let to_go = states.iter().map(to_go).sum::<u64>();
    parts
        .processor
        .begin(&states, left.map_or(to_go, |left| left.min(to_go)));
    let passes = Passes {
        parts,
        request,
        left,
        interrupt,
    };
    passes.run(out).await
}

fn check(config: &Config, request: &BackfillRequest) -> Result<(), Error> {
    if config.topics.len() > 1 {
        let what = format!(
            "a backfill reads one topic, and KAFKA_TOPIC names {}: {}",
            config.topics.len(),
            config.topics.join(", ")
        );
        return Err(Error::new(ErrorType::InvalidConfiguration, what).next("Choose one with --topic"));
    }
    backfill::topic(config, request).map_err(|error| {
        // An event in Lambda, arguments here.
        Error::new(ErrorType::InvalidConfiguration, error.what).next(error.next)
    })?;
    Ok(())
}

/// How many offsets of a partition are left.
fn to_go(state: &PartitionState) -> u64 {
    let cursor = state.cursor.as_ref().and_then(|cursor| cursor.as_ref().ok());
    cursor
        .zip(backfill::stored(state))
        .map_or(0, |(cursor, bounds)| cursor.next.distance_to(bounds.to))
}

/// The bounds and positions before the first pass.
fn announcement(request: &BackfillRequest, states: &[PartitionState]) -> String {
    let mut partitions = table(&["partition", "from", "to", "next", "to go"], 1..=4);
    let mut resumes = false;
    for state in states {
        let (Some(bounds), Some(Ok(cursor))) = (backfill::stored(state), &state.cursor) else {
            continue;
        };
        resumes |= cursor.next > bounds.from;
        partitions.add_row([
            state.partition.to_string(),
            bounds.from.to_string(),
            bounds.to.to_string(),
            cursor.next.to_string(),
            to_go(state).to_string(),
        ]);
    }
    let total: u64 = states.iter().map(to_go).sum();
    let verb = if resumes { "resumes" } else { "starts" };
    format!("backfill {} {verb}: {total} offsets to go\n{partitions}", request.name)
}

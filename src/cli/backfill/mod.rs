//! `backfill` and `backfill list`.

mod list;
mod passes;
mod total;

use super::output::{Out, table};
use super::parts::parts_with;
use super::progress::{self, Watched};
use super::selection::Partitions;
use super::{Exit, signals};
use crate::backfill as pure;
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

    /// Its name: the same name goes on where it stopped
    #[arg(long, value_name = "NAME", required = true)]
    name: Option<BackfillName>,

    /// Where it begins: `earliest`, `latest`, an RFC 3339 time, or next offsets by partition: `0:100,1:200`
    #[arg(long, value_name = "BOUND", required = true)]
    from: Option<Bound>,

    /// Where it ends, exclusive: the same; `latest` is fixed when it is first started [default: latest]
    #[arg(long, value_name = "BOUND")]
    to: Option<Bound>,

    #[command(flatten)]
    partitions: Partitions,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum BackfillCommand {
    /// Show all backfills of the group and its topics
    List,
}

impl BackfillArgs {
    /// What is asked for; `None`: the list.
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
            // clap asks for both.
            (None, ..) => Err(usage("--name and --from are needed".into())),
        }
    }
}

/// `limited`: the limit of the settings was given as a flag, and means all passes together.
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
    // Wrong usage, before anything is connected.
    check(&config, &request).map_err(|message| Error::new(ErrorType::InvalidConfiguration, message))?;
    let left = match config.max_messages {
        MessageLimit::At(records) if limited => Some(records.get()),
        _ => None,
    };
    let interrupt = signals::interrupts()?;
    let parts = parts_with(config, |config| Watched::new(make(config))).await?;
    let deadline = Deadline::after(parts.config.time_limit, &parts.clock);
    let (facts, _) = invoke::inspect_backfill(parts, &request, deadline).await?;
    progress::say(&announcement(&request, &facts));
    let to_go = facts.iter().map(to_go).sum::<u64>();
    parts
        .processor
        .begin(&facts, left.map_or(to_go, |left| left.min(to_go)));
    let passes = Passes {
        parts,
        request,
        left,
        interrupt,
    };
    passes.make(out).await
}

fn check(config: &Config, request: &BackfillRequest) -> Result<(), String> {
    if config.topics.len() > 1 {
        return Err(format!(
            "a backfill is about one topic, and KAFKA_TOPIC names {}: {}. Choose one with --topic",
            config.topics.len(),
            config.topics.join(", ")
        ));
    }
    pure::topic(config, request).map_err(|error| error.message())?;
    Ok(())
}

/// How many offsets lie before a partition's end.
fn to_go(facts: &PartitionState) -> u64 {
    let cursor = facts.cursor.as_ref().and_then(|cursor| cursor.as_ref().ok());
    cursor
        .zip(pure::stored(facts))
        .map_or(0, |(cursor, bounds)| cursor.next.distance_to(bounds.to))
}

/// What will be read, before it is.
fn announcement(request: &BackfillRequest, facts: &[PartitionState]) -> String {
    let mut partitions = table(&["partition", "from", "to", "next", "to go"], 1..=4);
    let mut goes_on = false;
    for fact in facts {
        let (Some(bounds), Some(Ok(cursor))) = (pure::stored(fact), &fact.cursor) else {
            continue;
        };
        goes_on |= cursor.next > bounds.from;
        partitions.add_row([
            fact.partition.to_string(),
            bounds.from.to_string(),
            bounds.to.to_string(),
            cursor.next.to_string(),
            to_go(fact).to_string(),
        ]);
    }
    let total: u64 = facts.iter().map(to_go).sum();
    let verb = if goes_on { "goes on" } else { "begins" };
    format!("backfill {} {verb}: {total} offsets to go\n{partitions}", request.name)
}

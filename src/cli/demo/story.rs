//! The text of the demo between the tables. Not printed where the format is JSON.

use std::io::Write as _;

use clap::builder::styling::{AnsiColor, Style};

use crate::cli::output;
use crate::cli::output::Format;

const HEADING: Style = AnsiColor::Cyan.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Prints the text, unless the format is JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Story {
    format: Format,
}

impl Story {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    /// The heading of a step.
    pub(super) fn heading(self, text: &str) {
        self.styled(HEADING, &format!("== {text}"), "\n");
    }

    /// Plain text, or a table.
    pub(super) fn print(self, text: &str) {
        if self.format == Format::Table {
            output::write_line(text);
        }
    }

    /// The result of the check.
    pub(super) fn verdict(self, good: bool, text: &str) {
        self.styled(if good { GOOD } else { BAD }, text, "");
    }

    /// Colours only on a terminal, and not under `NO_COLOR`.
    fn styled(self, style: Style, text: &str, before: &str) {
        if self.format == Format::Table {
            // A closed stdout is not a failure.
            let _ = writeln!(anstream::stdout(), "{before}{style}{text}{style:#}");
        }
    }
}

pub(super) const WELCOME: &str = "\
A scheduled job reads orders from Kafka and stores its offsets in a DynamoDB table. Both services
run inside this process: no server, no Docker, no account.";

pub(super) const ORDERS_ARRIVE: &str = "\
A topic is divided into partitions. In each partition every record has an offset: 0, 1, 2 and so
on.";

pub(super) const FIRST_RUN: &str = "\
The schedule starts a run once a minute. A run reads the new records, passes them to a handler, and
stores the offsets. It reads at most 1000 records (MAX_MESSAGES), and divides them among the
partitions, so that a large partition does not delay the others.";

pub(super) const THE_TABLE: &str = "\
The table after the run. Each item is the cursor of one partition: the offset of the last order
that was handled. An operator can read and move it.";

pub(super) const RUN_THAT_CRASHES: &str = "\
A minute later. (The demo moves its clock instead of waiting.) Before a run reads a partition, it
claims it: the item holds the id of the run and when the claim expires, and other runs skip the
partition. This time the handler is slow, so the run stores offsets while it works, every 5 seconds.
Then the process crashes, in the middle of the chunks of records in flight.";

pub(super) const NEXT_RUN: &str = "\
A minute later. The claims have expired, so the next run claims the partitions, and resumes after
the stored offsets.";

pub(super) const NEW_ORDERS: &str = "\
New orders arrive between two runs. They are handled after the earlier orders of their partition.";

pub(super) const IDLE_RUN: &str = "\
There are no new records. The run reads the table and the end offsets, fetches no record, and
writes nothing.";

/// The next steps; `program` is the command that started this program.
pub(super) fn next_steps(program: &str) -> String {
    let commands = [
        ("make up".to_owned(), "start both, with a topic and a table"),
        (format!("{program} table create"), "the table, if it does not exist"),
        (format!("{program} plan"), "what a run would read, and why"),
        (format!("{program} run"), "one run; with --every 60s, a schedule"),
    ];
    let width = commands
        .iter()
        .map(|(command, _)| command.len())
        .max()
        .unwrap_or_default();
    let [up, create, plan, run] = commands.map(|(command, meaning)| format!("  {command:width$}  {meaning}"));
    format!(
        "\
The same against a real Kafka and a DynamoDB Local (needs Docker):
{up}
  export AWS_ENDPOINT_URL=http://localhost:8000 AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
{create}
{plan}
{run}
To write a handler, start from examples/orders.rs.
All tests, including those against real services: make test"
    )
}

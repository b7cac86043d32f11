//! What the demo tells between the tables. Nothing of it where JSON is wanted.

use std::io::Write as _;

use clap::builder::styling::{AnsiColor, Style};

use crate::cli::output;
use crate::cli::output::Format;

const HEADING: Style = AnsiColor::Cyan.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Tells people; silent for programs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Story {
    format: Format,
}

impl Story {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    /// A new step.
    pub(super) fn heading(self, words: &str) {
        self.styled(HEADING, &format!("== {words}"), "\n");
    }

    /// Plain sentences, or a table.
    pub(super) fn tell(self, words: &str) {
        if self.format == Format::Table {
            output::write_line(words);
        }
    }

    /// How it ended.
    pub(super) fn verdict(self, good: bool, words: &str) {
        self.styled(if good { GOOD } else { BAD }, words, "");
    }

    /// Colours only on a terminal, and not under `NO_COLOR`.
    fn styled(self, style: Style, words: &str, before: &str) {
        if self.format == Format::Table {
            // A reader that went away is no failure of ours.
            let _ = writeln!(anstream::stdout(), "{before}{style}{words}{style:#}");
        }
    }
}

pub(super) const WELCOME: &str = "\
A job that a schedule starts reads orders from Kafka and remembers in a DynamoDB table how far it
came. Both services run inside this process: no server, no Docker, no account.";

pub(super) const ORDERS_ARRIVE: &str = "\
A topic is a log, cut into partitions. In each partition every record has a number, its offset:
0, 1, 2 and so on.";

pub(super) const FIRST_TICK: &str = "\
The schedule starts the job once a minute. Each start is a tick, and makes one run. A run reads
what is new, hands it to a handler, and stores how far it came. It takes 1000 records at most
(MAX_MESSAGES), and shares them out, so that no partition waits behind a large one.";

pub(super) const THE_TABLE: &str = "\
The table now. One item is one partition; its offset is the last order that was handled. People
can read it, and move it.";

pub(super) const TICK_THAT_DIES: &str = "\
A minute later. (The demo moves its clock; nobody waits.) Before a run works on a partition it
claims it: the item says which run is at work, and until when, and other runs keep away. This time
the handler is slow, so the run stores its first offsets early, as it does every 5 seconds. Then
the process dies, in the middle of the chunks of records that it has in hand.";

pub(super) const NEXT_TICK: &str = "\
A minute later. The claims are over, so the next run takes the partitions, and goes on after the
offsets that are stored.";

pub(super) const NEW_ORDERS: &str = "\
Between two ticks new orders arrive. They have to wait for their turn, and are handled in order.";

pub(super) const IDLE_TICK: &str = "\
There is nothing to do. The run looks at the table and at the ends of the partitions, reads no
record, and writes nothing.";

/// What to try next; `program` is how this one was started.
pub(super) fn next_steps(program: &str) -> String {
    let commands = [
        ("make up".to_owned(), "start them, with a topic and a table"),
        (format!("{program} table create"), "the table, if it is not there"),
        (format!("{program} plan"), "what a run would read, and why"),
        (format!("{program} run"), "one tick; with --every 60s, a schedule"),
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
A handler of your own starts from examples/orders.rs.
All tests, also those against real services: make test"
    )
}

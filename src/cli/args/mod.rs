//! The commands and the arguments that they share. Arguments of one command are in its module.

mod settings;

use clap::{Parser, Subcommand};

use super::backfill::BackfillArgs;
use super::completions::CompletionsArgs;
use super::event::EventArgs;
use super::lag::LagArgs;
use super::offsets::OffsetsCommand;
use super::output::Format;
use super::plan::PlanArgs;
use super::redrive::RedriveArgs;
use super::run::RunArgs;

pub(super) use settings::Settings;

/// Reads new records from Kafka, passes them to a handler, and stores its
/// offsets in a DynamoDB table. This tool runs, inspects and repairs such a
/// consumer; in Lambda the same code runs on a schedule.
#[derive(Debug, Parser)]
#[command(name = "kafka-consumer", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed; 2 wrong usage or settings; 3 a partition is blocked, truncated \
                        or lost while the others were done.\n\nEvery setting is also an environment variable, the same \
                        as in Lambda. Logs go to stderr; RUST_LOG sets their level."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,

    /// Format of the result on stdout
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(super) output: Format,

    #[command(flatten)]
    pub(super) settings: Settings,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read new records, once or at an interval, and store the new offsets
    ///
    /// Ctrl-c finishes the chunks in flight and stores what is settled; a second
    /// ctrl-c drops those chunks, and the next run processes them again.
    #[command(after_help = "EXAMPLES:
  kafka-consumer run --topic orders                   # one run
  kafka-consumer run --every 60s                      # a run every minute, until ctrl-c
  kafka-consumer run --max-messages 10 --output json  # at most 10 records, the report as JSON")]
    Run(RunArgs),
    /// Show what a run would read, and why; writes nothing
    #[command(after_help = "EXAMPLES:
  kafka-consumer plan                            # what the next run reads
  kafka-consumer plan --partition 3              # of one partition
  kafka-consumer plan --shard 2/4 --output json  # of a shard, as JSON
  kafka-consumer plan --explain-filter           # which filter patterns the next records match")]
    Plan(PlanArgs),
    /// Show the lag and the state of each partition
    #[command(after_help = "EXAMPLES:
  kafka-consumer lag                # the lag and the state of each partition
  kafka-consumer lag --watch 5      # refreshed every 5 seconds
  kafka-consumer lag --output json  # as JSON, for scripts")]
    Lag(LagArgs),
    /// List and move cursors, undo a move, pause partitions
    #[command(after_help = "EXAMPLES:
  kafka-consumer offsets list                 # the stored cursors
  kafka-consumer offsets reset --to-earliest  # what a reset would change
  kafka-consumer offsets pause --partition 3  # runs skip partition 3")]
    #[command(subcommand)]
    Offsets(OffsetsCommand),
    /// Process a range of offsets again, with separate cursors
    ///
    /// The live cursors are neither read nor moved. The command makes passes of `TIME_LIMIT` until the backfill is
    /// done, or until `--max-messages` records were processed in all. The same command resumes an interrupted backfill.
    #[command(after_help = "EXAMPLES:
  kafka-consumer backfill --name fix-42 --from 2026-11-01T06:00:00Z  # from a time to the end
  kafka-consumer backfill --name fix-43 --from 0:100 --to 0:200      # offsets 100 to 199 of partition 0
  kafka-consumer backfill list                                       # all backfills and their progress")]
    Backfill(BackfillArgs),
    /// Process selected records again; moves no cursor
    #[command(after_help = "EXAMPLES:
  kafka-consumer redrive --partition 3 --offsets 17,20-25                        # these records
  kafka-consumer redrive --dead-letters                                          # the records of all dead letters
  kafka-consumer redrive --dead-letters orders-dlq --since 2026-11-01T06:00:00Z  # of one topic, since a time")]
    Redrive(RedriveArgs),
    /// Print the event that a function gets for records, as AWS's mapping sends it
    ///
    /// For `aws lambda invoke`, `sam local invoke` or a unit test. Reads the records; moves no cursor.
    #[command(after_help = "EXAMPLES:
  kafka-consumer event --partition 3 --offsets 17        # the event of one record
  kafka-consumer event --partition 3 --offsets 17,20-25  # of several")]
    Event(EventArgs),
    /// Check what a run needs: settings, secrets, network, TLS, permissions, the table, the clock
    ///
    /// Each check shows what works or fails and the next step, with the network and the AWS credentials of this
    /// machine. The command writes nothing, claims nothing, and prints no secret. Exit code 0: runs should work,
    /// possibly with warnings; 1: a check failed; 2: the settings are wrong.
    #[command(after_help = "EXAMPLES:
  kafka-consumer doctor                               # check the settings of the environment
  kafka-consumer doctor --topic orders --output json  # as JSON")]
    Doctor,
    /// Create the table of the cursors
    #[command(after_help = "EXAMPLES:
  kafka-consumer table create --table kafka-consumer-offsets  # if it does not exist")]
    #[command(subcommand)]
    Table(TableCommand),
    /// Show the scheduled job on an embedded Kafka and DynamoDB: no server, no account
    #[command(after_help = "EXAMPLES:
  kafka-consumer demo                # about ten seconds
  kafka-consumer demo --output json  # the reports as JSON")]
    Demo,
    /// Print completions for a shell, or the manual page
    #[command(after_help = "EXAMPLES:
  kafka-consumer completions bash > kafka-consumer.bash  # for bash
  kafka-consumer completions man | man -l -              # the manual page")]
    Completions(CompletionsArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum TableCommand {
    /// Create the table, billed on demand, with the right keys
    #[command(after_help = "EXAMPLES:
  kafka-consumer table create                         # with the name of DYNAMODB_TABLE
  kafka-consumer table create --table orders-offsets  # with another name")]
    Create,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_setting_is_a_flag_and_its_alias_sets_the_same_variable() {
        let cli = Cli::try_parse_from([
            "kafka-consumer",
            "run",
            "--topic",
            "t",
            "--max-messages=7",
            "-Xfetch.min.bytes=1",
        ])
        .expect("these are arguments");
        let pairs: Vec<_> = cli.settings.pairs().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.into());
        assert_eq!(
            pairs,
            [
                pair("KAFKA_TOPIC", "t"),
                pair("MAX_MESSAGES", "7"),
                pair("KAFKA_FETCH_MIN_BYTES", "1")
            ]
        );
    }

    /// The examples of a command's help: arguments and redirections, without the comment.
    fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.strip_prefix("EXAMPLES:\n").unwrap_or_default().lines();
        lines
            .map(|line| line.split(" # ").next().unwrap_or_default().trim().to_owned())
            .collect()
    }

    fn assert_examples(command: &clap::Command) {
        for subcommand in command.get_subcommands() {
            let name = subcommand.get_name();
            let examples = examples(subcommand);
            assert!(!examples.is_empty(), "{name} has no EXAMPLES");
            for example in examples {
                let typed = example.split(['>', '|']).next().unwrap_or_default().split_whitespace();
                let parsed = Cli::try_parse_from(typed.clone()).map(|_| ());
                assert!(parsed.is_ok(), "{example}: {parsed:?}");
                assert!(typed.clone().any(|word| word == name), "{example} is not of {name}");
            }
            assert_examples(subcommand);
        }
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_parses() {
        assert_examples(&Cli::command());
    }

    #[test]
    fn wrong_arguments_are_rejected_with_what_is_allowed() {
        for (arguments, expected) in [
            (vec!["run", "--every", "soon"], "allowed: 60s, 5m, 1h"),
            (vec!["run", "--every", "10ms"], "1s or more"),
            (vec!["run", "--shard", "5/4"], "shard"),
            (vec!["run", "--partition", "-1"], "partition"),
            (vec!["run", "-X", "nothing"], "NAME=VALUE"),
            (vec!["fly"], "unrecognized subcommand"),
        ] {
            let error = Cli::try_parse_from(["kafka-consumer"].into_iter().chain(arguments.clone()))
                .map(|_| ())
                .expect_err("these arguments are wrong")
                .to_string();
            assert!(error.contains(expected), "{arguments:?}: {error}");
        }
    }
}

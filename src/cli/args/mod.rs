//! The commands and the arguments that they share. Arguments of one command are in its module.

mod settings;

use clap::{Parser, Subcommand};

use super::backfill::BackfillArgs;
use super::completions::CompletionsArgs;
use super::lag::LagArgs;
use super::offsets::OffsetsCommand;
use super::output::Format;
use super::redrive::RedriveArgs;
use super::run::RunArgs;
use super::selection::Selection;

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
    Run(RunArgs),
    /// Show what a run would read, and why; reads no record and writes nothing
    Plan(Selection),
    /// Show the lag and the state of each partition
    Lag(LagArgs),
    /// List and move cursors, undo a move, pause partitions
    #[command(subcommand)]
    Offsets(OffsetsCommand),
    /// Process a range of offsets again, with separate cursors
    ///
    /// The live cursors are neither read nor moved. The command makes passes of `TIME_LIMIT` until the backfill is
    /// done, or until `--max-messages` records were processed in all. The same command resumes an interrupted backfill.
    Backfill(BackfillArgs),
    /// Process selected records again; moves no cursor
    Redrive(RedriveArgs),
    /// Check what a run needs: settings, secrets, network, TLS, permissions, the table, the clock
    ///
    /// Each check shows what works or fails and the next step, with the network and the AWS credentials of this
    /// machine. The command writes nothing, claims nothing, and prints no secret. Exit code 0: runs should work,
    /// possibly with warnings; 1: a check failed; 2: the settings are wrong.
    Doctor,
    /// Create the table of the cursors
    #[command(subcommand)]
    Table(TableCommand),
    /// Show the scheduled job on an embedded Kafka and DynamoDB: no server, no account
    Demo,
    /// Print completions for a shell, or the manual page
    Completions(CompletionsArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum TableCommand {
    /// Create the table, billed on demand, with the right keys
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

//! The arguments of all commands. Those of one command alone stand with it.

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

/// Reads new records from Kafka, hands them on, and remembers where it was in
/// a DynamoDB table. This is the tool to run it, look at it, and try it; in
/// Lambda the same code runs on a schedule.
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

    /// How the result is written to stdout
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(super) output: Format,

    #[command(flatten)]
    pub(super) settings: Settings,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read what is new, once or again and again, and store the new offsets
    ///
    /// Ctrl-c finishes the chunk at work and stores what is settled; a second
    /// one drops that chunk, which comes again in the next run.
    Run(RunArgs),
    /// Show what a run would read, and why; reads no record and writes nothing
    Plan(Selection),
    /// Show how far each partition is behind, and why
    Lag(LagArgs),
    /// Look at the cursors, move them, undo a move, pause partitions
    #[command(subcommand)]
    Offsets(OffsetsCommand),
    /// Read a part of the log again, under a cursor of its own
    ///
    /// The live cursors are neither read nor moved. It goes on in passes of `TIME_LIMIT` until it is done, or
    /// after `--max-messages` records in all. After any interruption the same command goes on where it stopped.
    Backfill(BackfillArgs),
    /// Process single records again; moves no cursor
    Redrive(RedriveArgs),
    /// Check all that a run needs: settings, secrets, network, TLS, rights, the table, clocks
    ///
    /// It tells what is right, what is wrong and what to do next, from the network and with the AWS credentials of
    /// the machine it runs on. It writes nothing, claims nothing, and shows no secret. Exit code 0: runs should work,
    /// if with warnings; 1: something is wrong; 2: the settings are.
    Doctor,
    /// The table of the cursors
    #[command(subcommand)]
    Table(TableCommand),
    /// Show the whole job on an embedded Kafka and DynamoDB: no server, no account
    Demo,
    /// Write completions for a shell, or the manual page, to stdout
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
    fn every_setting_is_a_flag_and_its_alias_means_the_same() {
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
    fn wrong_arguments_say_what_is_allowed() {
        for (arguments, said) in [
            (vec!["run", "--every", "soon"], "allowed: 60s, 5m, 1h"),
            (vec!["run", "--every", "10ms"], "1s or more"),
            (vec!["run", "--shard", "5/4"], "shard"),
            (vec!["run", "--partition", "-1"], "partition"),
            (vec!["run", "-X", "nothing"], "NAME=VALUE"),
            (vec!["fly"], "unrecognized subcommand"),
        ] {
            let error = Cli::try_parse_from(["kafka-consumer"].into_iter().chain(arguments.clone()))
                .map(|_| ())
                .expect_err("these are no arguments")
                .to_string();
            assert!(error.contains(said), "{arguments:?}: {error}");
        }
    }
}

//! The command line: arguments -> settings and request -> the same
//! [`invoke`](crate::invoke::invoke) as in Lambda -> tables or JSON, and an exit code.
//!
//! stdout holds the result and nothing else; stderr holds logs and, last, a
//! failure as `Type: message`.
//!
//! Imports point down: `args` and this file use the commands (`backfill`, `completions`, `demo`,
//! `doctor`, `event`, `lag`, `offsets`, `plan`, `redrive`, `run`, `table`), the commands use the shared modules
//! (`exit`, `inspect`, `output`, `parts`, `progress`, `records`, `selection`, `signals`), and no command uses
//! another.

mod args;
mod backfill;
mod completions;
#[cfg(feature = "embedded")]
mod demo;
mod doctor;
mod event;
mod exit;
mod inspect;
mod lag;
mod offsets;
mod output;
mod parts;
mod plan;
mod progress;
mod records;
mod redrive;
mod run;
mod selection;
mod signals;
mod table;

use std::io::IsTerminal as _;

use clap::{CommandFactory as _, Parser as _};
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::destination::Configured;
use crate::error::Error;
use crate::live;
use crate::processor::Processor;
use args::{Cli, Command, TableCommand};
use exit::Exit;
use output::Out;

/// Runs the command line with the processor that `DESTINATION` names, and
/// returns the exit code.
#[must_use]
pub fn main() -> i32 {
    main_with(Configured::new)
}

/// Runs the command line with a custom handler, so that `run`, `backfill`
/// and `redrive` process records as the Lambda function does. Returns the exit code.
///
/// ```no_run
/// use kafka_consumer_lambda::{Record, cli, each};
///
/// fn main() {
///     let exit = cli::main_with(|_config| each(|record: Record| async move {
///         println!("{}", record.id());
///         Ok(())
///     }));
///     std::process::exit(exit);
/// }
/// ```
#[must_use]
pub fn main_with<P, F>(make: F) -> i32
where
    P: Processor + 'static,
    F: FnOnce(&Config) -> P,
{
    let cli = Cli::parse();
    log_to_stderr(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::print_error(&format!("Failed: the runtime cannot be started: {error}"));
            return Exit::Failed as i32;
        }
    };
    let out = Out { format: cli.output };
    let exit = match runtime.block_on(dispatch(cli, make, out)) {
        Ok(exit) => exit,
        Err(error) => {
            output::print_error(&error.to_string());
            Exit::from(&error)
        }
    };
    // A blocking request to an unreachable broker must not delay the exit.
    runtime.shutdown_background();
    match exit {
        Exit::Done if output::stdout_has_failed() => Exit::Failed as i32,
        exit => exit as i32,
    }
}

async fn dispatch<P: Processor + 'static>(cli: Cli, make: impl FnOnce(&Config) -> P, out: Out) -> Result<Exit, Error> {
    match cli.command {
        Command::Run(arguments) => run::run(live::settings(cli.settings.pairs())?, make, arguments, out).await,
        Command::Plan(arguments) => plan::plan(live::settings(cli.settings.pairs())?, &arguments, out).await,
        Command::Lag(arguments) => lag::lag(live::settings(cli.settings.pairs())?, arguments, out).await,
        Command::Offsets(command) => offsets::offsets(live::settings(cli.settings.pairs())?, command, out).await,
        Command::Backfill(arguments) => {
            let limited = cli.settings.gives("MAX_MESSAGES");
            backfill::backfill(live::settings(cli.settings.pairs())?, make, arguments, limited, out).await
        }
        Command::Redrive(arguments) => {
            redrive::redrive(live::settings(cli.settings.pairs())?, make, arguments, out).await
        }
        Command::Event(arguments) => event::event(live::settings(cli.settings.pairs())?, &arguments).await,
        Command::Doctor => doctor::doctor(live::settings(cli.settings.pairs())?, out).await,
        Command::Completions(arguments) => Ok(completions::completions(&arguments, Cli::command())),
        Command::Table(TableCommand::Create) => table::create(&live::settings(cli.settings.pairs())?, out).await,
        #[cfg(feature = "embedded")]
        Command::Demo => demo::demo(out).await,
        #[cfg(not(feature = "embedded"))]
        Command::Demo => Err(Error::new(
            crate::error::ErrorType::InvalidConfiguration,
            "this build has no embedded Kafka and DynamoDB",
        )
        .next("Run `make demo` in the source, or build with the features `cli` and `embedded`")),
    }
}

fn log_to_stderr(cli: &Cli) {
    #[expect(clippy::disallowed_methods, reason = "logs come up before the settings are read")]
    let level = std::env::var("RUST_LOG").ok().filter(|level| !level.is_empty());
    let default = match cli.command {
        // Their output has all errors.
        Command::Demo | Command::Doctor => "error",
        // On a terminal, stdout has the report already.
        _ if std::io::stderr().is_terminal() => "info,report=off,metrics=off",
        _ => "info",
    };
    let filter = level
        .and_then(|level| EnvFilter::try_new(level).ok())
        .unwrap_or_else(|| EnvFilter::new(default));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(|| progress::StderrAboveBar)
        // It would print to stderr, and panic where stderr is closed.
        .log_internal_errors(false)
        .try_init();
}

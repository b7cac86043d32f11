//! Ctrl-c and SIGTERM.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::output;
use crate::error::{Error, ErrorType};
use crate::invoke::Interrupt;

/// How long a second ctrl-c waits for the last writes.
const FINAL_WRITES_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the last line on stderr may take.
const STDERR_TIMEOUT: Duration = Duration::from_millis(20);

/// Turns signals into interrupts: the first finishes the chunks in flight, the
/// second drops them, tries for one second to store what is settled, and ends
/// the process.
pub(super) fn interrupts() -> Result<watch::Receiver<Interrupt>, Error> {
    let (mut ctrl_c, mut terminate) = listen()?;
    let (sender, receiver) = watch::channel(Interrupt::No);
    tokio::spawn(async move {
        for interrupt in [Interrupt::Finish, Interrupt::Now] {
            first_of(&mut ctrl_c, &mut terminate).await;
            sender.send_replace(interrupt);
            if interrupt == Interrupt::Finish {
                print_error_detached(
                    "stopping: the chunks in flight are finished and stored; press ctrl-c again to stop at once",
                );
            }
        }
        tokio::time::sleep(FINAL_WRITES_TIMEOUT).await;
        print_error_detached(
            "stopped before all offsets were stored; the next run processes the remaining records again",
        );
        tokio::time::sleep(STDERR_TIMEOUT).await;
        std::process::exit(super::exit::Exit::Failed as i32);
    });
    Ok(receiver)
}

/// Resolves at the first signal, for commands that have nothing to finish.
pub(super) fn first() -> Result<impl Future<Output = ()>, Error> {
    let (mut ctrl_c, mut terminate) = listen()?;
    Ok(async move { first_of(&mut ctrl_c, &mut terminate).await })
}

fn listen() -> Result<(Signal, Signal), Error> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Error::new(
                ErrorType::InvalidConfiguration,
                format!("signals cannot be received here: {error}"),
            )
        })
    };
    Ok((listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?))
}

async fn first_of(ctrl_c: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = ctrl_c.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// A write to a full pipe blocks, and the exit must not wait for it.
fn print_error_detached(line: &'static str) {
    std::thread::spawn(|| output::print_error(line));
}

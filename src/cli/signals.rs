//! Ctrl-c and SIGTERM.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, ErrorType};
use crate::invoke::Interrupt;

/// How long a second ctrl-c waits for the last writes.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Turns signals into interrupts: the first finishes the chunks at work, the
/// second drops them, tries for one second to store what is settled, and ends
/// the process.
pub(super) fn interrupts() -> Result<watch::Receiver<Interrupt>, Error> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Error::new(
                ErrorType::InvalidConfiguration,
                format!("signals cannot be received here: {error}"),
            )
        })
    };
    let (mut ctrl_c, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let (sender, receiver) = watch::channel(Interrupt::No);
    tokio::spawn(async move {
        for interrupt in [Interrupt::Finish, Interrupt::Now] {
            tokio::select! {
                _ = ctrl_c.recv() => {}
                _ = terminate.recv() => {}
            }
            sender.send_replace(interrupt);
            if interrupt == Interrupt::Finish {
                eprintln!("stopping: the chunk at work is finished and stored; again to stop at once");
            }
        }
        tokio::time::sleep(LAST_PATIENCE).await;
        eprintln!("stopped before everything was stored; what was not comes again in the next run");
        std::process::exit(super::Exit::Failed as i32);
    });
    Ok(receiver)
}

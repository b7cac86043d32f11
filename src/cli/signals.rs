//! Ctrl-c and SIGTERM.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::output;
use crate::error::{Error, ErrorType};
use crate::invoke::Interrupt;

/// How long a second ctrl-c waits for the last writes.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// What a line on stderr takes, where somebody reads it.
const TO_SAY_IT: Duration = Duration::from_millis(20);

/// Turns signals into interrupts: the first finishes the chunks at work, the
/// second drops them, tries for one second to store what is settled, and ends
/// the process.
pub(super) fn interrupts() -> Result<watch::Receiver<Interrupt>, Error> {
    let (mut ctrl_c, mut terminate) = listen()?;
    let (sender, receiver) = watch::channel(Interrupt::No);
    tokio::spawn(async move {
        for interrupt in [Interrupt::Finish, Interrupt::Now] {
            either(&mut ctrl_c, &mut terminate).await;
            sender.send_replace(interrupt);
            if interrupt == Interrupt::Finish {
                say_aside("stopping: the chunk at work is finished and stored; again to stop at once");
            }
        }
        tokio::time::sleep(LAST_PATIENCE).await;
        say_aside("stopped before everything was stored; what was not comes again in the next run");
        tokio::time::sleep(TO_SAY_IT).await;
        std::process::exit(super::Exit::Failed as i32);
    });
    Ok(receiver)
}

/// Resolves at the first signal, for commands that have nothing to finish.
pub(super) fn first() -> Result<impl Future<Output = ()>, Error> {
    let (mut ctrl_c, mut terminate) = listen()?;
    Ok(async move { either(&mut ctrl_c, &mut terminate).await })
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

async fn either(ctrl_c: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = ctrl_c.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// A log that nobody reads is full, and whoever writes to it waits: the end
/// must not wait for that.
fn say_aside(words: &'static str) {
    std::thread::spawn(|| output::complain(words));
}

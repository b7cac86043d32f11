//! Output to terminals, to pipes that are not read and to full disks; and signals.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pty_process::blocking::Pty;

use crate::support::midway::{MORE_THAN_A_PIPE_HOLDS, WAITING};
use crate::support::process;
use crate::support::world::{Ran, World};

async fn a_world(name: &str) -> World {
    let world = World::new(name, 2).await;
    world.produce(0, 3);
    world.produce(1, 3);
    world.put_offset(1, 99).await;
    world
}

fn ended(child: Child) -> Ran {
    Ran::new(child.wait_with_output().expect("it ends"), Instant::now())
}

/// A command on a terminal of 60 columns.
fn start_on_a_terminal(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> (Pty, Child) {
    let (terminal, side) = pty_process::blocking::open().expect("a pseudo-terminal");
    terminal.resize(pty_process::Size::new(24, 60)).expect("it has a size");
    let command = world.command(arguments);
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let child = pty_process::blocking::Command::new(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(set)
        .env("TERM", "xterm-256color")
        .envs(variables.iter().copied())
        .stderr(Stdio::null())
        .spawn(side)
        .expect("it starts");
    (terminal, child)
}

/// The output of a command on a terminal of 60 columns, and its exit code.
fn on_a_terminal(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> (String, Option<i32>) {
    let (mut terminal, mut child) = start_on_a_terminal(world, arguments, variables);
    let mut shown = vec![];
    // Its end is an error of the read, on Linux.
    let _ = terminal.read_to_end(&mut shown);
    let code = child.wait().expect("it ends").code();
    (String::from_utf8(shown).expect("text").replace("\r\n", "\n"), code)
}

const RED: &str = "\u{1b}[38;5;9m";

#[tokio::test]
async fn a_terminal_of_60_columns_gets_narrow_tables_in_colours() {
    let world = a_world("narrow").await;
    for arguments in [&["lag"][..], &["offsets", "list"], &["plan"], &["run"]] {
        let (shown, _) = on_a_terminal(&world, arguments, &[]);
        let rows = shown.lines().filter(|line| line.contains(['┌', '│', '└']));
        for row in rows {
            let plain = anstream::adapter::strip_str(row).to_string();
            assert!(plain.chars().count() <= 60, "{plain}");
        }
        assert!(shown.contains('┌'), "{shown}");
        assert_eq!(shown.contains(RED), arguments != ["run"], "{shown}");
    }
}

#[tokio::test]
async fn colours_are_off_without_a_terminal_and_where_they_are_disabled() {
    let world = a_world("plain").await;
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let (shown, code) = on_a_terminal(&world, &["lag"], &[variable]);
        assert!(shown.contains("truncated") && !shown.contains('\u{1b}'), "{shown:?}");
        assert_eq!(code, Some(0));
    }
    assert!(!world.ran(&["lag"]).stdout.contains('\u{1b}'), "no colours in a pipe");
}

#[tokio::test]
async fn a_watch_on_a_terminal_draws_in_place_until_ctrl_c_is_pressed() {
    const CLEAR: &str = "\u{1b}[2J";
    let world = a_world("redrawn").await;
    for (variable, clears) in [(("NO_COLOR", "1"), true), (("TERM", "dumb"), false)] {
        let (mut terminal, mut child) = start_on_a_terminal(&world, &["lag", "--watch", "1"], &[variable]);
        let mut shown = vec![];
        let mut buffer = [0; 4096];
        let documents = |shown: &[u8]| String::from_utf8_lossy(shown).matches("lag 3 ").count();
        while documents(&shown) < 2 {
            let count = terminal.read(&mut buffer).expect("more output");
            shown.extend_from_slice(&buffer[..count]);
        }
        // The byte that the key sends.
        terminal.write_all(b"\x03").expect("a terminal takes keys");
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert_eq!(shown.contains(CLEAR), clears, "{variable:?} {shown:?}");
    }
}

/// A command whose stdout is closed from the start.
fn unread(mut command: Command) -> Ran {
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    ended(child)
}

#[tokio::test]
async fn a_closed_pipe_is_no_failure_and_ends_commands_that_would_not_end() {
    let world = a_world("unread").await;
    for arguments in [
        &["lag"][..],
        &["lag", "--watch", "1"],
        &["offsets", "list", "--output", "json"],
        &["plan"],
        &["run", "--partition", "0"],
        &["run", "--partition", "0", "--every", "1s"],
        &["completions", "bash"],
        &["completions", "man"],
        &["--help"],
    ] {
        let ran = unread(world.command(arguments));
        assert_eq!(ran.code, Some(0), "{arguments:?} {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{arguments:?} {ran:?}");
    }
    assert_eq!(world.offset(0).await, Some(2), "the run took place nevertheless");
}

#[tokio::test]
async fn a_log_that_is_not_read_changes_neither_the_work_nor_the_exit_code() {
    let world = a_world("unlogged").await;
    for (arguments, code) in [(&["run"][..], 3), (&["lag"], 0), (&["plan", "--partition", "7"], 2)] {
        let mut child = world.command(arguments).spawn().expect("it starts");
        drop(child.stderr.take());
        assert_eq!(ended(child).code, Some(code), "{arguments:?}");
    }
    assert_eq!(world.offset(0).await, Some(2));
}

#[tokio::test]
async fn a_result_that_cannot_be_written_to_a_full_disk_is_a_failure() {
    let world = a_world("full").await;
    for arguments in [&["lag"][..], &["plan", "--output", "json"]] {
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full of Linux");
        let ran = ended(world.command(arguments).stdout(full).spawn().expect("it starts"));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("Failed: stdout cannot be written: "), "{ran:?}");
    }
}

#[tokio::test]
async fn closed_standard_streams_are_no_failure() {
    let world = a_world("closed").await;
    let mut shell = Command::new("sh");
    let command = world.command(&[]);
    let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell
        .args(["-c", r#""$0" lag <&- >&- 2>&- && "$0" lag | head -n 1"#])
        .arg(command.get_program())
        .env_clear()
        .envs(set)
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ran = ended(shell.spawn().expect("it starts"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, "lag 3 · 2 partitions: 1 new, 1 truncated\n", "{ran:?}");
}

#[tokio::test]
async fn run_every_writes_a_line_per_tick_and_continues_after_a_failure() {
    let world = a_world("ticks").await;
    let mut child = world.start(&["run", "--every", "1s"]);
    let mut lines = process::lines(child.stdout.take().expect("piped"));
    let first = lines.next().expect("a tick");
    let end = " · caught up · lag 0 · Truncated";
    assert!(first.contains("  3 records in ") && first.ends_with(end), "{first}");
    assert!(first.starts_with("20"), "it starts with the time: {first}");
    let second = lines.next().expect("another tick");
    assert!(second.contains("  0 records in ") && second.ends_with(end), "{second}");
    process::signal(child.id(), "INT");
    let ran = ended(child);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let failures = ran.stderr.lines().filter(|line| line.starts_with("Truncated: "));
    assert!(failures.count() >= 2, "{ran:?}");
}

/// P1: a run that dies repeats what it had not stored.
#[tokio::test]
async fn ctrl_c_twice_stops_a_run_at_once_and_stored_progress_is_kept() {
    let mut world = World::new("twice", 1).await;
    world.set("MAX_MESSAGES", "unlimited");
    world.produce(0, 10);
    let mut run = world.unread(&["--every", "1s"]);
    while world.offset(0).await != Some(9) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.produce(0, MORE_THAN_A_PIPE_HOLDS);
    run.read_until(" offset=10 ").await;
    // Time to fill the pipe. If it is not full by then, the run succeeds at the first signal.
    tokio::time::sleep(Duration::from_millis(500)).await;
    run.signal("INT");
    // A second signal that arrives together with the first is merged with it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    run.signal("INT");
    let signalled = Instant::now();
    let code = run.ends();
    assert!(
        signalled.elapsed() < Duration::from_secs(4),
        "{:?}",
        signalled.elapsed()
    );
    let stored = world.offset(0).await.expect("an item");
    if code == Some(0) {
        assert!(stored >= 9, "{stored}");
    } else {
        assert_eq!((code, stored), (Some(1), 9), "its log is full: no more could be stored");
    }
    let handled = run.finish().await.logged_offsets();
    let up_to_stored: Vec<i64> = (0..=stored).collect();
    assert!(handled.starts_with(&up_to_stored), "stored records were handled");
    world.end_the_claim(0).await;
    let next = world.run();
    next.success();
    assert_eq!(next.logged_ranges(), [(stored + 1, WAITING + 9)]);
}

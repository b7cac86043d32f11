//! `completions`: shell completions and the manual page, generated from the arguments.

use clap::{Command, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use super::exit::Exit;
use super::output;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell, or `man` for the manual page
    #[arg(value_enum, value_name = "SHELL")]
    target: Target,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Target {
    Bash,
    Elvish,
    Fish,
    #[value(name = "powershell")]
    PowerShell,
    Zsh,
    Man,
}

/// Prints the completions or the manual page of `command`.
pub(super) fn completions(arguments: &CompletionsArgs, mut command: Command) -> Exit {
    let shell = match arguments.target {
        Target::Bash => Shell::Bash,
        Target::Elvish => Shell::Elvish,
        Target::Fish => Shell::Fish,
        Target::PowerShell => Shell::PowerShell,
        Target::Zsh => Shell::Zsh,
        Target::Man => return manual(command),
    };
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::write_bytes(&script);
    Exit::Done
}

/// One page for all commands: the program's, then each command's.
fn manual(command: Command) -> Exit {
    // The page lists the settings that `-h` hides.
    let program = command
        .disable_help_subcommand(true)
        .mut_args(|argument| argument.hide_short_help(false));
    let mut pages = Vec::new();
    // Writing to memory cannot fail.
    let _ = Man::new(program.clone()).render(&mut pages);
    subcommands(&program, &mut pages);
    output::write_bytes(&pages);
    Exit::Done
}

/// Before it is built, a command has only its own arguments: the settings are
/// on the program's page.
fn subcommands(command: &clap::Command, pages: &mut Vec<u8>) {
    let program = command.get_bin_name().unwrap_or(command.get_name());
    for subcommand in command.get_subcommands() {
        let page = format!("{}-{}", command.get_name(), subcommand.get_name());
        let typed = format!("{program} {}", subcommand.get_name());
        let named = subcommand
            .clone()
            .name(page)
            .bin_name(typed)
            .disable_help_subcommand(true);
        let _ = Man::new(named.clone()).render(pages);
        subcommands(&named, pages);
    }
}

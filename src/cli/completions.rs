//! `completions`.

use super::Exit;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct CompletionsArgs {}

pub(super) fn completions(arguments: &CompletionsArgs) -> Exit {
    let _ = arguments;
    Exit::Failed
}

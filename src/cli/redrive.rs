//! `redrive`.

use super::Exit;
use super::output::Out;
use crate::config::Config;
use crate::error::{Error, ErrorType};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct RedriveArgs {}

pub(super) async fn redrive(config: Config, arguments: RedriveArgs, out: Out) -> Result<Exit, Error> {
    super::parts::parts(config.clone()).await?;
    let _ = (config, arguments, out);
    Err(Error::new(ErrorType::InvalidConfiguration, "not there"))
}

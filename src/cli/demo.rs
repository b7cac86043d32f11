//! `demo`.
use super::{Exit, output::Out};
use crate::error::Error;
pub(super) async fn demo(_out: &Out) -> Result<Exit, Error> { Ok(Exit::Done) }

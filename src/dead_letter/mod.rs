//! Dead letters: failed records, sent to the topic or queue of `ON_FAILURE`.
//!
//! | file | |
//! |---|---|
//! | `letter` | a failed record -> its dead letter; pure |
//! | [`target`] | the target of `ON_FAILURE` |
//! | [`kafka`] | a topic as the target |
//! | [`sqs`] | an SQS queue as the target |

pub mod kafka;
mod letter;
pub mod sqs;
pub mod target;

pub use letter::{Reason, Stage, dead_letter, header, pointer, split};

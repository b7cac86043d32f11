//! `MAX_MEMORY_BYTES`, and its default.

use std::ops::RangeInclusive;

use super::Settings;
use super::number::whole_number;
use super::problem::NotAllowed;

const MIB: u64 = 1024 * 1024;

/// From the largest record of a broker with default settings to the memory of the largest Lambda
/// function.
const MAX_MEMORY_BYTES: RangeInclusive<u64> = MIB..=10_240 * MIB;

/// Lambda sets it: the function's memory in MB, which are MiB.
const FUNCTION_MEMORY_VARIABLE: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

impl Settings<'_> {
    pub(super) fn max_memory_bytes(&mut self) -> Option<u64> {
        let setting = "MAX_MEMORY_BYTES";
        if self.vars.is_set(setting) {
            return self.parse(setting, memory_bytes);
        }
        if !self.vars.is_set(FUNCTION_MEMORY_VARIABLE) {
            return Some(default_memory_bytes(None));
        }
        self.parse(FUNCTION_MEMORY_VARIABLE, |text| {
            let allowed = || NotAllowed::new("must be a whole number of MB; or set MAX_MEMORY_BYTES");
            whole_number(text)
                .map(|mib| default_memory_bytes(Some(mib)))
                .ok_or_else(allowed)
        })
    }
}

/// The default limit of fetched records, in bytes.
///
/// In a function: 40 % of the memory that remains after 40 MiB. The process itself, with the SDK,
/// TLS and small buffers, was measured at 17 MB; 40 leave room for the handler. A record exists up
/// to twice while it is handled, as fetched and as decoded; the remaining 60 % is for the decoded
/// copies. On the command line: 256 MiB, as in a function of 680 MB.
fn default_memory_bytes(function_memory_mib: Option<u64>) -> u64 {
    const BASE_MIB: u64 = 40;
    const SHARE_PERCENT: u64 = 40;
    // Room for a few of the largest records that brokers take by default.
    const MIN_BYTES: u64 = 8 * MIB;
    const COMMAND_LINE_BYTES: u64 = 256 * MIB;
    let Some(memory_mib) = function_memory_mib else {
        return COMMAND_LINE_BYTES;
    };
    let left_mib = memory_mib.min(*MAX_MEMORY_BYTES.end() / MIB).saturating_sub(BASE_MIB);
    (left_mib * MIB * SHARE_PERCENT / 100).max(MIN_BYTES)
}

fn memory_bytes(text: &str) -> Result<u64, NotAllowed> {
    whole_number(text)
        .filter(|bytes| MAX_MEMORY_BYTES.contains(bytes))
        .ok_or_else(|| {
            NotAllowed::new(format!(
                "must be a whole number of bytes, {} (1 MiB) to {} (10 GiB)",
                MAX_MEMORY_BYTES.start(),
                MAX_MEMORY_BYTES.end()
            ))
        })
}

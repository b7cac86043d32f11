//! Which librdkafka this process uses: the one that was linked statically, or
//! the one that the system's loader found.

use rdkafka::bindings::RD_KAFKA_VERSION;
use rdkafka::util::get_rdkafka_version;

use crate::error::{Error, ErrorType};

/// Refuses a librdkafka that this program was not built for.
///
/// A program that is linked dynamically loads any `librdkafka.so.1` there is
/// (without its layer, an older one of the system), which is
/// untested with this program. Linked statically, the two cannot differ.
///
/// # Errors
/// `InvalidConfiguration`, naming both versions.
pub(crate) fn check() -> Result<(), Error> {
    expect(RD_KAFKA_VERSION, get_rdkafka_version().0)
}

fn expect(built_for: i32, loaded: i32) -> Result<(), Error> {
    if loaded == built_for {
        return Ok(());
    }
    let (built_for, loaded) = (name(built_for), name(loaded));
    Err(Error::new(
        ErrorType::InvalidConfiguration,
        format!("this program is built for librdkafka {built_for}, and {loaded} was loaded"),
    )
    .next(
        "Add the layer that was built with it (layer.zip) to the function, or deploy the static package (function.zip)",
    ))
}

/// `major.minor.revision`. librdkafka's number is a byte for each of major, minor
/// and revision; the last one is 255 for a release.
fn name(version: i32) -> String {
    let [major, minor, revision, pre_release] = version.to_be_bytes();
    let release = format!("{major}.{minor}.{revision}");
    if pre_release == u8::MAX {
        release
    } else {
        format!("{release}-pre{pre_release}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librdkafka_of_the_tests_is_the_one_they_are_built_for() {
        assert_eq!(check(), Ok(()));
    }

    #[test]
    fn another_version_older_or_newer_is_refused_with_both_names_and_what_to_do() {
        for (loaded, called) in [
            (0x0200_02ff, "2.0.2"),
            (0x020d_00ff, "2.13.0"),
            (0x020c_0101, "2.12.1-pre1"),
        ] {
            let error = expect(0x020c_01ff, loaded).expect_err("it is refused");
            assert_eq!(error.kind, ErrorType::InvalidConfiguration);
            let both = format!("built for librdkafka 2.12.1, and {called} was loaded");
            assert!(error.message().contains(&both), "{error}");
            assert!(
                error.message().contains("layer.zip") && error.message().contains("function.zip"),
                "{error}"
            );
        }
    }
}

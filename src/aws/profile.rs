//! Detects an `AWS_PROFILE` that does not exist in AWS's shared configuration files.
//!
//! The SDK continues without the profile, and fails with an error about its other sources of
//! credentials.

use std::fs;
use std::path::{Path, PathBuf};

use super::call::Unsent;

/// The variable of each file, and its default path in the home folder.
const FILES: [(&str, &str); 2] = [
    ("AWS_CONFIG_FILE", ".aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
];

/// The error, if `AWS_PROFILE` names a profile that is in none of the files.
pub(crate) fn missing() -> Option<Unsent> {
    // The SDK needs no file for this profile.
    let name = variable("AWS_PROFILE").filter(|name| name != "default")?;
    let home = variable("HOME").unwrap_or_else(|| "~".to_owned());
    let paths =
        FILES.map(|(name, default)| variable(name).map_or_else(|| Path::new(&home).join(default), PathBuf::from));
    let found = paths.iter().any(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        has_profile(&text, &name)
    });
    let [config, credentials] = paths.map(|path| {
        let absent = if path.exists() { "" } else { " (no such file)" };
        format!("{}{absent}", path.display())
    });
    (!found).then(|| Unsent {
        what: format!("AWS_PROFILE names the profile {name:?}, and neither {config} nor {credentials} has it"),
        next: "Correct AWS_PROFILE, or add the profile",
    })
}

fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the SDK reads them itself, and its errors do not name them"
    )]
    let value = std::env::var(name);
    value.ok().filter(|value| !value.is_empty())
}

/// Whether a file has a section for this profile: `[profile name]` or `[name]`.
fn has_profile(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let section = line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let section = section.map(|(section, _)| section.trim()).unwrap_or_default();
        let named = section
            .strip_prefix("profile")
            .filter(|rest| rest.starts_with([' ', '\t']));
        named.unwrap_or(section).trim().trim_matches(['"', '\'']) == name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_a_section_in_one_of_the_files() {
        for text in [
            "[profile dev]",
            "a = b\n[dev]\nc = d",
            " [ profile\tdev ] # mine",
            "[profile \"dev\"]",
        ] {
            assert!(has_profile(text, "dev"), "{text}");
        }
        for text in [
            "",
            "dev",
            "[profile other]",
            "[profiledev]",
            "[dev",
            "# dev",
            "[profile dev2]",
        ] {
            assert!(!has_profile(text, "dev"), "{text}");
        }
    }
}

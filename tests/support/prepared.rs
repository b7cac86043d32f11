//! Folders of programs that the tests need, below the target folder; made once for each content of what they are made
//! of, also where several test processes run at once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process;

/// The folder `name`. `make` fills it where it is missing, or made of another `content`. Folders with the same `lock`
/// are made one after the other.
///
/// # Errors
/// The folder cannot be made. The message has the reason.
pub(super) fn prepared(
    name: &str,
    content: &str,
    lock: &str,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let home = home()?;
    let folder = home.join(name);
    // It is written when the folder is complete.
    let stamp = folder.join("made-of");
    let lock = home.join(lock);
    let _held = File::create(&lock)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| format!("cannot lock {}: {error}", lock.display()))?;
    if fs::read_to_string(&stamp).is_ok_and(|made| made == content) {
        return Ok(folder);
    }
    // Files of an older content would stay.
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))?;
    }
    super::services::print(&format!("fetching {name} into {}", folder.display()));
    make(&folder)?;
    write(&stamp, content)?;
    Ok(folder)
}

/// Runs a command that fetches something.
///
/// # Errors
/// The command fails. The message has the end of its output, behind `what`.
pub(super) fn fetch(what: &str, command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{what}: cannot run `{program}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(format!(
        "{what}. `{program}` failed:\n{}",
        process::tail(&String::from_utf8_lossy(&text), 15)
    ))
}

/// The folder of what is prepared, below the target folder.
pub(super) fn home() -> Result<PathBuf, String> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = scratch.parent().unwrap_or(scratch).join("test-services");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    Ok(folder)
}

pub(super) fn write(path: &Path, content: &str) -> Result<(), String> {
    fs::write(path, content).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

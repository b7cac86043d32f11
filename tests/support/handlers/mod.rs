//! Runs the handlers of examples/handlers, as Lambda does: in Python with AWS's own runtime client, in Node with a
//! small one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::prepared::{fetch, prepared, write};
use super::runtime_api::Function;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/handlers");

/// Ample: a handler that takes longer hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Starts the handler `handler` of a Python module in examples/handlers/python.
///
/// # Panics
/// If Python or its packages are missing, or the module fails. The message has the reason.
pub(crate) fn python(module: &str) -> Function {
    let packages = python_packages().unwrap_or_else(|message| panic!("{message}"));
    let mut command = Command::new(packages.join("bin/python"));
    command
        .args(["-m", "awslambdaric", &format!("{module}.handler")])
        .current_dir(Path::new(EXAMPLES).join("python"));
    // Each line is in the file once it is written, and no cache in the folder of the examples.
    start(command, &[("PYTHONUNBUFFERED", "1"), ("PYTHONDONTWRITEBYTECODE", "1")])
}

/// Starts the handler `handler` of a Node module in examples/handlers/node.
///
/// # Panics
/// If Node or its packages are missing, or the module fails. The message has the reason.
pub(crate) fn node(module: &str) -> Function {
    let folder = node_packages().unwrap_or_else(|message| panic!("{message}"));
    let mut command = Command::new(found("node"));
    let file = format!("{module}.mjs");
    fs::copy(Path::new(EXAMPLES).join("node").join(&file), folder.join(&file)).expect("the module exists");
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/support/handlers/runtime.mjs"
        ))
        .arg(folder.join(&file))
        .arg("handler");
    start(command, &[])
}

fn start(command: Command, settings: &[(&str, &str)]) -> Function {
    let name = format!("{command:?}");
    let settings = settings.iter().copied();
    Function::start_command(command, settings, TIMEOUT).unwrap_or_else(|error| panic!("{name}: {error:#?}"))
}

/// The virtual environment with what requirements.txt names.
fn python_packages() -> Result<PathBuf, String> {
    const REQUIREMENTS: &str = include_str!("requirements.txt");
    prepared("python-handlers", REQUIREMENTS, "python-handlers.lock", |folder| {
        fetch(
            "the handlers in Python need Python 3.10 or newer with venv",
            Command::new("python3").args(["-m", "venv"]).arg(folder),
        )?;
        let requirements = folder.join("requirements.txt");
        write(&requirements, REQUIREMENTS)?;
        fetch(
            "pip cannot fetch the packages of the handlers in Python. Check that PyPI can be reached",
            Command::new(folder.join("bin/pip"))
                .args(["install", "--quiet", "--disable-pip-version-check", "--no-deps"])
                .args(["--only-binary", ":all:", "--require-hashes", "--requirement"])
                .arg(&requirements),
        )
    })
}

/// A folder with the packages of examples/handlers/node. A module finds them beside itself.
fn node_packages() -> Result<PathBuf, String> {
    let read = |name| {
        let file = Path::new(EXAMPLES).join("node").join(name);
        fs::read_to_string(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))
    };
    let (package, lock) = (read("package.json")?, read("package-lock.json")?);
    prepared(
        "node-handlers",
        &format!("{package}{lock}"),
        "node-handlers.lock",
        |folder| {
            fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
            write(&folder.join("package.json"), &package)?;
            write(&folder.join("package-lock.json"), &lock)?;
            fetch(
                "npm cannot fetch the packages of the handlers in Node. They need Node 20 or newer, and npm's registry",
                Command::new("npm")
                    .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                    .current_dir(folder),
            )
        },
    )
}

/// The path of a program: the function's own PATH is Lambda's.
fn found(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    folders
        .find_map(|folder| Some(folder.join(program)).filter(|file| file.is_file()))
        .unwrap_or_else(|| panic!("this test needs `{program}`, which is not in PATH"))
}

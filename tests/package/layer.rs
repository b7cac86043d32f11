//! The function that is linked dynamically, without its layer and with another librdkafka.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::packages::Package;
use crate::support::world::World;

#[tokio::test]
async fn without_its_layer_the_function_fails_and_names_what_is_missing() {
    let world = World::new("layer", 1).await;
    let nothing = tempfile::tempdir().expect("a folder");
    let error = Package::Dynamic
        .start_with(&world, Some(nothing.path().to_owned()))
        .expect_err("it cannot start");
    // Either the error of the loader, or, where this machine has a librdkafka of its own, that of the program.
    let message = format!("{error:?}");
    assert!(
        message.contains("librdkafka.so.1: cannot open shared object file") || message.contains("layer.zip"),
        "{message}"
    );
}

#[tokio::test]
async fn the_function_refuses_a_librdkafka_that_it_was_not_built_for() {
    let world = World::new("layer", 1).await;
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("lib")).expect("a folder in it");
    imitate(
        &Package::Dynamic.bootstrap(),
        &folder.path().join("lib/librdkafka.so.1"),
    );
    let error = Package::Dynamic
        .start_with(&world, Some(folder.path().to_owned()))
        .expect_err("it is refused");
    assert_eq!(error.error.error_type, "InvalidConfiguration", "{error:?}");
    let message = &error.error.message;
    assert!(
        message.contains("is built for librdkafka 2.") && message.contains("and 2.0.2 was loaded"),
        "{message}"
    );
}

/// A library with all symbols of librdkafka that the program uses, which reports version 2.0.2.
fn imitate(program: &Path, library: &Path) {
    let symbols = Command::new("nm")
        .args(["--dynamic", "--undefined-only"])
        .arg(program)
        .output();
    let symbols = String::from_utf8(symbols.expect("nm starts").stdout).expect("text");
    let names = symbols.split_whitespace().filter(|word| word.starts_with("rd_kafka_"));
    let mut source = "int rd_kafka_version(void) { return 0x020002ff; }\n\
                      const char *rd_kafka_version_str(void) { return \"2.0.2\"; }\n"
        .to_owned();
    for name in names.filter(|name| !name.starts_with("rd_kafka_version")) {
        writeln!(source, "void {name}(void) {{ __builtin_trap(); }}").expect("memory");
    }
    let file = library.with_extension("c");
    fs::write(&file, source).expect("a file");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-Wl,-soname,librdkafka.so.1", "-o"])
        .args([library, &file]);
    let output = compiler.output().expect("cc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

//! Compares the product with a bare program and with a conventional poller, in turns, on a real Kafka
//! and a real DynamoDB Local. Prints a table, marks the bars that are not reached, and writes
//! `target/bench/figures.json` and `growth.svg`.

#![allow(clippy::disallowed_methods, reason = "a bench runs in real time")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod bare;
mod figures;
mod measure;
#[path = "../order.rs"]
mod order;
mod plot;
mod programs;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use figures::Row;

/// Compares the product with a bare program on real services.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; everything if nothing is named
    #[arg(long, value_enum)]
    only: Vec<Section>,

    /// The number of rounds, as a multiple of the default
    #[arg(long, default_value_t = 1.0)]
    effort: f64,

    /// A setting for the product, `NAME=VALUE`, to measure its effect
    #[arg(long = "set", value_parser = pair)]
    settings: Vec<(String, String)>,

    /// Cargo's own
    #[arg(long, hide = true)]
    bench: bool,
}

/// Measurements that are made together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    Warm,
    Cold,
    Delays,
    Requests,
    Growth,
    Memory,
    Instructions,
    Throughput,
    Functions,
    Parallel,
}

fn main() {
    if let Ok(what) = std::env::var(bare::VARIABLE) {
        if let Err(error) = bare::main(&what) {
            panic!("the bare program: {error}");
        }
        return;
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let _entered = runtime.enter();
    let bench = measure::Bench {
        runtime: runtime.handle().clone(),
        effort: arguments.effort,
        settings: arguments.settings,
        python: programs::python(&folder()),
    };
    println!("{}", figures::machine());
    let mut rows: Vec<Row> = vec![];
    for section in Section::value_variants() {
        if arguments.only.is_empty() || arguments.only.contains(section) {
            let measured = bench.measure(*section);
            figures::print(*section, &measured);
            rows.extend(measured);
        }
    }
    figures::write(&folder().join("figures.json"), &rows);
    plot::growth(&folder().join("growth.svg"), &rows);
    let missed: Vec<&Row> = rows.iter().filter(|row| row.misses()).collect();
    println!(
        "\n{} of {} bars are not reached",
        missed.len(),
        rows.iter().filter(|row| row.bar.is_some()).count()
    );
    for row in missed {
        println!("  {}", row.what);
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("allowed: NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The folder of the figures.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../bench");
    fs::create_dir_all(&folder).expect("a folder below target/");
    folder.canonicalize().expect("the folder exists")
}

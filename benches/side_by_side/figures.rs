//! The measurements -> a table, JSON, and which limits are met.

use std::fs;
use std::path::Path;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use serde_json::json;

use crate::Section;

/// Repeated measurements of one thing.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Sample(pub(crate) Vec<f64>);

impl Sample {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[half],
            _ => f64::midpoint(sorted[half - 1], sorted[half]),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) product: Sample,
    /// The programs that it is compared with, that of the bar first.
    pub(crate) others: Vec<(String, Sample)>,
    pub(crate) bar: Option<Bar>,
}

/// A limit that is to be reached.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bar {
    /// The limit, with its unit.
    pub(crate) limit: String,
    /// The measured value.
    pub(crate) value: f64,
    pub(crate) reached: bool,
}

impl Bar {
    pub(crate) fn at_most(value: f64, most: f64, of_what: &str) -> Self {
        Self {
            limit: format!("<= {most} {of_what}"),
            value,
            reached: value <= most,
        }
    }

    pub(crate) fn at_least(value: f64, least: f64, of_what: &str) -> Self {
        Self {
            limit: format!(">= {least} {of_what}"),
            value,
            reached: value >= least,
        }
    }
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, product: Sample) -> Self {
        Self {
            what: what.into(),
            unit,
            product,
            others: vec![],
            bar: None,
        }
    }

    pub(crate) fn beside(mut self, name: impl Into<String>, sample: Sample) -> Self {
        if !sample.0.is_empty() {
            self.others.push((name.into(), sample));
        }
        self
    }

    pub(crate) fn bar(mut self, bar: Bar) -> Self {
        self.bar = Some(bar);
        self
    }

    /// A bar relative to the program that it is first compared with.
    pub(crate) fn at_most_times(self, most: f64) -> Self {
        let bar = Bar::at_most(self.times(), most, "x");
        self.bar(bar)
    }

    pub(crate) fn at_least_times(self, least: f64) -> Self {
        let bar = Bar::at_least(self.times(), least, "x");
        self.bar(bar)
    }

    /// The medians' ratio.
    fn times(&self) -> f64 {
        self.others
            .first()
            .map_or(f64::NAN, |(_, other)| self.product.median() / other.median())
    }

    pub(crate) fn misses(&self) -> bool {
        self.bar.as_ref().is_some_and(|bar| !bar.reached)
    }
}

pub(crate) fn print(section: Section, rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["measurement", "program", "min", "median", "max", "product is", "bar"]);
    for row in rows {
        let (what, unit) = (&row.what, row.unit);
        let bar = row.bar.as_ref().map_or_else(String::new, |bar| {
            let mark = if bar.reached { "reached" } else { "NOT REACHED" };
            format!("{}: {:.2}, {mark}", bar.limit, bar.value)
        });
        table.add_row([
            &format!("{what} [{unit}]"),
            "product",
            &shown(row.product.min()),
            &shown(row.product.median()),
            &shown(row.product.max()),
            "",
            &bar,
        ]);
        for (name, sample) in &row.others {
            let times = format!("{:.2} x", row.product.median() / sample.median());
            let [min, median, max] = [sample.min(), sample.median(), sample.max()].map(shown);
            table.add_row(["", name, &min, &median, &max, &times, ""]);
        }
    }
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("\n{section:?}\n{table}");
}

fn shown(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

pub(crate) fn write(path: &Path, rows: &[Row]) {
    let figures = json!({"machine": machine(), "rows": rows});
    let text = serde_json::to_string_pretty(&figures).expect("figures are JSON");
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    println!("\nthe figures are in {}", path.display());
}

/// The machine, and whether other load disturbed the measurement.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("a CPU of unknown model", |(_, model)| model);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let noise = if load.parse().is_ok_and(|load: f64| load > 0.7) {
        ": other programs are running, and these figures are not reliable"
    } else {
        ""
    };
    format!("{cores} cores of {model}, load {load}{noise}")
}

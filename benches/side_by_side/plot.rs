//! How an idle run grows, as a picture.

use std::path::Path;

use plotters::prelude::*;

use crate::figures::Row;
use crate::measure::GROWTH;

type Failure = Box<dyn std::error::Error>;

/// Draws the rows of [`GROWTH`], if they were measured.
pub(crate) fn growth(path: &Path, rows: &[Row]) {
    let curves = GROWTH.map(|of| curves(of, rows));
    if curves.iter().all(Vec::is_empty) {
        return;
    }
    draw(path, &curves).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    println!("the plot is {}", path.display());
}

/// A name, and time against number.
type Curve = (String, Vec<(f64, f64)>);

fn curves(of: &str, rows: &[Row]) -> Vec<Curve> {
    let mut curves: Vec<Curve> = vec![];
    for row in rows {
        let Some(number) = row
            .what
            .strip_prefix(of)
            .and_then(|rest| rest.trim_start_matches(": ").parse().ok())
        else {
            continue;
        };
        let others = row.others.iter().map(|(name, sample)| (name.as_str(), sample));
        for (name, sample) in [("product", &row.product)].into_iter().chain(others) {
            let point = (number, sample.median());
            match curves.iter_mut().find(|(of, _)| of == name) {
                Some((_, points)) => points.push(point),
                None => curves.push((name.to_owned(), vec![point])),
            }
        }
    }
    curves
}

fn draw(path: &Path, panels: &[Vec<Curve>; 2]) -> Result<(), Failure> {
    let root = SVGBackend::new(path, (1200, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    for ((area, curves), title) in root.split_evenly((1, 2)).iter().zip(panels).zip(GROWTH) {
        let highest = curves.iter().flat_map(|(_, points)| points).map(|(_, ms)| *ms);
        let highest = highest.fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(48)
            .build_cartesian_2d((1_f64..1000.0).log_scale(), 0.0..highest)?;
        chart.configure_mesh().y_desc("median, ms").x_desc("number").draw()?;
        for (i, (name, points)) in curves.iter().enumerate() {
            let color = Palette99::pick(i).to_rgba();
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    root.present()?;
    Ok(())
}

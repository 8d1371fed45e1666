//! Lines as SVG. Their colours are marks that the page's style sheet replaces, so that one drawing fits a light page and a dark one; the
//! names of the lines are the page's too.

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

const SIZE: (u32, u32) = (900, 300);
/// Axes and grid.
const AXIS: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);

/// The mark of the line of this number.
fn mark(number: usize) -> RGBColor {
    RGBColor(3, 3, u8::try_from(number % COLOURS).unwrap_or(0))
}

/// So many lines have a colour of their own.
pub(crate) const COLOURS: usize = 8;

/// Points of a line.
pub(crate) type Line = Vec<(f64, f64)>;

/// How the marks become colours, for a style sheet.
pub(crate) fn style() -> String {
    let lines = (0..COLOURS)
        .map(|number| format!("svg [stroke=\"#03030{number}\"]{{stroke:var(--c{number})}}"));
    let lines: String = lines.collect();
    format!(
        "svg text{{fill:var(--quiet);font-family:inherit}}svg [stroke=\"#010101\"]{{stroke:var(--quiet)}}svg [stroke=\"#020202\"]{{stroke:var(--line)}}{lines}"
    )
}

/// Lines over seconds.
pub(crate) fn over_time(lines: &[Line], end_s: f64) -> Result<String> {
    let most = most(lines);
    let seconds = RangedCoordf64::from(0.0..end_s.max(1.0));
    let values = RangedCoordf64::from(0.0..most * 1.05);
    let names = |s: &f64| format!("{} s", short(*s));
    draw(
        lines,
        20,
        (seconds, &names),
        (values, &|value| short(*value)),
    )
}

/// Latencies in milliseconds over the share of trips that took no longer, both on a logarithmic scale: the tail is what matters. A point's
/// place is what is left above it: 0.1 for the 90th percentile.
pub(crate) fn percentiles(lines: &[Line]) -> Result<String> {
    let logarithms = |line: &Line| -> Line {
        let points = line.iter();
        points
            .map(|(above, ms)| (-above.log10(), ms.max(0.01).log10()))
            .collect()
    };
    let lines: Vec<Line> = lines.iter().map(logarithms).collect();
    let values = || lines.iter().flatten().map(|(_, ms)| *ms);
    let least = values().fold(f64::INFINITY, f64::min).min(3.0) - 0.1;
    let most = values().fold(least + 0.3, f64::max) + 0.1;
    let end = lines.iter().flatten().map(|(x, _)| *x).fold(1.0, f64::max);
    let (shares, times) = (Marked::percentiles(end), Marked::decades(least, most));
    let names = |ms: &f64| format!("{} ms", short(10_f64.powf(*ms)));
    draw(&lines, 40, (shares, &|x| percentile(*x)), (times, &names))
}

/// An axis, and what its marks are called.
type Axis<'a, R> = (R, &'a dyn Fn(&f64) -> String);

/// Lines between two axes, with so much space on the right for the last mark's name.
fn draw<X, Y>(lines: &[Line], right: u32, x: Axis<'_, X>, y: Axis<'_, Y>) -> Result<String>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(8)
            .margin_right(right)
            .x_label_area_size(30)
            .y_label_area_size(62)
            .build_cartesian_2d(x.0, y.0)
            .map_err(drawn)?;
        chart
            .configure_mesh()
            .axis_style(AXIS)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .label_style(("sans-serif", 14))
            .x_label_formatter(x.1)
            .y_label_formatter(y.1)
            .y_labels(6)
            .draw()
            .map_err(drawn)?;
        for (number, line) in lines.iter().enumerate() {
            let style = mark(number).stroke_width(2);
            chart
                .draw_series(LineSeries::new(line.iter().copied(), style))
                .map_err(drawn)?;
        }
        root.present().map_err(drawn)?;
    }
    Ok(svg)
}

/// An axis that is marked where people look.
struct Marked {
    range: RangedCoordf64,
    marks: Vec<f64>,
}

impl Marked {
    /// Percentiles.
    fn percentiles(end: f64) -> Self {
        let above: [f64; 6] = [1.0, 0.5, 0.1, 0.01, 0.001, 0.000_1];
        Self::at(0.0, end, above.map(|above| -above.log10() + 0.0))
    }

    /// 1, 2, 5, 10, 20, …: their logarithms.
    fn decades(first: f64, end: f64) -> Self {
        let all = (-3..8)
            .flat_map(|decade| [1.0_f64, 2.0, 5.0].map(|times| times.log10() + f64::from(decade)));
        Self::at(first, end, all)
    }

    fn at(first: f64, end: f64, marks: impl IntoIterator<Item = f64>) -> Self {
        let marks = marks
            .into_iter()
            .filter(|mark| (first..=end).contains(mark));
        Self {
            range: (first..end).into(),
            marks: marks.collect(),
        }
    }
}

impl Ranged for Marked {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.range()
    }
}

/// Never asked: each axis has a formatter of its own.
impl ValueFormatter<f64> for Marked {
    fn format(value: &f64) -> String {
        short(*value)
    }
}

fn percentile(x: f64) -> String {
    let percent = 100.0 * (1.0 - 10_f64.powf(-x));
    let text = format!("{percent:.2}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn most(lines: &[Line]) -> f64 {
    let values = lines.iter().flatten().map(|(_, value)| *value);
    values.fold(1.0, f64::max)
}

/// `12k`: an axis has little room.
fn short(value: f64) -> String {
    match value {
        value if value >= 10_000.0 => format!("{:.0}k", value / 1_000.0),
        value if value >= 10.0 => format!("{value:.0}"),
        value if value >= 1.0 || value == 0.0 => {
            format!("{value:.1}").trim_end_matches(".0").to_owned()
        }
        value => format!("{value:.2}"),
    }
}

fn drawn(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot cannot be drawn: {error}")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_percentile_is_marked_as_people_say_it() {
        let marks: Vec<String> = [0.0, 1.0, 2.0, 3.0, 4.0].map(percentile).into();
        assert_eq!(marks, ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        assert_eq!(
            [12_345.0, 57.2, 2.0, 0.0, 0.25].map(short),
            ["12k", "57", "2", "0", "0.25"]
        );
    }

    #[test]
    fn lines_are_drawn_whatever_is_in_them() {
        for lines in [
            vec![],
            vec![vec![]],
            vec![vec![(0.0, 0.0)], vec![(1.0, 5.0), (2.0, 7.0)]],
        ] {
            assert!(over_time(&lines, 2.0).unwrap().contains("<svg"));
        }
        let svg = percentiles(&[vec![(1.0, 2.0), (0.5, 3.0), (0.01, 40.0)]]).unwrap();
        assert!(svg.contains("99 %") && svg.contains("#030300"), "{svg}");
        // A time below a hundredth of a millisecond is drawn as one.
        assert!(percentiles(&[vec![(1.0, 0.0)]]).unwrap().contains("<svg"));
    }
}

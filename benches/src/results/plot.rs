//! Plots as SVG, costs always on a logarithmic axis: lines over steps or over sizes, and bars.

use std::fmt::Write as _;

use crate::data::figure;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Around the plot; names stand right of it.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Told apart by people who see colours differently, too (after Okabe and Ito); greys are the bare loops.
const COLOURS: [&str; 10] = [
    "#d55e00", "#000000", "#666666", "#aaaaaa", "#56b4e9", "#009e73", "#e69f00", "#0072b2", "#cc79a7",
    "#7f3c8d",
];

/// A name and its figures, one for each step of the axis.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) figures: Vec<Option<f64>>,
}

/// One line for each series over steps of equal width.
pub(crate) fn lines(title: &str, steps: &[&str], series: &[Series]) -> String {
    let all = series.iter().flat_map(|series| series.figures.iter().flatten().copied());
    let scale = Scale::over(all);
    let mut out = open(title);
    grid(&mut out, &scale);
    #[expect(clippy::cast_precision_loss, reason = "a handful of steps")]
    let x = |step: usize| LEFT + (WIDTH - LEFT - RIGHT) * step as f64 / (steps.len().max(2) - 1) as f64;
    for (step, name) in steps.iter().enumerate() {
        text(&mut out, x(step), HEIGHT - BOTTOM + 20.0, "middle", name);
    }
    let points = series.iter().map(|series| {
        let at = |step: usize| Some((x(step), scale.y((*series.figures.get(step)?)?)));
        (series.name.as_str(), (0..steps.len()).filter_map(at).collect())
    });
    draw(&mut out, points);
    out + "</svg>\n"
}

/// A name, and what something costs at each size.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// One line for each curve; sizes are on a logarithmic axis, too.
pub(crate) fn curves(title: &str, curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|curve| curve.points.iter());
    let (sizes, costs) =
        (Scale::over(all().map(|(size, _)| *size)), Scale::over(all().map(|(_, cost)| *cost)));
    let mut out = open(title);
    grid(&mut out, &costs);
    let x = |size: f64| LEFT + (WIDTH - LEFT - RIGHT) * sizes.share(size);
    for power in sizes.low..=sizes.high {
        let size = 10f64.powi(power);
        text(&mut out, x(size), HEIGHT - BOTTOM + 20.0, "middle", &figure(size));
    }
    let place = |(size, cost): &(f64, f64)| (x(*size), costs.y(*cost));
    draw(&mut out, curves.iter().map(|curve| (curve.name, curve.points.iter().map(place).collect())));
    out + "</svg>\n"
}

/// Lines through places, each with its name at its end.
fn draw<'a>(out: &mut String, lines: impl Iterator<Item = (&'a str, Vec<(f64, f64)>)>) {
    let mut names: Vec<(f64, &str, &str)> = Vec::new();
    for ((name, points), colour) in lines.zip(COLOURS.iter().cycle()) {
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            out,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#,
            path.join(" ")
        );
        for (x, y) in &points {
            let _ = writeln!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#);
        }
        names.extend(points.last().map(|(_, y)| (*y, name, *colour)));
    }
    // Names stand at the ends of their lines, and not on each other.
    names.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut free = TOP;
    for (y, name, colour) in names {
        let y = y.max(free);
        free = y + 15.0;
        let x = WIDTH - RIGHT + 10.0;
        let _ = writeln!(out, r#"<text x="{x:.1}" y="{:.1}" fill="{colour}">{name}</text>"#, y + 4.0);
    }
}

/// One bar for each name.
pub(crate) fn bars(title: &str, bars: &[(String, f64)]) -> String {
    let scale = Scale::over(bars.iter().map(|(_, figure)| *figure));
    let mut out = open(title);
    grid(&mut out, &scale);
    #[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
    let each = (WIDTH - LEFT - 30.0) / bars.len().max(1) as f64;
    let mut left = LEFT;
    for ((name, value), colour) in bars.iter().zip(COLOURS.iter().cycle()) {
        let (x, y) = (left + each * 0.15, scale.y(*value));
        let (width, height) = (each * 0.7, HEIGHT - BOTTOM - y);
        let _ = writeln!(
            out,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
        );
        text(&mut out, left + each / 2.0, HEIGHT - BOTTOM + 20.0, "middle", name);
        text(&mut out, left + each / 2.0, y - 6.0, "middle", &figure(*value));
        left += each;
    }
    out + "</svg>\n"
}

/// Powers of ten around what is shown.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn over(figures: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::MIN_POSITIVE);
        for figure in figures.filter(|figure| 0.0 < *figure) {
            (least, most) = (least.min(figure), most.max(figure));
        }
        if most < least {
            return Self { low: 0, high: 1 };
        }
        #[expect(clippy::cast_possible_truncation, reason = "exponents of ten are small")]
        let (low, high) = (least.log10().floor() as i32, most.log10().ceil() as i32);
        Self { low, high: high.max(low + 1) }
    }

    /// How far along the axis a figure stands.
    fn share(&self, figure: f64) -> f64 {
        let above = figure.max(f64::MIN_POSITIVE).log10() - f64::from(self.low);
        (above / f64::from(self.high - self.low)).clamp(0.0, 1.0)
    }

    fn y(&self, figure: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * self.share(figure)
    }
}

fn open(title: &str) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    text(&mut out, LEFT, 22.0, "start", title);
    out
}

/// A line at each power of ten, and fainter ones between.
fn grid(out: &mut String, scale: &Scale) {
    for power in scale.low..=scale.high {
        let ten = 10f64.powi(power);
        for step in 1..10 {
            let value = ten * f64::from(step);
            if power == scale.high && 1 < step {
                break;
            }
            let (y, colour) = (scale.y(value), if step == 1 { "#bbb" } else { "#eee" });
            let right = WIDTH - 30.0;
            let _ = writeln!(
                out,
                r#"<line x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}" stroke="{colour}"/>"#
            );
        }
        text(out, LEFT - 8.0, scale.y(ten) + 4.0, "end", &figure(ten));
    }
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_ten_is_as_high_as_the_next() {
        let scale = Scale::over([0.2, 30.0].into_iter());
        assert_eq!((scale.low, scale.high), (-1, 2));
        let step = scale.y(0.1) - scale.y(1.0);
        assert!((scale.y(1.0) - scale.y(10.0) - step).abs() < 1e-9);
    }

    #[test]
    fn a_size_has_its_place_between_powers_of_ten() {
        let points = vec![(100.0, 5.0), (1000.0, 50.0), (10_000.0, 5.0)];
        let svg = curves("t", &[Curve { name: "c", points }]);
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        assert!(svg.contains(&format!(r#"<circle cx="{middle:.1}""#)), "{svg}");
    }

    #[test]
    fn a_figure_that_is_missing_leaves_a_line_without_a_point() {
        let series = Series { name: "p".to_owned(), figures: vec![Some(1.0), None, Some(3.0)] };
        let svg = lines("t", &["1", "2", "3"], &[series]);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.ends_with("</svg>\n"));
    }
}

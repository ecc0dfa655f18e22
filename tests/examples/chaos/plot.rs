//! Memory and descriptors over time, as a picture that any browser shows.

use std::fmt::Write as _;

use crate::samples::Sample;

const WIDTH: f64 = 1_000.0;
const PANEL_HEIGHT: f64 = 200.0;
/// Room for the numbers on the left, and for titles above.
const LEFT: f64 = 70.0;
const ABOVE: f64 = 70.0;
const MIB: f64 = 1024.0 * 1024.0;

/// One line.
struct Curve {
    name: &'static str,
    colour: &'static str,
    of: fn(&Sample) -> f64,
}

/// Curves that share one scale.
struct Panel {
    title: &'static str,
    curves: &'static [Curve],
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "manager: resident memory, MiB",
        curves: &[Curve { name: "manager", colour: "#1f6fb4", of: |sample| sample.manager_bytes as f64 / MIB }],
    },
    Panel {
        title: "session servers: resident memory, MiB",
        curves: &[
            Curve {
                name: "mean of all",
                colour: "#d1741f",
                of: |sample| mean(sample.servers_bytes, sample.servers) / MIB,
            },
            Curve {
                name: "marathon, never killed",
                colour: "#2a8f3c",
                of: |sample| sample.marathon_bytes as f64 / MIB,
            },
        ],
    },
    Panel {
        title: "open descriptors",
        curves: &[
            Curve { name: "manager", colour: "#1f6fb4", of: |sample| sample.manager_descriptors as f64 },
            Curve {
                name: "mean of session servers",
                colour: "#d1741f",
                of: |sample| mean(sample.servers_descriptors as u64, sample.servers),
            },
            Curve { name: "marathon", colour: "#2a8f3c", of: |sample| sample.marathon_descriptors as f64 },
        ],
    },
];

fn mean(sum: u64, count: usize) -> f64 {
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

/// The picture.
pub(crate) fn svg(samples: &[Sample]) -> String {
    let height = (PANEL_HEIGHT + ABOVE) * PANELS.len() as f64 + 40.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        WIDTH + LEFT + 30.0
    );
    let end = samples.last().map_or(1.0, |sample| sample.at.as_secs_f64()).max(1.0);
    for (number, panel) in PANELS.iter().enumerate() {
        let top = ABOVE + (PANEL_HEIGHT + ABOVE) * number as f64;
        draw_panel(&mut svg, panel, samples, top, end);
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.0}\">minutes; grey: another manager has started</text>",
        height - 12.0
    );
    svg.push_str("</svg>\n");
    svg
}

fn draw_panel(svg: &mut String, panel: &Panel, samples: &[Sample], top: f64, end: f64) {
    let values = samples.iter().flat_map(|sample| panel.curves.iter().map(|curve| (curve.of)(sample)));
    let most = round_up(values.fold(1.0, f64::max));
    let bottom = top + PANEL_HEIGHT;
    let x = |seconds: f64| LEFT + WIDTH * seconds / end;
    let y = |value: f64| bottom - PANEL_HEIGHT * value / most;
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{:.0}\" font-weight=\"bold\">{}</text>", top - 28.0, panel.title);
    for step in 0..=4 {
        let value = most * f64::from(step) / 4.0;
        let decimals = usize::from(most < 10.0);
        let (at, right) = (y(value), LEFT + WIDTH);
        let _ = writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.decimals$}</text>",
            LEFT - 6.0,
            at + 4.0
        );
        let seconds = end * f64::from(step) / 4.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.1}</text>",
            x(seconds),
            bottom + 15.0,
            seconds / 60.0
        );
    }
    for pair in samples.windows(2).filter(|pair| pair[0].life != pair[1].life) {
        let _ = writeln!(svg, "<path d=\"M{:.1} {top}V{bottom}\" stroke=\"#ccc\"/>", x(pair[1].at.as_secs_f64()));
    }
    for (number, curve) in panel.curves.iter().enumerate() {
        draw_curve(svg, curve, samples, &x, &y);
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" fill=\"{}\">{}</text>",
            LEFT + 220.0 * number as f64,
            top - 10.0,
            curve.colour,
            curve.name
        );
    }
}

/// Where there is nobody the line stops.
fn draw_curve(svg: &mut String, curve: &Curve, samples: &[Sample], x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) {
    let mut path = String::new();
    let mut pen_is_down = false;
    for sample in samples {
        let value = (curve.of)(sample);
        if value > 0.0 {
            let verb = if pen_is_down { 'L' } else { 'M' };
            let _ = write!(path, "{verb}{:.1} {:.1}", x(sample.at.as_secs_f64()), y(value));
        }
        pen_is_down = value > 0.0;
    }
    let _ = writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.2\"/>", curve.colour);
}

/// The next round number, a quarter of which is round as well.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= value)
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_picture_has_every_curve_and_nothing_that_is_no_number() {
        let sample = |seconds| Sample {
            at: Duration::from_secs(seconds),
            life: u32::try_from(seconds).unwrap() / 2,
            manager_bytes: 5 << 20,
            manager_descriptors: 20,
            ..Sample::default()
        };
        let svg = svg(&[sample(0), sample(1), sample(2)]);
        for word in ["manager", "mean of all", "marathon, never killed", "stroke=\"#ccc\""] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(super::svg(&[]).ends_with("</svg>\n"));
    }

    #[test]
    fn a_scale_ends_at_a_round_number() {
        assert_eq!([0.9, 1.0, 3.0, 17.0, 81.0].map(round_up), [1.0, 1.0, 3.0, 20.0, 100.0]);
    }
}

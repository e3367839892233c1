//! Charts as SVG: bars and lines. Fonts are the viewer's.

use anyhow::anyhow;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    BLACK, Cartesian2d, ChartBuilder, ChartContext, Circle, Color, EmptyElement, IntoDrawingArea,
    IntoFont, LineSeries, PathElement, RGBColor, Rectangle, SVGBackend, SeriesLabelPosition, Text,
    TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;

/// All numbers are pixels.
const WIDTH: u32 = 720;
const FONT: i32 = 12;
const LINES_HEIGHT: u32 = 360;
/// Of a bar, of the space after those of a group, and of everything around them.
const BAR: u32 = 13;
const GAP: u32 = 8;
const FRAME: u32 = 90;

/// What lines leave free on the right for the legend, as a share of their own width.
const LEGEND_ROOM: f64 = 0.28;

/// Colours that differ in print too.
const COLOURS: &[RGBColor] = &[
    RGBColor(31, 96, 163),
    RGBColor(230, 140, 40),
    RGBColor(60, 145, 80),
    RGBColor(185, 50, 60),
    RGBColor(120, 90, 165),
    RGBColor(90, 190, 200),
    RGBColor(80, 80, 80),
];

type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn<'a> = Result<(), Box<dyn Error + 'a>>;

/// Horizontal bars: for each name, one for each entry of the legend.
pub(super) struct Bars<'a> {
    pub(super) title: &'a str,
    /// What the numbers are.
    pub(super) unit: &'a str,
    pub(super) legend: &'a [&'a str],
    /// From top to bottom. A number that is not there has no bar.
    pub(super) groups: Vec<(String, Vec<Option<f64>>)>,
}

/// A line for each series, over whole numbers.
pub(super) struct Lines<'a> {
    pub(super) title: &'a str,
    pub(super) across: &'a str,
    pub(super) unit: &'a str,
    pub(super) series: Vec<(String, Vec<(u64, f64)>)>,
}

impl Bars<'_> {
    /// The chart as SVG.
    pub(super) fn svg(&self) -> anyhow::Result<String> {
        drawn(self.title, |text| self.draw(text))
    }

    fn draw<'t>(&self, text: &'t mut String) -> Drawn<'t> {
        let groups = self.groups.len();
        let height = groups as u32 * (self.legend.len() as u32 * BAR + GAP) + FRAME;
        let values = self.groups.iter().flat_map(|(_, values)| values.iter().flatten());
        // Room for the number behind the longest bar, and for the legend.
        let most = values.copied().fold(1.0, f64::max) * 1.3;
        let area = SVGBackend::with_string(text, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", FONT + 2))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(130)
            .build_cartesian_2d(0.0..most, 0.0..groups as f64)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_y_mesh().y_labels(0).x_desc(self.unit).max_light_lines(0);
        mesh.label_style(("sans-serif", FONT)).draw()?;
        let name = style(FONT).pos(Pos::new(HPos::Right, VPos::Center));
        chart.draw_series(self.groups.iter().enumerate().map(|(group, (text, _))| {
            let at = (0.0, (groups - group) as f64 - 0.5);
            EmptyElement::at(at) + Text::new(text.clone(), (-6, 0), name.clone())
        }))?;
        for index in 0..self.legend.len() {
            self.draw_entry(&mut chart, index)?;
        }
        if self.legend.len() > 1 {
            draw_legend(&mut chart)?;
        }
        area.present()?;
        Ok(())
    }

    /// Draws the bars of one entry of the legend. A group is one high.
    fn draw_entry<'t>(&self, chart: &mut Chart<'_, SVGBackend<'t>>, index: usize) -> Drawn<'t> {
        let colour = COLOURS[index % COLOURS.len()];
        let pixel = 1.0 / f64::from(self.legend.len() as u32 * BAR + GAP);
        let bars: Vec<(f64, f64)> = (self.groups.iter().enumerate())
            .filter_map(|(group, (_, values))| {
                let before = f64::from(GAP / 2 + index as u32 * BAR) * pixel;
                let top = (self.groups.len() - group) as f64 - before;
                Some(((*values.get(index)?)?, top))
            })
            .collect();
        let height = f64::from(BAR) * pixel;
        let drawn = chart.draw_series(bars.iter().map(|(value, top)| {
            Rectangle::new([(0.0, *top), (*value, top - height)], colour.filled())
        }))?;
        drawn
            .label(self.legend[index])
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 16, y + 4)], colour.filled()));
        let number = style(FONT - 2).pos(Pos::new(HPos::Left, VPos::Center));
        chart.draw_series(bars.iter().map(|(value, top)| {
            let text = Text::new(format!("{value:.2}"), (4, 0), number.clone());
            EmptyElement::at((*value, top - height / 2.0)) + text
        }))?;
        Ok(())
    }
}

impl Lines<'_> {
    /// The chart as SVG.
    pub(super) fn svg(&self) -> anyhow::Result<String> {
        drawn(self.title, |text| self.draw(text))
    }

    fn draw<'t>(&self, text: &'t mut String) -> Drawn<'t> {
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let last = points().map(|(x, _)| *x).max().unwrap_or_default().max(2);
        let most = points().map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
        let room = f64::from(last as u32 - 1) * LEGEND_ROOM;
        let area = SVGBackend::with_string(text, (WIDTH, LINES_HEIGHT)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", FONT + 2))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(44)
            .build_cartesian_2d(1.0..last as f64 + room, 0.0..most)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.across).y_desc(self.unit).x_labels(last as usize).max_light_lines(0);
        let whole = |x: &f64| if *x > last as f64 { String::new() } else { format!("{x:.0}") };
        mesh.x_label_formatter(&whole).label_style(("sans-serif", FONT)).draw()?;
        for (index, (name, points)) in self.series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let points = || points.iter().map(|(x, y)| (*x as f64, *y));
            let line = LineSeries::new(points(), colour.stroke_width(2));
            chart.draw_series(line)?.label(name).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
            });
            chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
        }
        draw_legend(&mut chart)?;
        area.present()?;
        Ok(())
    }
}

/// The text that something is drawn into.
fn drawn(title: &str, draw: impl Fn(&mut String) -> Drawn<'_>) -> anyhow::Result<String> {
    let mut text = String::new();
    draw(&mut text).map_err(|error| anyhow!("drawing {title:?}: {error}"))?;
    Ok(text)
}

fn style(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK)
}

fn draw_legend<'a, 't: 'a>(chart: &mut Chart<'a, SVGBackend<'t>>) -> Drawn<'t> {
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::LowerRight).background_style(WHITE.mix(0.8));
    labels.border_style(BLACK.mix(0.3)).label_font(("sans-serif", FONT)).draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of an attribute of all elements of a colour, in order.
    fn attributes(svg: &str, element: &str, colour: &str, name: &str) -> Vec<f64> {
        let elements = svg.split('<').filter(|text| text.starts_with(element));
        let coloured = elements.filter(|text| text.contains(colour));
        let value = |text: &str| {
            let after = text.split_once(&format!(" {name}=\"")).expect(name).1;
            after.split('"').next().expect(name).parse().expect(name)
        };
        coloured.map(value).collect()
    }

    #[test]
    fn bars_are_as_long_as_their_values_and_bear_names_and_numbers() {
        let groups = vec![
            ("first".to_owned(), vec![Some(1.0), Some(2.0)]),
            ("second".to_owned(), vec![Some(4.0), None]),
        ];
        let bars = Bars { title: "Title", unit: "unit", legend: &["a", "b"], groups };
        let svg = bars.svg().unwrap();
        for text in ["Title", "unit", "first", "second", "1.00", "2.00", "4.00"] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text} is not in {svg}");
        }
        // The last is the legend's.
        let widths = attributes(&svg, "rect", "#1F60A3", "width");
        assert_eq!(widths.len(), 3);
        assert!((widths[1] / widths[0] - 4.0).abs() < 0.1, "{widths:?}");
        let other = attributes(&svg, "rect", "#E68C28", "width");
        assert_eq!(other.len(), 2);
        assert!((other[0] / widths[0] - 2.0).abs() < 0.1, "{widths:?} {other:?}");
        let tops = attributes(&svg, "rect", "#1F60A3", "y");
        assert!(tops[0] < tops[1], "the first group is above: {tops:?}");
    }

    #[test]
    fn lines_have_a_point_for_each_value() {
        let series = vec![
            ("flat".to_owned(), vec![(1, 1.0), (2, 1.0), (4, 1.0)]),
            ("steep".to_owned(), vec![(1, 1.0), (4, 3.0)]),
        ];
        let lines = Lines { title: "Title", across: "threads", unit: "scaling", series };
        let svg = lines.svg().unwrap();
        for text in ["Title", "threads", "scaling", "flat", "steep"] {
            assert!(svg.contains(&format!("\n{text}\n")), "{text} is not in {svg}");
        }
        let flat = attributes(&svg, "circle", "#1F60A3", "cy");
        assert!(flat.len() == 3 && flat.iter().all(|y| *y == flat[0]), "{flat:?}");
        let steep = attributes(&svg, "circle", "#E68C28", "cy");
        assert!(steep.len() == 2 && steep[0] == flat[0] && steep[1] < steep[0], "{steep:?}");
        let across = attributes(&svg, "circle", "#1F60A3", "cx");
        // Pixels are whole numbers.
        let (one, three) = (across[1] - across[0], across[2] - across[0]);
        assert!((three - 3.0 * one).abs() <= 3.0, "{across:?}");
    }
}

//! What could be had at which price: thresholds enter, detection-error and precision-recall curves
//! leave.

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{COLOURS, FAINT, INK, SMALL, TEXT, TITLE, failed, style, svg, write_text};
use crate::{Collar, Counts, Detection, Evaluation, Result, event_based, false_alarms, found, micro, per_hour};

/// Curves of single classes, beside that of all together.
const N_CLASSES: usize = 6;

const WIDTH: u32 = 960;
const HEIGHT: u32 = 560;
const CHART_WIDTH: i32 = 700;

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is of.
    pub name: String,
    /// Its points, in the order in which they are joined.
    pub points: Vec<Place>,
    /// The point at which the model's own thresholds are, if any.
    pub mark: Option<Place>,
}

/// Where a point is: to the right, and upwards.
pub type Place = (f64, f64);

/// The curves of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// False alarms per hour, and the share of sounds that were not found at all, in [0, 1].
    pub detection_error: Vec<Series>,
    /// Recall and precision of the event-based measures, in [0, 1], where there are hits.
    pub precision_recall: Vec<Series>,
    /// Hours of recordings.
    pub hours: f64,
}

/// One threshold: by class.
struct Point {
    event: Vec<Counts>,
    n_found: Vec<usize>,
    n_false: Vec<usize>,
}

impl Curves {
    /// The curves over the thresholds of `evaluation`: of all classes together, and of the classes
    /// with the most sounds.
    pub fn of(evaluation: &Evaluation) -> Self {
        let n = evaluation.labels.len();
        let point = |detections: &[Vec<Detection>]| Point {
            event: event_based(evaluation.truth, detections, &Collar::default(), n),
            n_found: found(evaluation.truth, detections, n),
            n_false: false_alarms(evaluation.truth, detections, n),
        };
        let points: Vec<Point> = evaluation.points.iter().map(|detections| point(detections)).collect();
        let own = point(evaluation.detections);
        let mut classes: Vec<usize> = (0..n).filter(|&class_id| own.event[class_id].n_truth() > 0).collect();
        classes.sort_by_key(|&class_id| std::cmp::Reverse(own.event[class_id].n_truth()));
        classes.truncate(N_CLASSES);
        let everything: Vec<usize> = (0..n).collect();
        let named = classes.iter().map(|&class_id| (evaluation.labels[class_id].as_str(), vec![class_id]));
        let (mut detection_error, mut precision_recall) = (Vec::new(), Vec::new());
        for (name, classes) in [("all classes", everything)].into_iter().chain(named) {
            let error = |point: &Point| {
                let sum = |counts: &[usize]| classes.iter().map(|&class_id| counts[class_id]).sum();
                let n_truth: usize = classes.iter().map(|&class_id| point.event[class_id].n_truth()).sum();
                let n_found: usize = sum(&point.n_found);
                let missed = (n_truth > 0).then(|| 1.0 - n_found as f64 / n_truth as f64)?;
                Some((per_hour(sum(&point.n_false), evaluation.duration_s), missed))
            };
            let precision = |point: &Point| {
                let counts = micro(&classes.iter().map(|&class_id| point.event[class_id]).collect::<Vec<_>>());
                (counts.tp > 0).then_some((counts.recall()?, counts.precision()?))
            };
            let series = |of: &dyn Fn(&Point) -> Option<Place>| Series {
                name: name.to_string(),
                points: points.iter().filter_map(of).collect(),
                mark: of(&own),
            };
            detection_error.push(series(&error));
            precision_recall.push(series(&precision));
        }
        Curves { detection_error, precision_recall, hours: evaluation.duration_s.iter().sum::<f64>() / 3600.0 }
    }
}

/// Missed sounds by false alarms per hour, which are drawn on a logarithmic scale. No false alarm
/// at all is drawn as half of one in the `hours` of the recordings.
///
/// # Errors
///
/// When nothing can be drawn.
pub fn detection_error(series: &[Series], hours: f64) -> Result<String> {
    let half = 0.5 / hours;
    let least = 0.8 * half;
    let most =
        series.iter().flat_map(|series| series.points.iter().chain(&series.mark)).map(|p| p.0).fold(0.0, f64::max);
    let most = 10f64.powf(most.log10().ceil().max(least.log10() + 2.0));
    let place = |(alarms, missed): &Place| (alarms.max(half), 100.0 * missed);
    let axes = Axes {
        title: "Detection error: what is missed at which rate of false alarms",
        x: "false alarms per hour: events that overlap no sound of their class",
        y: "sounds not found, %",
        x_format: &|value| if *value >= 1.0 { format!("{value:.0}") } else { value.to_string() },
        note: &["no false alarm is drawn as", "half of one in all recordings"],
    };
    chart(&axes, (least..most).log_scale(), series, &place)
}

/// Precision by recall.
///
/// # Errors
///
/// When nothing can be drawn.
pub fn precision_recall(series: &[Series]) -> Result<String> {
    let place = |(recall, precision): &Place| (100.0 * recall, 100.0 * precision);
    let axes = Axes {
        title: "Precision and recall of events",
        x: "recall: sounds that were reported once, at the right time, %",
        y: "precision: events that are right, %",
        x_format: &|value| format!("{value:.0}"),
        note: &["onset within 200 ms, offset", "within 200 ms or 50 %"],
    };
    chart(&axes, 0.0..100.0, series, &place)
}

struct Axes<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    x_format: &'a dyn Fn(&f64) -> String,
    /// Below the names of the curves.
    note: &'a [&'a str],
}

fn chart<X>(axes: &Axes, x: X, series: &[Series], place: &dyn Fn(&Place) -> Place) -> Result<String>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    svg(WIDTH, HEIGHT, |canvas| {
        canvas.fill(&WHITE).map_err(failed)?;
        let (area, side) = canvas.split_horizontally(CHART_WIDTH);
        let text = |size| style(size, &INK, (HPos::Left, VPos::Top));
        let mut chart = ChartBuilder::on(&area)
            .margin(16)
            .caption(axes.title, text(TITLE))
            .x_label_area_size(56)
            .y_label_area_size(64)
            .build_cartesian_2d(x, 0.0..100.0)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc(axes.x)
            .y_desc(axes.y)
            .x_labels(8)
            .y_labels(11)
            .x_label_formatter(axes.x_format)
            .y_label_formatter(&|value| format!("{value:.0}"))
            .label_style(text(SMALL))
            .axis_desc_style(text(TEXT))
            .axis_style(INK)
            .bold_line_style(FAINT)
            .light_line_style(WHITE.mix(0.0))
            .draw()
            .map_err(failed)?;
        // All classes together come last, on top.
        for (at, series) in series.iter().enumerate().rev() {
            let colour = COLOURS[at % COLOURS.len()];
            let (width, opacity) = if at == 0 { (3, 1.0) } else { (2, 0.6) };
            let points: Vec<Place> = series.points.iter().map(place).collect();
            if !points.is_empty() {
                chart
                    .draw_series([PathElement::new(points, colour.mix(opacity).stroke_width(width))])
                    .map_err(failed)?;
            }
            if let Some(mark) = &series.mark {
                chart.draw_series([Circle::new(place(mark), 5, colour.filled())]).map_err(failed)?;
            }
        }
        let mut y = 70;
        for (at, series) in series.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            super::line(&side, (8, y), (32, y), colour.stroke_width(if at == 0 { 3 } else { 2 }))?;
            write_text(&side, &series.name, (42, y), &style(TEXT, &INK, (HPos::Left, VPos::Center)))?;
            y += 24;
        }
        side.draw(&Circle::new((20, y + 8), 5, INK.filled())).map_err(failed)?;
        write_text(&side, "the model's own thresholds", (42, y + 8), &style(SMALL, &INK, (HPos::Left, VPos::Center)))?;
        for (row, note) in (0..).zip(axes.note) {
            write_text(&side, note, (8, y + 34 + 18 * row), &text(SMALL))?;
        }
        Ok(())
    })
}

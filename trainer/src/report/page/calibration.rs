//! Section: whether posteriors are to be believed.

use super::Section;
use super::numbers::{in_unit, number, percent};
use crate::report::HeldOut;
use crate::report::chart::scale::Axis;
use crate::report::chart::{Plot, px};
use crate::report::figures::Estimate;
use crate::report::figures::calibration::{Bin, N_BINS, bins};
use crate::report::figures::overall::Unit;
use maud::{Markup, html};

/// Height of the histogram below the diagram.
const HISTOGRAM: f64 = 54.0;

pub fn section(held_out: &HeldOut) -> Section {
    let figures = &held_out.figures;
    let calibration = &figures.calibration;
    let sides = [("Before scaling", &calibration.before, 0), ("After scaling", &calibration.after, 1)];
    let temperatures: Vec<String> = calibration.temperatures.iter().map(|t| number(*t, 0, 2)).collect();
    let body = html! {
        div.plots {
            @for (title, answers, side) in sides {
                @let bins = bins(answers, |_| 1.0);
                figure {
                    figcaption { (title) }
                    p.dim {
                        "ECE " (with_interval(&figures.calibration_errors[side], Unit::Percent)) " %, negative log posterior "
                        (with_interval(&figures.losses[side], Unit::Number))
                    }
                    (diagram(title, &bins))
                }
            }
        }
        p.dim {
            "Labelled clips by the posterior of the most likely of all classes, in " (N_BINS) " bins: share that is right (points) and number of clips (bars). "
            "Before scaling, posteriors are those of the network's own logits, whatever temperature a manifest has. On the diagonal, posteriors are what they say; below it they promise too much. "
            "Scaling divides the logits by a temperature with the least negative log posterior on "
            @if calibration.by_fold { "the other folds" } @else { "the clips of other sources" }
            ", never on the clip's own: " (temperatures.join(", ")) "."
        }
    };
    Section { id: "calibration", title: "Calibration", body }
}

fn with_interval(estimate: &Estimate, unit: Unit) -> Markup {
    let text = |value: f64| in_unit(value, unit).trim_start_matches('\u{2007}').to_owned();
    html! { b { (text(estimate.value)) } " (" (text(estimate.low)) " to " (text(estimate.high)) ")" }
}

fn diagram(title: &str, bins: &[Bin; N_BINS]) -> Markup {
    let plot = Plot::new(
        Axis::percent(0.0, 1.0, 5, "posterior of the most likely class, %"),
        Axis::percent(0.0, 1.0, 5, "share that is right, %"),
    );
    let [left, right, _, bottom] = plot.area();
    let most = bins.iter().map(|bin| bin.n).fold(1.0, f64::max);
    let width = (right - left) / N_BINS as f64;
    let filled = || bins.iter().filter(|bin| bin.n > 0.0);
    let content = html! {
        @for (at, bin) in bins.iter().enumerate() {
            @let height = bin.n / most * HISTOGRAM;
            rect.bar x=(px(left + at as f64 * width + 1.0)) y=(px(bottom - height)) width=(px(width - 2.0)) height=(px(height)) {
                title { (bin.n) " clips" }
            }
        }
        (plot.line([(0.0, 0.0), (1.0, 1.0)], "line diagonal"))
        (plot.line(filled().map(|bin| (bin.confidence, bin.accuracy)), "line s0"))
        @for bin in filled() {
            @let (x, y) = plot.at((bin.confidence, bin.accuracy));
            circle.dot.s0 cx=(px(x)) cy=(px(y)) r="3.5" {
                title { (percent(bin.accuracy).trim_start()) " % right at " (percent(bin.confidence).trim_start()) " %, " (bin.n) " clips" }
            }
        }
    };
    plot.draw(&format!("Reliability diagram, {title}"), &content)
}

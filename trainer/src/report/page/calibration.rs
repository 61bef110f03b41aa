//! Sections: whether posteriors can be trusted, and misses against false alarms.

use super::Section;
use super::numbers::{bare_percent, number};
use crate::report::HeldOut;
use crate::report::chart::{Axis, HEIGHT, Plot, colour, legend};
use crate::report::figures::calibration::{Answer, N_BINS, bins};
use crate::report::figures::{Det, Estimate};
use edge_frontend::Activation;
use maud::{Markup, html};

/// Height of the histogram in the diagram.
const HISTOGRAM: f64 = 54.0;
/// Classes shown of the best and of the worst.
const N_SHOWN: usize = 3;
/// Ends of the axes of misses and false alarms.
const FALSE_ALARMS: [f64; 2] = [0.0001, 0.5];
const MISSES: [f64; 2] = [0.005, 0.8];

pub fn calibration(held_out: &HeldOut) -> Section {
    let calibration = &held_out.figures.calibration;
    let sides = [("Before scaling", &calibration.before), ("After scaling", &calibration.after)];
    let temperatures: Vec<String> = calibration.temperatures.iter().map(|t| number(*t, 0, 2)).collect();
    let loss = |value: f64| number(value, 0, 3);
    let body = html! {
        div.plots {
            @for ((title, answers), [error, nll]) in sides.into_iter().zip(&held_out.figures.calibrated) {
                figure {
                    figcaption { (title) }
                    p.dim {
                        "ECE " (with_interval(error, bare_percent)) " %, negative log posterior " (with_interval(nll, loss))
                    }
                    (diagram(title, answers))
                }
            }
        }
        p.dim {
            "Labelled clips by the posterior of the most likely of all classes, in " (N_BINS) " bins: share that is right (points) and number of clips (bars). "
            "Before scaling, posteriors are those of the network's own logits, whatever temperature a manifest has. On the diagonal, a posterior is the share that is right; below it, it is too high. "
            "Scaling divides the logits by the temperature with the least negative log "
            @if held_out.pool.activation == Activation::Sigmoid {
                "likelihood of what is there and what is not, all classes together, on "
            } @else { "posterior on " }
            @if calibration.by_fold { "the other folds" } @else { "the clips of other sources" }
            ", never on the clip's own: " (temperatures.join(", ")) "."
        }
    };
    Section { id: "calibration", title: "Calibration", body }
}

fn with_interval(Estimate { value, low, high }: &Estimate, text: impl Fn(f64) -> String) -> Markup {
    html! { b { (text(*value)) } " (" (text(*low)) " to " (text(*high)) ")" }
}

fn diagram(title: &str, answers: &[Answer]) -> Markup {
    let axis = |title| Axis::percent(0.0, 1.0, 5, title);
    let plot = Plot::new(axis("posterior of the most likely class, %"), axis("share that is right, %"), HEIGHT);
    let bins = bins(answers, |_| 1.0);
    let most = bins.iter().map(|bin| bin.n).fold(1.0, f64::max);
    let bars = bins.map(|bin| (bin.n / most * HISTOGRAM, format!("{} clips", bin.n)));
    let filled = || bins.iter().filter(|bin| bin.n > 0.0);
    let content = html! {
        (plot.bars(&bars))
        (plot.line([(0.0, 0.0), (1.0, 1.0)], "line diagonal"))
        (plot.line(filled().map(|bin| (bin.confidence, bin.accuracy)), "line s0"))
        @for bin in filled() {
            @let (right, said) = (bare_percent(bin.accuracy), bare_percent(bin.confidence));
            (plot.dot((bin.confidence, bin.accuracy), 3.5, "s0", &format!("{right} % right at {said} %, {} clips", bin.n)))
        }
    };
    plot.draw(&format!("Reliability diagram, {title}"), &content)
}

pub fn det(held_out: &HeldOut) -> Option<Section> {
    let (pool, figures) = (&held_out.pool, &held_out.figures);
    let all = figures.det.as_ref()?;
    let of_class = |at: usize| Some((pool.labels[at].as_str(), figures.classes[at].det.as_ref()?));
    let classes = (0..pool.labels.len()).filter(|&at| Some(at) != pool.background);
    let mut classes: Vec<(&str, &Det)> = classes.filter_map(of_class).collect();
    classes.sort_by(|a, b| a.1.equal_error.total_cmp(&b.1.equal_error));
    let n = N_SHOWN.min(classes.len() / 2);
    let (best, worst) = (&classes[..n], &classes[classes.len() - n..]);
    let shown = [(&[("all classes", all)][..], ""), (best, " dashed"), (worst, " thin")];
    let shown = shown.into_iter().flat_map(|(curves, style)| curves.iter().map(move |curve| (curve, style)));
    let curves: Vec<(String, String, &Det)> = shown
        .enumerate()
        .map(|(at, (&(name, det), style))| {
            (format!("{name}, {} %", bare_percent(det.equal_error)), format!("line{style} {}", colour(at)), det)
        })
        .collect();
    let body = html! {
        div.plots {
            figure {
                figcaption { "Detection error trade-off, posterior of a clip" }
                (trade_off(&curves))
            }
            div {
                (legend(curves.iter().map(|(name, class, _)| (name.as_str(), class.as_str()))))
                p.dim {
                    "Equal error rates after the names. All classes together: every recording is a trial of every class but the background, "
                    (all.n_own) " of their own and " (all.n_others) " of others. Single classes: the " (n) " best (dashed) and the " (n)
                    " worst by equal error rate. Both axes are spread as the quantiles of a normal distribution. "
                    "This is of whole clips; the daemon decides by windows of a stream."
                }
            }
        }
    };
    Some(Section { id: "det", title: "Misses and false alarms", body })
}

fn trade_off(curves: &[(String, String, &Det)]) -> Markup {
    let plot = Plot::new(
        Axis::normal(FALSE_ALARMS[0], FALSE_ALARMS[1], "false alarms, % of other recordings"),
        Axis::normal(MISSES[0], MISSES[1], "misses, % of own recordings"),
        380.0,
    );
    let content = html! {
        (plot.line([(MISSES[0], MISSES[0]), (FALSE_ALARMS[1], FALSE_ALARMS[1])], "line diagonal"))
        @for (_, class, det) in curves.iter().rev() { (plot.line(steps(det), class)) }
    };
    plot.draw("Detection error trade-off", &content)
}

/// Between two thresholds nothing is known: the curve of few recordings is a staircase. What is
/// beyond the axes is not drawn.
fn steps(det: &Det) -> impl Iterator<Item = (f64, f64)> {
    let corners = det.points.windows(2).flat_map(|pair| [pair[0], (pair[0].0, pair[1].1)]);
    let corners: Vec<(f64, f64)> = corners.chain(det.points.last().copied()).collect();
    let beyond = |a: f64, b: f64, [low, high]: [f64; 2]| (a < low && b < low) || (a > high && b > high);
    let pairs: Vec<[(f64, f64); 2]> = corners.windows(2).map(|pair| [pair[0], pair[1]]).collect();
    pairs.into_iter().flat_map(move |[a, b]| {
        if beyond(a.0, b.0, FALSE_ALARMS) || beyond(a.1, b.1, MISSES) { [(f64::NAN, f64::NAN); 2] } else { [a, b] }
    })
}

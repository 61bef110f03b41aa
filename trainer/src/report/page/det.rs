//! Section: misses against false alarms.

use super::Section;
use super::numbers::percent;
use crate::report::HeldOut;
use crate::report::chart::scale::Axis;
use crate::report::chart::{Plot, colour, legend};
use crate::report::figures::det::Det;
use maud::{Markup, html};

/// Classes shown of the best and of the worst.
const N_SHOWN: usize = 3;
/// Ends of the axes.
const FALSE_ALARMS: [f64; 2] = [0.0001, 0.5];
const MISSES: [f64; 2] = [0.005, 0.8];

pub fn section(held_out: &HeldOut) -> Option<Section> {
    let (pool, figures) = (&held_out.pool, &held_out.figures);
    let all = figures.det.as_ref()?;
    let mut classes: Vec<(usize, &Det)> =
        figures.classes.iter().enumerate().filter_map(|(at, class)| Some((at, class.det.as_ref()?))).collect();
    classes.retain(|(at, _)| Some(*at) != pool.background);
    classes.sort_by(|a, b| a.1.equal_error.total_cmp(&b.1.equal_error));
    let n = N_SHOWN.min(classes.len() / 2);
    let (best, worst) = (&classes[..n], &classes[classes.len() - n..]);
    let text = |det: &Det| percent(det.equal_error).trim_start_matches('\u{2007}').to_owned();
    let names: Vec<(String, String, &Det)> = [(String::from("all classes"), "line".to_owned(), all)]
        .into_iter()
        .chain(best.iter().map(|(at, det)| (pool.labels[*at].clone(), "line dashed".to_owned(), *det)))
        .chain(worst.iter().map(|(at, det)| (pool.labels[*at].clone(), "line thin".to_owned(), *det)))
        .enumerate()
        .map(|(i, (name, class, det))| (format!("{name}, {} %", text(det)), format!("{class} {}", colour(i)), det))
        .collect();
    let body = html! {
        div.plots {
            figure {
                figcaption { "Detection error trade-off, posterior of a clip" }
                (plot(&names))
            }
            div {
                (legend(names.iter().map(|(name, class, _)| (name.as_str(), class.replace("line ", "")))))
                p.dim {
                    "Equal error rates behind the names. All classes together: every recording is a trial of every class but the background, "
                    (all.n_own) " of their own and " (all.n_others) " of others. Single classes: the " (n) " best (dashed) and the " (n)
                    " worst by equal error rate. Both axes are spread as the quantiles of a normal distribution. "
                    "This is of whole clips; the daemon decides by windows of a stream."
                }
            }
        }
    };
    Some(Section { id: "det", title: "Misses and false alarms", body })
}

fn plot(curves: &[(String, String, &Det)]) -> Markup {
    let mut plot = Plot::new(
        Axis::normal(FALSE_ALARMS[0], FALSE_ALARMS[1], "false alarms, % of other recordings"),
        Axis::normal(MISSES[0], MISSES[1], "misses, % of own recordings"),
    );
    plot.height = 380.0;
    let lines = html! {
        (plot.line([(MISSES[0], MISSES[0]), (FALSE_ALARMS[1], FALSE_ALARMS[1])], "line diagonal"))
        @for (_, class, det) in curves.iter().rev() { (plot.line(steps(det), class)) }
    };
    plot.draw("Detection error trade-off", &lines)
}

/// Between two thresholds nothing is known: the curve of few recordings is a staircase. It begins and ends at the edges of the plot;
/// what is beyond them is not drawn.
fn steps(det: &Det) -> impl Iterator<Item = (f64, f64)> {
    let corners = det.points.windows(2).flat_map(|pair| [pair[0], (pair[0].0, pair[1].1)]);
    let corners: Vec<(f64, f64)> = corners.chain(det.points.last().copied()).collect();
    let beyond = |a: (f64, f64), b: (f64, f64)| {
        let both = |is: fn((f64, f64)) -> bool| is(a) && is(b);
        both(|p| p.0 < FALSE_ALARMS[0])
            || both(|p| p.1 < MISSES[0])
            || both(|p| p.0 > FALSE_ALARMS[1])
            || both(|p| p.1 > MISSES[1])
    };
    let pairs: Vec<[(f64, f64); 2]> = corners.windows(2).map(|pair| [pair[0], pair[1]]).collect();
    pairs.into_iter().flat_map(move |[a, b]| if beyond(a, b) { [(f64::NAN, f64::NAN); 2] } else { [a, b] })
}

//! Section: the clips that the network fails worst at.

use super::Section;
use super::numbers::percent;
use crate::report::HeldOut;
use crate::report::chart::{px, scale::Axis};
use crate::report::hardest::{HardClip, Moment};
use crate::report::pool::Row;
use crate::report::spectrogram::Spectrogram;
use crate::report::subject::Subject;
use edge::evaluate::plot::picture::{RANGE_DB, colour};
use maud::{Markup, html};

/// Size of a spectrogram, of the course below it, and the room for axes.
const WIDTH: f64 = 420.0;
const PICTURE: f64 = 128.0;
const COURSE: f64 = 56.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 8.0;
/// Height of a line of small text.
const LINE: f64 = 12.0;
/// Posteriors listed.
const N_POSTERIORS: usize = 4;

pub fn section(held_out: &HeldOut, subject: &Subject) -> Section {
    let pictures = held_out.hardest.iter().any(|clip| clip.spectrogram.is_some());
    let body = html! {
        p.dim {
            "The clips whose own class has the lowest posterior, hardest first; most of them are mistakes, and some may be mislabelled. "
            @if pictures {
                "Log-mel spectrograms, " (RANGE_DB) " dB below each clip's loudest: " (scale())
                " Below them the posterior of each output, every 80 ms or so: of the "
                span.right { "clip's class" } ", and of " span.said { "what it was taken for" } "."
            }
        }
        div.cards { @for clip in &held_out.hardest { (card(clip, held_out, subject)) } }
    };
    Section { id: "clips", title: "Hardest clips", body }
}

fn card(clip: &HardClip, held_out: &HeldOut, subject: &Subject) -> Markup {
    let (pool, row) = (&held_out.pool, &held_out.pool.rows[clip.row]);
    let said = row.said();
    let set = row.set.map(|set| pool.sets[set].name.as_str()).unwrap_or_default();
    let name = row.id.strip_prefix(&format!("{set}/")).unwrap_or(&row.id);
    html! {
        article.card {
            h3 {
                span.right { (pool.labels[row.label]) }
                @if said != row.label { " taken for " span.said { (pool.labels[said]) } }
            }
            p.dim { code { (name) } " " span.whole { (set) ", " (subject.runs[row.run].name) } }
            (posteriors(row, &pool.labels))
            @if let Some(spectrogram) = &clip.spectrogram { (picture(spectrogram, &clip.course, said != row.label)) }
        }
    }
}

/// The most likely classes, and the clip's own if it is not among them.
fn posteriors(row: &Row, labels: &[String]) -> Markup {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&a, &b| row.posteriors[b].total_cmp(&row.posteriors[a]));
    let place = order.iter().position(|&class| class == row.label).unwrap_or(0);
    order.truncate(N_POSTERIORS.min(labels.len()));
    if !order.contains(&row.label) {
        order.pop();
        order.push(row.label);
    }
    html! {
        table.posteriors { tbody { @for class in order {
            @let p = row.posteriors[class];
            tr.own[class == row.label] {
                th scope="row" { (labels[class]) @if class == row.label && place > 0 { span.unit { " no. " (place + 1) } } }
                td.bar { span style=(format!("width:{:.1}%", p * 100.0)) {} }
                td.num { (percent(p)) " %" }
            }
        } } }
    }
}

fn picture(spectrogram: &Spectrogram, course: &[Moment], is_wrong: bool) -> Markup {
    let (right, bottom) = (WIDTH - RIGHT, 6.0 + PICTURE);
    let course_top = bottom + 11.0;
    let end = if course.is_empty() { bottom } else { course_top + COURSE };
    let x = |seconds: f64| LEFT + (seconds / spectrogram.seconds).clamp(0.0, 1.0) * (right - LEFT);
    let y = |posterior: f64| end - posterior * COURSE;
    let line = |of: fn(&Moment) -> f64| {
        let points = course.iter().map(|m| format!("{} {}", px(x(m.seconds)), px(y(of(m)))));
        format!("M{}", points.collect::<Vec<_>>().join("L"))
    };
    html! {
        svg.plot viewBox=(format!("0 0 {WIDTH} {}", px(end + 32.0))) role="img" aria-label="Spectrogram" {
            image x=(LEFT) y="6" width=(px(right - LEFT)) height=(PICTURE) preserveAspectRatio="none" href=(spectrogram.data_uri) {}
            rect.frame x=(LEFT) y="6" width=(px(right - LEFT)) height=(PICTURE) {}
            @for (y, hz) in frequencies(spectrogram, bottom) {
                line.tickmark x1=(px(LEFT - 3.0)) x2=(LEFT) y1=(px(y)) y2=(px(y)) {}
                text.tick x=(px(LEFT - 5.0)) y=(px(y + 3.4)) text-anchor="end" { (kilohertz(hz)) }
            }
            text.axis transform=(format!("translate(9 {}) rotate(-90)", px(6.0 + PICTURE / 2.0))) text-anchor="middle" { "kHz" }
            @for (seconds, text) in Axis::linear(0.0, spectrogram.seconds, 6, "").ticks {
                line.tickmark x1=(px(x(seconds))) x2=(px(x(seconds))) y1=(px(end)) y2=(px(end + 4.0)) {}
                text.tick x=(px(x(seconds))) y=(px(end + 15.0)) text-anchor="middle" { (text) }
            }
            text.axis x=(px((LEFT + right) / 2.0)) y=(px(end + 28.0)) text-anchor="middle" { "time, s" }
            @if !course.is_empty() {
                @for (share, text) in [(0.0, "0"), (0.5, "50"), (1.0, "100")] {
                    line.grid x1=(LEFT) x2=(px(right)) y1=(px(y(share))) y2=(px(y(share))) {}
                    text.tick x=(px(LEFT - 5.0)) y=(px(y(share) + 3.4)) text-anchor="end" { (text) }
                }
                text.axis transform=(format!("translate(9 {}) rotate(-90)", px(end - COURSE / 2.0))) text-anchor="middle" { "%" }
                rect.frame x=(LEFT) y=(px(course_top)) width=(px(right - LEFT)) height=(COURSE) {}
                @if is_wrong { path.line.taken d=(line(|m| m.said)) {} }
                path.line.truth d=(line(|m| m.right)) {}
            }
        }
    }
}

/// Marks of the frequency axis that have room, and where they are drawn.
fn frequencies(spectrogram: &Spectrogram, bottom: f64) -> Vec<(f64, f64)> {
    let mut marks: Vec<(f64, f64)> = Vec::new();
    for (y, hz) in spectrogram.ticks.iter().rev().map(|(height, hz)| (bottom - height * PICTURE, *hz)) {
        if marks.last().is_none_or(|(above, _)| y - above >= LINE) && bottom - y > LINE / 2.0 {
            marks.push((y, hz));
        }
    }
    marks
}

fn kilohertz(hz: f64) -> String {
    format!("{}", hz / 1000.0)
}

/// The colours of the levels.
fn scale() -> Markup {
    const STEPS: usize = 24;
    html! {
        span.colours {
            (format!("−{RANGE_DB} dB "))
            svg width="96" height="10" viewBox=(format!("0 0 {STEPS} 1")) preserveAspectRatio="none" aria-hidden="true" {
                @for step in 0..STEPS {
                    @let [r, g, b] = colour(step as f64 / (STEPS - 1) as f64);
                    rect x=(step) y="0" width="1.05" height="1" fill=(format!("#{r:02x}{g:02x}{b:02x}")) {}
                }
            }
            " 0 dB."
        }
    }
}

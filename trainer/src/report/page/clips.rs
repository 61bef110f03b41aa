//! Section: the clips on which the network fails worst.
//!
//! Enters: the pool, and the recordings. Leaves: the clips whose right class has the lowest
//! posterior, with a spectrogram and the posteriors along the clip. A clip that is mislabelled,
//! silent or ambiguous is found here first.

use super::Section;
use super::numbers::percent;
use crate::chain::student::MODEL;
use crate::data::features::features;
use crate::error::{Error, Result};
use crate::report::HeldOut;
use crate::report::chart::{Axis, Plot, px, rect};
use crate::report::heard::DataSets;
use crate::report::pool::{Pool, Row, log_posteriors, posteriors};
use crate::report::run::{Notes, Run};
use crate::report::spectrogram::Spectrogram;
use edge::engine::BatchEngine;
use edge::model::Model;
use edge_evaluate::plot::picture::{RANGE_DB, colour};
use maud::{Markup, html};
use std::collections::HashMap;

/// Size of a spectrogram, and height of the course below it.
const WIDTH: f64 = 420.0;
const PICTURE: f64 = 128.0;
const COURSE: f64 = 56.0;
/// Distance between two marks of the frequency axis that have room, as a share of the height.
const APART: f64 = 0.094;
/// Posteriors listed.
const N_POSTERIORS: usize = 4;
/// Steps of the scale of colours.
const N_STEPS: usize = 24;

/// A clip with what can be shown of it.
pub struct HardClip {
    /// Its row in the pool.
    row: usize,
    /// None without the recording.
    spectrogram: Option<Spectrogram>,
    /// Empty without the recording or the model.
    course: Vec<Moment>,
}

/// One output of a streaming network.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    /// Middle of its receptive field.
    seconds: f64,
    /// Posterior of the clip's class.
    right: f64,
    /// Posterior of the class that the clip was taken for.
    said: f64,
}

type Network = Option<(Model, BatchEngine)>;

/// The `n` labelled clips whose right class has the lowest posterior, hardest first.
pub fn choose(pool: &Pool, n: usize) -> Vec<HardClip> {
    let surety = |row: &Row| log_posteriors(pool.activation, &row.logits, 1.0)[row.label];
    let clips = pool.rows.iter().enumerate().filter(|(_, row)| row.set.is_some());
    let mut clips: Vec<(usize, f64)> = clips.map(|(at, row)| (at, surety(row))).collect();
    clips.sort_by(|a, b| a.1.total_cmp(&b.1));
    clips.into_iter().take(n).map(|(row, _)| HardClip { row, spectrogram: None, course: Vec::new() }).collect()
}

/// Adds spectrograms and courses as far as recordings and models are there.
pub fn look_at(clips: &mut [HardClip], pool: &Pool, runs: &[Run], data: &DataSets, notes: &mut Notes) {
    if let Err(e) = data.root() {
        notes.push(format!("No spectrograms: {e}."));
        return;
    }
    let mut networks: HashMap<usize, Network> = HashMap::new();
    for clip in clips {
        let row = &pool.rows[clip.row];
        let run = &runs[row.run];
        let network = networks.entry(row.run).or_insert_with(|| {
            let model = Model::load(&run.folder.join(MODEL)).ok()?;
            let engine = BatchEngine::load(&model, pool.precision).ok()?;
            Some((model, engine))
        });
        if let Err(e) = picture(clip, pool, run, data, network) {
            notes.push(format!("{}: no spectrogram: {e}.", row.id));
        }
    }
}

fn picture(clip: &mut HardClip, pool: &Pool, run: &Run, data: &DataSets, network: &Network) -> Result<()> {
    let row = &pool.rows[clip.row];
    let path = data.recording(run, &row.id)?;
    let recipe = run.recipe.as_ref().ok_or_else(|| Error::content(&run.folder, "the recipe is not known"))?;
    let frontend = &recipe.frontend;
    let audio = edge::audio::decode_file(&path)?;
    let frames = features(frontend, audio.sample_rate, &audio.samples)?;
    clip.spectrogram = Some(Spectrogram::of(frontend, &frames, &path)?);
    let Some((model, engine)) = network else { return Ok(()) };
    let (network, said) = (&model.manifest.network, row.said());
    let moment = |(at, logits): (usize, &[f32])| {
        let logits: Vec<f64> = logits.iter().map(|&l| f64::from(l)).collect();
        let posteriors = posteriors(pool.activation, &logits, 1.0);
        let middle = (at * network.pulse_frames) as f64 + network.receptive_field_frames as f64 / 2.0;
        Moment { seconds: middle * frontend.hop_seconds(), right: posteriors[row.label], said: posteriors[said] }
    };
    clip.course = engine.run(&frames)?.chunks_exact(pool.labels.len()).enumerate().map(moment).collect();
    Ok(())
}

pub fn section(held_out: &HeldOut, runs: &[Run]) -> Section {
    let pictures = held_out.hardest.iter().any(|clip| clip.spectrogram.is_some());
    let body = html! {
        p.dim {
            "The clips whose own class has the lowest posterior, hardest first; most of them are mistakes, and some may be mislabelled. "
            @if pictures {
                "Log-mel spectrograms, " (RANGE_DB) " dB below each clip's loudest: " (scale())
                " Below them the posterior of each output, about every 80 ms: of the "
                span.right { "clip's class" } ", and of " span.said { "the class that it was taken for" } "."
            }
        }
        div.cards { @for clip in &held_out.hardest { (card(clip, held_out, runs)) } }
    };
    Section { id: "clips", title: "Hardest clips", body }
}

fn card(clip: &HardClip, held_out: &HeldOut, runs: &[Run]) -> Markup {
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
            p.dim { code { (name) } " " span.whole { (set) ", " (runs[row.run].name) } }
            (most_likely(row, &pool.labels))
            @if let Some(spectrogram) = &clip.spectrogram { (drawing(spectrogram, &clip.course, said != row.label)) }
        }
    }
}

/// The most likely classes, and the clip's own if it is not among them.
fn most_likely(row: &Row, labels: &[String]) -> Markup {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&a, &b| row.posteriors[b].total_cmp(&row.posteriors[a]));
    let place = order.iter().position(|&class| class == row.label).unwrap_or(0);
    order.truncate(N_POSTERIORS);
    if place >= order.len() {
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

fn drawing(spectrogram: &Spectrogram, course: &[Moment], is_wrong: bool) -> Markup {
    let time = || Axis::linear(0.0, spectrogram.seconds, 6, "time, s");
    let no_time = || Axis { ticks: Vec::new(), ..Axis::linear(0.0, spectrogram.seconds, 1, "") };
    let plot = |x: Axis, y: Axis, height: f64| {
        let bottom = if x.title.is_empty() { 4.0 } else { 38.0 };
        Plot { width: WIDTH, margins: [40.0, 8.0, 6.0, bottom], ..Plot::new(x, y, 6.0 + height + bottom) }
    };
    let mut kilohertz = Axis { ticks: Vec::new(), ..Axis::linear(0.0, 1.0, 1, "kHz") };
    for &(height, hz) in spectrogram.ticks.iter().rev() {
        if kilohertz.ticks.last().is_none_or(|(above, _)| above - height >= APART) && height > APART / 2.0 {
            kilohertz.ticks.push((height, (hz / 1000.0).to_string()));
        }
    }
    let above = plot(if course.is_empty() { time() } else { no_time() }, kilohertz, PICTURE);
    let below = plot(time(), Axis::percent(0.0, 1.0, 2, "%"), COURSE);
    let [left, right, top, bottom] = above.area();
    let line = |of: fn(&Moment) -> f64, class: &str| below.line(course.iter().map(|m| (m.seconds, of(m))), class);
    let image = html! {
        image x=(px(left)) y=(px(top)) width=(px(right - left)) height=(px(bottom - top)) preserveAspectRatio="none"
            href=(spectrogram.data_uri) {}
    };
    let lines = html! {
        @if is_wrong { (line(|m| m.said, "line taken")) }
        (line(|m| m.right, "line truth"))
    };
    html! {
        (above.draw("Spectrogram", &image))
        @if !course.is_empty() { (below.draw("Posteriors along the clip", &lines)) }
    }
}

/// The colours of the levels.
fn scale() -> Markup {
    html! {
        span.colours {
            (format!("−{RANGE_DB} dB "))
            svg width="96" height="10" viewBox=(format!("0 0 {N_STEPS} 1")) preserveAspectRatio="none" aria-hidden="true" {
                @for step in 0..N_STEPS {
                    @let [r, g, b] = colour(step as f64 / (N_STEPS - 1) as f64);
                    g fill=(format!("#{r:02x}{g:02x}{b:02x}")) { (rect("", [step as f64, 0.0, 1.1, 1.0], "")) }
                }
            }
            " 0 dB."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figures::tests::pool;

    #[test]
    fn the_surest_mistake_comes_first() {
        let mut pool = pool(&[(0, [3.0, 0.0, 0.0]), (0, [0.0, 9.0, 0.0]), (1, [0.5, 0.0, 0.0]), (2, [50.0, 0.0, 0.0])]);
        pool.rows[3].set = None;
        let rows = |n: usize| choose(&pool, n).iter().map(|clip| clip.row).collect::<Vec<_>>();
        assert_eq!(rows(9), [1, 2, 0], "background is no clip");
        assert_eq!(rows(1), [1]);
    }
}

//! A scene from its settings, a pool and a seed.
//!
//! Parts have random numbers of their own: the background, the room and the microphone of a seed
//! are the same with and without sounds in it.

use super::active::{from_db, mean_square, to_db};
use super::background::{self, Bed};
use super::cast::{self, Kind, Part};
use super::fft::Fft;
use super::microphone::Microphone;
use super::plan::{self, Item, Shortage, Stage};
use super::pool::{Origin, Pool, fade};
use super::room::Room;
use super::settings::SceneSettings;
use super::studio::Studio;
use crate::common::random::{Purpose, Rng, rng_for};
use crate::error::{Error, Result};
use rand::Rng as _;
use serde::Serialize;
use sounds::TruthEvent;

/// Fades into and out of a muted stretch.
const MUTE_FADE_S: f64 = 0.002;

/// A composed recording and what is to be heard in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Hz.
    pub sample_rate: u32,
    /// Mono, magnitude at most 1.
    pub samples: Vec<f32>,
    /// In order of onset.
    pub truth: Vec<TruthEvent>,
    /// Where a label may sound or not: recordings without a label that may have it.
    pub unsure: Vec<TruthEvent>,
    /// How it was made.
    pub made: Made,
}

/// How a scene was made, as it is written beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Made {
    seed: u64,
    sample_rate: u32,
    /// What the clips were taken from.
    clips: Origin,
    /// Sounds of one clip that are closer are one event.
    gap_s: f64,
    settings: SceneSettings,
    background_dbfs: f64,
    room: Room,
    microphone: Microphone,
    /// Samples beyond the level at which the microphone clips.
    n_clipped: usize,
    background: Vec<Bed>,
    events: Vec<Heard>,
    unknown: Vec<Heard>,
}

/// A sound's place in a scene.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Heard {
    onset_s: f64,
    offset_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    source: String,
    from_s: f64,
    /// None where the microphone is muted.
    #[serde(flatten)]
    level: Option<Loudness>,
    #[serde(skip)]
    like: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Loudness {
    snr_db: f64,
    /// RMS where it is active.
    level_dbfs: f64,
    distance_m: f64,
}

/// Composes a scene. The same arguments give the same scene on one machine.
///
/// # Errors
///
/// If a setting is out of range, the pool lacks what they ask for, or the sounds do not fit into
/// the time.
pub fn compose(settings: &SceneSettings, pool: &Pool, seed: u64) -> Result<Scene> {
    let sample_rate = pool.sample_rate();
    settings.check(sample_rate)?;
    let stream = |part: u64| rng_for(seed, Purpose::Composition, part);
    let as_recorded = settings.as_recorded > 0.0 && stream(9).random::<f64>() < settings.as_recorded;
    let settings = &if as_recorded { settings.of_recordings() } else { settings.clone() };
    let mut fft = Fft::new();
    let room = Room::draw(settings, pool.rooms(), &mut stream(0));
    let microphone = Microphone::draw(&settings.microphone, &mut stream(1));
    let background_dbfs = settings.background_dbfs.draw(&mut stream(2));
    let n = (settings.seconds * f64::from(sample_rate)) as usize;
    // With a stream of its own, the other settings still draw what they drew before this one was
    // added.
    let level =
        background::TrackLevel { level_dbfs: background_dbfs, swell_db: settings.swell_db.draw(&mut stream(10)) };
    let (mut samples, background) = background::lay(pool, level, &microphone, n, &mut fft, &mut stream(3))?;
    let mut studio = Studio::new(settings, pool, &room, &microphone, &mut fft);
    let mut rates = stream(8);
    let (events_a_minute, unknown_a_minute) =
        (settings.events_a_minute.draw(&mut rates), settings.unknown_a_minute.draw(&mut rates));
    let overlap = settings.overlap.draw(&mut rates);
    let events = cast::events(&mut studio, events_a_minute, &mut stream(4))?;
    let unknown = cast::unknown(&mut studio, unknown_a_minute, &mut stream(5))?;
    // Without events the sounds without a label are what overlaps.
    let among_unknown = if events.is_empty() { overlap } else { 0.0 };
    let crowded = settings.as_many_as_fit;
    let events = place(events, overlap, crowded, pool, &samples, &mut stream(6))?;
    let unknown = place(unknown, among_unknown, crowded, pool, &samples, &mut stream(7))?;
    let events = mix(events, |part| Some(pool.labels()[part.class].clone()), sample_rate, &mut samples);
    let unknown = mix(unknown, |_| None, sample_rate, &mut samples);
    for heard in unknown.iter().filter(|heard| heard.level.is_none()) {
        let at = |s: f64| (s * f64::from(sample_rate)).round() as usize;
        mute(&mut samples[at(heard.onset_s)..at(heard.offset_s)], sample_rate);
    }
    let n_clipped = microphone.clip(&mut samples);
    let truth = |event: &Heard| {
        Some(TruthEvent { onset_s: event.onset_s, offset_s: event.offset_s, label: event.label.clone()? })
    };
    let truth = events.iter().filter_map(truth).collect();
    let may_be = |heard: &Heard| {
        Some(TruthEvent { onset_s: heard.onset_s, offset_s: heard.offset_s, label: heard.like.clone()? })
    };
    let of_beds = background.iter().filter_map(Bed::unsure);
    let unsure = unknown.iter().filter_map(may_be).chain(of_beds).collect();
    let made = Made {
        seed,
        sample_rate,
        clips: pool.origin().clone(),
        gap_s: pool.gap_s(),
        settings: settings.clone(),
        background_dbfs,
        room,
        microphone,
        n_clipped,
        background,
        events,
        unknown,
    };
    Ok(Scene { sample_rate, samples, truth, unsure, made })
}

/// A part with the sample at which its extent begins and its gain.
type Placed = (Part, usize, f64);

/// Gives each part its time, and its gain over the background there. If `crowded`, the last parts
/// are left out as long as they do not fit, and overlap as far as their classes allow.
fn place(
    mut parts: Vec<Part>,
    mut overlap: f64,
    crowded: bool,
    pool: &Pool,
    background: &[f32],
    rng: &mut Rng,
) -> Result<Vec<Placed>> {
    let rate = f64::from(pool.sample_rate());
    let mut items: Vec<Item> = parts.iter().map(|part| Item { length: part.length(), class: part.class }).collect();
    let stage = Stage { length: background.len(), pause: (pool.gap_s() * rate) as usize };
    let starts = loop {
        match plan::place(&items, overlap, stage, rng) {
            Err(Shortage::Time(_)) if crowded && items.pop().is_some() => continue,
            Err(Shortage::Classes(can)) if crowded => overlap = can as f64 / items.len() as f64,
            placed => break placed,
        }
    };
    parts.truncate(items.len());
    let starts = starts.map_err(|shortage| {
        let n = items.len();
        let (mean_s, has_s) = (
            items.iter().map(|item| item.length as f64).sum::<f64>() / (n as f64 * rate),
            stage.length as f64 / rate,
        );
        Error::Usage(match shortage {
            Shortage::Time(needed) => format!(
                "{n} sounds of {mean_s:.1} s on average with pauses of {} s need {:.0} s, the scene has {has_s}: lower the \
                 rate or the longest event, or raise the overlap",
                pool.gap_s(),
                needed as f64 / rate
            ),
            Shortage::Classes(can) => {
                format!("overlap is {overlap}, but only {can} of {n} sounds have another class to overlap with")
            }
        })
    })?;
    let gain = |part: &Part, start: usize| match &part.kind {
        Kind::Sounds(voice) => {
            let there = mean_square(&background[start..start + voice.extent.len()]);
            (there * from_db(voice.snr_db) / voice.power).sqrt()
        }
        Kind::Mutes(_) => 0.0,
    };
    let with_gain = |(part, start): (Part, usize)| {
        let gain = gain(&part, start);
        (part, start, gain)
    };
    let mut placed: Vec<Placed> = parts.into_iter().zip(starts).map(with_gain).collect();
    placed.sort_by_key(|(_, start, _)| *start);
    Ok(placed)
}

/// Adds the parts to the track, and returns what was added.
fn mix(
    placed: Vec<Placed>,
    label: impl Fn(&Part) -> Option<String>,
    sample_rate: u32,
    track: &mut [f32],
) -> Vec<Heard> {
    let at = |sample: usize| sample as f64 / f64::from(sample_rate);
    let tell = |(part, start, gain): Placed| {
        let level = match &part.kind {
            Kind::Sounds(voice) => {
                let from = start - voice.extent.start;
                for (out, x) in track[from..].iter_mut().zip(&voice.samples) {
                    *out += gain as f32 * x;
                }
                let level_dbfs = to_db(voice.power * gain * gain);
                Some(Loudness { snr_db: voice.snr_db, level_dbfs, distance_m: voice.distance_m })
            }
            Kind::Mutes(_) => None,
        };
        let offset_s = at(start + part.length());
        let (label, Part { source, like, from_s, .. }) = (label(&part), part);
        Heard { onset_s: at(start), offset_s, label, source, from_s, level, like }
    };
    placed.into_iter().map(tell).collect()
}

/// Silences a stretch, without clicks.
fn mute(stretch: &mut [f32], sample_rate: u32) {
    let n_fade = (MUTE_FADE_S * f64::from(sample_rate)) as usize;
    let mut gone = stretch.to_vec();
    fade(&mut gone, n_fade, n_fade);
    stretch.iter_mut().zip(gone).for_each(|(x, gone)| *x -= gone);
}

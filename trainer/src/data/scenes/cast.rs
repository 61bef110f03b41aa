//! What sounds in a scene: the pool and the generator's catalogue enter, voices with what they are
//! leave.

use super::active::Levels;
use super::deck::Deck;
use super::pool::{Clip, fade};
use super::settings::{SceneSettings, Unknown};
use super::studio::{Studio, Voice};
use crate::common::random::Rng;
use crate::error::{Error, Result};
use rand::Rng as _;
use sounds::Sound;

/// Length of a generated sound.
const GENERATED_S: (f32, f32) = (2.0, 10.0);
/// Fades where a sound that is too long is cut.
const CUT_FADE_S: (f64, f64) = (0.003, 0.03);
/// Share of recordings among the sounds without a label, where there are any and generated ones,
/// too.
const RECORDED: f32 = 0.8;

/// Something that sounds, or that silences the microphone.
pub(super) struct Part {
    pub(super) kind: Kind,
    /// Things of one class never overlap.
    pub(super) class: usize,
    /// The file, below the data root; or the generated sound and its seed.
    pub(super) source: String,
    /// The label that a sound without one may have.
    pub(super) like: Option<String>,
    /// Where in the recording it begins.
    pub(super) from_s: f64,
}

pub(super) enum Kind {
    Sounds(Voice),
    /// Nothing is heard for this number of samples.
    Mutes(usize),
}

impl Part {
    /// Length of what the truth says, in samples.
    pub(super) fn length(&self) -> usize {
        match &self.kind {
            Kind::Sounds(voice) => voice.extent.len(),
            Kind::Mutes(length) => *length,
        }
    }
}

/// The sounds with a label: classes come up equally often, and of each class its clips do.
pub(super) fn events(studio: &mut Studio, a_minute: f64, rng: &mut Rng) -> Result<Vec<Part>> {
    let (pool, settings) = (studio.pool, studio.settings);
    let n = count(a_minute, settings);
    let clips_of =
        |class: usize| -> Vec<usize> { (0..pool.clips().len()).filter(|&i| pool.clips()[i].class == class).collect() };
    let mut clips: Vec<Deck<usize>> = (0..pool.labels().len()).map(|class| Deck::new(clips_of(class))).collect();
    let mut classes = Deck::new((0..pool.labels().len()).filter(|&class| !clips_of(class).is_empty()).collect());
    let mut parts = Vec::new();
    while parts.len() < n {
        let clip = classes.draw(rng).and_then(|class| clips[class].draw(rng));
        let Some(clip) = clip.map(|i| &pool.clips()[i]) else {
            return Err(Error::Usage(format!("--events-a-minute is {a_minute}, but there are no clips")));
        };
        parts.extend(recorded(clip, studio, false, rng)?);
    }
    Ok(parts)
}

/// The sounds without a label.
pub(super) fn unknown(studio: &mut Studio, a_minute: f64, rng: &mut Rng) -> Result<Vec<Part>> {
    let (pool, settings) = (studio.pool, studio.settings);
    let kinds: Vec<(usize, Sound)> = Sound::all()
        .iter()
        .copied()
        // Room noise is what scenes have for a background; a muted microphone must not silence what
        // the truth says.
        .filter(|&sound| sound.label().is_none() && sound != Sound::RoomNoise)
        .filter(|&sound| sound != Sound::Silence || settings.events_a_minute.high == 0.0)
        .filter(|sound| match settings.unknown {
            Unknown::All => true,
            Unknown::Seen => !sound.is_reserved(),
            Unknown::Unseen => sound.is_reserved(),
            Unknown::Recorded => false,
        })
        .enumerate()
        .collect();
    let n_kinds = kinds.len();
    let mut kinds = Deck::new(kinds);
    let mut sets: Vec<(f64, usize, Deck<usize>)> = Vec::new();
    let mut n_before = 0;
    for (weight, clips) in pool.unknown() {
        sets.push((*weight, n_before, Deck::new((0..clips.len()).collect())));
        n_before += clips.len();
    }
    let total: f64 = sets.iter().map(|(weight, ..)| weight).sum();
    let mut parts = Vec::new();
    while parts.len() < count(a_minute, settings) {
        let takes_clip = !pool.unknown().is_empty() && (n_kinds == 0 || rng.random::<f32>() < RECORDED);
        if takes_clip {
            let mut left = rng.random::<f64>() * total;
            let mut set = 0;
            while set + 1 < sets.len() && left >= sets[set].0 {
                left -= sets[set].0;
                set += 1;
            }
            let (_, first, deck) = &mut sets[set];
            let Some(i) = deck.draw(rng) else { continue };
            let part = recorded(&pool.unknown()[set].1[i], studio, true, rng)?;
            // Each recording may be something else.
            parts.extend(part.map(|part| Part { class: n_kinds + *first + i, ..part }));
        } else if let Some((class, sound)) = kinds.draw(rng) {
            parts.extend(generated(sound, class, studio, rng));
        } else {
            return Err(Error::Usage(format!(
                "{a_minute} sounds without a label per minute are asked for, but there are no recordings of any"
            )));
        }
    }
    Ok(parts)
}

fn count(a_minute: f64, settings: &SceneSettings) -> usize {
    (a_minute * settings.seconds / 60.0).round() as usize
}

/// One piece of a clip, at most as long as asked; none if what was cut out of it is silent.
fn recorded(clip: &Clip, studio: &mut Studio, all: bool, rng: &mut Rng) -> Result<Option<Part>> {
    let rate = f64::from(studio.pool.sample_rate());
    let piece = &clip.pieces[rng.random_range(0..clip.pieces.len())];
    let longest = (studio.settings.max_event_s * rate) as usize;
    let start = rng.random_range(0..=piece.sound.len().saturating_sub(longest));
    let end = piece.sound.len().min(start + longest);
    let mut dry = piece.sound.samples(start..end)?;
    if dry.len() < piece.sound.len() {
        fade(&mut dry, (CUT_FADE_S.0 * rate) as usize, (CUT_FADE_S.1 * rate) as usize);
    }
    let voice = studio.record(&dry, piece.threshold_db, all, rng);
    Ok(voice.map(|voice| Part {
        kind: Kind::Sounds(voice),
        class: clip.class,
        source: clip.source.clone(),
        like: clip.like.clone(),
        from_s: piece.from_s + start as f64 / rate,
    }))
}

fn generated(sound: Sound, class: usize, studio: &mut Studio, rng: &mut Rng) -> Option<Part> {
    let (low, high) = (GENERATED_S.0, GENERATED_S.1.min(studio.settings.max_event_s as f32));
    let seconds = if low < high { low * (high / low).powf(rng.random()) } else { high };
    let seed: u64 = rng.random();
    let rate = studio.pool.sample_rate();
    let kind = if sound == Sound::Silence {
        Kind::Mutes((seconds * rate as f32) as usize)
    } else {
        let mut dry = sounds::render(sound, rate, seconds, seed);
        let at_rate = |seconds: f64| (seconds * f64::from(rate)) as usize;
        fade(&mut dry, at_rate(CUT_FADE_S.0), at_rate(CUT_FADE_S.1));
        let quiet_db = Levels::of(&dry, rate).loudest_db() - super::active::REACH_DB;
        Kind::Sounds(studio.record(&dry, quiet_db, true, rng)?)
    };
    Some(Part { kind, class, source: format!("{sound}:{seed}"), like: None, from_s: 0.0 })
}

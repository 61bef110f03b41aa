//! Short scenes as training batches.
//!
//! Enters: the clips of a split and a step's number. Leaves: power spectra `(B, T, n_mels)` and, for every output of the network, the
//! share of its slot in which each class sounds `(B, T', C)`. Everything random derives from (seed, step, item).

use super::activity::active;
use crate::common::random::{Purpose, Rng, rng_for, uniform};
use crate::train::augment::{Bands, Coloured, Cut, Ear, Equaliser, Source, decibels};
use crate::train::recipe::{Augment, Events, Head};
use edge_frontend::{FrontendConfig, mel};
use rand::Rng as _;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use std::ops::Range;

/// Pauses within a sound that do not divide it, frames: a second.
const GAP_FRAMES: usize = 100;
/// From one frame to the next, seconds, for the decay of reverberation.
const FRAME_S: f32 = 0.01;
/// Shortest stretch of a sound that is heard in a scene, frames.
const LEAST_FRAMES: usize = 8;

/// Makes scenes.
#[derive(Debug)]
pub struct SceneBatcher<'a> {
    settings: &'a Events,
    augment: &'a Augment,
    seed: u64,
    bands: Bands,
    /// Middle of each band, Hz.
    centres_hz: Vec<f32>,
    masked_power: f32,
    n_classes: usize,
    background: Option<usize>,
    slots: Slots,
    /// Recorded background.
    beds: &'a [Source],
    /// Sounds of the classes, and others.
    known: Vec<Sounding<'a>>,
    foreign: Vec<Sounding<'a>>,
}

/// What scenes are made of.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Recordings of the classes; those of the background are left out.
    pub clips: &'a [Source],
    /// Recorded background.
    pub beds: &'a [Source],
    /// Sounds that are none of the classes.
    pub foreign: &'a [Source],
}

/// Where the outputs of a network stand in time.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    /// Frames of the receptive field, and from one output to the next.
    pub field: usize,
    /// See `field`.
    pub pulse: usize,
    /// First frame of the slot of the first output.
    pub first: usize,
}

/// A clip with something to hear in it.
#[derive(Debug)]
struct Sounding<'a> {
    source: &'a Source,
    stretches: Vec<Range<usize>>,
}

/// One step's input and targets; row-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SceneBatch {
    /// `(B, T, n_mels)`, powers before offset, logarithm and normalisation.
    pub power: Vec<f32>,
    /// `(B, T', C)`, each in [0, 1].
    pub targets: Vec<f32>,
}

impl Slots {
    /// Of a network with this receptive field and `lookahead_ms` from the middle of a slot to the end of the field; half of the field
    /// without.
    pub fn new(frontend: &FrontendConfig, field: usize, pulse: usize, lookahead_ms: Option<f64>) -> Self {
        let n_field = ((field - 1) * frontend.hop_length + frontend.win_length) as f64;
        let n_ahead = lookahead_ms.map_or(n_field / 2.0, |ms| ms / 1e3 * f64::from(frontend.sample_rate));
        let start = n_field - n_ahead - (pulse * frontend.hop_length + frontend.win_length) as f64 / 2.0;
        Self {
            field,
            pulse,
            first: (start / frontend.hop_length as f64).ceil().clamp(0.0, field.saturating_sub(pulse) as f64) as usize,
        }
    }

    /// Outputs of `n_frames` frames.
    pub fn count(&self, n_frames: usize) -> usize {
        (n_frames + self.pulse).saturating_sub(self.field) / self.pulse
    }

    /// The frames that output `j` stands for.
    pub fn slot(&self, j: usize) -> Range<usize> {
        self.first + j * self.pulse..self.first + (j + 1) * self.pulse
    }
}

impl<'a> SceneBatcher<'a> {
    /// Takes what [`crate::train::augment::Batcher`] holds.
    pub fn new(
        settings: &'a Events,
        augment: &'a Augment,
        seed: u64,
        frontend: &FrontendConfig,
        slots: Slots,
        (n_classes, background): (usize, Option<usize>),
        sources: Sources<'a>,
    ) -> Self {
        let sounding = |sources: &'a [Source], wanted: &dyn Fn(usize) -> bool| {
            let sounding = sources
                .iter()
                .filter(|source| wanted(source.label))
                .map(|source| Sounding { source, stretches: active(&source.levels(frontend.n_mels), GAP_FRAMES) });
            sounding.filter(|sounding| !sounding.stretches.is_empty()).collect()
        };
        Self {
            settings,
            augment,
            seed,
            bands: Bands::student(frontend),
            centres_hz: mel::centres_hz(frontend).into_iter().map(|hz| hz as f32).collect(),
            masked_power: crate::train::augment::power_of(0.0, frontend),
            n_classes,
            background,
            slots,
            beds: sources.beds,
            known: sounding(sources.clips, &|label| Some(label) != background),
            foreign: sounding(sources.foreign, &|_| true),
        }
    }

    /// Steps that see each clip once.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.known.len() / self.settings.batch).max(1) as u64
    }

    /// The batch of step `step`, from 0.
    pub fn batch(&self, step: u64) -> SceneBatch {
        let (n_batch, n_mels) = (self.settings.batch, self.bands.n_mels);
        let n_outputs = self.slots.count(self.settings.scene_frames);
        let (epoch, place) = (step / self.steps_per_epoch(), (step % self.steps_per_epoch()) as usize);
        let mut order: Vec<usize> = (0..self.known.len()).collect();
        order.shuffle(&mut rng_for(self.seed, Purpose::SceneOrder, epoch));
        let mut batch = SceneBatch {
            power: vec![0.0; n_batch * self.settings.scene_frames * n_mels],
            targets: vec![0.0; n_batch * n_outputs * self.n_classes],
        };
        let scenes = batch.power.par_chunks_mut(self.settings.scene_frames * n_mels);
        let scenes = scenes.zip(batch.targets.par_chunks_mut(n_outputs * self.n_classes)).enumerate();
        scenes.for_each(|(i, (power, targets))| {
            let mut rng = rng_for(self.seed, Purpose::Scene, step * n_batch as u64 + i as u64);
            let first = order.get((place * n_batch + i) % order.len().max(1)).map(|&at| &self.known[at]);
            self.compose(first, &mut rng, power, targets);
        });
        batch
    }

    /// Writes one scene, whose first sound is `first`.
    fn compose(&self, first: Option<&Sounding>, rng: &mut Rng, power: &mut [f32], targets: &mut [f32]) {
        let settings = self.settings;
        let bed_level = self.lay_bed(rng, power);
        let mut activity = vec![0.0f32; settings.scene_frames * self.n_classes];
        if let Some(first) = first.filter(|_| rng.random::<f32>() >= settings.empty) {
            self.add(first, settings.snr_db, bed_level, rng, power, Some(&mut activity));
            if rng.random::<f32>() < settings.second {
                let second = &self.known[rng.random_range(0..self.known.len() as u32) as usize];
                self.add(second, settings.snr_db, bed_level, rng, power, Some(&mut activity));
            }
        }
        if !self.foreign.is_empty() && rng.random::<f32>() < settings.foreign {
            let foreign = &self.foreign[rng.random_range(0..self.foreign.len() as u32) as usize];
            self.add(foreign, settings.foreign_snr_db, bed_level, rng, power, None);
        }
        if self.augment.eq_db > 0.0 {
            Equaliser::draw(rng, self.augment.eq_db, self.bands.n_mels).apply(&self.bands, power);
        }
        self.limit_bands(rng, power);
        let gain = decibels(uniform(rng, -self.augment.gain_db, self.augment.gain_db));
        power.iter_mut().for_each(|p| *p *= gain);
        self.mask_bands(rng, power);
        self.label(&activity, targets);
    }

    /// Fills the scene with background; returns its mean power a frame.
    fn lay_bed(&self, rng: &mut Rng, power: &mut [f32]) -> f32 {
        let n_mels = self.bands.n_mels;
        if !self.beds.is_empty() && rng.random::<bool>() {
            let bed = &self.beds[rng.random_range(0..self.beds.len() as u32) as usize];
            bed.write_plain(bed.draw_plain(self.settings.scene_frames, rng), Ear::Student, &self.bands, power);
        } else {
            Coloured::draw(rng, n_mels).fill(&self.bands, power);
        }
        let level = power.iter().sum::<f32>() / self.settings.scene_frames as f32;
        // From a quiet room to a loud one: the mean power of a frame of recorded clips spans this range.
        let wanted = decibels(uniform(rng, -50.0, 10.0));
        let gain = wanted / level.max(1e-12);
        power.iter_mut().for_each(|p| *p *= gain);
        wanted
    }

    /// Adds a sound somewhere, `snr_db` over the bed, and marks where it sounds.
    fn add(
        &self,
        sound: &Sounding,
        snr_db: [f32; 2],
        bed_level: f32,
        rng: &mut Rng,
        power: &mut [f32],
        activity: Option<&mut Vec<f32>>,
    ) {
        let settings = self.settings;
        let (n_frames, n_mels) = (settings.scene_frames, self.bands.n_mels);
        let stretch = &sound.stretches[rng.random_range(0..sound.stretches.len() as u32) as usize];
        let rate = uniform(rng, -self.augment.stretch, self.augment.stretch).exp();
        let mut length = ((stretch.len() as f32 / rate) as usize).max(1);
        let source = sound.source;
        // Part of it only, sometimes, so that ends come as often in long sounds as in short ones.
        let mut skipped = 0.0;
        if length > n_frames / 3 && rng.random::<bool>() {
            let kept = uniform(rng, 0.2, 1.0) * length as f32;
            skipped = uniform(rng, 0.0, length as f32 - kept) * rate;
            length = (kept as usize).max(LEAST_FRAMES);
        }
        // From mostly before the scene to mostly behind it.
        let start = uniform(rng, -(length as f32) + LEAST_FRAMES as f32, (n_frames - LEAST_FRAMES) as f32) as isize;
        let shift = uniform(rng, -self.augment.mel_shift, self.augment.mel_shift);
        let cut = Cut::plain(stretch.start as f32 + skipped, rate, shift, length);
        let mut sounded = vec![0.0; length * n_mels];
        source.write(&cut, Ear::Student, &self.bands, &mut sounded);
        if settings.sound_eq_db > 0.0 {
            Equaliser::draw(rng, settings.sound_eq_db, n_mels).apply(&self.bands, &mut sounded);
        }
        let level = sounded.iter().sum::<f32>() / length as f32;
        let gain = bed_level * decibels(uniform(rng, snr_db[0], snr_db[1])) / level.max(1e-12);
        let tail = (rng.random::<f32>() < settings.reverb).then(|| Tail::draw(settings, rng));
        let mut carried = vec![0.0; n_mels];
        for t in start..n_frames as isize {
            let own = usize::try_from(t - start).ok().filter(|at| *at < length);
            let own = own.map(|at| &sounded[at * n_mels..(at + 1) * n_mels]);
            if own.is_none() && tail.is_none() {
                break;
            }
            let out = usize::try_from(t).ok();
            for band in 0..n_mels {
                let direct = own.map_or(0.0, |own| own[band] * gain);
                if let Some(out) = out {
                    power[out * n_mels + band] += direct + carried[band];
                }
                if let Some(tail) = &tail {
                    carried[band] = carried[band] * tail.decay + direct * tail.gain;
                }
            }
        }
        if let Some(activity) = activity {
            let class = source.label;
            for t in start.max(0)..(start + length as isize).min(n_frames as isize) {
                activity[t as usize * self.n_classes + class] = 1.0;
            }
        }
    }

    /// What the microphone leaves of low and high frequencies: second-order Butterworth slopes.
    fn limit_bands(&self, rng: &mut Rng, power: &mut [f32]) {
        let [low, high] =
            [self.settings.low_cut_hz, self.settings.high_cut_hz].map(|[low, high]| uniform(rng, low, high));
        let gain = |hz: &f32| 1.0 / (1.0 + (low / hz).powi(4)) / (1.0 + (hz / high).powi(4));
        let gains: Vec<f32> = self.centres_hz.iter().map(gain).collect();
        for frame in power.chunks_exact_mut(gains.len()) {
            frame.iter_mut().zip(&gains).for_each(|(power, gain)| *power *= gain);
        }
    }

    /// SpecAugment's masks over bands; one in time would hide what the targets speak of.
    fn mask_bands(&self, rng: &mut Rng, power: &mut [f32]) {
        let n_mels = self.bands.n_mels;
        for _ in 0..self.augment.n_freq_masks {
            let width = rng.random_range(0..=self.augment.freq_mask);
            let start = rng.random_range(0..=n_mels - width);
            power.chunks_exact_mut(n_mels).for_each(|frame| frame[start..start + width].fill(self.masked_power));
        }
    }

    /// Shares of the slots in which each class sounds. What no class fills is the background's; with a softmax, sounds at the same time
    /// share the rest.
    fn label(&self, activity: &[f32], targets: &mut [f32]) {
        let n_classes = self.n_classes;
        for (j, target) in targets.chunks_exact_mut(n_classes).enumerate() {
            let slot = self.slots.slot(j);
            let weight = 1.0 / slot.len() as f32;
            for frame in activity[slot.start * n_classes..slot.end * n_classes].chunks_exact(n_classes) {
                target.iter_mut().zip(frame).for_each(|(share, active)| *share += active * weight);
            }
            let (sum, most) =
                target.iter().fold((0.0f32, 0.0f32), |(sum, most), share| (sum + share, most.max(*share)));
            if self.settings.head == Head::Softmax && sum > 0.0 {
                target.iter_mut().for_each(|share| *share *= most / sum);
            }
            if let Some(background) = self.background {
                target[background] = 1.0 - most;
            }
        }
    }
}

/// Reverberation of powers: each frame leaves an exponentially decaying tail.
struct Tail {
    decay: f32,
    gain: f32,
}

impl Tail {
    /// A tail that falls by 60 dB within the reverberation time.
    fn draw(settings: &Events, rng: &mut Rng) -> Self {
        let [[shortest, longest], [low, high]] = [settings.reverb_s, settings.reverb_db];
        let seconds = uniform(rng, shortest, longest);
        let decay = decibels(-60.0 * FRAME_S / seconds.max(FRAME_S));
        let energy = decibels(uniform(rng, low, high));
        Self { decay, gain: energy * (1.0 - decay) }
    }
}

#[cfg(test)]
mod tests;

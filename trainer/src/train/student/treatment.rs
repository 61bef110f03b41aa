//! What is done to a crop after it is cut.
//!
//! Enters: random numbers. Leaves: a [`Treatment`], which is drawn once and done alike to the
//! student's spectra and to those of a teacher that hears the crop: the sounds it is made of, an
//! equaliser, noise.

use super::noise::{Coloured, Equaliser};
use super::source::{Ear, Source};
use super::{Bands, decibels};
use crate::common::random::{Rng, beta, uniform};
use crate::error::Result;
use crate::train::recipe::Augment;
use rand::Rng as _;

/// What an item of a batch becomes.
#[derive(Debug)]
pub struct Treatment {
    /// What sounds in it.
    pub base: Base,
    equaliser: Option<Equaliser>,
    noise: Option<Noise>,
}

/// What sounds in an item.
#[derive(Debug)]
pub enum Base {
    /// Two crops.
    Mixture {
        /// Share of the item's own in the target.
        weight: f32,
        /// Factors of the own and the other crop's power.
        factors: [f32; 2],
    },
    /// No event: background, or noise down to silence.
    Negative(Noise),
}

/// Recorded background or coloured noise.
#[derive(Debug)]
pub struct Noise {
    kind: Kind,
    /// Factor of its power; of noise that is added, of the power that makes it as loud as the crop.
    gain: f32,
}

#[derive(Debug)]
enum Kind {
    /// From a frame of a recording on.
    Recorded {
        clip: usize,
        start: usize,
    },
    Coloured(Coloured),
}

/// What treatments are drawn from.
pub struct Means<'a> {
    pub augment: &'a Augment,
    pub negatives: &'a [Source],
    pub crop_frames: usize,
    /// Bands of the student.
    pub n_mels: usize,
    /// Whether there is a label for negatives.
    pub has_background: bool,
}

impl Means<'_> {
    /// Draws what becomes of an item. `to_equal_level` is the factor that makes its partner as loud
    /// as it is.
    pub fn draw(&self, to_equal_level: f32, rng: &mut Rng) -> Treatment {
        let augment = self.augment;
        let base = if self.has_background && rng.random::<f32>() < augment.negatives {
            Base::Negative(self.negative(rng))
        } else {
            let mut weight = 1.0;
            if rng.random::<f32>() < augment.mixup {
                let drawn = beta(rng, augment.mixup_alpha);
                weight = drawn.max(1.0 - drawn);
            }
            // The weight is one of amplitudes at equal level, so that neither sound drowns the
            // other by chance.
            Base::Mixture { weight, factors: [weight * weight, (1.0 - weight) * (1.0 - weight) * to_equal_level] }
        };
        let equaliser = (augment.eq_db > 0.0).then(|| Equaliser::draw(rng, augment.eq_db, self.n_mels));
        let noise = (rng.random::<f32>() < augment.noise).then(|| self.added(rng));
        Treatment { base, equaliser, noise }
    }

    /// A background recording at any level, or coloured noise down to silence.
    fn negative(&self, rng: &mut Rng) -> Noise {
        if !self.negatives.is_empty() && rng.random::<f32>() < 0.7 {
            Noise { kind: self.recorded(rng), gain: decibels(uniform(rng, -25.0, 15.0)) }
        } else {
            let kind = Kind::Coloured(Coloured::draw(rng, self.n_mels));
            Noise { kind, gain: decibels(uniform(rng, -60.0, 0.0)) }
        }
    }

    fn added(&self, rng: &mut Rng) -> Noise {
        let kind = if !self.negatives.is_empty() && rng.random::<bool>() {
            self.recorded(rng)
        } else {
            Kind::Coloured(Coloured::draw(rng, self.n_mels))
        };
        let [lowest, highest] = self.augment.noise_snr_db;
        Noise { kind, gain: 1.0 / decibels(uniform(rng, lowest, highest)) }
    }

    fn recorded(&self, rng: &mut Rng) -> Kind {
        let clip = rng.random_range(0..self.negatives.len() as u32) as usize;
        Kind::Recorded { clip, start: self.negatives[clip].draw_plain(self.crop_frames, rng) }
    }
}

impl Treatment {
    /// Writes the student's spectra `(T, n_mels)` of the item made of `own` and `other`. From then
    /// on noise is as loud as it has to be, for the teacher, too.
    pub fn apply(
        &mut self,
        [own, other]: [&[f32]; 2],
        negatives: &[Source],
        bands: &Bands,
        out: &mut [f32],
    ) -> Result<()> {
        self.begin(own, other, negatives, Ear::Student, bands, out)?;
        if let Some(noise) = &mut self.noise {
            let mut added = vec![0.0; out.len()];
            noise.fill(negatives, Ear::Student, bands, &mut added)?;
            noise.gain *= out.iter().sum::<f32>() / added.iter().sum::<f32>().max(1e-9);
            out.iter_mut().zip(&added).for_each(|(o, n)| *o += noise.gain * n);
        }
        Ok(())
    }

    /// The same for the teacher's spectra, after [`Treatment::apply`].
    pub fn repeat(
        &self,
        [own, other]: [&[f32]; 2],
        negatives: &[Source],
        bands: &Bands,
        out: &mut [f32],
    ) -> Result<()> {
        self.begin(own, other, negatives, Ear::Teacher, bands, out)?;
        if let Some(noise) = &self.noise {
            let mut added = vec![0.0; out.len()];
            noise.fill(negatives, Ear::Teacher, bands, &mut added)?;
            out.iter_mut().zip(&added).for_each(|(o, n)| *o += noise.gain * n);
        }
        Ok(())
    }

    /// Whether the teacher can hear it: whether all recordings in it have the teacher's spectra.
    pub fn is_heard(&self, negatives: &[Source]) -> bool {
        let of = |noise: &Noise| match noise.kind {
            Kind::Recorded { clip, .. } => negatives[clip].is_heard(),
            Kind::Coloured(_) => true,
        };
        self.noise.as_ref().is_none_or(of) && !matches!(&self.base, Base::Negative(noise) if !of(noise))
    }

    fn begin(
        &self,
        own: &[f32],
        other: &[f32],
        negatives: &[Source],
        ear: Ear,
        bands: &Bands,
        out: &mut [f32],
    ) -> Result<()> {
        match &self.base {
            Base::Mixture { factors: [a, b], .. } => {
                out.iter_mut().zip(own.iter().zip(other)).for_each(|(o, (x, y))| *o = a * x + b * y);
            }
            Base::Negative(noise) => {
                noise.fill(negatives, ear, bands, out)?;
                out.iter_mut().for_each(|p| *p *= noise.gain);
            }
        }
        if let Some(equaliser) = &self.equaliser {
            equaliser.apply(bands, out);
        }
        Ok(())
    }
}

impl Noise {
    fn fill(&self, negatives: &[Source], ear: Ear, bands: &Bands, out: &mut [f32]) -> Result<()> {
        match &self.kind {
            Kind::Recorded { clip, start } => negatives[*clip].write_plain(*start, ear, bands, out)?,
            Kind::Coloured(noise) => noise.fill(bands, out),
        }
        Ok(())
    }
}

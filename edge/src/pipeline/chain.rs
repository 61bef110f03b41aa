//! The stages of recognition in a row: samples and gaps at the source's rate enter, onsets and
//! offsets leave. A source that computes its log-mel frames itself enters after the front end.
//!
//! Runs on the worker thread, or on any other: it starts none and does no I/O. What it puts out
//! depends on the samples and gaps alone, never on their division into blocks nor on when they
//! come.
//!
//! # Stream time
//!
//! A stream's time is its sample count over its rate. Frame `j` of the logits covers the log-mel
//! frames from `pulse_frames * j`, so its receptive field begins `j * pulse_frames * hop_length`
//! samples at the model's rate after the point where the chain was started or, by a long gap,
//! restarted; that point is known exactly as a sample number at the source's rate.
//!
//! # Real-time
//!
//! Not for the audio callback: the engine allocates. All else here allocates nothing after
//! construction.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec::Drain;

use edge_frontend::{LogMel, Manifest, Resampler};

use super::features::Features;
use super::level::LevelMeter;
use super::recogniser::{Observer, Recogniser, Work};
use crate::decide::{Rules, Transition};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::live::Feed;
use crate::status::Status;

/// A gap up to this long is bridged by silence; after a longer one recognition starts again.
/// Seconds.
const MAX_BRIDGED_S: u64 = 2;

/// Silence is fed in blocks of this many samples.
const ZEROS_LEN: usize = 1024;

/// Resampler, log-mel front end, engine and decider of one stream.
pub struct Chain {
    resampler: Resampler,
    front_end: FrontEnd,
    recogniser: Recogniser,
    /// Samples a second at the source.
    sample_rate: u32,
    /// Position in the stream, in samples at the source's rate, gaps included.
    position: u64,
    /// Where the chain was started last.
    restart: u64,
    geometry: Geometry,
    features: Features,
    /// Whether log-mel frames come now, and no samples.
    takes_frames: bool,
    /// Samples a second that the front end takes.
    model_rate: u32,
    /// Silence at the model's rate that gets the last sound through the network and the sliding
    /// mean.
    n_flush: usize,
    status: Arc<Status>,
}

/// Lengths that do not change with the rules.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    /// Samples at the model's rate.
    hop_length: usize,
    win_length: usize,
    /// Log-mel frames.
    pulse_frames: usize,
    receptive_field_frames: usize,
}

impl Geometry {
    /// Samples of silence, at the model's rate, after which the last sound has left the network
    /// and the longest window.
    fn n_flush(&self, rules: &Rules) -> usize {
        let n_frames = self.receptive_field_frames + (rules.longest_window() + 1) * self.pulse_frames;
        n_frames * self.hop_length + self.win_length
    }
}

/// The front end, and how loud it is.
struct FrontEnd {
    log_mel: LogMel,
    level: LevelMeter,
}

impl Chain {
    /// A chain for samples at `sample_rate`, with the network of `manifest` running in `engine`.
    ///
    /// # Errors
    ///
    /// When `sample_rate` cannot be resampled to the model's, or the engine does not fit the
    /// manifest.
    pub fn new(
        manifest: &Manifest,
        rules: Rules,
        engine: Box<dyn Engine>,
        sample_rate: u32,
        status: Arc<Status>,
    ) -> Result<Self> {
        let frontend = &manifest.frontend;
        let geometry = Geometry {
            hop_length: frontend.hop_length,
            win_length: frontend.win_length,
            pulse_frames: manifest.network.pulse_frames,
            receptive_field_frames: manifest.network.receptive_field_frames,
        };
        let n_flush = geometry.n_flush(&rules);
        Ok(Chain {
            resampler: Resampler::new(sample_rate, frontend.sample_rate)
                .map_err(Error::sample_rate(frontend.sample_rate))?,
            front_end: FrontEnd {
                log_mel: LogMel::new(frontend).map_err(|error| Error::Engine(error.to_string()))?,
                level: LevelMeter::new(frontend, &manifest.network),
            },
            recogniser: Recogniser::new(manifest, rules, engine)?,
            sample_rate,
            position: 0,
            restart: 0,
            n_flush,
            geometry,
            features: Features::new(frontend),
            takes_frames: false,
            model_rate: frontend.sample_rate,
            status,
        })
    }

    /// From now on `observer` gets every output of the network, also those at the end of the
    /// stream.
    pub fn observe(&mut self, observer: Observer) {
        self.recogniser.observe(observer);
    }

    /// Pulses, scores and outputs of what is pushed go to `feed` from now on.
    pub fn show(&mut self, feed: Feed) {
        self.recogniser.show(Some(feed));
    }

    /// Samples a second at the source.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Length of a frame of logits.
    pub fn n_classes(&self) -> usize {
        self.recogniser.n_classes()
    }

    /// Position in the stream in samples at the source's rate, gaps included: the end of what was
    /// pushed.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Position in the stream in seconds: the end of what was pushed.
    pub fn position_s(&self) -> f64 {
        self.position as f64 / f64::from(self.sample_rate)
    }

    /// How long the sound is that at least has to come before the network runs again.
    pub fn until_pulse(&self) -> Duration {
        // Of the frame that comes next, all but the last sample may be there already.
        let n_samples = self.recogniser.n_missing().saturating_sub(1) * self.geometry.hop_length;
        Duration::from_secs_f64(n_samples as f64 / f64::from(self.model_rate))
    }

    /// What has begun and ended since this was asked last, in the order of its confirmation.
    pub fn transitions(&mut self) -> Drain<'_, Transition> {
        self.recogniser.transitions()
    }

    /// Takes the next samples.
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        let begin = Instant::now();
        self.position += samples.len() as u64;
        let Chain { resampler, front_end, recogniser, .. } = self;
        if let Some(feed) = recogniser.feed() {
            feed.samples(samples);
        }
        resampler.process(samples, |block| front_end.process(block, recogniser));
        self.report_work(begin);
        self.recogniser.outcome()
    }

    /// Makes log-mel frames those of sound whose samples are multiplied by `gain`.
    pub(super) fn amplify_frames(&self, frames: &mut [f32], gain: f32) {
        self.features.amplify(frames, gain);
    }

    /// Takes the next log-mel frames, `(n_frames, n_mels)`, row-major, before the normalisation;
    /// each stands for a hop. Returns the mean square of their sound.
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub fn push_frames(&mut self, frames: &[f32]) -> Result<f64> {
        let begin = Instant::now();
        let n_mels = self.features.n_mels();
        let mut sum = 0.0;
        for frame in frames.chunks_exact(n_mels) {
            self.position += self.geometry.hop_length as u64;
            sum += self.push_raw_frame(Some(frame));
        }
        self.report_work(begin);
        self.recogniser.outcome()?;
        Ok(sum / (frames.len() / n_mels).max(1) as f64)
    }

    /// Passes a frame before the normalisation, or one of silence; returns its mean square.
    fn push_raw_frame(&mut self, frame: Option<&[f32]>) -> f64 {
        let Chain { features, front_end, recogniser, .. } = self;
        let (normalised, mean_square) = features.take(frame);
        let level_dbfs = front_end.level.process_frame(mean_square);
        if let Some(feed) = recogniser.feed() {
            feed.frame(mean_square);
        }
        recogniser.push_frame(normalised, level_dbfs);
        mean_square
    }

    /// Passes `n_samples` that are missing from the stream.
    ///
    /// A short gap is bridged by silence. A long one ends what was open where it begins, and
    /// recognition starts again where it ends.
    ///
    /// # Errors
    ///
    /// When the network fails.
    pub fn gap(&mut self, n_samples: u64) -> Result<()> {
        self.status.add_gap(n_samples);
        if n_samples > MAX_BRIDGED_S * u64::from(self.sample_rate) {
            self.finish()?;
            self.position += n_samples;
            self.restart();
            return Ok(());
        }
        if self.takes_frames {
            let begin = Instant::now();
            self.position += n_samples;
            for _ in 0..n_samples as usize / self.geometry.hop_length {
                self.push_raw_frame(None);
            }
            self.report_work(begin);
            return self.recogniser.outcome();
        }
        silence(n_samples as usize).try_for_each(|zeros| self.push(zeros))
    }

    /// Ends the stream: decides on its last sounds, with silence after them, and closes the open
    /// events. No event reaches beyond the end. What is pushed afterwards continues the stream's
    /// time, but is heard as the beginning of a new stream.
    ///
    /// # Errors
    ///
    /// When the network fails. Open events are closed all the same.
    pub fn finish(&mut self) -> Result<()> {
        if self.position == self.restart {
            return Ok(());
        }
        let begin = Instant::now();
        let n_before = self.recogniser.n_found();
        // The silence after the end is not what the source hears.
        let feed = self.recogniser.show(None);
        if self.takes_frames {
            for _ in 0..self.n_flush.div_ceil(self.geometry.hop_length) {
                self.push_raw_frame(None);
            }
        } else {
            let Chain { resampler, front_end, recogniser, n_flush, .. } = self;
            resampler.finish(|block| front_end.process(block, recogniser));
            silence(*n_flush).for_each(|zeros| front_end.process(zeros, recogniser));
        }
        self.recogniser.show(feed);
        self.recogniser.flush();
        self.recogniser.end_at(self.position_s(), n_before);
        self.restart();
        let reset = self.recogniser.reset_engine();
        self.report_work(begin);
        self.recogniser.outcome().and(reset)
    }

    /// Ends what was heard so far and goes on with samples at `sample_rate`, or with log-mel frames
    /// if `takes_frames`, after `missing_s` seconds that are missing.
    ///
    /// # Errors
    ///
    /// When `sample_rate` cannot be resampled to the model's, or the network fails.
    pub fn resume(&mut self, sample_rate: u32, takes_frames: bool, missing_s: f64) -> Result<()> {
        self.finish()?;
        self.takes_frames = takes_frames;
        if sample_rate != self.sample_rate {
            let position_s = self.position_s();
            self.resampler =
                Resampler::new(sample_rate, self.model_rate).map_err(Error::sample_rate(self.model_rate))?;
            self.sample_rate = sample_rate;
            self.position = (position_s * f64::from(sample_rate)).round() as u64;
        }
        let n_missing = (missing_s * f64::from(sample_rate)).round() as u64;
        if n_missing > 0 {
            self.status.add_gap(n_missing);
            self.position += n_missing;
        }
        self.restart();
        Ok(())
    }

    /// Goes on under other rules. Open events end; what still sounds begins a new one.
    pub fn set_rules(&mut self, rules: Rules) {
        self.n_flush = self.geometry.n_flush(&rules);
        self.recogniser.set_rules(rules);
    }

    /// Forgets all samples so far; the next one begins at the present position.
    fn restart(&mut self) {
        self.resampler.reset();
        self.front_end.log_mel.reset();
        self.front_end.level.reset();
        self.restart = self.position;
        self.recogniser.restart(self.position_s());
    }

    fn report_work(&mut self, begin: Instant) {
        let Work { n_frames, n_pulses } = self.recogniser.take_work();
        self.status.add_work(begin.elapsed(), n_frames, n_pulses);
    }
}

impl FrontEnd {
    /// Hands the log-mel frames that `samples` complete to `recogniser`. With a frame that ends a
    /// pulse goes the level in dBFS of the output that this pulse may give.
    fn process(&mut self, samples: &[f32], recogniser: &mut Recogniser) {
        let FrontEnd { log_mel, level } = self;
        level.process(samples, |piece, level_dbfs| {
            log_mel.process(piece, |frame| recogniser.push_frame(frame, level_dbfs));
        });
    }
}

/// Blocks of silence, `n_samples` in all.
fn silence(n_samples: usize) -> impl Iterator<Item = &'static [f32]> {
    static ZEROS: [f32; ZEROS_LEN] = [0.0; ZEROS_LEN];
    (0..n_samples).step_by(ZEROS_LEN).map(move |at| &ZEROS[..ZEROS_LEN.min(n_samples - at)])
}

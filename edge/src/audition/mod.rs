//! A source is tried: its samples enter, its level and what could be better with it leave. For
//! setting up a microphone or finding out what is wrong with it; runs on the caller's thread.
//!
//! What counts as no sound is judged as in the daemon, with less patience: a person who tries a
//! microphone makes sounds.

mod hum;

pub use hum::Hum;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use edge_frontend::FrontendConfig;

use self::hum::HumMeter;
use crate::capture::{self, Condition, Content, Hearing, SampleInfo, Session, Source, Vitals};
use crate::config::SourceSettings;
use crate::error::Result;
use crate::pipeline::repair;
use crate::ring::Chunk;
use crate::status::{CLIPPED, LEVEL_FLOOR_DBFS, Status};

/// Most samples taken at once.
const BLOCK_LEN: usize = 4096;

/// How long an empty ring is waited for.
const PAUSE: Duration = Duration::from_millis(10);

/// How long a source may take to open.
const OPENING: Duration = Duration::from_secs(6);

/// A level is that of this much sound.
const LEVEL: Duration = Duration::from_millis(100);

/// A source that is being tried.
pub struct Audition {
    source: Source,
    session: Option<Session>,
    hearing: Arc<Hearing>,
    vitals: Vitals,
    hum: Option<HumMeter>,
    gain: f32,
    buffer: Vec<f32>,
    level: MeterReading,
    heard: SoundSummary,
    ended: bool,
}

/// How loud sound is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeterReading {
    /// Root mean square, dB of full scale.
    pub rms_dbfs: f32,
    /// Largest magnitude, dB of full scale.
    pub peak_dbfs: f32,
}

/// What was heard so far.
#[derive(Debug, Clone, PartialEq)]
pub struct SoundSummary {
    /// How the source was opened; `None` before that.
    pub description: Option<String>,
    /// Seconds of sound.
    pub seconds: f64,
    /// The largest magnitude, dB of full scale.
    pub peak_dbfs: f32,
    /// The loudest and the faintest tenth of a second, root mean square.
    pub loudest_dbfs: f32,
    /// See above.
    pub faintest_dbfs: f32,
    /// Share of the samples at full scale.
    pub clipped: f64,
    /// The hum of the mains in it, if it can be heard.
    pub hum: Option<Hum>,
    n_samples: u64,
    n_clipped: u64,
}

impl Audition {
    /// Begins to open the source. `frontend` is the model's, whose frames a microcontroller may
    /// send.
    ///
    /// # Errors
    ///
    /// When there can be no such source.
    pub fn start(settings: &SourceSettings, frontend: &FrontendConfig) -> Result<Self> {
        let hearing = Arc::new(Hearing::of(&settings.name));
        let status = Arc::new(Status::default());
        let source = capture::start(&settings.spec, &settings.options, frontend, &status, &hearing)?;
        Ok(Audition {
            gain: source.gain,
            source,
            session: None,
            hearing,
            vitals: Vitals::of_trial(),
            hum: None,
            buffer: vec![0.0; BLOCK_LEN],
            level: MeterReading::of(0.0, 0.0),
            heard: SoundSummary {
                description: None,
                seconds: 0.0,
                peak_dbfs: LEVEL_FLOOR_DBFS,
                loudest_dbfs: LEVEL_FLOOR_DBFS,
                faintest_dbfs: f32::INFINITY,
                clipped: 0.0,
                hum: None,
                n_samples: 0,
                n_clipped: 0,
            },
            ended: false,
        })
    }

    /// Takes the sound of the next tenth of a second, or less at the end. Waits no longer than
    /// twice that, and not when `stop` is set.
    pub fn listen(&mut self, stop: &AtomicBool) -> MeterReading {
        let until = Instant::now() + LEVEL * 2;
        let (mut energy, mut peak, mut n) = (0.0, 0.0_f32, 0_u64);
        let mut wanted = BLOCK_LEN as u64;
        while n < wanted && Instant::now() < until && !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let Some((samples, sample_rate)) = self.next_samples() else {
                if self.ended {
                    break;
                }
                std::thread::sleep(PAUSE);
                continue;
            };
            wanted = u64::from(sample_rate) * LEVEL.as_millis() as u64 / 1000;
            let samples = &self.buffer[..samples];
            energy += samples.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
            peak = samples.iter().fold(peak, |peak, x| peak.max(x.abs()));
            n += samples.len() as u64;
        }
        if n > 0 {
            self.level = MeterReading::of((energy / n as f64) as f32, peak);
            let heard = &mut self.heard;
            heard.peak_dbfs = heard.peak_dbfs.max(self.level.peak_dbfs);
            heard.loudest_dbfs = heard.loudest_dbfs.max(self.level.rms_dbfs);
            heard.faintest_dbfs = heard.faintest_dbfs.min(self.level.rms_dbfs);
        }
        self.level
    }

    /// Listens until there are `seconds` of sound, the source has ended, or too little has arrived
    /// for too long. `show` gets the level of each tenth of a second.
    ///
    /// # Errors
    ///
    /// Those of `show`.
    pub fn hear(&mut self, seconds: f64, mut show: impl FnMut(MeterReading) -> Result<()>) -> Result<()> {
        let (begin, never) = (Instant::now(), AtomicBool::new(false));
        let patience = OPENING + 2 * Duration::from_secs_f64(seconds);
        loop {
            let level = self.listen(&never);
            let heard_s = self.heard.seconds;
            if heard_s > 0.0 {
                show(level)?;
            }
            let is_late = heard_s == 0.0 && begin.elapsed() > OPENING || begin.elapsed() > patience;
            if heard_s >= seconds || self.ended || is_late {
                return Ok(());
            }
        }
    }

    /// Takes the next samples, if there are some, into the buffer: how many and of which rate.
    fn next_samples(&mut self) -> Option<(usize, u32)> {
        let session = match &mut self.session {
            Some(session) => session,
            empty => {
                // Sessions come within a moment of the opening; nobody waits for one here.
                let session = self.source.try_session()?;
                self.vitals.opened();
                self.heard.description = Some(session.description.clone());
                self.hum = (session.content == Content::Samples).then(|| HumMeter::new(session.sample_rate));
                empty.insert(session)
            }
        };
        // Frames of a microcontroller's features are no sound that could be looked at.
        let is_sound = session.content == Content::Samples;
        match session.reader.read(&mut self.buffer) {
            Chunk::Samples(n) if is_sound => {
                let samples = &mut self.buffer[..n];
                let n_non_finite = repair(samples);
                let (sample_rate, gain) = (session.sample_rate, self.gain);
                let info = SampleInfo { n_non_finite, sample_rate, gain, is_live: self.source.is_live() };
                self.vitals.push(samples, info, session.balance.as_deref(), &self.hearing);
                self.heard.n_clipped += samples.iter().filter(|x| x.abs() >= CLIPPED).count() as u64;
                samples.iter_mut().for_each(|sample| *sample *= gain);
                if let Some(hum) = &mut self.hum {
                    hum.push(samples);
                }
                self.heard.n_samples += n as u64;
                self.heard.seconds = self.heard.n_samples as f64 / f64::from(sample_rate);
                Some((n, sample_rate))
            }
            Chunk::Samples(_) | Chunk::Gap(_) | Chunk::Empty => None,
            Chunk::Ended => {
                self.session = None;
                self.ended = !self.source.is_live();
                None
            }
        }
    }

    /// Whether nothing more will come, as at the end of a recording.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// What was heard so far.
    pub fn sound(&self) -> SoundSummary {
        let mut sound = self.heard.clone();
        sound.clipped = sound.n_clipped as f64 / sound.n_samples.max(1) as f64;
        sound.hum = self.hum.as_ref().and_then(HumMeter::hum);
        sound
    }

    /// What is wrong with the source, in words, if anything.
    pub fn fault(&self) -> Option<String> {
        let reason = self.hearing.snapshot().capture_reason.filter(|_| self.hearing.condition() != Condition::Ended)?;
        // Nobody waits for that here.
        Some(reason.strip_suffix("; trying again until it works").unwrap_or(&reason).to_string())
    }

    /// What could be better with it, in words.
    pub fn hints(&self) -> Vec<String> {
        self.hearing.snapshot().capture_hints
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// What went wrong with the source.
    pub fn finish(self) -> Result<()> {
        self.source.finish()
    }
}

impl MeterReading {
    fn of(mean_square: f32, peak: f32) -> Self {
        let dbfs = |amplitude: f32| (20.0 * amplitude.log10()).max(LEVEL_FLOOR_DBFS);
        MeterReading { rms_dbfs: dbfs(mean_square.sqrt()), peak_dbfs: dbfs(peak) }
    }
}

impl SoundSummary {
    /// How much louder the source should be made, dB, if it is so faint that it matters: then a
    /// usual loud sound has its peak at -12 dBFS.
    pub fn advised_gain_db(&self) -> Option<f32> {
        const WANTED_DBFS: f32 = -12.0;
        const FAINT_DBFS: f32 = -30.0;
        const MOST_DB: f32 = 40.0;
        let is_faint = self.peak_dbfs < FAINT_DBFS && self.peak_dbfs > LEVEL_FLOOR_DBFS;
        is_faint.then(|| (WANTED_DBFS - self.peak_dbfs).min(MOST_DB).round())
    }
}

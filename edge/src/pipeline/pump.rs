//! From the sessions of a source into a chain: blocks of the ring enter, transitions leave. Runs on
//! the worker thread. Keeps the clock right, measures what is missing, repairs samples that are not
//! numbers, and judges whether there is sound at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::WorkerShared;
use super::chain::Chain;
use super::track::{Tracker, Uptime};
use crate::capture::{Content, SampleInfo, Session, Source, Vitals};
use crate::decide::Transition;
use crate::error::Result;
use crate::fault::{Fault, FaultLog};
use crate::ring::Chunk;

/// Most samples taken from the ring at once; the stop flag is looked at in between.
const BLOCK_LEN: usize = 4096;

/// The worker sleeps when the ring is empty, because the audio callback must not wake it: until the
/// network can run again, but at least and at most this long. Each time that it wakes costs as much
/// as the front end of a hop.
const LEAST_SLEEP: Duration = Duration::from_millis(10);
const LONGEST_SLEEP: Duration = Duration::from_millis(80);

/// 40 dB above full scale. Float streams may exceed full scale a little; far beyond, energies would
/// overflow.
pub(super) const MAX_MAGNITUDE: f32 = 100.0;

/// The clock of a live stream is set this often.
const ANCHOR: Duration = Duration::from_secs(1);

/// From the sessions of a source into a chain.
pub(super) struct Pump<'a> {
    pub(super) chain: Chain,
    shared: &'a WorkerShared,
    /// What samples are multiplied by.
    gain: f32,
    /// The time of a live stream; a recording's is its own.
    live: Option<Live>,
    vitals: Vitals,
    buffer: Vec<f32>,
    gap_log: GapLog,
    anchored: bool,
    /// What was listened to last.
    device: String,
}

/// What a stream has that comes as it happens.
struct Live {
    uptime: Uptime,
    tracker: Tracker,
    anchored: Option<Instant>,
}

impl<'a> Pump<'a> {
    pub(super) fn new(chain: Chain, shared: &'a WorkerShared, gain: f32) -> Self {
        Pump {
            chain,
            shared,
            gain,
            live: None,
            vitals: Vitals::new(),
            buffer: vec![0.0; BLOCK_LEN],
            gap_log: GapLog::default(),
            anchored: false,
            device: String::new(),
        }
    }

    /// Takes a session of `source` to its end, or until `stop` is set.
    pub(super) fn session(
        &mut self,
        session: &mut Session,
        source: &Source,
        stop: &AtomicBool,
        on_transition: &mut dyn FnMut(Transition),
    ) -> Result<()> {
        let Session { description, reader, balance, .. } = session;
        let (sample_rate, content) = (session.sample_rate, session.content);
        // Of the ring's values, samples or not.
        let rate = content.n_values(f64::from(sample_rate));
        let n_at_once = match content {
            Content::Samples => BLOCK_LEN,
            Content::Frames { n_mels, .. } => BLOCK_LEN / n_mels * n_mels,
        };
        self.vitals.opened();
        let mut begun = false;
        while !stop.load(Ordering::Relaxed) {
            self.chain.transitions().for_each(&mut *on_transition);
            if let Some(rules) = self.shared.take_rules() {
                self.chain.set_rules(rules);
            }
            if self.live.is_none() && source.is_live() {
                self.shared.clock.goes_live();
                self.live = Some(Live { uptime: Uptime::new(), tracker: Tracker::default(), anchored: None });
            }
            match reader.read(&mut self.buffer[..n_at_once]) {
                Chunk::Samples(n) => {
                    let n_queued = reader.n_queued();
                    // The newest sample of the ring was captured just now.
                    let ahead_s = (n + n_queued) as f64 / rate;
                    if !begun {
                        begun = true;
                        self.begin(description, sample_rate, content, ahead_s)?;
                    }
                    self.follow(ahead_s)?;
                    let samples = &mut self.buffer[..n];
                    if content != Content::Samples {
                        if self.gain != 1.0 {
                            self.chain.amplify_frames(samples, self.gain);
                        }
                        let mean_square = self.chain.push_frames(samples)?;
                        let (n_samples, n_queued) = (content.n_samples(n as u64), content.n_samples(n_queued as u64));
                        self.shared.status.add_frames(n_samples, n_queued, mean_square);
                        continue;
                    }
                    let n_non_finite = repair(samples);
                    if n_non_finite > 0 {
                        self.shared.status.add_non_finite(n_non_finite);
                    }
                    let (hearing, is_live) = (&self.shared.hearing, self.live.is_some());
                    let info = SampleInfo { n_non_finite, sample_rate, gain: self.gain, is_live };
                    self.vitals.push(samples, info, balance.as_deref(), hearing);
                    samples.iter_mut().for_each(|sample| *sample *= self.gain);
                    self.shared.status.add_block(samples, n_queued as u64);
                    if let Some(recent) = &self.shared.recent {
                        // A recording can wait for its clips.
                        recent.push(samples, (!is_live).then_some(stop));
                    }
                    self.chain.push(samples)?;
                }
                Chunk::Gap(n) => {
                    if !begun {
                        begun = true;
                        self.begin(description, sample_rate, content, (n as f64 + reader.n_queued() as f64) / rate)?;
                    }
                    self.gap_log.add(self.shared.hearing.name(), n as f64 / rate);
                    gap(&mut self.chain, self.shared, content.n_samples(n))?;
                }
                Chunk::Empty => thread::sleep(self.chain.until_pulse().clamp(LEAST_SLEEP, LONGEST_SLEEP)),
                Chunk::Ended => break,
            }
        }
        Ok(())
    }

    /// The first samples of a session have come; its newest is `ahead_s` behind what the chain has
    /// had.
    fn begin(&mut self, device: &str, sample_rate: u32, content: Content, ahead_s: f64) -> Result<()> {
        let name = self.shared.hearing.name();
        if self.device != device {
            tracing::info!(source = name, device, sample_rate, "{name}: listening to {device}");
            self.device = device.to_string();
        }
        let position_s = self.chain.position_s();
        let missing_s = self.live.as_mut().map_or(0.0, |live| {
            let first_s = live.uptime.now_s() - ahead_s;
            live.tracker.resume(position_s, first_s)
        });
        if missing_s > 0.0 {
            // Why, and that it is over, is in the log already, as often as it is worth it.
            tracing::debug!(source = name, missing_s, "{name}: nothing was heard for {missing_s:.1} s");
        }
        self.chain.resume(sample_rate, content != Content::Samples, missing_s)?;
        match &self.shared.recent {
            Some(recent) if content == Content::Samples => recent.begin(sample_rate, self.chain.position()),
            Some(recent) => recent.begin_without_sound(),
            None => {}
        }
        Ok(())
    }

    /// Keeps the clock right. The stream's newest sample is `ahead_s` behind what the chain has
    /// had.
    fn follow(&mut self, ahead_s: f64) -> Result<()> {
        let WorkerShared { clock, status, .. } = self.shared;
        let newest_s = self.chain.position_s() + ahead_s;
        let Some(live) = &mut self.live else {
            if !self.anchored {
                clock.anchor(newest_s, Timestamp::now());
                self.anchored = true;
            }
            return Ok(());
        };
        let uptime_s = live.uptime.now_s();
        if let Some(missing_s) = live.tracker.arrival(newest_s, uptime_s) {
            let n_missing = (missing_s * f64::from(self.chain.sample_rate())).round() as u64;
            self.gap_log.add(self.shared.hearing.name(), missing_s);
            gap(&mut self.chain, self.shared, n_missing)?;
        }
        if live.anchored.is_none_or(|at| at.elapsed() >= ANCHOR)
            && let Some(delay_s) = live.tracker.delay_s()
        {
            live.anchored = Some(Instant::now());
            // The wall clock is read again each time: it may have been set.
            let ago = SignedDuration::from_secs_f64(uptime_s - delay_s);
            clock.anchor(0.0, Timestamp::now().saturating_sub(ago).unwrap_or(Timestamp::MIN));
            if let Some(ppm) = live.tracker.drift_ppm(uptime_s) {
                status.set_drift_ppm(ppm);
            }
        }
        Ok(())
    }
}

/// Passes `n_samples` that are missing from the stream.
fn gap(chain: &mut Chain, shared: &WorkerShared, n_samples: u64) -> Result<()> {
    if let Some(recent) = &shared.recent {
        recent.gap(n_samples);
    }
    chain.gap(n_samples)
}

/// Takes what is not a number, or infinite, as 0, and limits the rest to what the front end can
/// square. Returns how many samples were taken as 0.
pub(crate) fn repair(samples: &mut [f32]) -> u64 {
    let mut n_non_finite = 0;
    for sample in samples {
        if !sample.is_finite() {
            *sample = 0.0;
            n_non_finite += 1;
        }
        *sample = sample.clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE);
    }
    n_non_finite
}

/// Says that samples are missing, but not thousands of times per second.
#[derive(Default)]
struct GapLog {
    n_gaps: u64,
    seconds: f64,
    log: FaultLog,
}

impl GapLog {
    fn add(&mut self, source: &str, seconds: f64) {
        self.n_gaps += 1;
        self.seconds += seconds;
        let (n_gaps, seconds) = (self.n_gaps, self.seconds);
        let fault = Fault::new("gap", format!("samples missing: {seconds:.3} s in all (gaps: {n_gaps})"));
        if self.log.occurred(&fault).is_some() {
            tracing::warn!(source, n_gaps, seconds, "{source}: {fault}");
            (self.n_gaps, self.seconds) = (0, 0.0);
        }
    }
}

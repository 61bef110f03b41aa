//! Messages to viewers, as they are written and read: the one form for server-sent events of the
//! page and for the lines of terminals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::source::ShownSource;
use crate::event::Event;
use crate::live::{Level, Scale, Viewer};

/// Scores below this are not sent.
const MIN_SCORE: f32 = 0.02;

/// Likely classes that are sent, at most.
const MAX_LIKELY: usize = 8;

/// A line that a terminal is sent: `{"pulses": [..]}` and so on. On the page the name is that of
/// the server-sent event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The first one, and again when other rules hold.
    About(About),
    /// What was heard since the last time.
    Pulses(Vec<PulseMessage>),
    /// An onset or an offset.
    Event(Event),
    /// How the daemon is doing, by source.
    Health(Vec<SourceHealth>),
    /// Nobody else may attach, for this reason.
    Refused(String),
}

/// What does not change from pulse to pulse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Name of the device.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// Name and version of the model.
    pub model: String,
    /// In the order of the network's outputs.
    pub labels: Vec<LabelAbout>,
    /// What is listened to.
    pub sources: Vec<SourceAbout>,
}

/// A label and its thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelAbout {
    /// Its name.
    pub label: String,
    /// Whether its events are reported.
    pub reported: bool,
    /// Whether it is no event.
    pub background: bool,
    /// At which an event begins, if it is reported.
    pub on: Option<f64>,
    /// Below which an event ends, if it is reported.
    pub off: Option<f64>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceAbout {
    /// Its name in events.
    pub name: String,
    /// What is listened to, in words.
    pub description: String,
    /// What the bytes of its pulses stand for, once that is known.
    pub scale: Option<Bands>,
}

/// See [`Scale`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bands {
    /// Bands of a frame.
    pub n_mels: usize,
    /// Log-mel frames of a pulse.
    pub pulse_frames: usize,
    /// Length of a pulse, seconds.
    pub pulse_s: f64,
    /// Centres of the bands, Hz, the lowest first.
    pub centres_hz: Vec<f64>,
    /// What the byte 0 stands for, dB.
    pub floor_db: f32,
    /// What a step of 1 stands for, dB.
    pub step_db: f32,
}

/// A [pulse](crate::live::Pulse) as it is sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct PulseMessage {
    /// Index of the source.
    pub source: usize,
    /// Counts the source's pulses; a leap is what a viewer has missed.
    pub seq: u64,
    /// Wall-clock time at which it begins, milliseconds since 1970.
    pub at_ms: i64,
    /// Bytes of the log-mel frames, in base64.
    columns: String,
    rms_dbfs: f32,
    peak_dbfs: Option<f32>,
    n_clipped: u32,
    /// Class and score, the likeliest first.
    pub likely: Vec<(usize, f32)>,
}

/// A source's part of the health message, as far as a viewer reads it.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct SourceHealth {
    /// Its name in events.
    pub source: String,
    /// Figures.
    pub report: Figures,
    /// What they mean, the worst first.
    pub findings: Vec<HealthFinding>,
}

/// Figures of a [`Snapshot`](crate::status::Snapshot).
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Figures {
    /// Share of the time that is spent computing.
    pub load: f64,
    /// Microseconds of computing a pulse, on average.
    pub us_per_pulse: Option<f64>,
    /// Gaps in the stream.
    pub n_gaps: u64,
    /// Samples that were dropped.
    pub n_dropped: u64,
    /// Samples at full scale.
    pub n_clipped: u64,
}

/// What the health message means.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct HealthFinding {
    /// `good`, `note` or `problem`.
    pub weight: String,
    /// What there is.
    pub words: String,
    /// What to do about it; empty if nothing is to be done.
    pub advice: String,
}

impl Message {
    /// The message of a line.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn read(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }
}

impl From<&Scale> for Bands {
    fn from(scale: &Scale) -> Self {
        Bands {
            n_mels: scale.n_mels,
            pulse_frames: scale.pulse_frames,
            pulse_s: scale.pulse_s,
            centres_hz: scale.centres_hz.clone(),
            floor_db: scale.floor_db,
            step_db: scale.step_db,
        }
    }
}

impl PulseMessage {
    fn new(index: usize, source: &ShownSource, pulse: &crate::live::Pulse) -> Self {
        let tenths = |db: f32| (db * 10.0).round() / 10.0;
        let thousandths = |score: f32| (score * 1e3).round() / 1e3;
        let mut likely: Vec<(usize, f32)> =
            pulse.scores.iter().copied().enumerate().filter(|(_, score)| *score >= MIN_SCORE).collect();
        likely.sort_by(|a, b| b.1.total_cmp(&a.1));
        likely.truncate(MAX_LIKELY);
        PulseMessage {
            source: index,
            seq: pulse.seq,
            at_ms: source.shared.clock.wall_time(pulse.t_s).as_millisecond(),
            columns: STANDARD.encode(&pulse.columns),
            rms_dbfs: tenths(pulse.level.rms_dbfs),
            peak_dbfs: pulse.level.peak_dbfs.map(tenths),
            n_clipped: pulse.level.n_clipped,
            likely: likely.into_iter().map(|(class_id, score)| (class_id, thousandths(score))).collect(),
        }
    }

    /// Those that have come to `viewers`, one per source, since the last time.
    pub(crate) fn new_ones(sources: &[ShownSource], viewers: &[Viewer]) -> Vec<PulseMessage> {
        let mut pulses = Vec::new();
        for (index, (viewer, source)) in viewers.iter().zip(sources).enumerate() {
            let waiting = std::iter::from_fn(|| viewer.try_next());
            pulses.extend(waiting.map(|pulse| PulseMessage::new(index, source, &pulse)));
        }
        pulses
    }

    /// Bytes of the log-mel frames; `None` if they are not readable.
    pub fn columns(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.columns).ok()
    }

    /// How loud it was.
    pub fn level(&self) -> Level {
        Level { rms_dbfs: self.rms_dbfs, peak_dbfs: self.peak_dbfs, n_clipped: self.n_clipped }
    }
}

/// A threshold as people write it.
pub fn rounded(threshold: f32) -> f64 {
    (f64::from(threshold) * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::WorkerShared;

    #[test]
    fn a_pulse_is_read_as_it_was_written() {
        let source = ShownSource { name: "ear".into(), description: "a test".into(), shared: WorkerShared::of("ear") };
        let level = Level { rms_dbfs: -20.04, peak_dbfs: Some(-3.0), n_clipped: 2 };
        let scores = [0.01, 0.5, 0.0, 0.9].into();
        let heard = crate::live::Pulse { seq: 7, t_s: 0.56, columns: [0, 1, 255].into(), level, scores };
        let line = serde_json::to_string(&Message::Pulses(vec![PulseMessage::new(0, &source, &heard)])).unwrap();
        assert!(line.starts_with("{\"pulses\":[{\"source\":0,\"seq\":7,"), "{line}");
        let Ok(Message::Pulses(pulses)) = Message::read(&line) else { panic!("{line}") };
        let [pulse] = pulses.as_slice() else { panic!("{line}") };
        assert_eq!(pulse.columns().as_deref(), Some([0, 1, 255].as_slice()));
        assert_eq!(pulse.level(), Level { rms_dbfs: -20.0, ..level });
        assert_eq!(pulse.likely, [(3, 0.9), (1, 0.5)]);
        assert!(Message::read("{\"pulse\":[]}").is_err() && Message::read("").is_err());
    }
}

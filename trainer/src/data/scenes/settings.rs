//! The settings of a scene.
//!
//! Enters: numbers from the command line or a caller. Leaves: checked [`SceneSettings`].

use super::Span;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The settings of a scene. A [`Span`] is drawn from: once at the start of the scene where the
/// field says "once a scene", and for every sound where it says "for each sound".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SceneSettings {
    /// Length.
    pub seconds: f64,
    /// Sounds with a label a minute, once a scene; 0 for a scene without truth.
    pub events_a_minute: Span,
    /// Share of these that overlap another one, 0 to 1, once a scene.
    pub overlap: Span,
    /// Sounds without a label a minute, once a scene.
    pub unknown_a_minute: Span,
    /// Whether sounds that do not fit into the time are left out; else they are an error.
    pub as_many_as_fit: bool,
    /// Which those are.
    pub unknown: Unknown,
    /// RMS of a sound where it is active over that of the background there, both broadband and
    /// unweighted; for each sound.
    pub snr_db: Span,
    /// Longer sounds are cut to this.
    pub max_event_s: f64,
    /// Share of the scenes in a measured room, where the pool has any.
    pub measured_rooms: f64,
    /// Reverberation time at 1 kHz of the other rooms, once a scene; 0 for no room.
    pub reverb_s: Span,
    /// Distance from source to microphone, for each sound.
    pub distance_m: Span,
    /// RMS of the background, once a scene.
    pub background_dbfs: Span,
    /// Standard deviation of slow swells of the background, within some seconds, as of traffic and
    /// wind; once a scene.
    #[serde(skip_serializing_if = "is_no_span")]
    pub swell_db: Span,
    /// The microphone.
    pub microphone: MicrophoneSettings,
    /// Share of the scenes in which clips follow one another as they are recorded: without room,
    /// background, microphone and overlap.
    #[serde(skip_serializing_if = "is_none")]
    pub as_recorded: f64,
}

/// Settings without it are those of versions that did not know it.
fn is_none(share: &f64) -> bool {
    *share == 0.0
}

fn is_no_span(span: &Span) -> bool {
    *span == Span::only(0.0)
}

/// What a scene's microphone may be like; everything is drawn once a scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MicrophoneSettings {
    /// Standard deviation of a smooth random frequency response; 0 for a flat one.
    pub eq_db: f64,
    /// -3 dB point of the low cut, second order.
    pub low_cut_hz: Span,
    /// -3 dB point of the high cut, second order.
    pub high_cut_hz: Span,
    /// RMS of its own white noise.
    pub noise_dbfs: Span,
    /// Level at which it clips; 0 is the converter's full scale.
    pub clip_dbfs: Span,
}

/// Sounds that no class should claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// All generated kinds, and the pool's recordings.
    All,
    /// The generated kinds that trainings may use, and the pool's recordings.
    Seen,
    /// The generated kinds that no training uses ([`sounds::Sound::is_reserved`]), and the pool's
    /// recordings.
    Unseen,
    /// Only the pool's recordings.
    Recorded,
}

impl Default for SceneSettings {
    fn default() -> Self {
        Self {
            seconds: 600.0,
            events_a_minute: Span::only(6.0),
            overlap: Span::only(0.0),
            unknown_a_minute: Span::only(0.0),
            as_many_as_fit: false,
            unknown: Unknown::All,
            snr_db: Span::only(10.0),
            max_event_s: 10.0,
            measured_rooms: 0.5,
            reverb_s: Span::new(0.2, 0.6),
            distance_m: Span::new(0.5, 3.0),
            background_dbfs: Span::new(-60.0, -45.0),
            swell_db: Span::only(0.0),
            microphone: MicrophoneSettings::default(),
            as_recorded: 0.0,
        }
    }
}

impl Default for MicrophoneSettings {
    fn default() -> Self {
        Self {
            eq_db: 3.0,
            low_cut_hz: Span::new(30.0, 120.0),
            high_cut_hz: Span::new(8000.0, 12_000.0),
            noise_dbfs: Span::new(-80.0, -65.0),
            clip_dbfs: Span::only(0.0),
        }
    }
}

impl SceneSettings {
    /// The settings of a scene in which clips are as they are recorded. The background, 90 dB below
    /// full scale, gives them their level.
    pub(super) fn of_recordings(&self) -> Self {
        Self {
            overlap: Span::only(0.0),
            snr_db: Span::new(45.0, 60.0),
            measured_rooms: 0.0,
            reverb_s: Span::only(0.0),
            background_dbfs: Span::only(-90.0),
            swell_db: Span::only(0.0),
            microphone: MicrophoneSettings {
                eq_db: 0.0,
                low_cut_hz: Span::only(10.0),
                high_cut_hz: Span::only(24_000.0),
                noise_dbfs: Span::only(-120.0),
                clip_dbfs: Span::only(0.0),
            },
            ..self.clone()
        }
    }

    /// Checks every value, for a scene of `sample_rate`.
    ///
    /// # Errors
    ///
    /// If one is out of range; the message names it.
    pub fn check(&self, sample_rate: u32) -> Result<()> {
        let nyquist_hz = f64::from(sample_rate) / 2.0;
        let microphone = &self.microphone;
        check("seconds", Span::only(self.seconds), Span::new(10.0, 6.0 * 3600.0))?;
        check("events_a_minute", self.events_a_minute, Span::new(0.0, 600.0))?;
        check("unknown_a_minute", self.unknown_a_minute, Span::new(0.0, 600.0))?;
        check("overlap", self.overlap, Span::new(0.0, 1.0))?;
        check("snr_db", self.snr_db, Span::new(-20.0, 60.0))?;
        check("max_event_s", Span::only(self.max_event_s), Span::new(0.1, 600.0))?;
        check("measured_rooms", Span::only(self.measured_rooms), Span::new(0.0, 1.0))?;
        check("reverb_s", self.reverb_s, Span::new(0.0, 5.0))?;
        check("as_recorded", Span::only(self.as_recorded), Span::new(0.0, 1.0))?;
        check("distance_m", self.distance_m, Span::new(0.1, 10.0))?;
        check("background_dbfs", self.background_dbfs, Span::new(-90.0, -10.0))?;
        check("swell_db", self.swell_db, Span::new(0.0, 12.0))?;
        check("eq_db", Span::only(microphone.eq_db), Span::new(0.0, 12.0))?;
        check("low_cut_hz", microphone.low_cut_hz, Span::new(10.0, 1000.0))?;
        check("high_cut_hz", microphone.high_cut_hz, Span::new(1000.0, nyquist_hz.max(24_000.0)))?;
        check("noise_dbfs", microphone.noise_dbfs, Span::new(-120.0, -20.0))?;
        check("clip_dbfs", microphone.clip_dbfs, Span::new(-60.0, 0.0))
    }
}

fn check(name: &str, value: Span, allowed: Span) -> Result<()> {
    // Written so that a NaN is out of range.
    if value.low >= allowed.low && value.high <= allowed.high && value.low <= value.high {
        return Ok(());
    }
    Err(Error::Usage(format!("{name} is {value}, must be within {allowed}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range_and_mistakes_are_named() {
        SceneSettings::default().check(8000).unwrap();
        let message = |change: fn(&mut SceneSettings)| {
            let mut settings = SceneSettings::default();
            change(&mut settings);
            let error = settings.check(24_000).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::Usage);
            error.to_string()
        };
        assert_eq!(message(|s| s.overlap = Span::only(1.5)), "overlap is 1.5, must be within 0..1");
        assert!(message(|s| s.seconds = f64::NAN).starts_with("seconds is NaN"));
        assert!(message(|s| s.reverb_s = Span::new(0.2, 60.0)).contains("reverb_s is 0.2..60"));
        assert!(message(|s| s.microphone.clip_dbfs = Span::only(3.0)).contains("clip_dbfs"));
        assert!(message(|s| s.snr_db = Span::new(9.0, 5.0)).contains("snr_db"));
    }
}

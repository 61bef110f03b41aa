//! From log-mel values to bytes and back to decibels.

use edge_frontend::mel::centres_hz;
use edge_frontend::{FrontendConfig, Network, Power};

/// What the bytes of a source's columns stand for, and where its bands lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Log-mel frames of a pulse.
    pub pulse_frames: usize,
    /// Bands of a frame.
    pub n_mels: usize,
    /// Length of a pulse, seconds.
    pub pulse_s: f64,
    /// Centres of the bands, Hz, the lowest first.
    pub centres_hz: Vec<f64>,
    /// What the byte 0 stands for, dB; digital silence.
    pub floor_db: f32,
    /// What a step of 1 stands for, dB.
    pub step_db: f32,
    /// From a normalised value to dB: factor and summand.
    to_db: (f32, f32),
}

impl Scale {
    /// For pulses of `network` after `frontend`: from digital silence to a sine of full scale.
    pub fn new(frontend: &FrontendConfig, network: &Network) -> Self {
        let db_per_e = match frontend.power {
            Power::Power => 10.0,
            Power::Magnitude => 20.0,
        } / std::f64::consts::LN_10;
        let floor_db = db_per_e * frontend.log_offset.ln();
        // The energy of the sine's half of the spectrum, by Parseval's theorem: squares of a Hann
        // window are 3/8 on average, those of a sine 1/2.
        let energy = frontend.n_fft as f64 * frontend.win_length as f64 * (3.0 / 8.0) / 4.0;
        let full_scale_db = 10.0 * energy.log10();
        Scale {
            pulse_frames: network.pulse_frames,
            n_mels: frontend.n_mels,
            pulse_s: network.pulse_frames as f64 * frontend.hop_seconds(),
            centres_hz: centres_hz(frontend),
            floor_db: floor_db as f32,
            step_db: ((full_scale_db - floor_db) / 255.0) as f32,
            to_db: ((f64::from(frontend.std) * db_per_e) as f32, (f64::from(frontend.mean) * db_per_e) as f32),
        }
    }

    /// The byte of a normalised log-mel value; what is beyond the scale is at its end.
    pub fn byte(&self, value: f32) -> u8 {
        let db = value * self.to_db.0 + self.to_db.1;
        // The conversion saturates, and takes what is not a number as 0.
        ((db - self.floor_db) / self.step_db).round() as u8
    }

    /// What `byte` stands for, dB of a band's energy.
    pub fn db(&self, byte: u8) -> f32 {
        self.floor_db + f32::from(byte) * self.step_db
    }
}

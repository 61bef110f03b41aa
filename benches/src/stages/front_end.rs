//! From samples to log-mel frames, as a whole and by its parts.

use std::hint::black_box;

use edge_frontend::log_scale::LogScale;
use edge_frontend::mel::MelBank;
use edge_frontend::spectrum::Spectrum;
use edge_frontend::{FrontendConfig, LogMel, Resampler};

use crate::Stage;
use crate::input::{Pieces, home, scene};

/// Frames of the parts of the front end, spread over the scene: few, because in the daemon each
/// part finds the frame in the caches, where the part before has left it.
const N_FRAMES: usize = 16;

pub(crate) fn resample(from_hz: u32) -> Stage {
    let mut seconds = Pieces::of(scene(from_hz), from_hz as usize);
    let mut resampler = Resampler::new(from_hz, 24_000).expect("a usual rate");
    Stage::new(move || {
        resampler.process(seconds.next(), |block| {
            black_box(block);
        });
    })
}

/// Window, transform and power of one frame.
pub(crate) fn stft() -> Stage {
    let config = home().manifest.frontend;
    let mut frames = Pieces::of(frames(&config), config.win_length);
    let mut spectrum = Spectrum::new(&config);
    Stage::new(move || {
        black_box(spectrum.apply(frames.next()));
    })
}

/// The mel bands of one frame.
pub(crate) fn mel() -> Stage {
    let config = home().manifest.frontend;
    let mut spectra = Pieces::of(spectra(&config), config.n_fft / 2 + 1);
    let bank = MelBank::new(&config);
    let mut bands = vec![0.0; config.n_mels];
    Stage::new(move || {
        bank.apply(spectra.next(), &mut bands);
        black_box(&bands);
    })
}

/// The scaled logarithms of one frame's bands.
pub(crate) fn log() -> Stage {
    let config = home().manifest.frontend;
    let bank = MelBank::new(&config);
    let mut all = vec![0.0; N_FRAMES * config.n_mels];
    let spectra = spectra(&config);
    for (spectrum, bands) in spectra.chunks(config.n_fft / 2 + 1).zip(all.chunks_mut(config.n_mels)) {
        bank.apply(spectrum, bands);
    }
    let mut frames = Pieces::of(all, config.n_mels);
    let scale = LogScale::new(&config);
    let mut bands = vec![0.0; config.n_mels];
    Stage::new(move || {
        bands.copy_from_slice(frames.next());
        scale.apply(&mut bands);
        black_box(&bands);
    })
}

/// A hop of samples to one log-mel frame.
pub(crate) fn log_mel() -> Stage {
    let config = home().manifest.frontend;
    let mut hops = Pieces::of(scene(config.sample_rate), config.hop_length);
    let mut stage = LogMel::new(&config).expect("the model's own front end");
    Stage::new(move || {
        stage.process(hops.next(), |frame| {
            black_box(frame);
        });
    })
}

/// The samples of [`N_FRAMES`] frames, `(N_FRAMES, win_length)`.
fn frames(config: &FrontendConfig) -> Vec<f32> {
    let scene = scene(config.sample_rate);
    let step = (scene.len() - config.win_length) / N_FRAMES;
    (0..N_FRAMES).flat_map(|at| scene[at * step..at * step + config.win_length].to_vec()).collect()
}

/// The spectra of [`frames`].
fn spectra(config: &FrontendConfig) -> Vec<f32> {
    let mut spectrum = Spectrum::new(config);
    frames(config).chunks(config.win_length).flat_map(|frame| spectrum.apply(frame).to_vec()).collect()
}

//! What a network's outputs over a clip stand for, and which of them count.

use std::borrow::Cow;
use std::ops::Range;

use edge_frontend::{FrontendConfig, Network, NetworkKind, Power};

/// Outputs of a streaming network that hear nothing within this of the loudest of the clip do not
/// count for what the clip is: they are the silence around a short sound. On ESC-10, whose clips
/// are padded with silence, this gained 10 points among all classes.
const QUIET_DB: f64 = 30.0;

/// The frames that a network's first output stands for, in frames of its input; each
/// further output's are a pulse later. Without a look-ahead an output stands for its whole
/// receptive field; with one, for the pulse of frames around the middle of its slot
/// ([`Network::slot_frames`]), to the nearest whole frame and as far as they lie in its field.
pub fn frames_of_output(frontend: &FrontendConfig, network: &Network) -> Range<usize> {
    if network.lookahead_ms.is_none() {
        return 0..network.receptive_field_frames;
    }
    // A pulse of p frames from frame k on has its middle at k + (p - 1) / 2, counted as slot_frames
    // counts.
    let start = network.slot_frames(frontend) - (network.pulse_frames as f64 - 1.0) / 2.0;
    let field = network.receptive_field_frames;
    let start = (start.round().max(0.0) as usize).min(field - 1);
    start..(start + network.pulse_frames).min(field)
}

/// A clip's log-mel `frames`, `(n_frames, n_mels)` row-major, with the silence around them that a
/// network with a look-ahead needs: its first output stands for the first pulse of frames
/// of the clip, and its last for the last one, of which at least half must be there; a clip of less
/// has one output. All other networks get the clip as it is.
pub fn surrounded<'a>(frontend: &FrontendConfig, network: &Network, frames: &'a [f32]) -> Cow<'a, [f32]> {
    if network.lookahead_ms.is_none() {
        return Cow::Borrowed(frames);
    }
    let (n_mels, pulse) = (frontend.n_mels, network.pulse_frames);
    let n_before = frames_of_output(frontend, network).start;
    let n_outputs = n_outputs(network, frames.len() / n_mels);
    let n_frames = network.receptive_field_frames + (n_outputs - 1) * pulse;
    let mut around = vec![frontend.silence(); n_before * n_mels];
    around.extend_from_slice(frames);
    around.resize(n_frames * n_mels, frontend.silence());
    Cow::Owned(around)
}

/// Outputs of a network with a look-ahead over a clip of `n_frames`: one for each pulse of which at
/// least half is there, and one for a clip of less.
pub(super) fn n_outputs(network: &Network, n_frames: usize) -> usize {
    ((n_frames + network.pulse_frames / 2) / network.pulse_frames).max(1)
}

/// The outputs of a network over its input `frames`, `(n_frames, n_mels)` row-major, in
/// order, that stand for a sound: what they stand for ([`frames_of_output`]) is at most 30 dB
/// quieter than the loudest of them. At least one where the input is as long as the receptive
/// field.
pub fn loud_outputs(frontend: &FrontendConfig, network: &Network, frames: &[f32]) -> Vec<usize> {
    loud(frontend, &levels(frontend, network, frames))
}

/// Whether the outputs of a network stand for slots of time, and not each for the whole sound.
pub(super) fn is_of_slots(network: &Network) -> bool {
    network.kind == NetworkKind::Stream || network.lookahead_ms.is_some()
}

/// How loud what each output stands for is: a sum of powers or magnitudes, by what the front end
/// gives.
pub(super) fn levels(frontend: &FrontendConfig, network: &Network, frames: &[f32]) -> Vec<f64> {
    // The offset of the logarithm stays in: of digital silence alone, all is equally loud.
    let level = |frame: &[f32]| frame.iter().map(|&v| f64::from(v * frontend.std + frontend.mean).exp()).sum::<f64>();
    let levels: Vec<f64> = frames.chunks_exact(frontend.n_mels).map(level).collect();
    let heard = frames_of_output(frontend, network);
    let fields = levels.windows(network.receptive_field_frames).step_by(network.pulse_frames);
    fields.map(|field| field[heard.clone()].iter().sum()).collect()
}

/// Those of outputs with these `levels` that stand for a sound.
pub(super) fn loud(frontend: &FrontendConfig, levels: &[f64]) -> Vec<usize> {
    let decibels_a_power = match frontend.power {
        Power::Power => 10.0,
        Power::Magnitude => 20.0,
    };
    let loudest = levels.iter().copied().fold(0.0, f64::max);
    let quiet = loudest * 10f64.powf(-QUIET_DB / decibels_a_power);
    (0..levels.len()).filter(|&at| levels[at] >= quiet).collect()
}

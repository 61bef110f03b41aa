//! The chain, and in `worker` the worker, with an engine of a few lines, whose answer can be
//! calculated by hand: a pulse is "loud" or it is not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use edge_frontend::{
    Activation, DataNotes, Decision, Files, FrontendConfig, Manifest, ModelFile, Network, NetworkKind, Smoothing,
};
use proptest::prelude::*;

use super::pump::MAX_MAGNITUDE;
use super::*;
use crate::capture::{Content, FileSpec, Session, SourceOptions, SourceSpec, start};
use crate::decide::Rules;
use crate::engine::{Engine, Precision};
use crate::event::Phase;

mod worker;

const PULSE_FRAMES: usize = 8;
const FIELD_FRAMES: usize = 20;
const RATE: u32 = 24_000;

/// Logits (quiet, loud) from the mean log-mel of the receptive field's frames.
struct Loudness {
    n_mels: usize,
    means: VecDeque<f32>,
}

impl Engine for Loudness {
    fn n_classes(&self) -> usize {
        2
    }

    fn n_mels(&self) -> usize {
        self.n_mels
    }

    fn pulse_frames(&self) -> usize {
        PULSE_FRAMES
    }

    fn receptive_field_frames(&self) -> usize {
        FIELD_FRAMES
    }

    fn output_delay(&self) -> usize {
        FIELD_FRAMES.div_ceil(PULSE_FRAMES) - 1
    }

    fn push(&mut self, frames: &[f32], logits: &mut [f32]) -> Result<bool> {
        self.means.extend(frames.chunks_exact(self.n_mels).map(|f| f.iter().sum::<f32>() / self.n_mels as f32));
        if self.means.len() < FIELD_FRAMES {
            return Ok(false);
        }
        let mean = self.means.iter().take(FIELD_FRAMES).sum::<f32>() / FIELD_FRAMES as f32;
        self.means.drain(..PULSE_FRAMES);
        logits.copy_from_slice(&[0.0, 4.0 * (mean + 6.0)]);
        Ok(true)
    }

    fn clip_logits(&mut self, _: &[f32]) -> Result<Vec<f32>> {
        unreachable!("a chain has no clips")
    }

    fn reset(&mut self) -> Result<()> {
        self.means.clear();
        Ok(())
    }

    fn another(&self) -> Result<Box<dyn Engine>> {
        Ok(Box::new(Loudness { n_mels: self.n_mels, means: VecDeque::new() }))
    }

    fn precision(&self) -> Precision {
        Precision::F32
    }
}

fn session(sample_rate: u32, content: Content, reader: crate::ring::Reader) -> Session {
    Session { sample_rate, content, description: String::new(), reader, balance: None }
}

fn manifest() -> Manifest {
    let frontend = FrontendConfig::student();
    let file = ModelFile { path: "model.onnx".to_string(), sha256: "0".repeat(64) };
    Manifest {
        manifest_version: 1,
        name: "loudness".to_string(),
        version: "1.0.0".to_string(),
        labels: vec!["quiet".to_string(), "loud".to_string()],
        background: Some("quiet".to_string()),
        frontend_hash: frontend.hash(),
        frontend,
        network: Network {
            kind: NetworkKind::Stream,
            pulse_frames: PULSE_FRAMES,
            receptive_field_frames: FIELD_FRAMES,
            output_delay: FIELD_FRAMES.div_ceil(PULSE_FRAMES) - 1,
            activation: Activation::Softmax,
            lookahead_ms: None,
        },
        files: Files { f32: file, int8: None },
        decision: Decision {
            temperature: 1.0,
            smoothing: Smoothing::Mean,
            min_energy: None,
            max_duration_ms: 3_600_000,
            window_ms: 240,
            threshold_on: 0.6,
            threshold_off: 0.4,
            min_duration_ms: 0,
            min_gap_ms: 0,
            cooldown_ms: 0,
            classes: Default::default(),
        },
        metrics: Default::default(),
        data: DataNotes { training: "none".to_string(), licence: "none".to_string() },
    }
}

fn chain(sample_rate: u32) -> (Chain, Arc<Status>) {
    gated_chain(sample_rate, None)
}

/// With a level gate, dBFS.
fn gated_chain(sample_rate: u32, level_gate_dbfs: Option<f32>) -> (Chain, Arc<Status>) {
    let manifest = manifest();
    let status = Arc::new(Status::default());
    let engine = Loudness { n_mels: manifest.frontend.n_mels, means: VecDeque::new() };
    let rules = Rules { level_gate_dbfs, ..Rules::new(&manifest, &manifest.decision) };
    (Chain::new(&manifest, rules, Box::new(engine), sample_rate, status.clone()).unwrap(), status)
}

/// What a worker shares, with this status.
fn of(status: &Arc<Status>) -> WorkerShared {
    WorkerShared { status: status.clone(), ..WorkerShared::of("ear") }
}

/// Deterministic noise in [-0.5, 0.5].
fn noise(n: usize) -> Vec<f32> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..n).map(|_| next()).collect()
}

/// `n` samples at `rate`, loud in the given spans of seconds.
fn scene(rate: u32, seconds: f64, loud: &[(f64, f64)]) -> Vec<f32> {
    let mut samples = noise((seconds * f64::from(rate)) as usize);
    for (n, x) in samples.iter_mut().enumerate() {
        let t = n as f64 / f64::from(rate);
        if !loud.iter().any(|&(from, to)| t >= from && t < to) {
            *x *= 1e-4;
        }
    }
    samples
}

/// (onset, offset) of all events; every onset must have come before its offset.
fn events(transitions: &[Transition]) -> Vec<(f64, f64)> {
    let mut open = None;
    let mut events = Vec::new();
    for transition in transitions {
        match transition.phase {
            Phase::Onset => assert!(open.replace(transition.t_onset_s).is_none(), "two onsets in a row"),
            Phase::Offset => {
                assert_eq!(open.take(), Some(transition.t_onset_s), "an offset belongs to its onset");
                events.push((transition.t_onset_s, transition.t_offset_s.unwrap()));
            }
        }
    }
    assert_eq!(open, None, "every onset gets its offset");
    events
}

fn assert_near(actual: &[(f64, f64)], expected: &[(f64, f64)], tolerance_s: f64) {
    assert_eq!(actual.len(), expected.len(), "{actual:?}");
    for ((on, off), (on_expected, off_expected)) in actual.iter().zip(expected) {
        assert!((on - on_expected).abs() <= tolerance_s, "{actual:?}");
        assert!((off - off_expected).abs() <= tolerance_s, "{actual:?}");
    }
}

fn recognise(rate: u32, samples: &[f32]) -> Vec<Transition> {
    recognise_gated(rate, None, samples)
}

fn recognise_gated(rate: u32, level_gate_dbfs: Option<f32>, samples: &[f32]) -> Vec<Transition> {
    let (mut chain, _) = gated_chain(rate, level_gate_dbfs);
    let mut all = Vec::new();
    chain.push(samples).unwrap();
    chain.finish().unwrap();
    all.extend(chain.transitions());
    all
}

#[test]
fn events_lie_where_the_sound_is_at_any_rate() {
    for rate in [8_000, 16_000, 24_000, 44_100, 48_000, 192_000] {
        let samples = scene(rate, 6.0, &[(2.0, 3.5), (4.8, 5.2)]);
        assert_near(&events(&recognise(rate, &samples)), &[(2.0, 3.5), (4.8, 5.2)], 0.12);
    }
}

#[test]
fn no_pulse_comes_before_the_time_that_the_chain_names_nor_long_after() {
    for rate in [8_000, 24_000, 44_100, 48_000] {
        let (mut chain, status) = chain(rate);
        let block = rate as usize / 1_000;
        let samples = noise(rate as usize);
        let mut named = chain.until_pulse().as_secs_f64();
        let (mut elapsed, mut n_pulses, mut n_checked) = (0.0, 0, 0);
        for block in samples.chunks(block) {
            chain.push(block).unwrap();
            elapsed += block.len() as f64 / f64::from(rate);
            let (_, n_now) = status.progress();
            if n_now == n_pulses {
                continue;
            }
            // At most one hop is not named. The first frame waits for a whole window, too, and
            // the first samples for the resampler.
            let most = named + if n_checked == 0 { 0.06 } else { 0.025 };
            assert!(elapsed > named && elapsed < most, "{rate} Hz: {elapsed} s, {named} s were named");
            (named, elapsed, n_pulses) = (chain.until_pulse().as_secs_f64(), 0.0, n_now);
            n_checked += 1;
        }
        assert!(n_checked >= 11, "{rate} Hz: {n_checked}");
    }
}

#[test]
fn a_sound_at_the_very_end_is_decided_and_ends_with_the_stream() {
    let samples = scene(RATE, 3.0, &[(2.4, 3.0)]);
    let found = events(&recognise(RATE, &samples));
    assert_near(&found, &[(2.4, 3.0)], 0.12);
    assert!(found[0].1 <= 3.0, "no event reaches beyond the end");
}

#[test]
fn a_short_gap_keeps_time() {
    let samples = scene(48_000, 6.0, &[(1.0, 2.0), (4.0, 5.0)]);
    let (mut chain, status) = chain(48_000);
    let mut all = Vec::new();
    let gap = 2.5 * 48_000.0;
    let (from, to) = (gap as usize, gap as usize + 48_001);
    chain.push(&samples[..from]).unwrap();
    chain.gap((to - from) as u64).unwrap();
    chain.push(&samples[to..]).unwrap();
    chain.finish().unwrap();
    all.extend(chain.transitions());
    assert_near(&events(&all), &[(1.0, 2.0), (4.0, 5.0)], 0.12);
    assert_eq!((status.snapshot().n_gaps, status.snapshot().n_gap_samples), (1, 48_001));
}

#[test]
fn a_long_gap_ends_what_is_open_and_keeps_time() {
    const HOUR: u64 = 3_600 * 44_100 + 17;
    let (mut chain, _) = chain(44_100);
    let mut all = Vec::new();
    chain.push(&scene(44_100, 2.0, &[(1.0, 2.0)])).unwrap();
    chain.gap(HOUR).unwrap();
    chain.push(&scene(44_100, 3.0, &[(1.0, 2.0)])).unwrap();
    chain.finish().unwrap();
    all.extend(chain.transitions());
    let behind = 2.0 + HOUR as f64 / 44_100.0;
    assert_near(&events(&all), &[(1.0, 2.0), (behind + 1.0, behind + 2.0)], 0.12);
    assert!((chain.position_s() - behind - 3.0).abs() < 1e-9);
}

/// As a microcontroller would send them.
fn frames(samples: &[f32]) -> Vec<f32> {
    edge_frontend::log_mel(&FrontendConfig::student(), samples).unwrap()
}

#[test]
fn frames_are_heard_as_their_samples_are() {
    let samples = scene(RATE, 8.0, &[(1.0, 2.0), (5.0, 6.5)]);
    let (mut chain, _) = gated_chain(48_000, Some(-30.0));
    let mut all = Vec::new();
    chain.resume(RATE, true, 0.0).unwrap();
    let frames = frames(&samples);
    for block in frames.chunks(64 * 7) {
        chain.push_frames(block).unwrap();
    }
    assert!((chain.position_s() - 8.0).abs() < 0.03, "{}", chain.position_s());
    // Samples come again, as from another microphone.
    chain.resume(48_000, false, 0.0).unwrap();
    let resumed_s = chain.position_s();
    chain.push(&scene(48_000, 3.0, &[(1.0, 2.0)])).unwrap();
    chain.finish().unwrap();
    all.extend(chain.transitions());
    let mut expected = events(&recognise_gated(RATE, Some(-30.0), &samples));
    assert_near(&expected, &[(1.0, 2.0), (5.0, 6.5)], 0.12);
    expected.push((resumed_s + 1.0, resumed_s + 2.0));
    assert_near(&events(&all), &expected, 0.081);
}

#[test]
fn frames_with_a_gain_are_those_of_louder_samples() {
    let samples = scene(RATE, 2.0, &[(0.5, 1.0)]);
    let (chain, _) = chain(RATE);
    let silence = (FrontendConfig::student().log_offset as f32).ln();
    for gain in [0.1, 10.0] {
        let louder: Vec<f32> = samples.iter().map(|sample| gain * sample).collect();
        let (mut amplified, expected) = (frames(&samples), frames(&louder));
        chain.amplify_frames(&mut amplified, gain);
        // Where there is sound: what is below the offset has been rounded away.
        let audible = amplified.iter().zip(&expected).filter(|(_, expected)| **expected > silence + 5.0);
        assert!(audible.clone().count() > 1_000);
        assert!(audible.into_iter().all(|(a, b)| (a - b).abs() < 0.05), "gain {gain}");
        let mut none = [silence; 64];
        chain.amplify_frames(&mut none, gain);
        assert!(none.iter().all(|value| (value - silence).abs() < 1e-4), "{none:?}");
    }
}

#[test]
fn frames_that_are_missing_keep_time() {
    const HOUR: u64 = 3_600 * RATE as u64;
    let sound = frames(&scene(RATE, 3.0, &[(1.0, 2.0)]));
    let (mut chain, _) = chain(RATE);
    let mut all = Vec::new();
    chain.resume(RATE, true, 0.0).unwrap();
    chain.push_frames(&sound).unwrap();
    let short_s = chain.position_s() + 1.0;
    chain.gap(RATE.into()).unwrap();
    chain.push_frames(&sound).unwrap();
    let long_s = chain.position_s() + 3_600.0;
    chain.gap(HOUR).unwrap();
    chain.push_frames(&sound).unwrap();
    chain.finish().unwrap();
    all.extend(chain.transitions());
    let expected = [0.0, short_s, long_s].map(|t| (t + 1.0, t + 2.0));
    assert_near(&events(&all), &expected, 0.12);
}

#[test]
fn a_session_of_frames_keeps_time_in_samples() {
    let (chain, status) = chain(48_000);
    let (sender, sessions) = channel();
    let frames = frames(&scene(RATE, 4.0, &[(1.0, 2.0)]));
    let content = Content::Frames { n_mels: 64, hop_length: 240 };
    let (mut writer, reader) = crate::ring::ring(frames.len() + 64, status.clone());
    sender.send(session(RATE, content, reader)).unwrap();
    // Half a second is missing ahead of it all, as frames.
    writer.mark_gap(64 * 50);
    frames.chunks(64).for_each(|frame| writer.write(frame));
    drop((writer, sender));
    let mut transitions = Vec::new();
    let source = Source::scripted(sessions);
    run(source, chain, &of(&status), &AtomicBool::new(false), &mut |transition| transitions.push(transition)).unwrap();
    assert_near(&events(&transitions), &[(1.5, 2.5)], 0.12);
    let snapshot = status.snapshot();
    assert_eq!((snapshot.n_samples, snapshot.n_gap_samples), (frames.len() as u64 / 64 * 240, 12_000));
    // What the last block tells is next to nothing.
    assert!((-120.0..-80.0).contains(&snapshot.level_dbfs), "{}", snapshot.level_dbfs);
}

#[test]
fn finishing_twice_and_finishing_nothing_emit_nothing() {
    let (mut chain, _) = chain(RATE);
    chain.finish().unwrap();
    assert_eq!(chain.transitions().count(), 0, "nothing was heard");
    chain.push(&scene(RATE, 2.0, &[(1.0, 2.0)])).unwrap();
    chain.finish().unwrap();
    assert_eq!(chain.transitions().count(), 2);
    chain.finish().unwrap();
    assert_eq!(chain.transitions().count(), 0, "nothing is open");
}

#[test]
fn the_engine_must_fit_the_manifest() {
    let manifest = manifest();
    let rules = Rules::new(&manifest, &manifest.decision);
    let engine = Box::new(Loudness { n_mels: 40, means: VecDeque::new() });
    let error = Chain::new(&manifest, rules.clone(), engine, RATE, Arc::default()).err().unwrap();
    assert!(error.to_string().contains("(64, 8, 2)"), "{error}");
    let engine = Box::new(Loudness { n_mels: 64, means: VecDeque::new() });
    let error = Chain::new(&manifest, rules, engine, 1, Arc::default()).err().unwrap();
    assert!(error.to_string().contains("sample rate"), "{error}");
}

#[test]
fn the_level_gate_lets_pass_what_is_loud_enough() {
    // White noise between -0.5 and 0.5 has -10.8 dBFS; half of its band is left at the model's
    // rate.
    let samples = scene(48_000, 6.0, &[(2.0, 3.5), (4.8, 5.2)]);
    let all = recognise(48_000, &samples);
    assert_eq!(recognise_gated(48_000, Some(-14.5), &samples), all);
    assert_eq!(recognise_gated(48_000, Some(-13.0), &samples), []);
    // Only the beginning has to be loud, and a sound that ends with the stream is judged by itself,
    // not by the silence after it.
    let mut fading = samples.clone();
    fading[(2.8 * 48_000.0) as usize..].iter_mut().for_each(|x| *x *= 0.25);
    let faded = events(&recognise_gated(48_000, Some(-14.5), &fading));
    assert_near(&faded, &[(2.0, 3.5)], 0.12);
    let last = scene(48_000, 3.0, &[(2.7, 3.0)]);
    assert_near(&events(&recognise_gated(48_000, Some(-14.5), &last)), &[(2.7, 3.0)], 0.12);
}

#[test]
fn a_long_gap_takes_the_level_before_it_away() {
    let (mut chain, _) = gated_chain(48_000, Some(-14.5));
    let mut all = Vec::new();
    chain.push(&scene(48_000, 2.0, &[(1.0, 2.0)])).unwrap();
    chain.gap(3 * 48_000).unwrap();
    let faint: Vec<f32> = scene(48_000, 2.0, &[(0.0, 2.0)]).iter().map(|x| x * 0.5).collect();
    chain.push(&faint).unwrap();
    chain.finish().unwrap();
    all.extend(chain.transitions());
    assert_near(&events(&all), &[(1.0, 2.0)], 0.12);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Bit for bit: the division into blocks changes nothing, with a gate that lies anywhere around
    /// the sounds' level.
    #[test]
    fn streamed_equals_batch(
        lens in proptest::collection::vec(1_usize..9_000, 1..40),
        gate in prop_oneof![Just(None), (-14.2_f32..-13.4).prop_map(Some)],
    ) {
        let samples = scene(48_000, 4.0, &[(0.7, 1.4), (2.2, 3.1)]);
        let batch = recognise_gated(48_000, gate, &samples);
        let (mut chain, _) = gated_chain(48_000, gate);
        let mut streamed = Vec::new();
        let mut rest = &samples[..];
        for len in lens.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (block, after) = rest.split_at((*len).min(rest.len()));
            chain.push(block).unwrap();
            rest = after;
        }
        chain.finish().unwrap();
        streamed.extend(chain.transitions());
        prop_assert_eq!(streamed, batch);
    }
}

#[test]
fn numbers_that_are_none_are_taken_as_silence() {
    let mut samples = [0.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.5, 1e30];
    assert_eq!(repair(&mut samples), 3);
    assert_eq!(samples, [0.5, 0.0, 0.0, 0.0, -1.5, MAX_MAGNITUDE]);
}

use edge_frontend::{FrontendConfig, Network, NetworkKind};

use super::*;

fn network() -> Network {
    Network {
        kind: NetworkKind::Stream,
        pulse_frames: 8,
        receptive_field_frames: 64,
        output_delay: 7,
        activation: edge_frontend::Activation::Sigmoid,
        lookahead_ms: None,
    }
}

fn pulse(seq: u64) -> Pulse {
    Pulse {
        seq,
        t_s: 0.0,
        columns: [0; 512].into(),
        level: Level { rms_dbfs: -20.0, peak_dbfs: None, n_clipped: 0 },
        scores: [0.0; 3].into(),
    }
}

fn seqs(viewer: &Viewer) -> Vec<u64> {
    std::iter::from_fn(|| viewer.try_next()).map(|pulse| pulse.seq).collect()
}

#[test]
fn every_viewer_sees_what_comes_while_it_looks() {
    let tap = Tap::default();
    assert!(!tap.is_watched());
    let first = tap.attach();
    tap.shared.publish(pulse(1));
    let second = tap.attach();
    tap.shared.publish(pulse(2));
    assert_eq!((seqs(&first), seqs(&second)), (vec![1, 2], vec![2]));
    drop(first);
    assert!(tap.is_watched());
    tap.shared.publish(pulse(3));
    assert_eq!(second.next(Duration::ZERO).map(|pulse| pulse.seq), Some(3));
    drop(second);
    assert!(!tap.is_watched() && tap.shared.lock().is_empty());
}

#[test]
fn a_viewer_that_takes_nothing_misses_pulses_and_holds_up_nobody() {
    let tap = Tap::default();
    let (slow, quick) = (tap.attach(), tap.attach());
    let mut seen = Vec::new();
    for seq in 0..1000 {
        tap.shared.publish(pulse(seq));
        seen.extend(seqs(&quick));
    }
    assert_eq!(seen, Vec::from_iter(0..1000));
    assert_eq!(seqs(&slow), Vec::from_iter(0..QUEUE_PULSES as u64));
}

#[test]
fn bytes_reach_from_digital_silence_to_full_scale() {
    let frontend = FrontendConfig { mean: -4.0, std: 4.8, ..FrontendConfig::student() };
    let scale = Scale::new(&frontend, &network());
    assert_eq!((scale.byte(frontend.silence()), scale.byte(-100.0), scale.byte(f32::NAN)), (0, 0, 0));
    assert_eq!((scale.n_mels, scale.pulse_frames, scale.centres_hz.len()), (64, 8, 64));
    // A sine of full scale in a band of its own.
    let samples: Vec<f32> = (0..2400).map(|n| (n as f32 * std::f32::consts::TAU / 24.0).sin()).collect();
    let frames = edge_frontend::log_mel(&frontend, &samples).unwrap();
    let loudest = frames.iter().map(|value| scale.byte(*value)).max().unwrap();
    assert!((235..=255).contains(&loudest), "{loudest}");
    for byte in [0, 100, 255] {
        let value = (scale.db(byte) / (10.0 / std::f32::consts::LN_10) + 4.0) / 4.8;
        assert_eq!(scale.byte(value), byte);
    }
}

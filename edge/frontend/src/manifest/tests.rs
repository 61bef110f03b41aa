//! What a manifest may say, and what it may not.

use super::*;
use crate::decision::{ClassDecision, Smoothing};

fn manifest() -> Manifest {
    let frontend = FrontendConfig::student();
    Manifest {
        manifest_version: MANIFEST_VERSION,
        name: "test".into(),
        version: "1.0.0".into(),
        labels: vec!["dog".into(), "rain".into(), "background".into()],
        background: Some("background".into()),
        frontend_hash: frontend.hash(),
        frontend,
        network: Network {
            kind: NetworkKind::Stream,
            pulse_frames: 8,
            receptive_field_frames: 59,
            output_delay: 7,
            activation: Activation::Softmax,
            lookahead_ms: None,
        },
        files: Files { f32: ModelFile { path: "model.onnx".into(), sha256: "0".repeat(64) }, int8: None },
        decision: Decision {
            temperature: 1.0,
            smoothing: Smoothing::Mean,
            min_energy: None,
            max_duration_ms: 60_000,
            window_ms: 1000,
            threshold_on: 0.6,
            threshold_off: 0.3,
            min_duration_ms: 160,
            min_gap_ms: 300,
            cooldown_ms: 0,
            classes: BTreeMap::from([("dog".into(), ClassDecision { threshold_on: Some(0.5), ..Default::default() })]),
        },
        metrics: BTreeMap::from([("top1".into(), 0.5)]),
        data: DataNotes { training: "procedural".into(), licence: "none".into() },
    }
}

#[test]
fn text_round_trips() {
    let text = manifest().to_toml().unwrap();
    assert_eq!(Manifest::parse(&text).unwrap(), manifest());
}

#[test]
fn a_windowed_networks_hop_can_be_replaced() {
    let network = Network { kind: NetworkKind::Window, activation: Activation::Posterior, ..manifest().network };
    for (pulse_frames, output_delay) in [(1, 58), (8, 7), (59, 0), (60, 0)] {
        let network = network.clone().with_pulse(pulse_frames);
        assert_eq!((network.pulse_frames, network.output_delay), (pulse_frames, output_delay));
        let text = Manifest { network, ..manifest() }.to_toml().unwrap();
        assert!(text.contains("kind = \"window\"") && text.contains("activation = \"posterior\""), "{text}");
        Manifest::parse(&text).unwrap();
    }
}

#[test]
fn a_slot_lies_in_the_middle_of_the_field_or_before_its_end() {
    let Manifest { frontend, mut network, .. } = manifest();
    let (hop, win) = (frontend.hop_length as f64, frontend.win_length as f64);
    assert_eq!(network.field_samples(&frontend), 58 * frontend.hop_length + frontend.win_length);
    assert_eq!(network.slot_frames(&frontend), 29.0);
    assert_eq!(network.slot_samples(&frontend), (58.0 * hop + win) / 2.0);
    // 320 ms are 32 frames of 10 ms. The middle of the last frame lies half of a window before
    // the field's end.
    network.lookahead_ms = Some(320.0);
    let expected = 58.0 - (32.0 - win / 2.0 / hop);
    assert!((network.slot_frames(&frontend) - expected).abs() < 1e-9, "{}", network.slot_frames(&frontend));
}

#[test]
fn every_contradiction_names_its_field() {
    type Spoil = fn(&mut Manifest);
    let cases: [(&str, Spoil); 21] = [
        ("manifest_version", |m| m.manifest_version = 2),
        ("labels", |m| m.labels.clear()),
        ("labels[1]", |m| m.labels[1] = "dog".into()),
        ("labels[1]", |m| m.labels[..2].clone_from_slice(&["\u{e9}".into(), "e\u{301}".into()])),
        ("labels[0]", |m| m.labels[0] = "a/b".into()),
        ("background", |m| m.background = Some("silence".into())),
        ("frontend_hash", |m| m.frontend.hop_length = 120),
        ("network.pulse_frames", |m| m.network.pulse_frames = 0),
        ("network.output_delay", |m| m.network.output_delay = 8),
        ("network.activation", |m| m.network.activation = Activation::Posterior),
        ("network.lookahead_ms", |m| m.network.lookahead_ms = Some(1000.0)),
        ("files.f32.path", |m| m.files.f32.path = "../model.onnx".into()),
        ("files.f32.sha256", |m| m.files.f32.sha256 = "abc".into()),
        ("decision.window_ms", |m| m.decision.window_ms = 0),
        ("decision.temperature", |m| m.decision.temperature = 0.0),
        ("decision.min_energy", |m| m.decision.min_energy = Some(f32::NAN)),
        ("decision.min_energy", |m| {
            m.network.activation = Activation::Sigmoid;
            m.decision.min_energy = Some(1.0);
        }),
        ("decision.max_duration_ms", |m| m.decision.max_duration_ms = 100),
        ("decision.classes.dog.window_ms", |m| {
            m.decision.classes.get_mut("dog").unwrap().window_ms = Some(60_001);
        }),
        ("decision.threshold_off", |m| m.decision.threshold_off = 0.7),
        ("decision.classes.cat", |m| {
            m.decision.classes.insert("cat".into(), ClassDecision::default());
        }),
    ];
    for (name, spoil) in cases {
        let mut spoilt = manifest();
        spoil(&mut spoilt);
        match spoilt.validate() {
            Err(Error::Manifest { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn only_the_mean_remains_of_the_smoothings() {
    let text = manifest().to_toml().unwrap();
    assert!(!text.contains("smoothing"), "{text}");
    let with = |name: &str| text.replace("[decision]\n", &format!("[decision]\nsmoothing = {name:?}\n"));
    assert_eq!(Manifest::parse(&with("mean")).unwrap(), manifest());
    let line = 1 + with("").lines().position(|line| line.starts_with("smoothing")).unwrap();
    for removed in ["ema", "median", "n-of-m", "max"] {
        let message = Manifest::parse(&with(removed)).unwrap_err().to_string();
        assert!(message.contains(&format!("line {line}, ")), "{message}");
        assert!(message.contains(&format!("smoothing {removed:?} is not available: only \"mean\" ")), "{message}");
        assert!(message.ends_with("(docs/experiments.md)"), "{message}");
    }
}

#[test]
fn unknown_and_missing_fields_name_their_line() {
    let text = manifest().to_toml().unwrap();
    let unknown = text.replace("hop_length", "hop_size");
    let message = Manifest::parse(&unknown).unwrap_err().to_string();
    assert!(message.contains("hop_size") && message.contains("line"), "{message}");
    let missing = text.replace("frontend_hash", "#");
    let message = Manifest::parse(&missing).unwrap_err().to_string();
    assert!(message.contains("frontend_hash"), "{message}");
}

//! Listening and replaying, with the fixtures' networks, whose answers are certain.

use std::path::Path;

use edge_evaluate::{
    Collar, Counts, N_OPERATING_POINTS, Scenario, Sound, event_based, latency, micro, operating_points, psds,
};
use edge_frontend::Decision;

use super::*;
use crate::decide::Rules;
use crate::engine::PrecisionChoice;
use crate::model::Model;

const NOISE: usize = 1;
const TONE: usize = 2;

fn sound(class_id: usize, onset_s: f64, offset_s: f64) -> Sound {
    Sound { class_id, onset_s, offset_s }
}

fn fixture(name: &str) -> Model {
    Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)).unwrap()
}

/// A recording of `seconds` with sounds at full length, silence between them.
fn write_wav(path: &Path, sample_rate: u32, seconds: f64, sounds: &[Sound]) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 32, sample_format: hound::SampleFormat::Float };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    let mut state = 1_u32;
    for at in 0..(seconds * f64::from(sample_rate)) as u32 {
        let t_s = f64::from(at) / f64::from(sample_rate);
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = match sounds.iter().find(|sound| (sound.onset_s..sound.offset_s).contains(&t_s)) {
            Some(sound) if sound.class_id == TONE => 0.3 * (t_s * 1000.0 * std::f64::consts::TAU).sin(),
            Some(_) => 0.6 * (f64::from(state >> 8) / f64::from(1 << 24) - 0.5),
            None => 0.0,
        };
        writer.write_sample(value as f32).unwrap();
    }
    writer.finalize().unwrap();
}

/// Sounds that follow each other with less and less between them; the last one is cut off by the
/// end of the recording.
fn scene() -> (f64, Vec<Sound>) {
    let sounds = vec![
        sound(TONE, 1.0, 2.0),
        sound(NOISE, 3.0, 5.0),
        sound(TONE, 5.2, 6.0),
        sound(NOISE, 6.1, 6.9),
        sound(TONE, 6.9, 8.0),
        sound(NOISE, 9.5, 10.3),
    ];
    (10.3, sounds)
}

#[test]
fn a_recording_is_heard_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.wav");
    let (seconds, sounds) = scene();
    let model = fixture("tiny");
    let rules = Rules::new(&model.manifest, &model.manifest.decision);
    for sample_rate in [24_000, 44_100] {
        write_wav(&path, sample_rate, seconds, &sounds);
        let heard = listen(&model, &rules, PrecisionChoice::F32, &path).unwrap();
        assert!((heard.duration_s - seconds).abs() < 1e-3);
        assert_eq!(heard.logits.len(), heard.n_outputs() * heard.n_classes);
        assert_eq!((heard.t_heard_s.len(), heard.level_dbfs.len()), (heard.n_outputs(), heard.n_outputs()));
        // An output comes out when its whole receptive field has been heard: 15 frames, of which
        // the last one spans 25 ms.
        let field_s = 14.0 * 0.01 + 0.025;
        for (t_start_s, t_heard_s) in heard.t_start_s.iter().zip(&heard.t_heard_s) {
            let late_s = t_heard_s - (t_start_s + field_s).min(heard.duration_s);
            assert!((0.0..0.15).contains(&late_s), "{t_start_s} is heard at {t_heard_s}");
        }
        let truth = [&sounds[..]];
        let counts = event_based(&truth, &[&heard.detections], &Collar::default(), heard.n_classes);
        assert_eq!(micro(&counts), Counts { tp: 6, fp: 0, fn_: 0 }, "{:?}", heard.detections);
        let late_s: Vec<f64> = latency(&truth, &[&heard.detections], heard.n_classes).concat();
        assert_eq!(late_s.len(), 6);
        // The mean over 400 ms has to turn, and the event to be 160 ms long.
        assert!(late_s.iter().all(|late_s| (0.16..0.6).contains(late_s)), "{late_s:?}");
        let found = &heard.detections;
        assert!(
            found.iter().all(|d| d.t_reported_s >= d.onset_s && d.t_reported_s <= heard.duration_s && d.score > 0.9)
        );
        assert!(found.iter().all(|d| d.offset_s > d.onset_s && d.offset_s <= heard.duration_s));
    }
}

#[test]
fn replayed_under_the_pipelines_rules_the_decisions_are_the_pipelines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.wav");
    let (seconds, sounds) = scene();
    let mut n_detections = 0;
    for (name, sample_rate) in [("tiny", 24_000), ("tiny", 48_000), ("tiny_window", 44_100)] {
        write_wav(&path, sample_rate, seconds, &sounds);
        let model = fixture(name);
        for (window_ms, threshold_on, max_duration_ms) in [(400, 0.6, 60_000), (80, 0.95, 400), (960, 0.3, 700)] {
            let decision = Decision {
                window_ms,
                threshold_on,
                threshold_off: 0.5 * threshold_on,
                max_duration_ms,
                ..model.manifest.decision.clone()
            };
            let rules = Rules { level_gate_dbfs: Some(-60.0), ..Rules::new(&model.manifest, &decision) };
            let heard = listen(&model, &rules, PrecisionChoice::F32, &path).unwrap();
            assert_eq!(decide(&rules, &heard), heard.detections, "{name}, {window_ms} ms");
            n_detections += heard.detections.len();
            let same = listen(&model, &at_threshold(&rules, 0.5), PrecisionChoice::F32, &path).unwrap();
            assert_eq!(
                decide(&at_threshold(&rules, 0.5), &heard),
                same.detections,
                "under rules it was not heard with"
            );
        }
    }
    assert!(n_detections > 25, "{n_detections} in 9 recordings");
}

#[test]
fn a_sweep_replays_every_threshold() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.wav");
    let (seconds, sounds) = scene();
    write_wav(&path, 24_000, seconds, &sounds);
    let model = fixture("tiny");
    let rules = Rules::new(&model.manifest, &model.manifest.decision);
    let heard = [listen(&model, &rules, PrecisionChoice::F32, &path).unwrap()];
    let points = sweep(&rules, &heard);
    assert_eq!(points.len(), N_OPERATING_POINTS);
    for (threshold, point) in operating_points().zip(&points) {
        let rules = at_threshold(&rules, threshold);
        let class = rules.classes[TONE].unwrap();
        assert!((class.threshold_off / class.threshold_on - 0.4 / 0.6).abs() < 1e-6);
        assert_eq!(point, &[decide(&rules, &heard[0])], "{threshold}");
    }
    assert!(psds(&[&sounds], &points, &[heard[0].duration_s], &Scenario::TWO, 3).unwrap().value > 0.99);
}

#[test]
fn a_recording_without_sounds_is_heard_without_events() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("silence.wav");
    write_wav(&path, 24_000, 2.0, &[]);
    let model = fixture("tiny");
    let rules = Rules::new(&model.manifest, &model.manifest.decision);
    let heard = listen(&model, &rules, PrecisionChoice::F32, &path).unwrap();
    assert_eq!((heard.detections, heard.duration_s), (vec![], 2.0));
}

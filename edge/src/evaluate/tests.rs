//! Listening, replaying and reading truth, with the fixtures' networks, whose answers are certain.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use edge_frontend::Decision;

use super::testing::sound;
use super::*;
use crate::Error;
use crate::decide::Rules;
use crate::engine::PrecisionChoice;
use crate::model::Model;

const NOISE: usize = 1;
const TONE: usize = 2;

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

/// Sounds that follow each other with less and less between them; the last one is cut off by the end of the recording.
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
        // An output comes out when its whole receptive field has been heard: 15 frames, of which the last one spans 25 ms.
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

fn read(text: &str, unknown: UnknownLabels) -> crate::Result<Truth> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene.csv");
    fs::write(&path, text).unwrap();
    truth(&path, &fixture("tiny").manifest, unknown)
}

#[test]
fn truth_is_read_in_the_order_of_time() {
    let text =
        "\u{feff}label, note ,offset_s,onset_s\r\ntone,a,3.5,2\r\nnoise,\"b, c\", 1.25 ,0\r\nbackground,,9,8\r\n";
    let expected = Truth { sounds: vec![sound(NOISE, 0.0, 1.25), sound(TONE, 2.0, 3.5)], unknown: BTreeMap::new() };
    assert_eq!(read(text, UnknownLabels::Refuse).unwrap(), expected);
    assert_eq!(read("onset_s,offset_s,label\n", UnknownLabels::Refuse).unwrap(), Truth::default());
}

#[test]
fn truth_ends_with_its_recording() {
    let sounds = read("onset_s,offset_s,label\n1,2,tone\n3,5,tone\n", UnknownLabels::Refuse).unwrap();
    let path = Path::new("scene.csv");
    assert_eq!(sounds.clone().within(4.0, path).unwrap().sounds, [sound(TONE, 1.0, 2.0), sound(TONE, 3.0, 4.0)]);
    let refusal = sounds.within(3.0, path).unwrap_err().to_string();
    assert_eq!(refusal, "scene.csv: onset_s: a sound begins at 3 s, the recording ends at 3 s");
}

#[test]
fn unknown_labels_are_refused_or_counted() {
    let text = "onset_s,offset_s,label\n1,2,tone\n2,3,kettle\n3,4,bell\n4,5,kettle\n";
    let refusal = read(text, UnknownLabels::Refuse).unwrap_err().to_string();
    assert!(refusal.ends_with("scene.csv:3: label: the model tiny has no label \"bell\", \"kettle\""), "{refusal}");
    let read = read(text, UnknownLabels::LeaveOut).unwrap();
    assert_eq!(read.sounds, [sound(TONE, 1.0, 2.0)]);
    assert_eq!(read.unknown, BTreeMap::from([("bell".to_string(), 1), ("kettle".to_string(), 2)]));
}

#[test]
fn truth_that_makes_no_sense_is_refused_with_its_place() {
    let cases = [
        ("", ":1: onset_s: column is missing; there is \"\""),
        ("onset;offset;label\n", ":1: onset_s: column is missing; there is \"onset;offset;label\""),
        ("onset_s,offset_s\n1,2\n", ":1: label: column is missing; there is \"onset_s,offset_s\""),
        (
            "onset_s,offset_s,label\n1,2,tone\n1,x,tone\n",
            ":3: offset_s: expected seconds from the recording's start, actual \"x\"",
        ),
        (
            "onset_s,offset_s,label\n-1,2,tone\n",
            ":2: onset_s: expected seconds from the recording's start, actual \"-1\"",
        ),
        (
            "onset_s,offset_s,label\n1,inf,tone\n",
            ":2: offset_s: expected seconds from the recording's start, actual \"inf\"",
        ),
        ("onset_s,offset_s,label\n3,2,tone\n", ":2: offset_s: expected above onset_s (3), actual 2"),
        ("onset_s,offset_s,label\n2,2,tone\n", ":2: offset_s: expected above onset_s (2), actual 2"),
        ("onset_s,offset_s,label\n1,2\n", ":2: expected 3 values as in the header, actual 2"),
    ];
    for (text, end) in cases {
        let error = read(text, UnknownLabels::Refuse).unwrap_err();
        assert!(error.to_string().ends_with(&format!("scene.csv{end}")), "{error}");
        assert_eq!(error.kind().exit_code(), 2);
    }
    let missing = truth(Path::new("/no/such.csv"), &fixture("tiny").manifest, UnknownLabels::Refuse).unwrap_err();
    assert!(matches!(missing, Error::Truth { .. }) && missing.to_string().starts_with("/no/such.csv: No such file"));
}

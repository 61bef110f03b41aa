//! Claim: `earwitness evaluate` measures what sed_eval, psds_eval and a plain implementation of
//! mean average precision measure, on the same files.
//!
//! Needs the Python of `reference/requirements.txt`, which `make test` installs.

#![allow(clippy::unwrap_used)]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use edge::model::Model;
use edge_evaluate::{
    Collar, Counts, Detection, Scenario, Sound, TIOU_THRESHOLDS, UnknownLabels, event_based, macro_f1, micro, psds,
    segment_based, tiou_map, truth,
};
use edge_frontend::Manifest;
use serde_json::{Value, json};
use tests::tiny;

const LABELS: [&str; 6] = ["bell", "door", "kettle", "mixer", "tap", "background"];
const N_CLASSES: usize = LABELS.len();
const BACKGROUND: usize = 5;
const N_POINTS: usize = 12;
const TOLERANCE: f64 = 1e-9;

/// Splitmix64: the same cases on every machine.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }
}

struct Recording {
    duration_s: f64,
    truth: Vec<Sound>,
    detections: Vec<Detection>,
    points: Vec<Vec<Detection>>,
}

/// What times are multiples of, seconds. A grid makes limits be hit exactly.
#[derive(Clone, Copy)]
struct Grid(f64);

impl Grid {
    fn at(self, t_s: f64) -> f64 {
        (t_s / self.0).round() * self.0
    }

    fn extent(self, onset_s: f64, offset_s: f64) -> (f64, f64) {
        let onset_s = self.at(onset_s.max(0.0));
        (onset_s, self.at(offset_s).max(onset_s + self.0))
    }
}

/// Sounds, some of them overlapping others of their class or of another, and detections: right
/// ones, inexact ones, of another class, several of one sound, and of nothing.
fn recording(random: &mut Random, grid: Grid, n_sounds: usize, n_false: usize, classes: &[usize]) -> Recording {
    let duration_s = random.between(200.0, 400.0);
    let mut truth = Vec::new();
    let mut detections: Vec<Detection> = Vec::new();
    let mut detect = |random: &mut Random, class_id: usize, onset_s: f64, offset_s: f64| {
        let (onset_s, offset_s) = grid.extent(onset_s, offset_s.min(duration_s));
        let score = random.unit() as f32;
        detections.push(Detection { class_id, onset_s, offset_s, score, t_reported_s: onset_s });
    };
    for _ in 0..n_sounds {
        let start_s = random.between(0.0, duration_s - 12.0);
        let length_s = random.between(0.1, 10.0);
        let (onset_s, offset_s) = grid.extent(start_s, start_s + length_s);
        let class_id = classes[random.below(classes.len())];
        truth.push(Sound { class_id, onset_s, offset_s });
        for _ in 0..random.below(3) {
            let spread_s = [0.05, 0.3, 2.0][random.below(3)];
            let (early, late) = (random.between(-spread_s, spread_s), random.between(-spread_s, spread_s));
            let reported = if random.unit() < 0.2 { random.below(N_CLASSES - 1) } else { class_id };
            detect(random, reported, onset_s + early, offset_s + late);
        }
    }
    for _ in 0..n_false {
        let onset_s = random.between(0.0, duration_s - 6.0);
        let class_id = random.below(N_CLASSES - 1);
        detect(random, class_id, onset_s, onset_s + 5.0);
    }
    let point = |at: usize| {
        let kept = detections.iter().filter(|detection| detection.score as f64 >= at as f64 / N_POINTS as f64);
        // Another threshold gives other extents, too.
        kept.map(|d| Detection { offset_s: d.onset_s + (d.offset_s - d.onset_s) * (1.0 - 0.04 * at as f64), ..*d })
            .collect()
    };
    let points = (0..N_POINTS).map(point).collect();
    Recording { duration_s, truth, detections, points }
}

fn cases() -> Vec<(&'static str, Vec<Recording>)> {
    let mut random = Random(7);
    let fine = Grid(0.001);
    let all = [0, 1, 2, 3, 4];
    let mut several = |grid: Grid, classes: &[usize]| -> Vec<Recording> {
        let sizes = [(40, 10), (25, 0), (0, 15), (15, 30), (0, 0)];
        sizes.iter().map(|&(n_sounds, n_false)| recording(&mut random, grid, n_sounds, n_false, classes)).collect()
    };
    let mut cases = vec![
        ("any times", several(fine, &all)),
        ("any times again", several(fine, &all)),
        ("tenths of a second", several(Grid(0.1), &all)),
        ("twentieths of a second", several(Grid(0.05), &all)),
        ("eighths of a second", several(Grid(0.125), &all)),
        ("whole seconds", several(Grid(1.0), &all)),
        ("two classes of five", several(fine, &[1, 3])),
        ("with background", several(fine, &[0, 1, BACKGROUND])),
    ];
    let mut silent = several(fine, &all);
    for recording in &mut silent {
        recording.detections.clear();
        recording.points.iter_mut().for_each(Vec::clear);
    }
    cases.push(("nothing detected", silent));
    let mut negative = several(fine, &all);
    negative.iter_mut().for_each(|recording| recording.truth.clear());
    cases.push(("nothing there", negative));
    cases
}

fn csv(events: impl Iterator<Item = (usize, f64, f64, f32)>) -> String {
    let mut text = "onset_s,offset_s,label,score\n".to_string();
    for (class_id, onset_s, offset_s, score) in events {
        writeln!(text, "{onset_s},{offset_s},{},{score}", LABELS[class_id]).unwrap();
    }
    text
}

fn write_case(folder: &Path, recordings: &[Recording]) {
    fs::create_dir(folder).unwrap();
    let names = (0..recordings.len()).map(|at| format!("r{at}"));
    let described: Vec<Value> = names
        .zip(recordings)
        .map(|(name, recording)| {
            let sounds = recording.truth.iter().map(|s| (s.class_id, s.onset_s, s.offset_s, 0.0));
            fs::write(folder.join(format!("{name}.truth.csv")), csv(sounds)).unwrap();
            let detections =
                |detections: &[Detection]| csv(detections.iter().map(|d| (d.class_id, d.onset_s, d.offset_s, d.score)));
            fs::write(folder.join(format!("{name}.detections.csv")), detections(&recording.detections)).unwrap();
            for (at, point) in recording.points.iter().enumerate() {
                fs::write(folder.join(format!("{name}.{at}.csv")), detections(point)).unwrap();
            }
            json!({ "name": name, "duration_s": recording.duration_s })
        })
        .collect();
    let case = json!({
        "labels": LABELS,
        "background": LABELS[BACKGROUND],
        "n_points": N_POINTS,
        "recordings": described,
    });
    fs::write(folder.join("case.json"), case.to_string()).unwrap();
}

/// The Python that has the reference packages: `EARWITNESS_REFERENCE_PYTHON`, else where `make
/// test` puts it.
fn python() -> PathBuf {
    if let Some(python) = env::var_os("EARWITNESS_REFERENCE_PYTHON") {
        return python.into();
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| Path::new(&env::var_os("HOME").expect("a home")).join(".cache"));
    cache.join("earwitness/venv-reference/bin/python")
}

fn references(folders: &[PathBuf]) -> Vec<Value> {
    let python = python();
    let output = Command::new(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/evaluate.py"))
        .args(folders)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // It is the other builds' on the path that are torch's.
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap_or_else(|error| {
            panic!("{}: {error}; `make test` installs reference/requirements.txt", python.display())
        });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A manifest that gives the classes their names.
fn manifest() -> Manifest {
    let manifest = Model::load(&tiny::model()).unwrap().manifest;
    Manifest { labels: LABELS.map(str::to_string).to_vec(), background: None, ..manifest }
}

fn agree(case: &str, what: &str, actual: Option<f64>, expected: &Value) {
    match (actual, expected.as_f64()) {
        (Some(actual), Some(expected)) => {
            assert!((actual - expected).abs() < TOLERANCE, "{case}: {what}: {actual}, the reference has {expected}");
        }
        (actual, expected) => assert_eq!(actual, expected, "{case}: {what}"),
    }
}

fn agree_on_counts(case: &str, what: &str, counts: &[Counts], reference: &Value) {
    for (label, counts) in LABELS.iter().zip(counts) {
        let actual = json!([counts.tp, counts.fp, counts.fn_]);
        assert_eq!(actual, reference["counts"][label], "{case}: {what} of {label}");
        if counts.n_truth() > 0 {
            agree(case, &format!("{what} F1 of {label}"), counts.f1(), &reference["classes"][label]);
        }
    }
    agree(case, &format!("{what} F1, macro"), macro_f1(counts), &reference["macro"]);
    if micro(counts).n_truth() > 0 {
        agree(case, &format!("{what} F1, micro"), micro(counts).f1(), &reference["micro"]);
    }
}

#[test]
fn measures_agree_with_the_reference_implementations() {
    let dir = tempfile::tempdir().unwrap();
    let cases = cases();
    let folders: Vec<PathBuf> = (0..cases.len()).map(|at| dir.path().join(format!("case{at}"))).collect();
    folders.iter().zip(&cases).for_each(|(folder, (_, recordings))| write_case(folder, recordings));
    let references = references(&folders);
    assert_eq!(references.len(), cases.len());
    for (((case, recordings), folder), reference) in cases.iter().zip(&folders).zip(&references) {
        let read = |at: usize| truth(&folder.join(format!("r{at}.truth.csv")), &manifest(), UnknownLabels::Refuse);
        let sounds: Vec<Vec<Sound>> = (0..recordings.len()).map(|at| read(at).unwrap().sounds).collect();
        let detections: Vec<&[Detection]> = recordings.iter().map(|recording| &recording.detections[..]).collect();
        let duration_s: Vec<f64> = recordings.iter().map(|recording| recording.duration_s).collect();
        let event = event_based(&sounds, &detections, &Collar::default(), N_CLASSES);
        agree_on_counts(case, "events", &event, &reference["event"]);
        let segment = segment_based(&sounds, &detections, &duration_s, 1.0, N_CLASSES);
        agree_on_counts(case, "segments", &segment, &reference["segment"]);
        let points: Vec<Vec<Vec<Detection>>> =
            (0..N_POINTS).map(|at| recordings.iter().map(|recording| recording.points[at].clone()).collect()).collect();
        for (at, scenario) in [Scenario::ONE, Scenario::TWO].iter().enumerate() {
            let psds = psds(&sounds, &points, &duration_s, scenario, N_CLASSES);
            agree(case, &format!("PSDS {}", at + 1), psds.as_ref().map(|psds| psds.value), &reference["psds"][at]);
            println!("{case}: PSDS {}: {:?}", at + 1, psds.map(|psds| psds.value));
        }
        let map = tiou_map(&sounds, &detections, N_CLASSES, Some(BACKGROUND), &TIOU_THRESHOLDS);
        for (at, threshold) in TIOU_THRESHOLDS.iter().enumerate() {
            agree(case, &format!("mAP at {threshold}"), map.as_ref().map(|map| map.map[at]), &reference["map"][at]);
        }
        println!(
            "{case}: events {:?}, segments {:?}, mAP {:?}",
            micro(&event),
            micro(&segment),
            map.map(|map| map.map)
        );
    }
}

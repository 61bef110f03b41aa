//! Claims: what the tutorial says. A new user puts recordings into folders and types one command;
//! the model hears the new sound in recordings that it was not trained on, says of the old ones
//! what it said before, and stays silent on what it does not know. Mistakes end in one line that
//! names the cause.

#![allow(clippy::unwrap_used)]

mod common;

use common::write_wav;
use edge::classify::surrounded;
use edge::decide::{Average, clip_posteriors};
use edge::engine::{BatchEngine, Precision};
use edge::model::Model;
use sounds::Sound;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use trainer::tools::own::figures::Figures;

const RATE: u32 = 44_100;
/// From one output of the shipped network to the next.
const OUTPUT_MS: u32 = 80;
/// Takes of the new sound that no training hears.
const UNHEARD: std::ops::Range<u64> = 100..120;

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/home")
}

/// `earwitness-train fit --data <folder>/data --out <folder>/<out>`.
fn fit(folder: &Path, out: &str, extra: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
    command.arg("fit").arg("--data").arg(folder.join("data")).arg("--out").arg(folder.join(out));
    command.args(extra).args(["--threads", "1", "--device", "cpu"]);
    if !extra.contains(&"--from") {
        command.arg("--from").arg(home());
    }
    command.output().unwrap()
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Recordings of `sound` as a user has them: some seconds each, a long one with pauses, another
/// rate now and then.
fn record(folder: &Path, label: &str, sound: Sound, n: u64) {
    let class = folder.join("data").join(label);
    std::fs::create_dir_all(&class).unwrap();
    for seed in 1..=n {
        let rate = if seed % 3 == 0 { 16_000 } else { RATE };
        let mut samples = sounds::render(sound, rate, 3.0, seed);
        if seed == n {
            // Two rings in one recording, with a pause between them.
            samples.extend(sounds::render(Sound::RoomNoise, rate, 4.0, seed));
            samples.extend(sounds::render(sound, rate, 3.0, seed));
        }
        write_wav(&class.join(format!("{label} {seed}.wav")), rate, &samples);
    }
}

/// A network as the daemon runs it.
struct Listener {
    model: Model,
    engine: BatchEngine,
}

impl Listener {
    fn new(folder: &Path, precision: Precision) -> Self {
        let model = Model::load(folder).unwrap();
        Self { engine: BatchEngine::load(&model, precision).unwrap(), model }
    }

    /// Posteriors of every window of `n_outputs`, `(n_classes)` each.
    fn windows(&self, rate: u32, samples: &[f32], n_outputs: usize) -> Vec<Vec<f32>> {
        let manifest = &self.model.manifest;
        let samples = edge_frontend::resample(rate, manifest.frontend.sample_rate, samples).unwrap();
        let frames = edge_frontend::log_mel(&manifest.frontend, &samples).unwrap();
        let frames = surrounded(&manifest.frontend, &manifest.network, &frames);
        let (logits, n) = (self.engine.run(&frames).unwrap(), manifest.labels.len());
        let (activation, temperature) = (manifest.network.activation, manifest.decision.temperature);
        let posteriors = |w: &[f32]| clip_posteriors(activation, Average::Logits, temperature, n, w);
        logits.windows(n_outputs * n).step_by(n).map(posteriors).collect()
    }

    /// Whether `label` holds its threshold for the least duration of an event.
    fn hears(&self, label: &str, rate: u32, samples: &[f32]) -> bool {
        let class = self.model.manifest.labels.iter().position(|l| l == label).unwrap();
        let values = self.model.manifest.decision.of_class(label);
        let n_outputs = |ms: u32| ms.div_ceil(OUTPUT_MS) as usize;
        let windows = self.windows(rate, samples, n_outputs(values.window_ms));
        let mut held = windows.windows(n_outputs(values.min_duration_ms));
        held.any(|windows| windows.iter().all(|window| window[class] >= values.threshold_on))
    }

    /// The most likely label of every window of a second.
    fn says(&self, rate: u32, samples: &[f32]) -> Vec<&str> {
        let most = |w: &Vec<f32>| (0..w.len()).max_by(|&a, &b| w[a].total_cmp(&w[b])).unwrap();
        self.windows(rate, samples, 12).iter().map(|w| self.model.manifest.labels[most(w)].as_str()).collect()
    }
}

/// The shipped model, which knows telephones by its teacher alone and reports none, learns one.
fn with_telephone() -> (TempDir, Figures) {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "telephone", Sound::RingTone, 10);
    let negatives = folder.path().join("data/background");
    std::fs::create_dir(&negatives).unwrap();
    write_wav(&negatives.join("room.wav"), RATE, &sounds::render(Sound::RoomNoise, RATE, 12.0, 9));
    let output = fit(folder.path(), "mine", &[]);
    assert!(output.status.success(), "{}", message(&output));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("telephone"), "{table}");
    let figures = std::fs::read(folder.path().join("mine/own.json")).unwrap();
    (folder, serde_json::from_slice(&figures).unwrap())
}

#[test]
fn a_sound_is_learnt_and_the_old_ones_are_what_they_were() {
    let (folder, figures) = with_telephone();
    let class = &figures.classes[0];
    assert_eq!((class.label.as_str(), class.is_new, class.n_recordings), ("telephone", false, 10));
    assert!(class.n_sounds > 10, "the long recording has more than one sound: {class:?}");
    assert!(class.n_right * 10 >= class.n_sounds * 8, "{class:?}");
    let model = folder.path().join("mine/model");
    for precision in [Precision::F32, Precision::Int8] {
        let (before, after) = (Listener::new(&home(), precision), Listener::new(&model, precision));
        assert_eq!(after.model.manifest.labels, before.model.manifest.labels);
        let reported = [&before, &after].map(|l| l.model.manifest.decision.reports("telephone"));
        assert_eq!(reported, [false, true]);
        let found =
            UNHEARD.filter(|&seed| after.hears("telephone", RATE, &sounds::render(Sound::RingTone, RATE, 4.0, seed)));
        let n_found = found.count();
        assert!(n_found >= 15, "{precision}: {n_found} of 20 telephones that it has not heard");

        // The demonstration has eight of the old classes' sounds and two of none.
        let scene = sounds::demo_scene(3);
        let (old, new) =
            (before.says(scene.sample_rate, &scene.samples), after.says(scene.sample_rate, &scene.samples));
        let n_same = old.iter().zip(&new).filter(|(a, b)| a == b).count();
        assert!(n_same * 100 >= old.len() * 97, "{precision}: {n_same} of {} windows of the demonstration", old.len());
        assert!(
            !after.hears("telephone", scene.sample_rate, &scene.samples),
            "{precision}: heard in the demonstration"
        );

        // No training may use these sounds.
        let unknown = [Sound::CarPassing, Sound::Draught, Sound::SlidingDoor, Sound::Radio, Sound::Melody];
        let clips = unknown.iter().flat_map(|&sound| (0..4).map(move |seed| sounds::render(sound, RATE, 4.0, seed)));
        let n_false = clips.filter(|clip| after.hears("telephone", RATE, clip)).count();
        assert!(n_false <= 1, "{precision}: {n_false} of 20 unknown sounds are called a telephone");
    }
    let thresholds = |model: &Path| Model::load(model).unwrap().manifest.decision.classes;
    let (mut before, mut after) = (thresholds(&home()), thresholds(&model));
    assert_ne!(before.remove("telephone"), after.remove("telephone"));
    assert_eq!(after, before, "the old classes keep their thresholds");
    assert!(std::fs::read_to_string(model.join("CARD.md")).unwrap().contains("telephone"));

    // The report finds its way, and the run folder is not overwritten.
    let mut report = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
    let report = report.arg("report").arg(folder.path().join("mine")).args(["--resamples", "50"]).output().unwrap();
    assert!(report.status.success(), "{}", message(&report));
    let page = std::fs::read_to_string(folder.path().join("mine/report.html")).unwrap();
    assert!(page.contains("telephone"));
    let again = fit(folder.path(), "mine", &[]);
    assert_eq!(again.status.code(), Some(2));
    assert!(message(&again).contains("holds a training already"), "{}", message(&again));
}

#[test]
fn a_model_of_the_users_sounds_alone() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "telephone", Sound::RingTone, 6);
    record(folder.path(), "dog", Sound::Dog, 6);
    let output = fit(folder.path(), "mine", &["--only-own"]);
    assert!(output.status.success(), "{}", message(&output));
    let listener = Listener::new(&folder.path().join("mine/model"), Precision::F32);
    assert_eq!(listener.model.manifest.labels, ["dog", "telephone", "background"]);
    for (label, sound) in [("dog", Sound::Dog), ("telephone", Sound::RingTone)] {
        let n = UNHEARD.filter(|&seed| listener.hears(label, RATE, &sounds::render(sound, RATE, 4.0, seed))).count();
        assert!(n >= 12, "{label}: {n} of 20");
    }
    let rooms = (70..80).map(|seed| sounds::render(Sound::RoomNoise, RATE, 4.0, seed));
    let n_false =
        rooms.map(|room| ["dog", "telephone"].iter().filter(|label| listener.hears(label, RATE, &room)).count());
    let n_false: Vec<usize> = n_false.collect();
    assert!(n_false.iter().sum::<usize>() <= 1, "{n_false:?} events in quiet rooms");
}

#[test]
fn a_known_label_is_added_to() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "rooster", Sound::Whistle, 5);
    let output = fit(folder.path(), "mine", &[]);
    assert!(output.status.success(), "{}", message(&output));
    let [before, after] = [home(), folder.path().join("mine/model")].map(|m| Listener::new(&m, Precision::F32));
    assert_eq!(after.model.manifest.labels, before.model.manifest.labels);
    let share = |listener: &Listener| {
        let clips = UNHEARD.map(|seed| sounds::render(Sound::Whistle, RATE, 3.0, seed));
        let says: Vec<bool> = clips
            .flat_map(|clip| listener.says(RATE, &clip).iter().map(|&l| l == "rooster").collect::<Vec<_>>())
            .collect();
        says.iter().filter(|&&is| is).count() as f64 / says.len() as f64
    };
    let (before, after) = (share(&before), share(&after));
    assert!(after > 0.6 && after > before + 0.2, "{before} before, {after} after");
}

#[test]
fn mistakes_are_named_before_the_work_begins() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let refused = |part: &str, extra: &[&str], code: i32| {
        let output = fit(root, "mine", extra);
        let text = message(&output);
        assert!(text.contains(part), "{text}, expected {part}");
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    };
    refused("data: cannot be read", &[], 2);
    let class = root.join("data/kettle");
    std::fs::create_dir_all(&class).unwrap();
    refused("kettle: holds no recordings", &[], 2);
    let tone: Vec<f32> = (0..RATE).map(|i| 0.1 * (i as f32 * 0.2).sin()).collect();
    write_wav(&class.join("1.wav"), RATE, &tone);
    refused("kettle: has 1 recording, needs at least 2", &[], 2);
    std::fs::write(class.join("2.wav"), b"no sound at all").unwrap();
    refused("nowhere: no such folder", &["--from", "nowhere"], 2);
    // It is left out by name, and then there is one.
    refused("2.wav: not a sound file that is known here", &[], 2);
    refused("kettle: 1 recording is left out", &[], 2);
    refused("kettle: has 1 recording, needs at least 2", &[], 2);
    write_wav(&class.join("2.wav"), RATE, &vec![0.0; RATE as usize]);
    refused("kettle: recordings that are not silent: 1, at least 2 are needed", &[], 2);
    refused("unknown sound", &["--like", "kettel"], 2);

    // A broken model is named by file and field, with the exit code that the daemon has for it.
    let model = root.join("model");
    let text = std::fs::read_to_string(home().join("manifest.toml")).unwrap();
    let network = std::fs::read(home().join("model.onnx")).unwrap();
    let broken = |part: &str, text: &str, network: Option<&[u8]>| {
        std::fs::create_dir_all(&model).unwrap();
        std::fs::write(model.join("manifest.toml"), text).unwrap();
        std::fs::copy(home().join("model.int8.onnx"), model.join("model.int8.onnx")).unwrap();
        if let Some(bytes) = network {
            std::fs::write(model.join("model.onnx"), bytes).unwrap();
        }
        refused(part, &["--from", model.to_str().unwrap()], 2);
        std::fs::remove_dir_all(&model).unwrap();
    };
    let renamed = text.replace("hop_length", "hop_size");
    broken("model/manifest.toml: manifest: TOML parse error", &renamed, Some(&network));
    broken("unknown field `hop_size`", &renamed, Some(&network));
    broken("model/model.onnx: No such file", &text, None);
    let longer = [&network[..], b"x"].concat();
    broken("model/model.onnx: the file is damaged", &text, Some(&longer));
    broken("files.f32.sha256: expected", &text, Some(&longer));
    let window = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tiny_window");
    let part = "tiny_window/manifest.toml: network.kind: expected \"stream\", actual \"window\"";
    refused(part, &["--from", window.to_str().unwrap()], 2);

    let no_recipe = Command::new(env!("CARGO_BIN_EXE_earwitness-train")).arg("fit").output().unwrap();
    assert_eq!(no_recipe.status.code(), Some(2));
    assert!(message(&no_recipe).contains("RECIPE"), "{}", message(&no_recipe));
}

//! Claims: on a folder as the authors of EPIC-SOUNDS hand it out, one command trains the four fused
//! models, teaches the streaming student with them, quantizes it, sets thresholds and leaves a
//! model folder whose events the daemon reports; what is finished is not done again, what is
//! interrupted resumes bit for bit, and nothing depends on how much fits into memory.

#![allow(clippy::unwrap_used)]

mod common;

use common::write_wav;
use edge::model::Model;
use hdf5_metno::File;
use sounds::Sound;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tch::Tensor;
use tempfile::TempDir;

const RATE: u32 = 24_000;
/// Classes by id; the last is that of EPIC-SOUNDS that is never an event.
const CLASSES: [(&str, Sound); 4] = [
    ("blender", Sound::Blender),
    ("water", Sound::WaterFlowing),
    ("chop / cut", Sound::Chopping),
    ("background", Sound::RoomNoise),
];

/// One Auditory SlowFast of an eighth of the published width, in the report's four stages.
const TEACHER: &str = r#"
name = "tiny-epic"
seed = 1
data_root = "."

[[data]]
name = "epic"
kind = "epic_sounds"
train = "EPIC_Sounds_train.csv"
validation = "EPIC_Sounds_validation.csv"
audio = "EPIC_audio.hdf5"
n_classes = 4

[network]
kind = "slowfast"
width_per_group = 8
n_frames = 112

[train]
view_seconds = 0.559
views = 2
train_views = 1

[[stage]]
name = "baseline"
init = "file:SLOWFAST_VGG.pyth"
epochs = 14
coarse_epochs = 4
lr = 5e-3
method = "adamw"
batch = 12
weight = 0.1

[[stage]]
name = "decay"
init = "stage:baseline"
epochs = 2
lr = 1e-3
method = "adamw"
steps = [0, 1]
factors = [1, 0.5]
loss = { kind = "smoothed", smoothing = 0.06 }
batch = 12
weight = 0.4

[[stage]]
name = "frozen"
init = "file:SLOWFAST_EPIC_SOUNDS.pyth"
epochs = 2
lr = 1e-2
loss = { kind = "smoothed", smoothing = 0.06 }
frozen = "backbone"
batch_norm = "frozen"
batch = 12
weight = 0.25

[[stage]]
name = "focal"
init = "file:SLOWFAST_EPIC_SOUNDS.pyth"
epochs = 2
lr = 1e-2
loss = { kind = "focal", smoothing = 0.06, gamma = 0.3 }
frozen = "backbone"
batch_norm = "frozen"
batch = 12
weight = 0.25
"#;

/// A student of few channels on the same data.
const STUDENT: &str = r#"
name = "tiny-home"
seed = 2
data_root = "."
background = "background"

[[data]]
name = "epic"
kind = "epic_sounds"
train = "EPIC_Sounds_train.csv"
validation = "EPIC_Sounds_validation.csv"
uncategorised = "sound_events_not_categorised.csv"
audio = "EPIC_audio.hdf5"
n_classes = 4
least_gap_s = 1.0

[network]
kind = "student"
layers = [
    { channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2 },
    { channels = 16, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },
    { channels = 24, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 4 },
]

[distill]
soft_weight = 0.5
temperature = 2.0

[[distill.fused]]
recipe = "teacher.toml"
hears = "crops"
embedding_weight = 0.5

[augment]
gain_db = 6.0
stretch = 0.05
mixup = 0.2
noise = 0.5
negatives = 0.2
n_time_masks = 1
time_mask = 6
n_freq_masks = 1
freq_mask = 6

[train]
weight_decay = 0.02
crop_frames = 56
memory_mb = 64

[[stage]]
name = "student"
epochs = 30
batch = 12
method = "adamw"
lr = 5e-3
schedule = "cosine"
warmup_steps = 5
ema = 0.95
loss = { kind = "smoothed", smoothing = 0.05 }

[quantize]
steps = 10
calibration_batches = 2

[export]
version = "0.1.0"
decision = { window_ms = 480, threshold_on = 0.6, threshold_off = 0.3, min_duration_ms = 240, min_gap_ms = 400, cooldown_ms = 0 }
data = { training = "generated sounds", licence = "MIT" }
"#;

/// A folder with annotations, audio and recipes, and the two checkpoints of PyTorch.
struct Epic {
    folder: TempDir,
}

fn time(samples: usize) -> String {
    let ms = samples as u64 * 1000 / u64::from(RATE);
    format!("00:{:02}:{:02}.{:03}", ms / 60_000, ms / 1000 % 60, ms % 1000)
}

/// A video of `n` segments of the classes in turn, with room noise between them; each fourth gap
/// holds a sound that is annotated without a category. Leaves its samples and the rows of both
/// tables.
fn video(name: &str, n: usize, seed: u64) -> (Vec<f32>, String, String) {
    let (mut samples, mut rows, mut others) = (Vec::new(), String::new(), String::new());
    for i in 0..n {
        let room = sounds::render(Sound::RoomNoise, RATE, 1.5, seed * 1000 + i as u64);
        let start = samples.len();
        match i % 4 {
            3 => samples.extend(sounds::render(Sound::Typing, RATE, 1.5, seed * 1000 + i as u64)),
            _ => samples.extend(room),
        }
        if i % 4 == 3 {
            let (from, to) = (time(start), time(samples.len()));
            writeln!(others, "{name}_u{i},P01,{name},{from},{to},0,0").unwrap();
        }
        let (class, sound) = CLASSES[i % CLASSES.len()];
        let start = samples.len();
        let seconds = if i % 3 == 0 { 0.4 } else { 1.8 };
        samples.extend(sounds::render(sound, RATE, seconds, seed * 100 + i as u64));
        let (from, to) = (time(start), time(samples.len()));
        writeln!(rows, "{name}_{i},P01,{name},{from},{to},0,0,\"a {class}\",{class},{}", i % CLASSES.len()).unwrap();
    }
    (samples, rows, others)
}

impl Epic {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let epic = Self { folder };
        let head = "annotation_id,participant_id,video_id,start_timestamp,stop_timestamp,start_sample,stop_sample";
        let file = File::create(epic.path("EPIC_audio.hdf5")).unwrap();
        let (mut train, mut validation) = (String::new(), String::new());
        let mut uncategorised = format!("{head}\n");
        for (seed, name) in ["P01_01", "P01_02", "P02_01"].into_iter().enumerate() {
            let (samples, rows, others) = video(name, 16, seed as u64 + 1);
            let table = if name == "P02_01" { &mut validation } else { &mut train };
            table.push_str(&rows);
            uncategorised.push_str(&others);
            file.new_dataset_builder().with_data(&samples).create(name).unwrap();
            write_wav(&epic.path(&format!("{name}.wav")), RATE, &samples);
        }
        for (name, rows) in [("train", train), ("validation", validation)] {
            let text = format!("{head},description,class,class_id\n{rows}");
            std::fs::write(epic.path(&format!("EPIC_Sounds_{name}.csv")), text).unwrap();
        }
        std::fs::write(epic.path("sound_events_not_categorised.csv"), uncategorised).unwrap();
        std::fs::write(epic.path("teacher.toml"), TEACHER).unwrap();
        std::fs::write(epic.path("student.toml"), STUDENT).unwrap();
        drop(file);
        epic.write_checkpoints();
        epic
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The two files of PyTorch, with weights from a training of an epoch: one of as many classes,
    /// one of others.
    fn write_checkpoints(&self) {
        let text = TEACHER
            .replace("init = \"file:SLOWFAST_VGG.pyth\"", "")
            .replace("epochs = 14\ncoarse_epochs = 4", "epochs = 4");
        std::fs::write(self.path("first.toml"), text.replace("tiny-epic", "first")).unwrap();
        self.succeeds("fit first.toml --stage baseline --out first");
        let script = r#"
import json, struct, sys, torch
data = open(sys.argv[1], "rb").read()
n, = struct.unpack("<Q", data[:8])
table, state = json.loads(data[8:8 + n]), {}
for name, entry in table.items():
    if name.startswith("model/"):
        begin, end = entry["data_offsets"]
        values = torch.frombuffer(bytearray(data[8 + n + begin:8 + n + end]), dtype=torch.float32)
        state[name[6:]] = values.reshape(entry["shape"]).clone()
torch.save({"epoch": 1, "model_state": state}, sys.argv[2] + "/SLOWFAST_EPIC_SOUNDS.pyth")
state["head.projection.weight"] = torch.zeros(309, state["head.projection.weight"].shape[1])
state["head.projection.bias"] = torch.zeros(309)
torch.save({"epoch": 1, "model_state": {"module." + k: v for k, v in state.items()}}, sys.argv[2] + "/SLOWFAST_VGG.pyth")
"#;
        let checkpoint = self.path("first/baseline/checkpoint.safetensors");
        // The Python that the trainer takes libtorch from.
        let python = Command::new("python3").arg("-c").arg(script).arg(checkpoint).arg(self.folder.path()).output();
        let python = python.expect("python3 is needed, with the torch of scripts/requirements.txt");
        assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    }

    fn train(&self, arguments: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
        command.env_remove("EARWITNESS_DATA").current_dir(self.folder.path());
        // One thread: the order of sums, and with it the last bit, may depend on the number.
        let common: &[&str] =
            if arguments.starts_with("export") { &[] } else { &["--threads", "1", "--device", "cpu"] };
        command.args(arguments.split_whitespace()).args(common).output().unwrap()
    }

    fn succeeds(&self, arguments: &str) -> String {
        let output = self.train(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments}: {text}");
        text
    }

    /// The one line that `arguments` end with, and the exit code.
    fn fails(&self, arguments: &str) -> (Option<i32>, String) {
        let output = self.train(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = text.lines().find(|line| line.starts_with("error: ")).unwrap_or(&text).to_owned();
        (output.status.code(), error)
    }

    /// The tensors of a checkpoint that are its result.
    fn result(&self, checkpoint: &str) -> Vec<(String, Tensor)> {
        let mut tensors = Tensor::read_safetensors(self.path(checkpoint)).unwrap();
        tensors.retain(|(name, _)| name != "header");
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        tensors
    }
}

/// The daemon: EARWITNESS_BIN, or the program beside the trainer.
fn daemon() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_earwitness-train")).with_file_name("earwitness");
    let path = std::env::var_os("EARWITNESS_BIN").map_or(beside, PathBuf::from);
    assert!(path.exists(), "{} is missing: cargo build --release -p edge", path.display());
    path
}

fn assert_same(a: &[(String, Tensor)], b: &[(String, Tensor)]) {
    assert!(a.iter().map(|t| &t.0).eq(b.iter().map(|t| &t.0)));
    for ((name, a), (_, b)) in a.iter().zip(b) {
        assert!(a.equal(b), "{name} differs");
    }
}

#[test]
fn from_annotations_to_an_event_of_the_daemon() {
    let epic = Epic::new();
    let said = epic.succeeds("distill student.toml --data-root . --export models");
    for step in ["step 1 of 3: teachers", "step 2 of 3: the student", "step 3 of 3: model folders"] {
        assert!(said.contains(step), "{said}");
    }
    assert!(said.contains("head.projection.weight: shape [309"), "{said}");
    // The four stages, their fusion, and the student are where `fit` would leave them.
    for stage in ["baseline", "decay", "frozen", "focal"] {
        assert!(epic.path("runs/tiny-epic/all").join(stage).join("checkpoint.safetensors").exists(), "{stage}");
    }
    let text = std::fs::read_to_string(epic.path("runs/tiny-home/all/result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    for network in ["evaluation", "int8"] {
        let top1 = result[network]["sets"]["epic"]["top1"].as_f64().unwrap();
        assert!(top1 > 0.7, "{network}: {result}");
        assert!(result[network]["background"]["n_windows"].as_u64().unwrap() > 5, "{result}");
    }
    let model = Model::load(&epic.path("models/tiny-home")).unwrap();
    let manifest = &model.manifest;
    assert_eq!(manifest.labels, CLASSES.map(|(label, _)| label.replace(" / ", "-")));
    assert_eq!(manifest.background.as_deref(), Some("background"));
    assert!(manifest.files.int8.is_some());
    // Thresholds of the classes that may be events come from the validation segments.
    let with_threshold: Vec<&String> = manifest.decision.classes.keys().collect();
    assert_eq!(with_threshold, ["blender", "chop-cut", "water"]);

    let run = Command::new(daemon())
        .args(["run", "--fast", "--model", "models/tiny-home", "--source", "file:P02_01.wav"])
        .current_dir(epic.folder.path())
        .output()
        .unwrap();
    let lines = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let events: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|e| e["phase"] == "onset" && e["label"] == "blender"), "{lines}");

    // Once more: everything is finished and stays as it is.
    let modified = |path: &str| std::fs::metadata(epic.path(path)).unwrap().modified().unwrap();
    let files =
        ["runs/tiny-epic/all/decay/checkpoint.safetensors", "runs/tiny-home/all/student/checkpoint.safetensors"];
    let before = files.map(modified);
    let again = epic.succeeds("distill student.toml --data-root . --export models");
    assert_eq!(files.map(modified), before);
    epic.succeeds("fit student.toml --stage student --resume");
    assert_eq!(files.map(modified), before, "a stage alone, too");
    assert_eq!(again.matches("is finished").count(), 2, "{again}");

    // The same, interrupted in the middle, with nothing held in memory.
    let text = std::fs::read_to_string(epic.path("student.toml")).unwrap();
    std::fs::write(epic.path("student.toml"), text.replace("memory_mb = 64", "memory_mb = 1")).unwrap();
    let stopped = epic.fails("distill student.toml --out broken/all --stop-after 31");
    assert_eq!(stopped, (Some(1), "error: interrupted; continue with --resume".to_owned()));
    epic.succeeds("distill student.toml --out broken/all");
    let straight = epic.result("runs/tiny-home/all/student/checkpoint.safetensors");
    assert_same(&straight, &epic.result("broken/all/student/checkpoint.safetensors"));

    // Scores by segment in place of the crops.
    let segments = text.replace("hears = \"crops\"\nembedding_weight = 0.5", "hears = \"segments\"");
    std::fs::write(epic.path("segments.toml"), segments.replace("tiny-home", "tiny-segments")).unwrap();
    epic.succeeds("distill segments.toml --epochs 4");
    let metrics = std::fs::read_to_string(epic.path("runs/tiny-segments/all/student/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 4);
    assert!(!metrics.contains("teacher_loss"), "{metrics}");

    bad_input(&epic, &text);
}

/// Each is one clear error that names the file and the row or key.
fn bad_input(epic: &Epic, student: &str) {
    let with = |name: &str, text: String| std::fs::write(epic.path(name), text).unwrap();
    let assert_fails = |arguments: &str, code: i32, parts: &[&str]| {
        let (actual, error) = epic.fails(arguments);
        assert!(actual == Some(code) && parts.iter().all(|part| error.contains(part)), "{arguments}: {error}");
    };
    assert_fails("distill student.toml --data-root nowhere", 2, &["nowhere/EPIC_Sounds_train.csv", "--data-root"]);

    // A video that the annotations name and the audio lacks.
    let table = std::fs::read_to_string(epic.path("EPIC_Sounds_train.csv")).unwrap();
    with("lacking.csv", format!("{table}x,P09,P09_09,00:00:00.000,00:00:01.000,0,0,d,water,1\n"));
    with("lacking.toml", student.replace("EPIC_Sounds_train.csv", "lacking.csv"));
    let row = table.lines().count() + 1;
    assert_fails("distill lacking.toml", 2, &[&format!("lacking.csv:{row}: video_id"), "P09_09", "EPIC_audio.hdf5"]);

    // A teacher of other labels, of another network, and of stages that do not fit.
    let renamed = |name: &str| std::fs::read_to_string(epic.path(name)).unwrap().replace(",water,", ",tap,");
    with("tap.csv", renamed("EPIC_Sounds_train.csv"));
    with("tap-validation.csv", renamed("EPIC_Sounds_validation.csv"));
    let tap =
        student.replace("EPIC_Sounds_train.csv", "tap.csv").replace("EPIC_Sounds_validation.csv", "tap-validation.csv");
    with("tap.toml", tap.replace("tiny-home", "tap"));
    assert_fails(
        "distill tap.toml",
        1,
        &["baseline/checkpoint.safetensors", "labels of teacher and student differ", "\"tap\""],
    );
    with("itself.toml", student.replace("recipe = \"teacher.toml\"", "recipe = \"student.toml\""));
    assert_fails("distill itself.toml", 2, &["network.kind is \"student\", expected \"slowfast\""]);
    with("mixed.toml", student.replace("ema = 0.95", "ema = 0.95\nfrozen = \"backbone\""));
    assert_fails("distill mixed.toml", 2, &["mixed.toml:", "frozen: is for SlowFast"]);
    let wide = TEACHER.replace("tiny-epic", "wide").replace("width_per_group = 8", "width_per_group = 16");
    with("wide.toml", wide);
    assert_fails("fit wide.toml", 1, &["SLOWFAST_VGG.pyth", "shape"]);

    // A checkpoint of another network, or of another recipe.
    std::fs::create_dir_all(epic.path("other/student")).unwrap();
    let of_teacher = epic.path("runs/tiny-epic/all/decay/checkpoint.safetensors");
    std::fs::copy(&of_teacher, epic.path("other/student/checkpoint.safetensors")).unwrap();
    assert_fails("fit student.toml --out other --resume", 1, &["checkpoint.safetensors: belongs to another network"]);
    assert_fails("export --checkpoint runs/tiny-epic/all/decay/checkpoint.safetensors --out m", 2, &["network.kind"]);
}

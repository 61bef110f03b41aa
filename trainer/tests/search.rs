//! Claims: a search trains, exports and times every variant, marks the Pareto fronts, takes finished trainings from its folder, and
//! refuses what is wrong or too large before it trains anything.

#![allow(clippy::unwrap_used)]

mod common;

use common::Fixture;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::SystemTime;
use trainer::tools::search::report::Report;

const SPACE: &str = r#"
base = "tiny.toml"
epochs = 2
held_out = [1, 3]
seeds = [5, 6]

[timing]
rounds = 3
pulses = 5

[[variant]]
name = "plain"

[[variant]]
name = "rich"

[variant.network]
pool = "max"
layers = [
    { channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2 },
    { channels = 8, kernel_t = 3, kernel_f = 3, residual = true, squeeze = 2 },
    { channels = 12, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 2 },
    { channels = 16, kernel_t = 3, kernel_f = 3, stride_t = 2, stride_f = 4 },
]

[[variant]]
name = "coarse"

[variant.frontend]
sample_rate = 24000
n_fft = 1024
win_length = 960
hop_length = 480
n_mels = 32
f_min_hz = 50.0
f_max_hz = 12000.0
mel_scale = "htk"
mel_norm = "none"
power = 2
log_offset = 1e-6
centre_padding = false
mean = -3.5
std = 4.8

[variant.network]
layers = [
    { channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 4, stride_f = 2 },
    { channels = 16, kernel_t = 3, kernel_f = 3, stride_f = 4 },
]
"#;

struct Searched {
    fixture: Fixture,
}

impl Searched {
    fn new(space: &str) -> Self {
        let fixture = Fixture::new();
        std::fs::write(fixture.path().join("space.toml"), space).unwrap();
        Self { fixture }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.fixture.path().join(name)
    }

    fn run(&self, extra: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
        command.env_remove("EARWITNESS_DATA").arg("search").arg(self.path("space.toml"));
        command.args(["--threads", "1", "--device", "cpu", "--out"]).arg(self.path("out"));
        command.arg("--cache").arg(self.path("cache")).arg("--json").arg(self.path("report.json"));
        command.args(extra).output().unwrap()
    }

    fn table(&self, extra: &[&str]) -> String {
        let output = self.run(extra);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn report(&self) -> Report {
        serde_json::from_str(&std::fs::read_to_string(self.path("report.json")).unwrap()).unwrap()
    }

    /// The one line of the error, and that nothing was trained.
    fn refusal(&self, extra: &[&str], code: i32) -> String {
        let output = self.run(extra);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(!self.path("out").exists(), "nothing was trained");
        text.lines().last().unwrap().to_owned()
    }

    /// Every checkpoint and when it was written.
    fn checkpoints(&self) -> Vec<(PathBuf, SystemTime)> {
        let mut found = Vec::new();
        for variant in ["plain", "rich", "coarse"] {
            for run in ["seed-5/official-1", "seed-5/official-3", "seed-6/official-1", "seed-6/official-3"] {
                let path = self.path("out").join(variant).join(run).join("checkpoint.safetensors");
                let written = std::fs::metadata(&path).ok().map(|m| m.modified().unwrap());
                found.extend(written.map(|written| (path, written)));
            }
        }
        found
    }
}

#[test]
fn a_search_compares_every_variant_and_does_nothing_twice() {
    let searched = Searched::new(SPACE);
    // A part first: what it leaves is taken by the whole.
    searched.table(&["--only", "coarse"]);
    assert_eq!(searched.report().variants.len(), 1);
    let part = searched.checkpoints();
    assert_eq!(part.len(), 4);
    let table = searched.table(&["--resume"]);
    let whole = searched.checkpoints();
    assert_eq!(whole.len(), 12);
    assert!(part.iter().all(|entry| whole.contains(entry)), "finished trainings are not done again");

    let report = searched.report();
    let names: Vec<&str> = report.variants.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["plain", "rich", "coarse"]);
    for row in &report.variants {
        assert_eq!(row.streamed_to_batch, 0.0, "{}", row.name);
        assert!(row.speed.us_per_pulse > 0.0 && row.speed.log_mel_us_per_pulse > 0.0, "{row:?}");
        let by_run: Vec<f64> =
            row.runs.iter().map(|r| r.result.evaluation.as_ref().unwrap().sets["clips"].top1_own_labels).collect();
        assert_eq!(
            row.runs.iter().map(|r| (r.seed, r.result.fold.unwrap())).collect::<Vec<_>>(),
            [(5, 1), (5, 3), (6, 1), (6, 3)]
        );
        assert!((row.accuracy - by_run.iter().sum::<f64>() / 4.0).abs() < 1e-9, "{row:?}");
        assert!((row.top1_own_labels["clips"] - row.accuracy).abs() < 1e-9, "one set is the mean of sets");
        let beaten = |cost: fn(&trainer::tools::search::report::Row) -> f64| {
            report.variants.iter().any(|other| {
                cost(other) <= cost(row)
                    && other.accuracy >= row.accuracy
                    && (cost(other), other.accuracy) != (cost(row), row.accuracy)
            })
        };
        assert_eq!(row.on_front_by_mmac, !beaten(|v| v.mmac_per_second), "{row:?}");
        assert_eq!(row.on_front_by_us, !beaten(|v| v.speed.us_per_pulse), "{row:?}");
    }
    // 4 frames of 4 and 3 more strides of 4: 12 frames 20 ms apart, the last 40 ms long.
    assert!((report.variants[2].receptive_field_ms - (11.0 * 20.0 + 40.0)).abs() < 1e-9);
    let model = edge::model::Model::load(&searched.path("out/coarse/model")).unwrap();
    assert_eq!((model.manifest.name.as_str(), model.manifest.network.pulse_frames), ("tiny-coarse", 4));

    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("variant") && lines[0].ends_with("front by us"), "{table}");
    assert!(lines[0].contains("clips %") && lines[3].starts_with("coarse"), "{table}");
    let stars = report.variants.iter().map(|v| usize::from(v.on_front_by_mmac) + usize::from(v.on_front_by_us));
    assert_eq!(table.matches('*').count(), stars.sum::<usize>(), "{table}");

    // What is in the folder was trained otherwise, or would be overwritten.
    let other = searched.run(&["--resume", "--epochs", "3"]);
    let text = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(1), "{text}");
    assert!(text.contains("is of a variant with other settings"), "{text}");
    let again = searched.run(&[]);
    let text = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(2), "{text}");
    assert!(text.contains("holds a training already"), "{text}");
    assert_eq!(searched.checkpoints(), whole);
}

#[test]
fn a_plan_trains_nothing() {
    let searched = Searched::new(SPACE);
    let table = searched.table(&["--plan"]);
    assert!(table.contains("12 trainings of 2 epochs, 4 a variant"), "{table}");
    assert!(!searched.path("out").exists() && !searched.path("report.json").exists());
}

#[test]
fn what_is_too_large_is_refused_by_name_before_training() {
    let line_of = |space: &str, text: &str| space.lines().position(|l| l == text).unwrap() + 1;
    let wide = SPACE.replace(
        "channels = 16, kernel_t = 3, kernel_f = 3, stride_t = 2",
        "channels = 9300, kernel_t = 3, kernel_f = 3, stride_t = 2",
    );
    let refused = Searched::new(&wide).refusal(&[], 2);
    let place = format!("space.toml:{}: variant \"rich\": ", line_of(&wide, "name = \"rich\""));
    assert!(refused.contains(&place) && refused.contains("parameters, at most 1000000 are allowed"), "{refused}");

    let slow = SPACE.replace("channels = 8, kernel_t = 3", "channels = 200, kernel_t = 3").replace(
        "channels = 8, kernel_t = 4, kernel_f = 5, stride_t = 2",
        "channels = 200, kernel_t = 4, kernel_f = 5, stride_t = 2",
    );
    let refused = Searched::new(&slow).refusal(&[], 2);
    assert!(
        refused.contains("variant \"rich\"") && refused.contains("MMAC a second, at most 40 are allowed"),
        "{refused}"
    );
}

#[test]
fn mistakes_in_a_space_name_line_and_variant() {
    let message = |from: &str, to: &str| Searched::new(&SPACE.replacen(from, to, 1)).refusal(&[], 2);
    let unknown = message("epochs = 2", "epoch = 2");
    assert!(unknown.contains("space.toml:3: unknown field `epoch`"), "{unknown}");
    let fold = message("held_out = [1, 3]", "held_out = [1, 1]");
    assert!(fold.contains("space.toml:4: held_out: names a fold twice"), "{fold}");
    let twice = message("name = \"rich\"", "name = \"plain\"");
    assert!(twice.contains("two have the same name"), "{twice}");
    let skip = message("channels = 8, kernel_t = 3", "channels = 9, kernel_t = 3");
    assert!(skip.contains("variant \"rich\": layers: layer 2: residual needs"), "{skip}");
    let pulse = message("stride_t = 4, stride_f = 2", "stride_t = 8, stride_f = 2");
    assert!(pulse.contains("variant \"coarse\": layers: product of stride_t is 8, must be 4"), "{pulse}");
    let only = Searched::new(SPACE).refusal(&["--only", "plain", "absent"], 2);
    assert!(only.contains("--only: ") && only.contains("no variant \"absent\""), "{only}");
    let base = message("tiny.toml", "absent.toml");
    assert!(base.contains("absent.toml"), "{base}");
}

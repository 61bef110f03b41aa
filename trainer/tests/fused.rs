//! Claims: `export --fused` makes of stages' checkpoints a model that the daemon's code runs, and
//! says what does not fit.

#![allow(clippy::unwrap_used)]

use edge::engine::{Engine, Precision, WindowEngine};
use edge::model::Model;
use edge_frontend::{Activation, FrontendConfig, NetworkKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tch::Device;
use tempfile::TempDir;
use trainer::data::folds::FoldMode;
use trainer::nets::slowfast::SlowFast;
use trainer::train::checkpoint::{Header, save};
use trainer::train::recipe::Recipe;
use trainer::train::slowfast::network_tensors;

const RECIPE: &str = r#"
name = "pair"
[[data]]
name = "clips"
csv = "clips.csv"
audio = "."
[network]
kind = "slowfast"
width_per_group = 8
[[stage]]
name = "base"
epochs = 1
lr = 0.1
weight = 0.25
[[stage]]
name = "head"
init = "stage:base"
frozen = "backbone"
epochs = 1
lr = 0.1
weight = 0.75
[[stage]]
name = "scaled"
init = "stage:base"
frozen = "backbone"
epochs = 1
lr = 0.1
augment = { min_max = true }
[export]
version = "2.0.0"
decision = { window_ms = 400, threshold_on = 0.5, threshold_off = 0.3, min_duration_ms = 0, min_gap_ms = 400, cooldown_ms = 0 }
data = { training = "none", licence = "none" }
"#;

struct Fixture {
    folder: TempDir,
    recipe: Recipe,
}

impl Fixture {
    fn new() -> Self {
        let recipe = Recipe::parse(RECIPE, Path::new("pair.toml")).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), recipe }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn header(&self, stage: &str) -> Header {
        Header {
            recipe: self.recipe.clone(),
            stage: stage.to_owned(),
            labels: ["background", "door / lid", "tap"].map(str::to_owned).to_vec(),
            fold: None,
            folds: FoldMode::Official,
            step: 1,
            n_steps: 1,
            finished: true,
        }
    }

    fn save(&self, header: &Header, network: &SlowFast) -> PathBuf {
        let path = self.path(&format!("{}.safetensors", header.stage));
        save(&path, header, &network_tensors(network)).unwrap();
        path
    }

    /// Checkpoints of the three stages, with one backbone and three heads.
    fn stages(&self) -> [PathBuf; 3] {
        ["base", "head", "scaled"].map(|stage| {
            let mut network = SlowFast::new(self.recipe.slowfast().unwrap(), 3, 1, Device::Cpu).unwrap();
            for tensor in network.tensors_mut().iter_mut().filter(|t| t.role.is_head()) {
                let value = &tensor.value * stage.len() as f64;
                tch::no_grad(|| tensor.value.copy_(&value));
            }
            self.save(&self.header(stage), &network)
        })
    }

    fn export(&self, checkpoints: &[&Path], more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
        command.args(["export", "--checkpoint"]).args(checkpoints).arg("--out").arg(self.path("model")).args(more);
        command.output().unwrap()
    }

    /// The one line of the error.
    fn refusal(&self, code: i32, checkpoints: &[&Path], more: &[&str]) -> String {
        let output = self.export(checkpoints, more);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        text.lines().last().unwrap().to_owned()
    }
}

#[test]
fn stages_become_one_model_with_the_recipes_weights() {
    let fixture = Fixture::new();
    let [base, head, _] = fixture.stages();
    let output = fixture.export(&[&base, &head], &["--fused"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("networks             2, with 1 distinct backbones"), "{text}");

    let model = Model::load(&fixture.path("model")).unwrap();
    let manifest = &model.manifest;
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("pair", "2.0.0"));
    assert_eq!(manifest.labels, ["background", "door-lid", "tap"]);
    assert_eq!(manifest.background.as_deref(), Some("background"));
    assert_eq!(manifest.frontend, FrontendConfig::epic_sounds());
    let network = &manifest.network;
    assert_eq!((network.kind, network.activation), (NetworkKind::Window, Activation::Posterior));
    assert_eq!((network.receptive_field_frames, network.pulse_frames, network.output_delay), (400, 40, 9));
    for file in ["clip.wav", "log_mel.npy", "logits.npy"] {
        assert!(fixture.path("model").join("golden").join(file).is_file(), "{file}");
    }
    let mut engine = WindowEngine::load(&model, Precision::F32).unwrap();
    let sum: f32 = engine.clip_logits(&[-5.0; 400 * 128]).unwrap().iter().map(|logit| logit.exp()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}

#[test]
fn weights_and_hop_can_be_given_and_a_scaled_input_is_another_backbone() {
    let fixture = Fixture::new();
    let [base, head, scaled] = fixture.stages();
    let without = fixture.refusal(2, &[&base, &head, &scaled], &["--fused"]);
    assert!(without.contains("scaled.safetensors: the recipe gives it no weight: --weights"), "{without}");
    let more = ["--fused", "--weights", ".1", ".4", ".5", "--hop-ms", "500"];
    let output = fixture.export(&[&base, &head, &scaled], &more);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("networks             3, with 2 distinct backbones"), "{text}");
    assert!(text.contains("every 500 ms"), "{text}");
    assert_eq!(Model::load(&fixture.path("model")).unwrap().manifest.network.pulse_frames, 100);
}

#[test]
fn what_does_not_fit_is_named() {
    let fixture = Fixture::new();
    let [base, head, _] = fixture.stages();
    let several = fixture.refusal(2, &[&base, &head], &[]);
    assert!(several.contains("more than one needs --fused"), "{several}");
    let weights = fixture.refusal(2, &[&base, &head], &["--fused", "--weights", "1"]);
    assert!(weights.contains("there are 2 checkpoints and 1 weights"), "{weights}");
    let zero = fixture.refusal(2, &[&base, &head], &["--fused", "--weights", "1", "0"]);
    assert!(zero.contains("network 2: weight 0 must be above 0"), "{zero}");
    let hop = fixture.refusal(2, &[&base], &["--fused", "--hop-ms", "12"]);
    assert!(hop.contains("--hop-ms: 12 ms is not a whole number of frames of 5 ms"), "{hop}");
    let missing = fixture.refusal(1, &[&fixture.path("none.safetensors")], &["--fused"]);
    assert!(missing.contains("none.safetensors"), "{missing}");
    let sizes = fixture.refusal(2, &[&fixture.path("SLOWFAST.pyth")], &["--fused", "--weights", "1"]);
    assert!(sizes.contains("SLOWFAST.pyth: a checkpoint of PyTorch needs --recipe"), "{sizes}");

    let network = SlowFast::new(fixture.recipe.slowfast().unwrap(), 2, 1, Device::Cpu).unwrap();
    let labels = vec!["a".to_owned(), "b".to_owned()];
    let classes = fixture.save(&Header { labels, ..fixture.header("other") }, &network);
    let classes = fixture.refusal(1, &[&base, &classes], &["--fused", "--weights", "1", "1"]);
    assert!(classes.contains("other.safetensors: has other classes"), "{classes}");
    let network = SlowFast::new(fixture.recipe.slowfast().unwrap(), 3, 1, Device::Cpu).unwrap();
    let mut header = fixture.header("deaf");
    header.recipe.frontend.log_offset = 1e-3;
    let front_end = fixture.save(&header, &network);
    let front_end = fixture.refusal(1, &[&base, &front_end], &["--fused", "--weights", "1", "1"]);
    assert!(front_end.contains("deaf.safetensors: was trained with another front end"), "{front_end}");
    let unfinished = fixture.save(&Header { finished: false, ..fixture.header("half") }, &network);
    let unfinished = fixture.refusal(1, &[&unfinished], &["--fused", "--weights", "1"]);
    assert!(unfinished.contains("training is not finished"), "{unfinished}");
}

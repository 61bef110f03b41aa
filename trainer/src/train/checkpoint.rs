//! Checkpoints: everything a stage needs to go on, and an export needs to be made, in one
//! safetensors file.
//!
//! Tensors: `header` (JSON bytes: [`Header`]), `model/*` (weights and statistics), `ema/*` (their
//! moving average, of a student), `optim/*/0` and `/1` (optimiser state), `teacher/*` (SlowFast's
//! second head), and of a finished student `final/*` (what is evaluated and exported) and `int8/*`
//! (its 8-bit form). Random numbers need no state: they derive from the seed and the step.

use super::recipe::Recipe;
use crate::data::folds::FoldMode;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Name of the file in a stage's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// What a checkpoint belongs to and how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The recipe, defaults filled in.
    pub recipe: Recipe,
    /// Name of the stage, or `average`.
    pub stage: String,
    /// Classes in order.
    pub labels: Vec<String>,
    /// Held-out fold.
    pub fold: Option<u32>,
    /// What the fold refers to.
    pub folds: FoldMode,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub n_steps: u64,
    /// Whether the weights are the result.
    pub finished: bool,
}

/// A checkpoint as read from disk.
#[derive(Debug)]
pub struct Checkpoint {
    /// What it belongs to.
    pub header: Header,
    values: HashMap<String, Tensor>,
    path: PathBuf,
}

/// Writes a checkpoint; an existing one is replaced only once the new one is complete.
///
/// # Errors
///
/// If the file cannot be written.
pub fn save(path: &Path, header: &Header, tensors: &[(String, Tensor)]) -> Result<()> {
    let text = serde_json::to_vec(header).map_err(|e| Error::content(path, e.to_string()))?;
    let mut all = vec![("header".to_owned(), Tensor::f_from_slice(&text)?)];
    for (name, value) in tensors {
        all.push((name.clone(), value.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?));
    }
    let partial = path.with_extension("partial");
    Tensor::write_safetensors(&all, &partial).map_err(|e| Error::content(&partial, e.to_string()))?;
    std::fs::rename(&partial, path).map_err(Error::io(path))
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not a checkpoint of this version.
    pub fn load(path: &Path) -> Result<Self> {
        std::fs::metadata(path).map_err(Error::io(path))?;
        let none = |what: &str| Error::content(path, format!("is not a checkpoint: {what}"));
        let tensors = Tensor::read_safetensors(path).map_err(|e| none(&e.to_string()))?;
        let values: HashMap<String, Tensor> = tensors.into_iter().collect();
        let header =
            values.get("header").filter(|h| h.kind() == Kind::Uint8).ok_or_else(|| none("it has no header"))?;
        let bytes: Vec<u8> = header.try_into()?;
        let header: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|e| none(&format!("its header: {e}")))?;
        if header["finished"].is_null() || header["recipe"]["network"]["kind"].is_null() {
            let message = "was written by an earlier version of the trainer, whose recipes had other keys: train \
                           again with a current recipe, or export it with the version that wrote it";
            return Err(Error::content(path, message));
        }
        let header = serde_json::from_value(header).map_err(|e| none(&format!("its header: {e}")))?;
        Ok(Self { header, values, path: path.to_owned() })
    }

    /// The same, if it belongs to the training that `expected` describes.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::load`], and if it belongs to another recipe, network, fold or data; what
    /// differs is named.
    pub fn resume(path: &Path, expected: &Header) -> Result<Self> {
        Self::load(path)?.belonging_to(expected)
    }

    /// The checkpoint, if it belongs to the training that `expected` describes.
    ///
    /// # Errors
    ///
    /// If it belongs to another recipe, network, fold or data; what differs is named.
    pub fn belonging_to(mut self, expected: &Header) -> Result<Self> {
        let header = &self.header;
        let (own, theirs) = (expected.recipe.lineage(&expected.stage), header.recipe.lineage(&expected.stage));
        let differs = [
            ("network", own.1.network != theirs.1.network),
            ("recipe", own != theirs),
            ("stage", header.stage != expected.stage),
            ("label list", header.labels != expected.labels),
            ("fold", (header.fold, header.folds) != (expected.fold, expected.folds)),
            ("number of steps", header.n_steps != expected.n_steps),
        ];
        if let Some((what, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            let message = format!("belongs to another {what}; start again with another --out");
            return Err(Error::content(&self.path, message));
        }
        self.header.recipe = expected.recipe.clone();
        Ok(self)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tensors by name.
    pub fn values(&self) -> &HashMap<String, Tensor> {
        &self.values
    }

    /// The tensors whose names begin with `prefix`, by the rest of their names.
    pub fn part(&self, prefix: &str) -> HashMap<String, Tensor> {
        let own =
            |(name, value): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), value.shallow_clone()));
        self.values.iter().filter_map(own).collect()
    }

    /// Whether there is a tensor whose name begins with `prefix`.
    pub fn has(&self, prefix: &str) -> bool {
        self.values.keys().any(|name| name.starts_with(prefix))
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    ///
    /// If it is missing.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.values.get(name).ok_or_else(|| Error::content(&self.path, format!("tensor {name:?} is missing")))
    }

    /// Overwrites `tensors` with those of the same names.
    ///
    /// # Errors
    ///
    /// If one is missing or has another shape.
    pub fn restore(&self, tensors: &[(String, Tensor)]) -> Result<()> {
        for (name, target) in tensors {
            let value = self.tensor(name)?;
            if value.size() != target.size() {
                let (actual, expected) = (value.size(), target.size());
                let message = format!("tensor {name:?} has the shape {actual:?}, expected {expected:?}");
                return Err(Error::content(&self.path, message));
            }
            let mut target = target.shallow_clone();
            tch::no_grad(|| target.f_copy_(value))?;
        }
        Ok(())
    }

    /// The header of a finished training.
    ///
    /// # Errors
    ///
    /// If the training is not finished.
    pub fn finished(&self) -> Result<&Header> {
        let Header { step, n_steps, finished, .. } = self.header;
        if !finished {
            let message = format!("training is not finished: step {step} of {n_steps}; continue it with --resume");
            return Err(Error::content(&self.path, message));
        }
        Ok(&self.header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::slowfast::SlowFast;
    use crate::train::slowfast::{network_tensors, slowfast_of};
    use crate::train::student::student_of;

    const STUDENT: &str = "kind = \"student\"\nlayers = [{ channels = 4, kernel_t = 8, kernel_f = 5, stride_t = 8 }]";
    const SLOWFAST: &str = "kind = \"slowfast\"\nwidth_per_group = 8";

    fn header(network: &str) -> Header {
        let text = format!(
            "name = \"x\"\n[[data]]\nname = \"d\"\ncsv = \"c\"\naudio = \"a\"\n[network]\n{network}\n\
             [[stage]]\nname = \"a\"\nepochs = 1\nlr = 0.1\n[[stage]]\nname = \"b\"\nepochs = 1\nlr = 0.1\n"
        );
        Header {
            recipe: Recipe::parse(&text, Path::new("x.toml")).unwrap(),
            stage: "a".to_owned(),
            labels: ["bell", "dog"].map(str::to_owned).to_vec(),
            fold: Some(1),
            folds: FoldMode::Official,
            step: 2,
            n_steps: 9,
            finished: false,
        }
    }

    /// A checkpoint whose header is `text`.
    fn written(path: &Path, text: &str) {
        Tensor::write_safetensors(&[("header", &Tensor::from_slice(text.as_bytes()))], path).unwrap();
    }

    #[test]
    fn a_checkpoint_of_an_old_trainer_is_refused_with_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.safetensors");
        let student = r#"{"recipe": {"name": "x", "network": {"layers": [], "dropout": 0.1}, "optim": {"lr": 0.1}},
            "labels": ["bell"], "fold": 1, "folds": "official", "step": 9, "n_steps": 9}"#;
        let staged = r#"{"recipe": {"name": "x", "network": {"depth": 50}, "stage": []}, "stage": "a",
            "labels": ["bell"], "fold": null, "folds": "official", "step": 9, "n_steps": 9, "finished": true}"#;
        for text in [student, staged] {
            written(&path, text);
            let message = Checkpoint::load(&path).unwrap_err().to_string();
            let (named, sentence) = message.split_once(": ").unwrap();
            assert_eq!(named, path.display().to_string());
            assert!(sentence.starts_with("was written by an earlier version of the trainer"), "{message}");
            assert!(!sentence.contains('\n'), "{message}");
            assert_eq!(Checkpoint::resume(&path, &header(STUDENT)).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        let message = || Checkpoint::load(&path).unwrap_err().to_string();
        assert!(message().contains("c.safetensors"), "{}", message());
        std::fs::write(&path, b"RIFF").unwrap();
        assert!(message().contains("c.safetensors: is not a checkpoint"), "{}", message());
        Tensor::write_safetensors(&[("a", &Tensor::from(1.0f32))], &path).unwrap();
        assert!(message().contains("it has no header"), "{}", message());
        written(&path, "{\"finished\": ");
        assert!(message().contains("its header: "), "{}", message());
        let mut header = serde_json::to_value(header(STUDENT)).unwrap();
        header["labels"] = serde_json::json!(3);
        written(&path, &header.to_string());
        assert!(message().contains("its header: "), "{}", message());
    }

    #[test]
    fn a_checkpoint_of_another_network_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        let device = Device::Cpu;
        save(&path, &header(STUDENT), &[]).unwrap();
        let message = slowfast_of(&Checkpoint::load(&path).unwrap(), device).unwrap_err().to_string();
        assert_eq!(message, "recipe \"x\": network.kind is \"student\", expected \"slowfast\"");
        let message = Checkpoint::resume(&path, &header(SLOWFAST)).unwrap_err().to_string();
        assert!(message.contains("belongs to another network"), "{message}");

        let header = header(SLOWFAST);
        let network = SlowFast::new(header.recipe.slowfast().unwrap(), 2, 1, device).unwrap();
        save(&path, &header, &network_tensors(&network)).unwrap();
        let checkpoint = Checkpoint::load(&path).unwrap();
        let message = student_of(&checkpoint, "final/", device).unwrap_err().to_string();
        assert_eq!(message, "recipe \"x\": network.kind is \"slowfast\", expected \"student\"");
        let same = slowfast_of(&checkpoint, device).unwrap();
        assert!(network.tensors().iter().zip(same.tensors()).all(|(a, b)| a.value.equal(&b.value)));
    }

    #[test]
    fn what_differs_from_the_training_to_be_continued_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        let own = header(STUDENT);
        save(&path, &own, &[]).unwrap();
        let other = |change: &dyn Fn(&mut Header)| {
            let mut expected = own.clone();
            change(&mut expected);
            Checkpoint::resume(&path, &expected).map(|c| c.header).map_err(|e| e.to_string())
        };
        let differs = |what: &str, change: &dyn Fn(&mut Header)| {
            let message = other(change).unwrap_err();
            assert!(
                message.contains(&format!("belongs to another {what}; start again with another --out")),
                "{message}"
            );
        };
        differs("recipe", &|h| h.recipe.stages[0].lr *= 2.0);
        differs("stage", &|h| h.stage = "b".to_owned());
        differs("label list", &|h| h.labels.reverse());
        differs("fold", &|h| h.fold = None);
        differs("fold", &|h| h.folds = FoldMode::Source);
        differs("number of steps", &|h| h.n_steps = 10);
        // What does not bear on the stage may change, and is what the training continues with.
        let header = other(&|h| h.recipe.stages[1].lr *= 2.0).unwrap();
        assert_eq!((header.step, header.recipe.stages[1].lr), (2, 0.2));
        let message = Checkpoint::load(&path).unwrap().finished().unwrap_err().to_string();
        assert!(message.contains("training is not finished: step 2 of 9; continue it with --resume"), "{message}");
    }

    #[test]
    fn tensors_are_restored_in_place_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        let named = |name: &str, value: Tensor| (name.to_owned(), value);
        save(&path, &header(STUDENT), &[named("model/a", Tensor::from_slice(&[1.0f32, 2.0]))]).unwrap();
        let checkpoint = Checkpoint::load(&path).unwrap();
        let target = Tensor::from_slice(&[0.0f32; 2]);
        checkpoint.restore(&[named("model/a", target.shallow_clone())]).unwrap();
        assert_eq!(Vec::<f32>::try_from(&target).unwrap(), [1.0, 2.0]);
        let message = |name: &str, n: usize| {
            let target = Tensor::from_slice(&vec![0.0f32; n]);
            checkpoint.restore(&[named(name, target)]).unwrap_err().to_string()
        };
        assert!(message("model/b", 2).contains("tensor \"model/b\" is missing"));
        assert!(message("model/a", 3).contains("tensor \"model/a\" has the shape [2], expected [3]"));
        assert!(checkpoint.has("model/") && !checkpoint.has("final/") && checkpoint.part("model/").contains_key("a"));
    }
}

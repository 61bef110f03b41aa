//! The head: from CED-tiny's tokens to the logits of labels.
//!
//! `head.safetensors` holds `hidden.weight` `(n_hidden, n_in)`, `hidden.bias`, `output.weight`
//! `(n_labels, n_hidden)`, `output.bias` and, as metadata, the numbers of [`HeadShape`].

use crate::ced::{EMBEDDING_WIDTH, MAX_STEPS};
use crate::{Array, Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::Path;

/// What the head sees of a patch: the embeddings of `context_steps` steps, of which the one that it
/// describes is in the middle, and the mean of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadShape {
    /// Steps that CED-tiny hears at once.
    pub patch_steps: usize,
    /// Steps after the one that the head describes.
    pub lookahead_steps: usize,
    /// Odd.
    pub context_steps: usize,
}

/// A linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `(n_out, n_in)`.
    pub weight: Array,
    /// `(n_out)`.
    pub bias: Array,
}

/// Two linear layers, with a rectifier between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What it sees.
    pub shape: HeadShape,
    /// From what the head sees.
    pub hidden: Linear,
    /// To the logits.
    pub output: Linear,
}

const KEYS: [&str; 3] = ["patch_steps", "lookahead_steps", "context_steps"];

impl HeadShape {
    /// Step of the patch that the head describes, from 0.
    pub fn step(&self) -> usize {
        self.patch_steps - 1 - self.lookahead_steps
    }

    /// Values that the head sees.
    pub fn n_in(&self) -> usize {
        (self.context_steps + 1) * EMBEDDING_WIDTH
    }

    /// Checks the sizes.
    ///
    /// # Errors
    ///
    /// With a sentence about the first that does not fit.
    pub fn check(&self) -> std::result::Result<(), String> {
        let Self { patch_steps, lookahead_steps, context_steps } = *self;
        if !(1..=MAX_STEPS).contains(&patch_steps) {
            return Err(format!("patch_steps is {patch_steps}, must be from 1 to {MAX_STEPS}"));
        }
        if context_steps % 2 == 0 {
            return Err(format!("context_steps is {context_steps}, must be odd"));
        }
        let half = context_steps / 2;
        if lookahead_steps < half || lookahead_steps + half >= patch_steps {
            return Err(format!(
                "lookahead_steps is {lookahead_steps}: {half} steps of context must fit before and after the step \
                 in a patch of {patch_steps}"
            ));
        }
        Ok(())
    }
}

impl Head {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is not a head.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let no_head = |what: String| Error::content(path, format!("is not a head: {what}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| no_head(e.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| no_head(e.to_string()))?;
        let [patch_steps, lookahead_steps, context_steps] = KEYS.map(|key| {
            let text = header.metadata().as_ref().and_then(|metadata| metadata.get(key));
            text.and_then(|text| text.parse().ok()).ok_or_else(|| no_head(format!("it does not say its {key}")))
        });
        let shape =
            HeadShape { patch_steps: patch_steps?, lookahead_steps: lookahead_steps?, context_steps: context_steps? };
        shape.check().map_err(no_head)?;
        let array = |name: &str| {
            let view = file.tensor(name).map_err(|e| no_head(e.to_string()))?;
            if view.dtype() != Dtype::F32 {
                return Err(no_head(format!("{name} is not in single precision")));
            }
            let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            Ok(Array { dims: view.shape().to_vec(), values: values.collect() })
        };
        let linear = |name: &str| {
            Ok::<_, Error>(Linear { weight: array(&format!("{name}.weight"))?, bias: array(&format!("{name}.bias"))? })
        };
        let head = Self { shape, hidden: linear("hidden")?, output: linear("output")? };
        let (n_hidden, n_labels) = (head.hidden.bias.values.len(), head.output.bias.values.len());
        let fits =
            head.hidden.weight.dims == [n_hidden, shape.n_in()] && head.output.weight.dims == [n_labels, n_hidden];
        if !fits {
            let (hidden, output) = (&head.hidden.weight.dims, &head.output.weight.dims);
            return Err(no_head(format!(
                "weights of {hidden:?} and {output:?} do not fit {} inputs, {n_hidden} hidden values and {n_labels} \
                 labels",
                shape.n_in()
            )));
        }
        Ok(head)
    }

    /// Writes the file at `path`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let HeadShape { patch_steps, lookahead_steps, context_steps } = self.shape;
        let numbers = [patch_steps, lookahead_steps, context_steps].map(|n| n.to_string());
        let metadata: HashMap<String, String> = KEYS.iter().map(|key| (*key).to_owned()).zip(numbers).collect();
        let arrays = [
            ("hidden.weight", &self.hidden.weight),
            ("hidden.bias", &self.hidden.bias),
            ("output.weight", &self.output.weight),
            ("output.bias", &self.output.bias),
        ];
        let bytes = arrays.map(|(_, array)| array.values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        let mut views = Vec::new();
        for ((name, array), bytes) in arrays.iter().zip(&bytes) {
            let view = TensorView::new(Dtype::F32, array.dims.clone(), bytes);
            views.push((*name, view.map_err(|e| Error::content(path, e.to_string()))?));
        }
        let file = safetensors::serialize(views, &Some(metadata)).map_err(|e| Error::content(path, e.to_string()))?;
        std::fs::write(path, file).map_err(Error::io(path))
    }

    /// Labels that it knows.
    pub fn n_labels(&self) -> usize {
        self.output.bias.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let shape = HeadShape { patch_steps: 6, lookahead_steps: 1, context_steps: 3 };
        let array = |dims: &[usize]| {
            let n: usize = dims.iter().product();
            Array { dims: dims.to_vec(), values: (0..n).map(|i| i as f32 * 0.5).collect() }
        };
        let linear = |n_out: usize, n_in: usize| Linear { weight: array(&[n_out, n_in]), bias: array(&[n_out]) };
        Head { shape, hidden: linear(2, shape.n_in()), output: linear(3, 2) }
    }

    #[test]
    fn a_head_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head.safetensors");
        head().write(&path).unwrap();
        assert_eq!(Head::load(&path).unwrap(), head());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("head.safetensors");
        let mut spoilt = head();
        spoilt.output.weight.dims = vec![2, 3];
        spoilt.write(&path).unwrap();
        let message = Head::load(&path).unwrap_err().to_string();
        assert!(message.contains("is not a head: weights of [2, 768] and [2, 3] do not fit"), "{message}");
        for (shape, word) in [((0, 0, 1), "patch_steps"), ((6, 1, 2), "odd"), ((6, 0, 3), "lookahead_steps")] {
            let (patch_steps, lookahead_steps, context_steps) = shape;
            let message = HeadShape { patch_steps, lookahead_steps, context_steps }.check().unwrap_err();
            assert!(message.contains(word), "{message}");
        }
    }
}

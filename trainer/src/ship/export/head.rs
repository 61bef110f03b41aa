//! A head on CED-tiny as a model folder.
//!
//! Enters: a finished checkpoint. Leaves: `head.safetensors`, which may lie in a repository, and
//! `model.onnx`, which `assemble-model` makes of it anywhere else.

use super::verify::{Agreement, largest_difference, stream};
use super::{ExportReport, NETWORK_FILE, Parts, golden, write};
use crate::error::{Error, Result};
use crate::nets::head::{HeadConfig, HeadNetwork};
use crate::nets::teacher::ced::{self, Ced, EMBEDDING_WIDTH};
use crate::train::checkpoint::Checkpoint;
use assemble::ced::{HIDDEN, MAX_STEPS, N_BANDS, N_BLOCKS, PATCH, Weights};
use edge::engine::{BatchEngine, Precision, WindowEngine};
use edge::model::{MANIFEST_FILE, Model};
use edge_frontend::Files;
use edge_frontend::manifest::HEAD_FILE;
use std::path::Path;
use tch::{Kind, Tensor};

/// Largest allowed difference of a logit from libtorch's, which sums in another order in each of
/// the twelve blocks.
const TOLERANCE: f32 = 1e-3;

pub(super) fn write_model(loaded: &Checkpoint, config: &HeadConfig, out: &Path, parts: Parts) -> Result<ExportReport> {
    let frontend = parts.header.recipe.frontend.clone();
    let get = |name: &str| Ok(loaded.tensor(&format!("final/{name}"))?.shallow_clone());
    let trained = HeadNetwork::of_tensors(config, get)?;
    let head = trained.folded(&parts.classes)?;
    head.write(&out.join(HEAD_FILE))?;
    let weights = Weights::load(&ced::place())?;
    let bytes = assemble::network::encode(&weights, &head, &frontend, &parts.name);
    let files = Files { f32: write(out, NETWORK_FILE, &bytes)?, int8: None };
    let classes = parts.classes.clone();
    let manifest = parts.manifest(config.described(&frontend), files);
    write(out, MANIFEST_FILE, manifest.to_toml()?.as_bytes())?;
    let golden_folder = out.join("golden");
    let frames = golden::write_clip(&golden_folder, &frontend)?;
    let agreement = verify(out, config, (&Ced::of(&weights)?, &trained), &classes, &frames)?;
    golden::write_logits(&golden_folder, out, &frames)?;
    let (n_params, mmac) = cost(config, classes.len());
    Ok(ExportReport {
        n_bytes: bytes.len(),
        n_bytes_int8: None,
        n_params,
        mmac_per_second: mmac / ced::STEP_S,
        receptive_field_frames: config.patch_steps * PATCH,
        agreement,
        int8_agreement: None,
    })
}

/// Weights of the network, and millions of multiply-accumulates for a patch.
fn cost(config: &HeadConfig, n_classes: usize) -> (usize, f64) {
    let (d, n) = (EMBEDDING_WIDTH, config.patch_steps * N_BANDS);
    let head = config.shape().n_in() * config.hidden + config.hidden * n_classes;
    let block = 4 * d * d + 2 * d * HIDDEN;
    let patches = d * PATCH * PATCH;
    // Biases, norms and positions beside the matrices.
    let others = N_BLOCKS * (9 * d + HIDDEN) + (MAX_STEPS + N_BANDS + 3) * d + config.hidden + n_classes;
    let attention = 2 * n * d;
    let each = patches + N_BLOCKS * (block + attention);
    (patches + N_BLOCKS * block + head + others, (n * each + head) as f64 / 1e6)
}

/// Runs the model in `folder` on `frames` `(n_frames, n_mels)` as the daemon does, and compares
/// with libtorch.
fn verify(
    folder: &Path,
    config: &HeadConfig,
    (tagger, head): (&Ced, &HeadNetwork),
    classes: &[usize],
    frames: &[f32],
) -> Result<Agreement> {
    let model = Model::load(folder)?;
    let frontend = &model.manifest.frontend;
    let (factor, offset) = assemble::ced::decibels(frontend);
    let frames_of = Tensor::f_from_slice(frames)?.f_view([-1, frontend.n_mels as i64])?;
    let decibels = frames_of.f_mul_scalar(f64::from(factor))?.f_add_scalar(f64::from(offset))?;
    let size = (config.patch_steps * PATCH) as i64;
    let patches = decibels.f_unfold(0, size, PATCH as i64)?.f_transpose(1, 2)?.f_contiguous()?;
    let heard = tagger.tokens_of_frames(&patches)?.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
    let (shape, width) = (config.shape(), config.context_steps);
    let seen = heard.f_narrow(1, (shape.step() - width / 2) as i64, width as i64)?;
    let mean = heard.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
    let rows: Vec<i64> = classes.iter().map(|&c| c as i64).collect();
    let logits = tch::no_grad(|| head.logits(&seen, &mean, Ok))?.f_index_select(2, &Tensor::f_from_slice(&rows)?)?;
    let expected = Vec::<f32>::try_from(&logits.f_contiguous()?.f_view([-1])?)?;

    let batch = BatchEngine::load(&model, Precision::F32)?.run(frames)?;
    let streamed = stream(&mut WindowEngine::load(&model, Precision::F32)?, frames)?;
    let agreement = Agreement {
        batch: largest_difference(folder, &batch, &expected)?,
        streamed: largest_difference(folder, &streamed, &expected)?,
        streamed_to_batch: largest_difference(folder, &streamed, &batch)?,
        n_frames: expected.len() / classes.len(),
    };
    let difference = agreement.batch.max(agreement.streamed);
    if difference.is_nan() || difference > TOLERANCE {
        let message = format!("a logit differs by {difference:e}, allowed {TOLERANCE:e}");
        return Err(Error::Verification { path: folder.to_owned(), message });
    }
    Ok(agreement)
}

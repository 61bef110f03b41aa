//! The model folder with a new head.
//!
//! Enters: the start's model folder, a head, thresholds. Leaves: a model folder as the daemon takes
//! it, in the precisions that the start has: its files with the head replaced. What the daemon then
//! computes is compared with what the start computes.

use super::start::{Classes, Head, Start};
use crate::error::{Error, Result};
use crate::nets::student::Student;
use crate::ship::export::{self, reread};
use edge::engine::{BatchEngine, Precision};
use edge::model::{MANIFEST_FILE, Model};
use edge_frontend::{DataNotes, Decision, Manifest};
use std::collections::BTreeMap;
use std::path::Path;
use tch::Tensor;

/// Largest difference of an old class's logit from the start's, where its row is the start's.
const TOLERANCE: f32 = 1e-4;

/// What the manifest says besides what follows from start and head.
#[derive(Debug)]
pub struct About {
    /// Name of the model.
    pub name: String,
    /// Measured figures.
    pub metrics: BTreeMap<String, f64>,
    /// Data and terms.
    pub data: DataNotes,
}

/// Writes the folder `out`.
///
/// # Errors
///
/// If a file cannot be read or written.
pub fn write(
    start: &Start,
    classes: &Classes,
    head: &Head,
    decision: Decision,
    about: About,
    out: &Path,
) -> Result<()> {
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    let (old, first) = (&start.model.manifest, classes.arranged(&start.head)?);
    let mut files = old.files.clone();
    for (precision, file) in [(Precision::F32, Some(&mut files.f32)), (Precision::Int8, files.int8.as_mut())] {
        let (Some(file), Some(path)) = (file, start.model.network_file(precision)) else { continue };
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let (weight, bias) = reread::head(&bytes, &path)?;
        // Each file's own head, and what was learnt since.
        let own = classes.arranged(&Head { weight, bias })?;
        let weight = own.weight.f_add(&head.weight.f_sub(&first.weight)?)?;
        let bias = own.bias.f_add(&head.bias.f_sub(&first.bias)?)?;
        let bytes = reread::with_head(&bytes, &path, (&weight, &bias), &about.name)?;
        *file = export::write(out, &file.path, &bytes)?;
    }
    let manifest = Manifest {
        name: about.name,
        version: "1.0.0".to_owned(),
        labels: classes.labels.clone(),
        background: classes.background.map(|c| classes.labels[c].clone()),
        files,
        decision,
        metrics: about.metrics,
        data: about.data,
        ..old.clone()
    };
    export::write(out, MANIFEST_FILE, manifest.to_toml()?.as_bytes()).map(|_| ())
}

/// Writes the golden files of the model in `out` and compares what the daemon computes with
/// libtorch, and with the start.
///
/// # Errors
///
/// If a file cannot be written, or a logit differs.
pub fn verify(start: &Start, classes: &Classes, head: &Head, out: &Path) -> Result<()> {
    let golden = out.join("golden");
    std::fs::create_dir_all(&golden).map_err(Error::io(&golden))?;
    let manifest = &start.model.manifest;
    let frames = export::golden::write_clip(&golden, &manifest.frontend)?;
    export::golden::write_logits(&golden, out, &frames)?;
    let mut values = start.student.params().iter().map(|p| (p.name.clone(), p.value.shallow_clone())).collect();
    for (name, value) in [("head.weight", &head.weight), ("head.bias", &head.bias)] {
        let values: &mut std::collections::HashMap<String, Tensor> = &mut values;
        values.insert(name.to_owned(), value.shallow_clone());
    }
    let (network, n_classes) = (start.student.network(), classes.labels.len());
    let mut student = Student::new(network, start.student.n_mels(), n_classes, 0, 0, start.student.device())?;
    student.fill(&values, "", out)?;
    let all: Vec<usize> = (0..n_classes).collect();
    export::verify(out, &student, &all, &frames)?;

    let model = Model::load(out)?;
    let kept: Vec<(usize, usize)> = classes.row.iter().enumerate().filter_map(|(c, row)| Some((c, (*row)?))).collect();
    let kept = kept.into_iter().filter(|(c, _)| !classes.trained.contains(c));
    let kept: Vec<(usize, usize)> = kept.collect();
    for precision in [Precision::F32, Precision::Int8] {
        if model.network_file(precision).is_none() {
            continue;
        }
        let (old, new) = (
            BatchEngine::load(&start.model, precision)?.run(&frames)?,
            BatchEngine::load(&model, precision)?.run(&frames)?,
        );
        for (old, new) in old.chunks_exact(manifest.labels.len()).zip(new.chunks_exact(n_classes)) {
            if let Some((class, _)) = kept.iter().find(|(c, row)| (old[*row] - new[*c]).abs() > TOLERANCE) {
                let message = format!("{precision}: the logit of {:?} is not the start's", classes.labels[*class]);
                return Err(Error::Verification { path: out.to_owned(), message });
            }
        }
    }
    Ok(())
}

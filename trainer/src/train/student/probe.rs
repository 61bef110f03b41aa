//! What the teacher's embedding says about the classes, merged into the student's head.
//!
//! Enters: the teacher's embeddings of the training clips with their labels, and a trained student.
//! Leaves: the student with another head. A logistic regression on the teacher's embeddings
//! classifies better than the student's own head, and the student predicts these embeddings. It
//! gained about 5 points on Kitchen20.

use super::teach::Taught;
use super::{input, whole_clip};
use crate::data::frames::Frames;
use crate::error::{Error, Result};
use crate::nets::Precision;
use crate::nets::student::Student;
use crate::nets::teacher::regression::{Linear, mean_norm, regress};
use crate::nets::teacher::{EMBEDDING_WIDTH, Teacher};
use edge_frontend::FrontendConfig;
use tch::{Device, Tensor};

/// One clip in this many is shown to the student to find the scale of its predictions.
const SAMPLE_EVERY: usize = 7;

/// What the regression learns from.
#[derive(Debug)]
pub struct Lessons {
    labels: Vec<i64>,
    /// `(labels.len(), EMBEDDING_WIDTH)`, standardised.
    embeddings: Vec<f32>,
    /// Some clips.
    sample: Vec<Frames>,
}

impl Lessons {
    /// Gathers the embeddings of training clips; none if they have none.
    pub fn gather(clips: &[Taught]) -> Option<Self> {
        let mut lessons = Self { labels: Vec::new(), embeddings: Vec::new(), sample: Vec::new() };
        let taught = clips.iter().filter_map(|taught| Some((&taught.clip, taught.targets.as_ref()?)));
        for (i, (clip, targets)) in taught.enumerate() {
            lessons.labels.extend(std::iter::repeat_n(clip.label as i64, targets.centres.len()));
            lessons.embeddings.extend(&targets.values);
            if i % SAMPLE_EVERY == 0 {
                lessons.sample.push(clip.frames.clone());
            }
        }
        (!lessons.labels.is_empty()).then_some(lessons)
    }

    /// A classifier of the embeddings; its rows are zero for classes that no clip has. See
    /// [`regress`].
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn regress(&self, n_classes: usize, c: f64) -> Result<Linear> {
        regress(&self.embeddings()?, &Tensor::f_from_slice(&self.labels)?, n_classes, c)
    }

    fn embeddings(&self) -> Result<Tensor> {
        Ok(Tensor::f_from_slice(&self.embeddings)?.f_view([-1, EMBEDDING_WIDTH as i64])?)
    }
}

/// The student with `settings.probe_share` of the regression's logits added to its own.
///
/// # Errors
///
/// If the student has no teacher's head, or libtorch reports an error.
pub fn merge(
    student: &Student,
    lessons: &Lessons,
    settings: &Teacher,
    background: Option<usize>,
    frontend: &FrontendConfig,
    device: Device,
) -> Result<Student> {
    let classifier = lessons.regress(student.n_classes(), settings.probe_c)?;
    let part = |name: &str| student.param(name).ok_or_else(|| Error::Usage(format!("the student has no {name}")));
    let prediction =
        Linear { weight: part("teacher.weight")?.shallow_clone(), bias: part("teacher.bias")?.shallow_clone() };
    let predicted = predicted_norm(student, &lessons.sample, frontend, device)?;
    let mut merged = student.frozen_copy()?;
    tch::no_grad(|| {
        let scale = mean_norm(&lessons.embeddings()?)? / predicted;
        let more = classifier.after(&prediction, scale, settings.probe_share)?;
        if let Some(background) = background {
            let _ = more.bias.f_get(background as i64)?.f_add_scalar_(settings.background_offset)?;
        }
        for param in merged.params_mut() {
            let more = match param.name.as_str() {
                "head.weight" => &more.weight,
                "head.bias" => &more.bias,
                _ => continue,
            };
            let _ = param.value.f_add_(more)?;
        }
        Ok(merged)
    })
}

/// Mean length of the embeddings that the student predicts: the cosine it was trained with leaves
/// their length open.
fn predicted_norm(student: &Student, sample: &[Frames], frontend: &FrontendConfig, device: Device) -> Result<f64> {
    let mut sum = 0.0;
    for frames in sample {
        let frames = frames.all()?;
        let frames = whole_clip(frontend, &student.network().described(), &frames);
        let features = student.embed(&input(student, &frames, device)?, Precision::F32, false)?;
        let features = features.f_mean_dim([2i64].as_slice(), false, features.kind())?;
        if let Some(predicted) = student.imitate(&features)? {
            sum += mean_norm(&predicted)?;
        }
    }
    Ok((sum / sample.len().max(1) as f64).max(1e-6))
}

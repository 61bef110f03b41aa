//! Teachers of a student.
//!
//! Enters: batches with what teachers know of the clean clips, or can hear of the crops. Leaves: a
//! [`Lesson`], the embeddings and posteriors that the student learns from, with masks of the rows
//! that are known. No teacher has seen the held-out fold: EfficientAT mn04 was trained on AudioSet,
//! its classifier is fitted to the training clips, fused models are those of the fold, and scores
//! files name their fold. Runs on the training thread.

use super::batcher::{Batch, Heard, Hearing, Known};
use super::{Bands, probe};
use crate::common::maths::Expr;
use crate::error::Result;
use crate::nets::Precision;
use crate::nets::slowfast::fused::{Ensemble, views};
use crate::nets::teacher::regression::Linear;
use crate::nets::teacher::{EMBEDDING_WIDTH, Listener};
use crate::train::loss::cosine_distance;
use crate::train::recipe::{Distill, Fused};
use edge_frontend::{FrontendConfig, Power};
use tch::{Device, Kind, Tensor};

/// The teachers of a training.
#[derive(Debug, Default)]
pub struct Teachers {
    /// Hears crops as the student does.
    pub hearing: Option<HearingTeacher>,
    /// Posteriors from mn04's embeddings; none where the recipe gives them no weight.
    pub classifier: Option<Classifier>,
    /// Weights and temperature.
    pub settings: Option<Distill>,
}

/// A teacher that hears crops.
#[derive(Debug)]
pub enum HearingTeacher {
    /// EfficientAT mn04: embeddings.
    Mn04(Listener),
    /// The fused models of a recipe: posteriors and, if wanted, embeddings.
    Fused(Box<FusedTeacher>),
}

/// The fused models of a recipe, as a teacher of a student with more labels or the same.
#[derive(Debug)]
pub struct FusedTeacher {
    ensemble: Ensemble,
    settings: Fused,
    frontend: FrontendConfig,
    /// The student's class of each of the models'.
    classes: Vec<i64>,
    /// Whether one of them is the student's background: only then the models are asked about
    /// negatives.
    knows_background: bool,
    /// Mean and standard deviation of each backbone's features over some training crops.
    statistics: Option<Vec<(Tensor, Tensor)>>,
}

/// A classifier of mn04's embeddings: multinomial logistic regression on those of the training
/// clips.
#[derive(Debug)]
pub struct Classifier(Linear);

/// Rows with a mask of those that are known.
#[derive(Debug)]
pub struct Masked {
    /// `(B, width)`.
    pub rows: Tensor,
    /// `(B)`: 1 where the row is known, else 0.
    pub mask: Tensor,
}

/// Embeddings to be predicted: one or several, side by side in the rows, each with its width and
/// its weight in the loss.
#[derive(Debug)]
pub struct Embeddings {
    /// `(B, sum of the widths)`.
    pub known: Masked,
    /// Width and weight of each.
    pub parts: Vec<(i64, f64)>,
}

/// What the teachers say of a batch.
#[derive(Debug, Default)]
pub struct Lesson {
    /// For the student's second head.
    pub embeddings: Option<Embeddings>,
    /// Posteriors `(B, n_classes)` at the temperature of the distillation.
    pub soft: Option<Masked>,
}

impl Embeddings {
    /// The mean cosine distance of `predicted` `(B, sum of the widths)` from these, over the rows
    /// that are known.
    ///
    /// # Errors
    ///
    /// If the shapes do not fit.
    pub fn distance(&self, predicted: &Tensor) -> Result<Tensor> {
        let total: f64 = self.parts.iter().map(|(_, weight)| weight).sum();
        let (mut sum, mut at) = (Expr::of(&self.known.mask) * 0.0, 0);
        for &(width, weight) in &self.parts {
            let part = |x: &Tensor| x.f_narrow(1, at, width);
            sum = sum + cosine_distance(&part(predicted)?, &part(&self.known.rows)?) * (weight / total);
            at += width;
        }
        crate::train::loss::masked_mean(&sum, &self.known.mask).tensor()
    }
}

impl Classifier {
    /// Fits one; see [`probe::Lessons::regress`].
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn fit(lessons: &probe::Lessons, n_classes: usize, c: f64, device: Device) -> Result<Self> {
        let Linear { weight, bias } = lessons.regress(n_classes, c)?;
        // Rows of classes that no clip has are zero, which would stand for a medium probability.
        let absent = weight.f_abs()?.f_amax([1i64], false)?.f_eq(0.0)?.f_to_kind(Kind::Float)?;
        let bias = (Expr::of(&bias) - Expr::of(&absent) * 1e4).tensor()?;
        Ok(Self(Linear { weight: weight.f_to_device(device)?, bias: bias.f_to_device(device)? }))
    }

    /// Posteriors `(B, n_classes)` of embeddings `(B, EMBEDDING_WIDTH)`.
    fn posteriors(&self, embeddings: &Tensor, temperature: f64) -> Expr {
        let logits = Expr::of(embeddings).map(|x| x.f_linear(&self.0.weight, Some(&self.0.bias)));
        (logits / temperature).softmax(1)
    }
}

impl FusedTeacher {
    /// The models of `ensemble`, trained with the front end `frontend`, whose classes `labels` the
    /// student has at `classes`.
    ///
    /// # Panics
    ///
    /// If the student lacks a class of the models.
    pub fn new(
        ensemble: Ensemble,
        settings: Fused,
        frontend: FrontendConfig,
        labels: &[String],
        student: &[String],
        background: Option<usize>,
    ) -> Self {
        let class = |label: &String| student.iter().position(|l| l == label).expect("labels were compared");
        let classes: Vec<i64> = labels.iter().map(|label| class(label) as i64).collect();
        let knows_background = background.is_some_and(|at| classes.contains(&(at as i64)));
        Self { ensemble, settings, frontend, classes, knows_background, statistics: None }
    }

    /// Widths of the embeddings that the student predicts; empty if it does not learn them.
    pub fn widths(&self) -> Vec<usize> {
        if self.settings.embedding_weight > 0.0 { self.ensemble.widths() } else { Vec::new() }
    }

    /// How crops are made for it, beside a student with the front end `own`.
    pub fn hearing(&self, own: &FrontendConfig) -> Hearing {
        Hearing { bands: Bands::of(own, &self.frontend), share: self.settings.online, masked: true }
    }

    /// Takes mean and deviation of the embeddings from some training crops, so that each value
    /// counts as much as another.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn standardise(&mut self, crops: &[Heard], device: Device) -> Result<()> {
        if self.widths().is_empty() {
            return Ok(());
        }
        let scored = crops.iter().filter(|c| !c.items.is_empty()).map(|c| self.score(c, device));
        let scored = scored.collect::<Result<Vec<_>>>()?;
        let column = |backbone: usize| {
            let rows: Vec<&Tensor> = scored.iter().map(|s| &s.features[backbone]).collect();
            let rows = Tensor::f_cat(&rows, 0)?;
            Ok((
                rows.f_mean_dim([0i64].as_slice(), false, Kind::Float)?,
                rows.f_std_dim([0i64].as_slice(), false, false)?.f_add_scalar(1e-6)?,
            ))
        };
        self.statistics = match scored.is_empty() {
            true => None,
            false => Some((0..self.widths().len()).map(column).collect::<Result<_>>()?),
        };
        Ok(())
    }

    fn score(&self, heard: &Heard, device: Device) -> Result<crate::nets::slowfast::fused::Scored> {
        let config = self.ensemble.members()[0].network.config();
        let shape = [heard.items.len() as i64, -1, config.n_mels as i64];
        let power = Tensor::f_from_slice(&heard.power)?.f_view(shape)?.f_to_device(device)?;
        let frontend = &self.frontend;
        let views = views(&power, config.n_frames, |power| {
            let power = Expr::of(power);
            let mel = if frontend.power == Power::Magnitude { power.sqrt() } else { power };
            let log = (mel + frontend.log_offset).ln();
            ((log - f64::from(frontend.mean)) / f64::from(frontend.std)).tensor()
        })?;
        self.ensemble.score(&views, Precision::F32)
    }

    /// What the models say of the crops that they hear: rows of posteriors over the student's
    /// classes, and of embeddings.
    fn hear(
        &self,
        heard: &Heard,
        n_classes: usize,
        temperature: f64,
        device: Device,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let scored = self.score(heard, device)?;
        let own = self.ensemble.posteriors(&scored, temperature)?;
        let classes = Tensor::f_from_slice(&self.classes)?.f_to_device(device)?;
        let zeros = Tensor::f_zeros([own.size()[0], n_classes as i64], (Kind::Float, device))?;
        let posteriors = zeros.f_index_copy(1, &classes, &own)?;
        let Some(statistics) = &self.statistics else { return Ok((posteriors, None)) };
        let rows = scored
            .features
            .iter()
            .zip(statistics)
            .map(|(x, (mean, std))| ((Expr::of(x) - Expr::of(mean)) / Expr::of(std)).tensor());
        Ok((posteriors, Some(Tensor::f_cat(&rows.collect::<Result<Vec<_>>>()?, 1)?)))
    }

    /// Width and weight of each embedding in the loss.
    fn parts(&self) -> Vec<(i64, f64)> {
        let weight_of = self.ensemble.backbone_weights();
        self.widths().iter().zip(weight_of).map(|(&width, weight)| (width as i64, weight)).collect()
    }
}

impl Teachers {
    /// Width of the student's second head, which predicts embeddings; 0 without.
    pub fn embedding_width(&self) -> usize {
        match &self.hearing {
            Some(HearingTeacher::Fused(teacher)) => teacher.widths().iter().sum(),
            Some(HearingTeacher::Mn04(_)) | None => 0,
        }
    }

    /// Asks the teachers about a batch.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn ask(&self, batch: &Batch, n_classes: usize, device: Device) -> Result<Lesson> {
        let n_batch = batch.negative.len() as i64;
        let mut lesson = Lesson::default();
        if let Some(known) = &batch.embeddings {
            let mut known = masked(known, device)?;
            if let (Some(HearingTeacher::Mn04(listener)), Some(heard)) = (&self.hearing, &batch.heard)
                && !heard.items.is_empty()
            {
                let rows = Tensor::f_from_slice(&heard.items)?.f_to_device(device)?;
                let given = listener.hear(&heard.power, heard.items.len())?;
                known.rows = known.rows.f_index_copy(0, &rows, &given)?;
                known.mask = known.mask.f_index_fill(0, &rows, 1.0)?;
            }
            lesson.embeddings = Some(Embeddings { known, parts: vec![(EMBEDDING_WIDTH as i64, 1.0)] });
        }
        let Some(settings) = &self.settings else { return Ok(lesson) };
        let mut sum = Expr::of(&Tensor::f_zeros([n_batch, n_classes as i64], (Kind::Float, device))?);
        let mut total = Expr::of(&Tensor::f_zeros([n_batch], (Kind::Float, device))?);
        let mut add = |rows: Expr, mask: &Tensor, weight: f64| {
            let mask = Expr::of(mask) * weight;
            sum = &sum + rows * mask.unsqueeze(1);
            total = &total + mask;
        };
        if let Some(soft) = &batch.soft {
            let Masked { rows, mask } = masked(soft, device)?;
            add(Expr::of(&rows), &mask, settings.weight_of_segments());
        }
        if let (Some(classifier), Some(embeddings)) = (&self.classifier, &lesson.embeddings) {
            // The classifier does not know what background is.
            let mask = embeddings.known.mask.f_mul(&labelled(batch, device)?)?;
            add(classifier.posteriors(&embeddings.known.rows, settings.temperature), &mask, settings.classifier);
        }
        if let (Some(HearingTeacher::Fused(teacher)), Some(heard)) = (&self.hearing, &batch.heard)
            && !heard.items.is_empty()
        {
            let items = Tensor::f_from_slice(&heard.items)?.f_to_device(device)?;
            let (posteriors, embeddings) = teacher.hear(heard, n_classes, settings.temperature, device)?;
            let spread = |rows: &Tensor| -> Result<Tensor> {
                let zeros = Tensor::f_zeros([n_batch, rows.size()[1]], (Kind::Float, device))?;
                Ok(zeros.f_index_copy(0, &items, rows)?)
            };
            let mask = Tensor::f_zeros([n_batch], (Kind::Float, device))?.f_index_fill(0, &items, 1.0)?;
            let known =
                if teacher.knows_background { mask.shallow_clone() } else { mask.f_mul(&labelled(batch, device)?)? };
            add(Expr::of(&spread(&posteriors)?), &known, teacher.settings.weight);
            if let Some(rows) = &embeddings {
                lesson.embeddings =
                    Some(Embeddings { known: Masked { rows: spread(rows)?, mask }, parts: teacher.parts() });
            }
        }
        if settings.soft_weight > 0.0 {
            let posteriors = sum / total.at_least(1e-6).unsqueeze(1);
            lesson.soft = Some(Masked { rows: posteriors.tensor()?, mask: total.above(0.0).tensor()? });
        }
        Ok(lesson)
    }
}

/// `(B)`: 0 where the item is a negative, else 1.
fn labelled(batch: &Batch, device: Device) -> Result<Tensor> {
    let labelled: Vec<f32> = batch.negative.iter().map(|&negative| if negative { 0.0 } else { 1.0 }).collect();
    Ok(Tensor::f_from_slice(&labelled)?.f_to_device(device)?)
}

fn masked(known: &Known, device: Device) -> Result<Masked> {
    let mask = Tensor::f_from_slice(&known.mask)?.f_to_device(device)?;
    let rows = Tensor::f_from_slice(&known.values)?.f_view([known.mask.len() as i64, -1])?.f_to_device(device)?;
    Ok(Masked { rows, mask })
}

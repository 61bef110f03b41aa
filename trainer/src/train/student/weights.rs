//! The weights of a student in training: gradients enter, better weights leave, with their moving
//! average.

use crate::error::Result;
use crate::nets::student::Student;
use crate::train::optim::{Optimizer, with_decay};
use crate::train::optimizer_tensors;
use crate::train::recipe::{Stage, Train};
use crate::train::schedule::{learning_rate, memory};
use tch::Tensor;

/// A student with its optimiser and the moving average of its weights.
pub struct Weights {
    student: Student,
    average: Student,
    optimizer: Optimizer,
    stage: Stage,
    weight_decay: f64,
}

impl Weights {
    /// `student` at the start of `stage`.
    ///
    /// # Errors
    ///
    /// If libtorch cannot allocate the state.
    pub fn new(student: Student, stage: &Stage, train: &Train) -> Result<Self> {
        let trained = student.params().iter().filter(|p| p.trained).map(|p| &p.value);
        Ok(Self {
            optimizer: Optimizer::new(stage.method, train.momentum, trained)?,
            average: student.frozen_copy()?,
            weight_decay: stage.weight_decay.unwrap_or(train.weight_decay),
            stage: stage.clone(),
            student,
        })
    }

    /// The network.
    pub fn student(&self) -> &Student {
        &self.student
    }

    /// The moving average of the weights: better than the weights themselves.
    pub fn averaged(&self) -> &Student {
        &self.average
    }

    /// Updates the weights from their gradients, after the backward pass of step `step` of
    /// `n_steps`. Leaves the learning rate.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn update(&mut self, step: u64, n_steps: u64, steps_per_epoch: u64) -> Result<f64> {
        let lr = learning_rate(&self.stage, step, n_steps, steps_per_epoch);
        let decay = self.weight_decay;
        let trained = self.student.params_mut().iter_mut().filter(|p| p.trained);
        let trained = trained.map(|p| with_decay(&mut p.value, decay));
        self.optimizer.step(trained, lr, step)?;
        self.average.average_towards(&self.student, memory(&self.stage, step))?;
        Ok(lr)
    }

    /// Everything that a checkpoint holds of it.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = Vec::new();
        for (prefix, student) in [("model", &self.student), ("ema", &self.average)] {
            let params = student.params().iter();
            tensors.extend(params.map(|p| (format!("{prefix}/{}", p.name), p.value.shallow_clone())));
        }
        let trained = self.student.params().iter().filter(|p| p.trained).map(|p| p.name.clone());
        tensors.extend(optimizer_tensors(&self.optimizer, trained));
        tensors
    }
}

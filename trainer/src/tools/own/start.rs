//! The model that is started from.
//!
//! Enters: a model folder. Leaves: its manifest, its network as features and head, and the classes
//! of the model that is to be made.

use crate::error::{Error, Result};
use crate::nets::student::Student;
use crate::ship::export::reread;
use edge::engine::Precision;
use edge::model::{MANIFEST_FILE, Model};
use edge_frontend::NetworkKind;
use std::path::Path;
use tch::Tensor;

/// A linear head.
#[derive(Debug)]
pub struct Head {
    /// `(n_classes, n_channels)`.
    pub weight: Tensor,
    /// `(n_classes)`.
    pub bias: Tensor,
}

/// The model that is started from.
#[derive(Debug)]
pub struct Start {
    /// Manifest and folder; the front end agrees with the manifest's hash.
    pub model: Model,
    /// The network in single precision.
    pub student: Student,
    /// Its head.
    pub head: Head,
}

impl Start {
    /// Reads the model in `folder`.
    ///
    /// # Errors
    ///
    /// If there is no such model, its front end or files are not those that its manifest was
    /// written for, or a training cannot start from its network; the kind is
    /// [`ErrorKind::Model`](crate::error::ErrorKind::Model) unless libtorch fails.
    pub fn load(folder: &Path) -> Result<Self> {
        let model = Model::load(folder)?;
        if model.manifest.network.kind != NetworkKind::Stream {
            let (expected, actual) =
                ("\"stream\"".to_owned(), "\"window\"; training can start only from a stream".to_owned());
            let path = folder.join(MANIFEST_FILE);
            return Err(edge::Error::ModelField { path, field: "network.kind", expected, actual }.into());
        }
        let path = model.network_file(Precision::F32).unwrap_or_default();
        let file = std::fs::read(&path).map_err(|e| edge::Error::model_file(&path, e))?;
        let (network, n_mels) = (&model.manifest.network, model.manifest.frontend.n_mels);
        let student = reread::student(&file, &path, n_mels).map_err(of_model)?;
        let student = student.reading(network.activation, network.lookahead_ms);
        if student.n_classes() != model.manifest.labels.len() {
            let expected = format!("{} classes", model.manifest.labels.len());
            let actual = format!("{} classes", student.n_classes());
            return Err(edge::Error::ModelField { path, field: "labels", expected, actual }.into());
        }
        let (weight, bias) = reread::head(&file, &path).map_err(of_model)?;
        Ok(Self { model, student, head: Head { weight, bias } })
    }
}

/// A network file whose content cannot be used is a mistake in the model folder.
fn of_model(error: Error) -> Error {
    match error {
        Error::Content { path, message } => edge::Error::model_file(&path, message).into(),
        other => other,
    }
}

/// The classes of the model that is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Classes {
    /// In order.
    pub labels: Vec<String>,
    /// For each, its row in the head that is started from.
    pub row: Vec<Option<usize>>,
    /// Those whose rows are trained.
    pub trained: Vec<usize>,
    /// Stands for none of the others.
    pub background: Option<usize>,
    /// The user's, as indices into the labels, in the user's order.
    pub own: Vec<usize>,
}

impl Classes {
    /// Those of the start, followed by the user's new ones.
    pub fn added(start: &Start, own: &[String]) -> Self {
        let manifest = &start.model.manifest;
        let mut labels = manifest.labels.clone();
        labels.extend(own.iter().filter(|label| !manifest.labels.contains(label)).cloned());
        let row = (0..labels.len()).map(|c| (c < manifest.labels.len()).then_some(c)).collect();
        let find = |label: &String| labels.iter().position(|l| l == label);
        let own: Vec<usize> = own.iter().filter_map(find).collect();
        let mut trained = own.clone();
        trained.sort_unstable();
        let background = manifest.background.as_ref().and_then(find);
        Self { labels, row, trained, background, own }
    }

    /// Only the user's, and background.
    pub fn alone(own: &[String], background: &str) -> Self {
        let labels = [own, &[background.to_owned()]].concat();
        let n = labels.len();
        Self {
            labels,
            row: vec![None; n],
            trained: (0..n).collect(),
            background: Some(n - 1),
            own: (0..n - 1).collect(),
        }
    }

    /// A head of the start in this order; rows that it has not are zero.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn arranged(&self, head: &Head) -> Result<Head> {
        let of = |value: &Tensor| -> Result<Tensor> {
            let zero = value.f_get(0)?.f_zeros_like()?;
            let rows = self.row.iter().map(|row| match row {
                Some(row) => Ok(value.f_get(*row as i64)?),
                None => Ok(zero.shallow_clone()),
            });
            Ok(Tensor::f_stack(&rows.collect::<Result<Vec<_>>>()?, 0)?)
        };
        Ok(Head { weight: of(&head.weight)?, bias: of(&head.bias)? })
    }

    /// Whether nothing of the start's head is left.
    pub fn are_all_new(&self) -> bool {
        self.row.iter().all(Option::is_none)
    }
}

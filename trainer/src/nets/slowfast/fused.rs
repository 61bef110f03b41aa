//! Several SlowFast networks that score together.
//!
//! Enters: views. Leaves: each network's logits, the weighted mean of their posteriors, and their
//! embeddings. Networks that share a backbone, as stages with a frozen one do, share its
//! computation.

use super::{Pass, SlowFast};
use crate::common::maths::Expr;
use crate::error::{Error, Result};
use crate::nets::Precision;
use tch::{Kind, Tensor};

/// A network with what is done to its input.
#[derive(Debug)]
pub struct Member {
    /// The network.
    pub network: SlowFast,
    /// Whether views are scaled to [0, 1].
    pub min_max: bool,
    /// Weight of its posteriors.
    pub weight: f64,
}

/// Networks with the same classes.
#[derive(Debug)]
pub struct Ensemble {
    members: Vec<Member>,
    /// For each member, the first that has its backbone.
    leaders: Vec<usize>,
}

/// What the networks make of views.
#[derive(Debug)]
pub struct Scored {
    /// For each member, `(B, n_classes)`.
    pub logits: Vec<Tensor>,
    /// For each backbone, what the head sees, `(B, n_features)`.
    pub features: Vec<Tensor>,
}

impl Ensemble {
    /// The ensemble of `members`.
    ///
    /// # Errors
    ///
    /// If there is none, or they have different numbers of classes or sizes of views.
    pub fn new(members: Vec<Member>) -> Result<Self> {
        let Some(first) = members.first() else { return Err(Error::Usage("no network to score with".to_owned())) };
        let shape = |m: &Member| (m.network.n_classes(), m.network.config().n_frames, m.network.config().n_mels);
        if members.iter().any(|m| shape(m) != shape(first)) {
            return Err(Error::Usage("networks of different classes or views cannot score together".to_owned()));
        }
        let leaders = leaders(&members.iter().map(|m| (&m.network, m.min_max)).collect::<Vec<_>>());
        Ok(Self { leaders, members })
    }

    /// The networks.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.members[0].network.n_classes()
    }

    /// Values of each backbone's features.
    pub fn widths(&self) -> Vec<usize> {
        self.backbones().map(|i| self.members[i].network.config().n_features()).collect()
    }

    /// For each backbone, the sum of the weights of the members that have it.
    pub fn backbone_weights(&self) -> Vec<f64> {
        let weight = |leader: usize| {
            let own = self.members.iter().zip(&self.leaders).filter(|(_, l)| **l == leader);
            own.map(|(m, _)| m.weight).sum()
        };
        self.backbones().map(weight).collect()
    }

    fn backbones(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.members.len()).filter(|&i| self.leaders[i] == i)
    }

    /// Scores views `(B, 1, n_frames, n_mels)`. No gradients.
    ///
    /// # Errors
    ///
    /// If the shape does not fit.
    pub fn score(&self, x: &Tensor, precision: Precision) -> Result<Scored> {
        tch::no_grad(|| {
            let mut features: Vec<(usize, Tensor)> = Vec::new();
            for i in self.backbones() {
                let member = &self.members[i];
                let scaled =
                    if member.min_max { min_max(&x.f_squeeze_dim(1)?)?.f_unsqueeze(1)? } else { x.shallow_clone() };
                features.push((i, member.network.features(&scaled, &Pass::evaluation(precision))?));
            }
            let of = |leader: usize| features.iter().find(|(i, _)| *i == leader).map(|(_, x)| x);
            let logits = self.members.iter().zip(&self.leaders).filter_map(|(m, &l)| Some(m.network.classify(of(l)?)));
            let logits = logits.collect::<Result<Vec<_>>>()?;
            let features = features.into_iter().map(|(_, x)| x).collect();
            Ok(Scored { logits, features })
        })
    }

    /// The weighted mean of the members' posteriors at `temperature`, `(B, n_classes)`.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn posteriors(&self, scored: &Scored, temperature: f64) -> Result<Tensor> {
        let total: f64 = self.members.iter().map(|m| m.weight).sum();
        let mut sum = Expr::of(&scored.logits[0]) * 0.0;
        for (member, logits) in self.members.iter().zip(&scored.logits) {
            sum = sum + (Expr::of(logits) / temperature).softmax(1) * (member.weight / total);
        }
        sum.tensor()
    }
}

/// For each network, with whether its views are scaled to [0, 1], the first one whose backbone
/// equals its own, tensor by tensor, and that sees the same input.
pub fn leaders(networks: &[(&SlowFast, bool)]) -> Vec<usize> {
    let same = |a: &(&SlowFast, bool), b: &(&SlowFast, bool)| a.1 == b.1 && a.0.shares_backbone(b.0);
    (0..networks.len()).map(|i| (0..i).find(|&j| same(&networks[j], &networks[i])).unwrap_or(i)).collect()
}

/// Each view `(B, T, n_mels)` scaled to [0, 1] by its smallest and largest value; a constant view
/// becomes zero.
///
/// # Errors
///
/// If libtorch reports one.
pub fn min_max(views: &Tensor) -> Result<Tensor> {
    let (low, high) = (views.f_amin([1i64, 2], true)?, views.f_amax([1i64, 2], true)?);
    Ok(views.f_sub(&low)?.f_div(&high.f_sub(&low)?.f_clamp_min(1e-6)?)?)
}

/// Views of crops: mel powers `(n, T, n_mels)` of a front end as `log` makes features of them, the
/// last frame repeated up to the `n_frames` of a view, `(n, 1, n_frames, n_mels)`.
///
/// # Errors
///
/// If a crop is longer than a view.
pub fn views(power: &Tensor, n_frames: usize, log: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let features = log(power)?;
    let (n, actual) = (features.size()[0], features.size()[1]);
    let missing = n_frames as i64 - actual;
    if missing < 0 {
        let message =
            format!("a crop has {actual} frames of the fused models, whose views have {n_frames}: shorten crop_frames");
        return Err(Error::Usage(message));
    }
    let last = features.f_narrow(1, actual - 1, 1)?.f_expand([n, missing, features.size()[2]], false)?;
    Ok(Tensor::f_cat(&[features, last], 1)?.f_unsqueeze(1)?.f_to_kind(Kind::Float)?)
}

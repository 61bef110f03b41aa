//! What there is to show: what the daemon knows enters when it starts.

use std::sync::{PoisonError, RwLock};

use edge_frontend::Manifest;
use serde_json::Value;

use super::message::{About, LabelAbout, SourceAbout, rounded};
use super::source::ShownSource;
use crate::decide::Rules;
use crate::live::Viewer;

/// What every viewer is shown.
pub struct Site {
    /// Name of the device.
    pub name: String,
    /// The model that is run.
    pub manifest: Manifest,
    /// What is listened to.
    pub sources: Vec<ShownSource>,
    /// How the daemon is doing now: by source, the health message and findings in words.
    pub health: Box<dyn Fn() -> Value + Send + Sync>,
    /// The rules that hold.
    pub rules: RwLock<Rules>,
}

impl Site {
    /// The rules that hold now.
    pub fn rules(&self) -> Rules {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Other rules hold from now on.
    pub fn set_rules(&self, rules: &Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules.clone();
    }

    /// Looks at all sources from now on.
    pub(crate) fn attach(&self) -> Vec<Viewer> {
        self.sources.iter().map(|source| source.shared.tap.attach()).collect()
    }

    /// What does not change from pulse to pulse.
    pub(crate) fn about(&self) -> About {
        let rules = self.rules();
        let label = |(class_id, label): (usize, &String)| {
            let class = rules.classes[class_id];
            LabelAbout {
                label: label.clone(),
                reported: class.is_some(),
                background: Some(class_id) == rules.background,
                on: class.map(|class| rounded(class.threshold_on)),
                off: class.map(|class| rounded(class.threshold_off)),
            }
        };
        let source = |source: &ShownSource| SourceAbout {
            name: source.name.clone(),
            description: source.description.clone(),
            scale: source.shared.tap.scale().map(Into::into),
        };
        About {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            model: format!("{}-{}", self.manifest.name, self.manifest.version),
            labels: self.manifest.labels.iter().enumerate().map(label).collect(),
            sources: self.sources.iter().map(source).collect(),
        }
    }
}

//! From logits to events in numbers: the `[decision]` table of a manifest enters, checked values of
//! each class leave.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::expect;

/// How posteriors become events, for all classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The network's logits are divided by this before anything else, so that posteriors say how
    /// often they are right (Guo et al. 2017, section 4.2).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub temperature: f32,
    /// Always the mean. Read because manifests name it, not written any more.
    #[serde(default, skip_serializing)]
    pub smoothing: Smoothing,
    /// Span that a score is the mean of.
    pub window_ms: u32,
    /// With softmax: no event begins while the free energy of the window, the logarithm of the sum
    /// of the exponentials of the logits but the background's, is below this (Liu et al. 2020, eq.
    /// 4, with the sign turned).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_energy: Option<f32>,
    /// An event begins when the score reaches this.
    pub threshold_on: f32,
    /// It ends when the score falls below this; at most `threshold_on`.
    pub threshold_off: f32,
    /// Time that the score must hold before the onset is reported.
    pub min_duration_ms: u32,
    /// A shorter dip below `threshold_off` does not end an event.
    pub min_gap_ms: u32,
    /// Time after an offset in which the class cannot begin again.
    pub cooldown_ms: u32,
    /// An event that lasts this long is ended, and the class cannot begin again before its score
    /// has fallen.
    #[serde(default = "one_hour_ms")]
    pub max_duration_ms: u32,
    /// Differing values for single classes, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, ClassDecision>,
}

/// How a class's score follows from the frames of logits of a window. There were other ways; none
/// was better than the mean, and a file that asks for one is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Smoothing {
    /// The posterior of the mean: of the logits of a streaming network, whose head commutes with
    /// it; of the posteriors of a windowed one.
    #[default]
    Mean,
}

impl TryFrom<String> for Smoothing {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "mean" => Ok(Smoothing::Mean),
            _ => Err(format!(
                "smoothing {name:?} is not available: only \"mean\" remains, because none of the others \
                 was better when measured (docs/experiments.md)"
            )),
        }
    }
}

/// One class's differing decision values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassDecision {
    /// See [`Decision::window_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u32>,
    /// See [`Decision::threshold_on`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_on: Option<f32>,
    /// See [`Decision::threshold_off`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_off: Option<f32>,
    /// See [`Decision::min_duration_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_duration_ms: Option<u32>,
    /// See [`Decision::min_gap_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_gap_ms: Option<u32>,
    /// See [`Decision::cooldown_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_ms: Option<u32>,
    /// See [`Decision::max_duration_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_ms: Option<u32>,
    /// Whether the class is reported unless the configuration says otherwise; yes where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<bool>,
}

impl Decision {
    /// Checks the values, of all classes and of single ones.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let temperature = self.temperature;
        expect((0.01..=100.0).contains(&temperature), "decision.temperature", "0.01 to 100", temperature)?;
        if let Some(energy) = self.min_energy {
            expect(energy.is_finite(), "decision.min_energy", "a number", energy)?;
        }
        self.of_class("").validate("decision")?;
        self.classes.keys().try_for_each(|label| self.of_class(label).validate(&format!("decision.classes.{label}")))
    }

    /// Whether `label` is reported unless the configuration says otherwise.
    pub fn reports(&self, label: &str) -> bool {
        self.classes.get(label).and_then(|class| class.reported).unwrap_or(true)
    }

    /// The values that hold for `label`: its own, and where it has none, those for all classes.
    pub fn of_class(&self, label: &str) -> ClassValues {
        let none = ClassDecision::default();
        let own = self.classes.get(label).unwrap_or(&none);
        ClassValues {
            window_ms: own.window_ms.unwrap_or(self.window_ms),
            threshold_on: own.threshold_on.unwrap_or(self.threshold_on),
            threshold_off: own.threshold_off.unwrap_or(self.threshold_off),
            min_duration_ms: own.min_duration_ms.unwrap_or(self.min_duration_ms),
            min_gap_ms: own.min_gap_ms.unwrap_or(self.min_gap_ms),
            cooldown_ms: own.cooldown_ms.unwrap_or(self.cooldown_ms),
            max_duration_ms: own.max_duration_ms.unwrap_or(self.max_duration_ms),
        }
    }
}

/// The decision values of one class, complete. See [`Decision`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassValues {
    /// See [`Decision::window_ms`].
    pub window_ms: u32,
    /// See [`Decision::threshold_on`].
    pub threshold_on: f32,
    /// See [`Decision::threshold_off`].
    pub threshold_off: f32,
    /// See [`Decision::min_duration_ms`].
    pub min_duration_ms: u32,
    /// See [`Decision::min_gap_ms`].
    pub min_gap_ms: u32,
    /// See [`Decision::cooldown_ms`].
    pub cooldown_ms: u32,
    /// See [`Decision::max_duration_ms`].
    pub max_duration_ms: u32,
}

impl ClassValues {
    fn validate(&self, field: &str) -> Result<(), Error> {
        let Self { window_ms, threshold_on: on, threshold_off: off, min_duration_ms, max_duration_ms, .. } = *self;
        expect((1..=60_000).contains(&window_ms), &format!("{field}.window_ms"), "1 to 60000", window_ms)?;
        expect(on > 0.0 && on <= 1.0, &format!("{field}.threshold_on"), "above 0, at most 1", on)?;
        expect(
            off > 0.0 && off <= on,
            &format!("{field}.threshold_off"),
            format!("above 0, at most threshold_on ({on})"),
            off,
        )?;
        expect(
            max_duration_ms >= min_duration_ms.max(1),
            &format!("{field}.max_duration_ms"),
            format!("above 0, at least min_duration_ms ({min_duration_ms})"),
            max_duration_ms,
        )
    }
}

fn one() -> f32 {
    1.0
}

fn is_one(value: &f32) -> bool {
    *value == 1.0
}

fn one_hour_ms() -> u32 {
    3_600_000
}

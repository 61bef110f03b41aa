//! What is reported of a model: its manifest and the settings enter; rules for the decide stage and
//! quiet hours by class leave.

use std::collections::BTreeMap;

use edge_frontend::{Decision, Manifest};
use jiff::tz::TimeZone;

use super::{Overrides, Settings};
use crate::config::{ClassSection, ConfigFile, DecideSection, QuietHoursSection, labels};
use crate::decide::Rules;
use crate::error::{Error, Result};
use crate::model::MANIFEST_FILE;
use crate::quiet::QuietHours;

/// Some of a model's labels.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// Where they were given: a key or an option.
    key: &'static str,
    /// Whether these are reported, or all but these.
    allow: bool,
    labels: Vec<String>,
}

impl Selection {
    /// What the command line says, or else the file; `None` for all labels.
    pub(super) fn new(section: &DecideSection, file: &ConfigFile, overrides: &Overrides) -> Result<Option<Self>> {
        let typed = select(["--allow", "--deny"], &overrides.allow, &overrides.deny, file)?;
        let written = select(["decide.allow", "decide.deny"], &section.allow, &section.deny, file)?;
        Ok(typed.or(written))
    }
}

fn select(
    keys: [&'static str; 2],
    allow: &Option<Vec<String>>,
    deny: &Option<Vec<String>>,
    file: &ConfigFile,
) -> Result<Option<Selection>> {
    match (allow, deny) {
        (Some(_), Some(_)) => Err(file.error(
            keys[1],
            format!("{} is given as well: list either the labels that are reported or those that are not", keys[0]),
        )),
        (Some(labels), None) => Ok(Some(Selection { key: keys[0], allow: true, labels: labels.clone() })),
        (None, Some(labels)) => Ok(Some(Selection { key: keys[1], allow: false, labels: labels.clone() })),
        (None, None) => Ok(None),
    }
}

/// Refuses what makes no sense for any model.
pub(super) fn refuse_contradictions(section: &QuietHoursSection, file: &ConfigFile) -> Result<()> {
    let (labels, except) = (section.labels.is_some(), section.except.is_some());
    if labels && except {
        let reason = "quiet_hours.labels is given as well: list either the labels that are quiet or those that are not";
        return Err(file.error("quiet_hours.except", reason));
    }
    if (labels || except) && section.ranges.is_empty() {
        let key = if labels { "quiet_hours.labels" } else { "quiet_hours.except" };
        return Err(file.error(key, "labels need times: set quiet_hours.ranges"));
    }
    Ok(())
}

impl Settings {
    /// What the decide stage decides by: the model's values with this configuration's on top, for
    /// the labels that are to be reported.
    ///
    /// # Errors
    ///
    /// As [`decision`](Self::decision), and [`Error::Usage`] for a label on the command line.
    pub fn rules(&self, manifest: &Manifest) -> Result<Rules> {
        let mut decision = self.decision(manifest)?;
        // Labels that the model keeps to itself are reported where they are named.
        let listed = match &self.selection {
            Some(Selection { key, labels, .. }) => self.listed(key, labels, manifest)?,
            None => vec![false; manifest.labels.len()],
        };
        if self.selection.as_ref().is_some_and(|selection| selection.allow) {
            for (label, _) in manifest.labels.iter().zip(&listed).filter(|(_, listed)| **listed) {
                decision.classes.entry(label.clone()).or_default().reported = Some(true);
            }
        }
        let mut rules = Rules::new(manifest, &decision);
        rules.level_gate_dbfs = self.config.decide.level_gate_dbfs;
        if let Some(Selection { key, allow, .. }) = &self.selection {
            for (class, listed) in rules.classes.iter_mut().zip(listed) {
                *class = class.filter(|_| listed == *allow);
            }
            if rules.classes.iter().all(Option::is_none) {
                return Err(self.file.error(key, format!("no label of the model {} is left to report", manifest.name)));
            }
        }
        Ok(rules)
    }

    /// The quiet hours of each class, in the order of the labels; `None` for those that have none.
    ///
    /// The machine's time zone is looked up now, if it is needed, and not again.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a label that the model does not have.
    pub fn quiet_hours(&self, manifest: &Manifest) -> Result<Vec<Option<QuietHours>>> {
        let section = &self.config.quiet_hours;
        let holds = match (&section.labels, &section.except) {
            (Some(labels), _) => self.listed("quiet_hours.labels", labels, manifest)?,
            (None, Some(except)) => {
                self.listed("quiet_hours.except", except, manifest)?.into_iter().map(|listed| !listed).collect()
            }
            (None, None) => vec![true; manifest.labels.len()],
        };
        let classes = self.classes(manifest)?;
        let ranges = manifest.labels.iter().zip(holds).map(|(label, holds)| {
            let own = classes.get(label).and_then(|class| class.quiet_hours.as_ref());
            own.or(holds.then_some(&section.ranges)).filter(|ranges| !ranges.is_empty())
        });
        let mut zone = section.time_zone.clone();
        let mut hours_of =
            |ranges: &Vec<_>| QuietHours::new(ranges.clone(), zone.get_or_insert_with(TimeZone::system).clone());
        Ok(ranges.map(|ranges| ranges.map(&mut hours_of)).collect())
    }

    /// Looks whether the labels of all webhooks are the model's.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a label that the model does not have.
    pub fn check_webhooks(&self, manifest: &Manifest) -> Result<()> {
        let mut labels = self.webhooks.iter().filter_map(|webhook| webhook.labels.as_ref());
        labels.try_for_each(|labels| self.listed("webhook", labels, manifest).map(drop))
    }

    /// By class of `manifest`, whether `labels`, which were given as `key`, has it.
    fn listed(&self, key: &str, labels: &[String], manifest: &Manifest) -> Result<Vec<bool>> {
        let mut listed = vec![false; manifest.labels.len()];
        // On the command line one text may be several labels with commas between them, or one label
        // that has a comma.
        let is_option = key.starts_with("--");
        for label in labels {
            let parts = match label.split(',') {
                parts if is_option && manifest.class_of(label).is_none() => parts.map(str::trim).collect(),
                _ => vec![label.as_str()],
            };
            for label in parts {
                let class_id = labels::class_of(label, manifest).map_err(|reason| self.file.error(key, reason))?;
                listed[class_id] = true;
            }
        }
        Ok(listed)
    }

    /// The sections `[decide.classes.LABEL]`, by the labels as the model writes them.
    fn classes(&self, manifest: &Manifest) -> Result<BTreeMap<String, ClassSection>> {
        let mut classes = BTreeMap::new();
        for (label, section) in &self.config.decide.classes {
            let refuse = |reason: String| self.file.error(&format!("decide.classes.{label}"), reason);
            let class_id = labels::class_of(label, manifest).map_err(refuse)?;
            if classes.insert(manifest.labels[class_id].clone(), section.clone()).is_some() {
                return Err(refuse("the label is given twice, in two Unicode spellings".into()));
            }
        }
        Ok(classes)
    }

    /// The model's decision values with this configuration's on top.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a label that the model does not have and for thresholds that
    /// contradict the model's.
    pub fn decision(&self, manifest: &Manifest) -> Result<Decision> {
        let section = DecideSection { classes: self.classes(manifest)?, ..self.config.decide.clone() };
        let decision = section.over(&manifest.decision);
        let merged = Manifest { decision, ..manifest.clone() };
        merged.validate().map_err(|error| self.decision_error(&error))?;
        Ok(merged.decision)
    }

    /// The manifest was consistent before this configuration was laid on top, so the configuration
    /// is to blame.
    fn decision_error(&self, error: &edge_frontend::Error) -> Error {
        match error {
            edge_frontend::Error::Manifest { field, expected, actual } => {
                let key = field.replacen("decision", "decide", 1);
                let reason = format!("together with the model's {MANIFEST_FILE}: expected {expected}, actual {actual}");
                self.file.error(&key, reason)
            }
            other => self.file.error("decide", other),
        }
    }
}

impl DecideSection {
    /// These values on top of the `model`'s.
    fn over(&self, model: &Decision) -> Decision {
        let mut decision = Decision {
            window_ms: self.window_ms.unwrap_or(model.window_ms),
            min_energy: self.min_energy.or(model.min_energy),
            threshold_on: self.threshold_on.unwrap_or(model.threshold_on),
            threshold_off: self.threshold_off.unwrap_or(model.threshold_off),
            min_duration_ms: self.min_duration_ms.unwrap_or(model.min_duration_ms),
            min_gap_ms: self.min_gap_ms.unwrap_or(model.min_gap_ms),
            cooldown_ms: self.cooldown_ms.unwrap_or(model.cooldown_ms),
            max_duration_ms: self.max_duration_ms.unwrap_or(model.max_duration_ms),
            ..model.clone()
        };
        for class in decision.classes.values_mut() {
            class.window_ms.take_if(|_| self.window_ms.is_some());
            class.threshold_on.take_if(|_| self.threshold_on.is_some());
            class.threshold_off.take_if(|_| self.threshold_off.is_some());
            class.min_duration_ms.take_if(|_| self.min_duration_ms.is_some());
            class.min_gap_ms.take_if(|_| self.min_gap_ms.is_some());
            class.cooldown_ms.take_if(|_| self.cooldown_ms.is_some());
            class.max_duration_ms.take_if(|_| self.max_duration_ms.is_some());
        }
        for (label, own) in &self.classes {
            let class = decision.classes.entry(label.clone()).or_default();
            class.window_ms = own.window_ms.or(class.window_ms);
            class.threshold_on = own.threshold_on.or(class.threshold_on);
            class.threshold_off = own.threshold_off.or(class.threshold_off);
            class.min_duration_ms = own.min_duration_ms.or(class.min_duration_ms);
            class.min_gap_ms = own.min_gap_ms.or(class.min_gap_ms);
            class.cooldown_ms = own.cooldown_ms.or(class.cooldown_ms);
            class.max_duration_ms = own.max_duration_ms.or(class.max_duration_ms);
        }
        decision
    }
}

#[cfg(test)]
mod tests;

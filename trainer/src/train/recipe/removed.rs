//! Options that recipes had once, and that were removed because they did not help.
//!
//! Enters: a recipe as TOML, or as JSON in the header of a checkpoint. Leaves: a sentence that names the removed option and the place of
//! its measurements, in place of a message about an unknown key.

use super::Recipe;
use crate::error::{Error, Result};
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer};
use serde_json::Value;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// One removed option.
struct Removed {
    /// Its name in messages.
    name: &'static str,
    /// The keys that lead to it; through an array to every element.
    path: &'static [&'static str],
    /// Whether it had an effect with this value: checkpoints hold the options that were off, too.
    is_on: fn(&Value) -> bool,
    /// The section of docs/experiments.md with its measurements.
    section: &'static str,
}

const REMOVED: [Removed; 8] = [
    Removed { name: "[events]", path: &["events"], is_on: |v| !v.is_null(), section: "Training on scenes" },
    Removed { name: "start", path: &["start"], is_on: |v| !v.is_null(), section: "Own sounds with the whole network" },
    Removed { name: "labels", path: &["labels"], is_on: has_elements, section: "Own sounds with the whole network" },
    Removed {
        name: "distill.relation_weight",
        path: &["distill", "relation_weight"],
        is_on: is_not_zero,
        section: "Relations within a batch",
    },
    Removed {
        name: "distill.self_weight",
        path: &["distill", "self_weight"],
        is_on: is_not_zero,
        section: "Mixtures of the student itself",
    },
    Removed {
        name: "network.pool",
        path: &["network", "pool"],
        is_on: |v| v != "mean",
        section: "Maximum pooling over frequency",
    },
    Removed {
        name: "residual of a layer",
        path: &["network", "layers", "residual"],
        is_on: |v| v != false,
        section: "Skip paths",
    },
    Removed {
        name: "squeeze of a layer",
        path: &["network", "layers", "squeeze"],
        is_on: is_not_zero,
        section: "Squeeze-and-excitation",
    },
];

impl Removed {
    fn message(&self) -> String {
        format!(
            "{} was removed because it did not help; its measurements are in docs/experiments.md under {:?}",
            self.name, self.section
        )
    }
}

/// Refuses a recipe's text that holds a removed option, with any value. Text that is no TOML passes: the reader after this says why.
///
/// # Errors
///
/// If there is one; `path` and the line are named.
pub fn refuse(text: &str, path: &Path) -> Result<()> {
    let Ok(table) = DeTable::parse(text) else { return Ok(()) };
    match REMOVED.iter().find_map(|removed| Some((removed, span(table.get_ref(), removed.path)?))) {
        Some((removed, span)) => {
            let line = text[..span.start].matches('\n').count() + 1;
            Err(Error::input(path, Some(line), removed.message()))
        }
        None => Ok(()),
    }
}

/// The sentence about the first removed option in `text`, which comes from no file.
pub fn found(text: &str) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    REMOVED.iter().find(|removed| span(table.get_ref(), removed.path).is_some()).map(Removed::message)
}

/// Where the key that `path` leads to stands.
fn span(table: &DeTable<'_>, path: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == *first)?;
    if rest.is_empty() {
        return Some(key.span());
    }
    match value.get_ref() {
        DeValue::Table(table) => span(table, rest),
        DeValue::Array(elements) => elements.iter().find_map(|element| match element.get_ref() {
            DeValue::Table(table) => span(table, rest),
            _ => None,
        }),
        _ => None,
    }
}

/// Reads the recipe in a checkpoint's header, which may be older than the removal of an option: one that was off is left out.
///
/// # Errors
///
/// If a removed option was on, or the recipe is none.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Recipe, D::Error> {
    let mut value = Value::deserialize(deserializer)?;
    for removed in &REMOVED {
        if take(&mut value, removed.path).iter().any(removed.is_on) {
            return Err(D::Error::custom(format!(
                "the network was trained with an option that no longer exists: {}",
                removed.message()
            )));
        }
    }
    serde_json::from_value(value).map_err(D::Error::custom)
}

/// Takes out the values of all keys that `path` leads to.
fn take(value: &mut Value, path: &[&str]) -> Vec<Value> {
    match (value, path) {
        (Value::Array(elements), _) => elements.iter_mut().flat_map(|element| take(element, path)).collect(),
        (Value::Object(object), [last]) => object.remove(*last).into_iter().collect(),
        (Value::Object(object), [first, rest @ ..]) => {
            object.get_mut(*first).map(|inner| take(inner, rest)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn is_not_zero(value: &Value) -> bool {
    value.as_f64() != Some(0.0)
}

fn has_elements(value: &Value) -> bool {
    value.as_array().is_none_or(|elements| !elements.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::checkpoint::Header;

    const RECIPE: &str = "
name = \"small\"
[procedural]
clips_per_class = 1
[distill]
soft_weight = 0.0
[network]
layers = [
    { channels = 4, kernel_t = 4, kernel_f = 5, stride_t = 2, stride_f = 2 },
    { channels = 4, kernel_t = 3, kernel_f = 3, stride_t = 4 },
]
";

    fn refused(text: &str) -> String {
        Recipe::parse(text, Path::new("r.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_recipe_with_a_removed_option_is_refused_with_file_line_and_where_it_was_measured() {
        Recipe::parse(RECIPE, Path::new("r.toml")).unwrap();
        let events = refused(&format!("{RECIPE}[events]\nbatch = 4\n"));
        assert_eq!(
            events,
            "r.toml:12: [events] was removed because it did not help; its measurements are in docs/experiments.md under \
             \"Training on scenes\""
        );
        for (old, new, expected) in [
            ("[procedural]", "start = \"models/home\"\n[procedural]", "r.toml:3: start was"),
            ("[procedural]", "labels = []\n[procedural]", "r.toml:3: labels was"),
            ("[network]", "relation_weight = 0.0\n[network]", "r.toml:7: distill.relation_weight was"),
            ("[network]", "self_weight = 1.0\n[network]", "r.toml:7: distill.self_weight was"),
            ("layers", "pool = \"max\"\nlayers", "r.toml:8: network.pool was"),
            ("stride_t = 4", "stride_t = 4, residual = true", "r.toml:10: residual of a layer was"),
            ("stride_t = 4", "stride_t = 4, squeeze = 2", "r.toml:10: squeeze of a layer was"),
        ] {
            let message = refused(&RECIPE.replacen(old, new, 1));
            assert!(message.starts_with(expected) && message.contains("docs/experiments.md"), "{message}");
        }
        let labels = "[export]\nversion = \"1.0.0\"\n[[export.subsets]]\nname = \"few\"\nlabels = [\"dog\"]\n";
        assert!(found(labels).is_none(), "labels of a subset are no removed option");
    }

    #[test]
    fn an_old_checkpoint_s_header_is_read_where_the_option_was_off_and_refused_where_it_was_on() {
        let recipe = Recipe::parse(RECIPE, Path::new("r.toml")).unwrap();
        let header = serde_json::json!({
            "recipe": recipe, "labels": ["dog"], "fold": null, "folds": "official", "step": 1, "n_steps": 1,
        });
        let with = |pointer: &str, key: &str, value: Value| {
            let mut header = header.clone();
            let table = header.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            table.insert(key.to_owned(), value);
            serde_json::from_value::<Header>(header)
        };
        assert_eq!(serde_json::from_value::<Header>(header.clone()).unwrap().recipe, recipe);
        for (pointer, key, off, on) in [
            ("/recipe", "events", Value::Null, serde_json::json!({"batch": 4})),
            ("/recipe", "start", Value::Null, "models/home".into()),
            ("/recipe", "labels", serde_json::json!([]), serde_json::json!(["dog"])),
            ("/recipe/distill", "relation_weight", 0.0.into(), 20.0.into()),
            ("/recipe/distill", "self_weight", 0.0.into(), 1.0.into()),
            ("/recipe/network", "pool", "mean".into(), "max".into()),
            ("/recipe/network/layers/1", "residual", false.into(), true.into()),
            ("/recipe/network/layers/1", "squeeze", 0.into(), 2.into()),
        ] {
            assert_eq!(with(pointer, key, off).unwrap().recipe, recipe, "{key}");
            let error = with(pointer, key, on).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("docs/experiments.md"), "{error}");
        }
        let unknown = with("/recipe", "surprise", 1.into()).unwrap_err().to_string();
        assert!(unknown.contains("unknown field `surprise`"), "{unknown}");
    }
}

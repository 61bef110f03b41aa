//! Sections: the recipe of the trainings, and what they ran on.

use super::Section;
use super::numbers::{NONE, duration, thousands};
use crate::common::environment::Environment;
use crate::report::run::Run;
use maud::html;

/// The recipe, defaults filled in.
pub fn recipe(runs: &[Run]) -> Option<Section> {
    let recipe = runs.iter().find_map(|run| run.recipe.as_ref())?;
    let differing = runs.iter().filter(|run| run.recipe.as_ref().is_some_and(|other| other != recipe));
    let differing: Vec<&str> = differing.map(|run| run.name.as_str()).collect();
    let body = html! {
        @if !differing.is_empty() {
            p.warn { "The recipe of " (runs[0].name) "; others differ: " (differing.join(", ")) "." }
        }
        @match toml::to_string_pretty(recipe) {
            Ok(text) => { details { summary { "As TOML, with all defaults" } pre { (text) } } }
            Err(e) => { p.warn { "The recipe cannot be written as TOML: " (e) } }
        }
    };
    Some(Section { id: "recipe", title: "Recipe", body })
}

/// Versions, machine and time.
pub fn environment(runs: &[Run]) -> Section {
    let known = |of: fn(&Environment) -> String| distinct(runs.iter().filter_map(|r| r.environment.as_ref().map(of)));
    let each = |of: &dyn Fn(&Run) -> Option<String>| distinct(runs.iter().map(|r| of(r).unwrap_or(NONE.to_owned())));
    let steps = |(step, n): (u64, u64)| {
        let [step, n] = [step, n].map(|n| thousands(n as usize));
        if step == n { n } else { format!("{step} of {n}") }
    };
    let rows: [(&str, String); 11] = [
        ("earwitness-train", known(|e| e.trainer.clone())),
        ("libtorch", known(|e| e.libtorch.clone())),
        ("device", known(|e| e.device.clone())),
        ("processor", known(|e| e.cpu.clone())),
        ("cores", known(|e| e.n_cores.to_string())),
        ("system", known(|e| e.os.clone())),
        ("finished", known(|e| e.finished.clone())),
        ("epochs", each(&|run| Some(run.n_epochs().to_string()))),
        ("steps", each(&|run| run.steps.map(steps))),
        ("time, each", each(&|run| Some(duration(run.seconds())))),
        ("seed", each(&|run| Some(run.recipe.as_ref()?.seed.to_string()))),
    ];
    let n_unknown = runs.iter().filter(|run| run.environment.is_none()).count();
    let body = html! {
        div.scroll { table.plain { tbody { @for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            tr { th scope="row" { (name) } td { (value) } }
        } } } }
        @if n_unknown > 0 {
            p.dim { "Versions and machine are not known of " (n_unknown) " of " (runs.len()) " trainings, which left no environment.json." }
        }
    };
    Section { id: "environment", title: "Environment", body }
}

/// Each value once, in order.
fn distinct(values: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen.join(", ")
}

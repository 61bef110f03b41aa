//! Sections: what the trainings were told, and what they ran on.

use super::Section;
use super::numbers::{NONE, duration, thousands};
use crate::common::environment::Environment;
use crate::report::run::{AnyRecipe, Run};
use crate::report::subject::Subject;
use maud::{Markup, html};

/// The recipe, defaults filled in.
pub fn section(subject: &Subject) -> Option<Section> {
    let recipe = subject.runs.iter().find_map(|run| run.recipe.as_ref())?;
    let text = match recipe {
        AnyRecipe::Student(recipe) => toml::to_string_pretty(recipe),
        AnyRecipe::Staged(recipe) => toml::to_string_pretty(recipe),
    };
    let differing: Vec<&str> = subject
        .runs
        .iter()
        .filter(|r| r.recipe.as_ref().is_some_and(|r| r != recipe))
        .map(|r| r.name.as_str())
        .collect();
    let body = html! {
        @if !differing.is_empty() {
            p.warn { "That of " (subject.runs[0].name) "; not the same: " (differing.join(", ")) "." }
        }
        @match text {
            Ok(text) => { details { summary { "As TOML, with all defaults" } pre { (text) } } }
            Err(e) => { p.warn { "The recipe cannot be written as TOML: " (e) } }
        }
    };
    Some(Section { id: "recipe", title: "Recipe", body })
}

/// Versions, machine and time.
pub fn environment(subject: &Subject) -> Option<Section> {
    let runs = &subject.runs;
    let known = |of: fn(&Environment) -> String| distinct(runs.iter().filter_map(|r| r.environment.as_ref().map(of)));
    let of_runs = |of: &dyn Fn(&Run) -> String| distinct(runs.iter().map(of));
    let epochs = |run: &Run| run.curves.iter().map(|c| c.epochs.len()).sum::<usize>().to_string();
    let steps = |run: &Run| {
        run.steps.map_or(NONE.to_owned(), |(step, n)| {
            if step == n {
                thousands(n as usize)
            } else {
                format!("{} of {}", thousands(step as usize), thousands(n as usize))
            }
        })
    };
    let rows: [(&str, String); 11] = [
        ("earwitness-train", known(|e| e.trainer.clone())),
        ("libtorch", known(|e| e.libtorch.clone())),
        ("device", known(|e| e.device.clone())),
        ("processor", known(|e| e.cpu.clone())),
        ("cores", known(|e| e.n_cores.to_string())),
        ("system", known(|e| e.os.clone())),
        ("finished", known(|e| e.finished.clone())),
        ("epochs", of_runs(&epochs)),
        ("steps", of_runs(&steps)),
        ("time, each", of_runs(&|run| duration(run.seconds()))),
        ("seed", of_runs(&|run| seed(run).map_or(NONE.to_owned(), |s| s.to_string()))),
    ];
    let unknown = runs.iter().filter(|run| run.environment.is_none()).count();
    let body = html! {
        div.scroll { table.plain { tbody { @for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            tr { th scope="row" { (name) } td { (value) } }
        } } } }
        (missing(unknown, runs.len()))
    };
    Some(Section { id: "environment", title: "Environment", body })
}

fn missing(n_unknown: usize, n: usize) -> Markup {
    html! {
        @if n_unknown > 0 {
            p.dim { "Versions and machine are not known of " (n_unknown) " of " (n) " trainings, which left no environment.json." }
        }
    }
}

fn seed(run: &Run) -> Option<u64> {
    match run.recipe.as_ref()? {
        AnyRecipe::Student(recipe) => Some(recipe.seed),
        AnyRecipe::Staged(recipe) => Some(recipe.seed),
    }
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

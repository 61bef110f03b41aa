//! Keys that recipes had once.
//!
//! Enters: a recipe's text. Leaves: a sentence that says what became of a key, in place of a
//! message about an unknown key.

use crate::error::{Error, Result};
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

const NO_HELP: &str = "was removed because it did not help; docs/experiments.md has the measurements";

/// A key that is gone: the path to it, through arrays to each element, and what became of it.
const RETIRED: [(&[&str], &str); 11] = [
    (&["optim"], "the optimiser's keys now stand in [[stage]]; docs/recipes.md lists the current keys"),
    (&["train", "epochs"], "now stands in [[stage]]"),
    (&["train", "batch"], "now stands in [[stage]]"),
    (&["data", "negatives"], "write kind = \"background\" in place of negatives = true"),
    (&["events"], NO_HELP),
    (&["start"], NO_HELP),
    (&["distill", "relation_weight"], NO_HELP),
    (&["distill", "self_weight"], NO_HELP),
    (&["network", "pool"], NO_HELP),
    (&["network", "layers", "residual"], NO_HELP),
    (&["network", "layers", "squeeze"], NO_HELP),
];

/// Refuses a recipe's text that holds a retired key. Text that is no TOML passes: the reader after
/// this says why.
///
/// # Errors
///
/// If there is one; `path` and the line are named.
pub(super) fn refuse(text: &str, path: &Path) -> Result<()> {
    let Ok(table) = DeTable::parse(text) else { return Ok(()) };
    let refused = |span: Range<usize>, message: String| {
        Error::input(path, Some(text[..span.start].matches('\n').count() + 1), message)
    };
    for (keys, message) in RETIRED {
        if let Some(span) = span(table.get_ref(), keys) {
            return Err(refused(span, format!("{}: {message}", keys.join("."))));
        }
    }
    let data = table.get_ref().iter().find(|(key, _)| key.get_ref() == "data");
    match data.map(|(key, value)| (key.span(), value.get_ref())) {
        Some((span, DeValue::Table(_))) => Err(refused(span, "data: write [[data]], with a `name`".to_owned())),
        _ => Ok(()),
    }
}

/// Where the key that `path` leads to stands.
fn span(table: &DeTable<'_>, path: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    match value.get_ref() {
        _ if rest.is_empty() => Some(key.span()),
        DeValue::Table(table) => span(table, rest),
        DeValue::Array(elements) => elements.iter().find_map(|element| match element.get_ref() {
            DeValue::Table(table) => span(table, rest),
            _ => None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_key_is_named_with_its_line() {
        let message = |text: &str| refuse(text, Path::new("r.toml")).unwrap_err().to_string();
        assert!(message("name = \"x\"\n[events]\nseed = 1\n").contains("r.toml:2: events: was removed"));
        let layers = "[network]\nlayers = [\n  { channels = 4 },\n  { channels = 4, squeeze = 2 },\n]\n";
        assert!(message(layers).contains("r.toml:4: network.layers.squeeze: was removed"), "{}", message(layers));
        assert!(message("[optim]\nlr = 1\n").contains("r.toml:1: optim: the optimiser's keys"));
        assert!(message("[data]\nkind = \"clips\"\n").contains("r.toml:1: data: write [[data]]"));
        assert!(refuse("[[data]]\nname = \"a\"\n[augment]\n", Path::new("r.toml")).is_ok());
    }
}

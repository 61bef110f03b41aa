//! Labels as people type them: a name enters, its class leaves, or what is wrong with it and what
//! may have been meant.

use edge_frontend::Manifest;

/// How much a label must resemble what was typed to be suggested, in [0, 1].
const MIN_LIKENESS: f64 = 0.5;

/// The class that `label` names in `manifest`.
///
/// # Errors
///
/// The reason why it can be no event: there is no such label, or it is the background.
pub(super) fn class_of(label: &str, manifest: &Manifest) -> Result<usize, String> {
    match manifest.class_of(label) {
        Some(class_id) if manifest.background.as_ref() == Some(&manifest.labels[class_id]) => {
            Err(format!("{label:?} is the model's background and never an event"))
        }
        Some(class_id) => Ok(class_id),
        None => {
            let events = manifest.labels.iter().filter(|known| manifest.background.as_ref() != Some(known));
            let meant = nearest(label, events).map(|label| format!(" (did you mean {label:?}?)")).unwrap_or_default();
            let known = manifest.labels.join(", ");
            Err(format!("the model {} has no label {label:?}{meant}; it has {known}", manifest.name))
        }
    }
}

/// The label that resembles `typed` most, if one does.
pub fn nearest<'a>(typed: &str, labels: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    let rated = labels.map(|label| (likeness(typed, label), label.as_str()));
    let best = rated.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness >= MIN_LIKENESS).map(|(_, label)| label)
}

/// By edit distance (Damerau-Levenshtein over the longer length), whatever the case and whatever
/// separates the words. A single word of a label counts, but less than the whole: `baby` is meant
/// to be `crying_baby` if there is no `baby`.
fn likeness(typed: &str, label: &str) -> f64 {
    let plain = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let (typed, label) = (plain(typed), plain(label));
    let words = label.split('-').filter(|word| word.len() > 2);
    let of_words = words.map(|word| 0.9 * strsim::normalized_damerau_levenshtein(&typed, word));
    of_words.fold(strsim::normalized_damerau_levenshtein(&typed, &label), f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        let labels = ["dog", "crying_baby", "water-flowing", "clock_tick", "clock_alarm", "kettle"].map(str::to_string);
        let meant = |typed: &str| nearest(typed, labels.iter());
        for (typed, label) in [
            ("dgo", "dog"),
            ("Dog", "dog"),
            ("dogs", "dog"),
            ("crying-baby", "crying_baby"),
            ("baby", "crying_baby"),
            ("water", "water-flowing"),
            ("waterflowing", "water-flowing"),
            ("clock tik", "clock_tick"),
            ("ketle", "kettle"),
        ] {
            assert_eq!(meant(typed), Some(label), "{typed}");
        }
        for typed in ["", "xyz", "vacuum"] {
            assert_eq!(meant(typed), None, "{typed}");
        }
        assert_eq!(nearest("dog", [].iter()), None);
    }
}

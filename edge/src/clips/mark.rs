//! A listener's mark of a clip, and the labels that it can name.

use serde::{Deserialize, Serialize};

/// A listener's mark of a clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// The label of the event is right.
    Right,
    /// It is the sound of this label; [`NOTHING`] for none that has a label.
    Wrong(String),
}

/// The label of a sound that has no label: the trainer's folder of counterexamples.
pub(super) const NOTHING: &str = "background";

/// Whether the trainer takes `label` as the name of a folder.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn check_label(label: &str) -> Result<(), String> {
    let refused = |reason: &str| Err(format!("{label:?} cannot be a label: {reason}"));
    if label.trim().is_empty() {
        return Err(format!("name the label of the sound, or {NOTHING} if no label fits"));
    }
    if label != label.trim() {
        return refused("it begins or ends with a space");
    }
    if label.starts_with('.') || label.contains(['/', '+', '#']) || label.contains(char::is_control) {
        return refused("it must not begin with '.', nor contain '/', '+', '#' or control characters");
    }
    // The longest name of a folder.
    if label.len() > 255 {
        return refused("it is longer than 255 bytes");
    }
    Ok(())
}

/// Whether two labels differ in nothing but case and what separates the words: to the trainer they
/// are one label, written in two ways, which it refuses.
pub(super) fn is_other_spelling(a: &str, b: &str) -> bool {
    let plain = |label: &str| label.to_lowercase().replace(['_', ' '], "-");
    a != b && plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_word_or_a_label() {
        let written = |mark| serde_json::to_string(&mark).unwrap();
        assert_eq!(written(Mark::Right), r#""right""#);
        assert_eq!(written(Mark::Wrong("dog".into())), r#"{"wrong":"dog"}"#);
    }

    #[test]
    fn what_cannot_be_a_folder_of_the_trainer_is_no_label() {
        for label in ["dog", "crying baby", "Türklingel", "a.b", "background"] {
            assert_eq!(check_label(label), Ok(()), "{label}");
        }
        let long = "x".repeat(256);
        for label in ["", " ", " dog", "..", ".dog", "a/b", "a+b", "a#b", "a\nb", &long] {
            assert!(check_label(label).is_err(), "{label}");
        }
        assert!(is_other_spelling("Crying Baby", "crying_baby") && !is_other_spelling("dog", "dog"));
    }
}

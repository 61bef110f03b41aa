//! Names of the classes that AudioSet's networks know.
//!
//! Enters: a display name, as in "Male speech, man speaking". Leaves: its place among the outputs
//! of a network such as [`super::ced`].
//!
//! The names and their order are those of AudioSet's `class_labels_indices.csv` (Gemmeke et al.,
//! "Audio Set: an ontology and human-labeled dataset for audio events", ICASSP 2017), made
//! available by Google Inc. under CC BY 4.0.

/// One display name a line, in the order of the outputs.
const NAMES: &str = include_str!("audioset.txt");

/// Display names of all classes, in the order of the outputs: the first is "Speech".
pub fn class_names() -> impl Iterator<Item = &'static str> {
    NAMES.lines()
}

/// Output of the class with this display name, which must be spelled as AudioSet does.
pub fn class_index(name: &str) -> Option<usize> {
    class_names().position(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::teacher::ced::N_TAGS;
    use std::collections::BTreeSet;

    #[test]
    fn every_output_has_a_name_of_its_own() {
        assert_eq!(class_names().count(), N_TAGS);
        assert_eq!(class_names().collect::<BTreeSet<_>>().len(), N_TAGS);
        assert!(class_names().all(|name| !name.is_empty() && name.trim() == name));
    }

    #[test]
    fn names_stand_at_their_outputs() {
        let places = [("Speech", 0), ("Male speech, man speaking", 1), ("Dog", 74), ("Field recording", 526)];
        for (name, place) in places {
            assert_eq!(class_index(name), Some(place), "{name}");
        }
        assert_eq!(class_index("speech"), None);
    }
}

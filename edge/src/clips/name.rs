//! Names of the files of a clip: `2026-01-31T12-00-12.480Z_water-flowing_<event id>.flac`, and the
//! same ending in `.json`. Sorted by name they are sorted by time.
//!
//! Only files that are called so are ever counted, shown or removed: a folder that holds something
//! else, too, keeps that.

use jiff::Timestamp;
use uuid::Uuid;

use crate::event::Event;

/// What ends the name of the sound.
pub(super) const SOUND: &str = ".flac";

/// What ends the name of what is known of it.
pub(super) const FACTS: &str = ".json";

/// UTC, to the millisecond, without the colons that other systems do not take in names.
const TIME: &str = "%Y-%m-%dT%H-%M-%S%.3fZ";

/// Bytes of a label in a name: a name is at most 255 bytes long.
const MAX_LABEL: usize = 100;

/// The name of a clip without its ending.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stem {
    text: String,
    pub(super) onset: Timestamp,
    pub(super) id: Uuid,
}

impl Stem {
    pub(super) fn of(event: &Event) -> Self {
        let mut label = String::new();
        for c in event.label.chars() {
            let c = if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
            if label.len() + c.len_utf8() <= MAX_LABEL {
                label.push(c);
            }
        }
        let text = format!("{}_{label}_{}", event.onset.strftime(TIME), event.id);
        Stem { text, onset: event.onset, id: event.id }
    }

    /// Of a file's name, with its ending; `None` where that is no clip's.
    pub(super) fn parse(name: &str) -> Option<(Self, &str)> {
        let ending = [SOUND, FACTS].into_iter().find(|ending| name.ends_with(ending))?;
        let text = name.strip_suffix(ending)?;
        let (rest, id) = text.rsplit_once('_')?;
        let (time, _) = rest.split_once('_')?;
        // Time and id as this program writes them, and no other way.
        let (date, clock) = time.split_once('T')?;
        let onset: Timestamp = format!("{date}T{}", clock.replace('-', ":")).parse().ok()?;
        let is_ours = onset.strftime(TIME).to_string() == time;
        let id = Uuid::try_parse(id).ok().filter(|parsed| parsed.to_string() == id)?;
        is_ours.then(|| (Stem { text: text.to_string(), onset, id }, &name[text.len()..]))
    }

    /// The name with an ending.
    pub(super) fn with(&self, ending: &str) -> String {
        format!("{}{ending}", self.text)
    }

    /// The name of a file that is being written. It is hidden.
    pub(super) fn unfinished(&self, ending: &str) -> String {
        format!(".{}{ending}.part", self.text)
    }

    /// Whether `name` is one that [`Stem::unfinished`] gives.
    pub(super) fn is_unfinished(name: &str) -> bool {
        let within = name.strip_prefix('.').and_then(|name| name.strip_suffix(".part"));
        within.is_some_and(|name| Stem::parse(name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::tests::event;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for label in ["dog", "water-flowing", "crying baby", "Türklingel 門鈴", "a/b\\c:d_e", &"é".repeat(300), ""]
        {
            let event = event(label);
            let stem = Stem::of(&event);
            let name = stem.with(SOUND);
            assert!(name.starts_with("2027-01-15T08-00-00.000Z_") && name.len() < 250, "{name}");
            assert!(!name.contains(['/', '\\', ':', ' ']), "{name}");
            assert_eq!(Stem::parse(&name), Some((stem.clone(), SOUND)), "{name}");
            assert_eq!(stem.onset, event.onset);
            assert!(Stem::is_unfinished(&stem.unfinished(FACTS)));
        }
    }

    #[test]
    fn other_files_are_no_clips() {
        let ours = Stem::of(&event("dog")).with(SOUND);
        assert!(Stem::parse(&ours).is_some());
        for name in [
            "song.flac".to_string(),
            "2027-01-15T08-00-00.000Z_dog.flac".to_string(),
            "2027-01-15T08-00-00.000Z_dog_1.flac".to_string(),
            ours.replace(".flac", ".wav"),
            ours.to_uppercase(),
            ours.replace("Z_", "_"),
            ours.replacen('-', "+", 1),
            format!(".{ours}"),
        ] {
            assert_eq!(Stem::parse(&name), None, "{name}");
            assert!(!Stem::is_unfinished(&name), "{name}");
        }
    }
}

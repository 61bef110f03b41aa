//! The truth of a student's outputs.
//!
//! Enters: the events of a scene, and what the tagger outputs for the slots of some outputs.
//! Leaves: for each output and label whether it sounds, and whether that is known. A labelled clip
//! says that its label sounds. Where the tagger is sure of a label with `sounds_from`, it sounds,
//! too. Where the tagger or the name of a recording makes a label likely that nothing else says is
//! there, nothing is known. The background sounds where no other label does.

use super::corpus::Event;
use crate::error::{Error, Result};
use crate::nets::teacher::audioset::class_index;
use crate::train::recipe::Tagger;
use tch::Tensor;

/// A slot belongs to a sound that lasts for this share of it.
const SHARE_OF_SLOT: f64 = 0.5;

/// The labels of a network, with what the tagger knows of them.
pub struct Truth {
    labels: Vec<TaggedLabel>,
    background: Option<usize>,
    slot_s: f64,
}

/// A label with what the tagger knows of it.
struct TaggedLabel {
    name: String,
    classes: Vec<i64>,
    sounds_from: Option<f64>,
    unsure_from: f64,
}

impl Truth {
    /// The truth about `labels`, one of which may be the background, in slots of `slot_s` seconds.
    ///
    /// # Errors
    ///
    /// If a class of AudioSet does not exist.
    pub fn new(labels: &[String], background: Option<usize>, tagger: &Tagger, slot_s: f64) -> Result<Self> {
        let tagged = |name: &String| {
            let own = tagger.labels.iter().find(|label| label.name == *name);
            let classes = own.into_iter().flat_map(|label| &label.audioset).map(|class| {
                let unknown = || Error::Usage(format!("label {name:?}: AudioSet has no class {class:?}"));
                class_index(class).map(|at| at as i64).ok_or_else(unknown)
            });
            Ok(TaggedLabel {
                name: name.clone(),
                classes: classes.collect::<Result<_>>()?,
                sounds_from: own.and_then(|label| label.sounds_from),
                unsure_from: own.map_or(1.0, |label| label.unsure_from),
            })
        };
        Ok(Self { labels: labels.iter().map(tagged).collect::<Result<_>>()?, background, slot_s })
    }

    /// Index of the background among the labels.
    pub fn background(&self) -> Option<usize> {
        self.background
    }

    /// Truth and whether it is known, both 0 or 1, `(T', L)` row-major, of slots around `centres`
    /// (seconds), for which the tagger outputs `tags` `(T', 527)`.
    ///
    /// # Errors
    ///
    /// If libtorch reports one.
    pub fn of(&self, events: &[Event], centres: &[f64], tags: &Tensor) -> Result<(Vec<f32>, Vec<f32>)> {
        let n_labels = self.labels.len();
        let (mut truth, mut known) = (vec![0.0; centres.len() * n_labels], vec![1.0; centres.len() * n_labels]);
        for (at, label) in self.labels.iter().enumerate().filter(|(_, label)| !label.classes.is_empty()) {
            let classes = Tensor::f_from_slice(&label.classes)?;
            let highest: Vec<f32> = tags.f_index_select(1, &classes)?.f_amax([1i64], false)?.try_into()?;
            for (slot, posterior) in highest.into_iter().map(f64::from).enumerate() {
                let place = slot * n_labels + at;
                if label.sounds_from.is_some_and(|from| posterior >= from) {
                    truth[place] = 1.0;
                } else if posterior >= label.unsure_from {
                    known[place] = 0.0;
                }
            }
        }
        for event in events {
            let Some(at) = self.labels.iter().position(|label| label.name == event.label) else { continue };
            for (slot, centre) in centres.iter().enumerate() {
                let (from, to) =
                    (event.onset_s.max(centre - self.slot_s / 2.0), event.offset_s.min(centre + self.slot_s / 2.0));
                if to - from >= SHARE_OF_SLOT * self.slot_s {
                    let place = slot * n_labels + at;
                    (truth[place], known[place]) = match event.is_certain {
                        true => (1.0, 1.0),
                        false => (truth[place], truth[place]),
                    };
                }
            }
        }
        if let Some(background) = self.background {
            for (truth, known) in truth.chunks_exact_mut(n_labels).zip(known.chunks_exact_mut(n_labels)) {
                let others =
                    |values: &[f32], value: f32| values.iter().enumerate().any(|(i, v)| i != background && *v == value);
                let (sounds, unsure) = (others(truth, 1.0), others(known, 0.0));
                (truth[background], known[background]) = (f32::from(!sounds), f32::from(sounds || !unsure));
            }
        }
        Ok((truth, known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe::TaggerLabel;
    use tch::{Device, Kind};

    fn truth() -> Truth {
        let label = |name: &str, class: &str, sounds_from| TaggerLabel {
            name: name.to_owned(),
            audioset: vec![class.to_owned()],
            sounds_from,
            unsure_from: 0.2,
        };
        let labels = vec![label("dog", "Dog", None), label("speech", "Speech", Some(0.5))];
        let tagger = Tagger { embedding_weight: 1.0, tags_weight: 1.0, labels };
        let names = ["bell", "dog", "speech", "background"].map(str::to_owned);
        Truth::new(&names, Some(3), &tagger, 0.08).unwrap()
    }

    fn event(label: &str, onset_s: f64, offset_s: f64, is_certain: bool) -> Event {
        Event { onset_s, offset_s, label: label.to_owned(), is_certain }
    }

    /// Rows of truth and of what is known, of slots around 0.04, 0.12 and 0.20 s.
    fn rows(events: &[Event], tags: &[(usize, i64, f64)]) -> [Vec<Vec<f32>>; 2] {
        let posteriors = Tensor::zeros([3, 527], (Kind::Float, Device::Cpu));
        for &(slot, class, value) in tags {
            let _ = posteriors.get(slot as i64).get(class).fill_(value);
        }
        let (truth, known) = truth().of(events, &[0.04, 0.12, 0.20], &posteriors).unwrap();
        [truth, known].map(|values| values.chunks_exact(4).map(<[f32]>::to_vec).collect())
    }

    #[test]
    fn a_sound_is_in_the_slots_that_it_fills_by_half() {
        let [truth, known] = rows(&[event("bell", 0.05, 0.125, true)], &[]);
        assert_eq!(truth, [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]);
        assert!(known.concat().iter().all(|k| *k == 1.0));
    }

    #[test]
    fn what_the_tagger_hears_is_unknown_or_sounds() {
        let (speech, dog) = (0, 74);
        let [truth, known] = rows(&[], &[(0, dog, 0.9), (1, speech, 0.3), (2, speech, 0.6)]);
        assert_eq!(truth, [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]);
        assert_eq!(known, [[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]);
    }

    #[test]
    fn a_recording_that_may_be_a_label_is_unknown_and_a_clip_is_certain() {
        let (maybe, certain) = (event("dog", 0.0, 0.24, false), event("dog", 0.08, 0.16, true));
        for events in [[maybe.clone(), certain.clone()], [certain, maybe]] {
            let [truth, known] = rows(&events, &[(1, 74, 0.9)]);
            assert_eq!([truth[0][1], truth[1][1], truth[2][1]], [0.0, 1.0, 0.0]);
            assert_eq!([known[0][1], known[1][1], known[2][1]], [0.0, 1.0, 0.0]);
        }
    }
}

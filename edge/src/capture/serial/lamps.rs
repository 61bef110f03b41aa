//! Words on their way to a node's lamp: the publisher's thread puts them in, the node's thread
//! takes them out.
//!
//! Words are not acknowledged. The onset of a sound that lasts is therefore repeated every
//! [`REPEAT`], and a node that was away is sent everything that lasts again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use firmware_bridge::msg::MAX_TEXT_LEN;

use crate::decide::Phase;

/// Between two words on a sound that lasts: lamps hold for longer than twice that.
const REPEAT: Duration = Duration::from_secs(2);

/// Words that wait for a node at most; the oldest go, for a lamp shows what is.
const MAX_WORDS: usize = 64;

/// A word to a lamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) label: String,
    pub(super) phase: Phase,
    pub(super) score_percent: u8,
}

/// The words for one node; its clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Lamps(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    words: VecDeque<Word>,
    /// Score of each sound that lasts, percent.
    lasting: BTreeMap<String, u8>,
    repeated: Option<Instant>,
}

impl Lamps {
    /// Passes on that a sound with this score begins or ends.
    pub(crate) fn tell(&self, label: &str, phase: Phase, score: f64) {
        if label.len() > MAX_TEXT_LEN {
            tracing::debug!(label, "the label is too long for a node's lamp");
            return;
        }
        // In [0, 100] for scores in [0, 1]; the conversion stops at its limits.
        let score_percent = (100.0 * score).round() as u8;
        let mut state = self.lock();
        match phase {
            Phase::Onset => state.lasting.insert(label.to_string(), score_percent),
            Phase::Offset => state.lasting.remove(label),
        };
        if state.words.len() == MAX_WORDS {
            state.words.pop_front();
        }
        state.words.push_back(Word { label: label.to_string(), phase, score_percent });
    }

    /// What is to be sent at `now`.
    pub(super) fn take(&self, now: Instant) -> Vec<Word> {
        let mut state = self.lock();
        if state.repeated.is_none_or(|repeated| now.saturating_duration_since(repeated) >= REPEAT) {
            state.repeated = Some(now);
            let onset = |(label, &score_percent): (&String, &u8)| Word {
                label: label.clone(),
                phase: Phase::Onset,
                score_percent,
            };
            let repeated: Vec<Word> = state.lasting.iter().map(onset).collect();
            // What was new anyway need not be sent twice.
            let news = std::mem::take(&mut state.words);
            let is_news = |word: &Word| news.iter().any(|other| other.label == word.label);
            let mut all: Vec<Word> = repeated.into_iter().filter(|word| !is_news(word)).collect();
            all.extend(news);
            return all;
        }
        state.words.drain(..).collect()
    }

    /// A node has come that knows nothing yet: what is over does not concern it, and what lasts is
    /// sent at once.
    pub(super) fn restart(&self) {
        let mut state = self.lock();
        state.words.clear();
        state.repeated = None;
    }

    /// What is to be sent now, in order.
    #[cfg(test)]
    pub(crate) fn said(&self) -> String {
        tests::said(&self.take(Instant::now()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn said(words: &[Word]) -> String {
        words
            .iter()
            .map(|word| format!("{:?} {} {}", word.phase, word.label, word.score_percent))
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn news_is_said_at_once_and_what_lasts_every_two_seconds() {
        let (lamps, begin) = (Lamps::default(), Instant::now());
        assert_eq!(said(&lamps.take(begin)), "");
        lamps.tell("rain", Phase::Onset, 0.924);
        let at = |ms: u64| said(&lamps.take(begin + Duration::from_millis(ms)));
        assert_eq!(at(100), "Onset rain 92");
        assert_eq!(at(1_900), "");
        assert_eq!(at(2_000), "Onset rain 92");
        lamps.tell("dog", Phase::Onset, 2.0);
        lamps.tell("dog", Phase::Offset, 0.5);
        assert_eq!(at(4_000), "Onset rain 92, Onset dog 200, Offset dog 50");
        lamps.tell("rain", Phase::Offset, 0.9);
        assert_eq!(at(6_000), "Offset rain 90");
        assert_eq!(at(8_000), "");
    }

    #[test]
    fn a_node_that_comes_anew_hears_what_lasts_and_nothing_else() {
        let (lamps, begin) = (Lamps::default(), Instant::now());
        lamps.take(begin);
        (0..1_000).for_each(|_| lamps.tell("dog", Phase::Onset, 0.5));
        assert_eq!(lamps.take(begin).len(), MAX_WORDS);
        lamps.tell("dog", Phase::Offset, 0.5);
        lamps.tell("rain", Phase::Onset, 0.5);
        lamps.tell(&"m".repeat(MAX_TEXT_LEN + 1), Phase::Onset, 0.5);
        lamps.restart();
        assert_eq!(said(&lamps.take(begin)), "Onset rain 50");
    }
}

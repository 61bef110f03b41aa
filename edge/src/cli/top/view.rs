//! What is shown: pulses, events and keys enter, what is to be drawn leaves.

use std::collections::VecDeque;
use std::fmt::Write as _;

use edge::event::Event;
use edge::live::Level;

/// Pulses of the spectrogram that are kept: more than a wide terminal shows.
const N_COLUMNS: usize = 512;

/// Events that are kept.
const N_EVENTS: usize = 100;

/// What is left of a label's place in the order after a pulse in which it was not heard: half a
/// second to the half.
const DECAY: f32 = 0.9;

const MIN_THRESHOLD: f32 = 0.05;
const MAX_THRESHOLD: f32 = 0.95;

/// Scores at which an event begins and below which it ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Thresholds {
    pub(super) on: f32,
    pub(super) off: f32,
}

/// A label of the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    pub(super) name: String,
    /// Whether it is no event.
    pub(super) is_background: bool,
    /// As they are configured; `None` for a label that is not reported.
    pub(super) configured: Option<Thresholds>,
}

/// The state of the picture.
#[derive(Debug, Default)]
pub(super) struct View {
    labels: Vec<Label>,
    /// As they are now, one per label.
    thresholds: Vec<Option<Thresholds>>,
    chosen: Option<usize>,
    pub(super) filter: String,
    /// Whether keys belong to the filter.
    pub(super) is_typing: bool,
    pub(super) is_paused: bool,
    /// Newest last; one byte per band, the loudest of the pulse's frames.
    pub(super) columns: VecDeque<Box<[u8]>>,
    /// Centres of the bands, Hz, the lowest first.
    pub(super) centres_hz: Vec<f64>,
    pub(super) level: Option<Level>,
    scores: Vec<f32>,
    /// Highest recent scores, by which labels are ordered.
    recent: Vec<f32>,
    /// Newest first.
    pub(super) events: VecDeque<Event>,
}

/// A label as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'a> {
    pub(super) label: &'a str,
    pub(super) score: f32,
    /// At which an event begins; `None` for a label that is not reported.
    pub(super) threshold: Option<f32>,
    /// Whether the threshold is another one than is configured.
    pub(super) is_changed: bool,
    pub(super) is_chosen: bool,
}

impl View {
    /// These are the labels from now on. Thresholds that were changed here stay so, as far as they
    /// are of the same labels.
    pub(super) fn set_labels(&mut self, labels: Vec<Label>) {
        let names = |labels: &[Label]| labels.iter().map(|label| label.name.clone()).collect::<Vec<_>>();
        if names(&labels) != names(&self.labels) {
            self.thresholds = labels.iter().map(|label| label.configured).collect();
            self.scores = vec![0.0; labels.len()];
            self.recent = vec![0.0; labels.len()];
            self.chosen = None;
        }
        for ((now, old), new) in self.thresholds.iter_mut().zip(&self.labels).zip(&labels) {
            if *now == old.configured || new.configured.is_none() {
                *now = new.configured;
            }
        }
        self.labels = labels;
    }

    /// Takes the log-mel frames of a pulse, with bands of these centres, unless the picture stands
    /// still.
    pub(super) fn take(&mut self, frames: &[u8], centres_hz: &[f64], level: Level, scores: &[f32]) {
        if self.is_paused || centres_hz.is_empty() || scores.len() != self.scores.len() {
            return;
        }
        if self.centres_hz != centres_hz {
            self.columns.clear();
            self.centres_hz = centres_hz.to_vec();
        }
        let mut column = vec![0_u8; centres_hz.len()].into_boxed_slice();
        for frame in frames.chunks_exact(centres_hz.len()) {
            column.iter_mut().zip(frame).for_each(|(loudest, byte)| *loudest = (*loudest).max(*byte));
        }
        if self.columns.len() == N_COLUMNS {
            self.columns.pop_front();
        }
        self.columns.push_back(column);
        self.level = Some(level);
        self.scores.copy_from_slice(scores);
        for (recent, score) in self.recent.iter_mut().zip(&self.scores) {
            *recent = (*recent * DECAY).max(*score);
        }
    }

    /// Takes the onset or the offset of an event.
    pub(super) fn add(&mut self, event: Event) {
        match self.events.iter_mut().find(|known| known.id == event.id) {
            Some(known) => *known = event,
            None => {
                self.events.push_front(event);
                self.events.truncate(N_EVENTS);
            }
        }
    }

    /// Forgets what was heard: another source is looked at.
    pub(super) fn clear(&mut self) {
        self.columns.clear();
        self.level = None;
        self.scores.fill(0.0);
        self.recent.fill(0.0);
    }

    /// The labels that the filter lets pass, those with the highest recent scores first.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let chosen = self.chosen;
        let row = |class_id: usize| Row {
            label: &self.labels[class_id].name,
            score: self.scores[class_id],
            threshold: self.thresholds[class_id].map(|thresholds| thresholds.on),
            is_changed: self.thresholds[class_id] != self.labels[class_id].configured,
            is_chosen: chosen == Some(class_id),
        };
        self.order().into_iter().map(row).collect()
    }

    fn order(&self) -> Vec<usize> {
        let wanted = self.filter.to_lowercase();
        let passes = |class_id: &usize| {
            let label = &self.labels[*class_id];
            !label.is_background && label.name.to_lowercase().contains(&wanted)
        };
        let mut order: Vec<usize> = (0..self.labels.len()).filter(passes).collect();
        order.sort_by(|a, b| self.recent[*b].total_cmp(&self.recent[*a]));
        order
    }

    /// Chooses the label this many places below the one that is chosen; at first the first.
    pub(super) fn choose(&mut self, step: isize) {
        let order = self.order();
        let at = self.chosen.and_then(|chosen| order.iter().position(|class_id| *class_id == chosen));
        let next = at.map_or(0, |at| at.saturating_add_signed(step).min(order.len().saturating_sub(1)));
        self.chosen = order.get(next).copied();
    }

    /// Moves the threshold of the chosen label. Returns whether that changed anything.
    pub(super) fn adjust(&mut self, step: f32) -> bool {
        if self.chosen.is_none() {
            self.choose(0);
        }
        let Some(class_id) = self.chosen else { return false };
        let (Some(now), Some(configured)) = (&mut self.thresholds[class_id], self.labels[class_id].configured) else {
            return false;
        };
        let moved = ((now.on + step) * 100.0).round() / 100.0;
        let moved = moved.clamp(MIN_THRESHOLD, MAX_THRESHOLD);
        let is_news = moved != now.on;
        *now = Thresholds { on: moved, off: configured.off.min(moved) };
        is_news
    }

    /// All thresholds as they are configured.
    pub(super) fn reset(&mut self) {
        self.thresholds = self.labels.iter().map(|label| label.configured).collect();
    }

    /// The thresholds as they are now, one per label.
    pub(super) fn thresholds(&self) -> &[Option<Thresholds>] {
        &self.thresholds
    }

    /// Whether any threshold is another one than is configured.
    pub(super) fn is_changed(&self) -> bool {
        self.thresholds.iter().zip(&self.labels).any(|(now, label)| *now != label.configured)
    }

    /// What to write into the configuration, so that the thresholds stay.
    pub(super) fn changes(&self) -> String {
        let mut text = String::new();
        for (label, now) in self.labels.iter().zip(&self.thresholds) {
            let (Some(now), Some(configured)) = (now, label.configured) else { continue };
            if now.on != configured.on {
                let name = toml::Value::from(label.name.as_str());
                let _ = writeln!(text, "[decide.classes.{name}]\nthreshold_on = {}", now.on);
                if now.off != configured.off {
                    let _ = writeln!(text, "threshold_off = {}", now.off);
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, on: f32) -> Label {
        Label { name: name.into(), is_background: false, configured: Some(Thresholds { on, off: 0.3 }) }
    }

    fn thresholds(view: &View) -> Vec<f32> {
        view.thresholds().iter().flatten().map(|thresholds| thresholds.on).collect()
    }

    #[test]
    fn other_thresholds_of_the_daemon_are_taken_over_and_those_that_were_tried_stay() {
        let mut view = View::default();
        view.set_labels(vec![label("dog", 0.5), label("rain", 0.5)]);
        assert!(view.adjust(0.1) && view.is_changed());
        view.set_labels(vec![label("dog", 0.4), label("rain", 0.7)]);
        assert_eq!(thresholds(&view), [0.6, 0.7]);
        assert_eq!(view.changes(), "[decide.classes.\"dog\"]\nthreshold_on = 0.6\n");
        view.reset();
        assert_eq!(thresholds(&view), [0.4, 0.7]);
        // Of another model nothing is left.
        view.adjust(0.1);
        view.set_labels(vec![label("bell", 0.2)]);
        assert_eq!((thresholds(&view), view.is_changed()), (vec![0.2], false));
        view.take(&[1, 2], &[100.0, 200.0], Level { rms_dbfs: 0.0, peak_dbfs: None, n_clipped: 0 }, &[0.5]);
        assert_eq!((view.columns.len(), view.rows()[0].score), (1, 0.5));
    }
}

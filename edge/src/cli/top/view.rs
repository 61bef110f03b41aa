//! What is shown: pulses, events and keys enter, what is to be drawn leaves.

use std::collections::VecDeque;
use std::fmt::Write as _;

use edge::decide::Rules;
use edge::event::Event;
use edge::live::{Level, Pulse, Scale};
use edge::model::Model;

/// Pulses of the spectrogram that are kept: more than a wide terminal shows.
const N_COLUMNS: usize = 512;

/// Events that are kept.
const N_EVENTS: usize = 100;

/// What is left of a label's place in the order after a pulse in which it was not heard: half a
/// second to the half.
const DECAY: f32 = 0.9;

const MIN_THRESHOLD: f32 = 0.05;
const MAX_THRESHOLD: f32 = 0.95;

/// The state of the picture.
pub(super) struct View {
    labels: Vec<String>,
    /// Index of the label that is no event.
    background: Option<usize>,
    rules: Rules,
    /// As they are configured.
    first: Rules,
    chosen: Option<usize>,
    pub(super) filter: String,
    /// Whether keys belong to the filter.
    pub(super) is_typing: bool,
    pub(super) is_paused: bool,
    /// Newest last; a byte a band, the loudest of the pulse's frames.
    pub(super) columns: VecDeque<Box<[u8]>>,
    pub(super) scale: Option<Scale>,
    pub(super) level: Option<Level>,
    scores: Vec<f32>,
    /// Highest scores of late, by which labels are ordered.
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
    pub(super) fn new(model: &Model, rules: Rules) -> Self {
        let manifest = &model.manifest;
        let labels = manifest.labels.clone();
        let n = labels.len();
        View {
            background: manifest.background.as_ref().and_then(|background| manifest.class_of(background)),
            labels,
            first: rules.clone(),
            rules,
            chosen: None,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            columns: VecDeque::with_capacity(N_COLUMNS),
            scale: None,
            level: None,
            scores: vec![0.0; n],
            recent: vec![0.0; n],
            events: VecDeque::new(),
        }
    }

    /// Takes a pulse, unless the picture stands still.
    pub(super) fn take(&mut self, pulse: &Pulse, scale: &Scale) {
        if self.is_paused {
            return;
        }
        let mut column = vec![0_u8; scale.n_mels].into_boxed_slice();
        for frame in pulse.columns.chunks_exact(scale.n_mels) {
            column.iter_mut().zip(frame).for_each(|(loudest, byte)| *loudest = (*loudest).max(*byte));
        }
        if self.columns.len() == N_COLUMNS {
            self.columns.pop_front();
        }
        self.columns.push_back(column);
        self.scale.get_or_insert_with(|| scale.clone());
        self.level = Some(pulse.level);
        self.scores.copy_from_slice(&pulse.scores);
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

    /// The labels that the filter lets pass, the likeliest of late first.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let chosen = self.chosen;
        let row = |class_id: usize| {
            let threshold = |rules: &Rules| rules.classes[class_id].as_ref().map(|class| class.threshold_on);
            Row {
                label: &self.labels[class_id],
                score: self.scores[class_id],
                threshold: threshold(&self.rules),
                is_changed: threshold(&self.rules) != threshold(&self.first),
                is_chosen: chosen == Some(class_id),
            }
        };
        self.order().into_iter().map(row).collect()
    }

    fn order(&self) -> Vec<usize> {
        let wanted = self.filter.to_lowercase();
        let passes = |class_id: &usize| {
            Some(*class_id) != self.background && self.labels[*class_id].to_lowercase().contains(&wanted)
        };
        let mut order: Vec<usize> = (0..self.labels.len()).filter(passes).collect();
        order.sort_by(|a, b| self.recent[*b].total_cmp(&self.recent[*a]));
        order
    }

    /// Chooses the label so many places below the one that is chosen; at first the first.
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
        let (Some(class), Some(first)) = (&mut self.rules.classes[class_id], &self.first.classes[class_id]) else {
            return false;
        };
        let moved = ((class.threshold_on + step) * 100.0).round() / 100.0;
        let moved = moved.clamp(MIN_THRESHOLD, MAX_THRESHOLD);
        let is_news = moved != class.threshold_on;
        class.threshold_on = moved;
        class.threshold_off = first.threshold_off.min(moved);
        is_news
    }

    /// All thresholds as they are configured.
    pub(super) fn reset(&mut self) {
        self.rules = self.first.clone();
    }

    /// The rules with the thresholds as they are now.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What to write into the configuration, so that the thresholds stay.
    pub(super) fn changes(&self) -> String {
        let mut text = String::new();
        for ((label, now), first) in self.labels.iter().zip(&self.rules.classes).zip(&self.first.classes) {
            let (Some(now), Some(first)) = (now, first) else { continue };
            if now.threshold_on != first.threshold_on {
                let label = toml::Value::from(label.as_str());
                let _ = writeln!(text, "[decide.classes.{label}]\nthreshold_on = {}", now.threshold_on);
                if now.threshold_off != first.threshold_off {
                    let _ = writeln!(text, "threshold_off = {}", now.threshold_off);
                }
            }
        }
        text
    }
}

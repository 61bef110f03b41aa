//! How well it went.
//!
//! Enters: what the networks of all folds put out for recordings that they were not trained on.
//! Leaves: figures by class, as `own.json`, as a table and for the model card.

use super::start::Classes;
use crate::judge::thresholds::Peaks;
use edge_frontend::Decision;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Figures of all folds together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The user's classes.
    pub classes: Vec<ClassFigures>,
    /// Held-out clips that hold none of them.
    pub n_others: usize,
    /// Windows of these whose most likely class is the same as before, and all; none if no old
    /// class is left.
    pub unchanged: Option<(usize, usize)>,
    /// Seconds from the first recording to the finished model.
    pub seconds: f64,
}

/// One of the user's classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Its label.
    pub label: String,
    /// Whether the start did not have it.
    pub is_new: bool,
    /// Recordings, each held out once.
    pub n_recordings: usize,
    /// Sounds in them.
    pub n_sounds: usize,
    /// Sounds whose most likely class of all it is.
    pub n_right: usize,
    /// Sounds in which it reaches its threshold, as in the daemon.
    pub n_found: usize,
    /// Clips of other sounds in which it does.
    pub n_false: usize,
    /// Score from which on the daemon reports it.
    pub threshold_on: f32,
}

/// A held-out sound of the user's, or a clip of something else.
#[derive(Debug, Clone)]
pub struct Heard {
    /// What the classes reach in it.
    pub peaks: Peaks,
    /// Recording and class of a sound of the user's; none of others.
    pub own: Option<(String, usize)>,
    /// Most likely class.
    pub said: usize,
}

impl Figures {
    /// Counts what was heard, with the thresholds of `decision`.
    pub fn of(
        heard: &[Heard],
        classes: &Classes,
        decision: &Decision,
        unchanged: Option<(usize, usize)>,
        seconds: f64,
    ) -> Self {
        let of_class = |&class: &usize| {
            let label = classes.labels[class].clone();
            let threshold_on = decision.of_class(&label).threshold_on;
            let own: Vec<&Heard> = heard.iter().filter(|h| h.own.as_ref().is_some_and(|(_, c)| *c == class)).collect();
            let mut recordings: Vec<&String> = own.iter().filter_map(|h| Some(&h.own.as_ref()?.0)).collect();
            recordings.sort_unstable();
            recordings.dedup();
            let reaches = |h: &&Heard| h.peaks.scores[class] >= threshold_on;
            let others = heard.iter().filter(|h| h.peaks.label != label);
            ClassFigures {
                is_new: classes.row[class].is_none(),
                n_recordings: recordings.len(),
                n_sounds: own.len(),
                n_right: own.iter().filter(|h| h.said == class).count(),
                n_found: own.iter().copied().filter(|h| reaches(h)).count(),
                n_false: others.filter(|h| reaches(h)).count(),
                label,
                threshold_on,
            }
        };
        let classes = classes.own.iter().map(of_class).collect();
        let n_others = heard.iter().filter(|h| h.own.is_none()).count();
        Self { classes, n_others, unchanged, seconds }
    }

    /// As text.
    pub fn table(&self) -> String {
        let mut text = "class               recordings  sounds   top-1   found  false alarms  threshold\n".to_owned();
        for class in &self.classes {
            let share = |n: usize| format!("{:.0} %", 100.0 * n as f64 / class.n_sounds.max(1) as f64);
            let _ = writeln!(
                text,
                "{:<20}{:>10}{:>8}{:>8}{:>8}{:>14}{:>11.2}",
                class.label,
                class.n_recordings,
                class.n_sounds,
                share(class.n_right),
                share(class.n_found),
                class.n_false,
                class.threshold_on
            );
        }
        let n_folds = "each sound classified by a head that was trained without its recording";
        let _ =
            writeln!(text, "{n_folds}; false alarms of {} clips of other sounds and your other classes", self.n_others);
        if let Some((n_same, n)) = self.unchanged {
            let share = 100.0 * n_same as f64 / n.max(1) as f64;
            let _ =
                writeln!(text, "old classes: {share:.1} % of {n} windows of other sounds keep the label that they had");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ship::export::default_export;

    #[test]
    fn sounds_are_counted_by_class_and_threshold() {
        let classes = Classes {
            labels: ["tap", "bell", "background"].map(str::to_owned).to_vec(),
            row: vec![Some(0), None, Some(1)],
            trained: vec![1],
            background: Some(2),
            own: vec![1],
        };
        let heard = |label: &str, own: Option<&str>, score, said| Heard {
            peaks: Peaks { label: label.to_owned(), scores: vec![0.0, score, 0.0] },
            own: own.map(|name| (name.to_owned(), 1)),
            said,
        };
        let all = [
            heard("bell", Some("1.wav"), 0.9, 1),
            heard("bell", Some("1.wav"), 0.4, 1),
            heard("bell", Some("2.wav"), 0.6, 0),
            heard("tap", None, 0.7, 0),
            heard("background", None, 0.1, 2),
        ];
        let figures = Figures::of(&all, &classes, &default_export().decision, Some((9, 10)), 1.0);
        let bell = &figures.classes[0];
        assert_eq!((bell.n_recordings, bell.n_sounds, bell.n_right, bell.n_found, bell.n_false), (2, 3, 2, 2, 1));
        assert_eq!(figures.n_others, 2);
        assert!(figures.table().contains("90.0 % of 10 windows"), "{}", figures.table());
    }
}

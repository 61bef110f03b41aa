//! The rules of the labels in words: one sentence where they are the same for all, a table where
//! they differ.

use std::fmt::Write as _;

use edge::decide::{ClassRules, Rules};
use edge_frontend::Manifest;

/// Which labels are reported: the shorter list of the two.
pub(super) fn reported(manifest: &Manifest, rules: &Rules) -> String {
    let (reported, others): (Vec<_>, Vec<_>) = rules.reported(&manifest.labels).partition(|(_, reported)| *reported);
    let [reported, others] =
        [reported, others].map(|labels| labels.into_iter().map(|(label, _)| label).collect::<Vec<_>>());
    let n_labels = reported.len() + others.len();
    match (reported.len(), others.len()) {
        (_, 0) => format!("all {n_labels} are reported"),
        (n, n_others) if n <= n_others => format!("{n} of {n_labels} are reported: {}", reported.join(", ")),
        (n, _) => format!("{n} of {n_labels} are reported; not: {}", others.join(", ")),
    }
}

/// When events of the reported labels begin and end.
pub(super) fn table(labels: &[String], rules: &Rules) -> String {
    let classes = labels.iter().zip(&rules.classes);
    let rows: Vec<(&str, [String; 7])> =
        classes.filter_map(|(label, class)| Some((label.as_str(), cells(class.as_ref()?, rules)))).collect();
    let Some((_, first)) = rows.first() else { return String::new() };
    if rows.iter().all(|(_, cells)| cells == first) {
        let [window, on, off, gap, least, most, pause] = first;
        return format!(
            "\nAn event begins when its label's score over {window} reaches {on}, and ends when it has been below \
             {off} for {gap}. Events shorter than {least}\nare not reported, an event ends after {most} at the \
             latest, and for {pause} after it no other event of its label begins.\n"
        );
    }
    let header = ["window", "on", "off", "gap", "least", "most", "pause"].map(str::to_string);
    let label_width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..header.len())
        .map(|at| rows.iter().map(|(_, cells)| cells[at].len()).chain([header[at].len()]).max().unwrap_or_default())
        .collect();
    let mut text = "\nAn event begins when its label's score over `window` reaches `on`, and ends when it has been \
                    below `off` for `gap`. Events shorter than `least`\nare not reported, an event ends after `most` \
                    at the latest, and for `pause` after it no other event of its label begins.\n\n"
        .to_string();
    for (label, cells) in std::iter::once(&("", header)).chain(&rows) {
        let _ = write!(text, "{label:label_width$}");
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
    text
}

fn cells(class: &ClassRules, rules: &Rules) -> [String; 7] {
    let time = |n_frames: u64| duration(n_frames as f64 * rules.frame_period_s);
    [
        time(class.window_frames as u64),
        class.threshold_on.to_string(),
        class.threshold_off.to_string(),
        time(class.min_gap_frames),
        time(class.min_duration_frames),
        time(class.max_duration_frames),
        time(class.cooldown_frames),
    ]
}

/// To the millisecond below ten seconds, to the second from there.
fn duration(seconds: f64) -> String {
    if seconds < 10.0 { format!("{} ms", (seconds * 1e3).round()) } else { format!("{} s", seconds.round()) }
}

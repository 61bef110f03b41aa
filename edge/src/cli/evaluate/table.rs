//! The result for people: figures enter, a text of aligned lines leaves.

use std::fmt::Write as _;

use edge_evaluate::{ClassFigures, Figures, Latency, Rate, Scores};

use super::document::Document;

/// Name, and how a class's value is written.
type Column = (&'static str, fn(&ClassFigures) -> String);

/// The columns of the table by class after the label.
const COLUMNS: [Column; 11] = [
    ("sounds", |c| c.n_sounds.to_string()),
    ("found", |c| c.found.n.to_string()),
    ("events", |c| c.n_detections.to_string()),
    ("F1", |c| share(c.event.f1_micro)),
    ("prec.", |c| share(c.event.precision)),
    ("recall", |c| share(c.event.recall)),
    ("seg. F1", |c| share(c.segment.f1_micro)),
    ("false/h", |c| per_hour(&c.false_alarms)),
    ("FP/h", |c| per_hour(&c.event_false_positives)),
    ("latency", |c| median(&c.latency)),
    ("AP", |c| share(c.average_precision)),
];

pub(super) fn table(document: &Document) -> String {
    let mut text = summary(document);
    if !document.figures.classes.is_empty() {
        text.push('\n');
        text.push_str(&classes(&document.figures.classes));
    }
    text
}

fn summary(document: &Document) -> String {
    let Document { figures, recordings, .. } = document;
    let n_recordings = recordings.len();
    let mut text = format!(
        "{} ({}) on {n_recordings} recording{}, {}\n\n",
        document.model,
        document.precision,
        if n_recordings == 1 { "" } else { "s" },
        length(figures.duration_s)
    );
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:13} {value}");
    };
    if !document.unknown.is_empty() {
        let labels: Vec<String> = document.unknown.iter().map(|(label, n)| format!("{n} {label}")).collect();
        line("left out", format!("what the model does not know: {}", labels.join(", ")));
    }
    line("events", format!("{} reported", figures.n_detections));
    if figures.n_sounds > 0 {
        let found = figures.found.share.unwrap_or_default() * 100.0;
        line("found", format!("{} of {} sounds ({found:.0} %)", figures.found.n, figures.n_sounds));
    }
    let alarms = &figures.false_alarms;
    let events = if alarms.n == 1 { "event that overlaps" } else { "events that overlap" };
    line("false alarms", format!("{} per hour ({} {events} no sound of their class)", per_hour(alarms), alarms.n));
    if figures.n_sounds > 0 {
        measures(figures, &mut line);
    }
    text
}

fn measures(figures: &Figures, line: &mut impl FnMut(&str, String)) {
    let Latency { n, median_s, p95_s } = figures.latency;
    line("latency", format!("{} median, {} at 95 %, of {n} sounds found", seconds(median_s), seconds(p95_s)));
    let event = &figures.event;
    line("event F1", format!("{}; onset within 200 ms, offset within 200 ms or 50 % of the length", scores(event)));
    line("", format!("{} false positives per hour by these limits", per_hour(&figures.event_false_positives)));
    line("segment F1", format!("{}; seconds", scores(&figures.segment)));
    let psds = &figures.psds;
    line(
        "PSDS",
        format!("{} scenario 1, {} scenario 2; 50 thresholds", share(psds.scenario_1), share(psds.scenario_2)),
    );
    if let Some(map) = &figures.tiou_map {
        let values: Vec<String> = map.map.iter().map(|value| format!("{value:.2}")).collect();
        line("mAP", format!("{:.2}; {} at tIoU 0.1 to 0.5", map.average, values.join(", ")));
    }
}

fn scores(scores: &Scores) -> String {
    format!(
        "{} micro, {} macro, precision {}, recall {}",
        share(scores.f1_micro),
        share(scores.f1_macro),
        share(scores.precision),
        share(scores.recall)
    )
}

fn classes(classes: &[ClassFigures]) -> String {
    let width = classes.iter().map(|class| class.label.chars().count()).max().unwrap_or(0).max("class".len());
    let mut text = format!("{:width$}", "class");
    COLUMNS.iter().for_each(|(name, _)| {
        let _ = write!(text, "  {name:>7}");
    });
    for class in classes {
        let _ = write!(text, "\n{:width$}", class.label);
        for (_, value) in COLUMNS {
            let _ = write!(text, "  {:>7}", value(class));
        }
    }
    text.push('\n');
    text
}

fn length(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.2} h", s / 3600.0),
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.2}"))
}

fn seconds(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.2} s"))
}

fn median(latency: &Latency) -> String {
    seconds(latency.median_s)
}

fn per_hour(rate: &Rate) -> String {
    format!("{:.1}", rate.per_hour)
}

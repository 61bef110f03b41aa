//! Sounds for people: a line each, in local time, and how many there were in each hour of the day.

use std::fmt::Write as _;
use std::path::Path;

use edge::event::Event;
use edge::history::{self, OfDay, TimeSpan};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::screen;

/// Hours from one mark of the chart's axis to the next.
const MARKS: usize = 3;

pub(super) fn table(journal: &Path, span: &TimeSpan, sounds: &[Event], zone: &TimeZone) -> String {
    let mut rows = vec![["time", "label", "source", "lasted", "peak"].map(str::to_string)];
    rows.extend(sounds.iter().map(|sound| cells(sound, zone)));
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for [time, label, source, lasted, peak] in &rows {
        let [of_time, of_label, of_source, of_lasted, of_peak] = widths;
        let line =
            format!("{time:of_time$}  {label:of_label$}  {source:of_source$}  {lasted:>of_lasted$}  {peak:>of_peak$}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
    text.push_str(&chart(&history::of_day(sounds, zone), screen::has_blocks()));
    let events = if sounds.len() == 1 { "event" } else { "events" };
    let _ = write!(text, "\n{} {events} {} in {}", sounds.len(), of_span(span, zone), journal.display());
    text.push('\n');
    if sounds.iter().any(|sound| sound.clock_unset) {
        text.push_str("? before the time: the machine's clock had not been set yet\n");
    }
    text
}

/// `2026-01-31 18:00:05`
pub(super) fn local(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S").to_string()
}

/// A span in words.
pub(super) fn of_span(span: &TimeSpan, zone: &TimeZone) -> String {
    match (span.since, span.until) {
        (None, None) => "in all".into(),
        (Some(since), None) => format!("since {}", local(since, zone)),
        (None, Some(until)) => format!("until {}", local(until, zone)),
        (Some(since), Some(until)) => format!("from {} to {}", local(since, zone), local(until, zone)),
    }
}

fn cells(sound: &Event, zone: &TimeZone) -> [String; 5] {
    let mark = if sound.clock_unset { "? " } else { "" };
    [
        format!("{mark}{}", local(sound.onset, zone)),
        sound.label.clone(),
        sound.device.clone(),
        sound.duration_s.map_or("no end yet".into(), lasted),
        format!("{:.2}", sound.peak_score),
    ]
}

fn lasted(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// One row per label, two columns per hour.
fn chart(rows: &[OfDay], blocks: bool) -> String {
    let width = rows.iter().map(|row| row.label.chars().count()).chain(["by hour".len()]).max().unwrap_or_default();
    let n_width = rows.iter().map(|row| row.n().to_string().len()).chain(["all".len()]).max().unwrap_or_default();
    let most = rows.iter().flat_map(|row| row.hours).max().unwrap_or_default();
    let axis: String = (0..24).step_by(MARKS).map(|hour| format!("{hour:<width$}", width = 2 * MARKS)).collect();
    let mut text = format!("{:width$}  {axis}{:>n_width$}\n", "by hour", "all");
    for row in rows {
        let bars: String = row.hours.iter().map(|n| format!("{} ", screen::bar(*n, most, blocks))).collect();
        let _ = writeln!(text, "{:width$}  {bars}{:>n_width$}", row.label, row.n());
    }
    if most > 1 {
        let _ = writeln!(text, "{:width$}  the tallest bar is {most}", "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_aligned_and_has_a_bar_for_whatever_was_heard() {
        let mut hours = [0; 24];
        (hours[0], hours[7], hours[23]) = (1, 16, 8);
        let rows = [
            OfDay { label: "bell".into(), hours },
            OfDay { label: "water-flowing".into(), hours: std::array::from_fn(|hour| u32::from(hour == 12)) },
        ];
        let expected = [
            "by hour        0     3     6     9     12    15    18    21    all",
            "bell           ▁             █                               ▄  25",
            "water-flowing                          ▁                         1",
            "               the tallest bar is 16",
        ];
        assert_eq!(chart(&rows, true).lines().collect::<Vec<_>>(), expected);
        assert!(chart(&rows, false).is_ascii());
    }

    #[test]
    fn durations_are_as_exact_as_they_are_read() {
        let words = [0.24, 12.34, 59.96, 125.0, 7322.0].map(lasted);
        assert_eq!(words, ["0.2 s", "12.3 s", "1 min 00 s", "2 min 05 s", "2 h 02 min"]);
    }
}

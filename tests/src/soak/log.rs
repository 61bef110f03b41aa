//! The log of a daemon on whose sources and sinks faults keep coming back: how long it would be
//! after a day.

use std::collections::BTreeSet;

/// Lines of the log without those of the first five seconds, in which everything is opened.
pub(super) fn after_start(lines: &[String]) -> Vec<&String> {
    let time = |line: &String| line.split_whitespace().next().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let Some(begin) = lines.iter().find_map(time) else { return Vec::new() };
    let is_later = |line: &&String| time(line).is_some_and(|at| at.duration_since(begin).as_secs() >= 5);
    lines.iter().filter(is_later).collect()
}

/// Kinds of faults in the log, with the part that has them: the texts of warnings without their
/// figures.
pub(super) fn kinds(log: &[&String]) -> Vec<String> {
    let text = |line: &&String| line.split_once(" WARN ").map(|(_, text)| text.trim().to_string());
    let kind = |text: String| {
        let text = text.split(" (and ").next().unwrap_or_default();
        text.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
    };
    let kinds: BTreeSet<String> = log.iter().filter_map(text).map(kind).collect();
    kinds.into_iter().collect()
}

/// Lines of a day on which the camera and the broker keep failing in these ways all the time: each
/// kind once, then one of them after a minute, after two more, and so on up to an hour, with a
/// recovery after each.
pub(super) fn lines_per_day(kinds: &[String]) -> usize {
    let (mut at_s, mut silence_s, mut n) = (0, 60, 0);
    while at_s < 86_400 {
        n += 1;
        at_s += silence_s;
        silence_s = (silence_s * 2).min(3_600);
    }
    let of_one = |part: &str| match kinds.iter().filter(|kind| kind.contains(part)).count() {
        0 => 0,
        n_kinds => 2 * (n_kinds + n),
    };
    of_one("hearing: camera: ") + of_one("pipeline: camera: ") + of_one("publish::mqtt")
}

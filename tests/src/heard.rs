//! What a run of the daemon found, for comparison: its lines of standard output enter, finished
//! events leave.

use std::collections::BTreeMap;

use serde_json::Value;

/// Time from one frame of logits to the next: what the position of the pulses in the recording may
/// change.
pub const PULSE_S: f64 = 0.080;

/// Event times are rounded to the millisecond, at both ends of a difference.
const ROUNDING_S: f64 = 0.002;

/// A finished event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its label.
    pub label: String,
    /// Its begin in stream time.
    pub onset_s: f64,
    /// Its end in stream time.
    pub offset_s: f64,
}

/// The events of a run's output, in the order of their labels and times. Each must have an onset
/// and an offset that agree.
///
/// # Panics
///
/// When they do not.
pub fn events(lines: &[String]) -> Vec<Event> {
    let mut open = BTreeMap::new();
    let mut events = Vec::new();
    for line in lines {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("no {name}: {line}")).to_string();
        let seconds = |name: &str| event[name].as_f64().unwrap_or_else(|| panic!("no {name}: {line}"));
        let (id, label, onset_s) = (text("id"), text("label"), seconds("t_onset_s"));
        match text("phase").as_str() {
            "onset" => assert!(open.insert(id, (label, onset_s)).is_none(), "an id was used twice: {line}"),
            "offset" => {
                assert_eq!(open.remove(&id), Some((label.clone(), onset_s)), "no onset belongs to {line}");
                events.push(Event { label, onset_s, offset_s: seconds("t_offset_s") });
            }
            phase => panic!("unknown phase {phase}"),
        }
    }
    assert!(open.is_empty(), "every onset gets its offset, but not {open:?}");
    events.sort_by(|a, b| a.label.cmp(&b.label).then(a.onset_s.total_cmp(&b.onset_s)));
    events
}

/// The same with all times relative to the first onset.
pub fn relative(mut events: Vec<Event>) -> Vec<Event> {
    let first = events.iter().map(|event| event.onset_s).fold(f64::INFINITY, f64::min);
    for event in &mut events {
        event.onset_s -= first;
        event.offset_s -= first;
    }
    events
}

/// Whether both are the same events, at times that differ by a pulse at most.
pub fn alike(a: &[Event], b: &[Event]) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= PULSE_S + ROUNDING_S;
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.label == b.label && near(a.onset_s, b.onset_s) && near(a.offset_s, b.offset_s))
}

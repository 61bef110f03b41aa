//! What was heard before now: records of the [journal](crate::journal) enter, sounds with their
//! beginning and end leave, as a list, as counts, and as files for other programs.
//!
//! The journal has an onset and an offset of every sound; here both are one [`Event`], the newer of
//! the two, which has everything that the older one had.

mod counts;
mod csv;
mod time;

pub use counts::{HourCount, OfDay, by_hour, of_day};
pub use csv::csv;
pub use time::parse as parse_time;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, Phase};
use crate::journal::{Query, Record};

/// A sound that lasts for longer than this may be missing from what begins with its middle.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// A span of time, with an end on neither side if need be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeSpan {
    /// Its beginning.
    pub since: Option<Timestamp>,
    /// Its end, which is not part of it.
    pub until: Option<Timestamp>,
}

impl TimeSpan {
    /// What to ask the journal for, so that [`sounds`] of this span are found: their onsets may
    /// have been written down before it.
    pub fn query(&self) -> Query {
        let since = self.since.map(|since| since.checked_sub(LONGEST).unwrap_or(Timestamp::MIN));
        Query { since, until: self.until, ..Query::default() }
    }

    /// Whether a sound was heard within it. One that has not ended goes on.
    fn has(&self, event: &Event) -> bool {
        let ends_before = |since| event.offset.is_some_and(|offset| offset < since);
        let begins_after = |until| event.onset >= until;
        !self.since.is_some_and(ends_before) && !self.until.is_some_and(begins_after)
    }
}

/// The events of `records`. A record that is not an event is left out.
pub fn events(records: &[Record]) -> impl Iterator<Item = Event> {
    records.iter().filter_map(|record| Event::from_json(&record.payload).ok())
}

/// The sounds of `span` in the order of their onsets. A sound whose offset is not among `recorded`,
/// or not yet, is an onset.
pub fn sounds(recorded: impl IntoIterator<Item = Event>, span: &TimeSpan) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut places = HashMap::new();
    for event in recorded {
        match places.get(&event.id) {
            // What was delivered twice, or late, does not take an end away.
            Some(&at) if event.phase == Phase::Offset => events[at] = event,
            Some(_) => {}
            None => {
                places.insert(event.id, events.len());
                events.push(event);
            }
        }
    }
    events.retain(|event| span.has(event));
    events.sort_by_key(|event| event.onset);
    events
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::decide::Transition;
    use crate::event::EventBuilder;

    /// Onset and offset of a sound, by what the clock says.
    pub(crate) fn sound(label: &str, onset: &str, seconds: f64) -> [Event; 2] {
        let onset: Timestamp = onset.parse().unwrap();
        let mut builder = EventBuilder::new("ear", "test-1.0.0", &[label.to_string()]);
        let wall = |t_s: f64| onset + SignedDuration::from_secs_f64(t_s);
        let transition = |phase, t_offset_s| Transition {
            class_id: 0,
            phase,
            t_onset_s: 0.0,
            t_offset_s,
            score: 0.5,
            peak_score: 0.75,
        };
        [(Phase::Onset, None), (Phase::Offset, Some(seconds))]
            .map(|(phase, end)| builder.build(&transition(phase, end), wall))
    }

    fn records(events: &[Event]) -> Vec<Record> {
        let record = |(seq, event): (usize, &Event)| Record {
            seq: seq as i64,
            device: event.device.clone(),
            label: event.label.clone(),
            payload: event.to_json(),
        };
        events.iter().enumerate().map(record).collect()
    }

    #[test]
    fn an_onset_and_its_offset_are_one_sound() {
        let [bell, bell_end] = sound("bell", "2026-01-31T12:00:00Z", 2.0);
        let [dog, dog_end] = sound("dog", "2026-01-31T11:59:59Z", 30.0);
        let mut all = records(&[bell.clone(), dog.clone(), bell_end.clone(), bell.clone()]);
        all.push(Record { seq: 9, device: "ear".into(), label: "dog".into(), payload: "no event".into() });
        assert_eq!(sounds(super::events(&all), &TimeSpan::default()), [dog, bell_end.clone()]);
        assert_eq!(sounds([dog_end.clone()], &TimeSpan::default()), [dog_end]);
    }

    #[test]
    fn a_sound_is_of_a_span_that_it_reaches_into() {
        let [onset, offset] = sound("bell", "2026-01-31T12:00:00Z", 60.0);
        let found = |events: &[Event], since: Option<&str>, until: Option<&str>| {
            let time = |text: Option<&str>| text.map(|text| format!("2026-01-31T{text}Z").parse().unwrap());
            !sounds(events.to_vec(), &TimeSpan { since: time(since), until: time(until) }).is_empty()
        };
        let ended = [onset.clone(), offset];
        assert!(found(&ended, Some("12:00:30"), None) && found(&ended, None, Some("12:00:01")));
        assert!(!found(&ended, Some("12:01:01"), None) && !found(&ended, None, Some("12:00:00")));
        assert!(found(&[onset], Some("13:00:00"), None), "it goes on");
    }
}

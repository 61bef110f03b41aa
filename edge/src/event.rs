//! Events as the world sees them: transitions of the decide stage enter, JSON objects leave. Runs
//! on the thread that hands events to the publisher.
//!
//! The same object is a line on standard output and an MQTT payload. An `onset` is reported as soon
//! as it is confirmed; the `offset` that follows carries the same id and everything the onset
//! carried, with the offset, the duration and the final peak filled in, so a reader that only wants
//! finished events may ignore onsets.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

pub use crate::decide::Phase;

use crate::clock::clock_is_set;
use crate::decide::Transition;

/// One reported event. The order of the fields is the order in the JSON object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Version 7: sorts by the time of reporting. Shared by an onset and its offset.
    #[serde(serialize_with = "as_string", deserialize_with = "from_string")]
    pub id: Uuid,
    /// Name of the reporting device.
    pub device: String,
    /// Name and version of the model, `home-1.0.0`.
    pub model: String,
    /// The class's label.
    pub label: String,
    /// Index of the label in the manifest.
    pub class_id: usize,
    /// Whether the sound begins or ends.
    pub phase: Phase,
    /// When the sound began, UTC.
    #[serde(serialize_with = "rfc3339_ms", deserialize_with = "from_string")]
    pub onset: Timestamp,
    /// When it ended, UTC; `None` on an onset.
    #[serde(serialize_with = "rfc3339_ms_or_null", deserialize_with = "from_string_or_null")]
    pub offset: Option<Timestamp>,
    /// Stream time of the onset in seconds, to the millisecond.
    pub t_onset_s: f64,
    /// Stream time of the offset in seconds, to the millisecond; `None` on an onset.
    pub t_offset_s: Option<f64>,
    /// Length in seconds, to the millisecond; `None` on an onset.
    pub duration_s: Option<f64>,
    /// Score in [0, 1] when the onset was confirmed, to four decimals.
    pub score: f64,
    /// Highest score in [0, 1] so far, to four decimals.
    pub peak_score: f64,
    /// Whether the machine's clock had not been set yet when the sound began: then its wall-clock
    /// times mean nothing. Part of the JSON object only if so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clock_unset: bool,
}

impl Event {
    /// The JSON object on one line, without a line end.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("an event has only string keys: {error}"))
    }

    /// The event of a JSON object.
    ///
    /// # Errors
    ///
    /// When `json` is none, or lacks a field.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The offset of this onset, at the wall-clock time `end` or, should that be before it, at the
    /// onset itself. Stream time goes by the wall clock here: for the stream in which the sound
    /// began is gone.
    #[must_use]
    pub fn ended_at(self, end: Timestamp) -> Self {
        let offset = to_ms(end.max(self.onset));
        let duration_s = round(offset.duration_since(self.onset).as_secs_f64(), 1e3);
        Event {
            phase: Phase::Offset,
            offset: Some(offset),
            t_offset_s: Some(round(self.t_onset_s + duration_s, 1e3)),
            duration_s: Some(duration_s),
            ..self
        }
    }
}

/// Gives transitions their names, ids and wall-clock times, and remembers those of open events.
#[derive(Debug)]
pub struct EventBuilder {
    device: String,
    model: String,
    labels: Vec<String>,
    open: Vec<Option<(Uuid, Timestamp)>>,
}

impl EventBuilder {
    /// `labels` in the order of the network's outputs; `model` is the name and version,
    /// `home-1.0.0`.
    pub fn new(device: impl Into<String>, model: impl Into<String>, labels: &[String]) -> Self {
        EventBuilder {
            device: device.into(),
            model: model.into(),
            labels: labels.to_vec(),
            open: vec![None; labels.len()],
        }
    }

    /// The event of `transition`; `wall_time` turns stream time in seconds into wall-clock time.
    ///
    /// The wall-clock time of an onset is fixed when it is first reported, so both phases agree on
    /// it even where the clock was corrected in between.
    pub fn build(&mut self, transition: &Transition, wall_time: impl Fn(f64) -> Timestamp) -> Event {
        let open = &mut self.open[transition.class_id];
        let (id, onset) = match (transition.phase, open.take()) {
            (Phase::Offset, Some(known)) => known,
            _ => (Uuid::now_v7(), to_ms(wall_time(transition.t_onset_s))),
        };
        if transition.phase == Phase::Onset {
            *open = Some((id, onset));
        }
        let t_onset_s = round(transition.t_onset_s, 1e3);
        let t_offset_s = transition.t_offset_s.map(|t| round(t, 1e3));
        Event {
            id,
            device: self.device.clone(),
            model: self.model.clone(),
            label: self.labels[transition.class_id].clone(),
            class_id: transition.class_id,
            phase: transition.phase,
            onset,
            // A corrected clock must not turn a duration negative.
            offset: transition.t_offset_s.map(|t| to_ms(wall_time(t)).max(onset)),
            t_onset_s,
            t_offset_s,
            duration_s: t_offset_s.map(|t| round(t - t_onset_s, 1e3)),
            score: round(transition.score.into(), 1e4),
            peak_score: round(transition.peak_score.into(), 1e4),
            clock_unset: onset < clock_is_set(),
        }
    }
}

fn round(value: f64, scale: f64) -> f64 {
    (value * scale).round() / scale
}

/// To the millisecond, as it is written. Saturates at the ends of jiff's range.
fn to_ms(time: Timestamp) -> Timestamp {
    let ms = (time.as_microsecond() + 500).div_euclid(1000);
    Timestamp::from_millisecond(ms).unwrap_or(time)
}

fn as_string<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn rfc3339_ms<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
}

fn rfc3339_ms_or_null<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339_ms(time, serializer),
        None => serializer.serialize_none(),
    }
}

fn from_string<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

fn from_string_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| text.parse()).transpose().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(t_s: f64) -> Timestamp {
        let start: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        start + jiff::SignedDuration::from_secs_f64(t_s)
    }

    fn transition(phase: Phase, t_offset_s: Option<f64>) -> Transition {
        Transition { class_id: 1, phase, t_onset_s: 12.480_000_3, t_offset_s, score: 0.93, peak_score: 0.951_26 }
    }

    fn builder() -> EventBuilder {
        EventBuilder::new("kitchen-pi", "home-1.0.0", &["background".to_string(), "water-flowing".to_string()])
    }

    #[test]
    fn json_has_the_documented_fields_in_order() {
        let mut builder = builder();
        let onset = builder.build(&transition(Phase::Onset, None), wall);
        let json = onset.to_json();
        let expected = format!(
            "{{\"id\":\"{}\",\"device\":\"kitchen-pi\",\"model\":\"home-1.0.0\",\"label\":\"water-flowing\",\"class_id\":1,\
             \"phase\":\"onset\",\"onset\":\"2026-01-31T12:00:12.480Z\",\"offset\":null,\"t_onset_s\":12.48,\"t_offset_s\":null,\
             \"duration_s\":null,\"score\":0.93,\"peak_score\":0.9513}}",
            onset.id
        );
        assert_eq!(json, expected);
        assert_eq!(onset.id.get_version_num(), 7);

        let offset = builder.build(&transition(Phase::Offset, Some(14.08)), |t| wall(t + 0.5));
        assert_eq!((offset.id, offset.onset), (onset.id, onset.onset));
        assert!(offset.to_json().contains(
            "\"offset\":\"2026-01-31T12:00:14.580Z\",\"t_onset_s\":12.48,\"t_offset_s\":14.08,\"duration_s\":1.6,"
        ));
    }

    #[test]
    fn events_are_read_as_they_are_written() {
        let mut builder = builder();
        let onset = builder.build(&transition(Phase::Onset, None), wall);
        let offset = builder.build(&transition(Phase::Offset, Some(14.08)), wall);
        for event in [&onset, &offset] {
            assert_eq!(Event::from_json(&event.to_json()).unwrap(), *event);
        }
        assert!(Event::from_json("{\"id\":\"1\"}").is_err());
    }

    #[test]
    fn what_began_before_the_clock_was_set_is_marked() {
        let mut builder = builder();
        let before = |t_s: f64| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs_f64(t_s);
        let onset = builder.build(&transition(Phase::Onset, None), before);
        // Meanwhile the clock was set; the onset was reported with the time of before.
        let offset = builder.build(&transition(Phase::Offset, Some(14.08)), wall);
        for event in [onset, offset] {
            assert!(event.to_json().ends_with("\"clock_unset\":true}"), "{}", event.to_json());
            assert_eq!(Event::from_json(&event.to_json()).unwrap(), event);
        }
        let later = builder.build(&transition(Phase::Onset, None), wall);
        assert!(!later.to_json().contains("clock_unset"));
    }

    #[test]
    fn an_onset_whose_stream_is_gone_ends_when_it_is_said_to() {
        let onset = builder().build(&transition(Phase::Onset, None), wall);
        let offset = onset.clone().ended_at(wall(15.0));
        assert_eq!((offset.id, offset.phase, offset.onset), (onset.id, Phase::Offset, onset.onset));
        assert_eq!((offset.offset, offset.t_offset_s, offset.duration_s), (Some(wall(15.0)), Some(15.0), Some(2.52)));
        let before = onset.clone().ended_at(wall(3.0));
        assert_eq!((before.offset, before.duration_s), (Some(onset.onset), Some(0.0)));
    }

    #[test]
    fn the_next_event_of_a_class_gets_a_new_id() {
        let mut builder = builder();
        let first = builder.build(&transition(Phase::Onset, None), wall).id;
        builder.build(&transition(Phase::Offset, Some(13.0)), wall);
        assert_ne!(builder.build(&transition(Phase::Onset, None), wall).id, first);
    }
}

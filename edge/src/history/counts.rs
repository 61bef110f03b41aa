//! How often what was heard: sounds enter, counts by hour leave.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
use serde::{Serialize, Serializer};

use crate::event::Event;

/// How many sounds of a label began in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HourCount {
    /// When the hour begins.
    #[serde(serialize_with = "as_string")]
    pub hour: Timestamp,
    /// The label.
    pub label: String,
    /// How many.
    pub n: u32,
}

/// How many sounds of a label began in each hour of the day, over all days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfDay {
    /// The label.
    pub label: String,
    /// By hour, from midnight.
    pub hours: [u32; 24],
}

impl OfDay {
    /// How many in all.
    pub fn n(&self) -> u32 {
        self.hours.iter().sum()
    }
}

/// The hours in which something began, in order, and by label. Hours are those of `zone`.
pub fn by_hour(events: &[Event], zone: &TimeZone) -> Vec<HourCount> {
    let mut counts = BTreeMap::new();
    for event in events {
        let local = event.onset.to_zoned(zone.clone());
        let rounding = jiff::ZonedRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Trunc);
        let hour = local.round(rounding).map_or(event.onset, |hour| hour.timestamp());
        *counts.entry((hour, event.label.as_str())).or_insert(0) += 1;
    }
    counts.into_iter().map(|((hour, label), n)| HourCount { hour, label: label.to_string(), n }).collect()
}

/// The labels, the most frequent first. Hours are those of `zone`.
pub fn of_day(events: &[Event], zone: &TimeZone) -> Vec<OfDay> {
    let mut labels: BTreeMap<&str, [u32; 24]> = BTreeMap::new();
    for event in events {
        let hour = usize::try_from(event.onset.to_zoned(zone.clone()).hour()).unwrap_or_default();
        labels.entry(&event.label).or_default()[hour % 24] += 1;
    }
    let mut rows: Vec<_> = labels.into_iter().map(|(label, hours)| OfDay { label: label.to_string(), hours }).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.n()));
    rows
}

fn as_string<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::sound;

    #[test]
    fn hours_are_local() {
        // Half an hour off, as in India.
        let zone = TimeZone::get("Asia/Kolkata").unwrap();
        let events: Vec<Event> = [("bell", "12:29"), ("bell", "12:31"), ("bell", "13:29"), ("dog", "13:20")]
            .map(|(label, time)| sound(label, &format!("2026-01-31T{time}:00Z"), 1.0)[1].clone())
            .to_vec();
        let hours: Vec<_> = by_hour(&events, &zone).into_iter().map(|c| (c.hour.to_string(), c.label, c.n)).collect();
        let count = |hour: &str, label: &str, n| (format!("2026-01-31T{hour}:30:00Z"), label.to_string(), n);
        assert_eq!(hours, [count("11", "bell", 1), count("12", "bell", 2), count("12", "dog", 1)]);
        let day = of_day(&events, &zone);
        assert_eq!(day.iter().map(|row| (row.label.as_str(), row.n())).collect::<Vec<_>>(), [("bell", 3), ("dog", 1)]);
        assert_eq!((day[0].hours[17], day[0].hours[18], day[1].hours[18]), (1, 2, 1));
    }
}

//! Events that are over, and ongoing ones: what a day holds, as JSON and as CSV.
//!
//! They come from the journal where it keeps events (`journal.keep_days`), read through a
//! connection of its own, so that the daemon's is never held up. Otherwise they are those of this
//! run, which are in memory.

use std::collections::HashMap;
use std::fmt::Write as _;

use hyper::StatusCode;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::answer::{Answer, download, error};
use super::site::MAX_EVENTS;
use super::{Shared, clips};
use crate::clips::Mark;
use crate::event::Event;
use crate::journal::{self, JournalPlace, Query};

/// An event that began this long before the time that is asked for may reach into it.
const REACH_H: i64 = 2;

/// Which events are asked for.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    label: Option<String>,
    source: Option<String>,
}

/// The events that `query` asks for, in the form that `path` asks for.
pub(super) fn answer(path: &str, query: &str, shared: &Shared) -> Answer {
    let wanted = match Wanted::parse(query) {
        Ok(wanted) => wanted,
        Err(reason) => return error(StatusCode::BAD_REQUEST, reason),
    };
    let events = wanted.find(shared);
    let name = format!("earwitness-{}", wanted.from.unwrap_or_else(Timestamp::now).strftime("%Y-%m-%d"));
    match path {
        "/api/events.csv" => download("text/csv; charset=utf-8", &format!("{name}.csv"), csv(&events)),
        "/api/events.json" => {
            let lines: Vec<String> = events.iter().map(Event::to_json).collect();
            download("application/json", &format!("{name}.json"), format!("[{}]\n", lines.join(",\n")))
        }
        _ => {
            let clips = clips::known(&shared.site, wanted.from);
            let rows: Vec<Value> = events.iter().map(|event| row(event, clips.get(&event.id))).collect();
            super::answer::json(&json!({ "events": rows }))
        }
    }
}

impl Wanted {
    /// # Errors
    ///
    /// What is wrong with the query.
    fn parse(query: &str) -> Result<Self, String> {
        let mut wanted = Wanted::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
            let time = || value.parse().map(Some).map_err(|_| format!("{key}: {value:?} is not a time (RFC 3339)"));
            match key.as_ref() {
                "from" => wanted.from = time()?,
                "to" => wanted.to = time()?,
                "label" => wanted.label = Some(value.into_owned()),
                "source" => wanted.source = Some(value.into_owned()),
                _ => return Err(format!("{key:?} is not one of from, to, label, source")),
            }
        }
        Ok(wanted)
    }

    /// What is asked for, by the time of the onset. Of each event, the newest that is known.
    fn find(&self, shared: &Shared) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        let mut places: HashMap<_, usize> = HashMap::new();
        for event in self.records(shared).into_iter().filter(|event| self.holds(event)) {
            match places.get(&event.id) {
                Some(&place) => events[place] = event,
                None => {
                    places.insert(event.id, events.len());
                    events.push(event);
                }
            }
        }
        events.retain(|event| self.from.is_none_or(|from| event.offset.is_none_or(|offset| offset >= from)));
        events.sort_by_key(|event| event.onset);
        events.split_off(events.len().saturating_sub(MAX_EVENTS))
    }

    /// Onsets and offsets of about that time, as they were written down.
    fn records(&self, shared: &Shared) -> Vec<Event> {
        let site = &shared.site;
        if !site.is_kept() {
            return shared.recent.events();
        }
        let since = self.from.map(|from| from.saturating_sub(REACH_H.hours()).unwrap_or(from));
        let (label, source) = (self.label.clone(), self.source.clone());
        let query = Query { since, label, source, limit: Some(2 * MAX_EVENTS) };
        let records = match &site.journal_settings.place {
            JournalPlace::File { file, .. } if site.journal.fault().is_none() => journal::read(file, &query).ok(),
            _ => None,
        };
        let records = records.unwrap_or_else(|| site.journal.events(&query));
        records.iter().filter_map(|record| Event::from_json(&record.payload).ok()).collect()
    }

    fn holds(&self, event: &Event) -> bool {
        self.to.is_none_or(|to| event.onset < to)
            && self.label.as_ref().is_none_or(|label| *label == event.label)
            && self.source.as_ref().is_none_or(|source| *source == event.device)
    }
}

/// An event as the page shows it, with the mark of its clip, if it has one.
fn row(event: &Event, clip: Option<&Option<Mark>>) -> Value {
    json!({
        "id": event.id.to_string(),
        "source": event.device,
        "label": event.label,
        "onset_ms": event.onset.as_millisecond(),
        "offset_ms": event.offset.map(Timestamp::as_millisecond),
        "peak": event.peak_score,
        "clip": clip.is_some(),
        "mark": clip,
    })
}

/// RFC 4180, with the fields of an event.
fn csv(events: &[Event]) -> String {
    let mut text = "id,device,model,label,onset,offset,duration_s,score,peak_score\r\n".to_string();
    for event in events {
        let offset = event.offset.map(time).unwrap_or_default();
        let duration = event.duration_s.map(|duration_s| duration_s.to_string()).unwrap_or_default();
        let (device, model, label) = (quoted(&event.device), quoted(&event.model), quoted(&event.label));
        let (id, onset) = (event.id, time(event.onset));
        let _ = write!(text, "{id},{device},{model},{label},{onset},{offset},{duration}");
        let _ = write!(text, ",{},{}\r\n", event.score, event.peak_score);
    }
    text
}

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_or_refused_with_a_word() {
        let wanted = Wanted::parse("from=2026-01-31T12%3A00%3A00Z&label=a%20b&source=").unwrap();
        let from = "2026-01-31T12:00:00Z".parse().ok();
        assert_eq!(wanted, Wanted { from, label: Some("a b".into()), ..Wanted::default() });
        assert_eq!(Wanted::parse("to=noon").unwrap_err(), "to: \"noon\" is not a time (RFC 3339)");
        assert_eq!(Wanted::parse("x=1").unwrap_err(), "\"x\" is not one of from, to, label, source");
    }

    #[test]
    fn what_has_commas_or_quotes_is_one_field_all_the_same() {
        assert_eq!(quoted("water-flowing"), "water-flowing");
        assert_eq!(quoted("Rain, \"heavy\""), "\"Rain, \"\"heavy\"\"\"");
    }
}

//! Events that are over, and ongoing ones: what a day holds, as JSON and as CSV.
//!
//! They come from the journal where it keeps events (`journal.keep_days`), read through a
//! connection of its own, so that the daemon's is never held up. Otherwise they are those of this
//! run, which are in memory.

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, download, error};
use super::site::MAX_ANSWER_EVENTS;
use super::{PageShared, clips};
use crate::clips::Mark;
use crate::event::Event;
use crate::history::{self, TimeSpan};
use crate::journal::{self, JournalPlace, Query};

/// Which events are asked for.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    span: TimeSpan,
    label: Option<String>,
    source: Option<String>,
}

/// The events that `query` asks for, in the form that `path` asks for.
pub(super) fn answer(path: &str, query: &str, shared: &PageShared) -> Answer {
    let wanted = match Wanted::parse(query) {
        Ok(wanted) => wanted,
        Err(reason) => return error(StatusCode::BAD_REQUEST, reason),
    };
    let events = wanted.find(shared);
    match path {
        "/api/events.csv" => download("text/csv; charset=utf-8", history::csv(&events)),
        "/api/events.json" => {
            let lines: Vec<String> = events.iter().map(Event::to_json).collect();
            download("application/json", format!("[{}]\n", lines.join(",\n")))
        }
        _ => {
            let clips = clips::marks(&shared.site, &events);
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
                "from" => wanted.span.since = time()?,
                "to" => wanted.span.until = time()?,
                "label" => wanted.label = Some(value.into_owned()),
                "source" => wanted.source = Some(value.into_owned()),
                _ => return Err(format!("{key:?} is not one of from, to, label, source")),
            }
        }
        Ok(wanted)
    }

    /// The newest sounds that are asked for, in the order of their onsets.
    fn find(&self, shared: &PageShared) -> Vec<Event> {
        let events = self.records(shared).into_iter().filter(|event| self.holds(event));
        let mut sounds = history::sounds(events, &self.span);
        sounds.split_off(sounds.len().saturating_sub(MAX_ANSWER_EVENTS))
    }

    /// Onsets and offsets of about that time, as they were written down.
    fn records(&self, shared: &PageShared) -> Vec<Event> {
        let site = &shared.site;
        if !site.is_kept() {
            return shared.recent.events();
        }
        let (label, source) = (self.label.clone(), self.source.clone());
        let query = Query { label, source, limit: Some(2 * MAX_ANSWER_EVENTS), ..self.span.query() };
        let records = match &site.journal_settings.place {
            JournalPlace::File { file, .. } if site.journal.fault().is_none() => journal::read(file, &query).ok(),
            _ => None,
        };
        let records = records.unwrap_or_else(|| site.journal.events(&query));
        history::events(&records).collect()
    }

    fn holds(&self, event: &Event) -> bool {
        self.label.as_ref().is_none_or(|label| *label == event.label)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_or_refused_with_a_word() {
        let wanted = Wanted::parse("from=2026-01-31T12%3A00%3A00Z&label=a%20b&source=").unwrap();
        let from = "2026-01-31T12:00:00Z".parse().ok();
        let span = TimeSpan { since: from, until: None };
        assert_eq!(wanted, Wanted { span, label: Some("a b".into()), source: None });
        assert_eq!(Wanted::parse("to=noon").unwrap_err(), "to: \"noon\" is not a time (RFC 3339)");
        assert_eq!(Wanted::parse("x=1").unwrap_err(), "\"x\" is not one of from, to, label, source");
    }
}

//! `earwitness events`: the journal enters, what was heard leaves: a table with counts by hour, a
//! JSON document, or CSV.

mod place;
mod table;

use std::io::Write as _;
use std::path::Path;

use edge::config::nearest;
use edge::event::Event;
use edge::history::{self, TimeSpan};
use edge::journal::{self, Query};
use edge::model::{self, Model};
use edge::{Error, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::args::EventsArgs;
use super::{local_zone, stdout_error};

pub(super) fn events(args: &EventsArgs) -> Result<()> {
    edge::logging::start("warn")?;
    let (now, zone) = (Timestamp::now(), local_zone());
    let span = span(args, now, &zone)?;
    let journal = place::find(args)?;
    let names = journal::names(&journal).map_err(|fault| Error::usage("--journal", fault))?;
    let known_labels = || names.labels.iter().cloned().chain(model_labels()).collect::<Vec<_>>();
    let label = choose("--label", "label", args.label.as_deref(), &names.labels, known_labels)?;
    let source = choose("--source", "source", args.source.as_deref(), &names.sources, || names.sources.clone())?;
    let query = Query { label, source, ..span.query() };
    let records = journal::read(&journal, &query).map_err(|fault| Error::usage("--journal", fault))?;
    let sounds = history::sounds(history::events(&records), &span);
    let text = if args.json {
        document(&journal, &span, &sounds, &zone)
    } else if args.csv {
        history::csv(&sounds)
    } else if sounds.is_empty() {
        nothing(&journal, &span, names.labels.is_empty(), &zone)
    } else {
        table::table(&journal, &span, &sounds, &zone)
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(stdout_error)
}

fn span(args: &EventsArgs, now: Timestamp, zone: &TimeZone) -> Result<TimeSpan> {
    let time =
        |option: &str, text: &str| history::parse_time(text, now, zone).map_err(|reason| Error::usage(option, reason));
    let since = time("--since", &args.since)?;
    let until = args.until.as_deref().map(|text| time("--until", text)).transpose()?.flatten();
    match (since, until) {
        (Some(since), Some(until)) if until <= since => {
            let (since, until) = (table::local(since, zone), table::local(until, zone));
            Err(Error::usage("--until", format!("{until} is not after --since, {since}")))
        }
        _ => Ok(TimeSpan { since, until }),
    }
}

/// What `typed` means: one of those in the journal, or one that `known` has, of which there are no
/// events.
fn choose(
    option: &str,
    what: &str,
    typed: Option<&str>,
    in_journal: &[String],
    known: impl FnOnce() -> Vec<String>,
) -> Result<Option<String>> {
    let Some(typed) = typed else { return Ok(None) };
    if in_journal.iter().any(|name| name == typed) {
        return Ok(Some(typed.to_string()));
    }
    let known = known();
    if known.iter().any(|name| name == typed) || known.is_empty() {
        return Ok(Some(typed.to_string()));
    }
    let meant = nearest(typed, known.iter()).map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
    let found = match in_journal {
        [] => String::new(),
        names => format!("; it has {}", names.join(", ")),
    };
    Err(Error::usage(option, format!("no {what} is called {typed:?} in the journal{meant}{found}")))
}

/// The labels of the model in the usual places, if there is one: of some there may be no event yet.
fn model_labels() -> Vec<String> {
    let model = model::find(None).and_then(|dir| Model::load(&dir));
    model.map(|model| model.manifest.labels).unwrap_or_default()
}

fn document(journal: &Path, span: &TimeSpan, sounds: &[Event], zone: &TimeZone) -> String {
    let document = json!({
        "journal": journal.display().to_string(),
        "since": span.since.map(|time| time.to_string()),
        "until": span.until.map(|time| time.to_string()),
        "events": sounds,
        "by_hour": history::by_hour(sounds, zone),
    });
    document.to_string() + "\n"
}

/// One sentence where there is nothing to show.
fn nothing(journal: &Path, span: &TimeSpan, is_empty: bool, zone: &TimeZone) -> String {
    let journal = journal.display();
    if is_empty {
        return format!(
            "The journal {journal} is empty: nothing has been reported yet, or the events have been delivered and are \
             not kept any longer (keep_days in [journal]).\n"
        );
    }
    format!("No such event {} in {journal}.\n", table::of_span(span, zone))
}

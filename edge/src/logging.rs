//! Logs on standard error, or, as a service of systemd, in its journal: lines for people, and there
//! with all fields for programs.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::error::{Error, Result};

/// Overrides whatever else says what to log.
const VARIABLE: &str = "EARWITNESS_LOG";

/// Set by systemd where standard error is connected to the journal (systemd.exec(5)).
const JOURNAL: &str = "JOURNAL_STREAM";

/// What a level may be, for messages.
const LEVELS: &str = "off, error, warn, info, debug or trace, or a list of directives such as \"edge=debug,warn\"";

/// The running log.
pub struct Log {
    filter: Handle<Targets, Registry>,
}

/// Starts logging by `filter`, a level or a list of directives. Only the program's own records are
/// meant by a bare level: those of its libraries begin at `warn`.
///
/// # Errors
///
/// For a filter that cannot be understood.
pub fn start(filter: &str) -> Result<Log> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let journal = std::env::var_os(JOURNAL).and_then(|_| tracing_journald::layer().ok());
    // What is to be known of a record is in its text: journalctl shows nothing else, either.
    let text = format::debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        _ => Ok(()),
    });
    // A record that cannot be written is lost; reporting that, if it cannot be written either,
    // would be a panic.
    let lines = fmt::layer()
        .log_internal_errors(false)
        .fmt_fields(text)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let output = match journal {
        Some(journal) => journal.boxed(),
        None => lines.boxed(),
    };
    tracing_subscriber::registry().with(filter).with(output).init();
    Ok(Log { filter: handle })
}

impl Log {
    /// Goes on by another filter.
    ///
    /// # Errors
    ///
    /// For a filter that cannot be understood.
    pub fn set(&self, filter: &str) -> Result<()> {
        let filter = parse(filter)?;
        self.filter.reload(filter).map_err(|error| Error::usage("log.level", error))
    }
}

/// Whether `filter` can be understood.
///
/// # Errors
///
/// The reason why it cannot.
pub fn check(filter: &str) -> std::result::Result<(), String> {
    directives(filter).map(drop)
}

fn parse(filter: &str) -> Result<Targets> {
    let (origin, filter) = match std::env::var(VARIABLE) {
        Ok(value) if !value.is_empty() => (VARIABLE, value),
        _ => ("log.level", filter.to_string()),
    };
    directives(&filter).map_err(|reason| Error::usage(origin, reason))
}

fn directives(filter: &str) -> std::result::Result<Targets, String> {
    let is_level = |text: &str| !text.is_empty() && text.parse::<LevelFilter>().is_ok();
    // The library takes any other word for the name of a part of the program, and then logs nothing
    // of that part.
    let unknown = filter.split(',').map(str::trim).find(|part| !part.contains('=') && !is_level(part));
    if let Some(part) = unknown {
        let meant = if part.eq_ignore_ascii_case("warning") { " (did you mean \"warn\"?)" } else { "" };
        return Err(format!("{part:?} is not a level{meant}: expected {LEVELS}"));
    }
    let directives =
        if is_level(filter.trim()) { format!("warn,edge={filter},earwitness={filter}") } else { filter.to_string() };
    directives.parse().map_err(|error| format!("{filter:?}: {error}: expected {LEVELS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_would_log_nothing_is_refused() {
        for filter in ["info", "WARN", "off", "edge=debug,warn", "warn,edge::capture=trace", "edge=off"] {
            assert_eq!(check(filter), Ok(()), "{filter}");
        }
        for filter in ["warning", "Warning", "verbose", "", "edge", "info,edge=verbose", "edge:debug", "info warn"] {
            let reason = check(filter).unwrap_err();
            assert!(reason.contains("error, warn, info, debug or trace"), "{filter}: {reason}");
        }
        assert!(check("warning").unwrap_err().contains("did you mean \"warn\"?"));
    }
}

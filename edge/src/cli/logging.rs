//! Logs on standard error.

use std::io::{self, IsTerminal};

use edge::{Error, Result};
use tracing_subscriber::EnvFilter;

/// Overrides whatever else says what to log.
const VARIABLE: &str = "EARWITNESS_LOG";

/// Starts logging by `filter`, a level or a list of directives. Only the program's own records are meant by a bare level: those of
/// its libraries begin at `warn`.
pub(super) fn start(filter: &str) -> Result<()> {
    let (origin, filter) = match std::env::var(VARIABLE) {
        Ok(value) if !value.is_empty() => (VARIABLE, value),
        _ => ("log.level", filter.to_string()),
    };
    let is_level = filter.parse::<tracing::Level>().is_ok() || filter == "off";
    let directives = if is_level { format!("warn,edge={filter},earwitness={filter}") } else { filter };
    let filter =
        EnvFilter::try_new(&directives).map_err(|error| Error::usage(origin, format!("{directives:?}: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}

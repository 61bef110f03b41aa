//! What to listen to: the sections `[source]` or `[[sources]]` and the command line enter, one or several sources leave.

use std::collections::HashSet;

use super::Overrides;
use crate::capture::SourceSpec;
use crate::config::{Config, Source, SourceSection};
use crate::error::{Error, Result};

/// A source to listen to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// Its name in events and topics.
    pub name: String,
    /// What it is.
    pub spec: SourceSpec,
    /// Whether a file is read as fast as the machine can.
    pub fast: bool,
}

/// All sources of the daemon `name`. One that is named on the command line is the only one.
pub(super) fn sources(
    name: &str,
    config: &Config,
    file: &Source,
    overrides: &Overrides,
) -> Result<Vec<SourceSettings>> {
    if config.sources.is_empty() {
        return Ok(vec![settings(name, &config.source, file, overrides)?]);
    }
    if config.source != SourceSection::default() {
        return Err(
            file.error("source", "[[sources]] is given, too: the one source is described here, or all of them there")
        );
    }
    if overrides.source.is_some() {
        return Ok(vec![settings(name, &SourceSection::default(), file, overrides)?]);
    }
    let of_the_source = [
        ("--device", overrides.device.is_some()),
        ("--rate", overrides.rate.is_some()),
        ("--format", overrides.format.is_some()),
        ("--channels", overrides.channels.is_some()),
    ];
    if let Some((option, _)) = of_the_source.into_iter().find(|(_, given)| *given) {
        return Err(Error::usage(option, "the configuration has several sources: name one with --source"));
    }
    let sources = config.sources.iter().map(|section| settings(name, section, file, overrides));
    let sources = sources.collect::<Result<Vec<_>>>()?;
    let mut names = HashSet::new();
    for (source, section) in sources.iter().zip(&config.sources) {
        if section.name.is_none() {
            return Err(file.error("sources", "each of several sources needs a name"));
        }
        if !names.insert(&source.name) {
            return Err(file.error("sources", format!("two sources are called {:?}", source.name)));
        }
    }
    if sources.iter().filter(|source| matches!(source.spec, SourceSpec::Stdin { .. })).count() > 1 {
        return Err(file.error("sources", "there is only one standard input"));
    }
    Ok(sources)
}

fn settings(name: &str, section: &SourceSection, file: &Source, overrides: &Overrides) -> Result<SourceSettings> {
    let spec = match (&overrides.source, &section.input) {
        (Some(source), _) => source.clone(),
        (None, Some(SourceSpec::File(path))) => SourceSpec::File(file.resolve(path)),
        (None, Some(source)) => source.clone(),
        (None, None) => SourceSpec::Mic { device: None },
    };
    let device = overrides.device.clone().or_else(|| section.device.clone());
    let spec = match spec {
        SourceSpec::Stdin { rate, format, channels } => spec.with_raw(
            overrides.rate.or(section.rate).unwrap_or(rate),
            overrides.format.or(section.format).unwrap_or(format),
            overrides.channels.or(section.channels).unwrap_or(channels),
        )?,
        spec => spec.with_device(device),
    };
    refuse_idle_options(&spec, overrides)?;
    let name = section.name.clone().unwrap_or_else(|| name.to_string());
    Ok(SourceSettings { name, spec, fast: overrides.fast || section.fast.unwrap_or(false) })
}

/// An option that the chosen source does not heed is a mistake. In a configuration file it is not: there it waits for its source.
fn refuse_idle_options(source: &SourceSpec, overrides: &Overrides) -> Result<()> {
    let raw = overrides.rate.is_some() || overrides.format.is_some() || overrides.channels.is_some();
    let misplaced = match source {
        SourceSpec::Mic { .. } if overrides.fast => {
            Some(("--fast", "a microphone cannot be read faster than real time"))
        }
        SourceSpec::Serial(_) if overrides.fast => {
            Some(("--fast", "a microcontroller cannot be read faster than real time"))
        }
        SourceSpec::File(_) | SourceSpec::Stdin { .. } | SourceSpec::Serial(_) if overrides.device.is_some() => {
            Some(("--device", "only for --source mic"))
        }
        SourceSpec::Mic { .. } | SourceSpec::File(_) | SourceSpec::Serial(_) if raw => {
            Some(("--rate, --format, --channels", "only for --source stdin"))
        }
        _ => None,
    };
    misplaced.map_or(Ok(()), |(option, reason)| Err(Error::usage(option, reason)))
}

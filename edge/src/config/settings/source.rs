//! What to listen to: the sections `[source]` or `[[sources]]` and the command line enter, one or
//! several sources leave.

use std::collections::HashSet;

use super::Overrides;
use crate::capture::{Channels, FileSpec, Layout, MicSpec, SourceOption, SourceOptions, SourceSpec};
use crate::config::values::is_gain_db;
use crate::config::{ChannelChoice, Config, ConfigFile, SourceSection, at_home};
use crate::error::{Error, Result};

/// A source to listen to.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSettings {
    /// Its name in events and topics.
    pub name: String,
    /// What it is.
    pub spec: SourceSpec,
    /// How it is heard.
    pub options: SourceOptions,
}

/// All sources of the daemon `name`. One that is named on the command line is the only one.
pub(super) fn sources(
    name: &str,
    config: &Config,
    file: &ConfigFile,
    overrides: &Overrides,
) -> Result<Vec<SourceSettings>> {
    if config.sources.is_empty() {
        return Ok(vec![settings(name, &config.source, "source", file, overrides)?]);
    }
    if config.source != SourceSection::default() {
        return Err(
            file.error("source", "[[sources]] is given as well: describe one source here, or all of them there")
        );
    }
    if overrides.source.is_some() {
        return Ok(vec![settings(name, &SourceSection::default(), "source", file, overrides)?]);
    }
    if let Some((option, _)) =
        given(overrides).into_iter().find(|(option, given)| *given && *option != SourceOption::Fast)
    {
        return Err(Error::usage(option.name(), "the configuration has several sources: name one with --source"));
    }
    let sources = config.sources.iter().enumerate();
    let sources = sources.map(|(at, section)| settings(name, section, &format!("sources.{at}"), file, overrides));
    let sources = sources.collect::<Result<Vec<_>>>()?;
    let mut names = HashSet::new();
    for (source, section) in sources.iter().zip(&config.sources) {
        if section.name.is_none() {
            return Err(file.error("sources", "each of several sources needs a name"));
        }
        if !names.insert(&source.name) {
            return Err(
                file.error("sources", format!("two sources are called {:?}: give each its own name", source.name))
            );
        }
    }
    if sources.iter().filter(|source| matches!(source.spec, SourceSpec::Stdin(_))).count() > 1 {
        return Err(file.error("sources", "there is only one standard input: one source at most can be stdin"));
    }
    Ok(sources)
}

/// One source. `table` is the dotted name of its section.
fn settings(
    name: &str,
    section: &SourceSection,
    table: &str,
    file: &ConfigFile,
    overrides: &Overrides,
) -> Result<SourceSettings> {
    let spec = match (&overrides.source, &section.input) {
        (Some(source), _) => source.clone(),
        (None, Some(SourceSpec::File(spec))) => {
            let path = at_home(&spec.path).map_err(|reason| file.error(&format!("{table}.input"), reason))?;
            SourceSpec::File(FileSpec { path: file.resolve(&path) })
        }
        (None, Some(source)) => source.clone(),
        (None, None) => SourceSpec::Mic(MicSpec { device: None }),
    };
    let spec = match spec {
        SourceSpec::Mic(_) => {
            let device = overrides.device.clone().or_else(|| section.device.clone());
            SourceSpec::Mic(MicSpec { device })
        }
        spec => spec,
    };
    refuse_idle_options(&spec, section, table, file, overrides)?;
    let options = options(&spec, section, overrides)?;
    let name = section.name.clone().unwrap_or_else(|| name.to_string());
    Ok(SourceSettings { name, spec, options })
}

fn options(spec: &SourceSpec, section: &SourceSection, overrides: &Overrides) -> Result<SourceOptions> {
    let default = Layout::default();
    let raw_channels = overrides.raw_channels.or(section.raw_channels);
    let choice = overrides.channels.as_ref().or(section.channels.as_ref());
    let (n_channels, channels) = match choice {
        // One number, for a stream that does not say how many channels it has.
        Some(&ChannelChoice::Number(number)) if raw_channels.is_none() && spec.takes(SourceOption::Layout) => {
            let first = if number == 1 { Channels::Only(vec![0]) } else { Channels::Mean };
            (Some(number), first)
        }
        Some(&ChannelChoice::Number(number)) => {
            (None, Channels::only(&[number]).map_err(|reason| Error::usage("--channels", reason))?)
        }
        Some(ChannelChoice::Channels(channels)) => (None, channels.clone()),
        None => (None, Channels::Mean),
    };
    let layout = Layout {
        rate: overrides.rate.or(section.rate).unwrap_or(default.rate),
        format: overrides.format.or(section.format).unwrap_or(default.format),
        n_channels: raw_channels.or(n_channels).unwrap_or(default.n_channels),
    };
    // The value of the file was checked when it was read.
    let layout =
        layout.check().map_err(|(key, reason)| Error::usage(format!("--{}", key.replace('_', "-")), reason))?;
    let gain_db = overrides.gain_db.or(section.gain_db).unwrap_or(0.0);
    if !is_gain_db(gain_db) {
        return Err(Error::usage("--gain-db", format!("{gain_db} is not from -60 to 60 dB")));
    }
    Ok(SourceOptions {
        fast: overrides.fast || section.fast.unwrap_or(false),
        layout,
        channels,
        gain_db,
        live: overrides.live.or(section.live),
    })
}

/// The options of the command line, and whether they are given.
fn given(overrides: &Overrides) -> [(SourceOption, bool); 6] {
    let layout = overrides.rate.is_some() || overrides.format.is_some() || overrides.raw_channels.is_some();
    [
        (SourceOption::Device, overrides.device.is_some()),
        (SourceOption::Fast, overrides.fast),
        (SourceOption::Layout, layout),
        (SourceOption::Channels, overrides.channels.is_some()),
        (SourceOption::Gain, overrides.gain_db.is_some()),
        (SourceOption::Live, overrides.live.is_some()),
    ]
}

/// The options of a section, the key of each, and whether they are given.
fn written(section: &SourceSection) -> [(SourceOption, &'static str, bool); 8] {
    [
        (SourceOption::Device, "device", section.device.is_some()),
        (SourceOption::Fast, "fast", section.fast == Some(true)),
        (SourceOption::Layout, "rate", section.rate.is_some()),
        (SourceOption::Layout, "format", section.format.is_some()),
        (SourceOption::Layout, "raw_channels", section.raw_channels.is_some()),
        (SourceOption::Channels, "channels", section.channels.is_some()),
        (SourceOption::Gain, "gain_db", section.gain_db.is_some()),
        (SourceOption::Live, "live", section.live.is_some()),
    ]
}

/// An option that its source does not heed is a mistake. Where the command line names the source,
/// the options of the file are those of another one.
fn refuse_idle_options(
    source: &SourceSpec,
    section: &SourceSection,
    table: &str,
    file: &ConfigFile,
    overrides: &Overrides,
) -> Result<()> {
    let misplaced = given(overrides).into_iter().find(|(option, given)| *given && !source.takes(*option));
    if let Some((option, _)) = misplaced {
        return Err(Error::usage(option.name(), option.purpose()));
    }
    let misplaced = written(section).into_iter().find(|(option, _, given)| *given && !source.takes(*option));
    match misplaced {
        Some((option, key, _)) if overrides.source.is_none() => {
            Err(file.error(&format!("{table}.{key}"), option.purpose()))
        }
        _ => Ok(()),
    }
}

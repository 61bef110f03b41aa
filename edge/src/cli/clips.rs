//! `earwitness clips`: lists the recorded clips of events, stores a listener's marks, and exports
//! marked clips as a folder for the trainer.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use edge::clips::{Clip, ClipError, ClipFolder, ClipQuery, Exported, Mark};
use edge::config::{Overrides, Settings};
use edge::{Error, Result, history};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{local_zone, say, stdout_error};

#[derive(Debug, Args)]
pub(super) struct ClipsArgs {
    /// Configuration file of the daemon, which names the folder of the clips
    #[arg(long, value_name = "FILE", required_unless_present = "folder", conflicts_with = "folder")]
    config: Option<PathBuf>,
    /// The folder of the clips, instead of a configuration
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// List only clips of events since this time: how long ago (24h, 7d), or when (2026-01-31,
    /// yesterday)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// List only clips of events of this label
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// List only clips of events of this source
    #[arg(long = "source", value_name = "NAME")]
    source_name: Option<String>,
    /// Mark the clip of this event; needs --right, --wrong or --unmark
    #[arg(long, value_name = "ID", group = "action", requires = "verdict", value_parser = id)]
    mark: Option<Uuid>,
    /// The clip holds the sound that the event reports
    #[arg(long, group = "verdict", requires = "mark")]
    right: bool,
    /// The clip holds the sound of this label instead; "background" if it holds no sound with a
    /// label
    #[arg(long, value_name = "LABEL", group = "verdict", requires = "mark")]
    wrong: Option<String>,
    /// Remove the mark
    #[arg(long, group = "verdict", requires = "mark")]
    unmark: bool,
    /// Delete the clip of this event
    #[arg(long, value_name = "ID", group = "action", value_parser = id)]
    delete: Option<Uuid>,
    /// Copy the marked clips into this folder, for earwitness-train fit --data
    #[arg(long, value_name = "DIR", group = "action")]
    export: Option<PathBuf>,
    /// Print one JSON document: a list of clips, the clip that was marked or deleted, or what was
    /// exported
    #[arg(long)]
    json: bool,
}

/// The id of an event.
fn id(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| "expected the id of an event, as `earwitness clips` lists it in the last column".into())
}

pub(super) fn clips(args: &ClipsArgs) -> Result<()> {
    edge::logging::start("warn")?;
    let folder = folder(args)?;
    if let Some(id) = args.mark {
        let mark = match &args.wrong {
            Some(label) => Some(Mark::Wrong(label.clone())),
            None => args.right.then_some(Mark::Right),
        };
        let clip = folder.mark(id, mark).map_err(|error| failed("--mark", error))?;
        return show(args, &clip, || lines(&[&clip], &local_zone()));
    }
    if let Some(id) = args.delete {
        let clip = folder.clip(id);
        folder.delete(id).map_err(|error| failed("--delete", error))?;
        // One that could not be read is gone, too.
        return show(args, &json!({ "deleted": id.to_string(), "clip": clip.ok() }), String::new);
    }
    if let Some(to) = &args.export {
        return export(args, &folder, to);
    }
    let zone = local_zone();
    let since = |text: &String| history::parse_time(text, Timestamp::now(), &zone);
    let since = args.since.as_ref().map(since).transpose().map_err(|reason| Error::usage("--since", reason))?;
    let query = ClipQuery {
        since: since.flatten(),
        label: args.label.clone(),
        source: args.source_name.clone(),
        ..ClipQuery::default()
    };
    let clips = folder.list(&query).map_err(|error| failed("clips", error))?;
    show(args, &clips, || lines(&clips.iter().collect::<Vec<_>>(), &zone))?;
    if !args.json {
        let n_bytes: u64 = clips.iter().map(|clip| clip.n_bytes).sum();
        let (n, mb, path) = (clips.len(), n_bytes as f64 / 1e6, folder.path().display());
        say(format_args!("earwitness: {n} clip{}, {mb:.1} MB in {path}", if n == 1 { "" } else { "s" }));
    }
    Ok(())
}

/// The folder that the command line or the configuration names.
fn folder(args: &ClipsArgs) -> Result<ClipFolder> {
    if let Some(folder) = &args.folder {
        let path = edge::config::at_home(folder).map_err(|reason| Error::usage("--folder", reason))?;
        return match path.is_dir() {
            true => Ok(ClipFolder::new(path)),
            false => Err(Error::usage("--folder", format!("there is no folder {}", path.display()))),
        };
    }
    let settings = Settings::load(args.config.as_deref(), &Overrides::default())?;
    match &settings.clips {
        Some(clips) => Ok(ClipFolder::new(&clips.folder)),
        None => Err(Error::usage("--config", "this configuration keeps no clips: name a folder with clips.folder")),
    }
}

fn export(args: &ClipsArgs, folder: &ClipFolder, to: &Path) -> Result<()> {
    let exported = folder.export(to).map_err(|error| failed("--export", error))?;
    let Exported { n_of_label } = &exported;
    let wanting = exported.wanting();
    show(args, &json!({ "folder": to, "n_of_label": n_of_label, "wanting": wanting }), || {
        let width = n_of_label.keys().map(|label| label.chars().count()).max().unwrap_or(0);
        n_of_label.iter().map(|(label, n)| format!("{label:width$}  {n}\n")).collect()
    })?;
    if !args.json {
        wanting.iter().for_each(|sentence| say(format_args!("earwitness: {sentence}")));
        if wanting.is_empty() {
            say(format_args!("earwitness: train with: earwitness-train fit --data {}", to.display()));
        }
    }
    Ok(())
}

/// Writes `document`, or `text` for people.
fn show(args: &ClipsArgs, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
    let text = match args.json {
        true => {
            let json = serde_json::to_string(document);
            json.map_err(|error| stdout_error(io::Error::other(error)))? + "\n"
        }
        false => text(),
    };
    io::stdout().write_all(text.as_bytes()).map_err(stdout_error)
}

/// A line for each clip: local time, source, label, length, its mark, and its id.
fn lines(clips: &[&Clip], zone: &TimeZone) -> String {
    let rows: Vec<[String; 6]> = clips.iter().map(|clip| row(clip, zone)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4].map(width);
    let line = |row: &[String; 6]| {
        let [time, source, label, length, said, id] = row;
        let [w_time, w_source, w_label, w_length, w_said] = widths;
        format!("{time:w_time$}  {source:w_source$}  {label:w_label$}  {length:>w_length$}  {said:w_said$}  {id}\n")
    };
    rows.iter().map(line).collect()
}

fn row(clip: &Clip, zone: &TimeZone) -> [String; 6] {
    let event = &clip.facts.event;
    let said = match &clip.facts.mark {
        None => "-".to_string(),
        Some(Mark::Right) => "right".to_string(),
        Some(Mark::Wrong(label)) => format!("wrong, it was {label}"),
    };
    [
        event.onset.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        event.device.clone(),
        event.label.clone(),
        format!("{:.1} s", clip.facts.length_s),
        said,
        event.id.to_string(),
    ]
}

/// What was asked for wrongly is bad usage; a folder that fails is not.
fn failed(option: &str, error: ClipError) -> Error {
    match error {
        ClipError::Label(reason) => Error::usage(if option == "--mark" { "--wrong" } else { option }, reason),
        ClipError::Unknown(_) => Error::usage(option, error),
        ClipError::Folder(fault) => Error::io("clips")(io::Error::other(fault.text().to_string())),
    }
}

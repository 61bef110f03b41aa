//! The command line as typed. What its values mean together is settled by [`edge::config`].

mod terminal;

#[cfg(feature = "top")]
pub(super) use terminal::TopArgs;
pub(super) use terminal::{DoctorArgs, EventsArgs, SetupArgs};

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand};
use edge::capture::{FileSpec, RawFormat, SourceSpec};
use edge::config::{ChannelChoice, Overrides, at_home};
use edge::engine::PrecisionChoice;
use edge::{Error, Result};

use super::clips::ClipsArgs;

/// Listens to a room, recognises sound events and reports them as JSON lines and over MQTT. Sound
/// is not stored, sent or served unless the configuration asks for it.
#[derive(Debug, Parser)]
#[command(name = "earwitness", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed at run time, 2 bad usage or configuration.")]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Listen and report events until interrupted or until the recording ends
    ///
    /// Events are written to standard output, one JSON object per line, and nothing else. Logs are
    /// written to standard error. The environment variable EARWITNESS_LOG overrides the log level
    /// of the configuration.
    Run(RunArgs),
    /// Print the most likely labels of whole recordings
    Classify(ClassifyArgs),
    /// Measure how well sounds are recognised in recordings whose events are known
    ///
    /// Runs the daemon's pipeline over each recording and compares its events with the truth, a CSV
    /// file with the header onset_s,offset_s,label. A file with only the header means that nothing
    /// in the recording should be reported, so every event is a false alarm. docs/evaluation.md
    /// explains the figures.
    #[cfg(feature = "evaluate")]
    Evaluate(EvaluateArgs),
    /// List the capture devices of this machine
    Devices(DevicesArgs),
    /// List the recorded clips of events, mark them as right or wrong, export them for training
    ///
    /// The daemon keeps clips if the configuration names a folder for them in [clips]
    /// (docs/clips.md). Without --mark, --delete or --export, the command lists the clips.
    Clips(ClipsArgs),
    /// Measure how fast the model runs on this machine
    Bench(BenchArgs),
    /// Validate a configuration and describe what it does
    Check(CheckArgs),
    /// Set up a device: try the microphone, the broker and a webhook, and write the configuration
    ///
    /// Asks one question after the other. Each question has an option that answers it. With --yes
    /// nothing is asked: what the options do not set stays at its default.
    Setup(SetupArgs),
    /// Report what is wrong and what to do about it
    ///
    /// Checks configuration, clock, model, sources, processor, journal, disk, certificates, broker,
    /// webhooks and service, and changes nothing. The exit code is 1 if there is a problem.
    Doctor(DoctorArgs),
    /// Show in the terminal, live, what is heard
    ///
    /// Shows the spectrogram, the level, the likely labels with their thresholds, events and
    /// health. The command listens to a source itself, without reporting or storing anything. With
    /// --attach it shows what a running daemon hears; the daemon needs a socket in [top]. At the
    /// end it prints the changed thresholds as lines for the configuration.
    #[cfg(feature = "top")]
    Top(TopArgs),
    /// Show what was heard: the events in the journal
    ///
    /// Prints one line per sound, in local time, and how many sounds began in each hour of the day.
    /// It does not matter whether the daemon is running. keep_days in [journal] decides how long
    /// the daemon keeps events.
    Events(EventsArgs),
    /// Write manual pages and shell completions, for packages
    #[command(hide = true)]
    Generate(GenerateArgs),
}

#[derive(Debug, ClapArgs)]
pub(super) struct RunArgs {
    /// Configuration file; the options below override it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// What to listen to: mic, file:PATH, stdin, rtsp://HOST/.., http(s)://HOST/.., exec:COMMAND,
    /// serial:PATH@BAUD or serial:tcp://HOST:PORT [default: mic]
    // Not parsed here: the parser's complaints quote it, and there may be a password in it.
    #[arg(long, value_name = "SOURCE")]
    source: Option<OsString>,
    /// The microphone: its id, its name or part of its name [default: the system's]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    device: Option<String>,
    /// Sample rate of raw samples from standard input, a FIFO or a command [default: 48000]
    #[arg(long, value_name = "HZ")]
    rate: Option<u32>,
    /// Sample type of raw samples: s16le, s24le, s32le, f32le, u8 and others, or arecord's spelling
    /// such as S16_LE [default: s16le]
    #[arg(long, value_name = "FORMAT")]
    format: Option<RawFormat>,
    /// Number of interleaved channels of raw samples [default: 1]
    #[arg(long, value_name = "N")]
    raw_channels: Option<u16>,
    /// The channels to use: mean, loudest, one such as 1, or several such as 1,3. For raw samples
    /// without --raw-channels, a number is the number of channels [default: mean]
    #[arg(long, value_name = "CHANNELS")]
    channels: Option<ChannelChoice>,
    /// Gain applied to the sound, dB [default: 0]
    #[arg(long, value_name = "DB", allow_negative_numbers = true)]
    gain_db: Option<f32>,
    /// Whether a pipe is live, that is, its samples arrive as they are recorded [default: decided
    /// by their pace]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    live: Option<bool>,
    /// Folder of the model [default: models/home, or share/earwitness/models/home beside the
    /// program]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Which of the model's network files to run: auto (the faster one), f32 or int8 [default:
    /// auto]
    #[arg(long, value_name = "PRECISION")]
    precision: Option<PrecisionChoice>,
    /// Milliseconds from one patch to the next, for a model that takes whole patches [default: the
    /// model's]
    #[arg(long, value_name = "MS")]
    hop_ms: Option<f64>,
    /// Broker to which events are sent as well: mqtt://HOST[:PORT] or mqtts://HOST[:PORT]
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    /// The only labels to report; replaces allow and deny of the configuration; may be repeated
    #[arg(long, value_name = "LABEL,..", conflicts_with = "deny")]
    allow: Option<Vec<String>>,
    /// Labels not to report; replaces allow and deny of the configuration; may be repeated
    #[arg(long, value_name = "LABEL,..")]
    deny: Option<Vec<String>>,
    /// Read a recording as fast as possible instead of in real time
    #[arg(long)]
    fast: bool,
    /// Serve the local page: what is heard now, events, thresholds, health [default address:
    /// 127.0.0.1:8420]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    web: Option<String>,
    /// Let the page change thresholds in the configuration file, and mark and delete clips
    #[arg(long)]
    web_write: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ClassifyArgs {
    /// Folder of the model [default: models/home, or share/earwitness/models/home beside the
    /// program]
    #[arg(long, value_name = "DIR")]
    pub(super) model: Option<PathBuf>,
    /// Which of the model's network files to run: auto (the faster one), f32 or int8
    #[arg(long, value_name = "PRECISION", default_value_t)]
    pub(super) precision: PrecisionChoice,
    /// Milliseconds from one patch to the next, for a model that takes whole patches [default: the
    /// model's]
    #[arg(long, value_name = "MS")]
    pub(super) hop_ms: Option<f64>,
    /// Number of labels to show, the most likely first
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) top: u16,
    /// Print one JSON object per recording and line: {"file": .., "top": [{"label": .., "score":
    /// ..}, ..]}
    #[arg(long)]
    pub(super) json: bool,
    /// Recordings: WAV, FLAC, Ogg Vorbis, MP3, m4a or AIFF
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
}

#[cfg(feature = "evaluate")]
#[derive(Debug, ClapArgs)]
pub(super) struct EvaluateArgs {
    /// Recordings, or folders of recordings: WAV, FLAC, Ogg Vorbis, MP3, m4a or AIFF
    #[arg(long, value_name = "FILE|DIR", required = true, num_args = 1..)]
    pub(super) audio: Vec<PathBuf>,
    /// The truth of each recording, in the same order [default: the .csv, .tsv or .txt file of the
    /// same name beside the recording]
    #[arg(long, value_name = "CSV", num_args = 1..)]
    pub(super) truth: Vec<PathBuf>,
    /// Ignore sounds whose label the model does not know, instead of failing
    #[arg(long)]
    pub(super) ignore_unknown: bool,
    /// Configuration file of the daemon, for its model and its decision values; the options below
    /// override it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Folder of the model [default: models/home, or share/earwitness/models/home beside the
    /// program]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Which of the model's network files to run: auto (the faster one), f32 or int8 [default:
    /// auto]
    #[arg(long, value_name = "PRECISION")]
    precision: Option<PrecisionChoice>,
    /// Milliseconds from one patch to the next, for a model that takes whole patches [default: the
    /// model's]
    #[arg(long, value_name = "MS")]
    hop_ms: Option<f64>,
    /// Print one JSON document instead of a table
    #[arg(long)]
    pub(super) json: bool,
    /// Draw curves, the confusion matrix and the timeline of each recording as SVG files in this
    /// folder
    #[arg(long, value_name = "DIR")]
    pub(super) plot: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct DevicesArgs {
    /// Instead listen to one device for five seconds and report how loud it is and what could be
    /// better: gain, clipping, offset, hum. NAME is as for run --device; without it, the default
    /// device is used
    #[arg(long, value_name = "NAME", num_args = 0..=1)]
    pub(super) listen: Option<Option<String>>,
    /// Print one JSON document: a list of {"id", "name", "usb", "is_default", "format", "error"};
    /// with --listen, {"device", "heard_s", "faintest_dbfs", "loudest_dbfs", "peak_dbfs",
    /// "clipped", "advised_gain_db", "hints"}
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct BenchArgs {
    /// Folder of the model [default: models/home, or share/earwitness/models/home beside the
    /// program]
    #[arg(long, value_name = "DIR")]
    pub(super) model: Option<PathBuf>,
    /// Which of the model's network files to run: auto (the faster one), f32 or int8
    #[arg(long, value_name = "PRECISION", default_value_t)]
    pub(super) precision: PrecisionChoice,
    /// Milliseconds from one patch to the next, for a model that takes whole patches [default: the
    /// model's]
    #[arg(long, value_name = "MS")]
    pub(super) hop_ms: Option<f64>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct CheckArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Print one JSON object with the same names instead of lines; "source" is a list
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct GenerateArgs {
    /// Folder to write into; it is created if it does not exist
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
}

/// A source as typed. The name of a file may be any bytes, and a leading `~/` is the home folder.
pub(super) fn source(typed: &OsStr) -> Result<SourceSpec> {
    match typed.as_bytes().strip_prefix(b"file:") {
        Some(path) if !path.is_empty() => {
            let path = at_home(Path::new(OsStr::from_bytes(path)));
            Ok(SourceSpec::File(FileSpec { path: path.map_err(|reason| Error::usage("--source", reason))? }))
        }
        _ => typed.to_string_lossy().parse(),
    }
}

#[cfg(feature = "evaluate")]
impl EvaluateArgs {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides { model: self.model.clone(), precision: self.precision, hop_ms: self.hop_ms, ..Overrides::default() }
    }
}

impl RunArgs {
    /// # Errors
    ///
    /// When there is no such source; secrets in it are not shown.
    pub(super) fn overrides(&self) -> Result<Overrides> {
        Ok(Overrides {
            source: self.source.as_deref().map(source).transpose()?,
            device: self.device.clone(),
            rate: self.rate,
            format: self.format,
            raw_channels: self.raw_channels,
            channels: self.channels.clone(),
            gain_db: self.gain_db,
            live: self.live,
            fast: self.fast,
            model: self.model.clone(),
            precision: self.precision,
            hop_ms: self.hop_ms,
            mqtt: self.mqtt.clone(),
            allow: self.allow.clone(),
            deny: self.deny.clone(),
            web: self.web.clone(),
            web_write: self.web_write,
            as_service: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_reach_the_settings() {
        let args =
            ["earwitness", "run", "--source", "file:a.wav", "--fast", "--precision", "int8", "--mqtt", "mqtt://b"];
        let Command::Run(run) = Args::try_parse_from(args).unwrap().command else { panic!("not run") };
        let overrides = run.overrides().unwrap();
        assert_eq!(overrides.source, Some("file:a.wav".parse().unwrap()));
        assert!(overrides.fast);
        assert_eq!(overrides.precision, Some(PrecisionChoice::Int8));
        assert_eq!(overrides.mqtt.as_deref(), Some("mqtt://b"));
    }

    #[test]
    fn a_file_may_have_any_name() {
        let name = OsStr::from_bytes(b"file:caf\xe9.wav");
        let args = [OsStr::new("earwitness"), OsStr::new("run"), OsStr::new("--source"), name];
        let Command::Run(run) = Args::try_parse_from(args).unwrap().command else { panic!("not run") };
        let path = OsStr::from_bytes(b"caf\xe9.wav").into();
        assert_eq!(run.overrides().unwrap().source, Some(SourceSpec::File(FileSpec { path })));
        let empty = Args::try_parse_from(["earwitness", "run", "--device", ""]).unwrap_err().to_string();
        assert!(empty.contains("--device"), "{empty}");
    }

    #[test]
    fn a_mark_needs_a_verdict_and_only_one_thing_is_done_at_a_time() {
        let id = "01a2208b-e171-73e2-a1dc-52870e4c50ce";
        let parses = |args: &[&str]| Args::try_parse_from([&["earwitness", "clips"], args].concat()).is_ok();
        let folder = ["--folder", "clips"];
        let with = |args: &[&str]| parses(&[&folder, args].concat());
        assert!(with(&[]) && with(&["--since", "24h", "--label", "dog", "--source", "ear", "--json"]));
        assert!(with(&["--mark", id, "--right"]) && with(&["--mark", id, "--wrong", "dog"]));
        assert!(with(&["--mark", id, "--unmark"]) && with(&["--delete", id]) && with(&["--export", "out"]));
        assert!(!with(&["--mark", id]) && !with(&["--right"]) && !with(&["--mark", "../etc", "--right"]));
        assert!(!with(&["--mark", id, "--right", "--wrong", "dog"]) && !with(&["--delete", id, "--export", "out"]));
        assert!(!parses(&[]) && !with(&["--config", "c.toml"]));
    }

    #[test]
    fn labels_are_given_in_lists_and_either_way() {
        let parse = |args: &[&str]| Args::try_parse_from([&["earwitness", "run"], args].concat());
        let Command::Run(run) = parse(&["--allow", "dog,crying_baby", "--allow", "kettle"]).unwrap().command else {
            panic!("not run")
        };
        let overrides = run.overrides().unwrap();
        let labels = ["dog,crying_baby", "kettle"].map(str::to_string).to_vec();
        assert_eq!((overrides.allow, overrides.deny), (Some(labels), None));
        assert!(parse(&["--allow", "dog", "--deny", "kettle"]).is_err());
    }
}

//! The command line as typed. What its values mean together is settled by [`edge::config`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, TypedValueParser as _};
use clap::{Args as ClapArgs, Parser, Subcommand};
use edge::Result;
use edge::capture::{RawFormat, SourceSpec};
use edge::config::{Overrides, at_home};
use edge::engine::PrecisionChoice;

/// Listens to a room, recognises sound events and reports them as JSON lines and over MQTT. Audio never leaves the device.
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
    /// Events are written to standard output, one JSON object a line, and nothing else; logs go to standard error. The
    /// environment variable EARWITNESS_LOG overrides the configuration's log level.
    Run(RunArgs),
    /// Say what recordings as a whole sound like
    Classify(ClassifyArgs),
    /// Measure how well recordings are recognised whose sounds are known
    ///
    /// Runs the daemon's own pipeline over each recording and compares its events with the truth, a CSV file with the header
    /// onset_s,offset_s,label. A header alone says that nothing in the recording is to be reported: then only false alarms
    /// count. See the README for what is measured.
    #[cfg(feature = "evaluate")]
    Evaluate(EvaluateArgs),
    /// List the capture devices of this machine
    Devices(DevicesArgs),
    /// Measure how fast this machine recognises
    Bench(BenchArgs),
    /// Validate a configuration and say what it means
    Check(CheckArgs),
    /// Write the manual and the shells' completions, for packages
    #[command(hide = true)]
    Generate(GenerateArgs),
}

#[derive(Debug, ClapArgs)]
pub(super) struct RunArgs {
    /// Configuration file; the options below override it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// What to listen to: mic, file:PATH, stdin, serial:PATH@BAUD or serial:tcp://HOST:PORT [default: mic]
    #[arg(long, value_name = "SOURCE", value_parser = OsStringValueParser::new().try_map(source))]
    source: Option<SourceSpec>,
    /// Which microphone: its id, its name or a part of its name [default: the system's]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    device: Option<String>,
    /// Samples a second on standard input [default: 48000]
    #[arg(long, value_name = "HZ")]
    rate: Option<u32>,
    /// Sample type on standard input: s16le or f32le [default: s16le]
    #[arg(long, value_name = "FORMAT")]
    format: Option<RawFormat>,
    /// Interleaved channels on standard input [default: 1]
    #[arg(long, value_name = "N")]
    channels: Option<u16>,
    /// Folder of the model [default: models/home, or share/earwitness/models/home beside the program]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Which of the model's files to run: auto (the faster one), f32 or int8 [default: auto]
    #[arg(long, value_name = "PRECISION")]
    precision: Option<PrecisionChoice>,
    /// Milliseconds from one patch to the next, for a model that takes whole patches [default: the model's own]
    #[arg(long, value_name = "MS")]
    hop_ms: Option<f64>,
    /// Broker to report to as well: mqtt://HOST[:PORT] or mqtts://HOST[:PORT]
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    /// The only labels to report, instead of the configuration's allow and deny; may be repeated
    #[arg(long, value_name = "LABEL,..", conflicts_with = "deny")]
    allow: Option<Vec<String>>,
    /// Labels not to report, instead of the configuration's allow and deny; may be repeated
    #[arg(long, value_name = "LABEL,..")]
    deny: Option<Vec<String>>,
    /// Read a file as fast as possible instead of in real time
    #[arg(long)]
    fast: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ClassifyArgs {
    /// Folder of the model [default: models/home, or share/earwitness/models/home beside the program]
    #[arg(long, value_name = "DIR")]
    pub(super) model: Option<PathBuf>,
    /// Which of the model's files to run: auto (the faster one), f32 or int8
    #[arg(long, value_name = "PRECISION", default_value_t)]
    pub(super) precision: PrecisionChoice,
    /// Milliseconds from one patch to the next, for a model that takes whole patches [default: the model's own]
    #[arg(long, value_name = "MS")]
    pub(super) hop_ms: Option<f64>,
    /// How many labels to show, the likeliest first
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) top: u16,
    /// One JSON object a line: {"file": .., "top": [{"label": .., "score": ..}, ..]}
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
    /// What is in each of them, in the same order [default: the .csv, .tsv or .txt of the same name beside the recording]
    #[arg(long, value_name = "CSV", num_args = 1..)]
    pub(super) truth: Vec<PathBuf>,
    /// Leave sounds out whose label the model does not know, instead of refusing them
    #[arg(long)]
    pub(super) ignore_unknown: bool,
    /// Configuration file of the daemon, whose model and decision values hold; the options below override it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Folder of the model [default: models/home, or share/earwitness/models/home beside the program]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Which of the model's files to run: auto (the faster one), f32 or int8 [default: auto]
    #[arg(long, value_name = "PRECISION")]
    precision: Option<PrecisionChoice>,
    /// Milliseconds from one patch to the next, for a model that takes whole patches [default: the model's own]
    #[arg(long, value_name = "MS")]
    hop_ms: Option<f64>,
    /// One JSON document instead of a table
    #[arg(long)]
    pub(super) json: bool,
    /// Draw into this folder: curves, the confusion matrix, and each recording's timeline; SVG
    #[arg(long, value_name = "DIR")]
    pub(super) plot: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct DevicesArgs {
    /// One JSON document: a list of {"id", "name", "usb", "is_default", "format", "error"}
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct BenchArgs {
    /// Folder of the model [default: models/home, or share/earwitness/models/home beside the program]
    #[arg(long, value_name = "DIR")]
    pub(super) model: Option<PathBuf>,
    /// Which of the model's files to run: auto (the faster one), f32 or int8
    #[arg(long, value_name = "PRECISION", default_value_t)]
    pub(super) precision: PrecisionChoice,
    /// Milliseconds from one patch to the next, for a model that takes whole patches [default: the model's own]
    #[arg(long, value_name = "MS")]
    pub(super) hop_ms: Option<f64>,
    /// One JSON object instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct CheckArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct GenerateArgs {
    /// Folder to write into; made if need be
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
}

/// A source as typed. The name of a file may be any bytes, and `~/` in front of it is the home folder.
fn source(typed: OsString) -> Result<SourceSpec> {
    match typed.as_bytes().strip_prefix(b"file:") {
        Some(path) if !path.is_empty() => Ok(SourceSpec::File(at_home(Path::new(OsStr::from_bytes(path))))),
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
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            source: self.source.clone(),
            device: self.device.clone(),
            rate: self.rate,
            format: self.format,
            channels: self.channels,
            fast: self.fast,
            model: self.model.clone(),
            precision: self.precision,
            hop_ms: self.hop_ms,
            mqtt: self.mqtt.clone(),
            allow: self.allow.clone(),
            deny: self.deny.clone(),
        }
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
        let overrides = run.overrides();
        assert_eq!(overrides.source, Some(SourceSpec::File("a.wav".into())));
        assert!(overrides.fast);
        assert_eq!(overrides.precision, Some(PrecisionChoice::Int8));
        assert_eq!(overrides.mqtt.as_deref(), Some("mqtt://b"));
    }

    #[test]
    fn a_file_may_have_any_name() {
        let name = OsStr::from_bytes(b"file:caf\xe9.wav");
        let args = [OsStr::new("earwitness"), OsStr::new("run"), OsStr::new("--source"), name];
        let Command::Run(run) = Args::try_parse_from(args).unwrap().command else { panic!("not run") };
        assert_eq!(run.source, Some(SourceSpec::File(OsStr::from_bytes(b"caf\xe9.wav").into())));
        let empty = Args::try_parse_from(["earwitness", "run", "--device", ""]).unwrap_err().to_string();
        assert!(empty.contains("--device"), "{empty}");
    }

    #[test]
    fn labels_are_given_in_lists_and_either_way() {
        let parse = |args: &[&str]| Args::try_parse_from([&["earwitness", "run"], args].concat());
        let Command::Run(run) = parse(&["--allow", "dog,crying_baby", "--allow", "kettle"]).unwrap().command else {
            panic!("not run")
        };
        let overrides = run.overrides();
        let labels = ["dog,crying_baby", "kettle"].map(str::to_string).to_vec();
        assert_eq!((overrides.allow, overrides.deny), (Some(labels), None));
        assert!(parse(&["--allow", "dog", "--deny", "kettle"]).is_err());
    }
}

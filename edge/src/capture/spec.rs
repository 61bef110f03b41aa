//! What to listen to, as written on the command line or in the configuration.
//!
//! Every kind of source describes itself ([`SourceKind`]), in the file that opens it or beside the
//! text that names it. A new one is a file, a variant of [`SourceSpec`] and a line in each of its
//! two functions.

use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::str::FromStr;

use edge_frontend::FrontendConfig;

use super::command::CommandSpec;
use super::file::FileSpec;
use super::kind::{Setup, SourceKind};
use super::microphone::MicSpec;
use super::network::StreamSpec;
use super::options::{SourceOption, SourceOptions};
use super::pipe::StdinSpec;
use super::secret::redact_address;
use super::{NodeSpec, Source};
use crate::error::{Error, Result};

/// A source of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// A capture device of this machine.
    Mic(MicSpec),
    /// A microcontroller on a serial port.
    Serial(NodeSpec),
    /// A recording, or a FIFO.
    File(FileSpec),
    /// Samples on standard input.
    Stdin(StdinSpec),
    /// What a server on the network sends.
    Stream(StreamSpec),
    /// What a program writes to its standard output.
    Command(CommandSpec),
}

/// What can be written.
const FORMS: &str = "mic, file:PATH, stdin, rtsp://HOST/.., http(s)://HOST/.., exec:COMMAND, serial:PATH@BAUD, \
                     serial:tcp://HOST:PORT";

/// Other streams that ffmpeg reads.
const OF_FFMPEG: [&str; 7] = ["srt", "rtmp", "rtmps", "rtp", "udp", "tcp", "mms"];

impl SourceSpec {
    fn kind(&self) -> &dyn SourceKind {
        match self {
            SourceSpec::Mic(spec) => spec,
            SourceSpec::Serial(spec) => spec,
            SourceSpec::File(spec) => spec,
            SourceSpec::Stdin(spec) => spec,
            SourceSpec::Stream(spec) => spec,
            SourceSpec::Command(spec) => spec,
        }
    }

    /// Whether its sound comes as it happens, so that its time is the world's; `None` for a pipe,
    /// where only its pace can show it.
    pub fn is_live(&self, options: &SourceOptions) -> Option<bool> {
        self.kind().is_live(options)
    }

    /// Whether it heeds an option.
    pub fn takes(&self, option: SourceOption) -> bool {
        self.kind().takes(option)
    }

    /// What it is, for a person, without secrets.
    pub fn describe(&self, options: &SourceOptions) -> String {
        let mut text = self.kind().describe(options);
        if options.channels != Default::default() {
            text.push_str(&format!(", channels: {}", options.channels));
        }
        if options.gain_db != 0.0 {
            text.push_str(&format!(", {:+} dB", options.gain_db));
        }
        text
    }

    /// Whether this machine and this program have what the source needs, and whether it can be
    /// heard as the options say, as far as that can be told without opening it. `frontend` is the
    /// model's.
    ///
    /// # Errors
    ///
    /// What is missing or wrong, and what to do about it.
    pub fn check(&self, options: &SourceOptions, frontend: &FrontendConfig) -> Result<()> {
        self.kind().check(options, frontend)
    }

    pub(super) fn start(&self, setup: &Setup<'_>) -> Result<Source> {
        self.kind().start(setup)
    }
}

impl FromStr for SourceSpec {
    type Err = Error;

    /// `mic`, `file:PATH`, `stdin`, `rtsp://..`, `http://..`, `exec:COMMAND`, `serial:PATH`,
    /// `serial:PATH@BAUD` or `serial:tcp://HOST:PORT`, the last three with a [`NodeSpec`]'s
    /// options.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason: String| Err(Error::usage("source", reason));
        match text.split_once(':') {
            None if text == "mic" => Ok(SourceSpec::Mic(MicSpec { device: None })),
            None if matches!(text, "stdin" | "-") => Ok(SourceSpec::Stdin(StdinSpec)),
            Some(("file", "")) => wrong("file: needs a path after the colon".to_string()),
            Some(("file", path)) => Ok(SourceSpec::File(FileSpec { path: path.into() })),
            Some(("serial", node)) => match node.parse() {
                Ok(node) => Ok(SourceSpec::Serial(node)),
                Err(reason) => wrong(format!("serial: {reason}")),
            },
            Some(("exec", command)) => match CommandSpec::new(command) {
                Ok(command) => Ok(SourceSpec::Command(command)),
                Err(reason) => wrong(format!("exec: {reason}")),
            },
            Some((scheme, _)) if StreamSpec::is_scheme(scheme) => match StreamSpec::new(text) {
                Ok(stream) => Ok(SourceSpec::Stream(stream)),
                Err(reason) => wrong(reason),
            },
            _ => {
                let mut reason = format!("{:?} is not one of {FORMS}", redact_address(text));
                if let Some(hint) = meant(text) {
                    reason.push_str(&format!("; {hint}"));
                }
                wrong(reason)
            }
        }
    }
}

/// What was probably meant by `text`.
fn meant(text: &str) -> Option<String> {
    if let Some((scheme, _)) = text.split_once("://").filter(|(scheme, _)| OF_FFMPEG.contains(scheme)) {
        return Some(format!("for {scheme} write exec:ffmpeg -loglevel error -i ADDRESS -map 0:a:0 -f wav -"));
    }
    let kind = std::fs::metadata(text).ok()?.file_type();
    match () {
        () if kind.is_file() => Some(format!("for the recording write file:{text}")),
        () if kind.is_fifo() => Some(format!("for the FIFO write file:{text}")),
        () if kind.is_char_device() => Some(format!("for the microcontroller write serial:{text}")),
        () => None,
    }
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceSpec::Serial(node) => write!(f, "serial:{node}"),
            other => other.kind().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written_alike() {
        for text in [
            "mic",
            "file:/a b/c:d.wav",
            "stdin",
            "serial:/dev/ttyACM0@115200",
            "serial:tcp://nook:4000?gate=40",
            "rtsp://cam:554/",
            "exec:arecord -D hw:1 -t raw",
        ] {
            let spec: SourceSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!("-".parse::<SourceSpec>().unwrap().to_string(), "stdin");
        assert_eq!(
            "file:a:b.wav".parse::<SourceSpec>().unwrap(),
            SourceSpec::File(FileSpec { path: "a:b.wav".into() })
        );
    }

    #[test]
    fn every_source_says_whether_it_is_live_and_what_it_heeds() {
        use SourceOption::{Channels, Device, Fast, Gain, Layout, Live};
        let cases: [(&str, Option<bool>, &[SourceOption]); 7] = [
            ("mic", Some(true), &[Device, Channels, Gain]),
            ("serial:/dev/x", Some(true), &[Gain]),
            (concat!("file:", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), Some(false), &[Fast, Channels, Gain]),
            ("stdin", None, &[Fast, Layout, Channels, Gain, Live]),
            ("rtsp://cam/", Some(true), &[Channels, Gain]),
            ("http://cam/", Some(true), &[Channels, Gain]),
            ("exec:true", Some(true), &[Layout, Channels, Gain]),
        ];
        for (text, is_live, heeded) in cases {
            let spec: SourceSpec = text.parse().unwrap();
            assert_eq!(spec.is_live(&SourceOptions::default()), is_live, "{text}");
            for option in [Device, Fast, Layout, Channels, Gain, Live] {
                assert_eq!(spec.takes(option), heeded.contains(&option), "{text}, {option:?}");
            }
        }
        let stdin: SourceSpec = "stdin".parse().unwrap();
        let live = SourceOptions { live: Some(true), ..SourceOptions::default() };
        assert_eq!(stdin.is_live(&live), Some(true));
        // It may be a FIFO that another service makes later.
        let missing: SourceSpec = "file:/nowhere/fifo".parse().unwrap();
        assert_eq!((missing.is_live(&live), missing.is_live(&SourceOptions::default())), (Some(true), Some(false)));
        assert!(missing.takes(Live) && missing.takes(Layout));
        assert!(missing.describe(&live).contains("the FIFO /nowhere/fifo, which does not exist yet"));
    }

    #[test]
    fn no_secret_is_shown_in_any_form() {
        for (text, host) in [
            ("rtsp://admin:secret@cam/live", "rtsp://***@cam/.."),
            ("https://cam/a?password=secret", "https://cam/.."),
            ("rtsps://cam:7441/secret", "rtsps://cam:7441/.."),
            ("rtsp://viewer:it's-secret@cam/live", "rtsp://***@cam/.."),
            ("exec:ffmpeg -i rtsp://a:secret@cam/ -", "rtsp://***@cam/"),
            ("exec:ffmpeg -i \"rtsp://a:it's-secret@cam/\" -", "rtsp://***@cam/"),
        ] {
            let spec: SourceSpec = text.parse().unwrap();
            let options = SourceOptions { gain_db: 6.0, ..SourceOptions::default() };
            let shown = format!("{spec} {spec:?} {}", spec.describe(&options));
            assert!(!shown.contains("secret") && shown.contains(host) && shown.contains("+6 dB"), "{shown}");
        }
        for (text, shown) in [
            ("rstp://admin:secret@cam/", "rstp://***@cam/"),
            ("rtsp//admin:secret@cam/", "\"***\" is not one of mic"),
            ("admin:secret@cam", "\"***@cam\" is not one of mic"),
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err().to_string();
            assert!(!error.contains("secret") && error.contains(shown), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_heard_is_refused_with_a_reason() {
        let error = |text: &str| text.parse::<SourceSpec>().unwrap_err().to_string();
        assert!(error("serial:/dev/ttyUSB0@fast").contains("\"fast\" is not a baud rate"));
        assert!(error("file:").contains("path"));
        assert!(error("exec: ").contains("needs a command"));
        assert!(error("rtsp://").contains("needs a host"));
        assert!(error("mick").contains("\"mick\" is not one of mic, file:PATH, stdin, rtsp://"));
        let here = file!().rsplit('/').next().unwrap();
        let path = format!("{}/src/capture/{here}", env!("CARGO_MANIFEST_DIR"));
        assert!(error(&path).contains("for the recording write file:/"));
        assert!(error("/dev/null").contains("write serial:/dev/null"));
        assert!(error("srt://cam:9000").contains("write exec:ffmpeg -loglevel error -i ADDRESS -map 0:a:0 -f wav -"));
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(error(fifo.to_str().unwrap()).contains("for the FIFO write file:/"));
    }
}

//! `rtsp://..`, `http://..` and so on: what a camera or another server on the network sends,
//! through ffmpeg.
//!
//! ffmpeg knows the protocols and codecs that cameras speak, which no library of ours would keep up
//! with; it is started for each connection and watched like any other program.

use std::fmt;
use std::time::Duration;

use edge_frontend::FrontendConfig;

use super::child::{self, Program, is_installed};
use super::delivery;
use super::kind::{Setup, SourceKind};
use super::secret::redact_address;
use super::{Source, SourceOption, SourceOptions};
use crate::error::{Error, Result};
use crate::port::has_valid_port;

const FFMPEG: &str = "ffmpeg";

/// How long nothing may come from a server.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same for a playlist (HLS): it brings some seconds at once, and then nothing for as long.
const PATIENCE_BETWEEN_PIECES: Duration = Duration::from_secs(20);

const SCHEMES: [&str; 4] = ["rtsp", "rtsps", "http", "https"];

/// An address on the network. It may hold a password, or be one: scheme and host are shown.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamSpec(String);

impl StreamSpec {
    /// Whether an address that begins so is one of a stream.
    pub(super) fn is_scheme(scheme: &str) -> bool {
        SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme))
    }

    /// # Errors
    ///
    /// What is missing in the address, without its secrets.
    pub fn new(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
        let rest = rest.strip_prefix("//").ok_or_else(|| format!("{scheme}: write it as {scheme}://HOST/.."))?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        if host.is_empty() {
            return Err(format!("{scheme}:// needs a host"));
        }
        // Where a password has a slash, its beginning is where the port should be: it is not shown.
        if !has_valid_port(host) {
            let remedy = "in a password, write / as %2F, ? as %3F and # as %23";
            return Err(format!("{scheme}://: the port after the host must be a number from 1 to 65535; {remedy}"));
        }
        if url.contains(char::is_whitespace) || url.contains(char::is_control) {
            return Err(format!("{scheme}://: an address must not contain spaces; in a password, write %20 for each"));
        }
        Ok(StreamSpec(format!("{}://{rest}", scheme.to_lowercase())))
    }

    fn args(&self) -> Vec<String> {
        let mut args: Vec<&str> = vec!["-nostdin", "-hide_banner", "-loglevel", "error"];
        if self.0.starts_with("rtsp") {
            // Datagrams get lost, and with some cameras on their way through a router all of them.
            args.extend(["-rtsp_transport", "tcp"]);
        }
        args.extend(["-i", &self.0, "-map", "0:a:0", "-c:a", "pcm_s16le"]);
        // A header, so that rate and channels are the camera's, and every packet at once.
        args.extend(["-f", "wav", "-flush_packets", "1", "-"]);
        args.into_iter().map(str::to_string).collect()
    }
}

impl SourceKind for StreamSpec {
    fn is_live(&self, _: &SourceOptions) -> Option<bool> {
        Some(true)
    }

    fn takes(&self, option: SourceOption) -> bool {
        matches!(option, SourceOption::Channels | SourceOption::Gain)
    }

    fn describe(&self, _: &SourceOptions) -> String {
        format!("the stream {self}, through ffmpeg")
    }

    fn check(&self, _: &SourceOptions, _: &FrontendConfig) -> Result<()> {
        if is_installed(FFMPEG) {
            return Ok(());
        }
        let reason = format!("{self}: the program ffmpeg, which reads streams, is not installed: apt install ffmpeg");
        Err(Error::usage("source", reason))
    }

    fn start(&self, setup: &Setup<'_>) -> Result<Source> {
        let path = self.0.split('?').next().unwrap_or_default();
        let is_playlist = path.ends_with(".m3u8");
        let program = Program {
            name: self.to_string(),
            program: FFMPEG.into(),
            args: self.args(),
            patience: if is_playlist { PATIENCE_BETWEEN_PIECES } else { PATIENCE },
            // Between two pieces nothing is missing.
            pause: if is_playlist { PATIENCE_BETWEEN_PIECES } else { delivery::PAUSE },
        };
        child::start(program, setup)
    }
}

impl fmt::Display for StreamSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact_address(&self.0))
    }
}

impl fmt::Debug for StreamSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamSpec({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_without_showing_its_secrets() {
        assert_eq!(StreamSpec::new("RTSP://cam/secret").unwrap().to_string(), "rtsp://cam/..");
        for text in ["http://u:secret@[fe80::1]:8080/a:b", "rtsp://[::1]/", "rtsp://cam:65535"] {
            assert!(!StreamSpec::new(text).unwrap().to_string().contains("secret"), "{text}");
        }
        for (text, reason) in [
            ("http:cam", "http: write it as http://HOST/.."),
            ("rtsp://", "needs a host"),
            ("rtsp://u:secret@/live", "needs a host"),
            ("rtsp://u:secret@cam/a b", "an address must not contain spaces"),
            ("rtsp://u:my secret@cam/a", "an address must not contain spaces"),
            ("http://cam:99999/secret", "http://: the port after the host must be a number from 1 to 65535"),
            ("http://u:secret@cam:0", "must be a number from 1 to 65535"),
            ("rtsp://[::1]:x/secret", "must be a number from 1 to 65535"),
            ("rtsp://admin:secret/more@cam/", "in a password, write / as %2F"),
            ("rtsp:secret://cam", "rtsp: write it as rtsp://HOST/.."),
        ] {
            let error = StreamSpec::new(text).unwrap_err();
            assert!(error.contains(reason) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn ffmpeg_is_asked_for_the_sound_alone() {
        let args = StreamSpec::new("rtsp://u:p@cam/a").unwrap().args().join(" ");
        assert!(args.contains("-rtsp_transport tcp -i rtsp://u:p@cam/a -map 0:a:0"), "{args}");
        assert!(!StreamSpec::new("http://radio/").unwrap().args().join(" ").contains("rtsp"));
    }
}

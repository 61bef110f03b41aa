//! A microphone of this machine, as it is written. How it is opened is in `mic`, where this build
//! has microphones.

use std::fmt;

use super::kind::{Setup, SourceKind};
use super::{Source, SourceOption, SourceOptions};
use crate::error::Result;

/// A capture device of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicSpec {
    /// Its id, its name, or a part of its name; `None` for the default device.
    pub device: Option<String>,
}

impl SourceKind for MicSpec {
    fn is_live(&self, _: &SourceOptions) -> Option<bool> {
        Some(true)
    }

    fn takes(&self, option: SourceOption) -> bool {
        matches!(option, SourceOption::Device | SourceOption::Channels | SourceOption::Gain)
    }

    fn describe(&self, _: &SourceOptions) -> String {
        match &self.device {
            None => "the default microphone".into(),
            Some(device) => format!("the microphone {device:?}"),
        }
    }

    #[cfg(not(feature = "mic"))]
    fn check(&self, _: &SourceOptions, _: &edge_frontend::FrontendConfig) -> Result<()> {
        Err(unsupported())
    }

    #[cfg(feature = "mic")]
    fn start(&self, setup: &Setup<'_>) -> Result<Source> {
        super::mic::start(self.device.as_deref(), setup)
    }

    #[cfg(not(feature = "mic"))]
    fn start(&self, _: &Setup<'_>) -> Result<Source> {
        Err(unsupported())
    }
}

#[cfg(not(feature = "mic"))]
fn unsupported() -> crate::Error {
    crate::Error::usage("source", "mic: this build has no microphone support (cargo feature `mic`)")
}

impl fmt::Display for MicSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mic")
    }
}

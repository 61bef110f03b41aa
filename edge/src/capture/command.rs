//! `exec:COMMAND`: what a command of the shell writes to its standard output.

use std::fmt;
use std::time::Duration;

use super::child::{self, Program};
use super::delivery;
use super::kind::{Setup, SourceKind};
use super::secret::redact;
use super::{Source, SourceOption, SourceOptions};
use crate::error::Result;

/// How long nothing may come from a command.
const PATIENCE: Duration = Duration::from_secs(5);

/// A command of the shell.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec(String);

impl CommandSpec {
    /// # Errors
    ///
    /// When there is none.
    pub fn new(command: &str) -> Result<Self, String> {
        match command.trim() {
            "" => Err("needs a command after the colon, as in exec:arecord -t raw -f S16_LE -r 48000".into()),
            command => Ok(CommandSpec(command.to_string())),
        }
    }
}

impl SourceKind for CommandSpec {
    fn is_live(&self, _: &SourceOptions) -> Option<bool> {
        Some(true)
    }

    fn takes(&self, option: SourceOption) -> bool {
        matches!(option, SourceOption::Layout | SourceOption::Channels | SourceOption::Gain)
    }

    fn describe(&self, options: &SourceOptions) -> String {
        let command = redact(&self.0);
        format!("the output of the command {command:?}: {}, unless its header says otherwise", options.layout)
    }

    fn start(&self, setup: &Setup<'_>) -> Result<Source> {
        let program = Program {
            name: self.to_string(),
            program: "sh".into(),
            args: vec!["-c".into(), self.0.clone()],
            patience: PATIENCE,
            pause: delivery::PAUSE,
        };
        child::start(program, setup)
    }
}

impl fmt::Display for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exec:{}", redact(&self.0))
    }
}

impl fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandSpec({:?})", redact(&self.0))
    }
}

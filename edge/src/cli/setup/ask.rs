//! Questions at a terminal: a prompt and a default enter, an answer leaves. Without a terminal, or
//! with `--yes`, the answer is the default.

use std::fmt::Arguments;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use edge::{Error, Result};

#[cfg(feature = "mqtt")]
use super::hidden::Hidden;
use crate::cli::stdout_error;

/// Asks questions, if a person can answer them.
pub(super) struct Asker {
    asks: bool,
}

impl Asker {
    /// With `yes` nothing is asked.
    ///
    /// # Errors
    ///
    /// When questions could not be answered.
    pub(super) fn new(yes: bool) -> Result<Self> {
        if !yes && !io::stdin().is_terminal() {
            let reason = "standard input is not a terminal, so no question can be asked: add --yes, and give as \
                          options what differs from the defaults";
            return Err(Error::usage("setup", reason));
        }
        Ok(Asker { asks: !yes })
    }

    /// Whether anything is asked.
    pub(super) fn asks(&self) -> bool {
        self.asks
    }

    /// A line for the person.
    pub(super) fn say(&mut self, line: Arguments<'_>) -> Result<()> {
        writeln!(io::stdout(), "{line}").map_err(stdout_error)
    }

    /// Whatever is typed; the default if nothing is.
    pub(super) fn text(&mut self, question: &str, default: &str) -> Result<String> {
        if !self.asks {
            return Ok(default.to_string());
        }
        let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        self.prompt(&format!("{question}{shown}: "))?;
        let answer = self.line()?;
        Ok(if answer.is_empty() { default.to_string() } else { answer })
    }

    /// A whole number, at most `most`.
    pub(super) fn number(&mut self, question: &str, default: u32, most: u32) -> Result<u32> {
        loop {
            match self.text(question, &default.to_string())?.parse() {
                Ok(number) if number <= most => return Ok(number),
                _ => self.say(format_args!("A whole number from 0 to {most}, please."))?,
            }
        }
    }

    /// Yes or no.
    pub(super) fn confirm(&mut self, question: &str, default: bool) -> Result<bool> {
        if !self.asks {
            return Ok(default);
        }
        loop {
            self.prompt(&format!("{question} [{}]: ", if default { "Y/n" } else { "y/N" }))?;
            match self.line()?.to_lowercase().as_str() {
                "" => return Ok(default),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.say(format_args!("y or n, please."))?,
            }
        }
    }

    /// What is typed, without showing it.
    #[cfg(feature = "mqtt")]
    pub(super) fn secret(&mut self, question: &str) -> Result<String> {
        if !self.asks {
            return Ok(String::new());
        }
        self.prompt(&format!("{question}: "))?;
        let answer = {
            let _hidden = Hidden::new();
            self.line()
        };
        self.say(format_args!(""))?;
        answer
    }

    fn prompt(&mut self, text: &str) -> Result<()> {
        let mut out = io::stdout();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(stdout_error)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line).map_err(Error::io("standard input"))? {
            0 => Err(Error::usage("setup", "the questions were not answered to the end; nothing was written")),
            _ => Ok(line.trim().to_string()),
        }
    }
}

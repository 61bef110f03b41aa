//! `earwitness generate`: the command line's definition enters, one manual page per command and one
//! completion script per shell leave, as files.
//!
//! For packages. The files are the same on every machine.

use std::fs;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use edge::{Error, Result};

use super::args::{Args, GenerateArgs};

/// The shells that Debian's packages bring completions for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes the files into the folder.
pub(super) fn generate(args: &GenerateArgs) -> Result<()> {
    let dir = &args.dir;
    let failed = || Error::io(dir.display().to_string());
    fs::create_dir_all(dir).map_err(failed())?;
    clap_mangen::generate_to(Args::command(), dir).map_err(failed())?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut shown(), env!("CARGO_BIN_NAME"), dir).map_err(failed())?;
    }
    Ok(())
}

/// The command line without what is hidden, which completions would offer all the same.
fn shown() -> Command {
    let all = Args::command();
    let shown: Vec<_> = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    Command::new(env!("CARGO_BIN_NAME")).version(env!("CARGO_PKG_VERSION")).subcommands(shown)
}

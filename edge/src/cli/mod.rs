//! The commands: a command line enters, an exit code leaves. 0: done; 1: failed at run time; 2: bad
//! usage or configuration.
//!
//! Standard output carries what a command is asked for and nothing else; errors and logs go to
//! standard error.

mod args;
mod bench;
mod check;
mod classify;
mod clips;
mod devices;
mod doctor;
#[cfg(feature = "evaluate")]
mod evaluate;
mod events;
mod generate;
mod run;
mod screen;
mod setup;
#[cfg(feature = "top")]
mod top;

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use edge::config::{SERVICE_FOLDER, TopSettings, at_home};
use edge::engine::{Engine, PrecisionChoice, load_engine};
use edge::model::{self, Model};
use edge::{Error, Result, folder, journal, quiet};
use jiff::tz::TimeZone;
use nix::unistd::{AccessFlags, access};

use args::{Args, Command};

/// The configuration of the packages' service.
const SERVICE_CONFIG: &str = "/etc/earwitness/earwitness.toml";

/// What to do about the hum of the mains.
const HUM_ADVICE: &str = "try another power supply or USB socket, a shielded cable, or more distance from mains \
                          cables and transformers; a faint hum does not harm recognition";

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let start = Instant::now();
    let result = match Args::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Classify(args) => return finish(classify::classify(&args)),
        #[cfg(feature = "evaluate")]
        Command::Evaluate(args) => return finish(evaluate::evaluate(&args)),
        Command::Clips(args) => clips::clips(&args),
        Command::Devices(args) => devices::devices(&args),
        Command::Bench(args) => bench::bench(&args, start),
        Command::Check(args) => check::check(&args),
        Command::Setup(args) => setup::setup(&args),
        Command::Doctor(args) => return finish(doctor::doctor(&args)),
        #[cfg(feature = "top")]
        Command::Top(args) => top::top(&args),
        Command::Events(args) => events::events(&args),
        Command::Generate(args) => generate::generate(&args),
    };
    finish(result.map(|()| ExitCode::SUCCESS))
}

fn finish(result: Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        // Whoever reads standard output has had enough, as `head` does.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("earwitness: {error}"));
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// A line on standard error, if that can be written: if it cannot, no one can be told.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The model in `dir` or in the usual places, as `adjust` makes it, and its engine.
fn load(
    dir: Option<&Path>,
    precision: PrecisionChoice,
    adjust: impl FnOnce(Model) -> Result<Model>,
) -> Result<(Model, Box<dyn Engine>)> {
    let model = adjust(Model::load(&model::find(dir)?)?)?;
    let engine = load_engine(&model, precision)?;
    Ok((model, engine))
}

/// The model with the hop of `--hop-ms`, where that is given.
fn with_hop(hop_ms: Option<f64>) -> impl FnOnce(Model) -> Result<Model> {
    move |model| match hop_ms {
        Some(hop_ms) => model.with_hop_ms(hop_ms).map_err(|reason| Error::usage("--hop-ms", reason)),
        None => Ok(model),
    }
}

/// The configuration that `earwitness setup` writes for this user; `None` for a user without a
/// home.
fn own_config() -> Option<PathBuf> {
    const FILE: &str = "earwitness/earwitness.toml";
    match std::env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(Path::new(&folder).join(FILE)),
        None => at_home(&Path::new("~/.config").join(FILE)).ok(),
    }
}

/// Whether the packages' service reads `config`.
fn is_of_service(config: &Path) -> bool {
    config == Path::new(SERVICE_CONFIG)
}

/// Whether `file` is in the service's folder and this user may not look into it. Before the first
/// start of the service there is no such folder; systemd makes it.
fn is_hidden(file: &Path) -> bool {
    let folder = Path::new(SERVICE_FOLDER);
    file.starts_with(folder) && access(folder, AccessFlags::X_OK).is_err()
}

/// Why a daemon could not keep its journal in `file`, if that can be seen.
fn journal_trouble(file: &Path) -> Option<String> {
    if is_hidden(file) {
        return None;
    }
    let fault = journal::check(file).err().map(|fault| fault.to_string());
    fault.or_else(|| {
        let reason = folder::check(file.parent().filter(|_| !file.exists())?).err()?;
        Some(format!("the journal {} cannot be made: {reason}; name another file with journal.file", file.display()))
    })
}

/// Why no terminal could attach, if that can be seen.
#[cfg(feature = "top")]
fn socket_trouble(top: &TopSettings) -> Option<String> {
    edge::show::why_not_now(top)
}

/// That there is a socket is refused already.
#[cfg(not(feature = "top"))]
fn socket_trouble(_: &TopSettings) -> Option<String> {
    None
}

/// The zone of times that are shown. One that is asked for and does not exist is reported.
fn local_zone() -> TimeZone {
    let zone = TimeZone::system();
    let is_named = std::env::var_os("TZ").is_some_and(|name| !name.is_empty());
    if let Some(reason) = quiet::why_unknown(&zone).filter(|_| is_named) {
        say(format_args!("earwitness: {reason}: times are in UTC"));
    }
    zone
}

fn stdout_error(source: io::Error) -> Error {
    Error::io("standard output")(source)
}

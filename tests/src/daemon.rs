//! Daemons that run by a configuration file.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::binary::earwitness_bin;
use crate::tiny::{self, Sound};

/// `earwitness run` by the file at `config`.
pub fn run(config: &Path) -> Command {
    let mut command = Command::new(earwitness_bin());
    command.arg("run").arg("--config").arg(config);
    command
}

/// `earwitness run` in `dir` for a daemon called `name` that listens to `sounds`, `fast` or in real
/// time, with `more` lines of configuration.
///
/// # Panics
///
/// When the folder cannot be written.
pub fn hear(dir: &Path, name: &str, sounds: &[(Sound, f64)], fast: bool, more: &str) -> Command {
    tiny::write_wav(&dir.join("sounds.wav"), sounds);
    let text = format!(
        "name = \"{name}\"\n[source]\ninput = \"file:sounds.wav\"\nfast = {fast}\n[model]\ndir = \"{}\"\nprecision = \"f32\"\n{more}\n",
        tiny::model().display()
    );
    let config = dir.join(format!("{name}.toml"));
    fs::write(&config, text).expect("the folder can be written");
    run(&config)
}

/// The same for a daemon that hears what is [told](tell) to it through its standard input, as a
/// recording that goes on until that is closed.
///
/// # Panics
///
/// As [`hear`].
pub fn listen(dir: &Path, name: &str, more: &str) -> Command {
    let mut command = hear(dir, name, &[], false, more);
    command.args(["--source", "stdin", "--rate", &tiny::SAMPLE_RATE.to_string()]);
    command
}

/// Has a daemon that [listens](listen) hear `sounds`, as fast as it can.
///
/// # Panics
///
/// When it hears no more.
pub fn tell(input: &mut impl Write, sounds: &[(Sound, f64)]) {
    let bytes: Vec<u8> = tiny::samples(sounds).iter().flat_map(|sample| sample.to_le_bytes()).collect();
    input.write_all(&bytes).expect("the daemon reads");
}

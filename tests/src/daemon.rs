//! Daemons that run by a configuration file.

use std::fs;
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

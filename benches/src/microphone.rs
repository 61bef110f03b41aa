//! Simulated microphones: FIFOs that are fed raw samples at the pace of real time, and the daemon
//! that listens to them. It is the one beside the running program, or that of `EARWITNESS_BIN`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Sample rate of the microphones, Hz.
pub const RATE_HZ: u32 = 48_000;
/// Samples that arrive together: 20 ms, as a sound card delivers them.
pub const BLOCK_LEN: usize = RATE_HZ as usize / 50;

/// Makes `n` FIFOs in `dir`.
///
/// # Errors
///
/// If `mkfifo` fails.
pub fn make(dir: &Path, n: usize) -> io::Result<Vec<PathBuf>> {
    let fifos: Vec<PathBuf> = (0..n).map(|at| dir.join(format!("microphone-{at}"))).collect();
    let made = Command::new("mkfifo").args(&fifos).status()?;
    if made.success() { Ok(fifos) } else { Err(io::Error::other("mkfifo fails")) }
}

/// A daemon that is running. Killed when dropped: it would wait for its microphones without end.
pub struct Daemon(pub Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the daemon on `fifos` with the model that ships and further `sections` of its
/// configuration, which lies in `dir`. What it writes goes to `stdout` and `stderr`.
///
/// # Errors
///
/// If the configuration cannot be written, or the daemon does not start.
pub fn start(dir: &Path, fifos: &[PathBuf], sections: &str, stdout: Stdio, stderr: Stdio) -> io::Result<Daemon> {
    let source = |(at, fifo): (usize, &PathBuf)| {
        format!("[[sources]]\nname = \"microphone-{at}\"\ninput = \"file:{}\"\nrate = {RATE_HZ}\n", fifo.display())
    };
    let sources: String = fifos.iter().enumerate().map(source).collect();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/home");
    let config = dir.join("earwitness.toml");
    fs::write(&config, format!("[model]\ndir = \"{}\"\n{sections}{sources}", model.display()))?;
    let beside = || std::env::current_exe().map(|program| program.with_file_name("earwitness"));
    let program = std::env::var_os("EARWITNESS_BIN").map_or_else(beside, |program| Ok(program.into()))?;
    let mut command = Command::new(program);
    command.arg("run").arg("--config").arg(config).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    command.spawn().map(Daemon)
}

/// Raw 16-bit samples as a FIFO takes them.
pub fn raw(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|x| ((x * 32_767.0).round() as i16).to_le_bytes()).collect()
}

/// Writes `raw`, over and over, each block at the moment at which its last sample would have been
/// recorded by a microphone that was opened at `begin`. Ends when nobody reads any more.
///
/// # Errors
///
/// If the FIFO cannot be opened or written.
pub fn feed(fifo: &Path, raw: &[u8], begin: Instant) -> io::Result<()> {
    let mut fifo = File::create(fifo)?;
    for (n, block) in (1_u32..).zip(raw.chunks_exact(2 * BLOCK_LEN).cycle()) {
        let due = begin + block_time(n);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        fifo.write_all(block)?;
    }
    Ok(())
}

/// How long `n` blocks last.
pub fn block_time(n: u32) -> Duration {
    Duration::from_secs(1) * n / (RATE_HZ / BLOCK_LEN as u32)
}

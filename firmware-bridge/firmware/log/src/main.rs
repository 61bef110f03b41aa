//! The log of a board in words: the bytes of defmt enter on standard input, as an emulator writes
//! them, and lines leave on standard output. Usage: `board-log PROGRAM`, where PROGRAM is the ELF
//! file that runs on the board and holds the texts.
//!
//! A program of its own rather than a library of the tests: what it depends on would change how the
//! inference engine is built.

use std::env;
use std::fs;
use std::io::{self, Read, Write};

use anyhow::{Context, Result};
use defmt_decoder::{DecodeError, Table};

fn main() -> Result<()> {
    let path = env::args_os().nth(1).context("usage: board-log PROGRAM")?;
    let elf = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let table = Table::parse(&elf).context("the program's log table")?.context("the program does not log by defmt")?;
    let mut decoder = table.new_stream_decoder();
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    let mut buffer = [0; 1024];
    loop {
        let n = stdin.read(&mut buffer).context("read standard input")?;
        if n == 0 {
            return Ok(());
        }
        decoder.received(&buffer[..n]);
        loop {
            match decoder.decode() {
                Ok(frame) => writeln!(stdout, "{}", frame.display(false))?,
                Err(DecodeError::UnexpectedEof) => break,
                Err(DecodeError::Malformed) => writeln!(stdout, "malformed log frame")?,
            }
        }
        stdout.flush()?;
    }
}

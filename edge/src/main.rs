//! `earwitness`: listens, recognises, reports. See `earwitness --help`.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}

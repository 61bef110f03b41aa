//! `assemble-model FOLDER`: writes the network of a model whose repository holds a head alone.

use assemble::{ced, folder};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [model] = &arguments[..] else {
        eprintln!("usage: assemble-model FOLDER, the folder of a model with a head.safetensors: models/home-large");
        return ExitCode::from(2);
    };
    match folder::assemble(Path::new(model), &ced::place()) {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("assemble-model: {error}");
            ExitCode::FAILURE
        }
    }
}

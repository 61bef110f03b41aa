//! `make-scene`: writes the demonstration scene with its truth file, or a single sound, as 16-bit
//! wav.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use sounds::{Scene, Sound, demo_scene_at};

/// Writes a generated scene with its truth file, or one generated sound.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Seed: the same seed writes the same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The wav file to write
    #[arg(long, value_name = "WAV")]
    out: PathBuf,
    /// The truth to write: onset_s,offset_s,label
    #[arg(long, value_name = "CSV")]
    truth: Option<PathBuf>,
    /// Sample rate in Hz
    #[arg(long, default_value_t = 24_000, value_parser = clap::value_parser!(u32).range(8_000..=192_000))]
    sample_rate: u32,
    /// A single sound in place of the scene; an unknown name prints the list of sounds
    #[arg(long)]
    sound: Option<Sound>,
    /// Length of the single sound in seconds
    #[arg(long, default_value_t = 5.0, requires = "sound")]
    seconds: f32,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let scene = match arguments.sound {
        Some(sound) => Scene::single(sound, arguments.sample_rate, arguments.seconds, arguments.seed),
        None => demo_scene_at(arguments.seed, arguments.sample_rate),
    };
    scene.write_wav(&arguments.out)?;
    if let Some(truth) = &arguments.truth {
        scene.write_truth(truth)?;
    }
    Ok(())
}

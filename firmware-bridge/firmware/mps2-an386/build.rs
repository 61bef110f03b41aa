//! Makes the clip that stands in for a microphone and the tables of the shipped model's front end,
//! and hands the linker the board's memory map. `EARWITNESS_MANIFEST` names the manifest of another
//! model; the clip has its rate.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use edge_frontend::mel::MelBank;
use edge_frontend::window::hann_periodic;
use edge_frontend::{FrontendConfig, Manifest, Power};
use sounds::Sound;

/// A pause, a sound that a model knows, and a pause long enough for it to end.
const PLAN: [(Option<Sound>, f32); 3] = [(None, 1.0), (Some(Sound::CryingBaby), 4.0), (None, 3.0)];
const SEED: u64 = 3;

/// Of `ear`, whose blocks the clip is cut into.
const BLOCK_LEN: usize = 480;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rerun-if-env-changed=EARWITNESS_MANIFEST");
    let manifest =
        env::var_os("EARWITNESS_MANIFEST").map_or("../../../models/home/manifest.toml".into(), PathBuf::from);
    println!("cargo:rerun-if-changed={}", manifest.display());
    let text = fs::read_to_string(&manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
    let frontend = Manifest::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", manifest.display())).frontend;

    fs::write(out.join("clip.rs"), clip(frontend.sample_rate)).expect("the folder can be written");
    fs::write(out.join("tables.rs"), tables(&frontend)).expect("the folder can be written");
    fs::copy("memory.x", out.join("memory.x")).expect("memory.x lies beside build.rs");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rerun-if-changed=build.rs");
}

fn clip(rate_hz: u32) -> String {
    let samples = PLAN.iter().flat_map(|&(sound, seconds)| match sound {
        Some(sound) => sounds::render(sound, rate_hz, seconds, SEED),
        None => vec![0.0; (seconds * rate_hz as f32) as usize],
    });
    let mut clip: Vec<String> = samples.map(|sample| ((sample * 32_767.0).round() as i16).to_string()).collect();
    clip.truncate(clip.len() / BLOCK_LEN * BLOCK_LEN);
    format!(
        "/// Samples a second of the clip.\npub const RATE_HZ: u32 = {rate_hz};\n\n\
         /// The clip.\npub static CLIP: [i16; {}] = [{}];\n",
        clip.len(),
        clip.join(",")
    )
}

fn tables(frontend: &FrontendConfig) -> String {
    // What the node's front end does not do.
    assert!(
        frontend.power == Power::Power && !frontend.centre_padding,
        "features need power = 2, centre_padding = false"
    );
    let mut text = String::new();
    let mut bands = String::new();
    for (first_bin, weights) in MelBank::new(frontend).bands() {
        writeln!(bands, "    Band {{ first_bin: {first_bin}, weights: &{weights:?} }},").expect("a string takes text");
    }
    let FrontendConfig { n_fft, hop_length, log_offset, .. } = frontend;
    writeln!(
        text,
        "/// The front end.\npub static TABLES: Tables<'static> = Tables {{\n    hash: {},\n    n_fft: {n_fft},\n    \
         window: &{:?},\n    hop_length: {hop_length},\n    bands: &[\n{bands}],\n    log_offset: {:?},\n}};",
        frontend.raw_hash(),
        hann_periodic(frontend.win_length),
        *log_offset as f32,
    )
    .expect("a string takes text");
    text
}

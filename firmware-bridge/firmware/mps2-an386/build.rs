//! Makes the clip that stands in for a microphone, and hands the linker the board's memory map.

use std::env;
use std::fs;
use std::path::PathBuf;

use sounds::Sound;

const RATE_HZ: u32 = 24_000;

/// A pause, a sound that a model knows, and a pause long enough for it to end.
const PLAN: [(Option<Sound>, f32); 3] = [(None, 1.0), (Some(Sound::CryingBaby), 4.0), (None, 3.0)];
const SEED: u64 = 3;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let samples = PLAN.iter().flat_map(|&(sound, seconds)| match sound {
        Some(sound) => sounds::render(sound, RATE_HZ, seconds, SEED),
        None => vec![0.0; (seconds * RATE_HZ as f32) as usize],
    });
    let clip: Vec<String> = samples.map(|sample| ((sample * 32_767.0).round() as i16).to_string()).collect();
    let text = format!(
        "/// Samples a second of the clip.\npub const RATE_HZ: u32 = {RATE_HZ};\n\n\
         /// The clip.\npub static CLIP: [i16; {}] = [{}];\n",
        clip.len(),
        clip.join(",")
    );
    fs::write(out.join("clip.rs"), text).expect("the folder can be written");
    fs::copy("memory.x", out.join("memory.x")).expect("memory.x lies beside build.rs");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rerun-if-changed=build.rs");
}

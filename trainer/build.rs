//! Makes the binaries find libtorch: records its folder as run path, and keeps libtorch_cuda among
//! the needed libraries. No symbol of it is referenced, so the linker would drop it, and CUDA would
//! silently be absent. Tells the crate libtorch's version, which the library itself does not say.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Told by torch-sys, which is a direct dependency for this alone.
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    if let Some(version) = version(Path::new(&folder)) {
        println!("cargo:rustc-env=LIBTORCH_VERSION={version}");
    }
    if Path::new(&folder).join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-arg=-L{folder}");
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch_cuda");
        println!("cargo:rustc-link-arg=-Wl,--as-needed");
    }
}

/// What PyTorch's `version.py` or libtorch's `build-version` says, which lie beside the folder of
/// the libraries.
fn version(libraries: &Path) -> Option<String> {
    let beside = libraries.parent()?;
    if let Ok(text) = std::fs::read_to_string(beside.join("version.py")) {
        let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
        return Some(line.trim_matches(['\'', '"', ' ']).to_owned());
    }
    Some(std::fs::read_to_string(beside.join("build-version")).ok()?.trim().to_owned())
}

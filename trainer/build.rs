//! Makes the binaries find libtorch: records its folder as run path, and keeps libtorch_cuda among the needed
//! libraries. No symbol of it is referenced, so the linker would drop it, and CUDA would silently be absent.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Told by torch-sys, which is a direct dependency for this alone.
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    if Path::new(&folder).join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-arg=-L{folder}");
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch_cuda");
        println!("cargo:rustc-link-arg=-Wl,--as-needed");
    }
}

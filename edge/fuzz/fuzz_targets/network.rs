//! A network file of any bytes, with a manifest that promises just these: an engine that runs, or
//! an error.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use edge::engine::{Engine, Precision, StreamEngine};
use edge::model::Model;
use edge_frontend::Manifest;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    Manifest::parse(include_str!("../../../tests/fixtures/tiny/manifest.toml")).expect("the fixture's manifest")
});

fuzz_target!(|bytes: &[u8]| {
    thread_local!(static DIR: tempfile::TempDir = tempfile::tempdir().expect("a temporary folder"));
    DIR.with(|dir| {
        let mut manifest = MANIFEST.clone();
        manifest.files.f32.sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        manifest.files.int8 = None;
        fs::write(dir.path().join(&manifest.files.f32.path), bytes).expect("the folder can be written");
        fs::write(dir.path().join("manifest.toml"), manifest.to_toml().expect("it was read")).expect("as above");
        let model = Model::load(dir.path()).expect("manifest and file agree");
        if let Ok(mut engine) = StreamEngine::load(&model, Precision::F32) {
            let frames = vec![0.5; engine.pulse_frames() * engine.n_mels()];
            let mut logits = vec![0.0; engine.n_classes()];
            for _ in 0..20 {
                if engine.push(&frames, &mut logits).is_err() {
                    break;
                }
            }
        }
    });
});

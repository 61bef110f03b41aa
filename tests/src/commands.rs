//! Commands that are to end: what they say, and models and recordings to say it of.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use edge_frontend::Manifest;
use tempfile::TempDir;

use crate::binary::{Output, PATIENCE, Process, earwitness_bin};
use crate::tiny;

/// Runs `earwitness` to its end, without its log.
pub fn earwitness(args: &[&str]) -> Output {
    let mut command = Command::new(earwitness_bin());
    // Away from the repository, so that no model is found by chance.
    command.args(args).env("EARWITNESS_LOG", "off").current_dir("/");
    Process::start(&mut command).finish(PATIENCE)
}

/// The only line on standard error, without the program's name; nothing may be on standard output.
pub fn refusal(code: i32, args: &[&str]) -> String {
    let output = earwitness(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:#?}");
    assert_eq!(output.stdout, Vec::<String>::new(), "{args:?}");
    assert_eq!(output.stderr.len(), 1, "{args:?}: {output:#?}");
    output.stderr[0].strip_prefix("earwitness: ").unwrap_or_else(|| panic!("{output:#?}")).to_string()
}

/// A copy of the model, to be spoilt.
pub fn model() -> TempDir {
    copy(&tiny::model())
}

/// A copy of the model in a folder.
pub fn copy(model: &Path) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ["manifest.toml", "model.onnx", "model.int8.onnx"] {
        fs::copy(model.join(file), dir.path().join(file)).unwrap();
    }
    dir
}

/// Changes the manifest of a copy.
pub fn edit_manifest(dir: &TempDir, edit: impl FnOnce(&mut Manifest)) {
    let path = dir.path().join("manifest.toml");
    let mut manifest = Manifest::parse(&fs::read_to_string(&path).unwrap()).unwrap();
    edit(&mut manifest);
    fs::write(path, manifest.to_toml().unwrap()).unwrap();
}

/// Whether all `parts` are in `message`.
///
/// # Panics
///
/// When one is not.
pub fn contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing from {message:?}");
    }
}

/// Writes 16-bit samples, the same on all channels.
pub fn write_wav(path: &Path, sample_rate: u32, channels: u16, samples: &[i16]) {
    let spec = hound::WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in samples {
        (0..channels).for_each(|_| writer.write_sample(*sample).unwrap());
    }
    writer.finalize().unwrap();
}

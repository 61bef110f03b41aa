//! Runs the scripts of `tests/reference` with the Python that the trainer takes libtorch from, and
//! reads what they leave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tch::Tensor;

/// Folder of the scripts.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

/// Runs `script OUT ARGUMENTS`, and reads the tensors that it leaves in `out`.
pub fn run(script: &str, out: &Path, arguments: &[&str]) -> BTreeMap<String, Tensor> {
    let output = Command::new("python3")
        .arg(folder().join(script))
        .arg(out)
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 is needed, with the torch of scripts/requirements.txt");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    read(out)
}

/// See `tests/reference/blob.py`.
fn read(out: &Path) -> BTreeMap<String, Tensor> {
    let table = std::fs::read_to_string(out.join("reference.json")).unwrap();
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    let bytes = std::fs::read(out.join("reference.f32")).unwrap();
    let places = table["tensors"].as_object().unwrap();
    let tensor = |place: &serde_json::Value| {
        let shape: Vec<i64> = place["shape"].as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect();
        let begin = 4 * place["offset"].as_u64().unwrap() as usize;
        let end = begin + 4 * shape.iter().product::<i64>() as usize;
        Tensor::from_data_size(&bytes[begin..end], &shape, tch::Kind::Float)
    };
    places.iter().map(|(name, place)| (name.clone(), tensor(place))).collect()
}

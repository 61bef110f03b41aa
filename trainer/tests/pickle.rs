//! Files that torch.save writes, whole and damaged.

#![allow(clippy::unwrap_used)]

mod common;

use common::python;
use rand::{Rng as _, SeedableRng as _};
use std::path::Path;
use tch::Kind;
use trainer::nets::pickle::read_state_dict;

const FORMATS: [&str; 3] = ["pt", "protocol4.pt", "legacy.pt"];

fn message(path: &Path) -> String {
    read_state_dict(path).unwrap_err().to_string()
}

#[test]
fn state_dicts_of_every_format_hold_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let expected = python::run("make_pickles.py", folder.path(), &[]);
    for format in FORMATS {
        for file in ["kinds", "views", "checkpoint", "small"] {
            let path = folder.path().join(format!("{file}.{format}"));
            let tensors = read_state_dict(&path).unwrap();
            let prefix = format!("{file}/");
            let wanted: Vec<_> = expected.iter().filter_map(|(n, t)| Some((n.strip_prefix(&prefix)?, t))).collect();
            assert_eq!(tensors.len(), wanted.len(), "{file}.{format}: {:?}", tensors.keys());
            for (name, value) in wanted {
                let read = &tensors[name];
                assert_eq!(read.size(), value.size(), "{file}.{format}: {name}");
                assert_eq!((read.kind(), read.is_contiguous()), (Kind::Float, true), "{file}.{format}: {name}");
                assert!(read.equal(value), "{file}.{format}: {name}");
            }
        }
        for (file, reason) in [
            ("sparse", "tensor \"sparse\" is of an unknown kind (_rebuild_sparse_tensor)"),
            ("list", "is not a dict"),
            ("integers", "holds no floating-point tensor"),
        ] {
            let path = folder.path().join(format!("{file}.{format}"));
            assert_eq!(message(&path), format!("{}: not a PyTorch state dict: {reason}", path.display()));
        }
    }
}

#[test]
fn tensors_of_a_shared_storage_do_not_share_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    python::run("make_pickles.py", folder.path(), &[]);
    let tensors = read_state_dict(&folder.path().join("views.pt")).unwrap();
    let before = tensors["second"].copy();
    let _ = tensors["first"].shallow_clone().fill_(7.0);
    assert!(tensors["second"].equal(&before));
}

#[test]
fn truncated_and_damaged_files_are_errors_that_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    python::run("make_pickles.py", folder.path(), &[]);
    let damaged = folder.path().join("damaged.pt");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    for format in FORMATS {
        let bytes = std::fs::read(folder.path().join(format!("small.{format}"))).unwrap();
        for n in 0..bytes.len() {
            std::fs::write(&damaged, &bytes[..n]).unwrap();
            let message = message(&damaged);
            assert!(message.starts_with(&format!("{}: ", damaged.display())), "{n} bytes of {format}: {message}");
        }
        let mut n_refused = 0;
        for _ in 0..1000 {
            let mut bytes = bytes.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
            std::fs::write(&damaged, &bytes).unwrap();
            match read_state_dict(&damaged) {
                Err(e) => {
                    let message = e.to_string();
                    assert!(message.contains("damaged.pt"), "{message}");
                    assert!(message.len() < 1000, "{message}");
                    n_refused += 1;
                }
                // Bits of the elements, of padding or of what is not read.
                Ok(tensors) => assert!(tensors.values().all(|t| t.numel() < 100)),
            }
        }
        assert!(n_refused > 150, "{n_refused} of {format}");
    }
}

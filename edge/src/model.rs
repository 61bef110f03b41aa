//! Model folders: a path enters, a checked manifest leaves. Runs once, before the stream starts.
//!
//! A folder holds `manifest.toml` and the network files it names. Everything that can be known
//! without running the network is checked here: the manifest's own consistency (among it the hash
//! of the front end's parameters) and the files' SHA-256. What only the network can tell, such as
//! its number of classes, is checked by [`engine`](crate::engine).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use edge_frontend::manifest::MANIFEST_FILE;
use edge_frontend::manifest::{HEAD_FILE, MAX_PULSE_FRAMES};
use edge_frontend::{Manifest, ModelFile, NetworkKind, Precision};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::wording::plain;

const ASSEMBLED: &str = "this model is put together on your machine from a network that may not be shipped and the \
                         head in this folder: run `make home-large` (CARD.md)";

/// Where the model is looked for, seen from the working directory.
const LOCAL_DIR: &str = "models/home";

/// Where it is looked for beside the folder of the program: `/usr/bin/earwitness` has it in
/// `/usr/share`.
const INSTALLED_DIR: &str = "share/earwitness/models/home";

/// What to do about a model that only its owner can see.
const HIDDEN: &str = "; a service does not see home folders (ProtectHome=): put the model below \
                      /usr/local/share/earwitness/models or /var/lib/earwitness, where the user earwitness can read it";
const UNREADABLE: &str =
    "; the user of this program must be able to read the file and to enter every folder on the way to it";

/// The folder of the model: `explicit` if given, else the first of the usual places that has one.
///
/// # Errors
///
/// [`Error::ModelFile`] that lists the places, when none of them has a model. An explicit folder is
/// not looked at.
pub fn find(explicit: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = explicit {
        return Ok(dir.to_path_buf());
    }
    let mut places = vec![PathBuf::from(LOCAL_DIR)];
    let program = std::env::current_exe().ok();
    let beside = program.as_deref().and_then(Path::parent).and_then(Path::parent);
    places.extend(beside.map(|folder| folder.join(INSTALLED_DIR)));
    // One that is there but cannot be read is not passed over: what is wrong with it is reported
    // later.
    let is_there = |dir: &&PathBuf| match fs::metadata(dir.join(MANIFEST_FILE)) {
        Ok(metadata) => metadata.is_file(),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    };
    match places.iter().find(is_there) {
        Some(dir) => Ok(dir.clone()),
        None => {
            let tried: Vec<_> = places.iter().map(|dir| dir.display().to_string()).collect();
            let reason = format!("no model in {}; name its folder with --model or model.dir", tried.join(" or "));
            Err(Error::ModelFile { path: PathBuf::from(MANIFEST_FILE), reason })
        }
    }
}

/// A model folder whose manifest and files agree.
#[derive(Debug, Clone)]
pub struct Model {
    /// The manifest.
    pub manifest: Manifest,
    /// The folder.
    pub dir: PathBuf,
}

impl Model {
    /// Reads and checks the folder `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::ModelFile`] for a missing or unreadable folder, manifest or network file and for a
    /// manifest that contradicts itself, and for a file that is not the one the manifest was
    /// written for.
    pub fn load(dir: &Path) -> Result<Self> {
        match fs::metadata(dir) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(Error::model_file(dir, "not a folder")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(unseen(dir, error.kind(), "no such folder"));
            }
            Err(error) => return Err(unseen(dir, error.kind(), error)),
        }
        let path = dir.join(MANIFEST_FILE);
        let text = fs::read_to_string(&path).map_err(|error| unseen(&path, error.kind(), error))?;
        let manifest = Manifest::parse(&text)
            .map_err(|error| Error::model_file(&path, plain(&toml_reason(&error.to_string()))))?;
        let model = Model { manifest, dir: dir.to_path_buf() };
        model.check_file("files.f32.sha256", &model.manifest.files.f32)?;
        if let Some(file) = &model.manifest.files.int8 {
            model.check_file("files.int8.sha256", file)?;
        }
        Ok(model)
    }

    /// Name and version as events carry them, `home-1.0.0`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.manifest.name, self.manifest.version)
    }

    /// The same model with `hop_ms` milliseconds from one patch to the next, for a windowed
    /// network.
    ///
    /// # Errors
    ///
    /// What is wrong with `hop_ms`: the network is not one of patches, or the hop no whole number
    /// of log-mel frames.
    pub fn with_hop_ms(mut self, hop_ms: f64) -> std::result::Result<Self, String> {
        let Manifest { network, frontend, name, .. } = &mut self.manifest;
        if network.kind != NetworkKind::Window {
            return Err(format!(
                "the model {name} is a streaming network: one output every {} frames is part of it; only a network of whole patches \
                 (network.kind = \"window\") has a hop to choose",
                network.pulse_frames
            ));
        }
        match frontend.whole_frames(hop_ms).filter(|n_frames| *n_frames <= MAX_PULSE_FRAMES) {
            Some(n_frames) => *network = network.clone().with_pulse(n_frames),
            None => {
                let frame_ms = frontend.hop_seconds() * 1e3;
                return Err(format!(
                    "expected 1 to {MAX_PULSE_FRAMES} whole log-mel frames of {frame_ms} ms, actual {hop_ms} ms, {:.3} frames",
                    hop_ms / frame_ms
                ));
            }
        }
        Ok(self)
    }

    /// The network file for `precision`, where the model has one.
    pub fn network_file(&self, precision: Precision) -> Option<PathBuf> {
        let files = &self.manifest.files;
        let file = match precision {
            Precision::F32 => Some(&files.f32),
            Precision::Int8 => files.int8.as_ref(),
        };
        file.map(|file| self.dir.join(&file.path))
    }

    fn check_file(&self, field: &'static str, file: &ModelFile) -> Result<()> {
        let path = self.dir.join(&file.path);
        let bytes = fs::read(&path).map_err(|error| match self.dir.join(HEAD_FILE).exists() {
            true => Error::model_file(&path, format!("{error}: {ASSEMBLED}")),
            false => unseen(&path, error.kind(), error),
        })?;
        let actual = hex(&Sha256::digest(&bytes));
        if actual == file.sha256 {
            Ok(())
        } else {
            let expected = &file.sha256;
            let reason = format!(
                "the file is damaged, or it is not the one that {MANIFEST_FILE} was written for: copy or export the whole \
                 folder again ({field}: expected {expected}, actual {actual})"
            );
            Err(Error::model_file(&path, reason))
        }
    }
}

/// A model that cannot be seen, with what the system says, and where a service may look.
fn unseen(path: &Path, kind: io::ErrorKind, reason: impl std::fmt::Display) -> Error {
    let is_hidden = ["/home", "/root", "/run/user"].iter().any(|home| path.starts_with(home));
    // systemd.exec(5): set for every service.
    let is_service = std::env::var_os("INVOCATION_ID").is_some();
    let hint = match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound if is_hidden && is_service => HIDDEN,
        io::ErrorKind::PermissionDenied if is_hidden => HIDDEN,
        io::ErrorKind::PermissionDenied => UNREADABLE,
        _ => "",
    };
    Error::model_file(path, format!("{reason}{hint}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The place and the message of a TOML error on one line, without the picture of the line that the
/// parser draws.
pub(crate) fn toml_reason(message: &str) -> String {
    let is_picture = |line: &&str| {
        let rest = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
        rest.trim_start().starts_with('|')
    };
    let lines: Vec<&str> = message.lines().filter(|line| !is_picture(line) && !line.trim().is_empty()).collect();
    lines.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parser_pictures_are_left_out() {
        let message = "manifest: TOML parse error at line 3, column 1\n  |\n3 | hop_size = 1\n  | ^^^^^^^^\nunknown field `hop_size`\n";
        assert_eq!(toml_reason(message), "manifest: TOML parse error at line 3, column 1: unknown field `hop_size`");
    }

    #[test]
    fn only_patches_have_a_hop_and_it_is_whole_frames() {
        let fixture = |name: &str| {
            Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)).unwrap()
        };
        let hop = |hop_ms: f64| fixture("tiny_window").with_hop_ms(hop_ms);
        for (hop_ms, pulse_frames, output_delay) in [(10.0, 1, 39), (80.0, 8, 4), (149.95, 15, 2), (1000.0, 100, 0)] {
            let network = hop(hop_ms).unwrap().manifest.network;
            assert_eq!((network.pulse_frames, network.output_delay), (pulse_frames, output_delay));
        }
        for hop_ms in [0.0, 4.0, 15.0, -80.0, 10_250.0, f64::NAN, f64::INFINITY] {
            let error = hop(hop_ms).unwrap_err();
            assert!(error.starts_with("expected 1 to 1024 whole log-mel frames of 10 ms, actual "), "{error}");
        }
        let error = fixture("tiny").with_hop_ms(80.0).unwrap_err();
        assert!(error.contains("tiny is a streaming network"), "{error}");
    }

    #[test]
    fn what_the_system_does_not_let_us_see_is_told_in_its_words_and_with_a_remedy() {
        let denied = |path: &str| {
            let error = io::Error::from(io::ErrorKind::PermissionDenied);
            unseen(Path::new(path), error.kind(), error).to_string()
        };
        let home = denied("/home/ann/models/home/manifest.toml");
        assert!(home.contains("permission denied; a service does not see home folders (ProtectHome=)"), "{home}");
        assert!(home.contains("/var/lib/earwitness"), "{home}");
        let elsewhere = denied("/srv/model");
        assert!(elsewhere.contains("/srv/model: permission denied; the user of this program must"), "{elsewhere}");
    }

    #[test]
    fn missing_folder_and_missing_manifest_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Model::load(&dir.path().join("nowhere")).unwrap_err().to_string();
        assert!(missing.ends_with("nowhere: no such folder"), "{missing}");
        let empty = Model::load(dir.path()).unwrap_err().to_string();
        assert!(empty.contains("manifest.toml: No such file"), "{empty}");
    }
}

//! Which journal is meant: options enter, a file that can be read leaves.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use edge::config::{journal_files, journal_folders};
use edge::{Error, Result};

use super::EventsArgs;
use crate::cli::SERVICE_CONFIG;

/// How to get a journal that has something in it.
const KEEP: &str = "the daemon creates one if it has a broker or a webhook, or with keep_days = 30 in [journal]";

/// The journal that the options name, or the only one in the usual places.
pub(super) fn find(args: &EventsArgs) -> Result<PathBuf> {
    if let Some(file) = &args.journal {
        return readable(file.clone()).map_err(|reason| Error::usage("--journal", reason));
    }
    if let Some(config) = &args.config {
        return pick("--config", journal_files(config)?);
    }
    let service = Path::new(SERVICE_CONFIG);
    let mut files = if service.exists() { journal_files(service)? } else { Vec::new() };
    let folders = journal_folders();
    for file in folders.iter().flat_map(|folder| journals(folder)) {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    if files.is_empty() {
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        return Err(Error::usage("--journal", format!("no journal in {}: {KEEP}", folders.join(" or in "))));
    }
    pick("--journal", files)
}

/// The only one of `files` that is there.
fn pick(option: &str, files: Vec<PathBuf>) -> Result<PathBuf> {
    let names =
        |files: &[PathBuf], or: &str| files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(or);
    let is_there = |file: &PathBuf| !matches!(file.metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
    let there: Vec<PathBuf> = files.iter().filter(|file| is_there(file)).cloned().collect();
    match there.as_slice() {
        [] => Err(Error::usage(option, format!("no journal at {}: {KEEP}", names(&files, " or at ")))),
        [file] => readable(file.clone()).map_err(|reason| Error::usage(option, reason)),
        several => Err(Error::usage(
            "--journal",
            format!("there are several journals, so name one of them: {}", names(several, ", ")),
        )),
    }
}

fn journals(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect();
    files.sort();
    files
}

fn readable(file: PathBuf) -> std::result::Result<PathBuf, String> {
    let shown = file.display();
    let is_folder = file.is_dir();
    match File::open(&file) {
        _ if is_folder => Err(format!("{shown} is a folder; the journal is a file")),
        Ok(_) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!("no journal at {shown}: {KEEP}")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(format!(
            "this user may not read the journal {shown}: run this as the daemon's user: sudo -u earwitness earwitness \
             events"
        )),
        Err(error) => Err(format!("the journal {shown} cannot be read: {error}")),
    }
}

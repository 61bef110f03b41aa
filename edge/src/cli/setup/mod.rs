//! `earwitness setup`: asks for the source while showing its level, tries the broker and a webhook,
//! writes the configuration and offers the service. What is missing is reported and left for later.
//!
//! All text goes to standard output; nothing is changed before the configuration is written.

mod ask;
mod broker;
#[cfg(feature = "mqtt")]
mod hidden;
mod service;
mod sound;
mod template;
mod webhook;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use edge::config::{MAX_KEEP_DAYS, Overrides, Settings, at_home};
use edge::{Error, Result};
use nix::unistd::User;

use self::ask::Asker;
use self::template::ConfigTemplate;
use super::args::SetupArgs;
use super::{SERVICE_CONFIG, own_config};

/// Days that events are kept unless something else is asked for.
const KEEP_DAYS: u32 = 30;

pub(super) fn setup(args: &SetupArgs) -> Result<()> {
    edge::logging::start("off")?;
    let mut asker = Asker::new(args.yes)?;
    let out = out(args)?;
    let is_new = refuse_to_overwrite(args, &mut asker, &out)?;
    let mut template = ConfigTemplate::new();

    let default = Settings::load(None, &Overrides::default())?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => asker.text("Name of this device", &default.name)?,
    };
    if name != default.name {
        template.set("", "name", name.as_str());
        // What is wrong with it is reported before anything is tried.
        Settings::from_text(&template.text(), &Overrides::default())?;
    }
    sound::choose(args, &mut asker, &mut template, &name)?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let secrets = broker::choose(args, &mut asker, &mut template, &name, folder)?;
    webhook::choose(args, &mut asker, &mut template)?;
    let keep_days = match args.keep_days {
        Some(days) => days,
        None => {
            let question = "Days that events are kept, so that `earwitness events` can show them";
            asker.number(question, KEEP_DAYS, MAX_KEEP_DAYS)?
        }
    };
    if keep_days > 0 {
        template.set("journal", "keep_days", i64::from(keep_days));
    }

    write(&out, folder, &template, &secrets, is_new)?;
    asker.say(format_args!("\nWritten: {}", out.display()))?;
    let reader = service::user(&out).map_or_else(|| "its owner".to_string(), |user| format!("the user {}", user.name));
    for (file, _) in &secrets {
        asker.say(format_args!("Written: {}, which only {reader} can read", file.display()))?;
    }
    service::offer(args, &mut asker, &out)
}

/// Where the configuration goes: the service's file where it can be written, as with sudo.
fn out(args: &SetupArgs) -> Result<PathBuf> {
    let homeless = |reason| Error::usage("--out", reason);
    if let Some(out) = &args.out {
        return at_home(out).map_err(homeless);
    }
    let service = Path::new(SERVICE_CONFIG);
    let is_ours = |file: &Path| nix::unistd::access(file, nix::unistd::AccessFlags::W_OK).is_ok();
    if service.exists() && is_ours(service) {
        return Ok(service.to_path_buf());
    }
    own_config().ok_or_else(|| {
        homeless("this user has no home folder (HOME is not set): name the file to write with this option".into())
    })
}

/// `file` as it is from any folder, as the configuration is read from another one.
fn absolute(file: &Path) -> Result<String> {
    let file = at_home(file).map_err(|reason| Error::usage("setup", reason))?;
    Ok(std::path::absolute(&file).unwrap_or(file).display().to_string())
}

/// Returns whether there is no such file yet. One that has nothing but comments, as the package
/// brings it, is as good as none.
fn refuse_to_overwrite(args: &SetupArgs, asker: &mut Asker, out: &Path) -> Result<bool> {
    let text = match fs::read_to_string(out) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(Error::usage("--out", format!("{}: {error}", out.display()))),
        Ok(text) => text,
    };
    let is_empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with(['#', '[']);
    if args.force || text.lines().all(is_empty) {
        return Ok(false);
    }
    let shown = out.display();
    if args.yes
        || !asker.confirm(&format!("{shown} exists. Overwrite it? The old one is kept as {shown}.old"), false)?
    {
        let reason = format!("{shown} exists and stays as it is: name another file, or overwrite it with --force");
        return Err(Error::usage("--out", reason));
    }
    Ok(false)
}

/// Writes everything, but only if the daemon would take it.
fn write(
    out: &Path,
    folder: &Path,
    template: &ConfigTemplate,
    secrets: &[(PathBuf, String)],
    is_new: bool,
) -> Result<()> {
    let failed = |path: &Path| Error::io(format!("cannot write {}", path.display()));
    fs::create_dir_all(folder).map_err(failed(folder))?;
    for (file, secret) in secrets {
        write_private(file, secret, service::user(out).as_ref()).map_err(failed(file))?;
    }
    // In the same folder, as paths in it are relative to it, and renaming is all or nothing.
    let mut draft = out.as_os_str().to_os_string();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    fs::write(&draft, template.text()).map_err(failed(&draft))?;
    if let Err(error) = Settings::load(Some(&draft), &Overrides::default()) {
        // The file that could not be used is not worth keeping.
        let _ = fs::remove_file(&draft);
        return Err(match error {
            // That file is not there any longer.
            Error::Config { key, reason, .. } => Error::usage(key, reason),
            other => other,
        });
    }
    if !is_new {
        let mut old = out.as_os_str().to_os_string();
        old.push(".old");
        let old = PathBuf::from(old);
        fs::copy(out, &old).map_err(failed(&old))?;
    }
    fs::rename(&draft, out).map_err(failed(out))
}

/// A file that only `owner` can read, or this user.
fn write_private(file: &Path, secret: &str, owner: Option<&User>) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::{OpenOptionsExt as _, fchown};
    // Created again, so that it has the rights that were asked for.
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    if let Some(owner) = owner {
        fchown(&file, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
    }
    writeln!(file, "{secret}")
}

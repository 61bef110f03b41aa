//! The sources: whether this user may use them, whether they open, and what they sound like.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use edge::audition::Audition;
use edge::capture::{Address, FileSpec, SourceSpec};
use edge::config::{Settings, SourceSettings};
use edge::model::Model;
use nix::unistd::{AccessFlags, access};

use super::finding::Finding;
use crate::cli::HUM_ADVICE;

/// Where the kernel has its sound devices.
const SOUND_DEVICES: &str = "/dev/snd";

/// How long a source is listened to.
const LISTENING_S: f64 = 3.0;

/// The level of digital silence.
const SILENCE_DBFS: f32 = -120.0;

/// What to do about a microphone that delivers nothing else.
const MUTE_ADVICE: &str = "unmute it: `alsamixer`, key F4, or the switch of the microphone";

/// Where it is written what to do about a hint.
const HINT_ADVICE: &str = "docs/sources.md lists the hints, and what to do about each";

/// Whether this user may use the devices that the sources are.
pub(super) fn permissions(settings: &Settings) -> Vec<Finding> {
    let of_cards = settings.sources.iter().any(|source| matches!(source.spec, SourceSpec::Mic(_)));
    let of_ports = settings.sources.iter().filter_map(|source| match &source.spec {
        SourceSpec::Serial(node) => match &node.address {
            Address::Device { path, .. } => Some(path.clone()),
            Address::Tcp { .. } => None,
        },
        _ => None,
    });
    of_cards.then(cards).into_iter().chain(of_ports.map(|path| port(&path))).collect()
}

fn cards() -> Finding {
    let entries = Path::new(SOUND_DEVICES).read_dir().into_iter().flatten().flatten();
    let is_capture = |name: &str| name.starts_with("pcm") && name.ends_with('c');
    let devices: Vec<PathBuf> =
        entries.filter(|entry| is_capture(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect();
    let refused: Vec<&PathBuf> = devices.iter().filter(|path| !may_use(path)).collect();
    match (devices.as_slice(), refused.first()) {
        ([], _) => Finding::ok("permissions", "the kernel has no sound card that records; a sound server may have one"),
        (all, None) => {
            Finding::ok("permissions", format!("this user may record from the {} devices of the kernel", all.len()))
        }
        (_, Some(path)) => Finding::problem("permissions", format!("this user may not record from {}", path.display()))
            .advise("sudo usermod -aG audio $USER, and log in again; the service has that group by itself"),
    }
}

fn port(path: &Path) -> Finding {
    let shown = path.display();
    if !path.exists() {
        return Finding::problem("permissions", format!("there is no serial port {shown}"))
            .advise("plug in the microcontroller; `ls /dev/serial/by-id` shows names that stay the same");
    }
    match may_use(path) {
        true => Finding::ok("permissions", format!("this user may use {shown}")),
        false => Finding::problem("permissions", format!("this user may not use {shown}"))
            .advise("sudo usermod -aG dialout $USER, and log in again; the service has that group by itself"),
    }
}

fn may_use(path: &Path) -> bool {
    access(path, AccessFlags::R_OK | AccessFlags::W_OK).is_ok()
}

/// What to do about a source that does not bring sound as it should.
fn advice(spec: &SourceSpec) -> &'static str {
    match spec {
        SourceSpec::File(FileSpec { path }) if path.exists() && access(path, AccessFlags::R_OK).is_err() => {
            "let the user that runs the daemon read it (chmod, chgrp); `sudo -u earwitness earwitness doctor` tries as \
             the service's user"
        }
        SourceSpec::File(FileSpec { path }) if is_fifo(path) => {
            "start the program that writes to it: `timeout 3 cat FIFO | wc -c` counts what arrives"
        }
        SourceSpec::File(_) => "put the recording there, or name another one in the configuration",
        SourceSpec::Stream(_) => "check the address in the configuration: a player such as ffplay should play it",
        SourceSpec::Command(_) => "run the command in a shell: it should write sound to its standard output",
        SourceSpec::Serial(_) => "check the port, and that the microcontroller runs its firmware (docs/sources.md)",
        SourceSpec::Mic(_) | SourceSpec::Stdin(_) => "`earwitness setup` lists the microphones and tries one",
    }
}

/// What to do about one that brings nothing but zeros.
fn mute_advice(spec: &SourceSpec) -> &'static str {
    match spec {
        SourceSpec::Mic(_) => MUTE_ADVICE,
        _ => "unmute it, or what it takes its sound from",
    }
}

fn is_fifo(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Whether a program has the FIFO at `path` open for reading, as far as this user may see that.
fn is_read(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let listed = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_ours = |fd: &PathBuf| fs::read_link(fd).is_ok_and(|target| target == path);
    // The access mode is the last octal digit (proc(5)): 0 reads, 1 writes.
    let reads = |fd: &Path| {
        let info = fs::read_to_string(fd.to_string_lossy().replacen("/fd/", "/fdinfo/", 1)).unwrap_or_default();
        info.lines().filter_map(|line| line.strip_prefix("flags:")).any(|flags| !flags.trim_end().ends_with('1'))
    };
    listed(Path::new("/proc")).flat_map(|process| listed(&process.join("fd"))).any(|fd| is_ours(&fd) && reads(&fd))
}

/// Listens to a source for a moment.
pub(super) fn source(
    source: &SourceSettings,
    is_named: bool,
    model: Option<&Model>,
    is_daemon_running: bool,
) -> Vec<Finding> {
    let name = if is_named { format!("{}: ", source.name) } else { String::new() };
    let described = source.spec.describe(&source.options);
    if matches!(source.spec, SourceSpec::Stdin(_)) {
        return vec![Finding::ok("source", format!("{name}{described}: not tried"))];
    }
    // What is read here would be lost to that program, which may be the daemon.
    if matches!(&source.spec, SourceSpec::File(FileSpec { path }) if is_fifo(path) && is_read(path)) {
        let text = format!("{name}{described}: not tried, because another program is reading it");
        return vec![Finding::ok("source", text)];
    }
    let failed = |text: &str| Finding::problem("source", format!("{name}{described}: {text}"));
    // It brings no samples.
    let problem = |text: &str| {
        let finding = failed(text);
        if is_daemon_running {
            finding.advise("the running service may be using it: sudo systemctl stop earwitness, and try again")
        } else if matches!(source.spec, SourceSpec::Mic(_)) {
            finding.advise(
                "plug in a microphone; `earwitness devices` lists what is found, and `earwitness setup` tries one",
            )
        } else {
            finding.advise(advice(&source.spec))
        }
    };
    let frontend = super::frontend(model);
    if let Err(error) = source.spec.check(&source.options, &frontend) {
        return vec![problem(&error.to_string())];
    }
    let mut audition = match Audition::start(source, &frontend) {
        Ok(audition) => audition,
        Err(error) => return vec![problem(&error.to_string())],
    };
    if let Err(error) = audition.hear(LISTENING_S, |_| Ok(())) {
        return vec![problem(&error.to_string())];
    }
    let (sound, fault, hints) = (audition.sound(), audition.fault(), audition.hints());
    // Its fault has already named what went wrong.
    let _ = audition.finish();
    if sound.seconds == 0.0 {
        return vec![problem(fault.as_deref().unwrap_or("no sound arrives from it"))];
    }
    if let Some(fault) = fault {
        let is_mute = sound.peak_dbfs <= SILENCE_DBFS;
        return vec![failed(&fault).advise(if is_mute { mute_advice(&source.spec) } else { advice(&source.spec) })];
    }
    let description = sound.description.as_deref().unwrap_or(&described);
    let levels =
        format!("{:.0} to {:.0} dBFS, peak {:.0} dBFS", sound.faintest_dbfs, sound.loudest_dbfs, sound.peak_dbfs);
    let mut findings = vec![Finding::ok("source", format!("{name}{description}: {levels}"))];
    let hint = |hint: String| Finding::warning("source", format!("{name}{hint}")).advise(HINT_ADVICE);
    findings.extend(hints.into_iter().map(hint));
    if let Some(hum) = sound.hum {
        let text = format!("{name}there is mains hum, {:.0} Hz at {:.0} dBFS", hum.mains_hz, hum.level_dbfs);
        findings.push(Finding::warning("source", text).advise(HUM_ADVICE));
    }
    findings
}

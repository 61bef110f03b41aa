//! What the machine brings: its clock, its disk, its service manager.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use edge::clock::clock_is_set;
use edge::config::Settings;
use edge::journal::{self, JournalPlace};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::sys::statvfs::statvfs;

use super::finding::Finding;
use crate::cli::{is_hidden, journal_trouble};

/// The unit of the packages.
const UNIT: &str = "earwitness.service";

/// Bytes that a disk should have free beside what the journal may take.
const RESERVE: u64 = 50_000_000;

pub(super) fn clock() -> Vec<Finding> {
    let now = Timestamp::now();
    let local = now.to_zoned(TimeZone::system()).strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string();
    if now < clock_is_set() {
        let finding = Finding::problem(
            "clock",
            format!("the clock shows {local}: it has not been set since the machine started"),
        )
        .advise(
            "until it is set, events carry wrong times and certificates are refused; install a time service, for \
             example systemd-timesyncd",
        );
        return vec![finding];
    }
    let finding = match is_synchronised() {
        Some(true) => Finding::ok("clock", format!("{local}, synchronised")),
        Some(false) => Finding::warning("clock", format!("{local}, not synchronised with a time service"))
            .advise("`timedatectl set-ntp true` lets systemd synchronise it"),
        None => {
            Finding::ok("clock", format!("{local}; whether it is synchronised cannot be found out on this machine"))
        }
    };
    let zone = match std::env::var("TZ") {
        Ok(name) if !name.is_empty() && TimeZone::get(&name).is_err() && TimeZone::posix(&name).is_err() => Some(
            Finding::warning("clock", format!("the environment variable TZ is {name:?}, which is not a time zone"))
                .advise("quiet hours are in UTC unless quiet_hours.time_zone names a time zone"),
        ),
        _ => None,
    };
    [finding].into_iter().chain(zone).collect()
}

/// As systemd reports it, no matter which service synchronises.
fn is_synchronised() -> Option<bool> {
    let said = properties(&["timedatectl", "show"])?;
    said.get("NTPSynchronized").map(|value| value == "yes")
}

pub(super) fn journal(settings: &Settings) -> Vec<Finding> {
    let file = match &settings.journal.place {
        JournalPlace::Memory => {
            return vec![Finding::ok("journal", "events are kept in memory, as configured")];
        }
        JournalPlace::Nowhere => {
            let text = "this user has no home folder, so events are kept in memory and are lost when the daemon ends";
            return vec![Finding::warning("journal", text).advise("name a file with journal.file")];
        }
        JournalPlace::File { file, .. } => file,
    };
    let shown = file.display();
    let mut findings = vec![match journal_trouble(file) {
        Some(trouble) => Finding::problem("journal", trouble)
            .advise("until this is corrected, events are kept in memory and are lost when the daemon ends"),
        None if is_hidden(file) => Finding::ok("journal", format!("{shown}; `sudo earwitness doctor` looks into it")),
        None if !file.exists() => Finding::ok("journal", format!("the daemon will create {shown}")),
        None => match journal::names(file) {
            Ok(names) => Finding::ok("journal", format!("{shown}, with events of {} labels", names.labels.len())),
            Err(fault) => Finding::warning("journal", &fault)
                .advise("the daemon mends it when it starts, and keeps what can be read of it"),
        },
    }];
    findings.extend(disk(file, settings.journal.max_bytes));
    findings
}

/// Whether the disk of `file` has room for what the journal may still take.
fn disk(file: &Path, max_bytes: u64) -> Option<Finding> {
    let folder = file.ancestors().skip(1).find(|folder| folder.is_dir())?;
    let disk = statvfs(folder).ok()?;
    // The types differ between platforms.
    #[allow(clippy::unnecessary_cast)]
    let free = disk.blocks_available() as u64 * disk.fragment_size() as u64;
    let mb = |bytes: u64| bytes / 1_000_000;
    let taken = file.metadata().map_or(0, |metadata| metadata.len());
    let wanted = max_bytes.saturating_sub(taken);
    let text = format!("{} MB free at {}", mb(free), folder.display());
    Some(if free < RESERVE {
        Finding::problem("disk", text)
            .advise("make room: events that do not fit are kept in memory and are lost when the daemon ends")
    } else if free < wanted + RESERVE {
        let text = format!("{text}, and the journal may take {} MB more", mb(wanted));
        Finding::warning("disk", text).advise("make room, or set max_mb in [journal]")
    } else {
        Finding::ok("disk", text)
    })
}

/// Whether the packages' service runs.
pub(super) fn service_is_active() -> bool {
    unit().is_some_and(|unit| unit.get("ActiveState").is_some_and(|state| state == "active"))
}

pub(super) fn service() -> Vec<Finding> {
    let Some(unit) = unit() else {
        let text = "this machine has no systemd: let its own service manager start `earwitness run --config FILE`";
        return vec![Finding::ok("service", text)];
    };
    let value = |name: &str| unit.get(name).map_or("", String::as_str);
    let restarts: u32 = value("NRestarts").parse().unwrap_or(0);
    let finding = match (value("LoadState"), value("ActiveState"), value("UnitFileState")) {
        ("not-found", ..) => {
            Finding::ok("service", "not installed").advise("the Debian package installs it (docs/install.md)")
        }
        (_, "active", _) if restarts > 0 => {
            Finding::warning("service", format!("running, and restarted {restarts} times since the machine started"))
                .advise("`journalctl -u earwitness -p warning` shows why")
        }
        (_, "active", "enabled") => Finding::ok("service", "running, and started at boot"),
        (_, "active", _) => {
            Finding::warning("service", "running, but not started at boot").advise("sudo systemctl enable earwitness")
        }
        (_, "failed", _) => Finding::problem("service", format!("it has failed ({})", value("Result")))
            .advise("`journalctl -u earwitness -n 20` shows why"),
        (_, state, _) => Finding::warning("service", format!("installed, and {state}"))
            .advise("sudo systemctl enable --now earwitness"),
    };
    vec![finding]
}

fn unit() -> Option<HashMap<String, String>> {
    properties(&["systemctl", "show", UNIT, "-p", "LoadState,ActiveState,UnitFileState,NRestarts,Result"])
}

/// The output of a command of systemd, as names and values; `None` where there is no systemd.
fn properties(command: &[&str]) -> Option<HashMap<String, String>> {
    let (program, args) = command.split_first()?;
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().filter_map(|line| line.split_once('=')).map(|(a, b)| (a.to_string(), b.to_string())).collect())
}

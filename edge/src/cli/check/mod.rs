//! `earwitness check`: validates a configuration with the model it names, and describes what it
//! means.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use edge::Result;
use edge::clips::{ClipFolder, ClipSettings};
use edge::config::{FileMode, Overrides, Settings, SourceSettings, TopSettings, WebSettings};
use edge::daemon::Plan;
use edge::decide::Rules;
use edge::journal::{JournalPlace, JournalSettings};
use edge::publish::MqttSettings;
use edge::publish::webhook::WebhookSettings;
use edge_frontend::{Manifest, NetworkKind};
use jiff::Timestamp;
use serde_json::Value;

use super::args::CheckArgs;
use super::{is_of_service, journal_trouble, socket_trouble, stdout_error};

mod classes;
mod quiet;

pub(super) fn check(args: &CheckArgs) -> Result<()> {
    let overrides = Overrides { as_service: is_of_service(&args.config), ..Overrides::default() };
    let settings = Settings::load(Some(&args.config), &overrides)?;
    edge::logging::start("warn")?;
    let Plan { settings, model, engine, rules, quiet_hours } = Plan::new(settings)?;

    let mut lines = Vec::new();
    let mut line = |name: &'static str, value: String| lines.push((name, value));
    line("name", settings.name.clone());
    for source in &settings.sources {
        let name = if source.name == settings.name { String::new() } else { format!("{}: ", source.name) };
        line("source", format!("{name}{}", spoken(source)));
    }
    line("model", format!("{} in {}, {} labels", model.id(), model.dir.display(), model.manifest.labels.len()));
    line("network", network(&model.manifest));
    line("precision", format!("{}, which is {} on this machine", settings.precision, engine.precision()));
    line("score", score(&rules));
    line("labels", classes::reported(&model.manifest, &rules));
    line("level", level(&rules));
    line("quiet", quiet::hours(&model.manifest.labels, &rules, &quiet_hours, Timestamp::now()));
    line("journal", journal(&settings.journal));
    line("events", "JSON lines on standard output".into());
    line("mqtt", settings.mqtt.as_ref().map_or("no".into(), |mqtt| broker(mqtt, &settings.name)));
    for webhook in &settings.webhooks {
        line("webhook", posted(webhook));
    }
    line("clips", settings.clips.as_ref().map_or("no".into(), clips));
    line("metrics", settings.metrics.map_or("no".into(), metrics));
    line("page", settings.web.as_ref().map_or("no".into(), page));
    line("top", settings.top.as_ref().map_or("no".into(), attachable));
    line("log", format!("{} on standard error", settings.log));
    let text = if args.json {
        document(&args.config, lines)
    } else {
        let lines: String = lines.iter().map(|(name, value)| format!("{name:10} {value}\n")).collect();
        let table = classes::table(&model.manifest.labels, &rules);
        format!("{} is valid.\n\n{lines}{table}", args.config.display())
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(stdout_error)
}

/// The lines as one JSON object. There may be several sources.
fn document(config: &Path, lines: Vec<(&'static str, String)>) -> String {
    let (sources, others): (Vec<_>, Vec<_>) = lines.into_iter().partition(|(name, _)| *name == "source");
    let mut document: serde_json::Map<String, Value> =
        others.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
    document.insert("config".into(), config.display().to_string().into());
    document.insert("source".into(), sources.into_iter().map(|(_, value)| Value::from(value)).collect());
    Value::Object(document).to_string() + "\n"
}

/// How the network is run.
fn network(manifest: &Manifest) -> String {
    let ms = |n_frames: usize| n_frames as f64 * manifest.frontend.hop_seconds() * 1e3;
    let (field_ms, pulse_ms) = (ms(manifest.network.receptive_field_frames), ms(manifest.network.pulse_frames));
    match manifest.network.kind {
        NetworkKind::Stream => format!("streaming, one output every {pulse_ms} ms"),
        NetworkKind::Window if pulse_ms > field_ms => {
            format!("a patch of {field_ms} ms every {pulse_ms} ms; sound between two patches is not recognised")
        }
        NetworkKind::Window => format!("a patch of {field_ms} ms every {pulse_ms} ms"),
    }
}

/// What an event is decided by.
fn score(rules: &Rules) -> String {
    let of_window = "the mean of the outputs of a window";
    match rules.min_energy {
        Some(energy) => format!("{of_window}; no event begins with an energy below {energy}"),
        None => of_window.into(),
    }
}

fn level(rules: &Rules) -> String {
    match rules.level_gate_dbfs {
        Some(gate) => format!("no event begins in sound below {gate} dBFS"),
        None => "events begin at any level".into(),
    }
}

fn spoken(source: &SourceSettings) -> String {
    let kind = match source.spec.is_live(&source.options) {
        Some(true) => "live",
        Some(false) => "a recording",
        None => "live if samples arrive in real time",
    };
    format!("{} ({kind})", source.spec.describe(&source.options))
}

fn journal(journal: &JournalSettings) -> String {
    let days = |duration: Duration| duration.as_secs() / 86_400;
    match &journal.place {
        JournalPlace::Memory => "events wait in memory".into(),
        JournalPlace::Nowhere => "events wait in memory, because this user has no home folder".into(),
        JournalPlace::File { file, .. } => {
            let (mb, wait) = (journal.max_bytes / 1_000_000, days(journal.max_age));
            let mut text = format!("events wait in {} (up to {mb} MB, {wait} days)", file.display());
            if let Some(fault) = journal_trouble(file) {
                let _ = write!(text, "; this does not work now: {fault}");
            }
            if !journal.keep.is_zero() {
                let _ =
                    write!(text, "; they are kept for {} days after every sink has received them", days(journal.keep));
            }
            text
        }
    }
}

fn clips(clips: &ClipSettings) -> String {
    let (before, after, most) =
        (clips.pre_roll.as_secs_f64(), clips.post_roll.as_secs_f64(), clips.max_length.as_secs_f64());
    let (mb, days) = (clips.max_bytes / 1_000_000, clips.max_age.as_secs() / 86_400);
    let mut text = format!(
        "the sound of each event, with {before} s before and {after} s after it, at most {most} s, in {} (up to {mb} MB, {days} days)",
        clips.folder.display()
    );
    if let Err(fault) = ClipFolder::new(&clips.folder).check() {
        let _ = write!(text, "; this does not work now: {fault}");
    }
    text
}

fn posted(webhook: &WebhookSettings) -> String {
    let labels = webhook.labels.as_ref().map_or("all labels".into(), |labels| labels.join(", "));
    let phases: Vec<&str> = webhook.phases.iter().map(|phase| phase.name()).collect();
    let body = if webhook.template.is_some() { "by a template" } else { "as JSON" };
    let trusting = webhook.ca_file.as_ref().map(|path| format!(", trusting {}", path.display())).unwrap_or_default();
    format!("{}: {} of {labels}, {body}{trusting}", webhook.url, phases.join(" and "))
}

fn metrics(address: SocketAddr) -> String {
    format!("http://{address}/metrics{}", not_now(address))
}

/// What is to be said of an address that this machine does not have yet.
fn not_now(address: SocketAddr) -> String {
    edge::port::why_absent(address).map_or(String::new(), |reason| format!("; not now: {reason}"))
}

fn page(web: &WebSettings) -> String {
    let who = match web.password {
        Some(_) => "with a password",
        None => "for users of this machine",
    };
    let may = if web.write { "; it may change thresholds in this file, and clips" } else { "" };
    format!("http://{}/, {who}{may}{}", web.listen, not_now(web.listen))
}

fn attachable(top: &TopSettings) -> String {
    let who = if top.mode == FileMode::default() { "the daemon's user only" } else { "anyone who may write to it" };
    let trouble = socket_trouble(top).map_or(String::new(), |reason| format!("; this does not work now: {reason}"));
    format!("{} (permissions {}), for {who}{trouble}", top.socket.display(), top.mode)
}

fn broker(mqtt: &MqttSettings, name: &str) -> String {
    let mut text = format!("{} as {:?}, topics {}/{name}/..", mqtt.url, mqtt.client_id, mqtt.topic);
    if let Some(user) = &mqtt.user {
        let with = if mqtt.password.is_some() { "a" } else { "no" };
        let _ = write!(text, ", user {user:?} with {with} password");
    }
    match (&mqtt.ca_file, mqtt.url.tls) {
        (Some(ca_file), _) => text.push_str(&format!(", trusting {}", ca_file.display())),
        (None, true) => text.push_str(", trusting the system's root certificates"),
        (None, false) => text.push_str(", not encrypted"),
    }
    if let Some((cert_file, _)) = &mqtt.client_cert {
        text.push_str(&format!(", identified by {}", cert_file.display()));
    }
    if let Some(prefix) = &mqtt.home_assistant {
        text.push_str(&format!("; announced to Home Assistant below {prefix}/"));
    }
    text
}

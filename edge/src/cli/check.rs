//! `earwitness check`: validates a configuration with the model it names, and says in words what it means.

use std::fmt::Write as _;
use std::io::Write as _;

use edge::Result;
use edge::capture::SourceSpec;
use edge::config::{MqttSettings, Overrides, Settings};
use edge::decide::{ClassRules, Rules};
use edge_frontend::{Manifest, NetworkKind};

use super::args::CheckArgs;
use super::stdout_error;

pub(super) fn check(args: &CheckArgs) -> Result<()> {
    let settings = Settings::load(Some(&args.config), &Overrides::default())?;
    super::logging::start("warn")?;
    let (model, engine) =
        super::load(settings.model_dir.as_deref(), settings.precision, |model| settings.model(model))?;
    let decision = settings.decision(&model.manifest)?;
    let rules = Rules::new(&model.manifest, &decision);

    let mut text = format!("{} is valid.\n\n", args.config.display());
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:10} {value}\n"));
    line("name", settings.name.clone());
    line("source", source(&settings));
    line("model", format!("{} in {}, {} labels", model.id(), model.dir.display(), model.manifest.labels.len()));
    line("network", network(&model.manifest));
    line("precision", format!("{}, which is {} on this machine", settings.precision, engine.precision()));
    line("events", "JSON lines on standard output".into());
    line("mqtt", settings.mqtt.as_ref().map_or("no".into(), |mqtt| broker(mqtt, &settings.name)));
    line("log", format!("{} on standard error", settings.log));
    text.push_str(&classes(&model.manifest, &rules, decision.window_ms));
    std::io::stdout().write_all(text.as_bytes()).map_err(stdout_error)
}

/// How the network is run.
fn network(manifest: &Manifest) -> String {
    let ms = |n_frames: usize| n_frames as f64 * manifest.frontend.hop_seconds() * 1e3;
    let (field_ms, pulse_ms) = (ms(manifest.network.receptive_field_frames), ms(manifest.network.pulse_frames));
    match manifest.network.kind {
        NetworkKind::Stream => format!("streaming, one output every {pulse_ms} ms"),
        NetworkKind::Window if pulse_ms > field_ms => {
            format!("a patch of {field_ms} ms every {pulse_ms} ms; what lies between two patches is not heard")
        }
        NetworkKind::Window => format!("a patch of {field_ms} ms every {pulse_ms} ms"),
    }
}

fn source(settings: &Settings) -> String {
    match &settings.source {
        SourceSpec::Mic { device: None } => "the default microphone".into(),
        SourceSpec::Mic { device: Some(device) } => format!("the microphone {device:?}"),
        SourceSpec::File(path) if settings.fast => format!("the recording {}, as fast as possible", path.display()),
        SourceSpec::File(path) => format!("the recording {}, in real time", path.display()),
        SourceSpec::Stdin { rate, format, channels } => {
            format!("standard input: {format} at {rate} Hz, {channels} channel(s)")
        }
    }
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
    text
}

/// The classes that are reported, those with the same rules together.
fn classes(manifest: &Manifest, rules: &Rules, window_ms: u32) -> String {
    let mut groups: Vec<(ClassRules, Vec<&str>)> = Vec::new();
    for (label, class) in manifest.labels.iter().zip(&rules.classes) {
        let Some(class) = class else { continue };
        match groups.iter_mut().find(|(rules, _)| rules == class) {
            Some((_, labels)) => labels.push(label),
            None => groups.push((*class, vec![label])),
        }
    }
    let mut text = String::new();
    for (class, labels) in groups {
        let ms = |n_frames: u64| (n_frames as f64 * rules.frame_period_s * 1e3).round();
        let _ = write!(
            text,
            "\n{}\n  begin when their score over {window_ms} ms reaches {} and end when it stays below {} for {} ms; events under {} ms \
             are not reported",
            labels.join(", "),
            class.threshold_on,
            class.threshold_off,
            ms(class.min_gap_frames),
            ms(class.min_duration_frames),
        );
        match class.cooldown_frames {
            0 => text.push_str(".\n"),
            n_frames => text.push_str(&format!(", nor is anything for {} ms after an event.\n", ms(n_frames))),
        }
    }
    text
}

//! `earwitness doctor`: looks at everything that a daemon needs, one thing after the other, and
//! says what to do about what is wrong. Changes nothing.

mod broker;
#[cfg(any(feature = "mqtt", feature = "webhook"))]
mod certificate;
mod finding;
mod machine;
mod model;
mod places;
mod sound;
mod webhook;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use edge::config::{Overrides, Settings};
use edge::model::Model;
use edge::{Error, Result};
use serde_json::json;

use self::finding::{CheckState, Finding};
use super::args::DoctorArgs;
use super::{SERVICE_CONFIG, is_of_service, own_config, stdout_error};

/// Width of the checks' names.
const NAME_WIDTH: usize = 13;
/// Width of the states' names.
const STATE_WIDTH: usize = 7;

pub(super) fn doctor(args: &DoctorArgs) -> Result<ExitCode> {
    edge::logging::start("off")?;
    let mut report = Report { json: args.json, findings: Vec::new() };
    let mut usual = [Some(PathBuf::from(SERVICE_CONFIG)), own_config()].into_iter().flatten();
    let config = args.config.clone().or_else(|| usual.find(|path| path.exists()));
    let as_service = config.as_deref().is_some_and(is_of_service);
    let overrides = Overrides { as_service, ..Overrides::default() };
    let settings = match Settings::load(config.as_deref(), &overrides) {
        Ok(settings) => {
            report.add(configuration(config.as_deref(), &settings))?;
            settings
        }
        Err(error) => {
            let missing = config.as_deref().filter(|config| !config.exists());
            let remedy = missing.map_or("correct it".into(), |config| {
                format!("name another file, or make one with `earwitness setup --out {}`", config.display())
            });
            let finding = Finding::problem("configuration", &error).advise(remedy);
            report.add(finding.advise("the checks below use the defaults"))?;
            Settings::load(None, &overrides)?
        }
    };
    report.add_all(machine::clock())?;
    let (findings, model) = model::check(&settings);
    report.add_all(findings)?;
    report.add_all(model::fitting(&settings, model.as_ref()))?;
    report.add_all(sound::permissions(&settings))?;
    let (is_named, is_daemon_running) = (settings.sources.len() > 1, machine::service_is_active());
    for source in &settings.sources {
        report.add_all(sound::source(source, is_named, model.as_ref(), is_daemon_running))?;
    }
    report.add_all(model::speed(&settings, model.as_ref()))?;
    report.add_all(machine::journal(&settings))?;
    report.add_all(places::clips(&settings))?;
    report.add_all(places::addresses(&settings, is_daemon_running))?;
    report.add_all(places::socket(&settings, is_daemon_running))?;
    report.add_all(broker::certificates(&settings))?;
    report.add_all(broker::connection(&settings))?;
    report.add_all(webhook::check(&settings))?;
    report.add_all(machine::service())?;
    report.finish()
}

/// What the configuration asks for.
fn configuration(config: Option<&Path>, settings: &Settings) -> Finding {
    let sinks = [
        settings.mqtt.as_ref().map(|mqtt| mqtt.url.to_string()),
        (!settings.webhooks.is_empty()).then(|| format!("{} webhooks", settings.webhooks.len())),
    ];
    let sinks: Vec<_> = ["standard output".to_string()].into_iter().chain(sinks.into_iter().flatten()).collect();
    let sources =
        if settings.sources.len() == 1 { "one source".into() } else { format!("{} sources", settings.sources.len()) };
    let what = format!("{sources}, events to {}", sinks.join(", "));
    let Some(config) = config else {
        return Finding::ok("configuration", format!("none, so the defaults apply: {what}"))
            .advise("`earwitness setup` writes one");
    };
    let finding = Finding::ok("configuration", format!("{} is valid: {what}", config.display()));
    match settings.notices.as_slice() {
        [] => finding,
        notices => {
            Finding::warning("configuration", notices.join("; ")).advise("bring it up to date; it works as it is")
        }
    }
}

/// Prints findings as they come, or all of them as one document at the end.
struct Report {
    json: bool,
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, finding: Finding) -> Result<()> {
        if !self.json {
            let text = finding.lines(NAME_WIDTH, STATE_WIDTH);
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(stdout_error)?;
        }
        self.findings.push(finding);
        Ok(())
    }

    fn add_all(&mut self, findings: impl IntoIterator<Item = Finding>) -> Result<()> {
        findings.into_iter().try_for_each(|finding| self.add(finding))
    }

    fn finish(self) -> Result<ExitCode> {
        let n = |state: CheckState| self.findings.iter().filter(|finding| finding.state == state).count();
        let (n_problems, n_warnings) = (n(CheckState::Problem), n(CheckState::Warning));
        let text = if self.json {
            json!({ "problems": n_problems, "warnings": n_warnings, "checks": self.findings }).to_string()
        } else {
            let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
            format!("\n{}, {}", count(n_problems, "problem"), count(n_warnings, "warning"))
        };
        writeln!(std::io::stdout(), "{text}").map_err(stdout_error)?;
        Ok(if n_problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What is wrong, without the option that it would be about on the command line.
fn reason(error: &Error) -> String {
    error.to_string()
}

/// The model's front end, or the one of most models.
fn frontend(model: Option<&Model>) -> edge_frontend::FrontendConfig {
    model.map_or_else(edge_frontend::FrontendConfig::student, |model| model.manifest.frontend.clone())
}

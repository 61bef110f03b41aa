//! A running daemon that is shown through its socket. Its configuration stays as it is: thresholds
//! are only tried here.

use std::path::{Path, PathBuf};

use edge::config::top_socket;
use edge::show::{About, Attached, DEFAULT_SOCKET, DaemonNews, Message, PulseMessage, SourceHealth};
use edge::{Error, Result};

use super::origin::{Info, Origin, figures};
use super::view::{Label, Thresholds, View};
use crate::cli::SERVICE_CONFIG;

/// A daemon and what is known of it.
pub(super) struct Daemon {
    attached: Attached,
    about: About,
    health: Vec<SourceHealth>,
    /// Which source is looked at.
    at: usize,
    /// Why nothing comes at the moment.
    lost: Option<String>,
}

/// The socket that is meant: as typed, as configured, or the usual one.
///
/// # Errors
///
/// When the configuration cannot be read, or names none.
pub(super) fn socket(typed: Option<&Path>, config: Option<&Path>) -> Result<PathBuf> {
    if let Some(typed) = typed {
        return edge::config::at_home(typed).map_err(|reason| Error::usage("--attach", reason));
    }
    if let Some(config) = config {
        let named = top_socket(config)?;
        let reason =
            format!("{} has no socket in [top], so no terminal can attach to its daemon: set one", config.display());
        return named.ok_or_else(|| Error::usage("--attach", reason));
    }
    // A configuration that cannot be read, or has no socket, says nothing about the running daemon.
    Ok(top_socket(Path::new(SERVICE_CONFIG)).ok().flatten().unwrap_or_else(|| DEFAULT_SOCKET.into()))
}

impl Daemon {
    /// Attaches to the daemon that listens at `socket`.
    ///
    /// # Errors
    ///
    /// When there is none, or it does not let this user attach.
    pub(super) fn attach(socket: &Path, view: &mut View) -> Result<Self> {
        let (attached, about) = Attached::start(socket)?;
        view.set_labels(labels(&about));
        Ok(Daemon { attached, about, health: Vec::new(), at: 0, lost: None })
    }

    fn show(&self, pulse: &PulseMessage, view: &mut View) {
        let bands = self.about.sources.get(pulse.source).and_then(|source| source.scale.as_ref());
        let (Some(bands), Some(columns)) = (bands, pulse.columns()) else { return };
        // What is not sent is not likely.
        let mut scores = vec![0.0; self.about.labels.len()];
        for (class_id, score) in &pulse.likely {
            scores.get_mut(*class_id).into_iter().for_each(|place| *place = *score);
        }
        view.take(&columns, &bands.centres_hz, pulse.level(), &scores);
    }
}

impl Origin for Daemon {
    fn collect(&mut self, view: &mut View) {
        for news in self.attached.news().collect::<Vec<_>>() {
            match news {
                DaemonNews::Lost(reason) => {
                    self.lost = Some(reason);
                    self.health.clear();
                }
                DaemonNews::Message(message) => {
                    self.lost = None;
                    match message {
                        Message::About(about) => {
                            view.set_labels(labels(&about));
                            self.at = self.at.min(about.sources.len().saturating_sub(1));
                            self.about = about;
                        }
                        Message::Pulses(pulses) => {
                            pulses
                                .iter()
                                .filter(|pulse| pulse.source == self.at)
                                .for_each(|pulse| self.show(pulse, view));
                        }
                        Message::Event(event) => view.add(event),
                        Message::Health(health) => self.health = health,
                        Message::Refused(_) => {}
                    }
                }
            }
        }
    }

    fn next(&mut self) {
        self.at = (self.at + 1) % self.about.sources.len().max(1);
    }

    fn adjust(&mut self, _: &View) {}

    fn info(&self, view: &View) -> Info {
        let About { name, sources, model, .. } = &self.about;
        let source = sources.get(self.at);
        let which = if sources.len() > 1 { format!(" ({} of {})", self.at + 1, sources.len()) } else { String::new() };
        let described = source.map_or(String::new(), |source| {
            // A device with one source has one name.
            let named = if source.name == *name { String::new() } else { format!("{}{which}: ", source.name) };
            format!("{named}{}, ", source.description)
        });
        let health = self.health.iter().find(|health| source.is_some_and(|source| source.name == health.source));
        let finding = health.and_then(|health| health.findings.first()).filter(|finding| finding.weight != "good");
        let complaint = match &self.lost {
            Some(reason) => Some(format!("{reason}; trying again every second")),
            None => finding.map(|finding| format!("{} {}", finding.words, finding.advice)),
        };
        Info {
            title: format!("attached to {name}: {described}{model}"),
            health: health.map_or(String::new(), |health| {
                let report = &health.report;
                figures(report.load, report.us_per_pulse, report.n_gaps, report.n_dropped, report.n_clipped)
            }),
            complaint,
            note: view.is_changed().then_some("*: tried here only"),
        }
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

fn labels(about: &About) -> Vec<Label> {
    let label = |label: &edge::show::LabelAbout| Label {
        name: label.label.clone(),
        is_background: label.background,
        configured: label.on.zip(label.off).map(|(on, off)| Thresholds { on: on as f32, off: off as f32 }),
    };
    about.labels.iter().map(label).collect()
}

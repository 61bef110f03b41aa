//! The contract between a model and whoever runs it: `models/<name>/manifest.toml`. Enters: its
//! text; leaves: a validated [`Manifest`]. The trainer writes it and the daemon reads it with this
//! same code; files are the caller's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::decision::Decision;
use crate::error::expect;
use crate::{Error, FrontendConfig};

/// The version of the manifest's layout that this code reads and writes.
pub const MANIFEST_VERSION: u32 = 1;

/// Most log-mel frames from one output of a network to the next.
pub const MAX_PULSE_FRAMES: usize = 1024;

/// Everything that a program has to know to run a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout version, [`MANIFEST_VERSION`].
    pub manifest_version: u32,
    /// Name of the model, such as `home`.
    pub name: String,
    /// Version of the model, such as `1.0.0`.
    pub version: String,
    /// Name of each output of the network, in order.
    pub labels: Vec<String>,
    /// The label, if any, that stands for "nothing of the above": it takes part in the softmax and
    /// is never an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// [`FrontendConfig::hash`] of `frontend`, as the trainer computed it.
    pub frontend_hash: String,
    /// The front end that the network was trained with.
    pub frontend: FrontendConfig,
    /// How the network is run.
    pub network: Network,
    /// The network's files.
    pub files: Files,
    /// How its outputs become events.
    pub decision: Decision,
    /// Measured figures by name, such as `kitchen20_official_top1`.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// What it was trained on and on which terms it may be used.
    pub data: DataNotes,
}

/// How the network is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Streaming or windowed.
    pub kind: NetworkKind,
    /// Log-mel frames that the network is fed at once; also the frames from one of its outputs to
    /// the next. Of a windowed network this is the hop from one patch to the next, which a
    /// configuration may replace.
    pub pulse_frames: usize,
    /// Log-mel frames that one output depends on; of a windowed network, the length of its patch.
    pub receptive_field_frames: usize,
    /// Outputs at the start of a stream that do not have their whole receptive field yet:
    /// `ceil(receptive_field_frames / pulse_frames) - 1`.
    pub output_delay: usize,
    /// From logits to posteriors.
    pub activation: Activation,
    /// Time from the middle of the slot that an output stands for to the end of its receptive
    /// field: a network that was trained to say what is later or earlier than the middle of it says
    /// so here. Half of the field where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookahead_ms: Option<f64>,
}

/// How a network consumes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// Time axis symbolic, no padding in time: run pulse by pulse with state.
    Stream,
    /// Any network of a fixed shape: a patch of frames in, one output out. Run anew for every
    /// patch.
    Window,
}

/// From logits to posteriors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Classes exclude each other.
    Softmax,
    /// Each class on its own.
    Sigmoid,
    /// Nothing to do: the outputs are the posteriors of classes that exclude each other, and add up
    /// to 1. For windowed networks only.
    Posterior,
}

/// The network's files, relative to the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Single precision.
    pub f32: ModelFile,
    /// Quantized to 8 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8: Option<ModelFile>,
}

/// Arithmetic of a network file: which of [`Files`] it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single-precision floating point.
    F32,
    /// Convolutions in 8-bit integers, the head in single precision.
    Int8,
}

impl Precision {
    /// The name used in options, manifests and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Int8 => "int8",
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Its name in the manifest's folder.
    pub path: String,
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// What the model was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataNotes {
    /// Data sets and what was done with them.
    pub training: String,
    /// Terms of the weights.
    pub licence: String,
}

impl Manifest {
    /// Reads and validates the text of a `manifest.toml`.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`] with line and field for text that does not parse; otherwise as
    /// [`validate`](Self::validate).
    pub fn parse(text: &str) -> Result<Self, Error> {
        let manifest: Self =
            toml::from_str(text).map_err(|error| Error::Syntax { message: error.to_string().trim_end().into() })?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// The text of `manifest.toml`.
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate): an invalid manifest is not written.
    pub fn to_toml(&self) -> Result<String, Error> {
        self.validate()?;
        toml::to_string(self).map_err(|error| Error::Syntax { message: error.to_string() })
    }

    /// Checks that the fields agree with each other.
    ///
    /// # Errors
    ///
    /// [`Error::Manifest`] or [`Error::Frontend`] naming the first field that does not hold.
    pub fn validate(&self) -> Result<(), Error> {
        expect(self.manifest_version == MANIFEST_VERSION, "manifest_version", MANIFEST_VERSION, self.manifest_version)?;
        expect(!self.name.is_empty(), "name", "a name", "empty")?;
        expect(!self.version.is_empty(), "version", "a version", "empty")?;
        self.validate_labels()?;
        self.frontend.validate()?;
        expect(self.frontend_hash == self.frontend.hash(), "frontend_hash", self.frontend.hash(), &self.frontend_hash)?;
        self.network.validate()?;
        if let Some(ms) = self.network.lookahead_ms {
            let n_field = self.network.field_samples(&self.frontend);
            let field_ms = n_field as f64 / f64::from(self.frontend.sample_rate) * 1e3;
            let within = format!("0 to {field_ms}, the receptive field");
            expect((0.0..=field_ms).contains(&ms), "network.lookahead_ms", within, ms)?;
        }
        self.files.f32.validate("files.f32")?;
        if let Some(file) = &self.files.int8 {
            file.validate("files.int8")?;
        }
        self.validate_decision()
    }

    /// The index of `label`, whichever way its letters and their marks are put together: `é` may be
    /// one character or two (Unicode Standard Annex 15).
    pub fn class_of(&self, label: &str) -> Option<usize> {
        let exact = self.labels.iter().position(|known| known == label);
        exact.or_else(|| self.labels.iter().position(|known| known.nfc().eq(label.nfc())))
    }

    fn validate_labels(&self) -> Result<(), Error> {
        expect(!self.labels.is_empty(), "labels", "at least one label", "empty")?;
        for (at, label) in self.labels.iter().enumerate() {
            // Labels become MQTT topic levels.
            let fits = !label.is_empty() && !label.contains(['/', '+', '#']) && !label.contains(char::is_control);
            expect(
                fits,
                &format!("labels[{at}]"),
                "a name without '/', '+', '#' and control characters",
                format!("{label:?}"),
            )?;
            expect(
                !self.labels[..at].iter().any(|other| other.nfc().eq(label.nfc())),
                &format!("labels[{at}]"),
                "distinct labels",
                format!("{label:?} again"),
            )?;
        }
        if let Some(background) = &self.background {
            expect(self.labels.contains(background), "background", "one of labels", format!("{background:?}"))?;
        }
        Ok(())
    }

    fn validate_decision(&self) -> Result<(), Error> {
        let decision = &self.decision;
        if let Some(energy) = decision.min_energy {
            let fits = self.network.activation == Activation::Softmax;
            expect(fits, "decision.min_energy", "none without activation = \"softmax\"", energy)?;
        }
        for label in decision.classes.keys() {
            let field = format!("decision.classes.{label}");
            expect(self.labels.contains(label), &field, "one of labels", format!("{label:?}"))?;
        }
        decision.validate()
    }
}

impl Network {
    /// The same network with another hop: `output_delay` follows from it.
    #[must_use]
    pub fn with_pulse(self, pulse_frames: usize) -> Self {
        let output_delay = output_delay(self.receptive_field_frames, pulse_frames);
        Self { pulse_frames, output_delay, ..self }
    }

    /// Samples that one output depends on: `(receptive_field_frames - 1) hop_length + win_length`.
    pub fn field_samples(&self, frontend: &FrontendConfig) -> usize {
        (self.receptive_field_frames - 1) * frontend.hop_length + frontend.win_length
    }

    /// Samples from the beginning of an output's receptive field to the middle of the slot that the
    /// output stands for: the field less `lookahead_ms`, or half of the field.
    pub fn slot_samples(&self, frontend: &FrontendConfig) -> f64 {
        let n_field = self.field_samples(frontend) as f64;
        n_field - self.lookahead_ms.map_or(n_field / 2.0, |ms| ms / 1e3 * f64::from(frontend.sample_rate))
    }

    /// The same in log-mel frames, from the middle of the field's first frame: at `k` the slot's
    /// middle is that of frame `k` of the field. As frame `k` hears the samples from `k hop_length`
    /// to `k hop_length + win_length`, this is `(slot_samples - win_length / 2) / hop_length`; half
    /// of `receptive_field_frames - 1` without `lookahead_ms`.
    pub fn slot_frames(&self, frontend: &FrontendConfig) -> f64 {
        (self.slot_samples(frontend) - frontend.win_length as f64 / 2.0) / frontend.hop_length as f64
    }

    fn validate(&self) -> Result<(), Error> {
        let Self { pulse_frames, receptive_field_frames, output_delay, .. } = *self;
        let whole = format!("1 to {MAX_PULSE_FRAMES}");
        expect((1..=MAX_PULSE_FRAMES).contains(&pulse_frames), "network.pulse_frames", whole, pulse_frames)?;
        expect(
            (1..=16_384).contains(&receptive_field_frames),
            "network.receptive_field_frames",
            "1 to 16384",
            receptive_field_frames,
        )?;
        let delay = self::output_delay(receptive_field_frames, pulse_frames);
        expect(output_delay == delay, "network.output_delay", delay, output_delay)?;
        // Means over time are taken of a stream's logits, which posteriors are not.
        let fits = self.kind == NetworkKind::Window || self.activation != Activation::Posterior;
        expect(fits, "network.activation", "softmax or sigmoid with kind = \"stream\"", "posterior")
    }
}

/// Outputs at the start of a stream that would begin before it. `pulse_frames` is at least 1.
fn output_delay(receptive_field_frames: usize, pulse_frames: usize) -> usize {
    receptive_field_frames.div_ceil(pulse_frames).saturating_sub(1)
}

impl ModelFile {
    fn validate(&self, field: &str) -> Result<(), Error> {
        let plain = !self.path.is_empty() && !self.path.contains(['/', '\\']) && self.path != "..";
        expect(plain, &format!("{field}.path"), "a file name in the manifest's folder", format!("{:?}", self.path))?;
        let hex =
            self.sha256.len() == 64 && self.sha256.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        expect(hex, &format!("{field}.sha256"), "64 lower-case hexadecimal digits", format!("{:?}", self.sha256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{ClassDecision, Smoothing};

    fn manifest() -> Manifest {
        let frontend = FrontendConfig::student();
        Manifest {
            manifest_version: MANIFEST_VERSION,
            name: "test".into(),
            version: "1.0.0".into(),
            labels: vec!["dog".into(), "rain".into(), "background".into()],
            background: Some("background".into()),
            frontend_hash: frontend.hash(),
            frontend,
            network: Network {
                kind: NetworkKind::Stream,
                pulse_frames: 8,
                receptive_field_frames: 59,
                output_delay: 7,
                activation: Activation::Softmax,
                lookahead_ms: None,
            },
            files: Files { f32: ModelFile { path: "model.onnx".into(), sha256: "0".repeat(64) }, int8: None },
            decision: Decision {
                temperature: 1.0,
                smoothing: Smoothing::Mean,
                min_energy: None,
                max_duration_ms: 60_000,
                window_ms: 1000,
                threshold_on: 0.6,
                threshold_off: 0.3,
                min_duration_ms: 160,
                min_gap_ms: 300,
                cooldown_ms: 0,
                classes: BTreeMap::from([(
                    "dog".into(),
                    ClassDecision { threshold_on: Some(0.5), ..Default::default() },
                )]),
            },
            metrics: BTreeMap::from([("top1".into(), 0.5)]),
            data: DataNotes { training: "procedural".into(), licence: "none".into() },
        }
    }

    #[test]
    fn text_round_trips() {
        let text = manifest().to_toml().unwrap();
        assert_eq!(Manifest::parse(&text).unwrap(), manifest());
    }

    #[test]
    fn a_windowed_networks_hop_can_be_replaced() {
        let network = Network { kind: NetworkKind::Window, activation: Activation::Posterior, ..manifest().network };
        for (pulse_frames, output_delay) in [(1, 58), (8, 7), (59, 0), (60, 0)] {
            let network = network.clone().with_pulse(pulse_frames);
            assert_eq!((network.pulse_frames, network.output_delay), (pulse_frames, output_delay));
            let text = Manifest { network, ..manifest() }.to_toml().unwrap();
            assert!(text.contains("kind = \"window\"") && text.contains("activation = \"posterior\""), "{text}");
            Manifest::parse(&text).unwrap();
        }
    }

    #[test]
    fn a_slot_lies_in_the_middle_of_the_field_or_before_its_end() {
        let Manifest { frontend, mut network, .. } = manifest();
        let (hop, win) = (frontend.hop_length as f64, frontend.win_length as f64);
        assert_eq!(network.field_samples(&frontend), 58 * frontend.hop_length + frontend.win_length);
        assert_eq!(network.slot_frames(&frontend), 29.0);
        assert_eq!(network.slot_samples(&frontend), (58.0 * hop + win) / 2.0);
        // 320 ms are 32 frames of 10 ms. The middle of the last frame lies half of a window before
        // the field's end.
        network.lookahead_ms = Some(320.0);
        let expected = 58.0 - (32.0 - win / 2.0 / hop);
        assert!((network.slot_frames(&frontend) - expected).abs() < 1e-9, "{}", network.slot_frames(&frontend));
    }

    #[test]
    fn every_contradiction_names_its_field() {
        type Spoil = fn(&mut Manifest);
        let cases: [(&str, Spoil); 21] = [
            ("manifest_version", |m| m.manifest_version = 2),
            ("labels", |m| m.labels.clear()),
            ("labels[1]", |m| m.labels[1] = "dog".into()),
            ("labels[1]", |m| m.labels[..2].clone_from_slice(&["\u{e9}".into(), "e\u{301}".into()])),
            ("labels[0]", |m| m.labels[0] = "a/b".into()),
            ("background", |m| m.background = Some("silence".into())),
            ("frontend_hash", |m| m.frontend.hop_length = 120),
            ("network.pulse_frames", |m| m.network.pulse_frames = 0),
            ("network.output_delay", |m| m.network.output_delay = 8),
            ("network.activation", |m| m.network.activation = Activation::Posterior),
            ("network.lookahead_ms", |m| m.network.lookahead_ms = Some(1000.0)),
            ("files.f32.path", |m| m.files.f32.path = "../model.onnx".into()),
            ("files.f32.sha256", |m| m.files.f32.sha256 = "abc".into()),
            ("decision.window_ms", |m| m.decision.window_ms = 0),
            ("decision.temperature", |m| m.decision.temperature = 0.0),
            ("decision.min_energy", |m| m.decision.min_energy = Some(f32::NAN)),
            ("decision.min_energy", |m| {
                m.network.activation = Activation::Sigmoid;
                m.decision.min_energy = Some(1.0);
            }),
            ("decision.max_duration_ms", |m| m.decision.max_duration_ms = 100),
            ("decision.classes.dog.window_ms", |m| {
                m.decision.classes.get_mut("dog").unwrap().window_ms = Some(60_001);
            }),
            ("decision.threshold_off", |m| m.decision.threshold_off = 0.7),
            ("decision.classes.cat", |m| {
                m.decision.classes.insert("cat".into(), ClassDecision::default());
            }),
        ];
        for (name, spoil) in cases {
            let mut spoilt = manifest();
            spoil(&mut spoilt);
            match spoilt.validate() {
                Err(Error::Manifest { field, .. }) => assert_eq!(field, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn only_the_mean_remains_of_the_smoothings() {
        let text = manifest().to_toml().unwrap();
        assert!(!text.contains("smoothing"), "{text}");
        let with = |name: &str| text.replace("[decision]\n", &format!("[decision]\nsmoothing = {name:?}\n"));
        assert_eq!(Manifest::parse(&with("mean")).unwrap(), manifest());
        let line = 1 + with("").lines().position(|line| line.starts_with("smoothing")).unwrap();
        for removed in ["ema", "median", "n-of-m", "max"] {
            let message = Manifest::parse(&with(removed)).unwrap_err().to_string();
            assert!(message.contains(&format!("line {line}, ")), "{message}");
            assert!(message.contains(&format!("smoothing {removed:?} is not available: only \"mean\" ")), "{message}");
            assert!(message.ends_with("(docs/experiments.md)"), "{message}");
        }
    }

    #[test]
    fn unknown_and_missing_fields_name_their_line() {
        let text = manifest().to_toml().unwrap();
        let unknown = text.replace("hop_length", "hop_size");
        let message = Manifest::parse(&unknown).unwrap_err().to_string();
        assert!(message.contains("hop_size") && message.contains("line"), "{message}");
        let missing = text.replace("frontend_hash", "#");
        let message = Manifest::parse(&missing).unwrap_err().to_string();
        assert!(message.contains("frontend_hash"), "{message}");
    }
}

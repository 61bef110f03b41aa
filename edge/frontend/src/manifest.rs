//! The contract between a model and the program that runs it: `models/<name>/manifest.toml`.
//! Enters: its text; leaves: a validated [`Manifest`]. The trainer writes it and the daemon reads
//! it with this same code; files are the caller's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::decision::Decision;
use crate::error::expect;
use crate::{Error, FrontendConfig};

/// Name of the manifest in a model folder.
pub const MANIFEST_FILE: &str = "manifest.toml";

/// Name of the head in the folder of a model whose network is put together on the user's machine.
pub const HEAD_FILE: &str = "head.safetensors";

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
    /// Any network of a fixed shape: a patch of frames in, one output out. Each patch is
    /// computed by itself.
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
mod tests;

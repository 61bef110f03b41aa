//! A recording through the daemon's pipeline: samples enter, everything that the network and the
//! decide stage put out leaves.

use std::path::Path;
use std::sync::mpsc;

use edge_evaluate::Detection;
use edge_evaluate::plot::Spectrogram;
use edge_frontend::FrontendConfig;

use super::detections::Detections;
use crate::audio::AudioReader;
use crate::decide::Rules;
use crate::engine::{PrecisionChoice, load_engine};
use crate::error::Result;
use crate::model::Model;
use crate::pipeline::{Chain, repair};

/// Samples enter the pipeline in blocks of this many to the second, as a sound interface would
/// deliver them. This is the precision of the times at which something was reported.
const BLOCKS_PER_S: u64 = 100;

/// What was heard in a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Length of the recording, seconds.
    pub duration_s: f64,
    /// Length of a frame of logits.
    pub n_classes: usize,
    /// By output of the network: where its receptive field begins in the recording, seconds.
    pub t_start_s: Vec<f64>,
    /// By output: how much of the recording had entered the pipeline when it came out, seconds, to
    /// 10 ms. Outputs that came out when the recording had ended have its duration.
    pub t_heard_s: Vec<f64>,
    /// By output: level of the loudest pulse in the receptive field, dBFS.
    pub level_dbfs: Vec<f32>,
    /// `(n_outputs, n_classes)`, row-major.
    pub logits: Vec<f32>,
    /// What the pipeline reported, in that order.
    pub detections: Vec<Detection>,
}

impl Heard {
    /// Outputs of the network.
    pub fn n_outputs(&self) -> usize {
        self.t_start_s.len()
    }
}

/// Runs the recording at `path` through the daemon's pipeline with `model` and `rules`.
///
/// # Errors
///
/// When the file cannot be decoded, its rate not be converted to the model's, or the network not be
/// loaded or run.
pub fn listen(model: &Model, rules: &Rules, precision: PrecisionChoice, path: &Path) -> Result<Heard> {
    let mut reader = AudioReader::open(path)?;
    let sample_rate = reader.sample_rate();
    let engine = load_engine(model, precision)?;
    let chain = Chain::new(&model.manifest, rules.clone(), engine, sample_rate, Default::default())?;
    let heard = hear(chain, |block| reader.next_block(block))?;
    reader.log_damage();
    Ok(heard)
}

/// Runs a fresh `chain` over the samples that `next_block` hands out, until it returns `false`.
///
/// # Errors
///
/// Those of `next_block`, and when the network fails.
pub fn hear(mut chain: Chain, mut next_block: impl FnMut(&mut Vec<f32>) -> Result<bool>) -> Result<Heard> {
    let n_classes = chain.n_classes();
    let (sender, outputs) = mpsc::channel();
    chain.observe(Box::new(move |output| {
        // The receiver lives as long as the chain.
        let _ = sender.send((output.t_start_s, output.level_dbfs, output.logits.to_vec()));
    }));
    let mut heard = Heard {
        duration_s: 0.0,
        n_classes,
        t_start_s: Vec::new(),
        t_heard_s: Vec::new(),
        level_dbfs: Vec::new(),
        logits: Vec::new(),
        detections: Vec::new(),
    };
    let mut detections = Detections::new(n_classes);
    let mut transitions = Vec::new();
    let mut keep = |transitions: &mut Vec<_>, t_s: f64| {
        transitions.drain(..).for_each(|transition| detections.take(&transition, t_s));
        for (t_start_s, level_dbfs, logits) in outputs.try_iter() {
            heard.t_start_s.push(t_start_s);
            heard.t_heard_s.push(t_s);
            heard.level_dbfs.push(level_dbfs);
            heard.logits.extend_from_slice(&logits);
        }
    };
    let block_len = (u64::from(chain.sample_rate()) / BLOCKS_PER_S).max(1);
    let mut decoded = Vec::new();
    let mut n_pushed = 0;
    while next_block(&mut decoded)? {
        repair(&mut decoded);
        let mut rest = &decoded[..];
        while !rest.is_empty() {
            // Blocks end at the same samples however the file is cut into packets.
            let (block, after) = rest.split_at(rest.len().min((block_len - n_pushed % block_len) as usize));
            chain.push(block)?;
            transitions.extend(chain.transitions());
            keep(&mut transitions, chain.position_s());
            n_pushed += block.len() as u64;
            rest = after;
        }
    }
    chain.finish()?;
    transitions.extend(chain.transitions());
    keep(&mut transitions, chain.position_s());
    heard.duration_s = chain.position_s();
    heard.detections = detections.finish();
    Ok(heard)
}

/// The spectrogram of the recording at `path`, by the front end of a model.
///
/// # Errors
///
/// When the file cannot be decoded or its rate not be converted.
pub fn spectrogram(frontend: &FrontendConfig, path: &Path) -> Result<Spectrogram> {
    let mut reader = AudioReader::open(path)?;
    Spectrogram::of(frontend, reader.sample_rate(), |block| reader.next_block(block))
}

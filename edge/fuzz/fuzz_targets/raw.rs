//! Samples of any value at any rate: the whole pipeline goes through, and events lie within the
//! recording.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use edge::decide::Rules;
use edge::engine::{Engine, Precision, StreamEngine};
use edge::heard::hear;
use edge::model::Model;
use edge::pipeline::Chain;
use libfuzzer_sys::fuzz_target;

const RATES: [u32; 6] = [8_000, 11_025, 16_000, 24_000, 44_100, 48_000];

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tiny");
    Model::load(&folder).expect("the fixture's model")
});

/// One engine for all executions: optimising a network takes longer than running it.
struct Shared(Arc<Mutex<StreamEngine>>);

static ENGINE: LazyLock<Arc<Mutex<StreamEngine>>> = LazyLock::new(|| {
    Arc::new(Mutex::new(StreamEngine::load(&MODEL, Precision::F32).expect("the fixture's network")))
});

impl Shared {
    fn engine(&self) -> MutexGuard<'_, StreamEngine> {
        self.0.lock().expect("a panic ends the fuzzer")
    }
}

impl Engine for Shared {
    fn n_classes(&self) -> usize {
        self.engine().n_classes()
    }
    fn n_mels(&self) -> usize {
        self.engine().n_mels()
    }
    fn pulse_frames(&self) -> usize {
        self.engine().pulse_frames()
    }
    fn receptive_field_frames(&self) -> usize {
        self.engine().receptive_field_frames()
    }
    fn output_delay(&self) -> usize {
        self.engine().output_delay()
    }
    fn push(&mut self, frames: &[f32], logits: &mut [f32]) -> edge::Result<bool> {
        self.engine().push(frames, logits)
    }
    fn clip_logits(&mut self, frames: &[f32]) -> edge::Result<Vec<f32>> {
        self.engine().clip_logits(frames)
    }
    fn reset(&mut self) -> edge::Result<()> {
        self.engine().reset()
    }
    fn another(&self) -> edge::Result<Box<dyn Engine>> {
        self.engine().another()
    }
    fn precision(&self) -> Precision {
        self.engine().precision()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let rate = RATES[usize::from(*first) % RATES.len()];
    // Half of the inputs are floats of any bits, half 16-bit samples.
    let samples: Vec<f32> = if first & 0x80 == 0 {
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    } else {
        bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect()
    };
    let mut engine = Shared(ENGINE.clone());
    engine.reset().expect("it can begin again");
    let manifest = &MODEL.manifest;
    let rules = Rules::new(manifest, &manifest.decision);
    let chain = Chain::new(manifest, rules, Box::new(engine), rate, Default::default()).expect("a usual rate");
    let mut blocks = samples.chunks(1000);
    let heard = hear(chain, |block| {
        block.clear();
        let next = blocks.next();
        block.extend_from_slice(next.unwrap_or_default());
        Ok(next.is_some())
    })
    .expect("no samples stop it");
    assert!((heard.duration_s - samples.len() as f64 / f64::from(rate)).abs() < 1e-9);
    assert!(heard.logits.iter().all(|logit| logit.is_finite()));
    for found in &heard.detections {
        assert!(0.0 <= found.onset_s && found.onset_s <= found.offset_s && found.offset_s <= heard.duration_s);
        assert!((0.0..=1.0).contains(&found.score));
    }
});

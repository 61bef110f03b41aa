//! Samples of any value at any rate: the whole pipeline goes through, and events lie within the recording.
#![no_main]

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use edge::decide::Rules;
use edge::engine::{Engine, Precision, StreamEngine};
use edge::evaluate::hear;
use edge::model::Model;
use edge::pipeline::Chain;
use libfuzzer_sys::fuzz_target;

const RATES: [u32; 6] = [8_000, 11_025, 16_000, 24_000, 44_100, 48_000];

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tiny");
    Model::load(&folder).expect("the fixture's model")
});

/// One engine for all executions: optimising a network takes longer than running it.
struct Shared(Rc<RefCell<StreamEngine>>);

// SAFETY: a fuzzer's process runs its target on one thread.
unsafe impl Send for Shared {}

impl Engine for Shared {
    fn n_classes(&self) -> usize {
        self.0.borrow().n_classes()
    }
    fn n_mels(&self) -> usize {
        self.0.borrow().n_mels()
    }
    fn pulse_frames(&self) -> usize {
        self.0.borrow().pulse_frames()
    }
    fn receptive_field_frames(&self) -> usize {
        self.0.borrow().receptive_field_frames()
    }
    fn output_delay(&self) -> usize {
        self.0.borrow().output_delay()
    }
    fn push(&mut self, frames: &[f32], logits: &mut [f32]) -> edge::Result<bool> {
        self.0.borrow_mut().push(frames, logits)
    }
    fn clip_logits(&mut self, frames: &[f32]) -> edge::Result<Vec<f32>> {
        self.0.borrow_mut().clip_logits(frames)
    }
    fn reset(&mut self) -> edge::Result<()> {
        self.0.borrow_mut().reset()
    }
    fn precision(&self) -> Precision {
        self.0.borrow().precision()
    }
}

fuzz_target!(|bytes: &[u8]| {
    thread_local!(static ENGINE: Rc<RefCell<StreamEngine>> =
        Rc::new(RefCell::new(StreamEngine::load(&MODEL, Precision::F32).expect("the fixture's network"))));
    let Some((first, bytes)) = bytes.split_first() else { return };
    let rate = RATES[usize::from(*first) % RATES.len()];
    // Half of the inputs are floats of any bits, half 16-bit samples.
    let samples: Vec<f32> = if first & 0x80 == 0 {
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    } else {
        bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect()
    };
    let engine = ENGINE.with(|engine| {
        engine.borrow_mut().reset().expect("it can begin anew");
        Shared(engine.clone())
    });
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

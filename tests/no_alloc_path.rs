//! Claim: the audio callback's path, and the worker's own stages, do not allocate after
//! construction.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::allocator::{CountingAllocator, count_allocations};
use edge::Result;
use edge::capture::Mono;
use edge::clips::{ClipSettings, Clips};
use edge::decide::Rules;
use edge::engine::{Engine, Precision};
use edge::live::{Feed, Tap};
use edge::model::Model;
use edge::pipeline::Chain;
use edge::ring::{Chunk, ring};
use edge::status::Status;
use edge_frontend::ClassDecision;
use tests::tiny;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn storing_a_device_block_does_not_allocate_even_in_an_overrun() {
    let status = Arc::new(Status::default());
    let (mut writer, mut reader) = ring(48_000, status.clone());
    let mut mono = Mono::new(2);
    let block: Vec<i16> = (0..2 * 960).map(|n| n as i16).collect();
    let mut buffer = vec![0.0; 4096];
    let mut n_gaps = 0;
    let n_allocations = count_allocations(|| {
        for turn in 0..1000 {
            mono.mix(&block, |samples| writer.write(samples));
            if turn % 100 == 99 {
                writer.mark_gap(17);
                loop {
                    match reader.read(&mut buffer) {
                        Chunk::Samples(n) => status.add_block(&buffer[..n], reader.n_queued() as u64),
                        Chunk::Gap(_) => n_gaps += 1,
                        Chunk::Empty | Chunk::Ended => break,
                    }
                }
            }
        }
    });
    assert_eq!(n_allocations, 0);
    assert!(n_gaps >= 9 && status.snapshot().n_overruns >= 9, "{:?}", status.snapshot());
}

#[test]
fn keeping_the_last_seconds_for_clips_does_not_allocate() {
    let dir = tempfile::tempdir().unwrap();
    let second = Duration::from_secs(1);
    let settings = ClipSettings {
        folder: dir.path().join("clips"),
        pre_roll: second,
        post_roll: second,
        max_length: 5 * second,
        max_bytes: 1_000_000,
        max_age: 86_400 * second,
    };
    let clips = Clips::start(&settings).unwrap();
    let recent = clips.listen_to("ear");
    recent.begin(48_000, 0);
    let block: Vec<f32> = (0..4096).map(|n| (n as f32 * 0.3).sin()).collect();
    let n_allocations = count_allocations(|| {
        // A minute, which is several times what is kept.
        for turn in 0..700 {
            recent.push(&block, None);
            if turn % 5 == 4 {
                recent.gap(17);
                recent.expect();
            }
        }
        recent.end();
    });
    assert_eq!(n_allocations, 0);
    clips.finish(Instant::now() + second);
}

/// A network of a few lines: the last pulse's loudest value speaks for class 1.
struct Loudest;

impl Engine for Loudest {
    fn n_classes(&self) -> usize {
        3
    }

    fn n_mels(&self) -> usize {
        64
    }

    fn pulse_frames(&self) -> usize {
        8
    }

    fn receptive_field_frames(&self) -> usize {
        8
    }

    fn output_delay(&self) -> usize {
        0
    }

    fn push(&mut self, frames: &[f32], logits: &mut [f32]) -> Result<bool> {
        logits.copy_from_slice(&[0.0, frames.iter().copied().fold(f32::MIN, f32::max), f32::MIN]);
        Ok(true)
    }

    fn clip_logits(&mut self, _: &[f32]) -> Result<Vec<f32>> {
        unreachable!("a chain has no clips")
    }

    fn reset(&mut self) -> Result<()> {
        Ok(())
    }

    fn another(&self) -> Result<Box<dyn Engine>> {
        Ok(Box::new(Loudest))
    }

    fn precision(&self) -> Precision {
        Precision::F32
    }
}

#[test]
fn from_samples_to_transitions_the_worker_does_not_allocate() {
    from_samples_to_transitions(None);
}

#[test]
fn a_tap_that_nobody_looks_at_does_not_allocate_neither_before_nor_after_a_viewer() {
    let tap = Tap::default();
    from_samples_to_transitions(Some(&tap));
    let viewer = tap.attach();
    let n_allocations = count_allocations(|| drop(viewer));
    assert_eq!(n_allocations, 0);
    from_samples_to_transitions(Some(&tap));
    assert!(tap.scale().is_some() && tap.recent_outputs().is_none());
}

fn from_samples_to_transitions(tap: Option<&Tap>) {
    let mut manifest = Model::load(&tiny::model()).unwrap().manifest;
    manifest.decision.classes.insert("tone".into(), ClassDecision { window_ms: Some(960), ..Default::default() });
    let samples: Vec<f32> =
        (0..10 * 44_100).map(|n| if n / 44_100 % 2 == 0 { 0.0 } else { (n as f32 * 0.3).sin() }).collect();
    let rules = Rules { level_gate_dbfs: Some(-20.0), ..Rules::new(&manifest, &manifest.decision) };
    let status = Arc::new(Status::default());
    let mut chain = Chain::new(&manifest, rules, Box::new(Loudest), 44_100, Arc::clone(&status)).unwrap();
    if let Some(tap) = tap {
        chain.show(Feed::new(tap, &manifest));
    }
    let mut n_transitions = 0;
    let n_allocations = count_allocations(|| {
        for block in samples.chunks(441) {
            chain.push(block).unwrap();
            n_transitions += chain.transitions().count();
        }
        chain.gap(10_000).unwrap();
        chain.gap(1_000_000).unwrap();
        for block in samples.chunks(4_096) {
            chain.push(block).unwrap();
            n_transitions += chain.transitions().count();
        }
        chain.finish().unwrap();
        n_transitions += chain.transitions().count();
    });
    assert_eq!(n_allocations, 0);
    let n_frames = status.snapshot().n_frames;
    assert!(n_frames > 1990 && n_transitions >= 20, "{n_frames} frames, {n_transitions} transitions");
}

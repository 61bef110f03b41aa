//! Claim: the audio callback's path, and the worker's own stages, do not allocate after construction.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use edge::capture::Mono;
use edge::decide::{Average, Decider, Output, Rules};
use edge::ring::{Chunk, ring};
use edge::status::Status;
use edge_frontend::{Activation, LogMel, Resampler, Smoothing};
use tests::alloc_counter::{CountingAllocator, count_allocations};

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
fn from_samples_to_transitions_the_worker_does_not_allocate() {
    let rules = one_class();
    let config = edge_frontend::FrontendConfig::student();
    let mut resampler = Resampler::new(44_100, config.sample_rate).unwrap();
    let mut log_mel = LogMel::new(&config).unwrap();
    let mut decider = Decider::new(rules);
    let samples: Vec<f32> =
        (0..10 * 44_100).map(|n| if n / 44_100 % 2 == 0 { 0.0 } else { (n as f32 * 0.3).sin() }).collect();
    let (mut n_frames, mut n_transitions) = (0_u64, 0);
    let n_allocations = count_allocations(|| {
        for block in samples.chunks(441) {
            resampler.process(block, |block| {
                log_mel.process(block, |frame| {
                    n_frames += 1;
                    if n_frames % 8 == 0 {
                        let level = frame.iter().copied().fold(f32::MIN, f32::max);
                        let logits = &[0.0, level];
                        let output = Output { t_start_s: n_frames as f64 * 0.01, level_dbfs: 0.0, logits };
                        decider.push(&output, |_| n_transitions += 1);
                    }
                });
            });
        }
        decider.flush(|_| n_transitions += 1);
    });
    assert_eq!(n_allocations, 0);
    assert!(n_frames > 990 && n_transitions >= 8, "{n_frames} frames, {n_transitions} transitions");
}

fn one_class() -> Rules {
    let class = edge::decide::ClassRules {
        window_frames: 3,
        threshold_on: 0.6,
        threshold_off: 0.4,
        min_duration_frames: 1,
        min_gap_frames: 1,
        cooldown_frames: 0,
        max_duration_frames: 1000,
    };
    Rules {
        activation: Activation::Softmax,
        average: Average::Logits,
        temperature: 1.0,
        smoothing: Smoothing::Mean,
        frame_period_s: 0.08,
        slot_offset_s: 0.1,
        lookback_frames: 12,
        level_gate_dbfs: None,
        min_energy: None,
        background: Some(0),
        classes: vec![None, Some(class)],
    }
}

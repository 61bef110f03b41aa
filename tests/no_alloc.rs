//! Claim: after construction the front end does not allocate.

#![allow(clippy::unwrap_used)]

use benches::allocator::{CountingAllocator, count_allocations};
use edge_frontend::{FrontendConfig, LogMel, Resampler};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn the_counter_counts() {
    assert_eq!(count_allocations(|| drop(std::hint::black_box(vec![1_u8; 10]))), 1);
}

#[test]
fn log_mel_and_resampler_do_not_allocate() {
    let samples: Vec<f32> = (0..48_000).map(|n| (n as f32 * 0.1).sin()).collect();
    for config in [FrontendConfig::student(), FrontendConfig::epic_sounds()] {
        for from_hz in [48_000, 44_100, 24_000, 16_000] {
            let mut resampler = Resampler::new(from_hz, config.sample_rate).unwrap();
            let mut log_mel = LogMel::new(&config).unwrap();
            let mut n_frames = 0;
            let n_allocations = count_allocations(|| {
                for block in samples.chunks(777) {
                    resampler.process(block, |block| log_mel.process(block, |_| n_frames += 1));
                }
                resampler.finish(|block| log_mel.process(block, |_| n_frames += 1));
                log_mel.finish(|_| n_frames += 1);
            });
            assert_eq!(n_allocations, 0, "{from_hz} Hz, {config:?}");
            assert!(n_frames > 90);
        }
    }
}

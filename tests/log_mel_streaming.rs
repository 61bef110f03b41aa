//! Claim: how a stream is cut into blocks changes no bit of the front end's output.

#![allow(clippy::unwrap_used)]

use edge_frontend::{FrontendConfig, LogMel, Resampler, log_mel, resample};
use proptest::prelude::*;

fn configs() -> impl Strategy<Value = FrontendConfig> {
    let odd = FrontendConfig { win_length: 301, hop_length: 700, centre_padding: true, ..FrontendConfig::student() };
    prop_oneof![Just(FrontendConfig::student()), Just(FrontendConfig::epic_sounds()), Just(odd)]
}

fn cut<'a>(mut samples: &'a [f32], sizes: &'a [usize]) -> impl Iterator<Item = &'a [f32]> {
    sizes.iter().cycle().map_while(move |&size| {
        let (block, rest) = samples.split_at(size.min(samples.len()));
        samples = rest;
        (!block.is_empty()).then_some(block)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streamed_log_mel_equals_batch(
        config in configs(),
        samples in prop::collection::vec(-1.0_f32..1.0, 0..6000),
        sizes in prop::collection::vec(1_usize..2000, 1..12),
    ) {
        let batch = log_mel(&config, &samples).unwrap();
        let mut stream = LogMel::new(&config).unwrap();
        let mut streamed = Vec::new();
        for block in cut(&samples, &sizes) {
            stream.process(block, |frame| streamed.extend_from_slice(frame));
        }
        stream.finish(|frame| streamed.extend_from_slice(frame));
        prop_assert!(batch.iter().map(|x| x.to_bits()).eq(streamed.iter().map(|x| x.to_bits())));
        prop_assert_eq!(batch.len(), config.n_frames(samples.len()) * config.n_mels);
    }

    #[test]
    fn streamed_resampling_equals_batch(
        from_hz in prop::sample::select(vec![8_000_u32, 16_000, 24_000, 44_100, 48_000, 192_000]),
        samples in prop::collection::vec(-1.0_f32..1.0, 0..8000),
        sizes in prop::collection::vec(1_usize..3000, 1..12),
    ) {
        let batch = resample(from_hz, 24_000, &samples).unwrap();
        let mut stream = Resampler::new(from_hz, 24_000).unwrap();
        let mut streamed = Vec::new();
        for block in cut(&samples, &sizes) {
            stream.process(block, |block| streamed.extend_from_slice(block));
        }
        stream.finish(|block| streamed.extend_from_slice(block));
        prop_assert!(batch.iter().map(|x| x.to_bits()).eq(streamed.iter().map(|x| x.to_bits())));
    }
}

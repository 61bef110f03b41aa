//! Latency of each stage and of the whole chain, with the model that ships and the demo scene as
//! its sound.
//!
//! `chain/second` is the daemon's whole work for one second of audio, from device samples to
//! decisions: 10 ms of it are 1 % of a core. The input is the scene, second after second, so that
//! every kind of sound is in the mean.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use edge::decide::{Decider, Output, Rules};
use edge::engine::{Engine, Precision, StreamEngine};
use edge::pipeline::Chain;
use edge::status::Status;
use edge_frontend::{LogMel, Resampler, log_mel};

fn resampler(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resample");
    for from_hz in [48_000_u32, 44_100] {
        let samples = benches::scene(from_hz);
        let mut seconds = samples.chunks_exact(from_hz as usize).cycle();
        let mut resampler = Resampler::new(from_hz, 24_000).expect("a usual rate");
        group.throughput(Throughput::Elements(u64::from(from_hz)));
        group.bench_function(format!("{from_hz} to 24000, a second"), |bencher| {
            bencher.iter(|| {
                let second = seconds.next().expect("a cycle has no end");
                resampler.process(second, |block| {
                    black_box(block);
                });
            });
        });
    }
    group.finish();
}

fn front_end(criterion: &mut Criterion) {
    let model = benches::home();
    let config = &model.manifest.frontend;
    let samples = benches::scene(config.sample_rate);
    let mut hops = samples.chunks_exact(config.hop_length).cycle();
    let mut stage = LogMel::new(config).expect("the model's own front end");
    criterion.bench_function("log_mel/hop", |bencher| {
        bencher.iter(|| {
            stage.process(hops.next().expect("a cycle has no end"), |frame| {
                black_box(frame);
            });
        });
    });
}

fn engine(criterion: &mut Criterion) {
    let model = benches::home();
    let config = &model.manifest.frontend;
    let frames = log_mel(config, &benches::scene(config.sample_rate)).expect("the model's own front end");
    for (precision, there) in [(Precision::F32, true), (Precision::Int8, model.manifest.files.int8.is_some())] {
        if !there {
            continue;
        }
        let mut engine = StreamEngine::load(&model, precision).expect("the model's own network");
        let mut pulses = frames.chunks_exact(engine.pulse_frames() * config.n_mels).cycle();
        let mut logits = vec![0.0; engine.n_classes()];
        criterion.bench_function(&format!("engine/pulse {precision}"), |bencher| {
            bencher.iter(|| {
                let pulse = pulses.next().expect("a cycle has no end");
                engine.push(pulse, &mut logits).expect("a pulse of the engine's size");
                black_box(&logits);
            });
        });
    }
}

fn decide(criterion: &mut Criterion) {
    let model = benches::home();
    let (manifest, config) = (&model.manifest, &model.manifest.frontend);
    let frames = log_mel(config, &benches::scene(config.sample_rate)).expect("the model's own front end");
    let mut engine = StreamEngine::load(&model, Precision::F32).expect("the model's own network");
    let n_classes = engine.n_classes();
    let mut rows = Vec::new();
    for pulse in frames.chunks_exact(engine.pulse_frames() * config.n_mels) {
        let mut logits = vec![0.0; n_classes];
        if engine.push(pulse, &mut logits).expect("a pulse of the engine's size") {
            rows.push(logits);
        }
    }
    let rules = Rules::new(manifest, &manifest.decision);
    let period_s = rules.frame_period_s;
    let mut decider = Decider::new(rules);
    let mut pulses = (0_u64..).zip(rows.iter().cycle());
    criterion.bench_function("decide/pulse", |bencher| {
        bencher.iter(|| {
            let (index, logits) = pulses.next().expect("a cycle has no end");
            let output = Output { t_start_s: index as f64 * period_s, level_dbfs: 0.0, logits };
            decider.push(&output, |transition| {
                black_box(transition);
            });
        });
    });
}

fn chain(criterion: &mut Criterion) {
    let model = benches::home();
    let manifest = &model.manifest;
    let mut group = criterion.benchmark_group("chain");
    for rate in [24_000_u32, 48_000] {
        let samples = benches::scene(rate);
        let mut seconds = samples.chunks_exact(rate as usize).cycle();
        let engine = StreamEngine::load(&model, Precision::F32).expect("the model's own network");
        let rules = Rules::new(manifest, &manifest.decision);
        let mut chain = Chain::new(manifest, rules, Box::new(engine), rate, Arc::new(Status::default()))
            .expect("the model's own chain");
        group.bench_function(format!("second at {rate} Hz"), |bencher| {
            bencher.iter_batched(
                || seconds.next().expect("a cycle has no end"),
                // Blocks of 20 ms, as a sound card delivers them.
                |second| {
                    for block in second.chunks(rate as usize / 50) {
                        chain
                            .push(block, &mut |transition| {
                                black_box(transition);
                            })
                            .expect("the model's own network");
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, resampler, front_end, engine, decide, chain);
criterion_main!(benches);

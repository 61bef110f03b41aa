//! Features of recordings on all cores: files enter, entries of the cache leave.

use super::{WAV, median, range, student_recipe};
use std::time::Instant;
use tch::{Device, Kind};
use trainer::data::features::FeatureCache;
use trainer::data::segments::{Options, SegmentSet};

/// Recordings of a minute each.
const N_RECORDINGS: usize = 30;
const RECORDING_HZ: u32 = 44_100;

/// Checks a data set, reads and resamples its recordings, and writes their features to a cache. In
/// each turn, set and cache are new, so nothing is in memory already.
pub(super) fn measure(n_rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let spec = hound::WavSpec { sample_rate: RECORDING_HZ, ..WAV };
    let mut table = "file,label,fold,source_id\n".to_owned();
    for i in 0..N_RECORDINGS {
        let samples = tch::Tensor::randn([i64::from(60 * RECORDING_HZ)], (Kind::Float, Device::Cpu)) * 1000.0;
        let mut writer = hound::WavWriter::create(folder.path().join(format!("{i}.wav")), spec).unwrap();
        let samples = Vec::<f32>::try_from(samples).unwrap();
        samples.into_iter().for_each(|sample| writer.write_sample(sample as i16).unwrap());
        writer.finalize().unwrap();
        table += &format!("{i}.wav,class{:02},1,{i}\n", i % 2);
    }
    let csv = folder.path().join("clips.csv");
    std::fs::write(&csv, table).unwrap();
    let frontend = student_recipe().frontend;
    let hours_a_minute: Vec<f64> = (0..n_rounds)
        .map(|_| {
            let cache = tempfile::tempdir().unwrap();
            let cache = FeatureCache::new(cache.path(), &frontend).unwrap();
            let start = Instant::now();
            let set = SegmentSet::clips(&csv, folder.path(), &frontend, &Options::default()).unwrap();
            assert_eq!(set.frames(&cache).unwrap().len(), N_RECORDINGS);
            N_RECORDINGS as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    let (low, high) = range(&hours_a_minute);
    let cores = std::thread::available_parallelism().unwrap();
    println!("features of home-clips, {N_RECORDINGS} recordings of a minute at {RECORDING_HZ} Hz, {cores} cores");
    println!("hours of audio a minute {:.1} ({low:.1} to {high:.1})", median(hours_a_minute));
}

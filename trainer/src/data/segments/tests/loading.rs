//! Batches ahead of their use.

use super::*;
use rand::Rng as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Ten segments of 10 ms to 800 ms; sample 23,000 of the recording is NaN, which is in segment 9
/// alone.
fn segments(files: &Files) -> Arc<SegmentSet> {
    let mut samples = noise(24_000, 1);
    samples[23_000] = f32::NAN;
    let mut rows: Vec<_> = (0..9).map(|i| ("v", 10 * i, 20 * i + 10 + 70 * i)).collect();
    rows.push(("v", 950, 970));
    let csv = files.annotations(&rows);
    let hdf5 = files.hdf5(&[("v", &samples)]);
    Arc::new(SegmentSet::epic_sounds(&csv, &hdf5, &small_frontend(), &small_options()).unwrap())
}

/// Batches of any size, of any views.
fn plan(seed: u64, n_steps: u64, n_segments: usize) -> impl Fn(u64) -> Option<Vec<(usize, View)>> + Send + 'static {
    move |step| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed * 1000 + step);
        let mut item = || match rng.random_range(0..2) {
            0 => (rng.random_range(0..n_segments), View::Start(rng.random())),
            _ => (rng.random_range(0..n_segments), View::Test { index: rng.random_range(0..5), n_views: 5 }),
        };
        (step < n_steps).then(|| (0..(seed + step) % 7).map(|_| item()).collect())
    }
}

fn load_all(mut loader: Loader) -> Vec<std::result::Result<LoadedBatch, String>> {
    std::iter::from_fn(|| loader.next()).map(|batch| batch.map_err(|e| e.to_string())).collect()
}

#[test]
fn batches_depend_on_the_plan_alone() {
    let files = Files::new();
    let set = segments(&files);
    for seed in 0..12 {
        let plan_of = || plan(seed, 9, 10);
        let first_step = seed % 3;
        let expected: Vec<_> = (first_step..9)
            .map(|step| {
                let items = plan_of()(step).unwrap();
                let views = items.iter().map(|(segment, view)| set.view(*segment, *view));
                let features = views.collect::<Result<Vec<_>>>().map_err(|e| e.to_string())?.concat();
                Ok(LoadedBatch { step, segments: items.iter().map(|i| i.0).collect(), features })
            })
            .collect();
        for (depth, n_threads) in [(0, 1), (1, 1), (1, 3), (2, 2), (4, 1), (5, 4), (20, 3)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            let loaded = pool.install(|| load_all(Loader::new(set.clone(), plan_of(), first_step, depth)));
            assert!(loaded == expected, "seed {seed}, depth {depth}, {n_threads} threads");
        }
        assert!(load_all(Loader::new(set.clone(), plan_of(), first_step, 3)) == expected, "outside of a pool");
    }
}

#[test]
fn an_error_comes_in_its_place() {
    let files = Files::new();
    let view = View::Start(0.0);
    let plan = move |step| match step {
        0 => Some(vec![(0, view)]),
        1 => Some(vec![(3, view), (9, view), (9, view), (4, view)]),
        2 => Some(vec![(1, view), (2, view)]),
        _ => None,
    };
    let mut loader = Loader::new(segments(&files), plan, 0, 3);
    assert_eq!(loader.next().unwrap().unwrap().segments, [0]);
    let error = loader.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("annotations.csv:11: ") && error.contains("sample 23000 is NaN"), "{error}");
    let last = loader.next().unwrap().unwrap();
    assert_eq!((last.step, last.segments), (2, vec![1, 2]));
    assert!(loader.next().is_none() && loader.next().is_none());
}

#[test]
fn no_more_than_depth_batches_are_ahead() {
    let files = Files::new();
    let planned = Arc::new(AtomicU64::new(0));
    let count = planned.clone();
    let plan = move |step| {
        count.fetch_max(step + 1, Ordering::Relaxed);
        Some(vec![(step as usize % 9, View::Start(0.1)); 2])
    };
    let mut loader = Loader::new(segments(&files), plan, 0, 4);
    assert_eq!(planned.load(Ordering::Relaxed), 4);
    for step in 0..10 {
        assert_eq!(loader.next().unwrap().unwrap().step, step);
        assert_eq!(planned.load(Ordering::Relaxed), step + 5);
    }
}

#[test]
fn a_dropped_loader_leaves_off() {
    let files = Files::new();
    let samples = noise(24_000 * 20, 1);
    let rows: Vec<_> = (0..1000).map(|i| ("v", i, i + 10_000)).collect();
    let (csv, hdf5) = (files.annotations(&rows), files.hdf5(&[("v", &samples)]));
    let set = SegmentSet::epic_sounds(&csv, &hdf5, &FrontendConfig::epic_sounds(), &Options::default()).unwrap();
    let set = Arc::new(set);
    let plan = |step| Some((0..100).map(|i| (step as usize * 100 + i, View::Test { index: 1, n_views: 3 })).collect());
    drop(Loader::new(set.clone(), plan, 0, 10));
    let start = Instant::now();
    while Arc::strong_count(&set) > 1 {
        assert!(start.elapsed() < Duration::from_secs(30), "items of a dropped loader are still there");
        std::thread::sleep(Duration::from_millis(1));
    }
    // Test views are kept in memory, so what was computed can be counted.
    let n_computed = set.shared.features.n_bytes() / (400 * 128 * 4);
    assert!(n_computed < 500, "{n_computed} of 1000 views were computed");
}

#[test]
#[should_panic(expected = "view 5 of 5")]
fn a_panic_reaches_the_consumer() {
    let files = Files::new();
    let plan = |_| Some(vec![(0, View::Start(0.0)), (8, View::Test { index: 5, n_views: 5 })]);
    let _ = Loader::new(segments(&files), plan, 0, 2).next();
}

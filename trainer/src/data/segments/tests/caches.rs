//! What is held in memory and on disk, and how much is read.

use super::*;
use rayon::prelude::*;

fn n_entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn decoded_recordings_stay_within_their_bytes() {
    let files = Files::new();
    let mut paths = std::collections::HashMap::new();
    for i in 0..6 {
        paths.insert(i.to_string(), files.wav(&format!("{i}.wav"), 24_000, &noise(1000, i)));
    }
    // Room for three.
    let folder = Folder::new(paths.clone(), 24_000, 12_999);
    let ask = |i: u32| assert_eq!(*folder.samples(&i.to_string()).unwrap(), noise(1000, i));
    (0..3).for_each(ask);
    (0..3).for_each(ask);
    assert_eq!((folder.n_decoded(), folder.n_bytes()), (3, 12_000));
    ask(0);
    ask(3); // 1 was not used for longest
    assert_eq!((folder.n_decoded(), folder.n_bytes()), (4, 12_000));
    [0, 2, 3].into_iter().for_each(ask);
    assert_eq!(folder.n_decoded(), 4);
    ask(1);
    assert_eq!((folder.n_decoded(), folder.n_bytes()), (5, 12_000));

    // One that alone is too large is held while it is the last one asked for.
    let folder = Folder::new(paths, 24_000, 0);
    for i in [4, 4, 5, 5, 4] {
        assert_eq!(*folder.samples(&i.to_string()).unwrap(), noise(1000, i));
        assert_eq!(folder.n_bytes(), 4000);
    }
    assert_eq!(folder.n_decoded(), 3);
}

#[test]
fn threads_that_want_one_recording_wait_for_one_decoding() {
    let files = Files::new();
    let paths = [("v".to_owned(), files.wav("v.wav", 44_100, &noise(200_000, 1)))].into();
    let folder = Folder::new(paths, 24_000, 1 << 20);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    let lengths: Vec<usize> =
        pool.install(|| (0..32).into_par_iter().map(|_| folder.samples("v").unwrap().len()).collect());
    assert_eq!(lengths, [108_844; 32]);
    assert_eq!(folder.n_decoded(), 1);
}

#[test]
fn only_what_is_the_same_every_time_is_kept() {
    let files = Files::new();
    let samples = noise(24_000, 1);
    let hdf5 = files.hdf5(&[("v", &samples)]);
    let csv = files.annotations(&[("v", 0, 10), ("v", 100, 900)]);
    let cache = files.path("cache");
    let options = Options { cache: Some(cache.clone()), ..small_options() };
    let set = SegmentSet::epic_sounds(&csv, &hdf5, &small_frontend(), &options).unwrap();
    let long = set.view(1, View::Start(0.25)).unwrap();
    assert_eq!((set.shared.features.n_bytes(), n_entries(&cache)), (0, 0));
    let short = set.view(0, View::Start(0.25)).unwrap();
    assert_eq!((set.shared.features.n_bytes(), n_entries(&cache)), (11 * 8 * 4, 1), "not padded");
    assert_eq!(set.view(0, View::Test { index: 3, n_views: 5 }).unwrap(), short);
    assert_eq!(n_entries(&cache), 1);
    let tests: Vec<_> = (0..5).map(|index| set.view(1, View::Test { index, n_views: 5 }).unwrap()).collect();
    let full = 11 * 8 * 4 + 5 * 21 * 8 * 4;
    assert_eq!((set.shared.features.n_bytes(), n_entries(&cache)), (full, 6));

    // Another set finds the entries; one without room in memory as well.
    for feature_bytes in [0, 1 << 20] {
        let options = Options { feature_bytes, ..options.clone() };
        let set = SegmentSet::epic_sounds(&csv, &hdf5, &small_frontend(), &options).unwrap();
        assert_eq!(set.view(0, View::Start(0.5)).unwrap(), short);
        assert_eq!(set.view(1, View::Test { index: 4, n_views: 5 }).unwrap(), tests[4]);
        assert_eq!(set.view(1, View::Start(0.25)).unwrap(), long);
        assert_eq!((n_entries(&cache), set.shared.features.n_bytes() > 0), (6, feature_bytes > 0));
    }
    drop(set);

    // A damaged entry is made again; other audio, and another front end, are other entries.
    for entry in std::fs::read_dir(&cache).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let set = SegmentSet::epic_sounds(&csv, &hdf5, &small_frontend(), &options).unwrap();
    assert_eq!(set.view(0, View::Start(0.5)).unwrap(), short);
    let frontend = FrontendConfig { log_offset: 1e-5, ..small_frontend() };
    let set = SegmentSet::epic_sounds(&csv, &hdf5, &frontend, &options).unwrap();
    assert_ne!(set.view(0, View::Start(0.5)).unwrap(), short);
    assert_eq!(n_entries(&cache), 7);
    let others = Files::new();
    let changed = others.hdf5(&[("v", &noise(24_000, 2))]);
    let set = SegmentSet::epic_sounds(&csv, &changed, &small_frontend(), &options).unwrap();
    assert_ne!(set.view(0, View::Start(0.5)).unwrap(), short);
    assert_eq!(n_entries(&cache), 8);
}

#[test]
fn kept_features_stay_within_their_bytes() {
    let files = Files::new();
    let csv = files.annotations(&(0..10).map(|i| ("v", i, i + 10)).collect::<Vec<_>>());
    let one = 11 * 8 * 4;
    let options = Options { feature_bytes: 3 * one + 1, ..small_options() };
    let set = SegmentSet::epic_sounds(&csv, &files.hdf5(&[("v", &noise(2400, 1))]), &small_frontend(), &options);
    let set = set.unwrap();
    let first: Vec<_> = (0..10).map(|i| set.view(i, View::Start(0.0)).unwrap()).collect();
    assert_eq!(set.shared.features.n_bytes(), 3 * one);
    let again: Vec<_> = (0..10).map(|i| set.view(i, View::Start(0.0)).unwrap()).collect();
    assert_eq!(first, again);
}

/// Bytes that this thread has read from files.
#[cfg(target_os = "linux")]
fn n_bytes_read() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn of_a_long_recording_only_the_segment_is_read() {
    let files = Files::new();
    let samples = noise(2_400_000, 1); // 100 s, 9.6 MB
    let csv = files.annotations(&[("v", 5_000, 60_000)]);
    let chunked = files.path("chunked.hdf5");
    {
        let builder = File::create(&chunked).unwrap();
        builder.new_dataset_builder().with_data(&samples).chunk(16_384).deflate(1).create("v").unwrap();
    }
    for path in [files.hdf5(&[("v", &samples)]), chunked] {
        let before = n_bytes_read();
        let options = Options::default();
        let set = SegmentSet::epic_sounds(&csv, &path, &FrontendConfig::epic_sounds(), &options).unwrap();
        let opened = n_bytes_read();
        set.view(0, View::Start(0.5)).unwrap();
        let (to_open, to_view) = (opened - before, n_bytes_read() - opened);
        // A view has 192 kB; chunks of 64 kB add up to two at its ends, and the index of chunks is
        // read.
        assert!(to_open < 20_000 && (100_000..400_000).contains(&to_view), "{to_open}, {to_view}");
    }
}

//! Views against librosa, and against slices taken by hand.

use super::*;
use ndarray::Array3;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

#[test]
fn views_are_those_of_librosa() {
    // As in make_segments.py.
    const VIEWS: [(usize, usize); 10] =
        [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 3), (2, 0), (2, 4), (3, 0), (4, 0)];
    const FRAMES: [usize; 9] = [0, 1, 30, 50, 82, 150, 230, 350, 399];
    let frontend = FrontendConfig::epic_sounds();
    let options = Options { n_classes: None, ..Options::default() };
    let set = SegmentSet::epic_sounds(&golden("segments.csv"), &golden("segments.hdf5"), &frontend, &options).unwrap();
    assert_eq!(set.labels(), ["cut / chop", "water", "rustle"]);
    assert_eq!((set.n_frames(), set.n_mels()), (400, 128));
    let expected: Array3<f32> = ndarray_npy::read_npy(golden("segments.npy")).unwrap();
    assert_eq!(expected.dim(), (VIEWS.len(), FRAMES.len(), 128));
    let mut worst = 0f32;
    for (i, (segment, index)) in VIEWS.into_iter().enumerate() {
        let values = set.view(segment, View::Test { index, n_views: 5 }).unwrap();
        assert_eq!(values.len(), 400 * 128);
        for (j, frame) in FRAMES.into_iter().enumerate() {
            for band in 0..128 {
                worst = worst.max((values[frame * 128 + band] - expected[[i, j, band]]).abs());
            }
        }
    }
    assert!(worst < 1e-4, "{worst}");
}

#[test]
fn a_view_is_its_slice_and_nothing_around_it() {
    let (frontend, options) = (small_frontend(), small_options());
    let samples = noise(20_000, 3);
    let files = Files::new();
    // Lengths in samples: 480 (short), 491 (one below a view's 492), 2400 (long), and one that
    // stops past the end.
    let table = "annotation_id,video_id,start_timestamp,stop_timestamp\n\
                 a,v,00:00:00.100,00:00:00.120\nb,v,00:00:00.200,00:00:00.300\nc,v,00:00:00.800,00:00:00.900\n";
    let csv = files.write("t.csv", table);
    let set = SegmentSet::epic_sounds(&csv, &files.hdf5(&[("v", &samples)]), &frontend, &options).unwrap();
    assert_eq!(set.n_frames(), frontend.n_frames(491));
    let check = |segment, view, slice: std::ops::Range<usize>| {
        let values = set.view(segment, view).unwrap();
        assert_eq!(values, reference(&frontend, &samples[slice], set.n_frames()), "{segment} {view:?}");
    };
    let test = |index| View::Test { index, n_views: 5 };
    for view in [View::Start(0.7), test(0), test(4)] {
        check(0, view, 2400..2880);
    }
    check(1, View::Start(0.0), 4800..4800 + 491);
    check(1, View::Start(0.5), 4800 + 954..4800 + 954 + 491); // floor(0.5 * (2400 - 492 + 1))
    check(1, View::Start(0.9999), 4800 + 1908..4800 + 1908 + 491);
    for (index, start) in [0, 477, 954, 1431, 1908].into_iter().enumerate() {
        check(1, test(index), 4800 + start..4800 + start + 491);
    }
    // 19,200 to 21,600, of which 800 are there: the choice looks at the annotation, slices end
    // where the recording does.
    check(2, test(1), 19_677..20_000);
    let floor = vec![1e-6f32.ln(); set.n_frames() * 8];
    assert_eq!(set.view(2, test(2)).unwrap(), floor, "sample 20,154 is past the end");
}

#[test]
fn a_segment_past_the_end_is_one_floor_frame_where_that_is_wanted() {
    let files = Files::new();
    let csv = files.annotations(&[("v", 0, 10), ("v", 100, 110), ("v", 200, 900)]);
    let options = Options { past_end: PastEnd::Official, ..small_options() };
    let audio = noise(2400, 1);
    let set = SegmentSet::epic_sounds(&csv, &files.hdf5(&[("v", &audio)]), &small_frontend(), &options).unwrap();
    files.wav("v.wav", 24_000, &audio);
    let folder = SegmentSet::annotated_folder(&csv, files.folder.path(), &small_frontend(), &options).unwrap();
    for set in [set, folder] {
        for segment in [1, 2] {
            let values = set.view(segment, View::Start(0.5)).unwrap();
            assert_eq!(values, vec![1e-6f32.ln(); set.n_frames() * 8]);
        }
        assert_ne!(set.view(0, View::Start(0.5)).unwrap()[0], 1e-6f32.ln());
    }
}

#[test]
fn every_place_of_audio_gives_the_same_views() {
    let (frontend, options) = (small_frontend(), small_options());
    let files = Files::new();
    let recordings: Vec<Vec<f32>> = (0..3).map(|i| noise(9000 + 1000 * i, i as u32)).collect();
    let names = ["x", "y", "z"];
    let csv = files.annotations(&[("y", 10, 300), ("x", 0, 5), ("z", 100, 458), ("y", 200, 210)]);
    let data_sets: Vec<(&str, &[f32])> = names.iter().zip(&recordings).map(|(n, r)| (*n, r.as_slice())).collect();
    let contiguous = SegmentSet::epic_sounds(&csv, &files.hdf5(&data_sets), &frontend, &options).unwrap();
    let path = files.path("chunked.hdf5");
    {
        let file = File::create(&path).unwrap();
        for (name, samples) in &data_sets {
            let builder = file.new_dataset_builder().with_data(*samples).chunk(1000).shuffle().deflate(5);
            builder.create(*name).unwrap();
        }
    }
    let chunked = SegmentSet::epic_sounds(&csv, &path, &frontend, &options).unwrap();
    for (name, samples) in &data_sets {
        files.wav(&format!("{name}.wav"), 24_000, samples);
    }
    files.write("x.mp3", "a WAV file is preferred");
    files.write("notes.txt", "no audio");
    let folder = SegmentSet::annotated_folder(&csv, files.folder.path(), &frontend, &options).unwrap();
    for segment in 0..4 {
        for view in [View::Start(0.0), View::Start(0.6), View::Test { index: 2, n_views: 3 }] {
            let values = contiguous.view(segment, view).unwrap();
            assert_eq!(chunked.view(segment, view).unwrap(), values);
            assert_eq!(folder.view(segment, view).unwrap(), values);
        }
    }
    assert_eq!(contiguous.segments(), folder.segments());
}

#[test]
fn official_annotations_with_audio_as_long_as_they_are() {
    let csv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/epic-sounds/EPIC_Sounds_validation.csv");
    if !csv.exists() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", csv.display());
        eprintln!("{} is missing: not checked", csv.display());
        return;
    }
    let (segments, _) = annotations::read(&csv, 24_000, Some(44)).unwrap();
    let mut ends = std::collections::BTreeMap::new();
    for segment in &segments {
        let end = ends.entry(segment.recording.as_str()).or_insert(0);
        *end = segment.stop.max(*end);
    }
    assert_eq!(ends.len(), 137);
    let files = Files::new();
    let path = files.path("audio.hdf5");
    {
        // Silence: chunks that were never written take no place.
        let file = File::create(&path).unwrap();
        for (name, n) in &ends {
            file.new_dataset::<f32>().chunk(1 << 16).shape(*n as usize).create(*name).unwrap();
        }
    }
    let set = SegmentSet::epic_sounds(&csv, &path, &FrontendConfig::epic_sounds(), &Options::default()).unwrap();
    assert_eq!((set.segments().len(), set.labels().len()), (8035, 44));
    for (segment, index) in [(0, 0), (4000, 4), (8034, 2)] {
        let values = set.view(segment, View::Test { index, n_views: 5 }).unwrap();
        assert_eq!(values, vec![1e-6f32.ln(); 400 * 128]);
    }
}

#[test]
fn clips_are_segments_of_their_whole_length() {
    let (frontend, options) = (small_frontend(), small_options());
    let files = Files::new();
    std::fs::create_dir(files.path("audio")).unwrap();
    let short = noise(300, 1);
    files.wav("audio/short.clip.wav", 24_000, &short);
    files.wav("audio/long.wav", 48_000, &noise(24_000, 2));
    let csv =
        files.write("t.csv", "file,label,fold,source_id\naudio/short.clip.wav,water,2,s\naudio/long.wav,dog,1,r\n");
    let set = SegmentSet::clips(&csv, files.folder.path(), &frontend, &options).unwrap();
    assert_eq!(set.labels(), ["dog", "water"]);
    assert_eq!(set.path(), csv);
    let [first, second] = set.segments() else { panic!() };
    assert_eq!((first.annotation_id.as_str(), first.start, first.stop), ("short.clip", 0, 300));
    assert_eq!((first.class, first.fold, first.source.as_str(), first.line), (Some(1), 2, "s", 2));
    assert_eq!((second.annotation_id.as_str(), second.start, second.stop), ("long", 0, 12_000));
    assert_eq!(set.view(0, View::Start(0.3)).unwrap(), reference(&frontend, &short, set.n_frames()));

    let resampled = edge_frontend::resample(48_000, 24_000, &noise(24_000, 2)).unwrap();
    let expected = reference(&frontend, &resampled[12_000 - 492..12_000 - 1], set.n_frames());
    assert_eq!(set.view(1, View::Test { index: 4, n_views: 5 }).unwrap(), expected);
}

#[test]
fn subsets_share_and_folds_follow_sources() {
    let files = Files::new();
    let mut table = "file,label,fold,source_id\n".to_owned();
    for i in 0..20 {
        files.wav(&format!("{i}.wav"), 24_000, &noise(200 + i, i as u32));
        writeln!(table, "{i}.wav,{},{},{}", ["a", "b"][i % 2], i % 4 + 1, i / 2).unwrap();
    }
    let csv = files.write("t.csv", &table);
    let set = SegmentSet::clips(&csv, files.folder.path(), &small_frontend(), &small_options()).unwrap();
    assert_eq!(set.folds(), [1, 2, 3, 4]);
    let held_out = set.filter(|s| s.fold == 3);
    let names: Vec<_> = held_out.segments().iter().map(|s| s.annotation_id.as_str()).collect();
    assert_eq!(names, ["2", "6", "10", "14", "18"]);
    let view = View::Start(0.0);
    let twice = held_out.subset(&[3, 0]);
    assert_eq!(twice.view(0, view).unwrap(), set.view(14, view).unwrap());
    assert_eq!(twice.view(1, view).unwrap(), set.view(2, view).unwrap());
    assert_eq!(set.shared.features.n_bytes(), 4 * 8 * (frames(214) + frames(202)), "kept once for all");
    let by_source = set.clone().with_source_folds().unwrap();
    for pair in by_source.segments().chunks(2) {
        assert_eq!(pair[0].fold, pair[1].fold);
    }
    assert_eq!(by_source.folds(), [1, 2, 3, 4, 5]);
}

fn frames(n_samples: usize) -> usize {
    small_frontend().n_frames(n_samples)
}

//! Bad input ends in an error that names file and row.

use super::*;
use crate::data::features::FeatureCache;
use std::os::unix::fs::FileExt;

/// The message with which `epic_sounds`, or else the view of its first segment, fails.
fn message(csv: &Path, hdf5: &Path) -> String {
    let error = match SegmentSet::epic_sounds(csv, hdf5, &small_frontend(), &small_options()) {
        Err(error) => error,
        Ok(set) => set.view(0, View::Start(0.0)).unwrap_err(),
    };
    assert_eq!(error.kind(), crate::error::ErrorKind::Usage);
    error.to_string()
}

fn assert_holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn data_sets_that_are_missing_or_of_another_form() {
    let files = Files::new();
    let path = files.hdf5(&[("good", &noise(2400, 1))]);
    {
        let file = File::append(&path).unwrap();
        file.new_dataset_builder().with_data(&[0.0f64; 2400]).create("double").unwrap();
        file.new_dataset_builder().with_data(&[0i16; 2400]).create("whole").unwrap();
        file.new_dataset::<f32>().shape([2400, 2]).create("stereo").unwrap();
        file.new_dataset::<f32>().create("scalar").unwrap();
        file.create_group("group").unwrap();
    }
    for (name, wrong) in [
        ("absent", "does not exist"),
        ("no/way", "does not exist"),
        ("double", "holds float64, expected float32"),
        ("whole", "holds int16, expected float32"),
        ("stereo", "has 2 dimensions, expected 1"),
        ("scalar", "has 0 dimensions, expected 1"),
        ("group", "cannot be opened"),
        (".", "data set"),
    ] {
        let csv = files.annotations(&[("good", 0, 10), (name, 0, 10)]);
        let text = message(&csv, &path);
        assert_holds(&text, &["annotations.csv:3: video_id: ", "audio.hdf5: data set", name, wrong]);
    }
}

#[test]
fn files_that_are_no_hdf5_or_are_cut() {
    let files = Files::new();
    let csv = files.annotations(&[("v", 0, 10)]);
    assert_holds(&message(&csv, &files.path("none.hdf5")), &["none.hdf5: No such file"]);
    assert_holds(&message(&csv, &files.write("text.hdf5", "no audio")), &["text.hdf5: not a readable HDF5 file"]);
    let path = files.hdf5(&[("v", &noise(50_000, 1))]);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    assert_holds(&message(&csv, &path), &["audio.hdf5: not a readable HDF5 file", "truncated file"]);
}

#[test]
fn damaged_storage() {
    let files = Files::new();
    let csv = files.annotations(&[("v", 500, 510), ("v", 0, 10)]);
    let path = files.path("audio.hdf5");
    let damaged = {
        let file = File::create(&path).unwrap();
        let samples = noise(24_000, 1);
        let data_set = file.new_dataset_builder().with_data(&samples).chunk(4000).deflate(3).create("v").unwrap();
        data_set.chunk_info(3).unwrap() // samples 12,000 to 15,999, in which the first segment lies
    };
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0x55; 64], damaged.addr + damaged.size / 2).unwrap();
    let text = message(&csv, &path);
    assert_holds(&text, &["annotations.csv:2: ", "audio.hdf5", "\"v\"", "samples 12000 to 12240 cannot be read"]);
    let set = SegmentSet::epic_sounds(&csv, &path, &small_frontend(), &small_options()).unwrap();
    set.view(1, View::Start(0.0)).unwrap();
}

#[test]
fn samples_that_are_not_finite() {
    let files = Files::new();
    for (value, text) in [(f32::NAN, "sample 255 is NaN"), (f32::NEG_INFINITY, "sample 255 is -inf")] {
        let mut samples = noise(2400, 1);
        samples[255] = value;
        let csv = files.annotations(&[("v", 10, 20), ("v", 0, 10)]);
        let path = files.hdf5(&[("v", &samples)]);
        assert_holds(&message(&csv, &path), &["annotations.csv:2: ", "audio.hdf5: data set \"v\": ", text]);
        // Outside of the segment it does not matter.
        let set = SegmentSet::epic_sounds(&csv, &path, &small_frontend(), &small_options()).unwrap();
        assert!(set.view(1, View::Start(0.0)).unwrap().iter().all(|x| x.is_finite()));
        drop(set);

        files.wav("v.wav", 24_000, &samples);
        let set = SegmentSet::annotated_folder(&csv, files.folder.path(), &small_frontend(), &small_options()).unwrap();
        let error = set.view(0, View::Start(0.0)).unwrap_err().to_string();
        assert_holds(&error, &["annotations.csv:2: ", "v.wav: ", text]);
        let table = files.write("clips.csv", "file,label,fold,source_id\nv.wav,a,1,s\n");
        let error = SegmentSet::clips(&table, files.folder.path(), &small_frontend(), &small_options()).unwrap_err();
        assert_holds(&error.to_string(), &["clips.csv:2: ", "v.wav: ", text]);
    }
}

#[test]
fn segments_that_begin_past_the_end() {
    let files = Files::new();
    let samples = noise(2400, 1);
    // Sample 2400 is the first that is not there; a segment may well stop past the end.
    for (start, stop) in [(100, 200), (150, 2000)] {
        let csv = files.annotations(&[("v", 99, 2000), ("v", start, stop)]);
        let parts = ["annotations.csv:3: start_timestamp: segment a1 begins at sample", "has only 2400"];
        let text = message(&csv, &files.hdf5(&[("v", &samples)]));
        assert_holds(&text, &parts);
        assert_holds(&text, &["audio.hdf5: data set \"v\""]);
        files.wav("v.wav", 24_000, &samples);
        let set = SegmentSet::annotated_folder(&csv, files.folder.path(), &small_frontend(), &small_options()).unwrap();
        let text = set.view(1, View::Start(0.0)).unwrap_err().to_string();
        assert_holds(&text, &parts);
        assert_holds(&text, &["v.wav has only"]);
        set.view(0, View::Start(0.0)).unwrap();
    }
}

#[test]
fn folders_and_clips() {
    let files = Files::new();
    let csv = files.annotations(&[("v", 0, 10), ("w", 0, 10)]);
    files.wav("v.wav", 24_000, &noise(2400, 1));
    let annotated = |folder: &Path| {
        SegmentSet::annotated_folder(&csv, folder, &small_frontend(), &small_options()).unwrap_err().to_string()
    };
    assert_holds(
        &annotated(files.folder.path()),
        &["annotations.csv:3: video_id: ", " has no w.wav, .flac, .ogg or .mp3"],
    );
    assert_holds(&annotated(&files.path("nowhere")), &["nowhere: No such file"]);
    files.write("w.ogg", "no audio");
    let set = SegmentSet::annotated_folder(&csv, files.folder.path(), &small_frontend(), &small_options()).unwrap();
    assert_holds(&set.view(1, View::Start(0.0)).unwrap_err().to_string(), &["annotations.csv:3: ", "w.ogg"]);

    let clips = |rows: &str| {
        let csv = files.write("clips.csv", &format!("file,label,fold,source_id\n{rows}"));
        SegmentSet::clips(&csv, files.folder.path(), &small_frontend(), &small_options()).unwrap_err().to_string()
    };
    assert_holds(&clips("v.wav,a,1,s\nw.ogg,a,1,s\n"), &["clips.csv:3: ", "w.ogg"]);
    assert_holds(&clips("v.wav,a,1,s\nv.wav,b,1,s\n"), &["clips.csv:3: file: ", "\"v\" is in line 2"]);
    assert_holds(&clips("v.wav,a,1,s\nx.wav,b,1,s\n"), &["clips.csv:3: file ", "x.wav does not exist"]);
    files.wav("w.wav", 24_000, &[]);
    assert_holds(&clips("v.wav,a,1,s\nw.wav,b,1,s\n"), &["clips.csv:3: ", "w.wav", "no audio"]);
}

/// Whole segments have frames by any front end; a recipe of SlowFast without padding is refused.
#[test]
#[should_panic(expected = "a front end with centre padding")]
fn a_front_end_that_does_not_pad_has_no_views() {
    let files = Files::new();
    let (csv, path) = (files.annotations(&[("v", 0, 10)]), files.hdf5(&[("v", &noise(2400, 1))]));
    let set = SegmentSet::epic_sounds(&csv, &path, &FrontendConfig::student(), &small_options()).unwrap();
    let cache = FeatureCache::new(&files.path("cache"), &FrontendConfig::student()).unwrap();
    let frames = set.frames(&cache).unwrap();
    assert_eq!((frames.len(), frames[0].n_frames(), frames[0].width()), (1, 1, 64));
    let _ = set.view(0, View::Start(0.0));
}

#[test]
fn options_that_do_not_hold() {
    let files = Files::new();
    let (csv, path) = (files.annotations(&[("v", 0, 10)]), files.hdf5(&[("v", &noise(2400, 1))]));
    let message = |frontend: &FrontendConfig, options: &Options| {
        SegmentSet::epic_sounds(&csv, &path, frontend, options).unwrap_err().to_string()
    };
    let options = Options { view_seconds: 0.0, ..small_options() };
    assert_holds(&message(&small_frontend(), &options), &["view_seconds is 0"]);
    let options = Options { n_classes: Some(0), ..small_options() };
    assert_holds(&message(&small_frontend(), &options), &["annotations.csv:2: class_id: 0 is unknown"]);
    let test =
        files.write("t.csv", "annotation_id,video_id,start_timestamp,stop_timestamp\na,v,00:00:00.000,00:00:00.010\n");
    let set = SegmentSet::epic_sounds(&test, &path, &small_frontend(), &small_options()).unwrap();
    assert_holds(&set.with_source_folds().unwrap_err().to_string(), &["t.csv: folds by source need classes"]);
}

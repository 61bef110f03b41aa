//! Claims about the command `scenes`: its files are the same for any number of threads, hold the
//! clips of the named fold alone, and a mistake ends in one line that names it.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Fixture, bursts, write_wav};
use serde_json::Value;
use sounds::Sound;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use trainer::data::folds::FoldMode;

const RATE: u32 = 24_000;

fn scenes(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_earwitness-train"));
    command.env_remove("EARWITNESS_DATA").arg("scenes").args(arguments).output().unwrap()
}

/// The one line of the error, and that the exit code is `code`.
fn message(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{text}")).to_owned()
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (PathBuf::from(path.file_name().unwrap()), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn files_are_the_same_for_any_number_of_threads() {
    let fixture = Fixture::new();
    let recipe = fixture.recipe_path.to_str().unwrap();
    let write = |name: &str, threads: &str, seed: &str| {
        let out = fixture.path().join(name);
        let shape = ["--n", "3", "--minutes", "0.5", "--overlap", "0.5", "--unknown-a-minute", "4"];
        let others = ["--threads", threads, "--seed", seed, "--out", out.to_str().unwrap()];
        let output = scenes(&[&[recipe, "--fold", "2"], &shape[..], &others].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        files(&out)
    };
    let first = write("one", "1", "7");
    let names: Vec<_> = first.iter().map(|(name, _)| name.to_str().unwrap()).collect();
    let expected = (1..=3).flat_map(|k| ["csv", "flac", "json"].map(|ending| format!("scene-{k:03}.{ending}")));
    assert_eq!(names, expected.collect::<Vec<_>>());
    assert!(first == write("two", "3", "7"));
    assert!(first[1].1 != write("three", "1", "8")[1].1);
    let audio = edge::audio::decode_file(&fixture.path().join("one/scene-001.flac")).unwrap();
    assert_eq!((audio.sample_rate, audio.n_channels, audio.samples.len()), (24_000, 1, 30 * 24_000));
    let table = String::from_utf8(first[0].1.clone()).unwrap();
    assert!(table.starts_with("onset_s,offset_s,label\n") && table.lines().count() == 4, "{table}");
}

/// Of the scene files in `folder`: the sources of the events and of the backgrounds.
fn sources(folder: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut events, mut backgrounds) = (BTreeSet::new(), BTreeSet::new());
    for (name, bytes) in files(folder).into_iter().filter(|(name, _)| name.extension().unwrap() == "json") {
        let made: Value = serde_json::from_slice(&bytes).unwrap();
        let of = |list: &str| {
            let list = made[list].as_array().unwrap_or_else(|| panic!("{}: {list}", name.display()));
            list.iter().map(|item| item["source"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        events.extend(of("events"));
        backgrounds.extend(of("background"));
    }
    (events, backgrounds)
}

#[test]
fn only_the_fold_s_own_clips_are_heard() {
    let fixture = Fixture::new();
    let recipe = fixture.recipe_path.to_str().unwrap();
    for (folds, fold) in [("official", 1), ("official", 4), ("source", 1), ("source", 3)] {
        let out = fixture.path().join(format!("{folds}-{fold}"));
        let fold_text = fold.to_string();
        let which = [recipe, "--fold", &fold_text, "--folds", folds, "--out", out.to_str().unwrap()];
        let output = scenes(&[&which[..], &["--n", "2", "--minutes", "2", "--events-a-minute", "8"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mode = if folds == "official" { FoldMode::Official } else { FoldMode::Source };
        let places = common::places(fixture.path());
        let corpus = trainer::data::Corpus::load(&fixture.recipe().contents(), &places, mode).unwrap();
        let held_out = corpus.split(Some(fold)).unwrap().held_out;
        let own: BTreeSet<String> = held_out.iter().map(|clip| clip.file.clone()).collect();
        let (events, backgrounds) = sources(&out);
        assert_eq!(events, own, "{folds} {fold}");
        assert!(backgrounds.iter().all(|source| source == "hum.wav" || source.starts_with("room-noise:")));
    }
}

#[test]
fn folders_of_classes_backgrounds_and_unknown_sounds_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    std::fs::create_dir(path("data")).unwrap();
    bursts(&path("data"), &["kettle, old", "bell"]);
    std::fs::create_dir(path("others")).unwrap();
    write_wav(&path("others/cough.wav"), 16_000, &sounds::render(Sound::Sneezing, 16_000, 2.0, 1));
    write_wav(&path("fan.wav"), 48_000, &sounds::render(Sound::StoveFan, 48_000, 4.0, 1));
    write_wav(&path("data/bell/silent.wav"), RATE, &[0.0; 24_000]);
    let (data, fan, others) = (text("data"), text("fan.wav"), text("others"));
    let from = ["--data", &data, "--background", &fan, "--unknown", &others, "--recorded", "--unknown-a-minute", "3"];
    let output = scenes(&[&from[..], &["--minutes", "2", "--sample-rate", "16000", "--out", &text("out")]].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.contains("silent: bell/silent.wav"), "{errors}");
    let made: Value = serde_json::from_slice(&std::fs::read(path("out/scene-001.json")).unwrap()).unwrap();
    assert!(made["unknown"].as_array().unwrap().iter().all(|heard| heard["source"] == "cough.wav"));
    assert!(made["background"].as_array().unwrap().iter().any(|bed| bed["source"] == "fan.wav"));
    assert!(std::fs::read_to_string(path("out/scene-001.csv")).unwrap().contains(",\"kettle, old\"\n"));
    assert_eq!(edge::audio::decode_file(&path("out/scene-001.flac")).unwrap().sample_rate, 16_000);

    let again = scenes(&["--data", &data, "--out", &text("out")]);
    assert!(message(&again, 2).contains("out: holds scenes already"));
    std::fs::write(path("data/bell/broken.wav"), b"RIFF").unwrap();
    let without = scenes(&["--data", &data, "--minutes", "2", "--out", &text("without")]);
    let errors = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(without.status.success(), "{errors}");
    assert!(
        errors.contains("broken.wav: not a sound file") && errors.contains("bell: 1 recording is left out"),
        "{errors}"
    );
    std::fs::create_dir(path("data/empty")).unwrap();
    assert!(message(&scenes(&["--data", &data, "--out", &text("new")]), 2).contains("empty: holds no recordings"));
    let missing = scenes(&["--negative", "--background", &text("nowhere"), "--out", &text("new")]);
    assert!(message(&missing, 2).contains("nowhere: cannot be read"));
}

#[test]
fn mistakes_name_what_is_wrong() {
    let fixture = Fixture::new();
    let recipe = fixture.recipe_path.to_str().unwrap();
    let out = fixture.path().join("out");
    let with = |arguments: &[&str]| {
        message(&scenes(&[&[recipe, "--fold", "1", "--out", out.to_str().unwrap()], arguments].concat()), 2)
    };
    assert!(with(&["--events-a-minute", "0"]).contains("--events-a-minute is 0, must be above 0"));
    assert!(with(&["--overlap", "1.5"]).contains("overlap is 1.5, must be within 0..1"));
    assert!(with(&["--snr-db", "80"]).contains("snr_db is 80"));
    let full = with(&["--events-a-minute", "100", "--minutes", "1"]);
    assert!(full.contains("100 sounds of") && full.contains("lower the rate"), "{full}");
    let fold = message(&scenes(&[recipe, "--fold", "9", "--out", out.to_str().unwrap()]), 2);
    assert!(fold.contains("fold 9 does not exist; the data has folds [1, 2, 3, 4, 5]"), "{fold}");
    let nothing = message(&scenes(&["--out", out.to_str().unwrap()]), 2);
    assert!(nothing.contains("name a recipe with --fold, or a folder with --data"), "{nothing}");
    for arguments in [&[recipe][..], &[recipe, "--fold", "1", "--data", "x"], &["--fold", "1"], &["--recorded"]] {
        let output = scenes(&[arguments, &["--out", "x"]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

//! Claim: with `[clips]` each reported event has its sound in a folder, sample by sample, within
//! the limits and for its user alone; what is marked becomes a folder that the trainer takes; a
//! folder that fails costs no event; and without `[clips]` no sound is kept.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::binary::{Output, PATIENCE, Process, earwitness_bin};
use tests::commands::{contains, earwitness, refusal};
use tests::daemon;
use tests::tiny::{self, SAMPLE_RATE, Sound, TONE_AND_NOISE, events, tones};

/// Half a second before and a quarter after.
const CLIPS: &str = "[clips]\nfolder = \"clips\"\npre_roll_s = 0.5\npost_roll_s = 0.25\n";

/// `earwitness run` on `sounds` as fast as it can, with further lines of configuration.
fn run(dir: &Path, sounds: &[(Sound, f64)], config: &str) -> Command {
    daemon::hear(dir, "ear", sounds, true, config)
}

fn finish(command: &mut Command) -> Output {
    let output = Process::start(command).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    output
}

/// The last word on each event, by its id.
fn offsets(output: &Output) -> BTreeMap<String, Value> {
    let offsets = events(&output.stdout).into_iter().filter(|event| event["phase"] == "offset");
    offsets.map(|event| (event["id"].as_str().unwrap().to_string(), event)).collect()
}

/// What `earwitness clips --json` says of a folder.
fn listed(folder: &Path, more: &[&str]) -> Vec<Value> {
    let output = earwitness(&[&["clips", "--json", "--folder", folder.to_str().unwrap()], more].concat());
    assert!(output.status.success(), "{output:#?}");
    serde_json::from_str(&output.stdout.join("\n")).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn each_event_has_its_sound_sample_by_sample() {
    let dir = tempfile::tempdir().unwrap();
    // A tone at the very end, whose clip ends with the recording.
    let sounds: Vec<_> = [TONE_AND_NOISE, &tones(10), &[(Sound::Tone, 0.8)]].concat();
    let output = finish(&mut run(dir.path(), &sounds, CLIPS));
    let source = tiny::samples(&sounds);
    let (offsets, clips) = (offsets(&output), listed(&dir.path().join("clips"), &[]));
    assert_eq!((offsets.len(), clips.len()), (13, 13), "{:#?}", output.stderr);
    for clip in &clips {
        let event = &offsets[clip["event"]["id"].as_str().unwrap()];
        assert_eq!(clip["event"], *event);
        let at = |t_s: f64| ((t_s * f64::from(SAMPLE_RATE)).round() as usize).min(source.len());
        let (t_onset_s, t_offset_s) = (event["t_onset_s"].as_f64().unwrap(), event["t_offset_s"].as_f64().unwrap());
        let (from, to) = (at((t_onset_s - 0.5).max(0.0)), at(t_offset_s + 0.25));
        let path = PathBuf::from(clip["file"].as_str().unwrap());
        let audio = edge::audio::decode_file(&path).unwrap();
        assert_eq!((audio.sample_rate, audio.n_channels), (SAMPLE_RATE, 1));
        let heard: Vec<i16> = audio.samples.iter().map(|sample| (sample * 32_768.0) as i16).collect();
        assert!(heard == source[from..to], "{event}: {} samples, expected {from}..{to}", heard.len());
        let onset_at_s = t_onset_s - from as f64 / f64::from(SAMPLE_RATE);
        assert!((clip["onset_at_s"].as_f64().unwrap() - onset_at_s).abs() < 2e-3, "{clip}");
        assert_eq!((clip["missing_s"].as_f64(), &clip["mark"]), (Some(0.0), &Value::Null));
        assert_eq!((mode(&path), mode(&path.with_extension("json"))), (0o600, 0o600));
        // Time, label and id, so that names sort by time.
        let time = event["onset"].as_str().unwrap().replace(':', "-");
        let name = format!("{time}_{}_{}.flac", event["label"].as_str().unwrap(), event["id"].as_str().unwrap());
        assert_eq!(path.file_name().unwrap().to_str(), Some(name.as_str()));
    }
    assert_eq!(mode(&dir.path().join("clips")), 0o700);
    assert_eq!(names(&dir.path().join("clips")).len(), 26);
}

#[test]
fn live_sound_is_kept_as_it_comes_also_of_an_event_that_the_end_cuts_short() {
    let dir = tempfile::tempdir().unwrap();
    let sounds = [(Sound::Silence, 1.0), (Sound::Tone, 1.0), (Sound::Silence, 1.0), (Sound::Tone, 1.0)];
    let mut command = run(dir.path(), &sounds, CLIPS);
    command.args(["--source", "stdin", "--rate", "24000", "--live"]);
    let (mut daemon, mut pipe) = Process::start_with_input(&mut command);
    for block in tiny::samples(&sounds).chunks(SAMPLE_RATE as usize / 20) {
        let bytes: Vec<u8> = block.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        pipe.write_all(&bytes).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let folder = dir.path().join("clips");
    daemon.wait_until("the first clip", PATIENCE, |_| folder.exists() && names(&folder).len() >= 2);
    drop(pipe);
    let output = daemon.finish(PATIENCE);
    let clips = listed(&folder, &[]);
    assert_eq!((offsets(&output).len(), clips.len()), (2, 2), "{:#?}", output.stderr);
    for clip in clips {
        let audio = edge::audio::decode_file(Path::new(clip["file"].as_str().unwrap())).unwrap();
        let loud = |from_s: f64, to_s: f64| {
            let samples = &audio.samples[(from_s * 24e3) as usize..(to_s * 24e3) as usize];
            samples.iter().filter(|sample| sample.abs() > 0.1).count() * 2 > samples.len()
        };
        let onset_at_s = clip["onset_at_s"].as_f64().unwrap();
        assert!(loud(onset_at_s + 0.1, onset_at_s + 0.7) && !loud(0.0, 0.3), "{clip}");
    }
}

#[test]
fn the_folder_stays_within_its_limit_and_keeps_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let sounds: Vec<_> = (0..40).flat_map(|_| [(Sound::Noise, 0.8), (Sound::Silence, 0.8)]).collect();
    fs::create_dir(dir.path().join("clips")).unwrap();
    let foreign = dir.path().join("clips/2026-01-01 song.flac");
    fs::write(&foreign, "somebody else's").unwrap();
    let output = finish(&mut run(dir.path(), &sounds, &format!("{CLIPS}max_mb = 1\n")));
    let clips = listed(&dir.path().join("clips"), &[]);
    let n_bytes: u64 =
        fs::read_dir(dir.path().join("clips")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    let kept: Vec<&str> = clips.iter().map(|clip| clip["event"]["id"].as_str().unwrap()).collect();
    let onsets = events(&output.stdout).into_iter().filter(|event| event["phase"] == "onset");
    let ids: Vec<String> = onsets.map(|event| event["id"].as_str().unwrap().to_string()).collect();
    assert!(n_bytes <= 1_000_000 && n_bytes > 800_000, "{n_bytes}");
    assert!(ids.len() == 40 && kept.len() < 40 && kept == ids[40 - kept.len()..], "{} of {}", kept.len(), ids.len());
    assert!(foreign.exists());
}

#[test]
fn nothing_is_kept_of_what_is_not_reported_nor_without_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let output = finish(&mut run(dir.path(), TONE_AND_NOISE, &format!("[decide]\ndeny = [\"tone\"]\n{CLIPS}")));
    let clips = listed(&dir.path().join("clips"), &[]);
    assert_eq!((offsets(&output).len(), clips.len()), (1, 1));
    assert_eq!(clips[0]["event"]["label"], "noise");

    let dir = tempfile::tempdir().unwrap();
    let quiet = "[quiet_hours]\nranges = [\"00:00-12:00\", \"12:00-24:00\"]\nlabels = [\"noise\"]\n";
    finish(&mut run(dir.path(), TONE_AND_NOISE, &format!("{quiet}{CLIPS}")));
    let clips = listed(&dir.path().join("clips"), &[]);
    assert_eq!(clips.iter().map(|clip| &clip["event"]["label"]).collect::<Vec<_>>(), ["tone"]);

    let dir = tempfile::tempdir().unwrap();
    finish(&mut run(dir.path(), TONE_AND_NOISE, ""));
    assert_eq!(names(dir.path()), ["ear.toml", "sounds.wav"]);
}

#[test]
fn a_folder_that_cannot_be_used_costs_clips_and_no_events_and_is_named_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let faults = |output: &Output| {
        let lines = output.stderr.iter().filter(|line| line.contains("clips are lost"));
        lines.cloned().collect::<Vec<String>>()
    };
    let config = CLIPS.replace("\"clips\"", "\"file/clips\"");
    let output = finish(&mut run(dir.path(), TONE_AND_NOISE, &config));
    assert_eq!(offsets(&output).len(), 2);
    let said = faults(&output);
    assert_eq!(said.len(), 1, "{:#?}", output.stderr);
    contains(&said[0], &["file is a file where the folder of clips belongs: set clips.folder", "events are not"]);
    let path = dir.path().join("ear.toml");
    let check = earwitness(&["check", "--config", path.to_str().unwrap()]);
    assert!(check.status.success(), "{check:#?}");
    contains(
        &check.stdout.join("\n"),
        &["0.5 s before and 0.25 s after it", "this does not work now: ", "is a file where"],
    );

    // Where files cannot grow, as on a disk that is full.
    let dir = tempfile::tempdir().unwrap();
    let full = run(dir.path(), TONE_AND_NOISE, CLIPS);
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"]).arg(earwitness_bin());
    let output = finish(limited.args(full.get_args()));
    assert_eq!(offsets(&output).len(), 2);
    assert_eq!(faults(&output).len(), 1, "{:#?}", output.stderr);
    assert_eq!(names(&dir.path().join("clips")), Vec::<String>::new(), "no half of a clip stays");
}

/// What the trainer's reader of such folders asks of one (trainer/src/data/folder.rs and
/// tools/own/recordings.rs): folders alone count, each is a label, none is empty, every recording
/// can be decoded, and a label has two of them; `background` has sounds of none.
fn assert_trainer_takes(folder: &Path) -> BTreeMap<String, usize> {
    let mut n_of_label = BTreeMap::new();
    for label in names(folder) {
        assert!(folder.join(&label).is_dir() && !label.contains(['+', '#']), "{label}");
        let files: Vec<PathBuf> =
            names(&folder.join(&label)).iter().map(|name| folder.join(&label).join(name)).collect();
        for file in &files {
            assert!(edge::audio::is_recording(file), "{}", file.display());
            let audio = edge::audio::decode_file(file).unwrap();
            assert!(audio.samples.iter().any(|sample| sample.abs() > 0.01), "{} is silent", file.display());
        }
        assert!(files.len() >= 2 || label == "background", "{label} has {} recordings", files.len());
        n_of_label.insert(label, files.len());
    }
    assert!(n_of_label.keys().any(|label| label != "background"));
    n_of_label
}

#[test]
fn what_is_marked_is_exported_as_the_trainer_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let sounds: Vec<_> = [tones(5), vec![(Sound::Noise, 1.0), (Sound::Silence, 1.0)]].concat();
    finish(&mut run(dir.path(), &sounds, CLIPS));
    let (config, to) = (dir.path().join("ear.toml"), dir.path().join("sounds"));
    let (config, to_text) = (config.to_str().unwrap(), to.to_str().unwrap());
    let clips = |args: &[&str]| {
        let output = earwitness(&[&["clips", "--config", config], args].concat());
        assert!(output.status.success(), "{args:?}: {output:#?}");
        output
    };
    let list = clips(&[]);
    assert_eq!((list.stdout.len(), list.stderr.len()), (6, 1), "{list:#?}");
    contains(&list.stdout[0], &["  ear  tone ", " s  -  "]);
    contains(&list.stderr[0], &["6 clips, "]);
    assert_eq!(clips(&["--label", "noise"]).stdout.len(), 1);
    assert_eq!(clips(&["--source", "elsewhere"]).stdout.len(), 0);
    let refused = earwitness(&["clips", "--config", config, "--since", "2999-01-01"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:#?}");
    contains(&refused.stderr[0], &["--since", "is in the future"]);
    assert_eq!(clips(&["--since", "1h"]).stdout.len(), 6);

    let all: Vec<Value> = serde_json::from_str(&clips(&["--json"]).stdout[0]).unwrap();
    let id = |at: usize| all[at]["event"]["id"].as_str().unwrap();
    for (at, verdict) in [(0, &["--right"][..]), (1, &["--right"]), (2, &["--wrong", "whistle"])] {
        clips(&[&["--mark", id(at)], verdict].concat());
    }
    let marked = clips(&["--mark", id(3), "--wrong", "whistle"]);
    contains(&marked.stdout[0], &["wrong, it was whistle", id(3)]);
    clips(&["--mark", id(5), "--wrong", "background"]);
    clips(&["--mark", id(4), "--wrong", "door"]);
    let early = clips(&["--export", to_text]);
    contains(&early.stderr.join("\n"), &["door has 1 of the 2 recordings"]);
    clips(&["--mark", id(4), "--right"]);
    let done = clips(&["--export", to_text]);
    contains(&done.stderr.join("\n"), &["earwitness-train fit --data"]);
    assert_eq!(done.stdout, ["background  1", "tone        3", "whistle     2"]);
    let expected = [("background", 1), ("tone", 3), ("whistle", 2)].map(|(label, n)| (label.to_string(), n));
    assert_eq!(assert_trainer_takes(&to), expected.into());

    clips(&["--mark", id(0), "--unmark"]);
    clips(&["--delete", id(1)]);
    assert_eq!(clips(&[]).stdout.len(), 5);
    contains(&refusal(2, &["clips", "--config", config, "--delete", id(1)]), &["--delete: there is no clip"]);
    let spelled = refusal(2, &["clips", "--config", config, "--mark", id(0), "--wrong", "Whistle"]);
    contains(&spelled, &["--wrong: ", "is the label \"whistle\" in another spelling"]);
    contains(&refusal(2, &["clips", "--config", config, "--mark", id(0), "--wrong", "../x"]), &["cannot be a label"]);
}

#[test]
fn what_is_wrong_with_the_section_is_said_with_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    for (section, words) in [
        ("pre_roll_s = 2", "ear.toml:9: clips.pre_roll_s: has no effect without clips.folder"),
        ("folder = \"a\"\npre_roll_s = -1", "ear.toml:10: clips.pre_roll_s: expected 0 to 60 seconds"),
        ("folder = \"a\"\nmax_length_s = 301", "ear.toml:10: clips.max_length_s: expected 1 to 300 seconds"),
        ("folder = \"a\"\nmax_length_s = 2", "ear.toml:10: clips.max_length_s: the sound before the event, 2 s,"),
        ("folder = \"a\"\nmax_mb = 0", "ear.toml:10: clips.max_mb"),
        ("folder = \"a\"\nmax_day = 1", "ear.toml:10: clips.max_day: unknown field"),
    ] {
        let mut command = run(dir.path(), TONE_AND_NOISE, &format!("[clips]\n{section}"));
        let output = Process::start(&mut command).finish(PATIENCE);
        let text = output.stderr.join("\n");
        assert_eq!(output.status.code(), Some(2), "{section}: {text}");
        assert!(text.contains(words), "{section}: {text}");
    }
    run(dir.path(), TONE_AND_NOISE, "");
    let config = dir.path().join("ear.toml");
    contains(&refusal(2, &["clips", "--config", config.to_str().unwrap()]), &["keeps no clips"]);
    assert_eq!(refusal(2, &["clips", "--folder", "/nope"]), "--folder: there is no folder /nope");
    let output = earwitness(&["clips", "--folder", "/", "--mark", "x", "--right"]);
    assert_eq!(output.status.code(), Some(2), "{output:#?}");
    contains(
        &output.stderr[0],
        &["'x' for '--mark <ID>': expected the id of an event, as `earwitness clips` lists it"],
    );
}

//! Claim: of a source with several channels those are heard that are chosen, channels that cancel
//! each other are reported, and a quiet source is made louder by as much as is asked for.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::process::Command;

use tests::binary::{Output, PATIENCE, Process, earwitness_bin};
use tests::tiny::{self, Sound, events, names};

fn daemon(args: &[&str]) -> Command {
    let mut command = Command::new(earwitness_bin());
    command.args(["run", "--precision", "f32", "--model"]).arg(tiny::model()).args(args);
    command
}

#[test]
fn channels_that_cancel_each_other_are_reported_and_one_of_them_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let scene = tiny::samples(&[(Sound::Noise, 1.0), (Sound::Tone, 4.0), (Sound::Noise, 1.0)]);
    let stereo: Vec<u8> =
        scene.iter().flat_map(|&sample| [sample.to_le_bytes(), (-sample).to_le_bytes()].concat()).collect();
    let run = |options: &[&str]| {
        let args = [&["--source", "stdin", "--rate", "24000", "--raw-channels", "2"], options].concat();
        let (process, mut pipe) = Process::start_with_input(&mut daemon(&args));
        let _ = pipe.write_all(&stereo);
        drop(pipe);
        process.finish(PATIENCE)
    };
    let hint = |output: &Output| output.stderr.iter().any(|line| line.contains("channels cancel each other"));
    let mean = run(&[]);
    assert!(!names(&events(&mean.stdout)).contains(&"tone onset".to_string()) && hint(&mean), "{mean:#?}");
    for channels in ["1", "2", "loudest"] {
        let one = run(&["--channels", channels]);
        assert!(names(&events(&one.stdout)).contains(&"tone onset".to_string()) && !hint(&one), "{one:#?}");
    }
    // The same in a recording.
    let wav = dir.path().join("stereo.wav");
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: tiny::SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&wav, spec).unwrap();
    scene.iter().flat_map(|&sample| [sample, -sample]).for_each(|sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    let recording = |channels: &str| {
        let source = format!("file:{}", wav.display());
        let args = ["--fast", "--source", &source, "--channels", channels];
        Process::start(&mut daemon(&args)).finish(PATIENCE)
    };
    let (mean, one) = (recording("mean"), recording("1"));
    assert!(hint(&mean) && !names(&events(&mean.stdout)).contains(&"tone onset".to_string()), "{mean:#?}");
    assert!(!hint(&one) && names(&events(&one.stdout)).contains(&"tone onset".to_string()), "{one:#?}");

    let missing = run(&["--channels", "3"]);
    assert!(
        missing.stderr.iter().any(|line| line.contains("channel 3 is configured, but the source has 2")),
        "{missing:#?}"
    );
    assert!(!missing.status.success());
}

#[test]
fn gain_makes_a_quiet_source_loud() {
    let dir = tempfile::tempdir().unwrap();
    let faint: Vec<u8> = tiny::samples(&[(Sound::Silence, 1.0), (Sound::Tone, 2.0), (Sound::Silence, 1.0)])
        .iter()
        .flat_map(|&sample| (f32::from(sample) / 32_768.0 / 1000.0).to_le_bytes())
        .collect();
    fs::write(dir.path().join("ear.toml"), "[decide]\nlevel_gate_dbfs = -40.0\n").unwrap();
    let config = dir.path().join("ear.toml");
    let run = |gain: &str| {
        let args = ["--source", "stdin", "--rate", "24000", "--format", "FLOAT_LE", "--gain-db", gain, "--config"];
        let (process, mut pipe) = Process::start_with_input(daemon(&args).arg(&config));
        pipe.write_all(&faint).unwrap();
        drop(pipe);
        names(&events(&process.finish(PATIENCE).stdout))
    };
    assert!(run("0").is_empty());
    assert_eq!(run("60"), ["tone onset", "tone offset"]);
}

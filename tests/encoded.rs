//! Claim: encoded sound on a pipe is decoded as it comes, and what is not decoded is refused with a
//! command that hears it. Needs the Debian package ffmpeg.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;

use tests::binary::{Output, PATIENCE, Process, earwitness_bin, make_fifo, workspace};
use tests::tiny::{self, Sound, events, names};

fn run(args: &[&str]) -> Command {
    let mut command = Command::new(earwitness_bin());
    command.args(["run", "--precision", "f32", "--model"]).arg(tiny::model()).args(args);
    command
}

/// Ends it as systemd does.
fn end(process: Process) -> Output {
    process.signal("TERM");
    process.finish(PATIENCE)
}

fn n_onsets(process: &Process) -> usize {
    names(&events(&process.stdout())).iter().filter(|name| *name == "tone onset").count()
}

/// Has ffmpeg make `to` of `from`.
fn convert(from: &Path, to: &Path, options: &[&str]) {
    let mut command = Command::new("ffmpeg");
    let status = command.args(["-loglevel", "error", "-i"]).arg(from).args(options).arg(to).status();
    assert!(status.expect("install the package ffmpeg").success(), "{}", to.display());
}

#[test]
fn a_container_on_standard_input_is_read_or_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let wav = path("scene.wav");
    tiny::write_wav(&wav, &[(Sound::Silence, 1.0), (Sound::Tone, 2.0), (Sound::Silence, 1.0)]);
    let hear = |input: &Path| {
        // As it is written where files are usual.
        let (process, mut pipe) = Process::start_with_input(&mut run(&["--source", "-"]));
        // A daemon that refuses what comes reads no further.
        let _ = pipe.write_all(&fs::read(input).unwrap());
        drop(pipe);
        process.finish(PATIENCE)
    };
    // All at another rate than is the default for raw samples.
    for (name, options) in [
        ("scene.wav", &[][..]),
        ("scene.flac", &[]),
        ("scene.mp3", &[]),
        ("bare.mp3", &["-id3v2_version", "0", "-write_xing", "0", "-b:a", "160k"]),
        ("scene.ogg", &["-c:a", "libvorbis"]),
        ("scene.aac", &["-b:a", "96k"]),
        ("law.wav", &["-c:a", "pcm_alaw"]),
    ] {
        let input = path(name);
        if input != wav {
            convert(&wav, &input, options);
        }
        let output = hear(&input);
        assert!(output.status.success(), "{name}: {output:#?}");
        assert_eq!(names(&events(&output.stdout)), ["tone onset", "tone offset"], "{name}: {output:#?}");
    }
    for (name, what) in [
        ("scene.opus", "delivers an Opus recording, which earwitness cannot decode: let ffmpeg decode it"),
        ("scene.m4a", "delivers an MP4 file, which can only be decoded from a file: let ffmpeg decode it"),
        ("scene.mp2", "delivers an MP2 recording, which earwitness cannot decode: let ffmpeg decode it"),
        ("scene.ac3", "delivers an AC-3 recording, which earwitness cannot decode: let ffmpeg decode it"),
        ("scene.ts", "delivers an MPEG transport stream, which earwitness cannot decode: let ffmpeg decode it"),
    ] {
        convert(&wav, &path(name), &[]);
        let output = hear(&path(name));
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{name}: {output:#?}");
        assert!(output.stderr.iter().any(|line| line.contains(what)), "{what}: {output:#?}");
    }
    let late = path("late.wav");
    fs::write(&late, [&b"Recording WAVE 'stdin'\n"[..], &fs::read(&wav).unwrap()].concat()).unwrap();
    let output = hear(&late);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:#?}");
    let reason = "delivers text before the sound, \"Recording WAVE 'stdin'\": have the program print it";
    assert!(output.stderr.iter().any(|line| line.contains(reason)), "{output:#?}");
    let mut command = run(&["--source", "-"]);
    let folder = command.stdin(fs::File::open(dir.path()).unwrap()).output().unwrap();
    let stderr = String::from_utf8_lossy(&folder.stderr);
    assert!(folder.status.code() == Some(1) && stderr.contains("cannot be read: Is a directory"), "{stderr}");
    let output = hear(&workspace().join("README.md"));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:#?}");
    assert!(output.stderr.iter().any(|line| line.contains("delivers text instead of sound: \"")), "{output:#?}");
}

#[test]
fn what_is_not_decoded_is_heard_with_the_command_that_the_message_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (wav, opus, fifo) = (path("scene.wav"), path("scene.opus"), path("fifo"));
    tiny::write_wav(&wav, &[(Sound::Silence, 1.0), (Sound::Tone, 2.0), (Sound::Silence, 1.0)]);
    convert(&wav, &opus, &[]);
    // A file: the line makes another one.
    let source = format!("file:{}", opus.display());
    let refused = Process::start(&mut run(&["--source", &source, "--fast"])).finish(PATIENCE);
    let line = refused.stderr.iter().find_map(|line| line.split_once("for example with: ")).unwrap().1;
    assert!(Command::new("sh").arg("-c").arg(line).current_dir(dir.path()).status().unwrap().success());
    let source = format!("file:{}", path("scene.flac").display());
    let heard = Process::start(&mut run(&["--source", &source, "--fast"])).finish(PATIENCE);
    assert_eq!(names(&events(&heard.stdout)), ["tone onset", "tone offset"], "{refused:#?} {heard:#?}");
    // A FIFO: the source decodes it itself.
    make_fifo(&fifo);
    let write = || {
        let (opus, fifo) = (opus.clone(), fifo.clone());
        thread::spawn(move || fs::write(fifo, fs::read(opus).unwrap()))
    };
    write();
    let source = format!("file:{}", fifo.display());
    let mut process = Process::start(&mut run(&["--source", &source]));
    process.wait_until("the refusal", PATIENCE, |process| format!("{:?}", process.stderr()).contains("--source '"));
    let stderr = end(process).stderr;
    let source = stderr.iter().find_map(|line| line.split_once("--source '")).unwrap().1;
    let source = source.split('\'').next().unwrap();
    write();
    let mut process = Process::start(&mut run(&["--source", source]));
    process.wait_until("the tone", PATIENCE, |process| n_onsets(process) == 1);
    assert!(end(process).status.success());
}

#[test]
fn encoded_sound_that_comes_at_its_own_pace_is_live() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (noise, wav, fifo) = (path("noise.wav"), path("scene.wav"), path("fifo"));
    tiny::write_wav(&noise, &[(Sound::Noise, 120.0)]);
    tiny::write_wav(&wav, &[(Sound::Noise, 1.0), (Sound::Tone, 1.0), (Sound::Noise, 1.0)]);
    make_fifo(&fifo);
    let source = format!("file:{}", fifo.display());
    let mut process = Process::start(&mut run(&["--source", &source]));
    let play = |wav: &Path| {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-loglevel", "error", "-y", "-re", "-i"]).arg(wav);
        Process::start(ffmpeg.args(["-f", "mp3", "-flush_packets", "1"]).arg(&fifo))
    };
    // As long as it takes until its pace has shown that it is live.
    let first = play(&noise);
    process.wait_until("its pace", PATIENCE, |process| {
        process.stderr().iter().any(|line| line.contains("samples arrive in real time"))
    });
    drop(first);
    for round in 1..=2 {
        assert!(play(&wav).finish(PATIENCE).status.success());
        process.wait_until("the tone", PATIENCE, |process| n_onsets(process) == round);
    }
    let output = end(process);
    assert!(output.stderr.iter().any(|line| line.contains("its writer has closed it")), "{output:#?}");
    assert!(output.status.success());
}

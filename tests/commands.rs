//! Claim: the commands take what real homes give them: names and labels of any letters, time zones
//! that do not exist, configurations that `check` is asked about before `run` is.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use edge_frontend::Power;
use serde_json::Value;
use tests::binary::{PATIENCE, Process, earwitness_bin};
use tests::commands::{contains, earwitness, edit_manifest, model, refusal, write_wav};
use tests::tiny;
use tests::virtual_mic::AlsaConfig;

#[test]
fn a_source_that_cannot_be_opened_is_found_by_check_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let config = path.to_str().unwrap();
    let model = tiny::model();
    fs::write(dir.path().join("text.wav"), "no sound\n".repeat(100)).unwrap();
    for (sources, part) in [
        ("[source]\ninput = \"file:none.wav\"\n", "c.toml:2: source.input: "),
        ("[source]\ninput = \"file:text.wav\"\n", "c.toml:2: source.input: "),
        (
            "[[sources]]\nname = \"a\"\ninput = \"stdin\"\n[[sources]]\nname = \"b\"\ninput = \"file:none.wav\"\n",
            "c.toml:6: sources.input: ",
        ),
    ] {
        fs::write(&path, format!("{sources}[model]\ndir = \"{}\"\n", model.display())).unwrap();
        let run = refusal(2, &["run", "--config", config]);
        contains(&run, &[part, "audio file "]);
        assert_eq!(refusal(2, &["check", "--config", config]), run);
    }
}

#[test]
fn a_source_that_cannot_be_heard_as_it_is_wanted_is_found_by_check_too() {
    let model = model();
    edit_manifest(&model, |manifest| {
        manifest.frontend.power = Power::Magnitude;
        manifest.frontend_hash = manifest.frontend.hash();
    });
    let path = model.path().join("c.toml");
    let config = path.to_str().unwrap();
    write_wav(&model.path().join("stereo.wav"), 24_000, 2, &[0; 24_000]);
    for (source, part) in [
        ("input = \"file:stereo.wav\"\nchannels = 3\n", "channel 3 is configured, but the source has 2"),
        (
            "input = \"serial:/dev/null?encoding=features\"\n",
            "encoding=features: nodes compute features with power = 2, the model's has 1",
        ),
    ] {
        fs::write(&path, format!("[source]\n{source}[model]\ndir = \".\"\n")).unwrap();
        let run = refusal(2, &["run", "--config", config]);
        contains(&run, &["c.toml:2: source.input: ", part]);
        assert_eq!(refusal(2, &["check", "--config", config]), run);
    }
}

#[test]
fn what_cannot_be_kept_or_attached_to_now_is_noted_by_check() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let text = format!(
        "[clips]\nfolder = \"/proc/x\"\n[journal]\nfile = \"/proc/x/j\"\n[top]\nsocket = \"/nope/x\"\n[model]\ndir = \"{}\"\n",
        tiny::model().display()
    );
    fs::write(&path, text).unwrap();
    let output = earwitness(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "the service may make the folder when it starts: {output:#?}");
    for (name, words) in [
        ("clips ", "this does not work now: the folder of clips /proc/x cannot be made"),
        ("journal ", "this does not work now: the journal /proc/x/j cannot be made"),
        ("top ", "this does not work now: there is no folder /nope: make it, or name another one"),
    ] {
        let line = output.stdout.iter().find(|line| line.starts_with(name)).unwrap();
        contains(line, &[words]);
    }
}

#[test]
fn a_time_zone_that_does_not_exist_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let model = tiny::model();
    let text = format!("[quiet_hours]\nranges = [\"22:00-06:00\"]\n[model]\ndir = \"{}\"\n", model.display());
    fs::write(&path, text).unwrap();
    let mut command = Command::new(earwitness_bin());
    command.args(["check", "--config", path.to_str().unwrap()]).env("TZ", "Mars/Phobos");
    let output = Process::start(&mut command).finish(PATIENCE);
    let said = output.stdout.join("\n");
    let mut command = Command::new(earwitness_bin());
    let output = Process::start(command.args(["check", "--json", "--config", path.to_str().unwrap()])).finish(PATIENCE);
    let document: Value = serde_json::from_str(&output.stdout.join("\n")).unwrap();
    assert_eq!((document["model"].is_string(), document["source"].as_array().unwrap().len()), (true, 1), "{document}");
    contains(&said, &["UTC (the environment variable TZ is \"Mars/Phobos\", which is not a time zone)"]);
}

#[test]
fn labels_are_the_same_however_their_letters_are_put_together() {
    let model = model();
    edit_manifest(&model, |manifest| {
        manifest.labels[1] = "caf\u{e9}".into();
        manifest.labels[2] = "water, dripping".into();
    });
    let dir = model.path().to_str().unwrap();
    let config = model.path().join("c.toml");
    fs::write(&config, "[decide.classes.\"cafe\u{301}\"]\nthreshold_on = 0.9\n").unwrap();
    let config = config.to_str().unwrap();
    let silent = model.path().join("silent.wav");
    write_wav(&silent, 24_000, 1, &[0; 24_000]);
    let source = format!("file:{}", silent.display());
    for allowed in [vec!["--allow", "cafe\u{301}"], vec!["--allow", "water, dripping", "--allow", "caf\u{e9}"]] {
        let args = ["run", "--source", &source, "--fast", "--model", dir, "--config", config];
        let output = earwitness(&[&args[..], &allowed].concat());
        assert_eq!(output.status.code(), Some(0), "{allowed:?}: {output:#?}");
    }
    let unknown = refusal(2, &["run", "--source", &source, "--model", dir, "--allow", "caf\u{e9},tea"]);
    contains(&unknown, &["--allow: the model tiny has no label \"tea\""]);
}

#[test]
fn a_file_may_have_any_name() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let dir = tempfile::tempdir().unwrap();
    let name = OsString::from_vec(b"caf\xe9.wav".to_vec());
    let path = dir.path().join(&name);
    write_wav(&path, 24_000, 1, &[0; 24_000]);
    let mut source = OsString::from("file:");
    source.push(&path);
    let model = tiny::model();
    let run = |args: &[&std::ffi::OsStr]| {
        let mut command = Command::new(earwitness_bin());
        let output = Process::start(command.args(args).arg("--model").arg(&model)).finish(PATIENCE);
        assert_eq!(output.status.code(), Some(0), "{output:#?}");
    };
    run(&["run".as_ref(), "--fast".as_ref(), "--source".as_ref(), &source]);
    run(&["classify".as_ref(), path.as_ref()]);
}

#[test]
fn devices_are_listed_for_programs_and_libraries_keep_quiet() {
    let output = earwitness(&["devices", "--json"]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:#?}");
    let list: Value = serde_json::from_str(&output.stdout.join("")).unwrap();
    assert!(list.is_array(), "{list}");
}

#[test]
fn a_device_that_is_missing_is_named_once() {
    let alsa = AlsaConfig::without_devices();
    let mut command = Command::new(earwitness_bin());
    alsa.configure(command.args(["devices", "--listen"]));
    let output = Process::start(&mut command).finish(PATIENCE);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 1), "{output:#?}");
    contains(&output.stderr[0], &["earwitness: capture device default: no capture device found"]);
}

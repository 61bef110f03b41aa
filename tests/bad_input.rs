//! Claim: bad input ends in one clear line that names the cause, with exit code 2 for what must be
//! corrected before another start and 1 for what happened at run time; never in a panic.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use edge_frontend::{Activation, Manifest, NetworkKind};
use serde_json::Value;
use tempfile::TempDir;
use tests::binary::{PATIENCE, Process, earwitness_bin};
use tests::commands::{contains, copy, earwitness, edit_manifest, model, refusal, write_wav};
use tests::tiny::{self, Sound};

fn replace_in_manifest(dir: &TempDir, from: &str, to: &str) {
    let path = dir.path().join("manifest.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// What every command that needs the model says to it: the same.
fn model_refusal(dir: &Path) -> String {
    let dir = dir.to_str().unwrap();
    let classify = refusal(2, &["classify", "--model", dir, "any.wav"]);
    assert_eq!(refusal(2, &["run", "--source", "stdin", "--model", dir]), classify);
    classify
}

#[test]
fn missing_models() {
    let dir = tempfile::tempdir().unwrap();
    contains(&model_refusal(&dir.path().join("nowhere")), &["nowhere: no such folder"]);
    contains(&model_refusal(dir.path()), &["manifest.toml: No such file"]);
    contains(&refusal(2, &["bench"]), &["models/home or ", "share/earwitness/models/home", "--model"]);
    let model = model();
    fs::remove_file(model.path().join("model.onnx")).unwrap();
    contains(&model_refusal(model.path()), &["model.onnx: No such file"]);
}

#[test]
fn manifests_with_a_wrong_field() {
    let spoilt = |from: &str, to: &str| {
        let model = model();
        replace_in_manifest(&model, from, to);
        let message = model_refusal(model.path());
        contains(&message, &["manifest.toml: "]);
        message
    };
    contains(&spoilt("hop_length", "hop_size"), &["line 12, ", "hop_size"]);
    contains(&spoilt("n_mels = 64", "n_mels = \"many\""), &["line 13, ", "invalid type"]);
    contains(&spoilt("win_length = 600", "win_length = 2000"), &["win_length", "2000"]);
    contains(&spoilt("n_mels = 64", "n_mels = 40"), &["frontend_hash"]);
    contains(&spoilt("output_delay = 1", "output_delay = 3"), &["network.output_delay", "expected 1"]);
    contains(&spoilt("threshold_off = 0.4", "threshold_off = 0.9"), &["decision.threshold_off"]);
    let removed = spoilt("[decision]\n", "[decision]\nsmoothing = \"ema\"\n");
    contains(&removed, &["line ", "smoothing \"ema\" is not available: only \"mean\" remains", "docs/experiments.md"]);
    contains(&spoilt("manifest_version = 1", "manifest_version = 7"), &["manifest_version", "7"]);
    contains(&spoilt("background = \"background\"", "background = \"quiet\""), &["background", "quiet"]);
}

/// A copy of the model without the 8-bit file, which would run in place of the other one.
fn in_single_precision() -> TempDir {
    let model = model();
    edit_manifest(&model, |manifest| manifest.files.int8 = None);
    model
}

/// What is said of a network whose manifest was edited; it names the network's file.
fn network_refusal(model: TempDir, edit: fn(&mut Manifest)) -> String {
    edit_manifest(&model, |manifest| {
        manifest.files.int8 = None;
        edit(manifest);
    });
    let message = model_refusal(model.path());
    contains(&message, &["model.onnx: "]);
    message
}

/// Both kinds of network have three classes and 64 bands.
fn refuses_labels_and_bands(network: impl Fn(fn(&mut Manifest)) -> String) {
    let labels = network(|manifest| manifest.labels.push("dog".into()));
    contains(&labels, &["labels: expected 4 classes, actual 3 classes"]);
    let n_mels = network(|manifest| {
        manifest.frontend.n_mels = 32;
        manifest.frontend_hash = manifest.frontend.hash();
    });
    contains(&n_mels, &["frontend.n_mels: expected 32, actual 64"]);
}

#[test]
fn networks_that_are_not_what_the_manifest_says() {
    let network = |edit: fn(&mut Manifest)| network_refusal(model(), edit);
    refuses_labels_and_bands(network);
    let field = network(|manifest| {
        manifest.network.receptive_field_frames = 23;
        manifest.network.output_delay = 2;
    });
    contains(&field, &["network.receptive_field_frames: expected 23, actual 15"]);
}

#[test]
fn networks_of_whole_patches_that_are_not_what_the_manifest_says() {
    let network = |edit: fn(&mut Manifest)| network_refusal(copy(&tiny::window_model()), edit);
    refuses_labels_and_bands(network);
    let field = network(|manifest| {
        manifest.network.receptive_field_frames = 48;
        manifest.network.output_delay = 5;
    });
    contains(&field, &["network.receptive_field_frames: expected 48, actual 40"]);
    // A network of a fixed shape cannot stream.
    let kind = network(|manifest| {
        manifest.network.kind = NetworkKind::Stream;
        manifest.network.activation = Activation::Softmax;
    });
    contains(&kind, &["output: expected f32 [1, n_classes, time, 1], actual 1,3"]);

    let dir = copy(&tiny::window_model());
    replace_in_manifest(&dir, "kind = \"window\"", "kind = \"stream\"");
    let message = model_refusal(dir.path());
    contains(&message, &["network.activation is posterior, expected softmax or sigmoid with kind = \"stream\""]);

    let stream = tiny::model();
    let hop = refusal(2, &["bench", "--hop-ms", "80", "--model", stream.to_str().unwrap()]);
    contains(&hop, &["--hop-ms: the model tiny is a streaming network"]);
    let dir = tiny::window_model();
    let dir = dir.to_str().unwrap();
    let part = refusal(2, &["run", "--source", "stdin", "--hop-ms", "85", "--model", dir]);
    contains(&part, &["--hop-ms: expected 1 to 1024 whole log-mel frames of 10 ms, actual 85 ms"]);
}

#[test]
fn damaged_networks() {
    let model = in_single_precision();
    let path = model.path().join("model.onnx");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    contains(
        &model_refusal(model.path()),
        &["model.onnx: the file is damaged, or it is not the one that manifest.toml", "files.f32.sha256: expected "],
    );

    // Truncated before the manifest was written: only the network's reader can tell.
    let actual = sha256sum(&path);
    edit_manifest(&model, |manifest| manifest.files.f32.sha256 = actual);
    contains(&model_refusal(model.path()), &["model.onnx: not a network that can be run: "]);
}

/// What `make fuzz` has found in the reader of that name: files that brought something down once.
fn found(reader: &str) -> Vec<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../edge/fuzz/found").join(reader);
    let files: Vec<_> = fs::read_dir(found).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    files
}

#[test]
fn networks_that_fuzzing_has_found() {
    for file in found("network") {
        let model = in_single_precision();
        fs::copy(&file, model.path().join("model.onnx")).unwrap();
        edit_manifest(&model, |manifest| manifest.files.f32.sha256 = sha256sum(&file));
        let message = model_refusal(model.path());
        contains(&message, &["model.onnx: not a network that can be run: "]);
        assert!(!message.contains("backtrace"), "{message}");
    }
}

#[test]
fn recordings_that_fuzzing_has_found() {
    let model = tiny::model();
    for file in found("audio") {
        let file = file.to_str().unwrap();
        contains(&refusal(1, &["classify", "--model", model.to_str().unwrap(), file]), &[file]);
    }
}

fn sha256sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_string()
}

#[test]
fn a_precision_that_the_model_does_not_have() {
    let model = model();
    edit_manifest(&model, |manifest| manifest.files.int8 = None);
    let dir = model.path().to_str().unwrap();
    contains(&refusal(2, &["bench", "--model", dir, "--precision", "int8"]), &["files.int8"]);
}

#[test]
fn configurations() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let config = path.to_str().unwrap();
    let model = format!("[model]\ndir = \"{}\"\n", tiny::model().display());
    let cases = [
        ("[decide]\nthresold_on = 0.5\n", "c.toml:2: decide.thresold_on: unknown field"),
        ("[decide]\nsmoothing = \"median\"\n", "c.toml:2: decide.smoothing: smoothing \"median\" is not available"),
        ("[source]\nrate = \"fast\"\n", "c.toml:2: source.rate: invalid type"),
        ("name = \n", "c.toml:1: name: "),
        ("[mqtt]\nurl = \"localhost\"\n", "c.toml:2: mqtt.url: expected mqtt://"),
        ("[mqtt]\nurl = \"mqtts://localhost\"\nca_file = \"no.pem\"\n", "c.toml:3: mqtt.ca_file: "),
        ("[mqtt]\nurl = \"mqtts://localhost\"\nca_file = \"c.toml\"\n", "c.toml:3: mqtt.ca_file: "),
        (
            "[mqtt]\nurl = \"mqtts://localhost\"\ncert_file = \"no.pem\"\nkey_file = \"no.key\"\n",
            "c.toml:3: mqtt.cert_file: ",
        ),
        ("[mqtt]\nurl = \"mqtt://h\"\ntopic = \"$SYS/ear\"\n", "c.toml:3: mqtt.topic: expected levels of a topic"),
        ("[source]\ninput = \"srt://cam:9000\"\n", "for srt write exec:ffmpeg"),
        ("[mqtt]\nuser = \"ear\"\n", "c.toml:2: mqtt.user: has no effect without mqtt.url"),
        ("[log]\nlevel = \"warning\"\n", "c.toml:2: log.level: \"warning\" is not a level (did you mean \"warn\"?)"),
        (
            "[web]\nlisten = \"127.0.0.1:8420\"\n[metrics]\nport = 8420\n",
            "c.toml:4: metrics.port: the page is served at 127.0.0.1:8420, on the same port",
        ),
        ("[source]\ndevice = \"\"\n", "c.toml:2: source.device: expected some text"),
        (
            "[decide.classes.cat]\nthreshold_on = 0.5\n",
            "c.toml:1: decide.classes.cat: the model tiny has no label \"cat\"; it has background, noise, tone",
        ),
        (
            "[decide]\nallow = [\"tome\"]\n",
            "c.toml:2: decide.allow: the model tiny has no label \"tome\" (did you mean \"tone\"?); it has",
        ),
        ("[decide]\nallow = [\"tone\"]\ndeny = [\"noise\"]\n", "c.toml:3: decide.deny: decide.allow is given as well"),
        (
            "[decide]\ndeny = [\"tone\", \"noise\"]\n",
            "c.toml:2: decide.deny: no label of the model tiny is left to report",
        ),
        ("[quiet_hours]\nranges = [\"22:00\"]\n", "c.toml:2: quiet_hours.ranges: expected a range such as"),
        ("[quiet_hours]\nranges = [\"1:00-2:00\"]\nexcept = [\"nose\"]\n", "did you mean \"noise\"?"),
        ("[decide.classes.tone]\nthreshold_off = 0.9\n", "c.toml:2: decide.classes.tone.threshold_off: "),
        ("[webhook]\nurl = \"http://a\"\n", "c.toml:1: webhook: there may be several: write [[webhook]]"),
        ("[[mqtt]]\nurl = \"mqtt://a\"\n", "c.toml:1: mqtt: there is only one: write [mqtt]"),
    ];
    for (text, part) in cases {
        fs::write(&path, format!("{text}{model}")).unwrap();
        let source: &[&str] = if text.contains("input") { &[] } else { &["--source", "stdin"] };
        let run = refusal(2, &[&["run", "--config", config], source].concat());
        contains(&run, &[part]);
        assert_eq!(refusal(2, &["check", "--config", config]), run);
    }
    for (text, words) in [
        (
            "[source]\ninput = \"mic\"\nrate = 16000\n",
            "c.toml:3: source.rate: only for the sources stdin, exec:COMMAND",
        ),
        ("[model]\ndir = \"nope\"\n", "c.toml:2: model.dir: "),
    ] {
        fs::write(&path, text).unwrap();
        let run = refusal(2, &["run", "--config", config]);
        contains(&run, &[words]);
        assert_eq!(refusal(2, &["check", "--config", config]), run);
    }
    fs::write(&path, b"name = \"caf\xe9\"\n").unwrap();
    contains(&refusal(2, &["check", "--config", config]), &["c.toml: not a text file in UTF-8: save it as such"]);
    contains(
        &refusal(2, &["check", "--config", "/no/such.toml"]),
        &["/no/such.toml: no such file", "`earwitness setup`"],
    );
}

#[test]
fn usage() {
    let usage = |args: &[&str], part: &str| {
        let output = earwitness(args);
        assert_eq!(output.status.code(), Some(2), "{output:#?}");
        assert!(output.stderr.join("\n").contains(part), "{part:?} is missing from {output:#?}");
    };
    usage(&["run", "--source", "line-in"], "is not one of mic, file:PATH, stdin");
    usage(&["run", "--precision", "fp16"], "auto, f32 or int8");
    usage(&["run", "--mqtt", "broker"], "mqtt://HOST");
    usage(&["run", "--mqtt", "mqtt://user:pw@broker"], "mqtt.password_file");
    usage(&["run", "--rate", "8000"], "only for the sources stdin");
    usage(&["run", "--source", "stdin", "--rate", "1"], "1 Hz");
    usage(&["listen"], "unrecognized subcommand");
    usage(&["classify"], "FILE");
}

#[test]
fn a_device_that_does_not_exist() {
    let model = tiny::model();
    let mut command = Command::new(earwitness_bin());
    let mut daemon =
        Process::start(command.args(["run", "--model", model.to_str().unwrap(), "--device", "no-such-device"]));
    daemon.wait_until("the complaint", PATIENCE, |daemon| {
        daemon.stderr().iter().any(|line| line.contains("WARN") && line.contains("capture device no-such-device: "))
    });
}

#[test]
fn recordings() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    fs::write(file("empty.wav"), b"").unwrap();
    fs::write(file("corrupt.flac"), (0..5000_u32).map(|at| (at * 31 % 251) as u8).collect::<Vec<_>>()).unwrap();
    fs::write(file("text.mp3"), "this is not music\n".repeat(100)).unwrap();
    write_wav(&file("silent.wav"), 24_000, 1, &[]);
    let model = tiny::model();
    let model = model.to_str().unwrap();
    for name in ["empty.wav", "corrupt.flac", "text.mp3", "silent.wav", "missing.wav"] {
        let path = file(name).to_str().unwrap().to_string();
        let message = refusal(1, &["classify", "--model", model, &path]);
        contains(&message, &["audio file ", name]);
        let run = refusal(1, &["run", "--model", model, "--source", &format!("file:{path}"), "--fast"]);
        contains(&run, &["audio file ", name]);
    }
}

#[test]
fn a_recording_at_an_absurd_rate_is_refused_before_it_is_opened_and_when_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absurd.wav");
    write_wav(&path, 24_000, 1, &[0; 1000]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let model = tiny::model();
    let (model, path) = (model.to_str().unwrap(), path.to_str().unwrap());
    let source = format!("file:{path}");
    let reason = "a sample rate of 4294967295 Hz cannot be processed: 4000 to 384000 Hz can";
    contains(&refusal(1, &["classify", "--model", model, path]), &["absurd.wav: ", reason]);
    contains(&refusal(1, &["run", "--model", model, "--source", &source]), &["absurd.wav: ", reason]);
    let config = dir.path().join("c.toml");
    fs::write(&config, format!("[source]\ninput = \"{source}\"\n[model]\ndir = \"{model}\"\n")).unwrap();
    contains(&refusal(2, &["check", "--config", config.to_str().unwrap()]), &["absurd.wav: ", reason]);
}

#[test]
fn samples_that_are_not_numbers_are_taken_as_silence_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("inf.wav");
    // At another rate than the model's, so that they go through the resampler.
    tiny::write_float_wav(&path, 48_000, |at| match at {
        500 => f32::INFINITY,
        501 => f32::NAN,
        _ => 0.0,
    });
    let model = tiny::model();
    let mut command = Command::new(earwitness_bin());
    command.args(["classify", "--json", "--top", "1", "--model"]).arg(&model).arg(&path);
    let output = Process::start(&mut command).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    let record: Value = serde_json::from_str(&output.stdout[0]).unwrap();
    assert_eq!(record["top"][0]["label"], "background", "{record}");
    let warnings: Vec<&String> = output.stderr.iter().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{output:#?}");
    contains(warnings[0], &["inf.wav: ", "2 samples are not finite numbers and were taken as 0"]);
}

#[test]
fn unusual_recordings_are_heard_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let tone = tiny::samples(&[(Sound::Tone, 1.0)]);
    let held: Vec<i16> = tone.iter().flat_map(|sample| [*sample; 8]).collect();
    let eight = dir.path().join("eight.wav");
    write_wav(&eight, tiny::SAMPLE_RATE, 8, &tone);
    // Each sample eight times: the tone at 192 kHz, with images above the model's band for the
    // resampler to remove.
    let fast = dir.path().join("fast.wav");
    write_wav(&fast, 192_000, 1, &held);
    let missing = dir.path().join("missing.wav");
    let paths: Vec<PathBuf> = vec![eight, missing, fast];
    let model = tiny::model();
    let mut args = vec!["classify", "--json", "--top", "1", "--model", model.to_str().unwrap()];
    args.extend(paths.iter().map(|path| path.to_str().unwrap()));
    let output = earwitness(&args);
    assert_eq!(output.status.code(), Some(1), "one file is missing: {output:#?}");
    assert_eq!(output.stderr.len(), 1);
    contains(&output.stderr[0], &["missing.wav: No such file"]);
    let records: Vec<Value> = output.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 2);
    for (record, path) in records.iter().zip([&paths[0], &paths[2]]) {
        assert_eq!(record["file"], path.to_str().unwrap());
        assert_eq!(record["top"].as_array().unwrap().len(), 1);
        assert_eq!(record["top"][0]["label"], "tone", "{record}");
        assert!(record["top"][0]["score"].as_f64().unwrap() > 0.9, "{record}");
    }
}

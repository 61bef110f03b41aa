//! Claim: the microphone path hears what the file path hears, survives overruns with its time
//! intact, and says so when there is no microphone. Everything runs the real binary.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tests::binary::{PATIENCE, Process, earwitness_bin, model_dir};
use tests::heard::{Event, PULSE_S, alike, events, relative};
use tests::tiny::{self, Sound};
use tests::virtual_mic::{AlsaConfig, Room};

/// So much of the demonstration is played: half of its events.
const SCENE_S: usize = 32;

/// The recording is played until it was heard whole, because a busy machine may lose samples of its
/// own, but not every time.
const MAX_PLAYINGS: usize = 4;

/// The daemon with `model`, listening to `source`. It says on standard error what the tests read
/// there.
fn run(model: &Path, source: &str) -> Command {
    let mut command = Command::new(earwitness_bin());
    command.arg("run").arg("--model").arg(model).arg("--source").arg(source).env("EARWITNESS_LOG", "info");
    command
}

/// A recording: 16 bits, one channel.
struct Recording {
    sample_rate: u32,
    samples: Vec<i16>,
}

impl Recording {
    /// Writes it with `delay_s` seconds of silence before it.
    fn write(&self, path: &Path, delay_s: f64) {
        let (sample_rate, sample_format) = (self.sample_rate, hound::SampleFormat::Int);
        let spec = hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        let delay = vec![0; (delay_s * f64::from(sample_rate)) as usize];
        delay.iter().chain(&self.samples).for_each(|&sample| writer.write_sample(sample).unwrap());
        writer.finalize().unwrap();
    }
}

/// What the daemon finds in the file `wav`.
fn found_in_file(model: &Path, wav: &Path) -> Vec<Event> {
    let source = format!("file:{}", wav.display());
    let output = Process::start(run(model, &source).arg("--fast")).finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    relative(events(&output.stdout))
}

/// What the daemon hears when the file `wav` is played in a room, and what it says about that.
fn heard_in_room(model: &Path, wav: &Path) -> (Vec<Event>, Vec<String>) {
    let room = Room::open();
    let mut command = run(model, "mic");
    room.configure(command.args(["--device", "pulsemic"]));
    let mut daemon = Process::start(&mut command);
    daemon.wait_until("the daemon listens to the room", PATIENCE, |_| room.is_heard());
    thread::sleep(Duration::from_secs(1));
    room.play(wav);
    // The sound server holds up to two seconds; then the last sounds pass through the network's
    // context and the sliding mean.
    thread::sleep(Duration::from_secs(5));
    daemon.wait_until("open events end", PATIENCE, |daemon| daemon.stdout().len().is_multiple_of(2));
    assert!(daemon.is_running(), "the daemon ended by itself: {:#?}", daemon.stderr());
    daemon.signal("TERM");
    let output = daemon.finish(PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    (relative(events(&output.stdout)), output.stderr)
}

/// Plays `recording` to the daemon in a room and as a file, and compares what it reports. At least
/// `n_events` must be in it.
///
/// At which place in a pulse the recording begins is chance in a room, and it decides about events
/// whose score only just touches a threshold. So the file is heard with a delay of up to a pulse,
/// and the microphone must agree with one of the delays in every event.
fn assert_heard_alike(model: &Path, recording: &Recording, n_events: usize) {
    let dir = tempfile::tempdir().unwrap();
    let (wav, delayed) = (dir.path().join("recording.wav"), dir.path().join("delayed.wav"));
    recording.write(&wav, 0.0);
    let mut said = String::new();
    for _ in 0..MAX_PLAYINGS {
        let (heard, log) = heard_in_room(model, &wav);
        let mut nearest = Vec::new();
        for delay_s in delays_s().take_while(|_| heard.len() >= n_events) {
            recording.write(&delayed, delay_s);
            let found = found_in_file(model, &delayed);
            if alike(&heard, &found) {
                return;
            }
            nearest = found;
        }
        said = format!("microphone: {heard:#?}\nfile, at one of the delays: {nearest:#?}\n{log:#?}");
    }
    panic!("{n_events} events or more were to be heard: {said}");
}

/// Delays below a pulse in seconds, a quarter of a millisecond apart, in an order that makes the
/// coarse steps first.
fn delays_s() -> impl Iterator<Item = f64> {
    let halvings = |n: u32| f64::from(n.reverse_bits() >> (32 - 9)) / 4000.0;
    (0..512).map(halvings).filter(|&delay_s| delay_s < PULSE_S)
}

#[test]
fn a_microphone_hears_what_a_file_holds() {
    let parts = [
        (Sound::Silence, 2.0),
        (Sound::Tone, 1.5),
        (Sound::Silence, 1.5),
        (Sound::Noise, 2.0),
        (Sound::Silence, 1.0),
        (Sound::Tone, 0.8),
        (Sound::Silence, 2.0),
    ];
    let recording = Recording { sample_rate: tiny::SAMPLE_RATE, samples: tiny::samples(&parts) };
    assert_heard_alike(&tiny::model(), &recording, 3);
}

#[test]
fn the_shipped_model_hears_the_demonstration_through_a_microphone() {
    // At the room's rate, so that no resampler but ours is involved, and with silence before it, as
    // the room has.
    let scene = sounds::demo_scene_at(1, 48_000);
    let mut samples = vec![0; 2 * 48_000];
    samples.extend(scene.samples.iter().take(SCENE_S * 48_000).map(|x| (x * 32_767.0).round() as i16));
    assert_heard_alike(&model_dir(), &Recording { sample_rate: 48_000, samples }, 4);
}

#[test]
fn overruns_are_counted_marked_and_survived() {
    let parts = [(Sound::Tone, 1.5), (Sound::Silence, 1.5), (Sound::Noise, 1.5), (Sound::Silence, 1.5)];
    let samples: Vec<f32> = tiny::samples(&parts).into_iter().map(|x| f32::from(x) / 32_768.0).collect();
    let config = AlsaConfig::unpaced(&samples);
    let mut command = run(&tiny::model(), "mic");
    config.configure(command.args(["--device", "virtmic"]));
    let mut daemon = Process::start(&mut command);
    daemon.wait_until("missing samples are reported", PATIENCE, |daemon| {
        daemon.stderr().iter().any(|line| line.contains("samples missing"))
    });
    thread::sleep(Duration::from_secs(1));
    assert!(daemon.is_running(), "the daemon survives: {:#?}", daemon.stderr());
    daemon.signal("TERM");
    let output = daemon.finish(PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{output:#?}");

    let status = final_status(&output.stderr);
    let count = |name: &str| status[name].as_u64().unwrap();
    assert!(count("n_overruns") > 0 && count("n_gaps") > 0, "{status}");
    assert!(0 < count("n_gap_samples"), "{status}");
    // Stream time is the sum of what was heard and what is missing, and every event lies within it.
    let end_s = (count("n_samples") + count("n_gap_samples")) as f64 / 48_000.0;
    for event in events(&output.stdout) {
        let times = [0.0, event.onset_s, event.offset_s, end_s];
        assert!(times.is_sorted(), "{event:?} in a stream of {end_s} s");
    }
}

#[test]
fn a_microphone_that_dies_ends_its_events_and_is_opened_again_with_its_time_intact() {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("tone.wav");
    tiny::write_wav(&wav, &[(Sound::Silence, 1.0), (Sound::Tone, 4.0), (Sound::Silence, 1.0)]);
    let mut room = Room::open();
    let mut command = run(&tiny::model(), "mic");
    room.configure(command.args(["--device", "pulsemic"]));
    let mut daemon = Process::start(&mut command);
    daemon.wait_until("the daemon listens to the room", PATIENCE, |_| room.is_heard());
    let player = room.start_playing(&wav);
    daemon.wait_until("the tone is heard", PATIENCE, |daemon| !daemon.stdout().is_empty());
    room.collapse();
    drop(player);
    daemon.wait_until("the open event ends", PATIENCE, |daemon| daemon.stdout().len() >= 2);
    daemon.wait_until("the loss is said", PATIENCE, |daemon| {
        daemon.stderr().iter().any(|line| line.contains("WARN") && line.contains("capture device pulsemic"))
    });
    // Long enough to be tried in vain.
    thread::sleep(Duration::from_secs(2));
    room.reopen();
    daemon.wait_until("the daemon listens again", PATIENCE, |_| room.is_heard());
    thread::sleep(Duration::from_secs(1));
    let _player = room.start_playing(&wav);
    daemon.wait_until("the second tone is heard", PATIENCE, |daemon| daemon.stdout().len() >= 3);
    daemon.signal("TERM");
    let output = daemon.finish(PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{output:#?}");
    assert_eq!(events(&output.stdout).len(), 2);
    assert!(output.stderr.iter().any(|line| line.contains("heard again after")), "{output:#?}");

    // What passed between the onsets by the stream's time passed by the wall clock, too.
    let onsets: Vec<Value> = [0, 2].map(|line| serde_json::from_str(&output.stdout[line]).unwrap()).into();
    let t_s = |event: &Value| event["t_onset_s"].as_f64().unwrap();
    let wall = |event: &Value| event["onset"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let by_stream_s = t_s(&onsets[1]) - t_s(&onsets[0]);
    let by_wall_s = wall(&onsets[1]).duration_since(wall(&onsets[0])).as_secs_f64();
    assert!(by_stream_s > 4.0 && (by_stream_s - by_wall_s).abs() < 0.1, "{by_stream_s} s and {by_wall_s} s");
    let status = final_status(&output.stderr);
    assert!(status["n_gap_samples"].as_u64().unwrap() > 2 * 48_000, "{status}");
}

#[test]
fn a_microphone_with_a_wrong_rate_is_said_and_opened_again() {
    let samples: Vec<f32> =
        tiny::samples(&[(Sound::Noise, 2.0)]).into_iter().map(|x| f32::from(x) / 32_768.0).collect();
    // Not paced at all, it delivers millions a second.
    let config = AlsaConfig::unpaced(&samples);
    let mut command = run(&tiny::model(), "mic");
    config.configure(command.args(["--device", "virtmic"]));
    let mut daemon = Process::start(&mut command);
    daemon.wait_until("the wrong rate is said", PATIENCE, |daemon| {
        daemon.stderr().iter().any(|line| line.contains("samples per second instead of 48000"))
    });
    daemon.wait_until("it is opened again", PATIENCE, |daemon| {
        daemon.stderr().iter().any(|line| line.contains("heard again after"))
    });
    daemon.signal("TERM");
    assert_eq!(daemon.finish(PATIENCE).status.code(), Some(0));
}

/// The figures that the worker reports at its end.
fn final_status(stderr: &[String]) -> Value {
    let json = stderr.iter().rev().find_map(|line| line.split_once("as in the health message: ").map(|(_, json)| json));
    serde_json::from_str(json.unwrap_or_else(|| panic!("no final figures in {stderr:#?}"))).unwrap()
}

#[test]
fn devices_says_what_a_microphone_brings() {
    // Noise, which lacks no frequencies, and more of it than is listened to: what repeats every
    // second hums.
    let noise = |n: u32| {
        let state = n.wrapping_mul(2_654_435_761).wrapping_add(12_345);
        let state = (state ^ state >> 15).wrapping_mul(2_246_822_519);
        ((state ^ state >> 13) >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let sound = |gain: f32| -> Vec<f32> { (0..480_000).map(|n| (gain * noise(n)).clamp(-1.0, 1.0)).collect() };
    let listen = |config: &AlsaConfig, device: &str| {
        let mut command = Command::new(earwitness_bin());
        command.args(["devices", "--json", "--listen", device]);
        config.configure(&mut command);
        Process::start(&mut command).finish(PATIENCE)
    };
    for (gain, peak_dbfs, hint) in [
        (0.1, -20.0, None),
        (0.001, -60.0, Some("louder than -60 dBFS")),
        (8.0, 0.0, Some("turn its gain down")),
        (0.0, -120.0, Some("is it muted?")),
    ] {
        let output = listen(&AlsaConfig::unpaced(&sound(gain)), "virtmic");
        assert!(output.status.success(), "{output:#?}");
        let heard: Value = serde_json::from_str(&output.stdout[0]).unwrap();
        assert_eq!(heard["peak_dbfs"], peak_dbfs, "{heard}");
        assert!(heard["heard_s"].as_f64().unwrap() >= 5.0, "{heard}");
        assert_eq!(heard["advised_gain_db"].is_number(), peak_dbfs == -60.0, "{heard}");
        let hints = heard["hints"].as_array().unwrap();
        assert_eq!(hints.len(), usize::from(hint.is_some()), "{heard}");
        assert!(hint.is_none_or(|words| hints[0].as_str().unwrap().contains(words)), "{heard}");
    }
    let output = listen(&AlsaConfig::without_devices(), "kinect");
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    assert!(output.stderr.len() == 1 && output.stderr[0].contains("no capture device found"), "{output:#?}");
}

#[test]
fn no_capture_device_is_one_clear_line_and_waited_for() {
    let config = AlsaConfig::without_devices();
    for device in [None, Some("kinect")] {
        let mut command = run(&tiny::model(), "mic");
        if let Some(device) = device {
            command.args(["--device", device]);
        }
        config.configure(command.env("EARWITNESS_LOG", "warn"));
        let mut daemon = Process::start(&mut command);
        daemon.wait_until("the complaint", PATIENCE, |daemon| !daemon.stderr().is_empty());
        thread::sleep(Duration::from_secs(2));
        assert!(daemon.is_running(), "a device may come later: {:#?}", daemon.stderr());
        daemon.signal("TERM");
        let output = daemon.finish(PATIENCE);
        assert_eq!(output.status.code(), Some(0), "{output:#?}");
        assert!(output.stdout.is_empty(), "{output:#?}");
        assert_eq!(output.stderr.len(), 1, "one line: {output:#?}");
        for part in ["no capture device found", "trying again until it works"] {
            assert!(output.stderr[0].contains(part), "{output:#?}");
        }
    }
}

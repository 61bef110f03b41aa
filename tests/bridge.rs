//! Claim: a microcontroller is an ear and a lamp. The firmware runs on an emulated board; what it
//! streams from its flash arrives sample by sample, and what the daemon hears in it reaches a real
//! broker and the board's LED. Needs the Debian packages qemu-system-arm and mosquitto, and the
//! Rust target thumbv7em-none-eabihf.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use edge_frontend::{FrontendConfig, log_mel};
use firmware_bridge::frame;
use firmware_bridge::host::{Heard, Host, Wish};
use firmware_bridge::log_mel::quantise;
use firmware_bridge::msg::{Encoding, Encodings, Event, Phase};
use tests::binary::{PATIENCE, Process, earwitness_bin, model_dir};
use tests::board::{self, Board, Serial};
use tests::broker::{Broker, Subscriber, free_port};

/// The clip in the firmware's flash, as its build script has it.
const RATE_HZ: u32 = 24_000;
const BLOCK_LEN: usize = 480;

/// Ten times what 1,500 frames last.
const LONG_ENOUGH_MS: u64 = 300_000;

fn clip() -> Vec<i16> {
    let sound = sounds::render(sounds::Sound::CryingBaby, RATE_HZ, 4.0, 3);
    let silence = |seconds: usize| vec![0.0; seconds * RATE_HZ as usize];
    let all = [silence(1), sound, silence(3)].concat();
    all.into_iter().map(|sample: f32| (sample * 32_767.0).round() as i16).collect()
}

#[test]
fn the_self_test_passes_on_the_board() {
    let (status, log) = Board::start(&board::self_test(), &Serial::None).finish();
    assert!(status.success(), "{log:#?}");
    assert!(log.iter().any(|line| line.contains("(4/4)")), "{log:#?}");
    assert!(log.last().unwrap().contains("all tests passed"), "{log:#?}");
}

#[test]
fn every_sample_arrives_and_the_lamp_follows_every_event() {
    const N_FRAMES: usize = 1_500;
    const N_EVENTS: u64 = 20;
    let clip = clip();
    let (board, mut stream) = Board::start_connected(board::node());
    let mut line = Line::new(&mut stream);
    let mut heard: Vec<i16> = Vec::new();
    let mut told = 0;
    while heard.len() < N_FRAMES * BLOCK_LEN {
        assert!(line.now_ms() < LONG_ENOUGH_MS, "only {} samples came: {:#?}", heard.len(), board.log());
        line.step(&mut heard);
        // On at 0.7 s, off at 1.4 s, and so on.
        let n_words = line.now_ms() / 700;
        if told < n_words && told < 2 * N_EVENTS {
            told += 1;
            let phase = if told % 2 == 1 { Phase::Onset } else { Phase::Offset };
            line.host.event(Event { phase, score_percent: 90, label: "rain" }).unwrap();
        }
    }
    assert_eq!(told, 2 * N_EVENTS);
    line.host.stop();
    line.step(&mut heard);
    let (n_lost, counts) = (line.host.n_lost(), line.host.counts());

    // The stream begins with any block of the clip; over its whole length, pauses and all, only one
    // of them fits.
    let fits = |start: &usize| (0..clip.len()).all(|n| heard[n] == clip[(start + n) % clip.len()]);
    let start = (0..clip.len()).step_by(BLOCK_LEN).find(fits);
    let start = start.expect("the stream begins somewhere in the clip");
    let n_wrong = (0..heard.len()).filter(|n| heard[*n] != clip[(start + n) % clip.len()]).count();
    assert_eq!((n_wrong, n_lost, counts.damaged), (0, 0, 0));

    let (status, log) = board.finish();
    assert!(status.success(), "{log:#?}");
    let n_logged = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!((n_logged("led on"), n_logged("phase: Onset")), (N_EVENTS as usize, N_EVENTS as usize), "{log:#?}");
    assert_eq!(n_logged("led off"), N_EVENTS as usize + 1, "{log:#?}");
    assert!(log.last().unwrap().contains("frames_dropped: 0"), "{log:#?}");
    assert!(log.last().unwrap().contains("20 onsets, 0 bytes lost"), "{log:#?}");
}

/// The daemon's end of the line, on the library alone.
struct Line<'a> {
    host: Host<{ frame::decoded_len(2 * BLOCK_LEN) }>,
    stream: &'a mut TcpStream,
    begin: Instant,
    /// That have come.
    n_bytes: u64,
}

impl<'a> Line<'a> {
    fn new(stream: &'a mut TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let encodings = Encodings::of(&[Encoding::Pcm16]);
        let wish = Wish { rate_hz: Some(RATE_HZ), channel: 0, encodings, features: None, gate_db: 0 };
        Self { host: Host::new(wish, 1), stream, begin: Instant::now(), n_bytes: 0 }
    }

    fn now_ms(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }

    /// Writes what is to be said and reads what has come.
    fn step(&mut self, heard: &mut Vec<i16>) {
        let mut stream = Stream::default();
        self.step_with(&mut stream);
        assert_eq!((stream.n_quiet, stream.frames.len()), (0, 0));
        heard.extend(stream.samples);
    }

    /// Writes what is to be said and reads what has come.
    fn step_with(&mut self, heard: &mut Stream) {
        let now_ms = self.now_ms();
        self.host.poll_with(now_ms, |bytes| self.stream.write(bytes)).unwrap();
        let mut buffer = [0; 4096];
        let n = match self.stream.read(&mut buffer) {
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
            Err(error) => panic!("read: {error}"),
        };
        assert!(n > 0, "the board has ended");
        self.n_bytes += n as u64;
        self.host.push(now_ms, &buffer[..n], |what| match what {
            Heard::Samples(samples) => {
                heard.samples.extend_from_slice(samples);
                heard.n_samples += samples.len() as u64;
            }
            Heard::LogMel { n_mels, frames } => {
                heard.frames.extend_from_slice(frames);
                heard.n_samples += (frames.len() / n_mels * 240) as u64;
            }
            Heard::Quiet { n_samples } => {
                heard.n_quiet += n_samples;
                heard.n_samples += n_samples;
            }
            Heard::Started { hello, .. } => assert_eq!((hello.name, hello.n_lamps), ("mps2-an386", 1)),
            Heard::Stats(stats) => assert_eq!((stats.frames_dropped, stats.damaged), (0, 0)),
            other => panic!("{other:?}"),
        });
    }
}

/// Has the node send this many seconds of the clip as `encoding`. Returns what was heard, and the
/// bytes that came for a second of it.
fn streamed(encoding: Encoding, gate_db: u8, seconds: u64) -> (Stream, u64) {
    let (board, mut stream) = Board::start_connected(board::node());
    let wish = Wish {
        rate_hz: Some(RATE_HZ),
        channel: 0,
        encodings: Encodings::of(&[encoding]),
        features: Some(FrontendConfig::student().raw_hash()),
        gate_db,
    };
    let mut line = Line { host: Host::new(wish, 1), ..Line::new(&mut stream) };
    let mut heard = Stream::default();
    while heard.n_samples < seconds * u64::from(RATE_HZ) {
        assert!(line.now_ms() < LONG_ENOUGH_MS, "only {} samples came: {:#?}", heard.n_samples, board.log());
        line.step_with(&mut heard);
    }
    line.host.stop();
    line.step_with(&mut heard);
    assert_eq!((line.host.n_lost(), line.host.counts().damaged), (0, 0));
    let n_bytes = line.n_bytes * u64::from(RATE_HZ) / heard.n_samples;
    let (status, log) = board.finish();
    assert!(status.success(), "{log:#?}");
    (heard, n_bytes)
}

/// What was heard, and the samples that it stands for.
#[derive(Default)]
struct Stream {
    samples: Vec<i16>,
    frames: Vec<u8>,
    n_samples: u64,
    n_quiet: u64,
}

/// Noise of `got` against `sent`, decibels below the sound.
fn snr_db(got: &[i16], sent: &[i16]) -> f64 {
    let power = |a: i16, b: i16| (f64::from(a) - f64::from(b)).powi(2);
    let noise: f64 = got.iter().zip(sent).map(|(&got, &sent)| power(got, sent)).sum();
    let sound: f64 = sent.iter().map(|&sent| power(sent, 0)).sum();
    10.0 * (sound / noise).log10()
}

/// More than the clip has, eight of them.
const SECONDS: u64 = 10;

#[test]
fn each_encoding_brings_the_clip_with_as_many_bytes_as_it_promises() {
    let clip = clip();
    // Bytes a second on the line, frames' overhead and messages included.
    let promised =
        [(Encoding::Pcm16, 48_000, f64::INFINITY), (Encoding::MuLaw, 24_000, 30.0), (Encoding::Adpcm, 12_000, 15.0)];
    for (encoding, bytes, snr) in promised {
        let (heard, n_bytes) = streamed(encoding, 0, SECONDS);
        let near = |start: usize| {
            let sent: Vec<i16> = (0..heard.samples.len()).map(|n| clip[(start + n) % clip.len()]).collect();
            snr_db(&heard.samples, &sent)
        };
        let best = (0..clip.len()).step_by(BLOCK_LEN).map(near).fold(f64::MIN, f64::max);
        println!("{encoding:?}: {n_bytes} bytes a second, noise {best:.1} dB below the sound");
        assert!(best >= snr, "{encoding:?}: {best} dB");
        assert!((bytes..bytes * 112 / 100).contains(&n_bytes), "{encoding:?}: {n_bytes} bytes a second");
    }
}

#[test]
fn features_of_the_board_are_those_of_the_daemon_and_no_sound_comes_with_them() {
    let (heard, n_bytes) = streamed(Encoding::LogMel, 0, SECONDS);
    assert!(heard.samples.is_empty());
    println!("features: {n_bytes} bytes a second");
    assert!((6_400..7_400).contains(&n_bytes), "{n_bytes} bytes a second");
    let floats: Vec<f32> = clip().iter().map(|&sample| f32::from(sample) / 32_768.0).collect();
    let thrice = [&floats[..], &floats[..], &floats[..]].concat();
    let expected = log_mel(&FrontendConfig::student(), &thrice).unwrap();
    let expected: Vec<u8> = expected.into_iter().map(quantise).collect();
    // The stream begins with any block of the clip, two frames each.
    let far = |start: usize| {
        heard.frames.iter().zip(&expected[start..]).filter(|(got, sent)| got.abs_diff(**sent) > 1).count()
    };
    let n_far = (0..floats.len()).step_by(BLOCK_LEN).map(|sample| far(sample / 240 * 64)).min();
    assert_eq!(n_far, Some(0), "bytes more than one off");
}

#[test]
fn a_gated_node_is_silent_in_silence_and_its_time_stays_true() {
    let (heard, n_bytes) = streamed(Encoding::Pcm16, 50, 3 * SECONDS);
    println!("16 bits, gate at 50 dB: {n_bytes} bytes a second");
    // Of eight seconds four are a cry, and the gate holds for one.
    let share = heard.n_quiet as f64 / heard.n_samples as f64;
    assert!((0.2..0.6).contains(&share), "{share} of the time is kept back");
    assert_eq!(heard.samples.len() as u64 + heard.n_quiet, heard.n_samples);
}

#[test]
fn features_of_another_front_end_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = board::node();
    // A model whose lowest band begins elsewhere.
    for file in
        std::fs::read_dir(tests::tiny::model()).unwrap().map(Result::unwrap).filter(|file| file.path().is_file())
    {
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    let manifest = dir.path().join("manifest.toml");
    let other = FrontendConfig { f_min_hz: 60.0, ..FrontendConfig::student() };
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text =
        text.replace("f_min_hz = 50.0", "f_min_hz = 60.0").replace(&FrontendConfig::student().hash(), &other.hash());
    std::fs::write(&manifest, text).unwrap();
    let source = format!("serial:tcp://127.0.0.1:{port}?encoding=features");
    let mut command = Command::new(earwitness_bin());
    let mut daemon = Process::start(command.args(["run", "--source", &source, "--model"]).arg(dir.path()));
    let said =
        |daemon: &Process, reason: &str| daemon.stderr().iter().any(|line| line.replace('\\', "").contains(reason));
    // A board that comes late: its own fault is not taken for more of the first.
    daemon.wait_until("a refusal", PATIENCE, |daemon| said(daemon, "Connection refused"));
    let _board = Board::start(node, &Serial::Listen(port));
    let reason = "the features of node \"mps2-an386\" are not the model's: f_min_hz";
    daemon.wait_until("the reason", PATIENCE, |daemon| said(daemon, reason));
    daemon.signal("TERM");
    assert!(daemon.finish(PATIENCE).status.success());
}

#[test]
fn what_a_board_hears_reaches_the_broker_and_lights_its_lamp() {
    the_whole_loop("", "16 bits");
}

#[test]
fn so_does_what_it_hears_over_a_slow_line() {
    the_whole_loop("?encoding=adpcm&gate=50", "ADPCM");
}

#[test]
fn so_does_what_it_hears_in_features_and_no_sound_leaves_it() {
    the_whole_loop("?encoding=features", "features");
}

/// Board, daemon, event, broker, and back to the lamp, with a source's options and the encoding
/// that the daemon then speaks of.
fn the_whole_loop(options: &str, encoding: &str) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), "allow_anonymous true");
    let subscriber = Subscriber::start(broker.port, None);
    let port = free_port();
    let board = Board::start(board::node(), &Serial::Listen(port));
    let config = dir.path().join("earwitness.toml");
    let text = format!(
        "name = \"nook\"\n[source]\ninput = \"serial:tcp://127.0.0.1:{port}{options}\"\n[model]\ndir = \"{}\"\n\
         [mqtt]\nurl = \"{}\"\nhealth_s = 1\nspool.file = \"spool\"\n",
        model_dir().display(),
        broker.url()
    );
    std::fs::write(&config, text).unwrap();
    let mut daemon = Process::start(Command::new(earwitness_bin()).arg("run").arg("--config").arg(&config));

    let phases = |label: &str| {
        let events = subscriber.payloads("earwitness/nook/event").into_iter();
        let events = events.map(|json| serde_json::from_str::<serde_json::Value>(&json).unwrap());
        events
            .filter(|event| event["label"] == label)
            .map(|event| event["phase"].as_str().unwrap().to_string())
            .collect()
    };
    // The clip, eight seconds long, is played over and over.
    let is_heard = |label: &str| -> bool {
        let phases: Vec<String> = phases(label);
        phases.iter().any(|phase| phase == "onset") && phases.iter().any(|phase| phase == "offset")
    };
    daemon.wait_until("a cry and its end", PATIENCE, |_| is_heard("crying_baby"));
    let onset = "phase: Onset, score_percent";
    daemon.wait_until("its word to the lamp", PATIENCE, |_| {
        board.n_logged(onset) > 0 && board.n_logged("phase: Offset") > 0
    });
    daemon.wait_until("a cry blinks", PATIENCE, |_| board.n_logged("led on") >= 2 && board.n_logged("led off") >= 2);
    daemon.wait_until("the node's word on itself", PATIENCE, |_| {
        subscriber.payloads("earwitness/nook/health").iter().any(|json| {
            let health: serde_json::Value = serde_json::from_str(json).unwrap();
            health["node"]["name"] == "mps2-an386" && health["node"]["n_lost"] == 0
        })
    });

    daemon.signal("TERM");
    let output = daemon.finish(PATIENCE);
    assert!(output.status.success(), "{output:#?}");
    let log = output.stderr.join("\n");
    assert!(log.contains(&format!("24000 Hz, {encoding}")), "{log}");
    // It has told the node to stop, and the node has found nothing amiss.
    let (status, log) = board.finish();
    assert!(status.success(), "{log:#?}");
}

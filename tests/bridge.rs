//! Claim: a microcontroller is an ear and a lamp. The firmware runs on an emulated board; what it streams from its flash arrives
//! sample by sample, and what the daemon hears in it reaches a real broker and the board's LED. Needs the Debian packages qemu-system-arm and
//! mosquitto, and the Rust target thumbv7em-none-eabihf.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use firmware_bridge::frame;
use firmware_bridge::host::{Heard, Host, Wish};
use firmware_bridge::msg::{Encoding, Encodings, Event, Phase};
use tests::binary::{Process, earwitness_bin, model_dir};
use tests::board::{self, Board, Serial};
use tests::broker::{Broker, Subscriber, free_port};

/// The clip in the firmware's flash, as its build script has it.
const RATE_HZ: u32 = 24_000;
const BLOCK_LEN: usize = 480;

/// Four times what 1,500 frames last.
const LONG_ENOUGH_MS: u64 = 120_000;

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

    // The stream begins with any block of the clip; over its whole length, pauses and all, only one of them fits.
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
}

impl<'a> Line<'a> {
    fn new(stream: &'a mut TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let wish = Wish { rate_hz: Some(RATE_HZ), channel: 0, encodings: Encodings::of(&[Encoding::Pcm16]) };
        Self { host: Host::new(wish, 1), stream, begin: Instant::now() }
    }

    fn now_ms(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }

    /// Writes what is to be said and reads what has come.
    fn step(&mut self, heard: &mut Vec<i16>) {
        let now_ms = self.now_ms();
        self.host.poll_with(now_ms, |bytes| self.stream.write(bytes)).unwrap();
        let mut buffer = [0; 4096];
        let n = match self.stream.read(&mut buffer) {
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
            Err(error) => panic!("read: {error}"),
        };
        assert!(n > 0, "the board has ended");
        self.host.push(now_ms, &buffer[..n], |what| match what {
            Heard::Samples(samples) => heard.extend_from_slice(samples),
            Heard::Started { hello, .. } => assert_eq!((hello.name, hello.n_lamps), ("mps2-an386", 1)),
            Heard::Stats(stats) => assert_eq!((stats.frames_dropped, stats.damaged), (0, 0)),
            other => panic!("{other:?}"),
        });
    }
}

#[test]
fn what_a_board_hears_reaches_the_broker_and_lights_its_lamp() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), free_port(), "allow_anonymous true");
    let subscriber = Subscriber::start(broker.port, None);
    let port = free_port();
    let board = Board::start(board::node(), &Serial::Listen(port));
    let config = dir.path().join("earwitness.toml");
    let text = format!(
        "name = \"nook\"\n[source]\ninput = \"serial:tcp://127.0.0.1:{port}\"\n[model]\ndir = \"{}\"\n\
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
    daemon.wait_until("a cry and its end", Duration::from_secs(60), |_| is_heard("crying_baby"));
    let onset = "phase: Onset, score_percent";
    daemon.wait_until("its word to the lamp", Duration::from_secs(10), |_| {
        board.n_logged(onset) > 0 && board.n_logged("phase: Offset") > 0
    });
    // A cry blinks.
    assert!(board.n_logged("led on") >= 2 && board.n_logged("led off") >= 2, "{:#?}", board.log());
    daemon.wait_until("the node's word on itself", Duration::from_secs(10), |_| {
        subscriber.payloads("earwitness/nook/health").iter().any(|json| {
            let health: serde_json::Value = serde_json::from_str(json).unwrap();
            health["node"]["name"] == "mps2-an386" && health["node"]["n_lost"] == 0
        })
    });

    daemon.signal("TERM");
    let output = daemon.finish(Duration::from_secs(20));
    assert!(output.status.success(), "{output:#?}");
    // It has told the node to stop, and the node has found nothing amiss.
    let (status, log) = board.finish();
    assert!(status.success(), "{log:#?}");
}

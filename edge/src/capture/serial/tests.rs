//! A node of the library on the other end of a socket, and its daemon's side as the supervisor sees
//! it.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use firmware_bridge::frame::max_encoded_len;
use firmware_bridge::msg::{Encoding, Encodings, Features};
use firmware_bridge::node::{Abilities, Notice, State, Timing};
use firmware_bridge::pace::Pace;

use super::*;
use crate::capture::{Condition, Hearing, Source, SourceOptions, SourceSpec};
use crate::decide::Phase;
use crate::ring::Chunk;

const BLOCK_LEN: usize = 160;
type Node = firmware_bridge::node::Node<'static, { max_encoded_len(2 * BLOCK_LEN) }>;

const FEATURES: Features = Features { hash: 0, n_fft: 512, win_length: 400, hop_length: 160, n_mels: 8 };

/// The model's.
fn frontend() -> FrontendConfig {
    FrontendConfig {
        sample_rate: 16_000,
        n_fft: 512,
        win_length: 400,
        hop_length: 160,
        n_mels: 8,
        f_max_hz: 8_000.0,
        ..FrontendConfig::student()
    }
}

/// A socket as a microcontroller's port.
struct Uart(TcpStream);

impl embedded_io::ErrorType for Uart {
    type Error = embedded_io::ErrorKind;
}

impl embedded_io::ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, embedded_io::ErrorKind> {
        match self.0.peek(&mut [0]) {
            Ok(n) => Ok(n > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(_) => Err(embedded_io::ErrorKind::Other),
        }
    }
}

impl embedded_io::Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, embedded_io::ErrorKind> {
        self.0.read(buffer).map_err(|_| embedded_io::ErrorKind::Other)
    }
}

impl embedded_io::WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, embedded_io::ErrorKind> {
        Ok(true)
    }
}

impl embedded_io::Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, embedded_io::ErrorKind> {
        self.0.write(bytes).map_err(|_| embedded_io::ErrorKind::Other)
    }

    fn flush(&mut self) -> Result<(), embedded_io::ErrorKind> {
        Ok(())
    }
}

/// What a node on a socket does until the socket is closed.
struct Firmware {
    node: Node,
    uart: Uart,
    begin: Instant,
    notices: Vec<String>,
}

impl Firmware {
    fn new(listener: &TcpListener, rate_hz: u32, encodings: &[Encoding]) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let abilities = Abilities {
            name: "nook",
            rates_hz: [rate_hz, 0, 0, 0],
            n_channels: 1,
            encodings: Encodings::of(encodings),
            n_lamps: 1,
            features: Some(Features { hash: frontend().raw_hash(), ..FEATURES }),
        };
        let node = Node::new(abilities, Timing::default(), Pace::unlimited());
        Firmware { node, uart: Uart(stream), begin: Instant::now(), notices: Vec::new() }
    }

    fn poll(&mut self) {
        let now_ms = self.begin.elapsed().as_millis() as u32;
        let notices = &mut self.notices;
        let on_notice = |notice: Notice<'_>| match notice {
            Notice::Event(event) => notices.push(format!("{:?} {}", event.phase, event.label)),
            other => notices.push(format!("{other:?}").split('(').next().unwrap_or_default().to_string()),
        };
        let polled = self.node.poll(now_ms, &mut self.uart, on_notice);
        // A daemon that has stopped it may have closed the line before it could answer.
        let is_stopped = self.notices.last().is_some_and(|notice| notice == "Stopped");
        assert!(polled.is_ok() || is_stopped, "{polled:?} after {:?}", self.notices);
    }

    /// Polls until `condition` holds.
    fn poll_until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition(self) {
            assert!(Instant::now() < deadline, "waited for: {what}; noticed {:?}", self.notices);
            self.poll();
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// With the options of a source after its address.
fn listen(options: &str) -> (TcpListener, Source, Arc<Hearing>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let spec = format!("tcp://{}{options}", listener.local_addr().unwrap()).parse().unwrap();
    let hearing = Arc::new(Hearing::of("serial"));
    let source = crate::capture::start(
        &SourceSpec::Serial(spec),
        &SourceOptions::default(),
        &frontend(),
        &Arc::new(Status::default()),
        &hearing,
    )
    .unwrap();
    (listener, source, hearing)
}

fn next_session(source: &mut Source, firmware: &mut Firmware) -> Session {
    firmware.poll_until("a start", |firmware| firmware.notices.iter().any(|notice| notice == "Started"));
    source.next_session(&AtomicBool::new(false)).unwrap()
}

/// What is in the ring until `n_samples` are accounted for, each block as a word.
fn heard(session: &mut Session, firmware: &mut Firmware, n_samples: u64) -> (Vec<f32>, u64) {
    let (mut samples, mut n_missing, mut buffer) = (Vec::new(), 0, [0.0; 64]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while samples.len() as u64 + n_missing < n_samples {
        assert!(Instant::now() < deadline, "{} samples, {n_missing} missing", samples.len());
        match session.reader.read(&mut buffer) {
            Chunk::Samples(n) => samples.extend_from_slice(&buffer[..n]),
            Chunk::Gap(n) => n_missing += n,
            Chunk::Empty => firmware.poll(),
            Chunk::Ended => panic!("the session has ended"),
        }
    }
    (samples, n_missing)
}

#[test]
fn samples_arrive_in_their_places_and_events_go_back() {
    let (listener, mut source, hearing) = listen("");
    let mut firmware = Firmware::new(&listener, 16_000, &[Encoding::Pcm16]);
    let mut session = next_session(&mut source, &mut firmware);
    assert_eq!(session.sample_rate, 16_000);
    assert!(session.description.contains("node \"nook\", 16000 Hz, 16 bits, 1 lamps"), "{}", session.description);

    firmware.node.capture(&[16_384; BLOCK_LEN]);
    firmware.poll();
    firmware.node.skip(100);
    firmware.node.capture(&[-16_384; BLOCK_LEN]);
    let (samples, n_missing) = heard(&mut session, &mut firmware, 420);
    // What came before the first sample, no longer than the start took, counts as missing.
    let n_faint = samples.iter().filter(|sample| sample.abs() < 1e-3).count();
    assert_eq!(samples.iter().filter(|&&sample| sample == 0.5).count(), BLOCK_LEN);
    assert_eq!((n_faint, n_missing), (100, 0));
    assert!(samples.ends_with(&[-0.5; BLOCK_LEN]));

    source.lamps.as_ref().unwrap().tell("rain", Phase::Onset, 0.5);
    let is_told = |firmware: &Firmware| firmware.notices.iter().filter(|notice| *notice == "Onset rain").count() == 2;
    firmware.poll_until("an onset and its repetition", is_told);
    firmware.poll_until("a report", |_| hearing.snapshot().node.is_some());
    assert_eq!(hearing.snapshot().node.unwrap().name, "nook");
    assert_eq!(hearing.condition(), Condition::Listening);

    let ending = thread::spawn(move || source.finish());
    firmware.poll_until("a stop", |firmware| firmware.notices.last().is_some_and(|notice| notice == "Stopped"));
    ending.join().unwrap().unwrap();
}

#[test]
fn a_line_that_breaks_is_opened_again_and_told_what_lasts() {
    let (listener, mut source, hearing) = listen("");
    let mut firmware = Firmware::new(&listener, 16_000, &[Encoding::MuLaw]);
    let first = next_session(&mut source, &mut firmware);
    source.lamps.as_ref().unwrap().tell("rain", Phase::Onset, 0.5);
    drop(firmware);
    // At another rate, as after an update of its firmware.
    let mut firmware = Firmware::new(&listener, 24_000, &[Encoding::Adpcm]);
    let second = next_session(&mut source, &mut firmware);
    assert!(first.reader.is_closed());
    assert_eq!((first.sample_rate, second.sample_rate), (16_000, 24_000));
    firmware.poll_until("what lasts", |firmware| firmware.notices.iter().any(|notice| notice == "Onset rain"));
    assert_eq!(hearing.snapshot().n_reopened, 1);
    source.finish().unwrap();
}

fn assert_refused(rate_hz: u32, encoding: Encoding, words: &str) {
    let (listener, source, hearing) = listen("");
    let mut firmware = Firmware::new(&listener, rate_hz, &[encoding]);
    let reason = |_: &Firmware| hearing.snapshot().capture_reason.is_some_and(|reason| reason.contains(words));
    firmware.poll_until("a reason", reason);
    drop(source);
}

#[test]
fn a_node_that_is_of_no_use_says_why() {
    assert_refused(16_000, Encoding::LogMel, "no sound in an encoding that earwitness understands");
}

#[test]
fn a_node_at_a_rate_that_cannot_be_processed_is_refused() {
    assert_refused(u32::MAX, Encoding::Pcm16, "a sample rate of 4294967295 Hz cannot be processed");
}

#[test]
fn noise_is_taken_for_a_wrong_rate() {
    let (listener, source, hearing) = listen("");
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&[0, 3, 99, 7, 0, 9, 9, 9, 0]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let reason = loop {
        if let Some(reason) = hearing.snapshot().capture_reason {
            break reason;
        }
        assert!(Instant::now() < deadline, "no reason is given");
        thread::sleep(Duration::from_millis(20));
    };
    assert!(reason.contains("9 bytes arrived, 2 damaged frames among them: is the rate right?"), "{reason}");
    drop(source);
}

#[test]
fn a_node_that_lacks_the_encoding_says_what_it_has() {
    let (listener, source, hearing) = listen("?encoding=adpcm");
    let mut firmware = Firmware::new(&listener, 16_000, &[Encoding::Pcm16, Encoding::MuLaw]);
    let reason = |_: &Firmware| {
        hearing
            .snapshot()
            .capture_reason
            .is_some_and(|reason| reason.contains("no encoding adpcm; it offers pcm, mulaw"))
    };
    firmware.poll_until("a reason", reason);
    drop(source);
}

#[test]
fn the_encoding_and_the_gate_of_the_source_are_asked_for() {
    let all = [Encoding::Pcm16, Encoding::MuLaw, Encoding::Adpcm, Encoding::LogMel];
    for (name, encoding) in ["pcm", "mulaw", "adpcm", "features"].into_iter().zip(all) {
        let (listener, mut source, _) = listen(&format!("?encoding={name}&gate=45"));
        let mut firmware = Firmware::new(&listener, 16_000, &all);
        let session = next_session(&mut source, &mut firmware);
        let State::Streaming(start) = firmware.node.state() else { panic!("{name}: it does not stream") };
        assert_eq!((start.encoding, start.gate_db), (encoding, 45));
        let is_features = encoding == Encoding::LogMel;
        assert_eq!(session.content == Content::Frames { n_mels: 8, hop_length: 160 }, is_features);
        source.finish().unwrap();
    }
}

#[test]
fn features_arrive_in_their_places() {
    let (listener, mut source, _) = listen("?encoding=features");
    let mut firmware = Firmware::new(&listener, 16_000, &[Encoding::Pcm16, Encoding::LogMel]);
    let mut session = next_session(&mut source, &mut firmware);
    assert!(session.description.contains("16000 Hz, features"), "{}", session.description);
    let frames = |byte: u8| [&[8][..], &[byte; 16]].concat();
    firmware.node.capture_encoded(Encoding::LogMel, 320, &frames(100)).unwrap();
    // A hop and a half was faint, and then another half.
    firmware.node.skip(240);
    firmware.node.capture_encoded(Encoding::LogMel, 320, &frames(110)).unwrap();
    firmware.node.skip(80);
    firmware.node.capture_encoded(Encoding::LogMel, 320, &frames(120)).unwrap();
    let (values, n_missing) = heard(&mut session, &mut firmware, 8 * 8);
    let silence = (frontend().log_offset as f32).ln();
    let expected: Vec<f32> =
        [-4.0, -4.0, silence, -3.0, -3.0, silence, -2.0, -2.0].iter().flat_map(|&v| [v; 8]).collect();
    assert_eq!((values.len(), n_missing), (expected.len(), 0));
    assert!(values.iter().zip(&expected).all(|(value, expected)| (value - expected).abs() < 1e-5), "{values:?}");
    source.finish().unwrap();
}

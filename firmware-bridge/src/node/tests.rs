use super::*;
use crate::frame::{Header, decoded_len, max_encoded_len};
use crate::msg::Phase;
use crate::testing::Port;

const N_SAMPLES: usize = 40;
const TX: usize = max_encoded_len(120);
const START: Start =
    Start { session: 7, rate_hz: 8_000, channel: 1, encoding: Encoding::Pcm16, hello_seq: 0, gate_db: 0 };

/// What a node said, in order.
#[derive(Debug, PartialEq)]
enum Said {
    Hello { session: u32 },
    Stats(Stats),
    Audio { stamp: u32, samples: Vec<i16> },
    Encoded(Kind),
}

/// A node on a port, with a clock.
struct Bench {
    node: Node<'static, TX>,
    port: Port,
    reader: FrameReader<{ decoded_len(120) }>,
    now_ms: u32,
    seq: u16,
    last_seq: u16,
    notices: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let abilities = Abilities {
            name: "nook",
            rates_hz: [16_000, 8_000, 0, 0],
            n_channels: 2,
            encodings: Encodings::of(&[Encoding::Pcm16, Encoding::LogMel]),
            n_lamps: 1,
            features: None,
        };
        let node = Node::new(abilities, Timing::default(), Pace::unlimited());
        // The clock wraps within the tests.
        let now_ms = u32::MAX - 1_500;
        Self { node, port: Port::new(), reader: FrameReader::new(), now_ms, seq: 0, last_seq: 0, notices: Vec::new() }
    }

    fn started() -> Self {
        let mut bench = Self::new();
        bench.wait(0);
        bench.hear(Message::Start(START));
        bench.wait(0);
        bench.said();
        bench
    }

    /// Hears `start` as the answer to what it has said last.
    fn hear_start(&mut self, start: Start) {
        self.hear(Message::Start(Start { hello_seq: self.last_seq, ..start }));
    }

    fn hear(&mut self, message: Message<'_>) {
        let payload = message.encode(&mut [0; msg::MAX_LEN]).unwrap().to_vec();
        self.hear_frame(Kind::Control, &payload);
    }

    fn hear_frame(&mut self, kind: Kind, payload: &[u8]) {
        let mut wire = [0; 200];
        let n = frame::encode(&Header { kind, flags: 0, seq: self.seq, stamp: 0 }, payload, &mut wire).unwrap();
        self.seq += 1;
        self.port.readable.push_back(frame::DELIMITER);
        self.port.readable.extend(&wire[..n]);
    }

    /// Lets time pass, in polls of 10 ms.
    fn wait(&mut self, ms: u32) {
        for step in 0..=ms / 10 {
            let now_ms = self.now_ms.wrapping_add(10 * step);
            self.node.poll(now_ms, &mut self.port, |notice| self.notices.push(format!("{notice:?}"))).unwrap();
        }
        self.now_ms = self.now_ms.wrapping_add(ms);
    }

    fn said(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        self.reader.push(&self.port.written, |frame| {
            self.last_seq = frame.header.seq;
            said.push(match frame.header.kind {
                Kind::Control => match Message::decode(frame.payload).unwrap() {
                    Message::Hello(hello) => Said::Hello { session: hello.session },
                    Message::Stats(stats) => Said::Stats(stats),
                    other => panic!("{other:?}"),
                },
                Kind::Audio => Said::Audio { stamp: frame.header.stamp, samples: frame.samples().collect() },
                kind => Said::Encoded(kind),
            });
        });
        self.port.written.clear();
        said
    }

    fn notices(&mut self) -> String {
        std::mem::take(&mut self.notices).join(" ")
    }
}

#[test]
fn an_idle_node_says_hello_every_second_and_sends_no_sound() {
    let mut bench = Bench::new();
    bench.node.capture(&[1; N_SAMPLES]);
    bench.wait(2_990);
    assert_eq!(bench.said(), [const { Said::Hello { session: 0 } }; 3]);
    assert_eq!(bench.node.state(), State::Idle);
}

#[test]
fn a_start_makes_it_stream_and_stamps_count_what_was_not_sent() {
    let mut bench = Bench::new();
    bench.node.capture(&[1; N_SAMPLES]);
    bench.wait(0);
    bench.said();
    bench.hear(Message::Start(START));
    bench.wait(0);
    assert_eq!(bench.notices(), format!("{:?}", Notice::Started(START)));
    bench.node.capture(&[2; N_SAMPLES]);
    bench.node.skip(5);
    bench.node.overrun(5);
    bench.node.capture(&[3; 2]);
    bench.wait(10);
    let said = bench.said();
    let stats = Stats { frames_sent: 1, messages: 1, ..Stats::default() };
    let audio = |stamp, samples: &[i16]| Said::Audio { stamp, samples: samples.to_vec() };
    assert_eq!(said, [Said::Stats(stats), audio(40, &[2; N_SAMPLES]), audio(90, &[3; 2])]);
}

#[test]
fn a_long_block_becomes_several_frames() {
    let mut bench = Bench::started();
    bench.node.capture(&[5; 140]);
    bench.wait(0);
    let n_longest = Node::<TX>::MAX_FRAME_SAMPLES;
    assert_eq!(n_longest, 60);
    let stamps = bench.said().into_iter().map(|said| match said {
        Said::Audio { stamp, samples } => (stamp, samples.len()),
        other => panic!("{other:?}"),
    });
    assert!(stamps.eq([(0, 60), (60, 60), (120, 20)]));
}

#[test]
fn a_start_before_it_has_said_hello_was_meant_for_the_run_before() {
    let mut bench = Bench::new();
    bench.hear(Message::Start(START));
    bench.wait(0);
    assert_eq!(bench.node.state(), State::Idle);
    assert_eq!(bench.said(), [Said::Hello { session: 0 }]);
}

#[test]
fn a_start_again_changes_nothing_and_another_one_changes_over() {
    let mut bench = Bench::started();
    bench.notices();
    bench.hear(Message::Start(START));
    bench.wait(0);
    assert_eq!(bench.notices(), "");
    let other = Start { rate_hz: 16_000, session: 8, ..START };
    bench.hear(Message::Start(other));
    bench.wait(0);
    assert_eq!(bench.notices(), format!("{:?}", Notice::Started(other)));
}

#[test]
fn a_start_that_asks_for_too_much_is_refused_with_a_hello() {
    let mut bench = Bench::new();
    bench.wait(0);
    bench.said();
    for start in [
        Start { session: 0, ..START },
        Start { rate_hz: 44_100, ..START },
        Start { rate_hz: 0, ..START },
        Start { channel: 2, ..START },
        Start { encoding: Encoding::Adpcm, ..START },
    ] {
        bench.hear_start(start);
        bench.wait(0);
        assert_eq!(bench.said(), [Said::Hello { session: 0 }]);
    }
    assert_eq!((bench.node.state(), bench.node.stats().refused), (State::Idle, 5));
}

#[test]
fn a_silent_daemon_loses_the_link_and_a_start_brings_it_back() {
    let mut bench = Bench::started();
    for _ in 0..5 {
        bench.wait(2_000);
        bench.hear(Message::Alive { session: 7 });
    }
    bench.wait(2_990);
    assert_eq!(bench.node.state(), State::Streaming(START));
    bench.notices();
    bench.said();
    bench.wait(20);
    assert_eq!((bench.node.state(), bench.notices().as_str()), (State::LinkLost, "LinkLost"));
    bench.node.capture(&[1; N_SAMPLES]);
    bench.wait(1_500);
    assert_eq!(bench.said(), [const { Said::Hello { session: 7 } }; 2]);
    bench.hear(Message::Start(START));
    bench.wait(0);
    assert_eq!(bench.node.state(), State::LinkLost, "the answer to a hello of long ago");
    bench.hear_start(START);
    bench.wait(0);
    assert!(matches!(bench.node.state(), State::Streaming(_)));
    assert_eq!(bench.node.stamp(), 40);
}

#[test]
fn another_daemons_word_ends_the_stream_and_is_answered_with_a_hello() {
    let mut bench = Bench::started();
    bench.notices();
    bench.hear(Message::Alive { session: 9 });
    bench.wait(0);
    assert_eq!((bench.node.state(), bench.notices().as_str()), (State::Idle, "Stopped"));
    assert_eq!(bench.said(), [Said::Hello { session: 7 }]);
    // Asked again, it answers at once.
    bench.hear(Message::Alive { session: 9 });
    bench.wait(0);
    assert_eq!(bench.said(), [Said::Hello { session: 7 }]);
}

#[test]
fn a_stop_stops() {
    let mut bench = Bench::started();
    bench.notices();
    bench.hear(Message::Stop);
    bench.wait(0);
    bench.node.capture(&[1; N_SAMPLES]);
    bench.wait(0);
    assert_eq!((bench.notices().as_str(), bench.said()), ("Stopped", vec![Said::Hello { session: 7 }]));
}

#[test]
fn events_are_passed_on_in_any_state() {
    let mut bench = Bench::new();
    let event = Event { phase: Phase::Onset, score_percent: 70, label: "rain" };
    bench.hear(Message::Event(event));
    bench.wait(0);
    assert_eq!(bench.notices(), format!("{:?}", Notice::Event(event)));
}

#[test]
fn what_it_does_not_know_is_skipped_counted_and_no_sign_of_life() {
    let mut bench = Bench::started();
    for _ in 0..4 {
        bench.hear_frame(Kind::Audio, &[1, 2]);
        bench.hear_frame(Kind::Control, &[200]);
        bench.hear(Message::Stats(Stats::default()));
        bench.port.readable.extend([9, 9, 9, 9, 0]);
        bench.wait(1_000);
    }
    assert_eq!(bench.node.state(), State::LinkLost);
    let stats = bench.node.stats();
    assert_eq!((stats.messages, stats.unknown, stats.damaged, stats.uptime_s), (1, 12, 4, 4));
}

#[test]
fn other_encodings_are_sent_only_where_they_are_wanted() {
    let mut bench = Bench::started();
    bench.node.capture_encoded(Encoding::LogMel, 160, &[1; 64]).unwrap();
    bench.wait(0);
    assert_eq!(bench.said(), []);
    bench.hear(Message::Start(Start { encoding: Encoding::LogMel, ..START }));
    bench.wait(10);
    bench.said();
    bench.node.capture(&[1; N_SAMPLES]);
    bench.node.capture_encoded(Encoding::LogMel, 160, &[1; 64]).unwrap();
    assert!(bench.node.capture_encoded(Encoding::LogMel, 160, &[1; 121]).is_err());
    bench.wait(0);
    assert_eq!(bench.said(), [Said::Encoded(Kind::LogMel)]);
    assert_eq!(bench.node.stamp(), 520);
}

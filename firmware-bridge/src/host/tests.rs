use super::*;
use crate::frame::{Header, decoded_len};

const WISH: Wish = Wish {
    rate_hz: None,
    channel: 0,
    encodings: Encodings::of(&[Encoding::Pcm16, Encoding::MuLaw]),
    features: None,
    gate_db: 0,
};
const HELLO: Hello<'_> = Hello {
    session: 0,
    name: "nook",
    rates_hz: [16_000, 8_000, 0, 0],
    n_channels: 1,
    encodings: Encodings::of(&[Encoding::Pcm16]),
    max_frame_samples: 320,
    n_lamps: 1,
    features: None,
};

/// A host, and the node's end of the line.
struct Bench {
    host: Host<{ decoded_len(640) }>,
    now_ms: u64,
    seq: u16,
}

impl Bench {
    /// One whose node has introduced itself.
    fn started() -> Self {
        let host = Host::new(WISH, 40);
        let mut bench = Self { host, now_ms: 1_000, seq: 10 };
        bench.frame(Kind::Control, 0, &[]);
        assert!(bench.hello(0, 0).starts_with("Started"));
        bench
    }

    fn frame(&mut self, kind: Kind, stamp: u32, payload: &[u8]) -> Vec<String> {
        let mut wire = vec![0; frame::max_encoded_len(payload.len())];
        let n = frame::encode(&Header { kind, flags: 0, seq: self.seq, stamp }, payload, &mut wire).unwrap();
        self.seq = self.seq.wrapping_add(1);
        let mut heard = Vec::new();
        self.host.push(self.now_ms, &[&[0], &wire[..n]].concat(), |what| {
            heard.push(match what {
                Heard::Samples(samples) => format!("{} samples", samples.len()),
                other => format!("{other:?}"),
            });
        });
        heard
    }

    fn message(&mut self, stamp: u32, message: Message<'_>) -> String {
        let payload = message.encode(&mut [0; msg::MAX_LEN]).unwrap().to_vec();
        self.frame(Kind::Control, stamp, &payload).join(" ")
    }

    fn hello(&mut self, session: u32, stamp: u32) -> String {
        self.message(stamp, Message::Hello(Hello { session, ..HELLO }))
    }

    fn audio(&mut self, stamp: u32) -> String {
        self.frame(Kind::Audio, stamp, &[1; 640]).join(" ")
    }

    /// What the host says next.
    fn said(&mut self) -> Vec<String> {
        let mut wire = Vec::new();
        let write = |bytes: &[u8]| {
            wire.extend(bytes);
            Ok::<_, ()>(bytes.len())
        };
        self.host.poll_with(self.now_ms, write).unwrap();
        let mut said = Vec::new();
        FrameReader::<{ decoded_len(msg::MAX_LEN) }>::new().push(&[&[0], &wire[..]].concat(), |frame| {
            said.push(format!("{:?}", Message::decode(frame.payload).unwrap()));
        });
        said
    }
}

#[test]
fn a_hello_is_answered_with_a_start_and_every_second_it_says_alive() {
    let mut bench = Bench { host: Host::new(WISH, 40), now_ms: 0, seq: 0 };
    assert_eq!(bench.said(), ["Alive { session: 0 }"]);
    assert_eq!(bench.audio(0), "", "sound of a session that is not this one's");
    bench.hello(0, 320);
    assert_eq!(
        bench.said(),
        ["Start(Start { session: 40, rate_hz: 16000, channel: 0, encoding: Pcm16, hello_seq: 1, gate_db: 0 })"]
    );
    bench.now_ms = 999;
    assert_eq!(bench.said(), [""; 0]);
    bench.now_ms = 1_000;
    assert_eq!(bench.said(), ["Alive { session: 40 }"]);
    assert_eq!(bench.audio(320), "256 samples 64 samples");
}

#[test]
fn what_was_lost_is_a_gap_and_what_was_kept_back_is_quiet() {
    let mut bench = Bench::started();
    assert_eq!(bench.audio(1_000), "256 samples 64 samples");
    bench.now_ms += 1_000;
    bench.seq += 2;
    assert_eq!(bench.audio(1_960), "Gap { n_samples: 640, n_frames: 2 } 256 samples 64 samples");
    assert_eq!(bench.audio(2_300), "Quiet { n_samples: 20 } 256 samples 64 samples");
    let stats = bench.message(3_000, Message::Stats(Stats::default()));
    assert!(stats.starts_with("Quiet { n_samples: 380 } Stats(Stats {"), "{stats}");
    assert_eq!(bench.host.n_lost(), 2);
}

#[test]
fn stamps_wrap() {
    let mut bench = Bench::started();
    bench.audio(u32::MAX - 319);
    assert_eq!(bench.audio(0), "256 samples 64 samples");
}

#[test]
fn a_node_that_is_found_again_has_lost_exactly_what_its_stamp_says() {
    let mut bench = Bench::started();
    bench.audio(0);
    bench.host.reopened();
    bench.said();
    bench.now_ms += 10_000;
    bench.seq += 5;
    let heard = bench.hello(40, 100_000);
    assert!(heard.starts_with("Gap { n_samples: 99680, n_frames: 5 } Started"), "{heard}");
    assert!(heard.ends_with("restarted: false }"), "{heard}");
    let start = "Start(Start { session: 40, rate_hz: 16000, channel: 0, encoding: Pcm16, hello_seq: 18, gate_db: 0 })";
    assert_eq!(bench.said(), [start, "Alive { session: 40 }"]);
    assert_eq!(bench.audio(100_000), "256 samples 64 samples");
}

#[test]
fn across_a_restart_the_clock_says_what_is_missing_once() {
    let mut bench = Bench::started();
    bench.audio(5_000);
    for _ in 0..2 {
        bench.now_ms += 2_000;
        bench.seq = 0;
        assert!(bench.hello(0, 0).ends_with("restarted: true }"));
        let stats = bench.message(0, Message::Stats(Stats::default()));
        assert!(stats.starts_with("Gap { n_samples: 32000, n_frames: 0 }"), "{stats}");
    }
    assert_eq!(bench.audio(0), "256 samples 64 samples");
    assert_eq!(bench.host.n_lost(), 0);
}

#[test]
fn a_number_that_steps_back_without_a_hello_is_a_restart_too() {
    let mut bench = Bench::started();
    bench.audio(5_000);
    bench.now_ms += 500;
    bench.seq = 0;
    assert_eq!(bench.audio(0), "Gap { n_samples: 8000, n_frames: 0 } 256 samples 64 samples");
}

#[test]
fn a_stamp_from_the_future_or_the_past_moves_nothing() {
    let mut bench = Bench::started();
    bench.audio(0);
    assert_eq!(bench.audio(1 << 30), "256 samples 64 samples");
    assert_eq!(bench.audio(7), "256 samples 64 samples");
    assert_eq!(bench.audio(327), "256 samples 64 samples");
}

#[test]
fn a_node_that_cannot_do_what_is_wished_is_not_started() {
    for wish in [
        Wish { rate_hz: Some(44_100), ..WISH },
        Wish { rate_hz: Some(0), ..WISH },
        Wish { channel: 1, ..WISH },
        Wish { encodings: Encodings::of(&[Encoding::LogMel]), ..WISH },
    ] {
        let mut bench = Bench { host: Host::new(wish, 1), now_ms: 0, seq: 0 };
        assert!(bench.hello(0, 0).starts_with("Unusable"));
        assert_eq!(bench.said(), ["Alive { session: 0 }"]);
    }
}

#[test]
fn events_and_a_stop_are_said() {
    let mut bench = Bench::started();
    bench.said();
    bench.host.event(Event { phase: msg::Phase::Onset, score_percent: 5, label: "rain" }).unwrap();
    bench.host.stop();
    assert_eq!(bench.said(), ["Event(Event { phase: Onset, score_percent: 5, label: \"rain\" })", "Stop"]);
    let label = "m".repeat(msg::MAX_TEXT_LEN + 1);
    assert!(bench.host.event(Event { phase: msg::Phase::Onset, score_percent: 5, label: &label }).is_err());
}

#[test]
fn log_mel_frames_of_the_announced_kind_pass_time_by_hops() {
    let features = Features { hash: 7, n_fft: 512, win_length: 400, hop_length: 160, n_mels: 3 };
    let wish = Wish { encodings: Encodings::of(&[Encoding::LogMel]), features: Some(7), ..WISH };
    let encodings = Encodings::of(&[Encoding::Pcm16, Encoding::LogMel]);
    let hello = Hello { encodings, features: Some(features), ..HELLO };
    let mut bench = Bench { host: Host::new(wish, 1), now_ms: 0, seq: 0 };
    for hello in [
        Hello { features: None, ..hello },
        Hello { features: Some(Features { hash: 8, ..features }), ..hello },
        Hello { encodings: Encodings::of(&[Encoding::Pcm16]), ..hello },
    ] {
        assert!(bench.message(0, Message::Hello(hello)).starts_with("Unusable"));
    }
    assert!(bench.message(0, Message::Hello(hello)).starts_with("Started"));
    let two = "LogMel { n_mels: 3, frames: [9, 8, 7, 6, 5, 4] }";
    assert_eq!(bench.frame(Kind::LogMel, 0, &[3, 9, 8, 7, 6, 5, 4]), [two]);
    bench.now_ms += 1_000;
    assert_eq!(bench.frame(Kind::LogMel, 480, &[3, 9, 8, 7, 6, 5, 4]), ["Quiet { n_samples: 160 }", two]);
    bench.seq += 1;
    assert_eq!(bench.frame(Kind::LogMel, 1_120, &[3, 9, 8, 7, 6, 5, 4]), ["Gap { n_samples: 320, n_frames: 1 }", two]);
    let before = bench.host.n_unknown();
    for payload in [&[][..], &[4, 1, 2, 3, 4], &[3, 1, 2], &[0]] {
        assert_eq!(bench.frame(Kind::LogMel, 1_440, payload), [""; 0]);
    }
    assert_eq!(bench.host.n_unknown() - before, 4);
}

#[test]
fn frames_that_mean_nothing_are_counted() {
    let mut bench = Bench::started();
    let before = bench.host.n_unknown();
    bench.frame(Kind::Control, 0, &[99]);
    bench.message(0, Message::Stop);
    assert_eq!(bench.host.n_unknown() - before, 2);
}

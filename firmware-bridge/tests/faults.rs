//! A damaged line never delivers a wrong frame, and costs no frame but those that it touched.
#![allow(clippy::unwrap_used)]

use firmware_bridge::frame::{self, DELIMITER, Header, Kind};
use firmware_bridge::reader::FrameReader;
use proptest::prelude::*;

const LONGEST: usize = 640;
type Reader = FrameReader<{ frame::decoded_len(LONGEST) }>;

#[derive(Clone, Debug, PartialEq)]
struct Sent {
    header: Header,
    payload: Vec<u8>,
}

/// Payloads that are all zeros, free of zeros, or of anything, around the lengths where the
/// stuffing changes.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0..=12_usize, 240..=260_usize, 490..=515_usize, Just(LONGEST)];
    length.prop_flat_map(|n| {
        prop_oneof![
            Just(vec![0; n]),
            prop::collection::vec(1..=255_u8, n),
            prop::collection::vec(any::<u8>(), n),
            prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], n),
        ]
    })
}

fn sent() -> impl Strategy<Value = Sent> {
    let kind = prop_oneof![Just(Kind::Audio), Just(Kind::Control)];
    (kind, any::<u8>(), any::<u16>(), any::<u32>(), payload())
        .prop_map(|(kind, flags, seq, stamp, payload)| Sent { header: Header { kind, flags, seq, stamp }, payload })
}

fn encode(sent: &Sent) -> Vec<u8> {
    let mut wire = vec![0; frame::max_encoded_len(sent.payload.len())];
    let n = frame::encode(&sent.header, &sent.payload, &mut wire).unwrap();
    wire.truncate(n);
    wire
}

fn receive(reader: &mut Reader, bytes: &[u8], chunk: usize) -> Vec<Sent> {
    let mut received = Vec::new();
    for bytes in bytes.chunks(chunk) {
        reader.push(bytes, |frame| received.push(Sent { header: frame.header, payload: frame.payload.to_vec() }));
    }
    received
}

/// One fault; positions are fractions of the stream.
#[derive(Clone, Debug)]
enum Fault {
    Flip {
        at: f64,
        bit: u8,
    },
    Drop {
        at: f64,
    },
    Insert {
        at: f64,
        byte: u8,
    },
    /// A run of bytes overwritten with noise.
    Burst {
        at: f64,
        noise: Vec<u8>,
    },
    /// A run of bytes that never arrives.
    Cut {
        at: f64,
        n: usize,
    },
}

fn fault() -> impl Strategy<Value = Fault> {
    let at = 0.0..1.0_f64;
    prop_oneof![
        (at.clone(), 0..8_u8).prop_map(|(at, bit)| Fault::Flip { at, bit }),
        at.clone().prop_map(|at| Fault::Drop { at }),
        (at.clone(), prop_oneof![Just(0_u8), any::<u8>()]).prop_map(|(at, byte)| Fault::Insert { at, byte }),
        (at.clone(), prop::collection::vec(any::<u8>(), 1..=16)).prop_map(|(at, noise)| Fault::Burst { at, noise }),
        (at, 2..=200_usize).prop_map(|(at, n)| Fault::Cut { at, n }),
    ]
}

/// A byte of the stream; `original` is its place before any fault, `None` once it is damaged or for
/// what was never sent.
#[derive(Clone, Copy)]
struct Byte {
    value: u8,
    original: Option<usize>,
}

impl Fault {
    fn apply(&self, stream: &mut Vec<Byte>) {
        let place = |at: f64| (at * stream.len() as f64) as usize;
        match self {
            Self::Flip { at, bit } => {
                let at = place(*at);
                stream[at] = Byte { value: stream[at].value ^ (1 << bit), original: None };
            }
            Self::Drop { at } => {
                stream.remove(place(*at));
            }
            Self::Insert { at, byte } => stream.insert(place(*at), Byte { value: *byte, original: None }),
            Self::Burst { at, noise } => {
                let at = place(*at);
                for (byte, &value) in stream[at..].iter_mut().zip(noise) {
                    *byte = Byte { value, original: None };
                }
            }
            Self::Cut { at, n } => {
                let at = place(*at);
                stream.drain(at..(at + n).min(stream.len()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 512 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_is_received(frames in prop::collection::vec(sent(), 1..6), chunk in 1..900_usize) {
        let mut stream = vec![DELIMITER];
        for sent in &frames {
            let wire = encode(sent);
            prop_assert_eq!(wire.iter().position(|&byte| byte == DELIMITER), Some(wire.len() - 1));
            let mut buffer = [0; frame::decoded_len(LONGEST)];
            let frame = frame::decode(&wire, &mut buffer).unwrap();
            prop_assert_eq!(frame.header, sent.header);
            prop_assert_eq!(frame.payload, &sent.payload[..]);
            stream.extend(wire);
        }
        let mut reader = Reader::new();
        prop_assert_eq!(receive(&mut reader, &stream, chunk), frames.clone());
        prop_assert_eq!(reader.counts().frames as usize, frames.len());
        prop_assert_eq!(reader.counts().damaged, 0);
    }

    #[test]
    fn damage_delivers_no_wrong_frame_and_ends_at_the_next_delimiter(
        frames in prop::collection::vec(sent(), 2..10),
        faults in prop::collection::vec(fault(), 1..8),
        chunk in 1..900_usize,
    ) {
        let mut clean = vec![DELIMITER];
        // Of each frame, its place in the clean stream, from the delimiter before it to its own.
        let mut places = Vec::new();
        for sent in &frames {
            let start = clean.len() - 1;
            clean.extend(encode(sent));
            places.push(start..clean.len());
        }
        let mut stream: Vec<Byte> =
            clean.iter().enumerate().map(|(i, &value)| Byte { value, original: Some(i) }).collect();
        for fault in &faults {
            if !stream.is_empty() {
                fault.apply(&mut stream);
            }
        }
        let bytes: Vec<u8> = stream.iter().map(|byte| byte.value).collect();
        let received = receive(&mut Reader::new(), &bytes, chunk);

        // Every frame received was sent, and in this order.
        let mut rest = frames.iter();
        for frame in &received {
            prop_assert!(rest.any(|sent| sent == frame), "wrong or misplaced frame {:?}", frame.header);
        }
        // Every frame that arrived untouched, with the delimiter before it, was received.
        let untouched = places.iter().filter(|place| {
            let originals: Vec<Option<usize>> = (*place).clone().map(Some).collect();
            stream.windows(originals.len()).any(|bytes| bytes.iter().map(|byte| byte.original).eq(originals.iter().copied()))
        });
        prop_assert!(received.len() >= untouched.count());
    }

    #[test]
    fn noise_delivers_nothing(noise in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..4000)) {
        prop_assert_eq!(receive(&mut Reader::new(), &noise, 64), vec![]);
    }
}

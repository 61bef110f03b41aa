//! Any bytes, cut anywhere, are frames or counts; what is delivered is written alike again, and
//! whole frames are read alike in one piece.
#![no_main]

use firmware_bridge::frame::{self, DELIMITER};
use firmware_bridge::msg::Message;
use firmware_bridge::reader::FrameReader;
use libfuzzer_sys::fuzz_target;

const N_BODY: usize = 300;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let mut pieces = FrameReader::<N_BODY>::new();
    let mut frames = Vec::new();
    for piece in bytes.chunks(usize::from(step).max(1)) {
        pieces.push(piece, |frame| {
            let mut wire = [0; frame::max_encoded_len(N_BODY)];
            let n = frame::encode(&frame.header, frame.payload, &mut wire).expect("the wire is long enough");
            assert!(!wire[..n - 1].contains(&DELIMITER));
            let mut body = [0; N_BODY];
            assert_eq!(frame::decode(&wire[..n], &mut body), Ok(frame));
            let _ = Message::decode(frame.payload);
            frames.push((frame.header, frame.payload.to_vec()));
        });
    }
    let mut whole = FrameReader::<N_BODY>::new();
    let mut again = Vec::new();
    whole.push(bytes, |frame| again.push((frame.header, frame.payload.to_vec())));
    assert_eq!((frames, pieces.counts()), (again, whole.counts()));
});

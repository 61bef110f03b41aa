use super::*;
use crate::frame::{decoded_len, max_encoded_len};
use crate::reader::FrameReader;
use crate::testing::Port;

const LONGEST: usize = 64;
type Tx = Sender<{ max_encoded_len(LONGEST) }>;

fn sender() -> Tx {
    Sender::new(Pace::unlimited())
}

fn seqs(wire: &[u8]) -> Vec<u16> {
    let mut seqs = Vec::new();
    FrameReader::<{ decoded_len(LONGEST) }>::new().push(wire, |frame| seqs.push(frame.header.seq));
    seqs
}

#[test]
fn a_slow_line_gets_the_newest_frames_and_never_half_a_frame() {
    let (mut sender, mut port) = (sender(), Port::new());
    for round in 0..10 {
        sender.push_audio(round * 32, &[round as i16; 32]).unwrap();
        // Three rounds of 7 bytes: the first frame is on the line.
        port.room = if round < 3 { 7 } else { 0 };
        sender.poll(0, &mut port).unwrap();
    }
    assert_eq!(sender.counts(), Sent { frames: 0, dropped: 6 });
    port.room = usize::MAX;
    sender.poll(0, &mut port).unwrap();
    assert_eq!(seqs(&port.written), [0, 7, 8, 9]);
    assert_eq!(sender.counts(), Sent { frames: 4, dropped: 6 });
}

#[test]
fn the_first_byte_is_a_delimiter_and_so_is_the_first_after_a_flush() {
    let (mut sender, mut port) = (sender(), Port::new());
    sender.push_audio(0, &[1]).unwrap();
    sender.poll(0, &mut port).unwrap();
    assert_eq!(port.written[0], DELIMITER);
    let n_first = port.written.len();
    sender.push_audio(0, &[2]).unwrap();
    sender.flush();
    sender.push_audio(0, &[3]).unwrap();
    sender.poll(0, &mut port).unwrap();
    assert_eq!(port.written[n_first], DELIMITER);
    assert_eq!(seqs(&port.written), [0, 2]);
}

#[test]
fn a_message_is_understood_by_a_receiver_that_has_heard_nothing_before() {
    let (mut sender, mut port) = (sender(), Port::new());
    sender.push_audio(0, &[1; 32]).unwrap();
    sender.poll(0, &mut port).unwrap();
    port.written.clear();
    sender.push(Kind::Control, 0, &[2]).unwrap();
    sender.poll(0, &mut port).unwrap();
    assert_eq!(seqs(&port.written), [1]);
}

#[test]
fn a_flush_does_not_cut_the_frame_on_the_line() {
    let (mut sender, mut port) = (sender(), Port::new());
    sender.push(Kind::Control, 0, &[7; 20]).unwrap();
    port.room = 9;
    sender.poll(0, &mut port).unwrap();
    sender.flush();
    port.room = usize::MAX;
    sender.poll(0, &mut port).unwrap();
    assert_eq!(seqs(&port.written), [0]);
}

#[test]
fn the_pace_is_kept() {
    let mut sender = Tx::new(Pace::bytes_per_s(1_000));
    let mut port = Port::new();
    for now_ms in 0..1_000 {
        sender.push_audio(0, &[1; 32]).unwrap();
        sender.poll(now_ms, &mut port).unwrap();
    }
    // A second and the first burst.
    assert_eq!(port.written.len(), 1_019);
    assert!(seqs(&port.written).len() >= 12);
}

#[test]
fn a_frame_that_is_too_long_takes_no_number() {
    let (mut sender, mut port) = (sender(), Port::new());
    for (kind, n) in [(Kind::Audio, LONGEST + 1), (Kind::Control, LONGEST)] {
        let error = sender.push(kind, 0, &[0; LONGEST + 1][..n]).unwrap_err();
        assert_eq!(error, EncodeError::BufferTooSmall { expected: 79, actual: 78 });
    }
    sender.push(Kind::Audio, 0, &[0; LONGEST]).unwrap();
    sender.poll(0, &mut port).unwrap();
    assert_eq!(seqs(&port.written), [0]);
}

#[test]
fn an_error_of_the_port_loses_nothing() {
    let (mut sender, mut port) = (sender(), Port::new());
    sender.push(Kind::Control, 0, &[5; 30]).unwrap();
    port.room = 11;
    sender.poll(0, &mut port).unwrap();
    port.fault = true;
    assert!(sender.poll(0, &mut port).is_err());
    port.fault = false;
    port.room = usize::MAX;
    sender.poll(0, &mut port).unwrap();
    assert_eq!(seqs(&port.written), [0]);
}

#[cfg(feature = "async")]
#[test]
fn a_dropped_future_resumes_behind_what_was_written() {
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    let (mut sender, mut port) = (sender(), Port::new());
    for byte in 1..=3 {
        sender.push(Kind::Control, 0, &[byte; 30]).unwrap();
    }
    let mut n_sent = 0;
    while n_sent < 3 {
        port.room = 5;
        let future = pin!(sender.send_next(&mut port));
        if let Poll::Ready(sent) = future.poll(&mut Context::from_waker(Waker::noop())) {
            n_sent += usize::from(sent.unwrap());
        }
    }
    assert_eq!(seqs(&port.written), [0, 1, 2]);
    let future = pin!(sender.send_next(&mut port));
    assert!(matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(false))));
}

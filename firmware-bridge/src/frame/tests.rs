use super::*;

const HEADER: Header = Header { kind: Kind::Audio, flags: 0xa5, seq: 0x0201, stamp: 0x0807_0605 };

#[test]
fn the_layout_is_as_documented() {
    let mut wire = [0xee; 64];
    let n = encode(&HEADER, &[0x11, 0x00, 0x22], &mut wire).unwrap();
    let mut body = [0; 64];
    let n_body = cobs::decode(&wire[..n - 1], &mut body).unwrap().frame_size();
    assert_eq!(body[..11], [0x21, 0xa5, 0x01, 0x02, 0x05, 0x06, 0x07, 0x08, 0x11, 0x00, 0x22]);
    assert_eq!(n_body, decoded_len(3));
    assert_eq!(wire[n - 1], DELIMITER);
    assert!(!wire[..n - 1].contains(&DELIMITER));
    // CRC-32/ISO-HDLC is the CRC of zip and Ethernet; its check value is that of the catalogue.
    assert_eq!(CRC.checksum(b"123456789"), 0xcbf4_3926);
    assert_eq!(body[11..15], CRC.checksum(&body[..11]).to_le_bytes());
}

#[test]
fn samples_go_and_come_back() {
    let samples = [0, 1, -1, i16::MIN, i16::MAX, 256];
    let mut wire = [0; max_encoded_len(12)];
    let n = encode_audio(&HEADER, &samples, &mut wire).unwrap();
    let mut buffer = [0; decoded_len(12)];
    let frame = decode(&wire[..n], &mut buffer).unwrap();
    assert_eq!(frame.header, HEADER);
    assert!(frame.samples().eq(samples));
}

#[test]
fn the_greatest_length_is_reached_and_not_passed() {
    // Miri is a thousand times slower.
    let stride = if cfg!(miri) { 85 } else { 1 };
    for n_payload in [0, 1, 242, 243, 496, 497, 640, 1024] {
        let mut wire = [0; max_encoded_len(1024)];
        let longest = (0..=255)
            .step_by(stride)
            .map(|fill| {
                encode(&Header { flags: fill, ..HEADER }, &[fill.max(1); 1024][..n_payload], &mut wire).unwrap()
            })
            .max();
        assert!(longest.unwrap() <= max_encoded_len(n_payload));
    }
    // The figures of a 16 kHz microphone: 10, 20 and 32 ms.
    assert_eq!([320, 640, 1024].map(max_encoded_len), [335, 656, 1042]);
    for n_wire in (0..1100).step_by(stride) {
        let n_payload = max_payload_len(n_wire);
        assert!(n_payload == 0 || max_encoded_len(n_payload) <= n_wire);
        assert!(max_encoded_len(n_payload + 1) > n_wire);
    }
}

#[test]
fn a_small_buffer_is_refused_before_anything_is_written() {
    let mut wire = [0xee; max_encoded_len(10) - 1];
    let error = encode(&HEADER, &[1; 10], &mut wire).unwrap_err();
    assert_eq!(error, EncodeError::BufferTooSmall { expected: 24, actual: 23 });
    assert!(wire.iter().all(|&byte| byte == 0xee));
}

/// A frame on the line whose body is `content` and its CRC.
fn framed(content: &[u8]) -> Vec<u8> {
    let mut body = content.to_vec();
    body.extend(CRC.checksum(content).to_le_bytes());
    let mut wire = vec![0; cobs::max_encoding_length(body.len())];
    let n = cobs::encode(&body, &mut wire);
    wire.truncate(n);
    wire
}

#[test]
fn errors_say_what_is_wrong() {
    let mut buffer = [0; 16];
    let mut error = |wire: &[u8]| decode(wire, &mut buffer).unwrap_err();
    assert_eq!(error(&[]), DecodeError::TooShort { actual: 0 });
    assert_eq!(error(&framed(&[0x21; 7])), DecodeError::TooShort { actual: 11 });
    assert_eq!(error(&framed(&[0x21; 13])), DecodeError::TooLong { capacity: 16 });
    assert_eq!(error(&framed(&[0x11; 8])), DecodeError::Version { actual: 1 });
    assert_eq!(error(&framed(&[0x2f; 8])), DecodeError::Kind { actual: 15 });
    assert_eq!(error(&[9, 1, 2]), DecodeError::Stuffing);
    assert_eq!(error(&[2, 1, 0, 2, 1]), DecodeError::Stuffing);
    let mut damaged = framed(&[0x21; 8]);
    damaged[3] ^= 0x40;
    assert!(matches!(error(&damaged), DecodeError::Crc { .. }));
}

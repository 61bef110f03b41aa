use proptest::prelude::*;

use super::*;

const HELLO: Hello<'_> = Hello {
    session: 300,
    name: "nook",
    rates_hz: [16_000, 8_000, 0, 0],
    n_channels: 2,
    encodings: Encodings::of(&[Encoding::Pcm16, Encoding::Adpcm]),
    max_frame_samples: 320,
    n_lamps: 1,
    features: None,
};

fn bytes(message: Message<'_>) -> Vec<u8> {
    message.encode(&mut [0; MAX_LEN]).unwrap().to_vec()
}

#[test]
fn the_layout_is_as_documented() {
    let hello = [0, 0xac, 2, 4, b'n', b'o', b'o', b'k', 0x80, 0x7d, 0xc0, 0x3e, 0, 0, 2, 0b101, 0xc0, 2, 1, 0];
    assert_eq!(bytes(Message::Hello(HELLO)), hello);
    let features = Features { hash: 200, n_fft: 1024, win_length: 600, hop_length: 240, n_mels: 64 };
    let with_features = bytes(Message::Hello(Hello { features: Some(features), ..HELLO }));
    assert_eq!(with_features[hello.len() - 1..], [1, 0xc8, 1, 0x80, 8, 0xd8, 4, 0xf0, 1, 64]);
    let start =
        Start { session: 1, rate_hz: 8_000, channel: 1, encoding: Encoding::LogMel, hello_seq: 129, gate_db: 50 };
    assert_eq!(bytes(Message::Start(start)), [1, 1, 0xc0, 0x3e, 1, 3, 0x81, 1, 50]);
    assert_eq!(bytes(Message::Stop), [2]);
    let event = Event { phase: Phase::Offset, score_percent: 93, label: "rain" };
    assert_eq!(bytes(Message::Event(event)), [3, 1, 93, 4, b'r', b'a', b'i', b'n']);
    let stats = Stats { uptime_s: 1, frames_sent: 2, frames_dropped: 3, overruns: 4, messages: 5, ..Stats::default() };
    let stats = Stats { damaged: 6, unknown: 7, refused: 128, ..stats };
    assert_eq!(bytes(Message::Stats(stats)), [4, 1, 2, 3, 4, 5, 6, 7, 0x80, 1]);
    assert_eq!(bytes(Message::Alive { session: 5 }), [5, 5]);
}

#[test]
fn the_longest_messages_fit() {
    let text = "m".repeat(MAX_TEXT_LEN);
    let hello = Hello {
        session: u32::MAX,
        name: &text,
        rates_hz: [u32::MAX; MAX_RATES],
        n_channels: u8::MAX,
        encodings: Encodings(u8::MAX),
        max_frame_samples: u16::MAX,
        n_lamps: u8::MAX,
        features: Some(Features {
            hash: u64::MAX,
            n_fft: u16::MAX,
            win_length: u16::MAX,
            hop_length: u16::MAX,
            n_mels: u8::MAX,
        }),
    };
    assert_eq!(bytes(Message::Hello(hello)).len(), MAX_LEN);
    let max = u32::MAX;
    let stats = Stats {
        uptime_s: max,
        frames_sent: max,
        frames_dropped: max,
        overruns: max,
        messages: max,
        damaged: max,
        unknown: max,
        refused: max,
    };
    assert_eq!(bytes(Message::Stats(stats)).len(), 41);
}

#[test]
fn a_long_text_is_refused_with_its_length() {
    let label = "m".repeat(MAX_TEXT_LEN + 1);
    let event = Message::Event(Event { phase: Phase::Onset, score_percent: 0, label: &label });
    let error = event.encode(&mut [0; MAX_LEN]).unwrap_err();
    assert_eq!(error.to_string(), "text of 49 bytes, expected at most 48");
}

#[test]
fn fields_that_a_later_version_adds_are_ignored() {
    assert_eq!(Message::decode(&[5, 9, 1, 2, 3]), Ok(Message::Alive { session: 9 }));
    assert_eq!(Message::decode(&[6]), Err(MessageError::Malformed));
    assert_eq!(Message::decode(&[]), Err(MessageError::Malformed));
}

#[test]
fn sets_of_encodings_hold_what_was_put_in() {
    let has = [Encoding::Pcm16, Encoding::MuLaw, Encoding::Adpcm, Encoding::LogMel].map(|e| HELLO.encodings.has(e));
    assert_eq!(has, [true, false, true, false]);
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_that_is_written_alike_or_an_error(payload in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(message) = Message::decode(&payload)
            && let Ok(again) = message.encode(&mut [0; MAX_LEN])
        {
            prop_assert_eq!(Message::decode(again), Ok(message));
        }
    }

    #[test]
    fn messages_go_and_come_back(session: u32, name in ".{0,12}", rates_hz: [u32; 4], n_channels: u8, bits: u8) {
        let hello = Hello { session, name: &name, rates_hz, n_channels, encodings: Encodings(bits), ..HELLO };
        let bytes = bytes(Message::Hello(hello));
        prop_assert_eq!(Message::decode(&bytes), Ok(Message::Hello(hello)));
    }
}

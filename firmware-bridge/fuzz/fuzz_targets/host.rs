//! A host survives any payloads in intact frames: a node that is out of its mind.
#![no_main]

use firmware_bridge::frame::{self, Header, Kind};
use firmware_bridge::host::{Heard, Host, Wish};
use firmware_bridge::msg::Encodings;
use libfuzzer_sys::fuzz_target;

const WISH: Wish = Wish { rate_hz: None, channel: 0, encodings: Encodings(u8::MAX), features: Some(1), gate_db: 50 };

const KINDS: [Kind; 5] = [Kind::Audio, Kind::Control, Kind::MuLaw, Kind::Adpcm, Kind::LogMel];

fuzz_target!(|frames: Vec<(u8, u16, u32, u16, Vec<u8>)>| {
    let mut host = Host::<300>::new(WISH, 1);
    let mut now_ms = 0;
    for (kind, seq, stamp, pause_ms, payload) in frames {
        now_ms += u64::from(pause_ms);
        let mut wire = vec![0; frame::max_encoded_len(payload.len())];
        let header = Header { kind: KINDS[usize::from(kind) % KINDS.len()], flags: 0, seq, stamp };
        let n = frame::encode(&header, &payload, &mut wire).expect("the wire is long enough");
        host.push(now_ms, &[&[0], &wire[..n]].concat(), |heard| {
            if let Heard::Gap { n_samples, .. } | Heard::Quiet { n_samples } = heard {
                // No longer than the time gone by at the highest rate, and a minute.
                assert!(n_samples <= (now_ms + now_ms / 100 + 60_000) * u64::from(u32::MAX) / 1_000);
            }
        });
        let written: Result<usize, ()> = host.poll_with(now_ms, |bytes| Ok(bytes.len()));
        assert!(written.is_ok());
    }
});

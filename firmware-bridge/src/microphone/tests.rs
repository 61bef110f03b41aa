use std::sync::LazyLock;

use edge_frontend::mel::MelBank;
use edge_frontend::window::hann_periodic;
use edge_frontend::{FrontendConfig, log_mel};
use proptest::prelude::*;

use super::*;
use crate::frame::{decoded_len, max_encoded_len};
use crate::host::{Heard, Host, Wish};
use crate::log_mel::{Band, quantise};
use crate::msg::{Encodings, Features};
use crate::node::{Abilities, Timing};
use crate::pace::Pace;
use crate::testing::Port;

const N: usize = 160;
const PRE: usize = 2;
const HOLD: u32 = 1;
const ALL: [Encoding; 4] = [Encoding::Pcm16, Encoding::MuLaw, Encoding::Adpcm, Encoding::LogMel];

/// What the tables of a front end borrow.
struct Made {
    config: FrontendConfig,
    bank: MelBank,
    window: Vec<f32>,
}

impl Made {
    fn of(config: FrontendConfig) -> Self {
        Self { bank: MelBank::new(&config), window: hann_periodic(config.win_length), config }
    }

    fn bands(&self) -> Vec<Band<'_>> {
        self.bank.bands().map(|(first_bin, weights)| Band { first_bin, weights }).collect()
    }

    fn tables<'t>(&'t self, bands: &'t [Band<'t>]) -> Tables<'t> {
        let FrontendConfig { n_fft, hop_length, log_offset, .. } = self.config;
        let log_offset = log_offset as f32;
        Tables { hash: self.config.raw_hash(), n_fft, window: &self.window, hop_length, bands, log_offset }
    }
}

static MADE: LazyLock<Made> = LazyLock::new(|| Made::of(frontend()));
static BANDS: LazyLock<Vec<Band<'static>>> = LazyLock::new(|| MADE.bands());

/// Whose hop divides no block.
fn frontend() -> FrontendConfig {
    FrontendConfig {
        sample_rate: 8_000,
        n_fft: 256,
        win_length: 200,
        hop_length: 100,
        n_mels: 9,
        f_max_hz: 4_000.0,
        ..FrontendConfig::student()
    }
}

/// A node with a microphone, its daemon, and what the daemon has heard in each place of the stream:
/// `None` where that was nothing.
struct Bench<const TX: usize> {
    microphone: Microphone<LogMel<'static>, N, PRE>,
    node: Node<'static, TX, 64>,
    host: Host<{ decoded_len(2 * N) }>,
    port: Port,
    now_ms: u64,
    samples: Vec<Option<i16>>,
    frames: Vec<Option<Vec<u8>>>,
}

/// Of a node with all encodings at 8 kHz.
fn abilities(features: Option<Features>) -> Abilities<'static> {
    Abilities {
        name: "nook",
        rates_hz: [8_000, 0, 0, 0],
        n_channels: 1,
        encodings: Encodings::of(&ALL),
        n_lamps: 0,
        features,
    }
}

impl<const TX: usize> Bench<TX> {
    fn new(encoding: Encoding, gate_db: u8) -> Self {
        let tables = MADE.tables(&BANDS);
        let abilities = abilities(Some(tables.features()));
        let encodings = Encodings::of(&[encoding]);
        let wish = Wish { rate_hz: None, channel: 0, encodings, features: Some(tables.hash), gate_db };
        let mut bench = Self {
            microphone: Microphone::new(HOLD, LogMel::new(tables)),
            node: Node::new(abilities, Timing::default(), Pace::unlimited()),
            host: Host::new(wish, 1),
            port: Port::new(),
            now_ms: 0,
            samples: Vec::new(),
            frames: Vec::new(),
        };
        bench.exchange();
        bench.exchange();
        bench
    }

    /// Everything goes both ways.
    fn exchange(&mut self) {
        let (port, hop_length) = (&mut self.port, frontend().hop_length as u64);
        let write = |bytes: &[u8]| {
            port.readable.extend(bytes);
            Ok::<_, ()>(bytes.len())
        };
        self.host.poll_with(self.now_ms, write).unwrap();
        self.node.poll(self.now_ms as u32, port, |_| ()).unwrap();
        let (samples, frames) = (&mut self.samples, &mut self.frames);
        self.host.push(self.now_ms, &port.written, |heard| match heard {
            Heard::Samples(more) => samples.extend(more.iter().map(|&sample| Some(sample))),
            Heard::LogMel { n_mels, frames: more } => {
                frames.extend(more.chunks(n_mels).map(|frame| Some(frame.to_vec())));
            }
            // A gap is what is missing between two streams.
            Heard::Quiet { n_samples } | Heard::Gap { n_samples, n_frames: 0 } => {
                samples.extend((0..n_samples).map(|_| None));
                // Places of frames, which a gate moves by no whole hop.
                frames.extend((0..n_samples.div_ceil(hop_length)).map(|_| None));
            }
            Heard::Gap { .. } | Heard::Unusable(_) => panic!("{heard:?}"),
            Heard::Started { .. } | Heard::Stats(_) => (),
        });
        port.written.clear();
    }

    fn hear(&mut self, sound: &[i16]) {
        for block in sound.as_chunks().0 {
            self.now_ms += 20;
            self.microphone.capture(&mut self.node, block).unwrap();
            self.exchange();
        }
    }
}

const ROOM: usize = max_encoded_len(2 * N);

/// Blocks of a test; Miri is a thousand times slower.
const N_BLOCKS: usize = if cfg!(miri) { 8 } else { 40 };

/// Blocks of a loud or of a faint tone.
fn sound(loud: &[bool]) -> Vec<i16> {
    let level = |n: usize| if loud[n / N] { 9_000.0 } else { 20.0 };
    (0..loud.len() * N).map(|n| (level(n) * (n as f64 * 0.31).sin()) as i16).collect()
}

/// Which blocks a gate sends of those that it has decided on, by its definition.
fn is_sent(loud: &[bool]) -> Vec<bool> {
    let hears = |n: usize| (0..loud.len()).any(|m| loud[m] && m <= n + PRE && n <= m + HOLD as usize);
    (0..loud.len().saturating_sub(PRE)).map(hears).collect()
}

fn is_alike(encoding: Encoding, heard: i16, sample: i16) -> bool {
    match encoding {
        Encoding::Pcm16 | Encoding::LogMel => heard == sample,
        Encoding::MuLaw => heard == mu_law::decode(mu_law::encode(sample)),
        // Its step follows a sound's beginning within some samples.
        Encoding::Adpcm => heard.abs_diff(sample) < 9_000,
    }
}

#[test]
fn sound_arrives_in_its_place_in_every_encoding() {
    let sound = sound(&[true; 20]);
    for encoding in [Encoding::Pcm16, Encoding::MuLaw, Encoding::Adpcm] {
        let mut bench = Bench::<ROOM>::new(encoding, 0);
        bench.hear(&sound);
        assert_eq!(bench.samples.len(), sound.len(), "{encoding:?}");
        let noise: f64 = bench
            .samples
            .iter()
            .zip(&sound)
            .map(|(heard, &sample)| {
                let heard = heard.unwrap();
                assert!(is_alike(encoding, heard, sample), "{encoding:?}: {heard} for {sample}");
                (f64::from(heard) - f64::from(sample)).powi(2)
            })
            .sum();
        // 20 dB below the tone.
        assert!(noise / sound.len() as f64 <= 0.01 * 0.5 * 9_000.0 * 9_000.0, "{encoding:?}: {noise}");
    }
}

#[test]
fn features_are_those_of_the_front_end() {
    let sound = sound(&(0..N_BLOCKS).map(|n| n % 7 < 3).collect::<Vec<_>>());
    let floats: Vec<f32> = sound.iter().map(|&sample| f32::from(sample) / 32_768.0).collect();
    let expected = log_mel(&frontend(), &floats).unwrap();
    let mut bench = Bench::<ROOM>::new(Encoding::LogMel, 0);
    bench.hear(&sound);
    let heard: Vec<u8> = bench.frames.iter().flat_map(|frame| frame.clone().unwrap()).collect();
    assert_eq!(heard.len(), expected.len());
    for (byte, value) in heard.iter().zip(&expected) {
        // The last digit of the value may fall to either side.
        assert!(byte.abs_diff(quantise(*value)) <= 1, "{byte} for {value}");
    }
    assert!(bench.samples.is_empty(), "no sound leaves the node");
}

proptest! {
    #[test]
    fn a_gate_keeps_back_what_is_faint_and_time_stays_true(
        loud in prop::collection::vec(prop::bool::weighted(0.2), 0..N_BLOCKS),
        encoding in prop_oneof![Just(Encoding::Pcm16), Just(Encoding::MuLaw), Just(Encoding::Adpcm)],
    ) {
        let sound = sound(&loud);
        let mut bench = Bench::<ROOM>::new(encoding, 30);
        bench.hear(&sound);
        let sent = is_sent(&loud);
        // What is faint is named once something follows.
        prop_assert!(bench.samples.len() <= N * sent.len());
        for (n, heard) in bench.samples.iter().enumerate() {
            prop_assert_eq!(heard.is_some(), sent[n / N], "sample {}", n);
            prop_assert!(heard.is_none_or(|heard| is_alike(encoding, heard, sound[n])));
        }
        let n_named = sent.iter().rposition(|&sent| sent).map_or(0, |last| N * (last + 1));
        prop_assert!(bench.samples.len() >= n_named);
    }

    #[test]
    fn gated_features_are_of_whole_windows_of_what_is_sent(loud in prop::collection::vec(prop::bool::weighted(0.2), 0..N_BLOCKS)) {
        let sound = sound(&loud);
        let mut bench = Bench::<ROOM>::new(Encoding::LogMel, 30);
        bench.hear(&sound);
        // A front end of its own for each stretch that is sent.
        let mut expected = Vec::new();
        let mut stretch: Vec<f32> = Vec::new();
        let end = |stretch: &mut Vec<f32>, expected: &mut Vec<f32>| {
            expected.extend(log_mel(&frontend(), stretch).unwrap());
            stretch.clear();
        };
        for (block, is_sent) in sound.chunks(N).zip(is_sent(&loud)) {
            if is_sent {
                stretch.extend(block.iter().map(|&sample| f32::from(sample) / 32_768.0));
            } else {
                end(&mut stretch, &mut expected);
            }
        }
        end(&mut stretch, &mut expected);
        let heard: Vec<u8> = bench.frames.iter().flatten().flatten().copied().collect();
        prop_assert_eq!(heard.len(), expected.len());
        prop_assert!(heard.iter().zip(&expected).all(|(byte, value)| byte.abs_diff(quantise(*value)) <= 1));
    }
}

#[test]
fn across_streams_and_overruns_the_stamp_counts_every_sample() {
    for encoding in ALL {
        let mut bench = Bench::<ROOM>::new(encoding, 40);
        bench.hear(&sound(&[false, true, false, false]));
        bench.microphone.overrun(&mut bench.node, 1_000);
        assert_eq!(bench.node.stamp() as usize, 4 * N + 1_000, "{encoding:?}");
        bench.hear(&sound(&[true, true, false]));
        bench.host.stop();
        bench.exchange();
        bench.microphone.capture(&mut bench.node, &[0; N]).unwrap();
        assert_eq!(bench.node.stamp() as usize, 8 * N + 1_000, "{encoding:?}");
    }
}

#[test]
fn features_that_fit_no_frame_are_an_error_and_time_goes_by() {
    const TIGHT: usize = max_encoded_len(crate::msg::MAX_LEN) + 1;
    let config = FrontendConfig { n_mels: 110, n_fft: 1024, win_length: 1024, ..frontend() };
    let mut node = Node::<'_, TIGHT>::new(abilities(None), Timing::default(), Pace::unlimited());
    let made = Made::of(config);
    let bands = made.bands();
    let mut coder = Coder { adpcm: adpcm::Encoder::new(), front_end: LogMel::new(made.tables(&bands)) };
    let error = coder.send(&mut node, Encoding::LogMel, &[0; N]).unwrap_err();
    assert_eq!(error, EncodeError::BufferTooSmall { expected: max_encoded_len(111), actual: TIGHT });
    assert_eq!(node.stamp() as usize, N);
}

#[test]
fn a_node_without_a_front_end_sends_no_features_and_time_goes_by() {
    let mut node = Node::<'_, ROOM>::new(abilities(None), Timing::default(), Pace::unlimited());
    let mut coder = Coder { adpcm: adpcm::Encoder::new(), front_end: () };
    coder.send(&mut node, Encoding::LogMel, &[0; N]).unwrap();
    coder.skip(&mut node, 5);
    assert_eq!((node.n_waiting(), node.stamp() as usize), (0, N + 5));
}

#[test]
fn decibels_are_of_full_scale() {
    assert_eq!([1, 20, 40, 90, 255].map(threshold), [29_204, 3_276, 327, 1, 0]);
}

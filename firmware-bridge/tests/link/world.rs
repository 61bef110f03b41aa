//! A node with a microphone, a host, the line between them, and a record of what must come out.

use std::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use firmware_bridge::frame;
use firmware_bridge::host::{Heard, Host, Wish};
use firmware_bridge::msg::{Encoding, Encodings, Message};
use firmware_bridge::node::{Abilities, Node, Timing};
use firmware_bridge::pace::Pace;
use firmware_bridge::reader::FrameReader;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::line::{Fault, Line};

const RATE_HZ: u32 = 8_000;
const BLOCK_MS: u32 = 10;
const BLOCK_LEN: usize = (RATE_HZ * BLOCK_MS / 1_000) as usize;
const N_BODY: usize = frame::decoded_len(2 * BLOCK_LEN);

/// What may happen.
#[derive(Clone, Debug)]
pub enum Incident {
    /// A fault on the way from the node.
    ToHost(Fault),
    /// A fault on the way to the node.
    ToNode(Fault),
    /// The host does not get to read or write.
    Stall { ms: u32 },
    /// The two ends run at different rates.
    WrongRate { ms: u32 },
    /// The host opens its port again.
    Reopened,
    /// The node begins from nothing.
    NodeRestarts,
    /// The daemon begins from nothing.
    HostRestarts,
}

pub struct World {
    rng: StdRng,
    now_ms: u32,
    node: Node<'static, { frame::max_encoded_len(2 * BLOCK_LEN) }>,
    to_host: Line,
    to_node: Line,
    host: Host<N_BODY>,
    stall_ms: u32,
    wrong_rate_ms: u32,
    /// Index of the next sample that the host will hand on; `None` until one tells it.
    heard_to: Option<u32>,
    /// Samples handed on or named missing.
    n_samples: u64,
    /// When the first sound came, when something was last missing, and when sound last came.
    first_ms: Option<u32>,
    missing_ms: u32,
    sound_ms: u32,
    /// Numbers of the frames that arrived, read a second time.
    witness: FrameReader<N_BODY>,
    /// Until a hello: the host knows a port that was opened again only from there on.
    witness_waits: bool,
    seqs: Vec<u16>,
}

/// The microphone: a sample tells its index modulo 32768.
fn sample(index: u32) -> i16 {
    (index % 32_768) as i16
}

fn node() -> Node<'static, { frame::max_encoded_len(2 * BLOCK_LEN) }> {
    let abilities = Abilities {
        name: "nook",
        rates_hz: [RATE_HZ, 0, 0, 0],
        n_channels: 1,
        encodings: Encodings::of(&[Encoding::Pcm16]),
        n_lamps: 1,
        features: None,
    };
    Node::new(abilities, Timing::default(), Pace::unlimited())
}

fn host(session: u32) -> Host<N_BODY> {
    let encodings = Encodings::of(&[Encoding::Pcm16]);
    Host::new(Wish { rate_hz: None, channel: 0, encodings, features: None, gate_db: 0 }, session)
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            // The clock wraps on the way.
            now_ms: u32::MAX - 3_000,
            node: node(),
            to_host: Line::new(StdRng::seed_from_u64(rng.random())),
            to_node: Line::new(StdRng::seed_from_u64(rng.random())),
            host: host(rng.random()),
            stall_ms: 0,
            wrong_rate_ms: 0,
            heard_to: None,
            n_samples: 0,
            first_ms: None,
            missing_ms: 0,
            sound_ms: 0,
            witness: FrameReader::new(),
            witness_waits: true,
            seqs: Vec::new(),
            rng,
        }
    }

    /// The clock of host and tests, which does not wrap.
    fn host_ms(&self) -> u32 {
        self.now_ms.wrapping_add(3_001)
    }

    pub fn suffer(&mut self, incident: Incident) {
        match incident {
            Incident::ToHost(fault) => self.to_host.fail(fault),
            Incident::ToNode(fault) => self.to_node.fail(fault),
            Incident::Stall { ms } => self.stall_ms += ms,
            Incident::WrongRate { ms } => self.wrong_rate_ms += ms,
            Incident::Reopened => {
                self.host.reopened();
                self.witness.reset();
                self.witness_waits = true;
            }
            Incident::NodeRestarts => {
                self.node = node();
                // The microphone runs before anybody listens.
                self.node.skip(self.rng.random_range(0..1_000));
            }
            Incident::HostRestarts => {
                self.host = host(self.rng.random());
                self.heard_to = None;
                self.first_ms = None;
                self.n_samples = 0;
            }
        }
    }

    /// Lets time pass, and whatever lasts still longer.
    pub fn run(&mut self, ms: u32) {
        let until_ms = self.host_ms() + ms;
        while self.host_ms() < until_ms || self.stall_ms > 0 || self.wrong_rate_ms > 0 {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now_ms = self.now_ms.wrapping_add(1);
        if self.host_ms().is_multiple_of(BLOCK_MS) {
            let stamp = self.node.stamp();
            let block: Vec<i16> = (0..BLOCK_LEN as u32).map(|i| sample(stamp.wrapping_add(i))).collect();
            self.node.capture(&block);
        }
        let mut port = Port { read: &mut self.to_node, write: &mut self.to_host };
        self.node.poll(self.now_ms, &mut port, |_| ()).unwrap();
        let wrong_rate = self.wrong_rate_ms > 0;
        self.wrong_rate_ms = self.wrong_rate_ms.saturating_sub(1);
        self.to_host.step(wrong_rate);
        self.to_node.step(wrong_rate);
        if self.stall_ms > 0 {
            self.stall_ms -= 1;
            return;
        }
        let n = self.rng.random_range(0..=4 * BLOCK_LEN).min(self.to_host.arrived.len());
        let bytes: Vec<u8> = self.to_host.arrived.drain(..n).collect();
        let (waits, seqs) = (&mut self.witness_waits, &mut self.seqs);
        self.witness.push(&bytes, |frame| {
            let is_message = frame.header.kind == frame::Kind::Control;
            *waits &= !(is_message && matches!(Message::decode(frame.payload), Ok(Message::Hello(_))));
            if !*waits {
                seqs.push(frame.header.seq);
            }
        });
        let now_ms = self.host_ms();
        let (heard_to, n_total) = (&mut self.heard_to, &mut self.n_samples);
        let (first_ms, missing_ms, sound_ms) = (&mut self.first_ms, &mut self.missing_ms, &mut self.sound_ms);
        self.host.push(now_ms.into(), &bytes, |heard| match heard {
            Heard::Samples(samples) => {
                *sound_ms = now_ms;
                first_ms.get_or_insert(now_ms);
                *n_total += samples.len() as u64;
                let mut index = heard_to.unwrap_or(samples[0] as u32);
                for &value in samples {
                    assert_eq!(value, sample(index), "a wrong sample");
                    index = index.wrapping_add(1);
                }
                *heard_to = Some(index);
            }
            Heard::Gap { n_samples, .. } => {
                *missing_ms = now_ms;
                *n_total += n_samples;
                *heard_to = heard_to.map(|index| index.wrapping_add(n_samples as u32));
            }
            Heard::Quiet { n_samples } => panic!("{n_samples} samples kept back"),
            Heard::Unusable(hello) => panic!("{hello:?}"),
            Heard::Started { restarted: true, .. } => *heard_to = None,
            Heard::LogMel { .. } => panic!("log-mel frames that nobody asked for"),
            Heard::Started { .. } | Heard::Stats(_) => (),
        });
        let to_node = &mut self.to_node;
        let write = |bytes: &[u8]| {
            let n = bytes.len().min(to_node.room());
            to_node.written.extend(&bytes[..n]);
            Ok::<_, Infallible>(n)
        };
        self.host.poll_with(now_ms.into(), write).unwrap();
    }

    /// Sound comes, and nothing has been missing for the last tenth of a second.
    pub fn check_recovered(&self) {
        let now_ms = self.host_ms();
        assert!(now_ms - self.sound_ms <= 2 * BLOCK_MS, "no sound for {} ms", now_ms - self.sound_ms);
        assert!(now_ms - self.missing_ms >= 100, "a gap {} ms ago", now_ms - self.missing_ms);
    }

    /// Everything up to what is still on its way, at most a block, has been handed on or named
    /// missing.
    pub fn check_complete(&self) {
        let n_missing = self.node.stamp().wrapping_sub(self.heard_to.unwrap());
        assert!(n_missing <= BLOCK_LEN as u32, "{n_missing} samples behind");
    }

    /// The stream is as long as the time since its first sound, but for `tolerance_ms`.
    pub fn check_time(&self, tolerance_ms: u32) {
        let stream_ms = self.n_samples * 1_000 / u64::from(RATE_HZ);
        let elapsed_ms = u64::from(self.host_ms() - self.first_ms.unwrap());
        assert!(stream_ms.abs_diff(elapsed_ms) <= tolerance_ms.into(), "{stream_ms} ms in {elapsed_ms} ms");
    }

    pub fn n_lost(&self) -> u64 {
        self.host.n_lost()
    }

    /// Frames that have arrived.
    pub fn n_frames(&self) -> usize {
        self.seqs.len()
    }

    /// The numbers missing among those that arrived. Numbers do not wrap in the time of a test.
    pub fn n_lost_by_numbers(&self) -> u64 {
        self.seqs.windows(2).map(|pair| u64::from(pair[1] - pair[0] - 1)).sum()
    }
}

/// The node's UART.
struct Port<'a> {
    read: &'a mut Line,
    write: &'a mut Line,
}

impl ErrorType for Port<'_> {
    type Error = Infallible;
}

impl ReadReady for Port<'_> {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.read.arrived.is_empty())
    }
}

impl Read for Port<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let n = buffer.len().min(self.read.arrived.len());
        for (place, byte) in buffer.iter_mut().zip(self.read.arrived.drain(..n)) {
            *place = byte;
        }
        Ok(n)
    }
}

impl WriteReady for Port<'_> {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.write.room() > 0)
    }
}

impl Write for Port<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let n = bytes.len().min(self.write.room());
        self.write.written.extend(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

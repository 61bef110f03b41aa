//! A USB microphone for a machine that has none: the kernel's USB/IP host controller (vhci-hcd)
//! takes this program for a device that is plugged into one of its sockets, and the kernel's own
//! sound driver does the rest. The program's end is the plug being pulled.
//!
//! USB Audio Class 1.0 (usb.org, "Universal Serial Bus Device Class Definition for Audio Devices",
//! release 1.0), one channel of 16 bits at 24 kHz; USB/IP as in the kernel's
//! Documentation/usb/usbip_protocol.rst. Needs root and the module vhci-hcd.
//!
//! Usage: usb_microphone SOCKET SERIAL SOUND.wav FAULT. SOCKET is the socket's number from 0,
//! SOUND.wav a file of 24 kHz, one channel, 16 bits, heard over and over. FAULT is a file that is
//! read twenty times per second and names what is wrong with the microphone: `zeros`, `dc`,
//! `clipped`, `stalled`, `fast` (a third too many samples), or nothing.

use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const VENDOR: u16 = 0x1d6b;
const PRODUCT: u16 = 0x0101;
const RATE: u32 = 24_000;
/// Samples of a frame of USB, a millisecond at full speed.
const FRAME: usize = RATE as usize / 1000;
/// The largest packet: half more than a frame.
const MAX_PACKET: u16 = (FRAME * 3) as u16;
const ENDPOINT: u8 = 1;

const ATTACH: &str = "/sys/devices/platform/vhci_hcd.0/attach";
const FULL_SPEED: u32 = 2;
const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;
const HEADER: usize = 48;
const ISO_DESCRIPTOR: usize = 16;
/// For a transfer that is not isochronous.
const NO_PACKETS: u32 = u32::MAX;
const EPIPE: i32 = -32;
const ECONNRESET: i32 = -104;

/// How often FAULT is read.
const LOOK: Duration = Duration::from_millis(50);
/// What is late by more than this is not made up for.
const MAX_LATE: Duration = Duration::from_millis(200);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, serial, sound, fault] = arguments.as_slice() else {
        return Err("usage: usb_microphone SOCKET SERIAL SOUND.wav FAULT".into());
    };
    let socket: u32 = socket.parse()?;
    let microphone = Microphone::new(serial, sound, fault.into())?;
    let (ours, kernels) = UnixStream::pair()?;
    fs::write(ATTACH, format!("{socket} {} {} {FULL_SPEED}", kernels.as_raw_fd(), socket + 1))
        .map_err(|error| format!("{ATTACH}: {error}"))?;
    drop(kernels);
    Plug { peer: ours, microphone, waiting: VecDeque::new(), due: Instant::now(), looked: Instant::now() }.serve()
}

/// What the microphone hears, and what it says of itself.
struct Microphone {
    serial: String,
    sound: Vec<i16>,
    at: usize,
    fault_path: PathBuf,
    fault: String,
}

impl Microphone {
    fn new(serial: &str, sound: &str, fault_path: PathBuf) -> Result<Self> {
        let mut wav = hound::WavReader::open(sound).map_err(|error| format!("{sound}: {error}"))?;
        let spec = wav.spec();
        if (spec.sample_rate, spec.channels, spec.bits_per_sample) != (RATE, 1, 16) {
            return Err(format!("{sound}: expected {RATE} Hz, 1 channel, 16 bits, actual {spec:?}").into());
        }
        let sound = wav.samples().collect::<std::result::Result<_, _>>()?;
        Ok(Microphone { serial: serial.into(), sound, at: 0, fault_path, fault: String::new() })
    }

    fn look(&mut self) {
        self.fault = fs::read_to_string(&self.fault_path).unwrap_or_default().trim().to_string();
    }

    /// The samples of a millisecond.
    fn record(&mut self) -> Vec<u8> {
        let n = if self.fault == "fast" { FRAME * 4 / 3 } else { FRAME };
        let mut next = || {
            let sample = self.sound[self.at];
            self.at = (self.at + 1) % self.sound.len();
            match self.fault.as_str() {
                "zeros" => 0,
                "dc" => sample / 4 + 12_000,
                "clipped" => sample.saturating_mul(500),
                _ => sample,
            }
        };
        (0..n).flat_map(|_| next().to_le_bytes()).collect()
    }

    /// The answer to a control request; none for one that it does not know.
    fn control(&self, setup: &[u8]) -> Option<Vec<u8>> {
        let word = |at| u16::from_le_bytes([setup[at], setup[at + 1]]);
        let (value, length) = (word(2), usize::from(word(6)));
        match (setup[0], setup[1]) {
            // Get descriptor.
            (0x80, 0x06) => {
                let mut descriptor = self.describe(value)?;
                descriptor.truncate(length);
                Some(descriptor)
            }
            // Get status.
            (0x80, 0x00) => Some(vec![0, 0]),
            // Set configuration, interface and sampling rate: there is one of each that works.
            (0x00, 0x09) | (0x01, 0x0b) | (0x22, 0x01) => Some(Vec::new()),
            _ => None,
        }
    }

    fn describe(&self, value: u16) -> Option<Vec<u8>> {
        let string =
            |text: &str| descriptor(0x03, &[&text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()]);
        let [number, kind] = value.to_le_bytes();
        Some(match (kind, number) {
            (0x01, _) => descriptor(
                0x01,
                // USB 1.1; maker 1, product 2 and serial number 3 of the strings; one
                // configuration.
                &[&[0x10, 0x01, 0, 0, 0, 64], &VENDOR.to_le_bytes(), &PRODUCT.to_le_bytes(), &[0, 1, 1, 2, 3, 1]],
            ),
            (0x02, _) => configuration(),
            // English.
            (0x03, 0) => descriptor(0x03, &[&[0x09, 0x04]]),
            (0x03, 1) => string("Earwitness"),
            (0x03, 2) => string("Microphone"),
            (0x03, 3) => string(&self.serial),
            _ => return None,
        })
    }
}

fn descriptor(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u8::try_from(body.len() + 2).expect("descriptors are short");
    [&[length, kind], body.as_slice()].concat()
}

/// One microphone, and an interface that streams it, which is off (0) or on (1).
fn configuration() -> Vec<u8> {
    const INTERFACE: u8 = 0x04;
    const ENDPOINT_OF: u8 = 0x05;
    const AUDIO_INTERFACE: u8 = 0x24;
    const AUDIO_ENDPOINT: u8 = 0x25;
    let units = [
        // Input terminal 1, a microphone of one channel; output terminal 2, USB, fed by 1.
        descriptor(AUDIO_INTERFACE, &[&[0x02, 1, 0x01, 0x02, 0, 1, 0, 0, 0, 0]]),
        descriptor(AUDIO_INTERFACE, &[&[0x03, 2, 0x01, 0x01, 0, 1, 0]]),
    ]
    .concat();
    let units_length = u16::try_from(units.len() + 9).expect("they are short").to_le_bytes();
    let parts = [
        descriptor(INTERFACE, &[&[0, 0, 0, 0x01, 0x01, 0, 0]]),
        descriptor(AUDIO_INTERFACE, &[&[0x01, 0x00, 0x01], &units_length, &[1, 1]]),
        units,
        descriptor(INTERFACE, &[&[1, 0, 0, 0x01, 0x02, 0, 0]]),
        descriptor(INTERFACE, &[&[1, 1, 1, 0x01, 0x02, 0, 0]]),
        // What leaves terminal 2 is PCM; format type I, one channel of two bytes, 16 bits, one
        // rate.
        descriptor(AUDIO_INTERFACE, &[&[0x01, 2, 1, 0x01, 0x00]]),
        descriptor(AUDIO_INTERFACE, &[&[0x02, 1, 1, 2, 16, 1], &RATE.to_le_bytes()[..3]]),
        // Isochronous and asynchronous, every millisecond.
        descriptor(ENDPOINT_OF, &[&[0x80 | ENDPOINT, 0x05], &MAX_PACKET.to_le_bytes(), &[1, 0, 0]]),
        descriptor(AUDIO_ENDPOINT, &[&[0x01, 0, 0, 0, 0]]),
    ]
    .concat();
    let length = u16::try_from(parts.len() + 9).expect("they are short").to_le_bytes();
    // Two interfaces, powered by the bus, 100 mA.
    [descriptor(0x02, &[&length, &[2, 1, 0, 0x80, 50]]), parts].concat()
}

/// A transfer that wants samples.
struct Request {
    due: Instant,
    sequence: u32,
    /// Where in the transfer's buffer each packet goes, and how long it may be.
    packets: Vec<(u32, u32)>,
}

/// The connection with the kernel.
struct Plug {
    peer: UnixStream,
    microphone: Microphone,
    waiting: VecDeque<Request>,
    /// When the last of those that wait is due.
    due: Instant,
    looked: Instant,
}

impl Plug {
    fn serve(&mut self) -> Result<()> {
        loop {
            if self.looked.elapsed() >= LOOK {
                self.looked = Instant::now();
                self.microphone.look();
            }
            let pause = self.deliver()?;
            self.peer.set_read_timeout(Some(pause.max(Duration::from_micros(100))))?;
            let mut header = [0; HEADER];
            match self.peer.read(&mut header[..1]) {
                Ok(0) => return Err("unplugged by the kernel".into()),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
                Err(error) => return Err(error.into()),
            }
            self.peer.set_read_timeout(None)?;
            self.peer.read_exact(&mut header[1..])?;
            self.take(&header)?;
        }
    }

    /// Answers what is due, and returns how long it takes until something else is.
    fn deliver(&mut self) -> Result<Duration> {
        if self.microphone.fault == "stalled" {
            return Ok(LOOK);
        }
        let now = Instant::now();
        while self.waiting.front().is_some_and(|request| request.due <= now) {
            let Some(request) = self.waiting.pop_front() else { break };
            let (mut data, mut descriptors) = (Vec::new(), Vec::new());
            for (offset, room) in &request.packets {
                let mut samples = self.microphone.record();
                samples.truncate(*room as usize);
                descriptors
                    .extend([*offset, *room, samples.len() as u32, 0].iter().flat_map(|word| word.to_be_bytes()));
                data.append(&mut samples);
            }
            self.answer(request.sequence, 0, &data, request.packets.len() as u32, &descriptors)?;
        }
        Ok(self.waiting.front().map_or(LOOK, |request| request.due.saturating_duration_since(now).min(LOOK)))
    }

    /// A command of the kernel's.
    fn take(&mut self, header: &[u8; HEADER]) -> Result<()> {
        let word = |index: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| header[4 * index + byte]));
        let (command, sequence, wants_data, endpoint) = (word(0), word(1), word(3) != 0, word(4));
        if command == CMD_UNLINK {
            let n_before = self.waiting.len();
            self.waiting.retain(|request| request.sequence != word(5));
            let status = if self.waiting.len() < n_before { ECONNRESET } else { 0 };
            self.send(&[RET_UNLINK, sequence, 0, 0, 0, status as u32], &[&[0; 24]])?;
            return Ok(());
        }
        if command != CMD_SUBMIT {
            return Err(format!("command {command} of USB/IP").into());
        }
        let (length, n_packets) = (word(6), word(8));
        if !wants_data {
            self.read(length as usize)?;
        }
        if endpoint == 0 {
            let reply = self.microphone.control(&header[40..]);
            let status = if reply.is_some() { 0 } else { EPIPE };
            let data = reply.filter(|_| wants_data).unwrap_or_default();
            return self.answer(sequence, status, &data, NO_PACKETS, &[]);
        }
        let descriptors = self.read(n_packets as usize * ISO_DESCRIPTOR)?;
        let at = |bytes: &[u8], at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
        let packets = descriptors.chunks_exact(ISO_DESCRIPTOR).map(|packet| (at(packet, 0), at(packet, 4))).collect();
        // As many milliseconds after the one before as it has packets.
        let now = Instant::now();
        self.due = self.due.max(now.checked_sub(MAX_LATE).unwrap_or(now)) + Duration::from_millis(n_packets.into());
        self.waiting.push_back(Request { due: self.due, sequence, packets });
        Ok(())
    }

    fn read(&mut self, n_bytes: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; n_bytes];
        self.peer.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn answer(&mut self, sequence: u32, status: i32, data: &[u8], n_packets: u32, descriptors: &[u8]) -> Result<()> {
        let header = [RET_SUBMIT, sequence, 0, 0, 0, status as u32, data.len() as u32, 0, n_packets, 0];
        self.send(&header, &[&[0; 8], data, descriptors])
    }

    fn send(&mut self, header: &[u32], parts: &[&[u8]]) -> Result<()> {
        let header: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        Ok(self.peer.write_all(&[header, parts.concat()].concat())?)
    }
}

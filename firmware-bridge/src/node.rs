//! A microcontroller's side of the link: samples and the daemon's messages enter, frames and
//! notices for the firmware leave.
//!
//! ```text
//!            start                       nothing heard for a while
//!   Idle ------------> Streaming ---------------------------------> LinkLost
//!    ^                  |     ^                                        |
//!    +------------------+     +----------------------------------------+
//!      stop, or another                          start
//!      daemon's alive
//! ```
//!
//! Outside of `Streaming` a node says hello once a second and sends no sound. Numbers and stamps
//! run on through all states, so that a daemon that finds its node again knows how much sound it
//! has missed.
//!
//! Everything is polled and nothing waits: one loop or task calls [`Node::poll`] every few
//! milliseconds and [`Node::capture`] with each block from the microphone. The clock is in
//! milliseconds and may wrap.
//!
//! A node and the daemon's side of it, joined by a port in memory:
//!
//! ```
//! # use std::collections::VecDeque;
//! # use std::convert::Infallible;
//! use firmware_bridge::frame;
//! use firmware_bridge::host::{Heard, Host, Wish};
//! use firmware_bridge::msg::{Encoding, Encodings};
//! use firmware_bridge::node::{Abilities, Node, Timing};
//! use firmware_bridge::pace::Pace;
//! # #[derive(Default)]
//! # struct Port {
//! #     to_node: VecDeque<u8>,
//! #     from_node: Vec<u8>,
//! # }
//! # impl embedded_io::ErrorType for Port {
//! #     type Error = Infallible;
//! # }
//! # impl embedded_io::ReadReady for Port {
//! #     fn read_ready(&mut self) -> Result<bool, Infallible> {
//! #         Ok(!self.to_node.is_empty())
//! #     }
//! # }
//! # impl embedded_io::Read for Port {
//! #     fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
//! #         let n = buffer.len().min(self.to_node.len());
//! #         buffer.iter_mut().zip(self.to_node.drain(..n)).for_each(|(to, from)| *to = from);
//! #         Ok(n)
//! #     }
//! # }
//! # impl embedded_io::WriteReady for Port {
//! #     fn write_ready(&mut self) -> Result<bool, Infallible> {
//! #         Ok(true)
//! #     }
//! # }
//! # impl embedded_io::Write for Port {
//! #     fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
//! #         self.from_node.extend(bytes);
//! #         Ok(bytes.len())
//! #     }
//! #     fn flush(&mut self) -> Result<(), Infallible> {
//! #         Ok(())
//! #     }
//! # }
//!
//! let encodings = Encodings::of(&[Encoding::Pcm16]);
//! let rates_hz = [24_000, 0, 0, 0];
//! let abilities = Abilities { name: "cellar", rates_hz, n_channels: 1, encodings, n_lamps: 0, features: None };
//! let mut node = Node::<1024>::new(abilities, Timing::default(), Pace::unlimited());
//! let wish = Wish { rate_hz: None, channel: 0, encodings, features: None, gate_db: 0 };
//! let mut host = Host::<{ frame::decoded_len(1024) }>::new(wish, 1);
//!
//! let mut port = Port::default();
//! let mut n_heard = 0;
//! for now_ms in (0..2_000).step_by(10) {
//!     node.capture(&[100; 240]); // 10 ms of the microphone
//!     node.poll(now_ms, &mut port, |_notice| ())?;
//!     let received = std::mem::take(&mut port.from_node);
//!     host.push(now_ms.into(), &received, |heard| {
//!         if let Heard::Samples(samples) = heard {
//!             n_heard += samples.len();
//!         }
//!     });
//!     host.poll_with(now_ms.into(), |bytes| {
//!         port.to_node.extend(bytes);
//!         Ok::<_, Infallible>(bytes.len())
//!     })?;
//! }
//! assert!(n_heard > 40_000, "{n_heard} of 48,000");
//! # Ok::<(), Infallible>(())
//! ```

use embedded_io::{Read, ReadReady, Write, WriteReady};

use crate::fmt::{info, warning};
use crate::frame::{self, EncodeError, Frame, Kind};
use crate::msg::{self, Encoding, Encodings, Event, Features, Hello, Message, Start, Stats};
use crate::pace::Pace;
use crate::reader::FrameReader;
use crate::sender::Sender;

/// Nothing longer comes from a daemon.
const RX_LEN: usize = frame::decoded_len(msg::MAX_LEN);

/// Bytes read in one poll at most, so that no flood keeps a node in it; at 921,600 baud 92 come in
/// a millisecond.
const READ_LIMIT: usize = 512;

/// What a node is and can do; the rest of its [`Hello`] follows from its types.
#[derive(Clone, Copy, Debug)]
pub struct Abilities<'a> {
    /// For people: which node this is; at most [`msg::MAX_TEXT_LEN`] bytes.
    pub name: &'a str,
    /// Rates that the microphone has, Hz, the preferred one first; 0 where there are fewer.
    pub rates_hz: [u32; msg::MAX_RATES],
    /// Channels that it has.
    pub n_channels: u8,
    /// Encodings that the firmware sends.
    pub encodings: Encodings,
    /// Lamps.
    pub n_lamps: u8,
    /// What its log-mel frames are; `None` where it computes none.
    pub features: Option<Features>,
}

/// How often and how long, ms.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two hellos.
    pub hello_ms: u32,
    /// Between two stats.
    pub stats_ms: u32,
    /// After this much silence of the daemon the link is lost.
    pub timeout_ms: u32,
}

impl Default for Timing {
    /// A second, a second and three: three messages of a daemon that sends one per second may get
    /// lost.
    fn default() -> Self {
        Self { hello_ms: 1_000, stats_ms: 1_000, timeout_ms: 3_000 }
    }
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// No daemon has requested sound.
    Idle,
    /// Sound is sent, as the start asked for.
    Streaming(Start),
    /// Sound was sent until the daemon fell silent.
    LinkLost,
}

/// What firmware has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Notice<'a> {
    /// Sound is wanted: set the microphone to this.
    Started(Start),
    /// No sound is wanted any more.
    Stopped,
    /// The daemon has fallen silent; no sound is sent.
    LinkLost,
    /// A sound has begun or ended.
    Event(Event<'a>),
}

/// A node; `TX` and `DEPTH` are those of its [`Sender`].
///
/// # Panics
///
/// Building one does not compile where `TX` has no room for a hello.
#[derive(Debug)]
pub struct Node<'a, const TX: usize, const DEPTH: usize = 4> {
    abilities: Abilities<'a>,
    timing: Timing,
    reader: FrameReader<RX_LEN>,
    sender: Sender<TX, DEPTH>,
    state: State,
    /// Of the last start taken; 0 before one.
    session: u32,
    /// Number of the last hello.
    hello_seq: Option<u16>,
    /// Index of the next sample.
    stamp: u32,
    clock: Clock,
    /// When something was last heard, hello said and stats sent; `None` where that is due at once.
    heard_ms: u32,
    hello_ms: Option<u32>,
    stats_ms: Option<u32>,
    overruns: u32,
    refused: u32,
    /// Intact frames without a message that is known.
    strange: u32,
}

/// Seconds since the first poll, even when the clock wraps.
#[derive(Debug, Default)]
struct Clock {
    last_ms: Option<u32>,
    rest_ms: u32,
    uptime_s: u32,
}

impl Clock {
    fn advance(&mut self, now_ms: u32) {
        let last_ms = self.last_ms.replace(now_ms).unwrap_or(now_ms);
        let elapsed_ms = self.rest_ms.saturating_add(now_ms.wrapping_sub(last_ms));
        self.uptime_s = self.uptime_s.saturating_add(elapsed_ms / 1_000);
        self.rest_ms = elapsed_ms % 1_000;
    }
}

impl<'a, const TX: usize, const DEPTH: usize> Node<'a, TX, DEPTH> {
    /// Samples in the longest frame.
    pub const MAX_FRAME_SAMPLES: usize = frame::max_payload_len(TX) / 2;

    /// An idle node.
    pub fn new(abilities: Abilities<'a>, timing: Timing, pace: Pace) -> Self {
        const { assert!(frame::max_encoded_len(msg::MAX_LEN) < TX) };
        Self {
            abilities,
            timing,
            reader: FrameReader::new(),
            sender: Sender::new(pace),
            state: State::Idle,
            session: 0,
            hello_seq: None,
            stamp: 0,
            clock: Clock::default(),
            heard_ms: 0,
            hello_ms: None,
            stats_ms: None,
            overruns: 0,
            refused: 0,
            strange: 0,
        }
    }

    /// Reads what has arrived, sends what is due, and writes what the port takes. Calls `on_notice`
    /// for what the firmware has to know.
    ///
    /// # Errors
    ///
    /// The port's. The node stays usable: the next call continues.
    ///
    /// # Real-time
    ///
    /// Never waits, allocates or panics; reads 512 bytes at most.
    pub fn poll<P: Read + ReadReady + Write + WriteReady>(
        &mut self,
        now_ms: u32,
        port: &mut P,
        mut on_notice: impl FnMut(Notice<'_>),
    ) -> Result<(), P::Error> {
        self.clock.advance(now_ms);
        let mut buffer = [0; 32];
        let mut n_read = 0;
        while n_read < READ_LIMIT && port.read_ready()? {
            let n = port.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            n_read += n;
            self.take(&buffer[..n], now_ms, &mut on_notice);
        }
        if matches!(self.state, State::Streaming(_)) && is_due(Some(self.heard_ms), self.timing.timeout_ms, now_ms) {
            warning!("link lost");
            self.leave(State::LinkLost, Notice::LinkLost, &mut on_notice);
        }
        self.speak(now_ms);
        self.sender.poll(now_ms, port)?;
        Ok(())
    }

    /// Takes the next samples of the microphone, of the wanted rate and channel. They are sent if
    /// sound is wanted as 16-bit samples, in as many frames as needed, and count as time gone by in
    /// any case.
    ///
    /// # Real-time
    ///
    /// Never waits; one pass over the samples.
    pub fn capture(&mut self, samples: &[i16]) {
        for samples in samples.chunks(Self::MAX_FRAME_SAMPLES) {
            if let State::Streaming(Start { encoding: Encoding::Pcm16, .. }) = self.state {
                // Cannot fail: the chunks are as long as frames may be.
                let _ = self.sender.push_audio(self.stamp, samples);
            }
            self.skip(samples.len());
        }
    }

    /// Takes the next `n_samples` in the form of `payload`. They are sent if that is the encoding
    /// wanted, and count as time gone by in any case.
    ///
    /// # Errors
    ///
    /// If the payload is too long for `TX`.
    pub fn capture_encoded(&mut self, encoding: Encoding, n_samples: usize, payload: &[u8]) -> Result<(), EncodeError> {
        let kind = match encoding {
            Encoding::Pcm16 => Kind::Audio,
            Encoding::MuLaw => Kind::MuLaw,
            Encoding::Adpcm => Kind::Adpcm,
            Encoding::LogMel => Kind::LogMel,
        };
        let wanted = matches!(self.state, State::Streaming(start) if start.encoding == encoding);
        let result = if wanted { self.sender.push(kind, self.stamp, payload) } else { Ok(()) };
        self.skip(n_samples);
        result
    }

    /// `n_samples` have gone by that are not sent: nothing was to be heard, or the microphone was
    /// being set up.
    pub fn skip(&mut self, n_samples: usize) {
        // The stamp is defined modulo 2^32.
        self.stamp = self.stamp.wrapping_add(n_samples as u32);
    }

    /// The firmware was too late for `n_samples` of the microphone.
    pub fn overrun(&mut self, n_samples: usize) {
        self.overruns = self.overruns.saturating_add(1);
        self.skip(n_samples);
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Index of the next sample, modulo 2^32.
    pub fn stamp(&self) -> u32 {
        self.stamp
    }

    /// Counts that are sent to the daemon.
    pub fn stats(&self) -> Stats {
        let (sent, received) = (self.sender.counts(), self.reader.counts());
        Stats {
            uptime_s: self.clock.uptime_s,
            frames_sent: sent.frames,
            frames_dropped: sent.dropped,
            overruns: self.overruns,
            messages: received.frames.saturating_sub(self.strange),
            damaged: received.damaged,
            unknown: received.unknown_version.saturating_add(received.unknown_kind).saturating_add(self.strange),
            refused: self.refused,
        }
    }

    /// Frames that wait for the line.
    pub fn n_waiting(&self) -> usize {
        self.sender.n_waiting()
    }

    fn take(&mut self, bytes: &[u8], now_ms: u32, on_notice: &mut impl FnMut(Notice<'_>)) {
        // The reader lends its frame, and what answers it is the rest of the node.
        let mut reader = core::mem::take(&mut self.reader);
        reader.push(bytes, |frame| self.take_frame(frame, now_ms, on_notice));
        self.reader = reader;
    }

    fn take_frame(&mut self, frame: Frame<'_>, now_ms: u32, on_notice: &mut impl FnMut(Notice<'_>)) {
        let message = match frame.header.kind {
            Kind::Control => Message::decode(frame.payload).ok(),
            _ => None,
        };
        match message {
            Some(Message::Start(start)) => self.start(start, on_notice),
            Some(Message::Stop) => self.stop(on_notice),
            Some(Message::Alive { session }) => match self.state {
                State::Streaming(start) if start.session == session => (),
                State::Streaming(_) => self.stop(on_notice),
                State::Idle | State::LinkLost => self.hello_ms = None,
            },
            Some(Message::Event(event)) => on_notice(Notice::Event(event)),
            // Messages that only nodes send.
            Some(Message::Hello(_) | Message::Stats(_)) | None => {
                self.strange = self.strange.saturating_add(1);
                return;
            }
        }
        self.heard_ms = now_ms;
    }

    fn start(&mut self, start: Start, on_notice: &mut impl FnMut(Notice<'_>)) {
        if self.hello_seq != Some(start.hello_seq) {
            info!("a start was ignored because it answers another hello");
            return;
        }
        let Abilities { rates_hz, n_channels, encodings, .. } = self.abilities;
        let possible = start.session != 0
            && start.rate_hz != 0
            && rates_hz.contains(&start.rate_hz)
            && start.channel < n_channels
            && encodings.has(start.encoding);
        if !possible {
            warning!("cannot stream as requested: {}", start);
            self.refused = self.refused.saturating_add(1);
            self.hello_ms = None;
            return;
        }
        self.session = start.session;
        if self.state != State::Streaming(start) {
            info!("{}", start);
            self.state = State::Streaming(start);
            self.stats_ms = None;
            on_notice(Notice::Started(start));
        }
    }

    fn stop(&mut self, on_notice: &mut impl FnMut(Notice<'_>)) {
        if matches!(self.state, State::Streaming(_)) {
            info!("stopped");
            self.leave(State::Idle, Notice::Stopped, on_notice);
        }
    }

    /// Ends the streaming; the hello that follows stands at a clean start of the line.
    fn leave(&mut self, state: State, notice: Notice<'_>, on_notice: &mut impl FnMut(Notice<'_>)) {
        self.state = state;
        self.hello_ms = None;
        self.sender.flush();
        on_notice(notice);
    }

    fn speak(&mut self, now_ms: u32) {
        let message = if matches!(self.state, State::Streaming(_)) {
            if !is_due(self.stats_ms, self.timing.stats_ms, now_ms) {
                return;
            }
            self.stats_ms = Some(now_ms);
            Message::Stats(self.stats())
        } else {
            if !is_due(self.hello_ms, self.timing.hello_ms, now_ms) {
                return;
            }
            self.hello_ms = Some(now_ms);
            self.hello_seq = Some(self.sender.next_seq());
            let Abilities { name, rates_hz, n_channels, encodings, n_lamps, features } = self.abilities;
            let max_frame_samples = u16::try_from(Self::MAX_FRAME_SAMPLES).unwrap_or(u16::MAX);
            let session = self.session;
            Message::Hello(Hello {
                session,
                name,
                rates_hz,
                n_channels,
                encodings,
                max_frame_samples,
                n_lamps,
                features,
            })
        };
        match message.encode(&mut [0; msg::MAX_LEN]) {
            // Cannot fail: `TX` has room for it.
            Ok(payload) => drop(self.sender.push(Kind::Control, self.stamp, payload)),
            Err(_error) => warning!("hello: {}", _error),
        }
    }
}

/// Whether `interval_ms` has gone by since `last_ms`, or that never was.
fn is_due(last_ms: Option<u32>, interval_ms: u32, now_ms: u32) -> bool {
    last_ms.is_none_or(|last_ms| now_ms.wrapping_sub(last_ms) >= interval_ms)
}

#[cfg(test)]
mod tests;

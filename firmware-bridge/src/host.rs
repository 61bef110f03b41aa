//! The daemon's side of the link: bytes from a node enter, sound in unbroken time leaves, with what
//! is missing named and counted.
//!
//! Does no input or output of its own: [`Host::push`] takes what was read, and [`Host::poll_with`]
//! hands over what is to be written. Runs on the thread that owns the port. Allocates nothing, so
//! that one microcontroller can be the host of another.
//!
//! # Handshake
//!
//! A host sends alive every second. A node that streams to another session, or to none, answers
//! with a hello, and the hello is answered with a start. Sound counts from the first frame after
//! the hello on; what comes before belongs to a session of the past. Should any of the three get
//! lost, the next second repeats them.
//!
//! # Time
//!
//! Every sample of the node has a place in time, its frame's stamp. What is missing before a frame
//! is therefore known exactly, whether it was lost on the way, dropped at the node or held back
//! because it was quiet; only across a restart of the node, whose stamps begin again, is it taken
//! from the host's clock.

use crate::adpcm;
use crate::frame::{self, Frame, Kind};
use crate::msg::{self, Encoding, Encodings, Event, Features, Hello, Message, MessageError, Start, Stats};
use crate::mu_law;
use crate::pace::Pace;
use crate::reader::{Counts, FrameReader};
use crate::sender::Sender;
use crate::sequence::{Sequence, Step};

/// Between two alive messages, ms.
pub const ALIVE_MS: u64 = 1_000;

/// Further ahead of the host's clock than this, and one in a hundred for its drift, no stamp can
/// be, ms: the first frame may have waited in a driver for as long as the host did not get to run.
const AHEAD_MS: u64 = 60_000;

/// Frames of the host on the line, the longest message in each and a delimiter before it.
const TX: usize = 1 + frame::max_encoded_len(msg::MAX_LEN);

/// What to ask of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The rate, Hz; `None` for the node's preferred one.
    pub rate_hz: Option<u32>,
    /// The channel, from 0.
    pub channel: u8,
    /// Encodings that may be asked for; of those that the node has, the one with the lowest number
    /// is taken.
    pub encodings: Encodings,
    /// Of log-mel frames, those with this [`Features::hash`]; `None` if none are of use.
    pub features: Option<u64>,
    /// Sound fainter than this many decibels below full scale need not be sent; 0: all is wanted.
    pub gate_db: u8,
}

/// What came from a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heard<'a> {
    /// A node has introduced itself and was asked to stream: sound of `start` follows.
    Started {
        /// What it is.
        hello: Hello<'a>,
        /// What it was asked for.
        start: Start,
        /// Whether it is another run of a node that has streamed before.
        restarted: bool,
    },
    /// A node has introduced itself that cannot do what is wished.
    Unusable(Hello<'a>),
    /// The next samples, in [-32768, 32767].
    Samples(&'a [i16]),
    /// Samples missing before the next ones.
    Gap {
        /// How many.
        n_samples: u64,
        /// Frames missing, messages among them; 0 where the node made none, and across a restart,
        /// where it cannot be known.
        n_frames: u16,
    },
    /// Samples that the node kept back, because nothing was to be heard.
    Quiet {
        /// How many.
        n_samples: u64,
    },
    /// The next log-mel frames, each as long as a hop.
    LogMel {
        /// Bands of a frame.
        n_mels: usize,
        /// `(n_frames, n_mels)`, row-major, see [`log_mel::restore`](crate::log_mel::restore).
        frames: &'a [u8],
    },
    /// How the node does.
    Stats(Stats),
}

/// A host of one node, for frames whose bodies are up to `N` bytes long.
#[derive(Debug)]
pub struct Host<const N: usize> {
    wish: Wish,
    reader: FrameReader<N>,
    link: Link,
    alive_ms: Option<u64>,
}

/// All but the reader, which lends its frames.
#[derive(Debug)]
struct Link {
    sender: Sender<TX, 8>,
    sequence: Sequence,
    session: u32,
    /// What was requested from the node; `None` before its hello.
    start: Option<Start>,
    /// What the node's log-mel frames are.
    features: Option<Features>,
    /// The start has had no effect yet, and the node sends no sound, even if there is any.
    is_idle: bool,
    /// Where the stream stands; `None` until the first frame of a run of the node.
    place: Option<Place>,
    /// Up to when the stream is accounted for, ms: across a restart, what is missing since.
    stream_ms: Option<u64>,
    heard_ms: Option<u64>,
    strange: u32,
}

/// Where in a node's time the stream stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Stamp of the next sample.
    stamp: u32,
    /// Samples since `anchor_ms`.
    n_samples: u64,
    /// Arrival of the first frame, ms.
    anchor_ms: u64,
}

impl<const N: usize> Host<N> {
    /// A host that waits for a node. Sessions are numbered upwards from `session`, 0 left out; a
    /// number that differs from run to run of the daemon, such as the time, lets a node tell the
    /// runs apart.
    pub const fn new(wish: Wish, session: u32) -> Self {
        let link = Link {
            sender: Sender::new(Pace::unlimited()),
            sequence: Sequence::new(),
            session: if session == 0 { 1 } else { session },
            start: None,
            features: None,
            is_idle: true,
            place: None,
            stream_ms: None,
            heard_ms: None,
            strange: 0,
        };
        Self { wish, reader: FrameReader::new(), link, alive_ms: None }
    }

    /// Takes the next bytes from the port, any number, and calls `on_heard` with what they bring,
    /// in order. `now_ms` is that of a clock that never goes back.
    pub fn push(&mut self, now_ms: u64, bytes: &[u8], mut on_heard: impl FnMut(Heard<'_>)) {
        let Self { wish, reader, link, .. } = self;
        reader.push(bytes, |frame| link.take(wish, now_ms, &frame, &mut on_heard));
    }

    /// Hands what is to be sent to `write`, which takes as many of the bytes as it can without
    /// waiting and returns their number, 0 if the port is busy. To be called some times per second.
    ///
    /// # Errors
    ///
    /// As `write`.
    pub fn poll_with<E>(&mut self, now_ms: u64, write: impl FnMut(&[u8]) -> Result<usize, E>) -> Result<usize, E> {
        if self.alive_ms.is_none_or(|alive_ms| now_ms.saturating_sub(alive_ms) >= ALIVE_MS) {
            self.alive_ms = Some(now_ms);
            let session = if self.link.start.is_some() { self.link.session } else { 0 };
            // Cannot fail: it has no text.
            let _ = self.link.say(&Message::Alive { session });
        }
        // An unlimited pace asks for no time.
        self.link.sender.poll_with(0, write)
    }

    /// Tells the node of a sound.
    ///
    /// # Errors
    ///
    /// If the label is too long.
    pub fn event(&mut self, event: Event<'_>) -> Result<(), MessageError> {
        self.link.say(&Message::Event(event))
    }

    /// Asks the node to stream no more.
    pub fn stop(&mut self) {
        // Cannot fail: it has no text.
        let _ = self.link.say(&Message::Stop);
    }

    /// The port was opened again: what was half read or half written is forgotten, and the node is
    /// to introduce itself again. The stream goes on: what is missing until then will be named.
    pub fn reopened(&mut self) {
        self.reader.reset();
        self.link.sender = Sender::new(Pace::unlimited());
        self.link.start = None;
        self.alive_ms = None;
    }

    /// Arrival of the last intact frame; `None` before one.
    pub fn heard_ms(&self) -> Option<u64> {
        self.link.heard_ms
    }

    /// Frames missing so far, messages among them; those around a restart are not.
    pub fn n_lost(&self) -> u64 {
        self.link.sequence.lost()
    }

    /// What the reader has seen.
    pub fn counts(&self) -> Counts {
        self.reader.counts()
    }

    /// Intact frames that mean nothing to this version, or nothing here.
    pub fn n_unknown(&self) -> u32 {
        let counts = self.reader.counts();
        counts.unknown_version.saturating_add(counts.unknown_kind).saturating_add(self.link.strange)
    }
}

impl Link {
    fn say(&mut self, message: &Message<'_>) -> Result<(), MessageError> {
        let mut buffer = [0; msg::MAX_LEN];
        let payload = message.encode(&mut buffer)?;
        // Cannot fail: `TX` is made for the longest message.
        let _ = self.sender.push(Kind::Control, 0, payload);
        Ok(())
    }

    fn take(&mut self, wish: &Wish, now_ms: u64, frame: &Frame<'_>, on_heard: &mut impl FnMut(Heard<'_>)) {
        self.heard_ms = Some(now_ms);
        if frame.header.kind == Kind::Control {
            match Message::decode(frame.payload) {
                Ok(Message::Hello(hello)) => self.greet(wish, now_ms, frame, hello, on_heard),
                Ok(Message::Stats(stats)) if self.start.is_some() => {
                    self.catch_up(now_ms, frame, on_heard);
                    self.is_idle = false;
                    on_heard(Heard::Stats(stats));
                }
                // Of an earlier session, or a message that nodes do not send.
                _ => self.strange = self.strange.saturating_add(1),
            }
        } else if self.start.is_some() {
            self.catch_up(now_ms, frame, on_heard);
            self.is_idle = false;
            self.listen(frame, on_heard);
        }
    }

    fn greet(
        &mut self,
        wish: &Wish,
        now_ms: u64,
        frame: &Frame<'_>,
        hello: Hello<'_>,
        on_heard: &mut impl FnMut(Heard<'_>),
    ) {
        let same_run = hello.session == self.session && self.place.is_some();
        // A hello again before anything came of the start keeps the number, so that the start may
        // be lost or doubled.
        if !same_run && self.place.take().is_some() {
            self.session = self.session.checked_add(1).unwrap_or(1);
        }
        self.start = wish.of(&hello, self.session, frame.header.seq);
        self.features = hello.features;
        self.is_idle = true;
        if same_run {
            self.catch_up(now_ms, frame, on_heard);
        } else {
            self.sequence.hello();
            self.sequence.advance(frame.header.seq);
        }
        match self.start {
            Some(start) => {
                // Cannot fail: it has no text.
                let _ = self.say(&Message::Start(start));
                on_heard(Heard::Started { hello, start, restarted: !same_run && self.stream_ms.is_some() });
            }
            None => on_heard(Heard::Unusable(hello)),
        }
    }

    /// Names what is missing before `frame`.
    fn catch_up(&mut self, now_ms: u64, frame: &Frame<'_>, on_heard: &mut impl FnMut(Heard<'_>)) {
        let stamp = frame.header.stamp;
        let n_frames = match self.sequence.advance(frame.header.seq) {
            Step::Gap { lost } => lost,
            Step::Next => 0,
            Step::First => {
                self.place = None;
                0
            }
        };
        let rate_hz = self.start.map_or(0, |start| u64::from(start.rate_hz));
        let stream_ms = self.stream_ms.replace(now_ms);
        let Some(place) = &mut self.place else {
            self.place = Some(Place { stamp, n_samples: 0, anchor_ms: now_ms });
            if let Some(stream_ms) = stream_ms {
                let n_samples = now_ms.saturating_sub(stream_ms) * rate_hz / 1_000;
                on_heard(Heard::Gap { n_samples, n_frames: 0 });
            }
            return;
        };
        // A stamp that goes back or far ahead of the clock is a node's mistake: the stream
        // continues where it stands.
        let n_missing = stamp.wrapping_sub(place.stamp);
        let elapsed_ms = now_ms.saturating_sub(place.anchor_ms);
        let limit = (elapsed_ms + elapsed_ms / 100 + AHEAD_MS) * rate_hz / 1_000;
        let is_possible = n_missing < 1 << 31 && place.n_samples + u64::from(n_missing) <= limit;
        let n_samples = if is_possible { u64::from(n_missing) } else { 0 };
        place.n_samples += n_samples;
        place.stamp = stamp;
        if n_frames > 0 || self.is_idle && n_samples > 0 {
            on_heard(Heard::Gap { n_samples, n_frames });
        } else if n_samples > 0 {
            on_heard(Heard::Quiet { n_samples });
        }
    }

    fn listen(&mut self, frame: &Frame<'_>, on_heard: &mut impl FnMut(Heard<'_>)) {
        let n_samples = match frame.header.kind {
            Kind::Audio => deliver(frame.samples(), on_heard),
            Kind::MuLaw => deliver(frame.payload.iter().map(|&code| mu_law::decode(code)), on_heard),
            Kind::Adpcm => deliver(adpcm::decode(frame.payload), on_heard),
            Kind::LogMel => match self.log_mel_frames(frame.payload) {
                Some((Features { n_mels, hop_length, .. }, frames)) => {
                    let n_mels = usize::from(n_mels);
                    on_heard(Heard::LogMel { n_mels, frames });
                    frames.len() / n_mels * usize::from(hop_length)
                }
                None => return self.strange = self.strange.saturating_add(1),
            },
            Kind::Control => return self.strange = self.strange.saturating_add(1),
        };
        if let Some(place) = &mut self.place {
            place.stamp = place.stamp.wrapping_add(n_samples as u32);
            place.n_samples += n_samples as u64;
        }
    }

    /// The frames in a payload, if they are those that the node's hello has announced.
    fn log_mel_frames<'f>(&self, payload: &'f [u8]) -> Option<(Features, &'f [u8])> {
        let features = self.features?;
        let (&n_mels, frames) = payload.split_first()?;
        let is_announced = n_mels == features.n_mels && n_mels > 0;
        (is_announced && frames.len().is_multiple_of(n_mels.into())).then_some((features, frames))
    }
}

impl Wish {
    /// The start to send to a node whose hello had the number `hello_seq`; `None` if it cannot do
    /// it.
    fn of(&self, hello: &Hello<'_>, session: u32, hello_seq: u16) -> Option<Start> {
        let rate_hz = match self.rate_hz {
            Some(rate_hz) => rate_hz,
            None => hello.rates_hz[0],
        };
        let encoding =
            [Encoding::Pcm16, Encoding::MuLaw, Encoding::Adpcm, Encoding::LogMel].into_iter().find(|&encoding| {
                let is_of_use = encoding != Encoding::LogMel
                    || hello.features.is_some_and(|features| self.features == Some(features.hash));
                is_of_use && self.encodings.has(encoding) && hello.encodings.has(encoding)
            })?;
        let possible = rate_hz != 0 && hello.rates_hz.contains(&rate_hz) && self.channel < hello.n_channels;
        possible.then_some(Start {
            session,
            rate_hz,
            channel: self.channel,
            encoding,
            hello_seq,
            gate_db: self.gate_db,
        })
    }
}

/// Hands samples over in pieces; returns their number.
fn deliver(samples: impl Iterator<Item = i16>, on_heard: &mut impl FnMut(Heard<'_>)) -> usize {
    let mut piece = [0; 256];
    let (mut n_piece, mut n_samples) = (0, 0);
    for sample in samples {
        piece[n_piece] = sample;
        n_piece += 1;
        if n_piece == piece.len() {
            on_heard(Heard::Samples(&piece));
            n_samples += n_piece;
            n_piece = 0;
        }
    }
    if n_piece > 0 {
        on_heard(Heard::Samples(&piece[..n_piece]));
    }
    n_samples + n_piece
}

#[cfg(test)]
mod tests;

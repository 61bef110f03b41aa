//! What every board does: blocks of a microphone and the bytes of a port enter, frames and the
//! state of a lamp leave.
//!
//! A board brings a port, a lamp, a clock and a microphone, and calls [`Ear::poll`] in its loop and
//! [`Ear::capture`] with each block. Nothing waits.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use embedded_io::{Read, ReadReady, Write, WriteReady};
use firmware_bridge::frame::{self, EncodeError};
use firmware_bridge::indicator::{ANY, Indicator, Rule};
use firmware_bridge::lamp::{Lamp, Pattern};
use firmware_bridge::log_mel::Tables;
use firmware_bridge::microphone::{FrontEnd, Microphone};
use firmware_bridge::msg::{Encoding, Encodings, Phase, Stats};
use firmware_bridge::node::{Abilities, Node, Notice, State, Timing};
use firmware_bridge::pace::Pace;

/// Samples a block: 20 ms at 24 kHz.
pub const BLOCK_LEN: usize = 480;

/// Blocks that the gate holds, which are sent with the sound after them, and for how many it stays
/// open: 0.1 s and 1 s.
const PRE_BLOCKS: usize = 5;
const HOLD_BLOCKS: u32 = 50;

/// What the lamp shows, the most urgent first. The daemon repeats itself every two seconds, so that
/// one word may get lost.
const RULES: [Rule<'_>; 2] = [
    Rule {
        label: "crying_baby",
        min_score_percent: 0,
        pattern: Pattern::Blink { on_ms: 200, off_ms: 200 },
        hold_ms: 5_000,
        linger_ms: 1_000,
    },
    Rule { label: ANY, min_score_percent: 0, pattern: Pattern::Steady, hold_ms: 5_000, linger_ms: 200 },
];

/// A node with a lamp.
pub struct Ear<'a, L, F> {
    microphone: Microphone<F, BLOCK_LEN, PRE_BLOCKS>,
    node: Node<'a, { frame::max_encoded_len(2 * BLOCK_LEN) }>,
    indicator: Indicator<'a, L, 2>,
}

/// What went wrong in a poll.
#[derive(Debug, defmt::Format)]
pub enum Error<P, L> {
    /// The port failed.
    Port(P),
    /// The lamp failed.
    Lamp(L),
}

/// What a poll brought that the board may want to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Onsets.
    pub n_onsets: u32,
    /// The daemon wants no more sound.
    pub stopped: bool,
}

impl<'a, L: Lamp, F: FrontEnd> Ear<'a, L, F> {
    /// An ear by the name of `name` whose microphone runs at `rate_hz`. With a `front_end` other
    /// than `()` it computes features too, if the daemon asks for them.
    pub fn new(name: &'a str, rate_hz: u32, lamp: L, front_end: F) -> Self {
        let samples = Encodings::of(&[Encoding::Pcm16, Encoding::MuLaw, Encoding::Adpcm]);
        let features = front_end.tables().map(Tables::features);
        let encodings = if features.is_some() { samples.with(Encoding::LogMel) } else { samples };
        let abilities =
            Abilities { name, rates_hz: [rate_hz, 0, 0, 0], n_channels: 1, encodings, n_lamps: 1, features };
        let node = Node::new(abilities, Timing::default(), Pace::unlimited());
        Self { microphone: Microphone::new(HOLD_BLOCKS, front_end), node, indicator: Indicator::new(lamp, RULES) }
    }

    /// Does what is due: reads, writes, and sets the lamp.
    ///
    /// # Errors
    ///
    /// The port's or the lamp's; the next call continues.
    pub fn poll<P: Read + ReadReady + Write + WriteReady>(
        &mut self,
        now_ms: u32,
        port: &mut P,
    ) -> Result<Heard, Error<P::Error, L::Error>> {
        let mut heard = Heard::default();
        let indicator = &mut self.indicator;
        let on_notice = |notice: Notice<'_>| match notice {
            Notice::Event(event) => {
                defmt::info!("{}", event);
                heard.n_onsets += u32::from(event.phase == Phase::Onset);
                indicator.event(&event, now_ms);
            }
            Notice::Stopped => heard.stopped = true,
            Notice::Started(_) | Notice::LinkLost => (),
        };
        self.node.poll(now_ms, port, on_notice).map_err(Error::Port)?;
        self.indicator.poll(now_ms).map_err(Error::Lamp)?;
        Ok(heard)
    }

    /// Takes the microphone's next block and sends it the way that the daemon has asked for.
    ///
    /// # Errors
    ///
    /// If a frame of the features is too long for a frame of the link.
    pub fn capture(&mut self, block: &[i16; BLOCK_LEN]) -> Result<(), EncodeError> {
        self.microphone.capture(&mut self.node, block)
    }

    /// The board was too late for this many samples.
    pub fn overrun(&mut self, n_samples: usize) {
        self.microphone.overrun(&mut self.node, n_samples);
    }

    /// Whether the daemon listens.
    pub fn is_streaming(&self) -> bool {
        matches!(self.node.state(), State::Streaming(_))
    }

    /// Frames that wait for the line, at most four.
    pub fn n_waiting(&self) -> usize {
        self.node.n_waiting()
    }

    /// How it goes.
    pub fn stats(&self) -> Stats {
        self.node.stats()
    }
}
